/* rooms: base store */
/* A shared store: processes that write take turns, none starves, nothing is lost when one is
 * killed. */
#include "base/clock.h"
#include "base/fs.h"
#include "store/store.h"

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

#define PROCESSES 3
#define WRITES 300

static char dir[] = "/tmp/slipway-shared-XXXXXX";
static char path[64];

static struct store *open_shared(struct err *e)
{
	return store_open(&(struct store_options){.path = path, .shared = true, .readers = 1}, e);
}

static int unit_schema(void *ctx, struct store_db *db, struct err *e)
{
	(void)ctx;
	return store_script(db,
	    "CREATE TABLE IF NOT EXISTS tally(who @i64 PRIMARY KEY, n @i64 NOT NULL) @strict;"
	    "CREATE TABLE IF NOT EXISTS line(id @id, who @i64 NOT NULL, n @i64 NOT NULL) @strict;",
	    e);
}

/* Reads, then writes what it read plus one: wrong as soon as two are inside at once. */
static int unit_count(void *ctx, struct store_db *db, struct err *e)
{
	const int64_t *who = ctx;
	int64_t n = 0;
	struct store_stmt *q = store_prepare(db, "SELECT n FROM tally WHERE who = 0", e);
	if (!q || store_step(q, e) < 0)
		return -1;
	n = store_col_i64(q, 0);
	store_reset(q);
	q = store_prepare(db,
	    "INSERT INTO tally(who, n) VALUES (0, $n) ON CONFLICT(who) DO UPDATE SET n = "
	    "excluded.n",
	    e);
	if (!q)
		return -1;
	store_bind_i64(q, "$n", n + 1);
	if (store_exec(q, e) < 0)
		return -1;
	q = store_prepare(db, "INSERT INTO line(who, n) VALUES ($who, $n)", e);
	if (!q)
		return -1;
	store_bind_i64(q, "$who", *who);
	store_bind_i64(q, "$n", n + 1);
	return store_exec(q, e);
}

static void child(int64_t who, int ready, int writes)
{
	struct err e = {0};
	char go;
	struct store *s = open_shared(&e);
	if (!s || store_write(s, unit_schema, NULL, &e) < 0 || read(ready, &go, 1) < 0)
		_exit(1);
	for (int i = 0; writes < 0 || i < writes; i++)
		if (store_write(s, unit_count, &who, &e) < 0)
			_exit(2);
	store_close(s);
	_exit(0);
}

static int64_t number(const char *sql)
{
	struct err e = {0};
	struct store *s = open_shared(&e);
	assert_non_null(s);
	struct store_db *db = store_read_begin(s, clock_mono_ms() + 1000, &e);
	assert_non_null(db);
	struct store_stmt *q = store_prepare(db, sql, &e);
	assert_non_null(q);
	assert_int_equal(store_step(q, &e), 1);
	int64_t n = store_col_i64(q, 0);
	store_read_end(s, db);
	store_close(s);
	return n;
}

static void start(pid_t pids[PROCESSES], int writes)
{
	int pipes[2];
	assert_int_equal(pipe(pipes), 0);
	for (int64_t i = 0; i < PROCESSES; i++) {
		pids[i] = fork();
		if (pids[i] == 0) {
			close(pipes[1]);
			child(i, pipes[0], writes);
		}
	}
	close(pipes[0]);
	close(pipes[1]); /* they begin together */
}

static void test_turns(void **state)
{
	pid_t pids[PROCESSES];
	int status;
	(void)state;
	start(pids, WRITES);
	for (size_t i = 0; i < PROCESSES; i++) {
		assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
		assert_true(WIFEXITED(status));
		assert_int_equal(WEXITSTATUS(status), 0);
	}
	assert_int_equal(number("SELECT n FROM tally WHERE who = 0"), PROCESSES * WRITES);
	assert_int_equal(number("SELECT count(*) FROM line"), PROCESSES * WRITES);
	/* Nobody waited for another to be through: in the first half of all lines each has many. */
	assert_true(
	    number("SELECT min(c) FROM (SELECT count(*) AS c FROM (SELECT who FROM line ORDER "
		   "BY id LIMIT 450) GROUP BY who)") > WRITES / 10);
	assert_int_equal(
	    number("SELECT count(DISTINCT who) FROM (SELECT who FROM line ORDER BY id LIMIT 450)"),
	    PROCESSES);
}

/* Whoever is killed holds nothing afterwards, and the others go on. */
static void test_killed(void **state)
{
	pid_t pids[PROCESSES];
	int status;
	(void)state;
	int64_t before = number("SELECT count(*) FROM line");
	start(pids, -1);
	usleep(200000);
	for (size_t i = 0; i < PROCESSES; i++) {
		assert_int_equal(kill(pids[i], SIGKILL), 0);
		assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
		assert_true(WIFSIGNALED(status));
		int64_t then = number("SELECT count(*) FROM line");
		assert_true(then > before);
		before = then;
		usleep(50000);
	}
	assert_int_equal(number("SELECT n FROM tally WHERE who = 0"), before);
}

/* Somebody keeps the lock for good: who shares says so after a while and does not hang for ever. */
static void test_exclusive_beside_shared(void **state)
{
	struct err e = {0};
	(void)state;
	struct store *s = open_shared(&e);
	assert_non_null(s);
	assert_int_equal(store_write(s, unit_schema, NULL, &e), 0);
	struct store *alone = store_open(&(struct store_options){.path = path, .readers = 1}, &e);
	assert_non_null(alone); /* nobody writes at this moment */
	int64_t who = 9;
	assert_int_equal(store_write(s, unit_count, &who, &e), -1);
	assert_int_equal(e.code, ERR_UNAVAILABLE);
	store_close(alone);
	assert_int_equal(store_write(s, unit_count, &who, &e), 0);
	store_close(s);
}

static int set_up(void **state)
{
	(void)state;
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof(path), "%s/shared.db", dir);
	return 0;
}

static int clean(void **state)
{
	CLEANUP_FD int tmp = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct err e;
	(void)state;
	return fs_remove_tree(tmp, strrchr(dir, '/') + 1, &e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_turns),
	    cmocka_unit_test(test_killed), cmocka_unit_test(test_exclusive_beside_shared)};
	return cmocka_run_group_tests(tests, set_up, clean);
}
