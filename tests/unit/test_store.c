/* rooms: base store */
/* One suite against all drivers: a file, memory, and a PostgreSQL server started here. */
#include "store/store.h"

#include "base/clock.h"
#include "base/counters.h"
#include "base/fs.h"
#include "postgres_server.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static bool in_memory, in_postgres;
static struct postgres_server server;
static char dir[] = "/tmp/slipway-store-XXXXXX";
static char path[256];
static unsigned file_no;

static int unit_sql(void *ctx, struct store_db *db, struct err *e)
{
	return store_script(db, ctx, e);
}

/* A new, empty place: a file, or a schema of the server's. */
static void choose_path(void)
{
	struct err e = {0};
	struct store *s;
	char sql[64];

	if (!in_postgres) {
		snprintf(path, sizeof(path), "%s/%u.db", dir, file_no++);
		return;
	}
	snprintf(sql, sizeof(sql), "CREATE SCHEMA s%u", ++file_no);
	s = store_open(&(struct store_options){.path = server.url, .readers = 1}, &e);
	if (!s || store_write(s, unit_sql, sql, &e) < 0)
		fail_msg("%s", e.msg);
	store_close(s);
	snprintf(path, sizeof(path), "%s&options=-csearch_path%%3Ds%u", server.url, file_no);
}

static struct store *open_new(unsigned readers)
{
	struct err e = {0};
	struct store *s;

	choose_path();
	s = store_open(
	    &(struct store_options){.path = in_memory ? NULL : path, .readers = readers}, &e);
	if (!s)
		fail_msg("%s", e.msg);
	return s;
}

static int unit_schema(void *ctx, struct store_db *db, struct err *e)
{
	(void)ctx;
	return store_script(db,
	    "CREATE TABLE a(id @id, name TEXT NOT NULL UNIQUE, n @i64, b @blob) @strict;"
	    "CREATE TABLE child(a_id @i64 NOT NULL REFERENCES a(id) ON DELETE CASCADE) @strict;",
	    e);
}

struct row {
	const char *name;
	int64_t n;
	struct str b;
	int64_t id;
	bool then_fail;
};

static int unit_insert(void *ctx, struct store_db *db, struct err *e)
{
	struct row *r = ctx;
	struct store_stmt *q =
	    store_prepare(db, "INSERT INTO a(name, n, b) VALUES ($name, $n, $b) RETURNING id", e);

	if (!q)
		return -1;
	store_bind_text(q, "$name", str_c(r->name));
	store_bind_i64(q, "$n", r->n);
	store_bind_blob(q, "$b", r->b);
	if (store_step(q, e) != 1)
		return -1;
	r->id = store_col_i64(q, 0);
	/* Left without a reset on purpose: the store must cope. */
	return r->then_fail ? err_set(e, ERR_FAILED, "on purpose") : 0;
}

static void insert(struct store *s, const char *name, int64_t n)
{
	struct err e = {0};
	struct row r = {.name = name, .n = n, .b = STR("\0\1")};

	if (store_write(s, unit_insert, &r, &e) < 0)
		fail_msg("%s", e.msg);
}

static int64_t count_in(struct store_db *db)
{
	struct err e = {0};
	struct store_stmt *q = store_prepare(db, "SELECT count(*) FROM a", &e);
	int64_t n;

	assert_non_null(q);
	assert_int_equal(store_step(q, &e), 1);
	n = store_col_i64(q, 0);
	store_reset(q);
	return n;
}

static int64_t count(struct store *s)
{
	struct err e = {0};
	struct store_db *db = store_read_begin(s, DEADLINE_NEVER, &e);
	int64_t n;

	assert_non_null(db);
	n = count_in(db);
	store_read_end(s, db);
	return n;
}

static struct store *open_with_schema(unsigned readers)
{
	struct err e = {0};
	struct store *s = open_new(readers);

	assert_int_equal(store_write(s, unit_schema, NULL, &e), 0);
	return s;
}

