#include "tree/database.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/str.h"
#include "tree/say.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <string.h>
#include <unistd.h>

#define MAGIC "SQLite format 3"
#define WAIT_MS 60000
#define PAUSE_MS 20

bool database_is(int dir, const char *name)
{
	char head[sizeof(MAGIC)];
	struct stat st;
	CLEANUP_FD int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	return fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
	       pread(fd, head, sizeof(head), 0) == (ssize_t)sizeof(head) &&
	       memcmp(head, MAGIC, sizeof(head)) == 0;
}

bool database_is_side_file(int dir, const char *name)
{
	static const char *const endings[] = {"-wal", "-shm", "-journal"};
	char base[256];
	struct str s = str_c(name);
	for (size_t i = 0; i < sizeof(endings) / sizeof(endings[0]); i++) {
		struct str ending = str_c(endings[i]);
		if (str_ends(s, ending) &&
		    str_copy(str_slice(s, 0, s.n - ending.n), base, sizeof(base)) &&
		    database_is(dir, base))
			return true;
	}
	return false;
}

/* In one go: a copy in steps would begin anew with each write of another process. */
static int copy_all(sqlite3 *from, sqlite3 *to)
{
	int64_t until = clock_mono_ms() + WAIT_MS;
	sqlite3_backup *b = sqlite3_backup_init(to, "main", from, "main");
	if (!b)
		return sqlite3_errcode(to);
	int rc;
	while ((rc = sqlite3_backup_step(b, -1)) == SQLITE_BUSY || rc == SQLITE_LOCKED) {
		if (clock_mono_ms() >= until)
			break;
		(void)sqlite3_sleep(PAUSE_MS);
	}
	int end = sqlite3_backup_finish(b);
	return rc == SQLITE_DONE ? end : rc;
}

static int judge(int rc, const char *path, struct err *e)
{
	switch (rc & 0xff) {
	case SQLITE_OK:
		return 0;
	case SQLITE_NOTADB:
	case SQLITE_CORRUPT:
		return 1;
	case SQLITE_FULL:
		return say_fail(SAY_SIZE, e, "no room for a copy of the database '%.300s'", path);
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return say_fail(SAY_TIMEOUT, e,
		    "the database '%.300s' was being written for a whole minute", path);
	default:
		return say_fail(SAY_ENTRY, e, "the database '%.300s' cannot be copied: %s", path,
		    sqlite3_errstr(rc));
	}
}

int database_copy(const char *path, const char *to, struct err *e)
{
	sqlite3 *from = NULL, *copy = NULL;
	(void)unlink(to);
	int rc = sqlite3_open_v2(path, &from, SQLITE_OPEN_READWRITE, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_db_config(from, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_open_v2(to, &copy, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_exec(
		    copy, "PRAGMA synchronous = OFF; PRAGMA journal_mode = OFF", NULL, NULL, NULL);
	if (rc == SQLITE_OK)
		rc = copy_all(from, copy);
	int closed = sqlite3_close(copy);
	(void)sqlite3_close(from);
	return judge(rc == SQLITE_OK ? closed : rc, path, e);
}
