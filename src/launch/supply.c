#include "launch/supply.h"
#include "base/fs.h"
#include "base/num.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define TERMINAL (1u << SUPPLY_FD_COUNT)
#define WAIT_S 10
#define FD_HIGH 20 /* out of the way of what is placed */
#define KEY_DIGITS 16
#define EXIT_NOT_STARTED 127

struct answer {
	uint32_t magic, flags;
	char line[sizeof(((struct guest_line *)0)->text)];
};

union control {
	struct cmsghdr align;
	char bytes[CMSG_SPACE(sizeof(int) * SUPPLY_FD_COUNT)];
};

/* ---- the helper's end ---- */

int supply_read(int conn, struct supply_question *ret, struct err *e)
{
	ssize_t n = recv(conn, ret, sizeof(*ret), MSG_DONTWAIT | MSG_TRUNC);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n != (ssize_t)sizeof(*ret) || ret->magic != SUPPLY_MAGIC || ret->zero != 0)
		return err_set(e, ERR_INVALID, "that is no question of slipway-exec's");
	return 1;
}

static void attach(struct msghdr *m, union control *control, const int *fds, size_t count)
{
	m->msg_control = control->bytes;
	m->msg_controllen = CMSG_SPACE(sizeof(int) * count);
	struct cmsghdr *c = CMSG_FIRSTHDR(m);
	assert(c); /* room was made for it */
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int) * count);
	memcpy(CMSG_DATA(c), fds, sizeof(int) * count);
}

int supply_give(int conn, const struct guest *g, const struct supply *s, struct err *e)
{
	struct guest_line line;
	struct answer a = {.magic = SUPPLY_MAGIC, .flags = s->terminal ? TERMINAL : 0};
	int fds[SUPPLY_FD_COUNT];
	size_t count = 0;
	if (guest_line(g, &line, e) != 0)
		return -1;
	memcpy(a.line, line.text, line.used);
	for (unsigned i = 0; i < SUPPLY_FD_COUNT; i++)
		if (s->fds[i] >= 0) {
			a.flags |= 1u << i;
			fds[count++] = s->fds[i];
		}
	struct iovec iov = {&a, offsetof(struct answer, line) + line.used};
	union control control = {0};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
	if (count > 0)
		attach(&m, &control, fds, count);
	if (sendmsg(conn, &m, MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)iov.iov_len)
		return err_sys(e, ERR_UNAVAILABLE, errno, "could not answer slipway-exec");
	return 0;
}

/* ---- slipway-exec's end ---- */

static bool read_key(const char *unit, uint64_t *ret)
{
	const char *dot = strrchr(unit, '.');
	uint64_t key = 0;
	if (!dot || strlen(dot + 1) != KEY_DIGITS)
		return false;
	for (const char *c = dot + 1; *c; c++) {
		static const char digits[] = "0123456789abcdef";
		const char *at = strchr(digits, *c);
		if (!at)
			return false;
		key = key << 4 | (uint64_t)(at - digits);
	}
	*ret = key;
	return true;
}

/* A connection on which the question was sent, above what is placed; or -1. */
static int ask(const char *path, const char *unit, struct supply_question *q, struct err *e)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	struct timeval limit = {.tv_sec = WAIT_S};
	q->magic = SUPPLY_MAGIC;
	if (!read_key(unit, &q->key))
		return err_set(e, ERR_USAGE, "'%s' is no unit of the helper's", unit);
	if (!str_copy(str_c(path), to.sun_path, sizeof(to.sun_path)))
		return err_set(e, ERR_SETTINGS, "the supply socket's path is too long");
	CLEANUP_FD int low = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	int fd = low < 0 ? -1 : fcntl(low, F_DUPFD_CLOEXEC, FD_HIGH);
	if (fd < 0)
		return err_sys(e, ERR_UNAVAILABLE, errno, "could not make a socket");
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	if (connect(fd, (const struct sockaddr *)&to, sizeof(to)) == 0 &&
	    send(fd, q, sizeof(*q), MSG_NOSIGNAL) == (ssize_t)sizeof(*q))
		return fd;
	(void)err_sys(e, ERR_UNAVAILABLE, errno, "could not reach the helper");
	close(fd);
	return -1;
}

static int check_answer(const struct answer *a, ssize_t n, int flags, size_t count, struct err *e)
{
	size_t wanted = 0;
	if (n < (ssize_t)offsetof(struct answer, line) || a->magic != SUPPLY_MAGIC ||
	    (flags & (MSG_CTRUNC | MSG_TRUNC)))
		return err_set(e, ERR_FORBIDDEN, "the helper has nothing for this unit");
	for (unsigned i = 0; i < SUPPLY_FD_COUNT; i++)
		wanted += a->flags >> i & 1u;
	return wanted == count ? 0
			       : err_set(e, ERR_INVALID, "the helper sent %zu descriptors, not %zu",
				     count, wanted);
}