static void test_write_and_read(void **state)
{
	struct err e = {0};
	struct store *s = open_new(2);
	struct arena a;
	struct store_db *db;
	struct store_stmt *q;

	(void)state;
	/* A reader before there is anything. */
	db = store_read_begin(s, DEADLINE_NEVER, &e);
	assert_non_null(db);
	assert_null(store_prepare(db, "SELECT * FROM a", &e));
	store_read_end(s, db);
	assert_int_equal(store_write(s, unit_schema, NULL, &e), 0);
	insert(s, "one", 7);
	db = store_read_begin(s, DEADLINE_NEVER, &e);
	q = store_prepare(db, "SELECT id, name, n, b, NULL FROM a WHERE name = $name", &e);
	assert_non_null(q);
	assert_int_equal(store_step(q, &e), 0); /* parameters start as NULL */
	store_bind_text(q, "$name", STR("one"));
	assert_int_equal(store_step(q, &e), 1);
	arena_init(&a, 4096);
	assert_true(str_eq_c(store_col_str(q, 1, &a), "one"));
	assert_int_equal(store_col_i64(q, 2), 7);
	assert_true(str_eq(store_col_text(q, 3), STR("\0\1")));
	assert_true(store_col_null(q, 4));
	assert_null(store_col_str(q, 4, &a).p);
	assert_int_equal(store_step(q, &e), 0);
	/* The same text is the same statement, cleared. */
	assert_ptr_equal(store_prepare(db, "SELECT 1", &e), store_prepare(db, "SELECT 1", &e));
	/* A reader cannot write. */
	q = store_prepare(db, "DELETE FROM a", &e);
	assert_non_null(q);
	assert_int_equal(store_exec(q, &e), -1);
	store_read_end(s, db);
	arena_fini(&a);
	assert_int_equal(count(s), 1);
	store_close(s);
}

static void test_unit_undone_alone(void **state)
{
	struct err e = {0};
	struct store *s = open_with_schema(1);
	struct row bad = {.name = "bad", .then_fail = true}, twice = {.name = "one"};

	(void)state;
	insert(s, "one", 1);
	assert_int_equal(store_write(s, unit_insert, &bad, &e), -1);
	assert_int_equal(e.code, ERR_FAILED);
	assert_int_equal(store_write(s, unit_insert, &twice, &e), -1);
	assert_int_equal(e.code, ERR_CONFLICT);
	insert(s, "two", 2);
	assert_int_equal(count(s), 2);
	store_close(s);
}

static int unit_bad_sql(void *ctx, struct store_db *db, struct err *e)
{
	const char *sql = ctx;

	return store_script(db, sql, e);
}

static void test_rules(void **state)
{
	struct err e = {0};
	struct store *s = open_with_schema(1);
	char orphan[] = "INSERT INTO child VALUES (99)",
	     type[] = "INSERT INTO a(name, n) VALUES ('x', 'text')",
	     token[] = "CREATE TABLE t(a @text)", quote[] = "INSERT INTO a(name) VALUES (\"x\")";

	(void)state;
	assert_int_equal(store_write(s, unit_bad_sql, orphan, &e), -1); /* foreign keys are on */
	assert_int_equal(store_write(s, unit_bad_sql, type, &e), -1);	/* tables are strict */
	assert_int_equal(store_write(s, unit_bad_sql, token, &e), -1);
	assert_non_null(strstr(e.msg, "@text"));
	assert_int_equal(store_write(s, unit_bad_sql, quote, &e), -1);
	assert_int_equal(count(s), 0);
	store_close(s);
}

