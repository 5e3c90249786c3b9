/* lossy: a disk that keeps only what was synced, for power cuts. A FUSE file system with one file,
 * `disk`, to be looped and formatted; what was written to it since the last sync is in memory
 * alone.
 *
 *   lossy CONTENTS MOUNTPOINT    serves CONTENTS, a file whose size is the disk's, in the foreground
 *
 * Signals cut the power, each once: SIGUSR1 loses everything that was not synced; SIGUSR2 keeps of
 * it each write of a block by a coin's throw, in the order in which they were written, and of the
 * last one some sectors only, as a disk does that was writing its cache back. From then on writes
 * and syncs are answered with success and change nothing below, so that the kernel can let go of a
 * file system that is mounted; one line on standard output says what was lost. A new process on the
 * same CONTENTS is the machine with its power back. */
#define FUSE_USE_VERSION 35
#include <errno.h>
#include <fcntl.h>
#include <fuse.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	BLOCK = 4096,
	SECTOR = 512,
	KEEP_NOTHING = 1,
	KEEP_SOME = 2,
};

struct write {
	uint64_t block;
	unsigned char bytes[BLOCK];
};

static const char path_of_disk[] = "/disk";
static int contents;
static uint64_t blocks;
static struct write **writes; /* since the last sync, in order */
static size_t count, room;
static int64_t *newest; /* per block: its last write, -1: none */
static bool off;
static volatile sig_atomic_t asked;

static _Noreturn void die(const char *what)
{
	fprintf(stderr, "lossy: %s: %s\n", what, strerror(errno));
	exit(2);
}

static void cut(int signal)
{
	asked = signal == SIGUSR1 ? KEEP_NOTHING : KEEP_SOME;
}

static void keep(const struct write *w, size_t from, size_t n)
{
	if (pwrite(contents, &w->bytes[from], n, (off_t)(w->block * BLOCK + from)) != (ssize_t)n)
		die("contents");
}

static void forget(void)
{
	for (size_t i = 0; i < count; i++) {
		newest[writes[i]->block] = -1;
		free(writes[i]);
	}
	count = 0;
}

/* What a cache had begun to write back: any of it. */
static size_t keep_some(void)
{
	size_t kept = 0;
	for (size_t i = 0; i < count; i++) {
		unsigned char coin;
		if (getrandom(&coin, 1, 0) != 1)
			die("getrandom");
		if (i + 1 == count)
			keep(writes[i], 0, (size_t)(coin % (BLOCK / SECTOR)) * SECTOR);
		else if (coin & 1)
			keep(writes[i], 0, BLOCK);
		kept += i + 1 < count && coin & 1;
	}
	return kept;
}

/* Between two requests: the signal itself does nothing but ask. */
static void cut_if_asked(void)
{
	if (off || !asked)
		return;
	off = true;
	size_t kept = asked == KEEP_SOME ? keep_some() : 0;
	printf(
	    "cut: %zu writes of %d bytes were not synced, %zu of them kept\n", count, BLOCK, kept);
	(void)fflush(stdout);
}

static int disk_getattr(const char *path, struct stat *st, struct fuse_file_info *fi)
{
	(void)fi;
	cut_if_asked();
	*st = (struct stat){.st_nlink = 1};
	if (strcmp(path, "/") == 0)
		st->st_mode = S_IFDIR | 0700;
	else if (strcmp(path, path_of_disk) == 0)
		st->st_mode = S_IFREG | 0600;
	else
		return -ENOENT;
	if (st->st_mode & S_IFREG)
		st->st_size = (off_t)(blocks * BLOCK);
	return 0;
}

static int disk_open(const char *path, struct fuse_file_info *fi)
{
	if (strcmp(path, path_of_disk) != 0)
		return -ENOENT;
	fi->direct_io = 1; /* no cache between the loop device and this one */
	return 0;
}

static void block_read(uint64_t block, unsigned char to[BLOCK])
{
	if (newest[block] >= 0)
		memcpy(to, writes[newest[block]]->bytes, BLOCK);
	else if (pread(contents, to, BLOCK, (off_t)(block * BLOCK)) != BLOCK)
		die("contents");
}

