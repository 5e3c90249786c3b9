/* LD_PRELOAD: makes the k-th chosen call of a process fail, so that every place where the kernel
 * may say no is tried once. A test steers it through a small file that both map (SLIPWAY_FAULT
 * names it); only the process whose name is SLIPWAY_FAULT_COMM takes part, and what it forks only
 * when the test says so.
 *
 *   offset size  field
 *        0    4  armed: 0 leave everything alone; 1 count and fail; 3 in its forks too, until they
 *                become another program
 *        4    4  mask: which calls count, 1 << enum call
 *        8    8  k: which one fails, from 1
 *       16    4  error: errno; 0: the call does half of its bytes (write, pwrite, send); below 0:
 *                that signal ends the process instead of the call
 *       20    4  pid of the process
 *       24    8  count: calls so far
 *       32    8  fired: how often it failed
 *       40  216  what failed, as text: the call and its file
 *
 * Standard streams, pipes and event descriptors never fail: nothing a disk or a peer does makes
 * them. A file that is armed before the program starts lets its start fail as well. */
#undef _FILE_OFFSET_BITS /* both names of each call are defined here */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum call {
	WRITE,
	SYNC,
	RENAME,
	OPEN,
	CLOSE,
	SEND,
	TRUNCATE,
	MAKE,
	REMOVE,
	OWN,
	SPAWN,
	ALLOC,
	LIST
};

#define ARMED_FORKS 2u

struct control {
	_Atomic uint32_t armed;
	uint32_t mask;
	uint64_t k;
	int32_t error;
	uint32_t pid;
	_Atomic uint64_t count, fired;
	char what[216];
};
_Static_assert(sizeof(struct control) == 256, "the layout of the file");

static struct control *control;
static pid_t self;

#define NEXT(name)                                                                                 \
	static __typeof__(&name) next;                                                             \
	if (next == NULL)                                                                          \
	next = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

__attribute__((constructor)) static void begin(void)
{
	const char *path = getenv("SLIPWAY_FAULT"), *comm = getenv("SLIPWAY_FAULT_COMM");
	char name[16] = "";
	struct stat st;
	if (path == NULL || comm == NULL || prctl(PR_GET_NAME, name) != 0 ||
	    strcmp(name, comm) != 0)
		return;
	int fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) != 0 || st.st_size != (off_t)sizeof *control)
		abort();
	void *p = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	(void)close(fd);
	if (p == MAP_FAILED)
		abort();
	self = getpid();
	control = p;
	control->pid = (uint32_t)self;
}

static int may_fail(int fd)
{
	struct stat st;
	if (fd < 0)
		return 1;
	return fd > STDERR_FILENO && fstat(fd, &st) == 0 &&
	       (S_ISREG(st.st_mode) || S_ISDIR(st.st_mode) || S_ISSOCK(st.st_mode));
}

