/* A disk that forgets what was not synced when the power goes: base/io.h over memory; for test_journal.c. */
#pragma once

#define DISK_FILES 24
#define DISK_BYTES (600u << 10)
#define SECTOR 512u
#define DISK_DIR 900
#define DISK_FD 1000

static struct disk {
	struct disk_file {
		char name[24], synced_name[24]; /* "" none */
		size_t n, synced_n;
		char now[DISK_BYTES], synced[DISK_BYTES];
	} files[DISK_FILES];
	int ops_left; /* power goes at 0 */
	uint64_t random;
} * disk;
static pthread_mutex_t disk_lock = PTHREAD_MUTEX_INITIALIZER;

static uint64_t chance(void)
{
	disk->random = disk->random * 6364136223846793005u + 1442695040888963407u;
	return disk->random >> 33;
}

/* Each sector that was not synced is old, new, or torn; a name is old or new. */
static void power_cut(void)
{
	for (int i = 0; i < DISK_FILES; i++) {
		struct disk_file *f = &disk->files[i];
		for (size_t at = 0; at < DISK_BYTES; at += SECTOR) {
			size_t torn = chance() % 3 == 0 ? chance() % SECTOR : SECTOR;
			if (memcmp(f->now + at, f->synced + at, SECTOR) != 0 && chance() % 2)
				memcpy(f->synced + at, f->now + at, torn);
		}
		if (strcmp(f->name, f->synced_name) != 0 && chance() % 2)
			memcpy(f->synced_name, f->name, sizeof(f->name));
		if (f->n != f->synced_n && chance() % 2)
			f->synced_n = f->n;
		memcpy(f->now, f->synced, DISK_BYTES);
		memcpy(f->name, f->synced_name, sizeof(f->name));
		f->n = f->synced_n;
	}
}

static void disk_op(void)
{
	pthread_mutex_lock(&disk_lock);
	if (--disk->ops_left == 0) {
		power_cut();
		_exit(0);
	}
}

static int disk_end(int rc, int sys)
{
	pthread_mutex_unlock(&disk_lock);
	errno = sys;
	return rc;
}

static int disk_find(const char *name)
{
	for (int i = 0; i < DISK_FILES; i++)
		if (disk->files[i].name[0] && strcmp(disk->files[i].name, name) == 0)
			return i;
	return -1;
}

static int disk_openat(int at, const char *name, int flags, mode_t mode)
{
	if (at != DISK_DIR)
		return strcmp(name, path) == 0 ? DISK_DIR : openat(at, name, flags, mode);
	disk_op();
	int i = disk_find(name);
	if (i >= 0)
		return flags & O_EXCL ? disk_end(-1, EEXIST) : disk_end(DISK_FD + i, 0);
	if (!(flags & O_CREAT))
		return disk_end(-1, ENOENT);
	for (i = 0; i < DISK_FILES && (disk->files[i].name[0] || disk->files[i].synced_name[0]);
	     i++)
		;
	if (i == DISK_FILES)
		return disk_end(-1, ENOSPC);
	struct disk_file *f = &disk->files[i];
	memset(f, 0, sizeof(*f));
	/* what a new file's blocks held before is anybody's guess until it is synced */
	for (size_t b = 0; b < DISK_BYTES; b += 64)
		f->synced[b] = (char)chance();
	(void)snprintf(f->name, sizeof(f->name), "%s", name);
	return disk_end(DISK_FD + i, 0);
}

static ssize_t disk_pread(int fd, void *p, size_t n, off_t at)
{
	disk_op();
	struct disk_file *f = &disk->files[fd - DISK_FD];
	size_t left = (size_t)at < f->n ? f->n - (size_t)at : 0;
	n = n < left ? n : left;
	memcpy(p, f->now + at, n);
	disk_end(0, 0);
	return (ssize_t)n;
}

static ssize_t disk_pwrite(int fd, const void *p, size_t n, off_t at)
{
	disk_op();
	struct disk_file *f = &disk->files[fd - DISK_FD];
	if ((size_t)at + n > DISK_BYTES)
		return disk_end(-1, ENOSPC);
	memcpy(f->now + at, p, n);
	if ((size_t)at + n > f->n)
		f->n = (size_t)at + n;
	disk_end(0, 0);
	return (ssize_t)n;
}

static int disk_sync(int fd)
{
	disk_op();
	if (fd == DISK_DIR) {
		for (int i = 0; i < DISK_FILES; i++)
			memcpy(disk->files[i].synced_name, disk->files[i].name, 24);
	} else {
		struct disk_file *f = &disk->files[fd - DISK_FD];
		memcpy(f->synced, f->now, DISK_BYTES);
		f->synced_n = f->n;
	}
	return disk_end(0, 0);
}

static int disk_close(int fd)
{
	return fd >= DISK_DIR ? 0 : close(fd);
}

static int disk_rename(int from_dir, const char *from, int to_dir, const char *to)
{
	(void)from_dir, (void)to_dir;
	disk_op();
	int i = disk_find(from), old = disk_find(to);
	if (i < 0)
		return disk_end(-1, ENOENT);
	if (old >= 0)
		disk->files[old].name[0] = '\0';
	(void)snprintf(disk->files[i].name, 24, "%s", to);
	return disk_end(0, 0);
}

static int disk_unlink(int at, const char *name, int flags)
{
	(void)at, (void)flags;
	disk_op();
	int i = disk_find(name);
	if (i < 0)
		return disk_end(-1, ENOENT);
	/* two cuts may have left two of one name */
	for (; i >= 0; i = disk_find(name))
		disk->files[i].name[0] = '\0';
	return disk_end(0, 0);
}

static void disk_use(void)
{
	static struct io io;
	io = io_real;
	io.openat = disk_openat;
	io.pread = disk_pread;
	io.pwrite = disk_pwrite;
	io.fsync = io.fdatasync = disk_sync;
	io.close = disk_close;
	io.renameat = disk_rename;
	io.unlinkat = disk_unlink;
	io_set(&io);
}