static int disk_read(const char *path, char *to, size_t n, off_t at, struct fuse_file_info *fi)
{
	unsigned char bytes[BLOCK];
	size_t done = 0;
	(void)path;
	(void)fi;
	cut_if_asked();
	while (done < n && ((uint64_t)at + done) / BLOCK < blocks) {
		size_t from = ((size_t)at + done) % BLOCK, piece = BLOCK - from;
		if (piece > n - done)
			piece = n - done;
		block_read(((uint64_t)at + done) / BLOCK, bytes);
		memcpy(&to[done], &bytes[from], piece);
		done += piece;
	}
	return (int)done;
}

static struct write *write_new(uint64_t block)
{
	if (count == room) {
		room = room ? 2 * room : 1024;
		writes = realloc(writes, room * sizeof(struct write *));
		if (!writes)
			die("memory");
	}
	struct write *w = malloc(sizeof(*w));
	if (!w)
		die("memory");
	w->block = block;
	block_read(block, w->bytes);
	newest[block] = (int64_t)count;
	return writes[count++] = w;
}

static int disk_write(
    const char *path, const char *from, size_t n, off_t at, struct fuse_file_info *fi)
{
	size_t done = 0;
	(void)path;
	(void)fi;
	cut_if_asked();
	if ((uint64_t)at + n > blocks * BLOCK)
		return -ENOSPC;
	while (done < n) {
		size_t to = ((size_t)at + done) % BLOCK, piece = BLOCK - to;
		if (piece > n - done)
			piece = n - done;
		memcpy(&write_new(((uint64_t)at + done) / BLOCK)->bytes[to], &from[done], piece);
		done += piece;
	}
	return (int)n;
}

static int disk_fsync(const char *path, int data_only, struct fuse_file_info *fi)
{
	(void)path;
	(void)data_only;
	(void)fi;
	cut_if_asked();
	if (off)
		return 0;
	for (size_t i = 0; i < count; i++)
		if (newest[writes[i]->block] == (int64_t)i)
			keep(writes[i], 0, BLOCK);
	forget();
	return 0;
}

/* Blocks that a file system gave back may hold anything; here they keep what they held. */
static int disk_fallocate(const char *path, int mode, off_t at, off_t n, struct fuse_file_info *fi)
{
	(void)path;
	(void)mode;
	(void)at;
	(void)n;
	(void)fi;
	return -EOPNOTSUPP;
}

static void *disk_init(struct fuse_conn_info *connection, struct fuse_config *config)
{
	struct sigaction a = {.sa_handler = cut};
	(void)connection;
	config->attr_timeout = 0; /* asking for its size is a request, too */
	config->entry_timeout = 3600;
	if (sigaction(SIGUSR1, &a, NULL) != 0 || sigaction(SIGUSR2, &a, NULL) != 0)
		die("sigaction");
	return NULL;
}

static const struct fuse_operations operations = {.init = disk_init,
    .getattr = disk_getattr,
    .open = disk_open,
    .read = disk_read,
    .write = disk_write,
    .fsync = disk_fsync,
    .fallocate = disk_fallocate};

int main(int argc, char **argv)
{
	struct stat st;
	char *fuse_argv[] = {argv[0], (char *)"-f", (char *)"-s", argc == 3 ? argv[2] : NULL, NULL};
	if (argc != 3) {
		fprintf(stderr, "lossy: CONTENTS and MOUNTPOINT are needed\n");
		return 2;
	}
	contents = open(argv[1], O_RDWR | O_CLOEXEC);
	if (contents < 0 || fstat(contents, &st) != 0)
		die(argv[1]);
	blocks = (uint64_t)st.st_size / BLOCK;
	newest = malloc(blocks * sizeof(*newest));
	if (!newest)
		die("memory");
	for (uint64_t i = 0; i < blocks; i++)
		newest[i] = -1;
	return fuse_main(4, fuse_argv, &operations, NULL);
}
