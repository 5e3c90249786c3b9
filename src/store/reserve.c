#include "store/reserve.h"

#include "base/fs.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define LEAST_BYTES (1ull << 20) /* less would help nobody */

static uint64_t free_of(const struct statvfs *fs)
{
	return (uint64_t)fs->f_bavail * fs->f_frsize;
}

static bool fill(int fd)
{
	struct statvfs fs;
	struct stat st;
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || fstatvfs(fd, &fs) != 0)
		return false;
	uint64_t have = (uint64_t)st.st_blocks * 512, want = have + free_of(&fs) / 2;
	if (have >= RESERVE_BYTES)
		return true;
	if (want > RESERVE_BYTES)
		want = RESERVE_BYTES;
	/* Not posix_fallocate, which would write it where the file system knows nothing of the kind: what is only zeros may be packed. */
	return want >= LEAST_BYTES && fallocate(fd, 0, 0, (off_t)want) == 0;
}

bool reserve_make(const char *path)
{
	CLEANUP_FD int fd =
	    open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
	if (fd >= 0 && fill(fd))
		return true;
	if (fd >= 0)
		(void)reserve_give(path);
	return false;
}

bool reserve_give(const char *path)
{
	struct stat st;
	bool some = lstat(path, &st) == 0 && S_ISREG(st.st_mode) && st.st_blocks > 0;
	return unlink(path) == 0 && some;
}

bool reserve_give_below(const char *path, uint64_t free_bytes)
{
	struct statvfs fs;
	return statvfs(path, &fs) == 0 && free_of(&fs) < free_bytes && reserve_give(path);
}