static void test_no_space(void **state)
{
	struct err e = {0};
	struct store *s = open_with_schema(1);
	char cap[] = "PRAGMA max_page_count=20", more[] = "PRAGMA max_page_count=2000";
	static char big[200000];
	struct row huge = {.name = "huge", .b = {big, sizeof(big)}};

	(void)state;
	insert(s, "one", 1);
	assert_int_equal(store_write(s, unit_bad_sql, cap, &e), 0);
	assert_int_equal(store_write(s, unit_insert, &huge, &e), -1);
	assert_int_equal(e.code, ERR_NO_SPACE);
	/* Small things go on, and large ones once there is room again. */
	insert(s, "two", 2);
	assert_int_equal(store_write(s, unit_bad_sql, more, &e), 0);
	assert_int_equal(store_write(s, unit_insert, &huge, &e), 0);
	assert_int_equal(count(s), 3);
	store_close(s);
}

static void test_snapshot(void **state)
{
	struct err e = {0};
	struct store *s = open_with_schema(2);
	struct store_db *db;

	(void)state;
	insert(s, "one", 1);
	db = store_read_begin(s, DEADLINE_NEVER, &e);
	assert_non_null(db);
	/* Writing goes on beside an open snapshot, from the same thread too, and the snapshot
	 * stays. */
	insert(s, "two", 2);
	assert_int_equal(count_in(db), 1);
	assert_int_equal(count(s), 2);
	assert_int_equal(count_in(db), 1);
	store_read_end(s, db);
	assert_int_equal(count(s), 2);
	store_close(s);
}

static void test_readers_run_out(void **state)
{
	struct err e = {0};
	struct store *s = open_with_schema(1);
	struct store_db *db = store_read_begin(s, DEADLINE_NEVER, &e);
	int64_t t = clock_mono_ms();

	(void)state;
	assert_non_null(db);
	assert_null(store_read_begin(s, t + 30, &e));
	assert_int_equal(e.code, ERR_TIMEOUT);
	assert_in_range(clock_mono_ms() - t, 30, 2000);
	store_read_end(s, db);
	assert_int_equal(count(s), 0);
	store_close(s);
}

/* Holds the writer until told, so that units queue up behind it. */
static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
static int unit_gate(void *ctx, struct store_db *db, struct err *e)
{
	(void)db;
	(void)e;
	atomic_store((atomic_bool *)ctx, true);
	pthread_mutex_lock(&gate);
	pthread_mutex_unlock(&gate);
	return 0;
}

struct counted {
	atomic_int done, failed;
	int next;
	bool in_order;
};
struct numbered {
	struct counted *all;
	int no;
	char name[16];
};

static int unit_numbered(void *ctx, struct store_db *db, struct err *e)
{
	struct numbered *u = ctx;
	struct row r = {.name = u->name, .n = u->no};

	if (u->no % 50 == 49)
		return err_set(e, ERR_FAILED, "every fiftieth");
	return unit_insert(&r, db, e);
}

static void done_numbered(void *ctx, int rc, const struct err *e)
{
	struct numbered *u = ctx;

	if (u->no != u->all->next++)
		u->all->in_order = false;
	if (rc < 0 && e->code == ERR_FAILED)
		atomic_fetch_add(&u->all->failed, 1);
	else
		atomic_fetch_add(&u->all->done, 1);
}

static void test_group_commit(void **state)
{
	static struct numbered units[200];
	struct err e = {0};
	struct store *s = open_with_schema(1);
	struct counted all = {.in_order = true};
	atomic_bool held = false;
	uint64_t commits, count_units;

	(void)state;
	pthread_mutex_lock(&gate);
	assert_int_equal(store_submit(s, unit_gate, NULL, &held, &e), 0);
	while (!atomic_load(&held))
		usleep(1000);
	commits = counter_get(COUNTER_STORE_COMMITS);
	count_units = counter_get(COUNTER_STORE_UNITS);
	for (int i = 0; i < 200; i++) {
		units[i] = (struct numbered){.all = &all, .no = i};
		snprintf(units[i].name, sizeof(units[i].name), "n%d", i);
		assert_int_equal(store_submit(s, unit_numbered, done_numbered, &units[i], &e), 0);
	}
	pthread_mutex_unlock(&gate);
	insert(s, "last", 0);
	assert_int_equal(all.done, 196);
	assert_int_equal(all.failed, 4);
	assert_true(all.in_order);
	/* The gate's own commit, one for the 200, at most one more for the last. */
	assert_in_range(counter_get(COUNTER_STORE_COMMITS) - commits, 2, 3);
	assert_int_equal(counter_get(COUNTER_STORE_UNITS) - count_units, 201);
	assert_int_equal(count(s), 197);
	store_close(s);
}

