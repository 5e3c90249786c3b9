/* rooms: base store */
/* A child commits groups as fast as it can and tells each acknowledged number through a pipe; it is
 * killed at random moments, 25 times over the same file. Every number that came through must be
 * there. */
#include "store/store.h"

#include "base/clock.h"
#include "base/fs.h"
#include "base/rand.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define KILLS 25
#define ROW_BYTES 3000 /* so that checkpoints happen between the kills as well */

static char dir[] = "/tmp/slipway-crash-XXXXXX";
static char path[64];

static int unit_schema(void *ctx, struct store_db *db, struct err *e)
{
	(void)ctx;
	return store_script(db, "CREATE TABLE IF NOT EXISTS row(n @id, body @blob) @strict", e);
}

struct job {
	int64_t n;
	int out;
};

static int unit_row(void *ctx, struct store_db *db, struct err *e)
{
	static const char body[ROW_BYTES];
	struct job *j = ctx;
	struct store_stmt *q = store_prepare(db, "INSERT INTO row(n, body) VALUES ($n, $body)", e);

	if (!q)
		return -1;
	store_bind_i64(q, "$n", j->n);
	store_bind_blob(q, "$body", (struct str){body, sizeof(body)});
	return store_exec(q, e);
}

static void acknowledge(void *ctx, int rc, const struct err *e)
{
	struct job *j = ctx;

	(void)e;
	if (rc == 0 && write(j->out, &j->n, sizeof(j->n)) != sizeof(j->n))
		_exit(3);
	free(j);
}

static _Noreturn void child(int out, int64_t from)
{
	struct err e = {0};
	struct store *s =
	    store_open(&(struct store_options){.path = path, .readers = 1, .queue_max = 64}, &e);

	if (!s || store_write(s, unit_schema, NULL, &e) < 0)
		_exit(2);
	for (int64_t n = from;; n++) {
		struct job *j = calloc(1, sizeof(*j));

		*j = (struct job){.n = n, .out = out};
		while (store_submit(s, unit_row, acknowledge, j, &e) < 0)
			usleep(100);
	}
}

static int64_t check(const bool *acked, int64_t highest)
{
	struct err e = {0};
	struct store *s = store_open(&(struct store_options){.path = path, .readers = 1}, &e);
	struct store_db *db;
	struct store_stmt *q;
	int64_t next = 0, last = 0;

	if (!s)
		fail_msg("%s", e.msg);
	assert_int_equal(store_write(s, unit_schema, NULL, &e), 0);
	db = store_read_begin(s, clock_mono_ms() + 5000, &e);
	assert_non_null(db);
	q = store_prepare(db, "PRAGMA quick_check", &e);
	assert_int_equal(store_step(q, &e), 1);
	assert_true(str_eq_c(store_col_text(q, 0), "ok"));
	q = store_prepare(db, "SELECT n, length(body) FROM row ORDER BY n", &e);
	while (store_step(q, &e) == 1) {
		last = store_col_i64(q, 0);
		for (; next < last; next++)
			assert_false(acked[next]);
		next = last + 1;
		assert_int_equal(store_col_i64(q, 1), ROW_BYTES);
	}
	for (; next <= highest; next++)
		assert_false(acked[next]);
	store_read_end(s, db);
	store_close(s);
	return last;
}

static void one_life(bool *acked, size_t max, int64_t from, int64_t *highest, int64_t *count)
{
	int pipes[2], status;
	int64_t n;
	pid_t pid;

	assert_int_equal(pipe(pipes), 0);
	pid = fork();
	if (pid == 0) {
		close(pipes[0]);
		child(pipes[1], from);
	}
	close(pipes[1]);
	/* Not before the first acknowledgement: a life in which nothing is promised proves nothing.
	 */
	while (read(pipes[0], &n, sizeof(n)) == sizeof(n)) {
		assert_in_range(n, from, max - 1);
		if (n == from) {
			usleep((useconds_t)rand_below(60000));
			kill(pid, SIGKILL);
		}
		acked[n] = true;
		*highest = n > *highest ? n : *highest;
		++*count;
	}
	close(pipes[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static void test_kills(void **state)
{
	size_t max = 1 << 20;
	bool *acked = calloc(max, sizeof(bool));
	int64_t highest = 0, count = 0, last = 0;
	int tmp;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/x.db", dir);
	for (int i = 0; i < KILLS; i++) {
		one_life(acked, max, last + 1, &highest, &count);
		last = check(acked, highest);
		assert_true(last >= highest);
	}
	print_message("%d kills, %lld rows acknowledged, none lost\n", KILLS, (long long)count);
	assert_true(count > KILLS);
	free(acked);
	tmp = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(fs_remove_tree(tmp, strrchr(dir, '/') + 1, NULL), 0);
	close(tmp);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_kills)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