static void note(const char *name, int fd, const char *path)
{
	char link[64], target[160] = "";
	if (path == NULL && fd >= 0) {
		(void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
		if (readlink(link, target, sizeof target - 1) < 0)
			target[0] = '\0';
		path = target;
	}
	(void)snprintf(control->what, sizeof control->what, "%s %s", name, path ? path : "");
}

/* Is this the one? Then errno is set; a short count is wanted when that is 0. */
static int trips(enum call c, const char *name, int fd, const char *path)
{
	uint32_t armed = control == NULL ? 0 : atomic_load(&control->armed);
	if (!armed || !(control->mask & 1u << c) || (!(armed & ARMED_FORKS) && getpid() != self) ||
	    !may_fail(fd))
		return 0;
	if (atomic_fetch_add(&control->count, 1) + 1 != control->k)
		return 0;
	atomic_fetch_add(&control->fired, 1);
	note(name, fd, path);
	if (control->error < 0)
		(void)kill(getpid(), -control->error);
	errno = control->error;
	return 1;
}

/* How many bytes of n are let through: all, half of them, or none with -1. */
static ssize_t allowed(enum call c, const char *name, int fd, size_t n)
{
	if (!trips(c, name, fd, NULL))
		return (ssize_t)n;
	return errno == 0 && n > 1 ? (ssize_t)(n / 2) : errno == 0 ? (ssize_t)n : -1;
}

ssize_t write(int fd, const void *p, size_t n)
{
	NEXT(write);
	ssize_t m = allowed(WRITE, "write", fd, n);
	return m < 0 ? -1 : next(fd, p, (size_t)m);
}

ssize_t pwrite(int fd, const void *p, size_t n, off_t at)
{
	NEXT(pwrite);
	ssize_t m = allowed(WRITE, "pwrite", fd, n);
	return m < 0 ? -1 : next(fd, p, (size_t)m, at);
}

ssize_t pwrite64(int fd, const void *p, size_t n, off64_t at)
{
	NEXT(pwrite64);
	ssize_t m = allowed(WRITE, "pwrite", fd, n);
	return m < 0 ? -1 : next(fd, p, (size_t)m, at);
}

ssize_t writev(int fd, const struct iovec *v, int count)
{
	NEXT(writev);
	ssize_t m = allowed(WRITE, "writev", fd, 2);
	return m < 0 ? -1 : next(fd, v, m == 1 && count > 1 ? 1 : count);
}

ssize_t send(int fd, const void *p, size_t n, int flags)
{
	NEXT(send);
	ssize_t m = allowed(SEND, "send", fd, n);
	return m < 0 ? -1 : next(fd, p, (size_t)m, flags);
}

ssize_t sendmsg(int fd, const struct msghdr *m, int flags)
{
	NEXT(sendmsg);
	return trips(SEND, "sendmsg", fd, NULL) && errno != 0 ? -1 : next(fd, m, flags);
}

int fsync(int fd)
{
	NEXT(fsync);
	return trips(SYNC, "fsync", fd, NULL) ? -1 : next(fd);
}

int fdatasync(int fd)
{
	NEXT(fdatasync);
	return trips(SYNC, "fdatasync", fd, NULL) ? -1 : next(fd);
}

int ftruncate(int fd, off_t n)
{
	NEXT(ftruncate);
	return trips(TRUNCATE, "ftruncate", fd, NULL) ? -1 : next(fd, n);
}

int ftruncate64(int fd, off64_t n)
{
	NEXT(ftruncate64);
	return trips(TRUNCATE, "ftruncate", fd, NULL) ? -1 : next(fd, n);
}

int rename(const char *from, const char *to)
{
	NEXT(rename);
	return trips(RENAME, "rename", -1, to) ? -1 : next(from, to);
}

int renameat(int from_dir, const char *from, int to_dir, const char *to)
{
	NEXT(renameat);
	return trips(RENAME, "renameat", -1, to) ? -1 : next(from_dir, from, to_dir, to);
}

int renameat2(int from_dir, const char *from, int to_dir, const char *to, unsigned flags)
{
	NEXT(renameat2);
	return trips(RENAME, "renameat2", -1, to) ? -1 : next(from_dir, from, to_dir, to, flags);
}

int mkdirat(int dir, const char *path, mode_t mode)
{
	NEXT(mkdirat);
	return trips(MAKE, "mkdirat", -1, path) ? -1 : next(dir, path, mode);
}

int mkdir(const char *path, mode_t mode)
{
	NEXT(mkdir);
	return trips(MAKE, "mkdir", -1, path) ? -1 : next(path, mode);
}

int linkat(int from_dir, const char *from, int to_dir, const char *to, int flags)
{
	NEXT(linkat);
	return trips(MAKE, "linkat", -1, to) ? -1 : next(from_dir, from, to_dir, to, flags);
}

int symlinkat(const char *to, int dir, const char *path)
{
	NEXT(symlinkat);
	return trips(MAKE, "symlinkat", -1, path) ? -1 : next(to, dir, path);
}

int unlinkat(int dir, const char *path, int flags)
{
	NEXT(unlinkat);
	return trips(REMOVE, "unlinkat", -1, path) ? -1 : next(dir, path, flags);
}

int unlink(const char *path)
{
	NEXT(unlink);
	return trips(REMOVE, "unlink", -1, path) ? -1 : next(path);
}

/* The descriptor is gone all the same, as on Linux. */
int close(int fd)
{
	NEXT(close);
	int trip = trips(CLOSE, "close", fd, NULL), error = errno;
	int rc = next(fd);
	if (!trip)
		return rc;
	errno = error;
	return -1;
}

static mode_t mode_of(int flags, va_list ap)
{
	return flags & (O_CREAT | __O_TMPFILE) ? va_arg(ap, mode_t) : 0;
}

#define OPEN_PATH(name)                                                                            \
	int name(const char *path, int flags, ...)                                                 \
	{                                                                                          \
		NEXT(name);                                                                        \
		va_list ap;                                                                        \
		va_start(ap, flags);                                                               \
		mode_t mode = mode_of(flags, ap);                                                  \
		va_end(ap);                                                                        \
		return trips(OPEN, "open", -1, path) ? -1 : next(path, flags, mode);               \
	}
#define OPEN_AT(name)                                                                              \
	int name(int dir, const char *path, int flags, ...)                                        \
	{                                                                                          \
		NEXT(name);                                                                        \
		va_list ap;                                                                        \
		va_start(ap, flags);                                                               \
		mode_t mode = mode_of(flags, ap);                                                  \
		va_end(ap);                                                                        \
		return trips(OPEN, "openat", -1, path) ? -1 : next(dir, path, flags, mode);        \
	}
OPEN_PATH(open)
OPEN_PATH(open64)
OPEN_AT(openat)
OPEN_AT(openat64)

/* What a fortified program calls. */
int __open_2(const char *path, int flags);
int __open_2(const char *path, int flags)
{
	return open(path, flags);
}
int __open64_2(const char *path, int flags);
int __open64_2(const char *path, int flags)
{
	return open64(path, flags);
}
int __openat_2(int dir, const char *path, int flags);
int __openat_2(int dir, const char *path, int flags)
{
	return openat(dir, path, flags);
}
int __openat64_2(int dir, const char *path, int flags);
int __openat64_2(int dir, const char *path, int flags)
{
	return openat64(dir, path, flags);
}

/* openat2 has no function of its own. */
long syscall(long number, ...)
{
	NEXT(syscall);
	va_list ap;
	long v[6];
	va_start(ap, number);
	for (size_t i = 0; i < 6; i++)
		v[i] = va_arg(ap, long);
	va_end(ap);
	if (number == SYS_openat2 && trips(OPEN, "openat2", -1, (const char *)v[1]))
		return -1;
	return next(number, v[0], v[1], v[2], v[3], v[4], v[5]);
}

ssize_t getdents64(int fd, void *p, size_t n)
{
	NEXT(getdents64);
	return trips(LIST, "getdents64", fd, NULL) ? -1 : next(fd, p, n);
}

/* Owners and modes. */
int fchown(int fd, uid_t uid, gid_t gid)
{
	NEXT(fchown);
	return trips(OWN, "fchown", fd, NULL) ? -1 : next(fd, uid, gid);
}

int lchown(const char *path, uid_t uid, gid_t gid)
{
	NEXT(lchown);
	return trips(OWN, "lchown", -1, path) ? -1 : next(path, uid, gid);
}

int fchownat(int dir, const char *path, uid_t uid, gid_t gid, int flags)
{
	NEXT(fchownat);
	return trips(OWN, "fchownat", -1, path) ? -1 : next(dir, path, uid, gid, flags);
}

int chmod(const char *path, mode_t mode)
{
	NEXT(chmod);
	return trips(OWN, "chmod", -1, path) ? -1 : next(path, mode);
}

int fchmod(int fd, mode_t mode)
{
	NEXT(fchmod);
	return trips(OWN, "fchmod", fd, NULL) ? -1 : next(fd, mode);
}

int fchmodat(int dir, const char *path, mode_t mode, int flags)
{
	NEXT(fchmodat);
	return trips(OWN, "fchmodat", -1, path) ? -1 : next(dir, path, mode, flags);
}

pid_t fork(void)
{
	NEXT(fork);
	return trips(SPAWN, "fork", -1, "") ? -1 : next();
}

/* Memory. dlsym asks for none once the program runs; what it asks for before is given from here. */
static void *early(size_t n)
{
	static _Alignas(16) char room[4096];
	static size_t used;
	size_t at = used;
	used += (n + 15) & ~(size_t)15;
	return used <= sizeof room ? room + at : NULL;
}

static const char *caller(void *address)
{
	Dl_info info;
	return dladdr(address, &info) != 0 && info.dli_sname ? info.dli_sname : "the program";
}

#define NEXT_ALLOC(name)                                                                           \
	static __typeof__(&name) next;                                                             \
	static int looking;                                                                        \
	if (next == NULL && !looking) {                                                            \
		looking = 1;                                                                       \
		next = (__typeof__(&name))dlsym(RTLD_NEXT, #name);                                 \
	}

void *malloc(size_t n)
{
	NEXT_ALLOC(malloc);
	return trips(ALLOC, "malloc", -1, caller(__builtin_return_address(0))) ? NULL
	       : next							       ? next(n)
									       : early(n);
}

void *calloc(size_t count, size_t n)
{
	NEXT_ALLOC(calloc);
	return trips(ALLOC, "calloc", -1, caller(__builtin_return_address(0))) ? NULL
	       : next							       ? next(count, n)
									       : early(count * n);
}

void *realloc(void *p, size_t n)
{
	NEXT_ALLOC(realloc);
	return trips(ALLOC, "realloc", -1, caller(__builtin_return_address(0))) || !next
		   ? NULL
		   : next(p, n);
}