static void test_queue_bound(void **state)
{
	struct err e = {0};
	struct store *s;
	atomic_bool held = false;

	(void)state;
	choose_path();
	s = store_open(
	    &(struct store_options){.path = in_memory ? NULL : path, .readers = 1, .queue_max = 3},
	    &e);
	assert_non_null(s);
	pthread_mutex_lock(&gate);
	assert_int_equal(store_submit(s, unit_gate, NULL, &held, &e), 0);
	while (!atomic_load(&held))
		usleep(1000);
	for (int i = 0; i < 3; i++)
		assert_int_equal(store_submit(s, unit_schema, NULL, NULL, &e), 0);
	assert_int_equal(store_submit(s, unit_schema, NULL, NULL, &e), -1);
	assert_int_equal(e.code, ERR_UNAVAILABLE);
	pthread_mutex_unlock(&gate);
	store_close(s); /* finishes what is queued */
}

static void *hammer(void *arg)
{
	struct store *s = arg;

	for (int i = 0; i < 40; i++) {
		char name[64];

		snprintf(name, sizeof(name), "%lx-%d", (unsigned long)pthread_self(), i);
		insert(s, name, i);
		assert_true(count(s) > 0);
	}
	return NULL;
}

static void test_many_threads(void **state)
{
	struct store *s = open_with_schema(3);
	pthread_t t[8];

	(void)state;
	for (int i = 0; i < 8; i++)
		pthread_create(&t[i], NULL, hammer, s);
	for (int i = 0; i < 8; i++)
		pthread_join(t[i], NULL);
	assert_int_equal(count(s), 320);
	store_close(s);
}

/* --- the file's own --- */

static off_t size_of(const char *suffix, mode_t *ret_mode)
{
	struct stat st;
	char name[300];

	snprintf(name, sizeof(name), "%s%s", path, suffix);
	if (stat(name, &st) < 0)
		return -1;
	if (ret_mode)
		*ret_mode = st.st_mode & 0777;
	return st.st_size;
}

static void test_second_opener(void **state)
{
	struct err e = {0};
	struct store *s;
	struct store_options o = {.path = path, .readers = 1};

	(void)state;
	s = open_with_schema(1);
	assert_null(store_open(&o, &e)); /* not even in the same process */
	assert_int_equal(e.code, ERR_CONFLICT);
	insert(s, "still mine", 1);
	store_close(s);
	s = store_open(&o, &e);
	assert_non_null(s);
	assert_int_equal(count(s), 1);
	store_close(s);
}

static void test_wal_files(void **state)
{
	struct err e = {0};
	struct store *s;
	struct store_db *db;
	mode_t mode = 0, old = umask(0);
	off_t most = 0;
	char name[16];

	(void)state;
	in_memory = false;
	s = open_with_schema(1);
	umask(old);
	insert(s, "one", 1);
	assert_true(size_of("-wal", &mode) > 0 && mode == 0600);
	assert_true(size_of("-shm", &mode) > 0 && mode == 0600);
	assert_true(size_of("", &mode) > 0 && mode == 0600);
	assert_true(size_of(".writer", &mode) == 0 && mode == 0600);
	/* While a reader holds on, the WAL grows beyond the threshold; afterwards it is used again.
	 */
	db = store_read_begin(s, DEADLINE_NEVER, &e);
	for (int i = 0; i < 1500; i++) {
		snprintf(name, sizeof(name), "w%d", i);
		insert(s, name, i);
	}
	most = size_of("-wal", NULL);
	assert_true(most > 1000 * 4096);
	assert_int_equal(count_in(db), 1);
	store_read_end(s, db);
	for (int i = 1500; i < 3200; i++) {
		snprintf(name, sizeof(name), "w%d", i);
		insert(s, name, i);
	}
	assert_true(size_of("-wal", NULL) < most + 1200 * 4120 * 3);
	store_close(s);
	assert_int_equal(size_of("-wal", NULL), -1);
	assert_int_equal(size_of("-shm", NULL), -1);
	s = store_open(&(struct store_options){.path = path, .readers = 1}, &e);
	assert_non_null(s);
	assert_int_equal(count(s), 3201);
	store_close(s);
}