/* The length of the line, or -1. */
static ssize_t receive(int conn, struct answer *a, int fds[SUPPLY_FD_COUNT], struct err *e)
{
	struct iovec iov = {a, sizeof(*a)};
	union control control;
	struct msghdr m = {.msg_iov = &iov,
	    .msg_iovlen = 1,
	    .msg_control = control.bytes,
	    .msg_controllen = sizeof(control.bytes)};
	size_t count = 0;
	ssize_t n;
	for (unsigned i = 0; i < SUPPLY_FD_COUNT; i++)
		fds[i] = -1;
	do
		n = recvmsg(conn, &m, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return err_sys(e, ERR_UNAVAILABLE, errno, "the helper did not answer");
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c))
		if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) {
			count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
			memcpy(fds, CMSG_DATA(c), count * sizeof(int));
		}
	return check_answer(a, n, m.msg_flags, count, e) == 0
		   ? n - (ssize_t)offsetof(struct answer, line)
		   : -1;
}

static int place(const struct answer *a, const int *fds, struct err *e)
{
	static const int to[SUPPLY_FD_COUNT] = {
	    0, 1, 2, GUEST_FD_LISTEN, GUEST_FD_ARGV, GUEST_FD_ENV, GUEST_FD_SECRET};
	int high[SUPPLY_FD_COUNT], null = open("/dev/null", O_RDWR | O_CLOEXEC);
	size_t next = 0;
	for (unsigned i = 0; i < SUPPLY_FD_COUNT; i++) {
		int fd = a->flags >> i & 1u ? fds[next++] : i <= SUPPLY_STDERR ? null : -1;
		high[i] = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, FD_HIGH);
		if (fd >= 0 && high[i] < 0)
			return err_sys(e, ERR_UNAVAILABLE, errno, "could not keep a descriptor");
	}
	/* Nothing stays where it came in: a descriptor that was not sent must be a closed one. */
	if (close_range(STDERR_FILENO + 1, FD_HIGH - 1, 0) != 0)
		return err_sys(e, ERR_UNAVAILABLE, errno, "could not close what came in");
	for (unsigned i = 0; i < SUPPLY_FD_COUNT; i++)
		if (high[i] >= 0 && dup2(high[i], to[i]) < 0)
			return err_sys(e, ERR_UNAVAILABLE, errno, "could not place a descriptor");
	if ((a->flags & TERMINAL) && ioctl(0, TIOCSCTTY, 0) != 0)
		return err_sys(e, ERR_UNAVAILABLE, errno, "could not take the terminal");
	return 0;
}

int supply_take(const char *path, const char *unit, struct guest *ret, struct err *e)
{
	struct answer a;
	int fds[SUPPLY_FD_COUNT];
	struct supply_question q = {.op = SUPPLY_TAKE};
	CLEANUP_FD int conn = ask(path, unit, &q, e);
	ssize_t n = conn < 0 ? -1 : receive(conn, &a, fds, e);
	if (n < 0 || place(&a, fds, e) != 0)
		return -1;
	/* The originals, and what place() kept high. */
	if (close_range(FD_HIGH, ~0U, 0) != 0)
		return err_sys(e, ERR_UNAVAILABLE, errno, "could not close what is left");
	conn = -1;
	return guest_unpack((struct str){a.line, (size_t)n}, ret, e);
}

int supply_wait_status(const char *exit_code, const char *exit_status)
{
	uint64_t code;
	if (!exit_code || !exit_status)
		return EXIT_NOT_STARTED << 8;
	if (strcmp(exit_code, "exited") == 0)
		return (num_u64(str_c(exit_status), 0, 255, &code) ? (int)code : EXIT_NOT_STARTED)
		       << 8;
	for (int s = 1; s < NSIG; s++) {
		const char *name = sigabbrev_np(s);
		if (name && strcmp(name, exit_status) == 0)
			return s;
	}
	return SIGKILL;
}

int supply_tell_end(const char *path, const char *unit, const char *exit_code,
    const char *exit_status, struct err *e)
{
	struct supply_question q = {
	    .op = SUPPLY_ENDED, .wait_status = supply_wait_status(exit_code, exit_status)};
	cgroup_read_own_events(&q.events);
	CLEANUP_FD int conn = ask(path, unit, &q, e);
	return conn < 0 ? -1 : 0;
}
