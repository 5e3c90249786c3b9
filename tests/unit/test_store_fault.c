/* rooms: base store */
/* Every k-th write and fsync of the database fails, for every k: a child writes rows one by one and
 * tells the acknowledged ones through a pipe. Whatever it was told must be there afterwards, and it
 * must have ended in an orderly way: an I/O error ends the process with 75, a full disk is an error
 * of that write. */
#include "store/store.h"

#include "base/clock.h"
#include "base/fs.h"

#include <fcntl.h>
#include <setjmp.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define ROWS 12
#define K_MAX 400
#define EXIT_NEVER_REACHED 42 /* all went through before the k-th call */

enum fault { WRITE_EIO, WRITE_FULL, SYNC_EIO, FAULT_COUNT };
static const char *const fault_names[FAULT_COUNT] = {"write: EIO", "write: ENOSPC", "fsync: EIO"};

static char dir[] = "/tmp/slipway-fault-XXXXXX";
static char path[64];

/* --- a VFS that fails once; only in the child --- */

static enum fault kind;
static int countdown;
static sqlite3_vfs shim;
static struct {
	const sqlite3_io_methods *real;
	sqlite3_io_methods patched;
} methods[8];

static const sqlite3_io_methods *real_of(sqlite3_file *f)
{
	for (size_t i = 0; i < 8; i++)
		if (f->pMethods == &methods[i].patched)
			return methods[i].real;
	abort();
}

static int faulty_write(sqlite3_file *f, const void *p, int n, sqlite3_int64 at)
{
	if (kind != SYNC_EIO && --countdown == 0)
		return kind == WRITE_FULL ? SQLITE_FULL : SQLITE_IOERR_WRITE;
	return real_of(f)->xWrite(f, p, n, at);
}

static int faulty_sync(sqlite3_file *f, int flags)
{
	if (kind == SYNC_EIO && --countdown == 0)
		return SQLITE_IOERR_FSYNC;
	return real_of(f)->xSync(f, flags);
}

static int faulty_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *f, int flags, int *out)
{
	sqlite3_vfs *real = vfs->pAppData;
	int rc = real->xOpen(real, name, f, flags, out);
	size_t i = 0;

	if (rc != SQLITE_OK || !f->pMethods)
		return rc;
	while (methods[i].real && methods[i].real != f->pMethods)
		i++;
	methods[i].real = f->pMethods;
	methods[i].patched = *f->pMethods;
	methods[i].patched.xWrite = faulty_write;
	methods[i].patched.xSync = faulty_sync;
	f->pMethods = &methods[i].patched;
	return rc;
}

static void arm(enum fault f, int k)
{
	sqlite3_vfs *real = sqlite3_vfs_find(NULL);

	kind = f;
	countdown = k;
	shim = *real;
	shim.zName = "faulty";
	shim.pAppData = real;
	shim.xOpen = faulty_open;
	sqlite3_vfs_register(&shim, 1);
}

/* --- the child --- */

static int unit_schema(void *ctx, struct store_db *db, struct err *e)
{
	(void)ctx;
	return store_script(db, "CREATE TABLE row(n @id, body @blob) @strict", e);
}

static int unit_row(void *ctx, struct store_db *db, struct err *e)
{
	static const char body[6000];
	struct store_stmt *q = store_prepare(db, "INSERT INTO row(n, body) VALUES ($n, $body)", e);

	if (!q)
		return -1;
	store_bind_i64(q, "$n", *(int64_t *)ctx);
	store_bind_blob(q, "$body", (struct str){body, sizeof(body)});
	return store_exec(q, e);
}

static _Noreturn void child(int out)
{
	struct err e = {0};
	struct store *s = store_open(&(struct store_options){.path = path, .readers = 1}, &e);

	if (!s || store_write(s, unit_schema, NULL, &e) < 0)
		_exit(e.code == ERR_NO_SPACE || e.code == ERR_IO ? 0 : 3);
	for (int64_t n = 1; n <= ROWS; n++) {
		if (store_write(s, unit_row, &n, &e) == 0) {
			if (write(out, &n, sizeof(n)) != sizeof(n))
				_exit(4);
		} else if (e.code != ERR_NO_SPACE) {
			_exit(5);
		}
	}
	store_close(s);
	_exit(countdown > 0 ? EXIT_NEVER_REACHED : 0);
}

static int run_child(enum fault f, int k, bool acked[ROWS + 1])
{
	int pipes[2], status, null;
	int64_t n;
	pid_t pid;

	assert_int_equal(pipe(pipes), 0);
	pid = fork();
	if (pid == 0) {
		close(pipes[0]);
		null = open("/dev/null", O_WRONLY | O_CLOEXEC);
		dup2(null, 2); /* the one line in the log, hundreds of times */
		arm(f, k);
		child(pipes[1]);
	}
	close(pipes[1]);
	while (read(pipes[0], &n, sizeof(n)) == sizeof(n))
		acked[n] = true;
	close(pipes[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static int unit_nothing(void *ctx, struct store_db *db, struct err *e)
{
	(void)ctx;
	return store_script(db, "CREATE TABLE IF NOT EXISTS row(n @id, body @blob) @strict", e);
}

static void check(const bool acked[ROWS + 1])
{
	struct err e = {0};
	struct store *s = store_open(&(struct store_options){.path = path, .readers = 1}, &e);
	struct store_db *db;
	struct store_stmt *q;

	if (!s)
		fail_msg("%s", e.msg);
	assert_int_equal(store_write(s, unit_nothing, NULL, &e), 0);
	db = store_read_begin(s, clock_mono_ms() + 5000, &e);
	assert_non_null(db);
	q = store_prepare(db, "PRAGMA integrity_check", &e);
	assert_int_equal(store_step(q, &e), 1);
	assert_true(str_eq_c(store_col_text(q, 0), "ok"));
	for (int64_t n = 1; n <= ROWS; n++) {
		q = store_prepare(db, "SELECT 1 FROM row WHERE n = $n", &e);
		store_bind_i64(q, "$n", n);
		assert_true(store_step(q, &e) == 1 || !acked[n]);
	}
	store_read_end(s, db);
	store_close(s);
}

static void sweep(enum fault f)
{
	int k, rc = 0, ended = 0;

	for (k = 1; k < K_MAX && rc != EXIT_NEVER_REACHED; k++) {
		bool acked[ROWS + 1] = {false};

		snprintf(path, sizeof(path), "%s/%d-%d.db", dir, (int)f, k);
		rc = run_child(f, k, acked);
		if (rc != 0 && rc != EXIT_NEVER_REACHED) {
			if (rc != 75 || f == WRITE_FULL)
				fail_msg("%s, the %d-th: the process ended with %d", fault_names[f],
				    k, rc);
			ended++;
		}
		check(acked);
	}
	print_message("%s: %d places, %d ended the process\n", fault_names[f], k - 2, ended);
	assert_true(k > 10 && k < K_MAX);
	assert_true(f == WRITE_FULL || ended > 5);
}

static void test_sweeps(void **state)
{
	int tmp;

	(void)state;
	assert_non_null(mkdtemp(dir));
	for (int f = 0; f < FAULT_COUNT; f++)
		sweep((enum fault)f);
	tmp = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(fs_remove_tree(tmp, strrchr(dir, '/') + 1, NULL), 0);
	close(tmp);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_sweeps)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