/* A write that fails for a reason other than a full disk ends the process with 75, unacknowledged.
 */
static void test_io_error_ends_process(void **state)
{
	int status, out[2];
	pid_t pid;
	struct rlimit lim = {.rlim_cur = 256 << 10, .rlim_max = 256 << 10};

	(void)state;
	in_memory = false;
	assert_int_equal(pipe(out), 0);
	pid = fork();
	if (pid == 0) {
		struct store *s;
		char big[8192];
		struct err e = {0};

		signal(SIGXFSZ, SIG_IGN);
		dup2(out[1], 2);
		close(out[0]);
		s = open_with_schema(1);
		setrlimit(RLIMIT_FSIZE, &lim);
		memset(big, 'x', sizeof(big));
		for (int i = 0; i < 1000; i++) {
			struct row r = {.b = {big, sizeof(big)}};
			char name[16];

			snprintf(name, sizeof(name), "%d", i);
			r.name = name;
			if (store_write(s, unit_insert, &r, &e) < 0)
				_exit(1);
		}
		_exit(0);
	}
	close(out[1]);
	{
		char text[2048];
		ssize_t n = read(out[0], text, sizeof(text) - 1);

		assert_true(n > 0);
		text[n] = '\0';
		assert_non_null(strstr(text, "store_"));
	}
	close(out[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 75);
}

static void test_not_a_database(void **state)
{
	struct err e = {0};
	char letter[4096];
	int fd;

	(void)state;
	snprintf(path, sizeof(path), "%s/letter.db", dir);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	memset(letter, 'x', sizeof(letter));
	assert_int_equal(write(fd, letter, sizeof(letter)), sizeof(letter));
	close(fd);
	assert_null(store_open(&(struct store_options){.path = path, .readers = 1}, &e));
	assert_int_equal(e.code, ERR_IO);
	assert_null(store_open(
	    &(struct store_options){.path = "/tmp/no-such-dir-of-slipway/x.db", .readers = 1}, &e));
}

/* --- the server's own --- */

static int unit_sum(void *ctx, struct store_db *db, struct err *e)
{
	struct store_stmt *q = store_prepare(db,
	    "SELECT sum(n), count(*), max(n) > $least, 'a $name in quotes' FROM a /* and */ -- "
	    "$this\n"
	    " WHERE n >= $least",
	    e);

	if (!q)
		return -1;
	store_bind_i64(q, "$least", 5);
	assert_int_equal(store_step(q, e), 1);
	*(int64_t *)ctx = store_col_i64(q, 0);
	assert_int_equal(store_col_i64(q, 1), 2);
	assert_int_equal(store_col_i64(q, 2), 1);
	assert_true(str_eq(store_col_text(q, 3), STR("a $name in quotes")));
	return 0;
}

static void test_numbers(void **state)
{
	struct err e = {0};
	struct store *s = open_with_schema(1);
	int64_t sum = 0;

	(void)state;
	insert(s, "a", INT64_MIN);
	insert(s, "b", 123456789);
	insert(s, "c", 98760000000);
	assert_int_equal(store_write(s, unit_sum, &sum, &e), 0);
	assert_int_equal(sum, 123456789 + 98760000000);
	store_close(s);
}

/* Also after its server was restarted a reader serves; the writer ends its process. */
static void test_server_restarts(void **state)
{
	struct err e = {0};
	struct store *s = open_with_schema(2);
	int status, ready[2];
	char byte;
	pid_t pid;

	(void)state;
	assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
	insert(s, "kept", 1);
	postgres_kill(&server);
	assert_null(store_read_begin(s, DEADLINE_NEVER, &e));
	assert_int_equal(e.code, ERR_IO);
	assert_true(postgres_start(&server));
	assert_int_equal(count(s), 1);
	assert_int_equal(count(s), 1);
	pid = fork();
	if (pid == 0) {
		struct store *other;
		char sql[] = "SELECT 1";

		if (!freopen("/dev/null", "w", stderr))
			_exit(3);
		other = store_open(
		    &(struct store_options){.path = path, .shared = true, .readers = 1}, &e);
		if (!other || store_write(other, unit_sql, sql, &e) < 0)
			_exit(1);
		if (write(ready[1], "w", 1) != 1)
			_exit(4);
		while (store_write(other, unit_sql, sql, &e) == 0)
			usleep(1000);
		_exit(2);
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1); /* it writes */
	close(ready[0]);
	postgres_kill(&server);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 75);
	assert_true(postgres_start(&server));
	store_close(s);
}

