/* The SQLite drivers: a file in WAL mode, and a database in memory whose readers work on copies.
 *
 * The packaged SQLite (3.40 … 3.46) has a race in resetting the WAL when two connections checkpoint
 * or write at once. Here exactly one connection does either: readers are query_only, never
 * checkpoint, not even on close, and other processes are kept out by the lock on FILE.writer. */
#include "store/sqlite_parts.h"

#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define CHECKPOINT_PAGES 1000
#define BUSY_MS 5000
#define CACHE_KIB 2000u
#define VALUE_MAX_BYTES (64 << 20)
#define TURN_WAIT_MS 10000
#define TURN_NAP_US_MAX 500

/* --- opening and closing --- */

/* The bytes of FILE.writer: whoever writes has WRITER; whoever waits for it has NEXT. */
enum lock_byte { WRITER, NEXT };

/* 0, or the errno. Locks of the open file, not of the process: they end with the last descriptor
 * and no other open or close of the file in this process can drop them. */
static int lock_byte(struct store_base *b, enum lock_byte byte, short type)
{
	struct flock l = {.l_type = type, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};

	return fcntl(b->lock_fd, F_OFD_SETLK, &l) == 0 ? 0 : errno;
}

static int lock_wait(struct store_base *b, enum lock_byte byte, int64_t deadline_ms, struct err *e)
{
	long nap_us = 20;
	int sys;

	while ((sys = lock_byte(b, byte, F_WRLCK)) == EAGAIN || sys == EACCES) {
		if (clock_mono_ms() >= deadline_ms) {
			err_set(e, ERR_UNAVAILABLE,
			    "could not write: another process has been writing for %d s",
			    TURN_WAIT_MS / 1000);
			return err_hint(e, "is a process that uses the database stopped?");
		}
		nanosleep(&(struct timespec){.tv_nsec = nap_us * 1000}, NULL);
		nap_us = nap_us * 2 < TURN_NAP_US_MAX ? nap_us * 2 : TURN_NAP_US_MAX;
	}
	return sys == 0 ? 0 : err_sys(e, ERR_IO, sys, "could not lock the database");
}

/* Shared: waits for our turn. Who has just had one queues behind who waits, because both have to
 * pass NEXT. */
static int turn_begin(struct store_base *b, struct err *e)
{
	int64_t deadline = clock_mono_ms() + TURN_WAIT_MS;
	int rc;

	if (!b->shared)
		return 0;
	if (lock_wait(b, NEXT, deadline, e) < 0)
		return -1;
	rc = lock_wait(b, WRITER, deadline, e);
	(void)lock_byte(b, NEXT, F_UNLCK);
	return rc;
}

static void turn_end(struct store_base *b)
{
	if (b->shared)
		(void)lock_byte(b, WRITER, F_UNLCK);
}

static int take_lock(struct store_base *b, struct err *e)
{
	char name[4096];
	int sys;

	if ((size_t)snprintf(name, sizeof(name), "%s.writer", b->path) >= sizeof(name))
		return err_set(e, ERR_SETTINGS, "cannot open the database: its path is too long");
	b->lock_fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (b->lock_fd < 0)
		return err_sys(e, ERR_IO, errno, "could not open the lock file '%s'", name);
	if (b->shared)
		return 0;
	sys = lock_byte(b, WRITER, F_WRLCK);
	if (sys == 0)
		return 0;
	if (sys != EAGAIN && sys != EACCES)
		return err_sys(e, ERR_IO, sys, "could not lock '%s'", name);
	err_set(e, ERR_CONFLICT, "cannot open the database '%s': another process is writing to it",
	    b->path);
	return err_hint(e, "is another slipwayd running on the same directory?");
}

/* Makes the file with the mode that -wal and -shm will take over, before SQLite would under the
 * umask. */
static int make_file(const char *path, struct err *e)
{
	CLEANUP_FREE char *dir = NULL;
	CLEANUP_FD int fd = -1, dir_fd = -1;
	const char *slash = strrchr(path, '/');

	fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0 && errno == EEXIST)
		return 0;
	if (fd < 0)
		return err_sys(e, ERR_IO, errno, "could not create the database '%s'", path);
	if (!slash)
		dir = mem_dup(STR("."));
	else
		dir = mem_dup((struct str){path, slash == path ? 1 : (size_t)(slash - path)});
	dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir_fd < 0 || fsync(fd) < 0 || fsync(dir_fd) < 0)
		return err_sys(e, ERR_IO, errno, "could not create the database '%s'", path);
	return 0;
}

