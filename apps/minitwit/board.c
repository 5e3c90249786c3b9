#include "minitwit/board.h"

#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/rand.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define MAGIC 0x3177746d74776f62u /* "bowtmtw1" */
#define USERS (1u << 16)
#define BOOT_ID_SIZE 40

struct page {
	uint64_t magic;
	char boot_id[BOOT_ID_SIZE];
	_Atomic uint64_t epoch;
	_Atomic int64_t latest;
	_Atomic uint64_t public_count;
	_Atomic uint32_t users[USERS];
};
_Static_assert(sizeof(struct page) == 72 + 4 * USERS, "as in the header's table");
_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2, "atomics work between processes");

struct board {
	struct page *page;
};

static void boot_id_read(char out[BOOT_ID_SIZE])
{
	memset(out, 0, BOOT_ID_SIZE);
	CLEANUP_FD int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	if (fd < 0 || read(fd, out, BOOT_ID_SIZE - 1) <= 0)
		memcpy(out, "unknown", 8);
}

/* Under the file's lock: two processes may start at once. */
static bool page_prepare(struct page *p)
{
	char boot_id[BOOT_ID_SIZE];
	boot_id_read(boot_id);
	bool fresh = p->magic != MAGIC || memcmp(p->boot_id, boot_id, BOOT_ID_SIZE) != 0;
	if (fresh) {
		memset(p, 0, sizeof(*p));
		memcpy(p->boot_id, boot_id, BOOT_ID_SIZE);
		uint64_t epoch;
		rand_bytes(&epoch, sizeof(epoch));
		atomic_store(&p->epoch, epoch);
		p->magic = MAGIC;
	}
	/* Whoever was here before may have died between its commit and telling of it. */
	atomic_fetch_add(&p->epoch, 1);
	return fresh;
}

static int lock_file(int fd, short type)
{
	struct flock l = {.l_type = type, .l_whence = SEEK_SET};
	int64_t deadline = clock_mono_ms() + 5000;
	while (fcntl(fd, F_OFD_SETLK, &l) != 0) {
		if ((errno != EAGAIN && errno != EACCES) || clock_mono_ms() > deadline)
			return -1;
		usleep(1000);
	}
	return 0;
}

struct board *board_open(const char *path, bool *ret_fresh, struct err *e)
{
	CLEANUP_FD int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0 || lock_file(fd, F_WRLCK) != 0 || ftruncate(fd, sizeof(struct page)) != 0) {
		err_sys(e, ERR_IO, errno, "could not make the board '%s'", path);
		return NULL;
	}
	void *page = mmap(NULL, sizeof(struct page), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (page == MAP_FAILED) {
		err_sys(e, ERR_IO, errno, "could not map the board '%s'", path);
		return NULL;
	}
	struct board *b = mem_alloc(sizeof(*b));
	b->page = page;
	*ret_fresh = page_prepare(page);
	/* Said aloud: the mapping would keep the lock alive beyond the descriptor. */
	(void)lock_file(fd, F_UNLCK);
	return b;
}

void board_close(struct board *b)
{
	if (!b)
		return;
	(void)munmap(b->page, sizeof(struct page));
	free(b);
}

int64_t board_latest(const struct board *b)
{
	return atomic_load(&b->page->latest);
}

void board_set_latest(struct board *b, int64_t latest)
{
	atomic_store(&b->page->latest, latest);
}

/* FNV-1a; who makes names collide only makes their answers be read again. */
static _Atomic uint32_t *slot(const struct board *b, enum board_kind kind, struct str user)
{
	uint32_t h = 2166136261u + (uint32_t)kind;
	for (size_t i = 0; i < user.n; i++)
		h = (h ^ (unsigned char)user.p[i]) * 16777619u;
	return &b->page->users[(h ^ h >> 16) & (USERS - 1)];
}

struct board_stamp board_stamp(const struct board *b, enum board_kind kind, struct str user)
{
	return (struct board_stamp){
	    .epoch = atomic_load(&b->page->epoch), .user = atomic_load(slot(b, kind, user))};
}

bool board_holds(const struct board *b, enum board_kind kind, struct str user, struct board_stamp s)
{
	struct board_stamp now = board_stamp(b, kind, user);
	return now.epoch == s.epoch && now.user == s.user;
}

uint64_t board_epoch(const struct board *b)
{
	return atomic_load(&b->page->epoch);
}

uint64_t board_public(const struct board *b)
{
	return atomic_load(&b->page->public_count);
}

uint32_t board_user_changed(struct board *b, enum board_kind kind, struct str user)
{
	return atomic_fetch_add(slot(b, kind, user), 1);
}

uint64_t board_public_changed(struct board *b)
{
	return atomic_fetch_add(&b->page->public_count, 1);
}

void board_all_changed(struct board *b)
{
	atomic_fetch_add(&b->page->epoch, 1);
}