static void test_no_server(void **state)
{
	struct err e = {0};

	(void)state;
	assert_null(store_open(
	    &(struct store_options){
		.path = "postgres:///x?host=/tmp/no-such-dir-of-slipway", .readers = 1},
	    &e));
	assert_int_equal(e.code, ERR_IO);
	assert_non_null(strstr(e.hint, "DATABASE_URL"));
}

static int use_file(void **state)
{
	(void)state;
	in_memory = false;
	return mkdtemp(dir) ? 0 : -1;
}

static int use_memory(void **state)
{
	(void)state;
	in_memory = true;
	return 0;
}

static int clean(void **state)
{
	CLEANUP_FD int tmp = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct err e;

	(void)state;
	return fs_remove_tree(tmp, strrchr(dir, '/') + 1, &e);
}

static int use_postgres(void **state)
{
	(void)state;
	in_memory = false;
	in_postgres = true;
	return 0;
}

static int end_postgres(void **state)
{
	(void)state;
	postgres_close(&server);
	return 0;
}

#define SUITE                                                                                      \
	cmocka_unit_test(test_write_and_read), cmocka_unit_test(test_unit_undone_alone),           \
	    cmocka_unit_test(test_rules), cmocka_unit_test(test_snapshot),                         \
	    cmocka_unit_test(test_readers_run_out), cmocka_unit_test(test_group_commit),           \
	    cmocka_unit_test(test_queue_bound), cmocka_unit_test(test_many_threads)

int main(void)
{
	const struct CMUnitTest file[] = {SUITE, cmocka_unit_test(test_no_space),
	    cmocka_unit_test(test_second_opener), cmocka_unit_test(test_wal_files),
	    cmocka_unit_test(test_io_error_ends_process), cmocka_unit_test(test_not_a_database)};
	const struct CMUnitTest memory[] = {SUITE, cmocka_unit_test(test_no_space)};
	const struct CMUnitTest postgres[] = {SUITE, cmocka_unit_test(test_second_opener),
	    cmocka_unit_test(test_numbers), cmocka_unit_test(test_no_server),
	    cmocka_unit_test(test_server_restarts)};
	int failed = cmocka_run_group_tests_name("store on a file", file, use_file, NULL);

	failed += cmocka_run_group_tests_name("store in memory", memory, use_memory, clean);
	switch (postgres_open(&server)) {
	case 0:
		fprintf(stderr, "PostgreSQL is not installed (tools/install-deps test)\n");
		return failed + 1;
	case 1:
		return failed + cmocka_run_group_tests_name(
				    "store in PostgreSQL", postgres, use_postgres, end_postgres);
	default:
		fprintf(stderr, "PostgreSQL did not start; see %s/log\n", server.dir);
		return failed + 1;
	}
}