static void base_close(struct store_base *b)
{
	if (b->lock_fd >= 0)
		close(b->lock_fd);
	pthread_mutex_destroy(&b->lock);
	free(b->path);
	free(b);
}

static struct store_base *base_new(const char *path)
{
	struct store_base *b = mem_alloc(sizeof(*b));

	b->lock_fd = -1;
	b->cache_kib = CACHE_KIB;
	b->path = path ? mem_dup(str_c(path)) : NULL;
	pthread_mutex_init(&b->lock, NULL);
	return b;
}

static int file_open(const struct store_options *o, struct store_base **ret, struct err *e)
{
	struct store_base *b = base_new(o->path);

	b->shared = o->shared;
	b->cache_kib = o->cache_kib ? o->cache_kib : CACHE_KIB;
	b->map_bytes = o->map_bytes;
	if (take_lock(b, e) < 0 || make_file(o->path, e) < 0) {
		base_close(b);
		return -1;
	}
	*ret = b;
	return 0;
}

static int memory_open(const struct store_options *o, struct store_base **ret, struct err *e)
{
	(void)o;
	(void)e;
	*ret = base_new(NULL);
	return 0;
}

static int wal_hook(void *ctx, sqlite3 *db, const char *schema, int pages)
{
	(void)db;
	(void)schema;
	((struct store_conn *)ctx)->wal_pages = pages;
	return SQLITE_OK;
}

static int pragma(struct store_conn *c, const char *sql, const char *want, struct err *e)
{
	sqlite3_stmt *q = NULL;
	int rc = sqlite3_prepare_v2(c->db, sql, -1, &q, NULL);
	const char *got = NULL;

	if (rc == SQLITE_OK)
		rc = sqlite3_step(q);
	if (rc == SQLITE_ROW)
		got = (const char *)sqlite3_column_text(q, 0);
	if (rc != SQLITE_ROW && rc != SQLITE_DONE)
		sqlite_fail(c, "set up the database", e);
	else if (want && (!got || strcmp(got, want) != 0))
		rc = SQLITE_ERROR, err_set(e, ERR_UNSUPPORTED,
				       "cannot use the database: '%s' gave '%s' instead of '%s'",
				       sql, got ? got : "", want);
	sqlite3_finalize(q);
	return rc == SQLITE_ROW || rc == SQLITE_DONE ? 0 : -1;
}

static int set_up_reader(struct store_conn *c, struct err *e)
{
	char map[64];

	sqlite3_db_config(c->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
	snprintf(map, sizeof(map), "PRAGMA mmap_size=%llu", (unsigned long long)c->base->map_bytes);
	/* Small: what is read often stays in the system's cache, and there are several. */
	return pragma(c, "PRAGMA cache_size=-512", NULL, e) < 0 || pragma(c, map, NULL, e) < 0 ||
		       pragma(c, "PRAGMA query_only=ON", NULL, e) < 0
		   ? -1
		   : 0;
}

static int set_up(struct store_conn *c, struct err *e)
{
	static const char *const always[] = {"PRAGMA foreign_keys=ON", "PRAGMA trusted_schema=OFF",
	    "PRAGMA temp_store=MEMORY", "PRAGMA wal_autocheckpoint=0"};
	char cache[48];

	sqlite3_extended_result_codes(c->db, 1);
	sqlite3_busy_timeout(c->db, BUSY_MS);
	sqlite3_limit(c->db, SQLITE_LIMIT_LENGTH, VALUE_MAX_BYTES);
	sqlite3_limit(c->db, SQLITE_LIMIT_ATTACHED, c->base->path ? 0 : 1);
	sqlite3_db_config(c->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	sqlite3_db_config(c->db, SQLITE_DBCONFIG_DQS_DML, 0, NULL);
	sqlite3_db_config(c->db, SQLITE_DBCONFIG_DQS_DDL, 0, NULL);
	for (size_t i = 0; i < sizeof(always) / sizeof(always[0]); i++)
		if (pragma(c, always[i], NULL, e) < 0)
			return -1;
	if (!c->writer)
		return set_up_reader(c, e);
	snprintf(cache, sizeof(cache), "PRAGMA cache_size=-%u", c->base->cache_kib);
	if (pragma(c, cache, NULL, e) < 0)
		return -1;
	if (c->base->path && (pragma(c, "PRAGMA journal_mode=WAL", "wal", e) < 0 ||
				 pragma(c, "PRAGMA synchronous=FULL", NULL, e) < 0))
		return -1;
	sqlite3_wal_hook(c->db, wal_hook, c);
	return 0;
}

/* Shared: others may be reading and waiting to write, so neither waits for the other, and closing
 * does not do it again without the lock. */
static void last_checkpoint(struct store_conn *c)
{
	if (!c->base->shared) {
		sqlite3_wal_checkpoint_v2(c->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
		return;
	}
	sqlite3_db_config(c->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
	if (turn_begin(c->base, NULL) < 0)
		return;
	sqlite3_wal_checkpoint_v2(c->db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
	turn_end(c->base);
}

static void disconnect(struct store_conn *c)
{
	for (size_t i = 0; i < FIXED_COUNT; i++)
		sqlite3_finalize(c->fixed[i]);
	if (c->writer && c->base->path && c->db)
		last_checkpoint(c);
	if (c->writer)
		c->base->writer = NULL;
	sqlite3_close(c->db);
	free(c);
}

/* Turning a new file to WAL mode is a write. */
static int set_up_in_turn(struct store_conn *c, struct err *e)
{
	int rc;

	if (!c->writer)
		return set_up(c, e);
	if (turn_begin(c->base, e) < 0)
		return -1;
	rc = set_up(c, e);
	turn_end(c->base);
	return rc;
}

/* Nobody asks SQLite how much memory it uses, and counting takes a lock at every allocation. */
static void configure(void)
{
	(void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
}

static int connect_to(struct store_base *b, bool writer, struct store_conn **ret, struct err *e)
{
	struct store_conn *c = mem_alloc(sizeof(*c));
	int flags =
	    SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | (b->path ? 0 : SQLITE_OPEN_CREATE);
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	(void)pthread_once(&once, configure);
	c->base = b;
	c->writer = writer;
	if (sqlite3_open_v2(b->path ? b->path : ":memory:", &c->db, flags, NULL) != SQLITE_OK) {
		sqlite_fail(c, "open the database", e);
	} else if (set_up_in_turn(c, e) == 0) {
		if (writer)
			b->writer = c->db;
		*ret = c;
		return 0;
	}
	disconnect(c);
	return -1;
}

/* --- transactions --- */

static int begin_write(struct store_conn *c, struct err *e)
{
	if (turn_begin(c->base, e) < 0)
		return -1;
	if (sqlite_run(c, BEGIN_WRITE, e) == 0)
		return 0;
	turn_end(c->base);
	return -1;
}

static int file_begin(struct store_conn *c, struct err *e)
{
	if (c->writer)
		return begin_write(c, e);
	if (sqlite_run(c, BEGIN_READ, e) < 0)
		return -1;
	if (sqlite_run(c, SNAPSHOT, e) == 0)
		return 0;
	sqlite_run(c, ROLLBACK, NULL);
	return -1;
}

static int end_write(struct store_conn *c, struct err *e)
{
	if (sqlite_run(c, COMMIT, e) == 0)
		return 0;
	if (!c->broken && !sqlite3_get_autocommit(c->db))
		sqlite_run(c, ROLLBACK, NULL);
	return -1;
}

static int file_commit(struct store_conn *c, struct err *e)
{
	int rc = end_write(c, e);

	turn_end(c->base);
	return rc;
}

static void file_rollback(struct store_conn *c)
{
	if (!sqlite3_get_autocommit(c->db))
		sqlite_run(c, ROLLBACK, NULL);
	if (c->writer)
		turn_end(c->base);
}

static int copy_from_writer(struct store_conn *c, struct err *e)
{
	sqlite3_int64 size = 0;
	unsigned char *image;
	int rc = SQLITE_NOMEM;

	image = sqlite3_serialize(c->base->writer, "main", &size, 0);
	if (size == 0)
		rc = SQLITE_OK; /* nothing was ever created */
	else if (image)
		rc = sqlite3_deserialize(
		    c->db, "main", image, size, size, SQLITE_DESERIALIZE_FREEONCLOSE);
	if (rc != SQLITE_OK)
		return err_set(
		    e, ERR_INTERNAL, "could not copy the database in memory (sqlite %d)", rc);
	c->version = c->base->version;
	return 0;
}

static int memory_begin(struct store_conn *c, struct err *e)
{
	int rc = 0;
	bool fresh;

	pthread_mutex_lock(&c->base->lock);
	if (c->writer) {
		rc = sqlite_run(c, BEGIN_WRITE, e);
		if (rc < 0)
			pthread_mutex_unlock(&c->base->lock);
		return rc;
	}
	fresh = c->version != c->base->version;
	if (fresh)
		rc = copy_from_writer(c, e);
	pthread_mutex_unlock(&c->base->lock);
	if (rc == 0)
		rc = sqlite_run(c, BEGIN_READ, e);
	return rc < 0 ? -1 : fresh;
}

static int memory_commit(struct store_conn *c, struct err *e)
{
	int rc = end_write(c, e);

	c->base->version++;
	pthread_mutex_unlock(&c->base->lock);
	return rc;
}

static void memory_rollback(struct store_conn *c)
{
	file_rollback(c);
	if (c->writer)
		pthread_mutex_unlock(&c->base->lock);
}

static int unit_begin(struct store_conn *c, struct err *e)
{
	return sqlite_run(c, UNIT_BEGIN, e);
}

static int unit_keep(struct store_conn *c, struct err *e)
{
	return sqlite_run(c, UNIT_KEEP, e);
}

static int unit_undo(struct store_conn *c, struct err *e)
{
	/* ROLLBACK TO leaves the savepoint open. */
	return sqlite_run(c, UNIT_UNDO, e) < 0 || sqlite_run(c, UNIT_KEEP, e) < 0 ? -1 : 0;
}

static bool is_lost(const struct store_conn *c)
{
	return sqlite3_get_autocommit(c->db) != 0;
}

static bool is_broken(const struct store_conn *c)
{
	return c->broken;
}

static void maintain(struct store_conn *c)
{
	int rc;

	if (c->wal_pages < CHECKPOINT_PAGES || turn_begin(c->base, NULL) < 0)
		return;
	/* PASSIVE waits for no reader; what one still needs is left for the next time. */
	rc = sqlite3_wal_checkpoint_v2(c->db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
	turn_end(c->base);
	if (sqlite_is_fatal(rc))
		c->broken = true;
	c->wal_pages = 0;
}

#define SHARED                                                                                     \
	.id = "INTEGER PRIMARY KEY", .i64 = "INTEGER", .blob = "BLOB", .strict = "STRICT",         \
	.close = base_close, .connect = connect_to, .disconnect = disconnect,                      \
	.unit_begin = unit_begin, .unit_keep = unit_keep, .unit_undo = unit_undo, .lost = is_lost, \
	.broken = is_broken, .maintain = maintain, .prepare = sqlite_prepare,                      \
	.finalize = sqlite_finalize, .reset = sqlite_reset, .clear = sqlite_clear,                 \
	.bind_i64 = sqlite_bind_i64, .bind_text = sqlite_bind_text, .bind_blob = sqlite_bind_blob, \
	.bind_null = sqlite_bind_null, .step = sqlite_step, .col_i64 = sqlite_col_i64,             \
	.col_bytes = sqlite_col_bytes, .col_null = sqlite_col_null, .changes = sqlite_changes,     \
	.last_id = sqlite_last_id, .script = sqlite_script

const struct store_driver store_sqlite = {
    .name = "sqlite",
    .open = file_open,
    .begin = file_begin,
    .commit = file_commit,
    .rollback = file_rollback,
    SHARED,
};

const struct store_driver store_memory = {
    .name = "memory",
    .open = memory_open,
    .begin = memory_begin,
    .commit = memory_commit,
    .rollback = memory_rollback,
    SHARED,
};
