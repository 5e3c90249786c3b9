#include "run/drain.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/time.h>
#include <unistd.h>

#define LOOK_MS 200
#define QUIET_LOOKS 2
#define ANSWER_S 2

struct target {
	uint32_t ino, dev;
};

struct counts {
	unsigned queued, established;
};

/* The kernel's own form of a device number, 12 bits and 20. */
static int find_target(const char *path, struct target *ret, struct err *e)
{
	struct stat st;
	if (stat(path, &st) != 0)
		return err_sys(e, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, errno,
		    "could not examine '%s'", path);
	if (!S_ISSOCK(st.st_mode))
		return err_set(e, ERR_INVALID, "'%s' is not a socket", path);
	ret->ino = (uint32_t)st.st_ino;
	ret->dev = (uint32_t)(major(st.st_dev) << 20 | minor(st.st_dev));
	return 0;
}

static int ask(int sock, struct err *e)
{
	struct {
		struct nlmsghdr h;
		struct unix_diag_req r;
	} m = {
	    .h = {.nlmsg_len = sizeof(m),
		.nlmsg_type = SOCK_DIAG_BY_FAMILY,
		.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
	    .r = {.sdiag_family = AF_UNIX,
		.udiag_states = 1u << TCP_LISTEN | 1u << TCP_ESTABLISHED,
		.udiag_show = UDIAG_SHOW_VFS | UDIAG_SHOW_PEER | UDIAG_SHOW_RQLEN},
	};
	struct timeval limit = {.tv_sec = ANSWER_S};
	(void)setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	if (send(sock, &m, sizeof(m), 0) != (ssize_t)sizeof(m))
		return err_sys(e, ERR_UNAVAILABLE, errno, "could not ask for the state of sockets");
	return 0;
}

/* A connection whose other end is closed keeps its state until the program closes it, but names no
 * peer any more. */
static void count_one(struct nlmsghdr *h, const struct target *t, struct counts *ret)
{
	const struct unix_diag_msg *m = NLMSG_DATA(h);
	unsigned left = h->nlmsg_len - (unsigned)NLMSG_LENGTH(sizeof(*m));
	struct unix_diag_vfs vfs = {0};
	struct unix_diag_rqlen queue = {0};
	uint32_t peer = 0;
	struct rtattr *a = (void *)((char *)NLMSG_DATA(h) + NLMSG_ALIGN(sizeof(*m)));
	for (; RTA_OK(a, left); a = RTA_NEXT(a, left)) {
		if (a->rta_type == UNIX_DIAG_VFS && RTA_PAYLOAD(a) >= sizeof(vfs))
			memcpy(&vfs, RTA_DATA(a), sizeof(vfs));
		else if (a->rta_type == UNIX_DIAG_RQLEN && RTA_PAYLOAD(a) >= sizeof(queue))
			memcpy(&queue, RTA_DATA(a), sizeof(queue));
		else if (a->rta_type == UNIX_DIAG_PEER && RTA_PAYLOAD(a) >= sizeof(peer))
			memcpy(&peer, RTA_DATA(a), sizeof(peer));
	}
	if (vfs.udiag_vfs_ino != t->ino || vfs.udiag_vfs_dev != t->dev)
		return;
	if (m->udiag_state == TCP_LISTEN)
		ret->queued += queue.udiag_rqueue;
	else if (peer != 0)
		ret->established++;
}

static int read_answers(int sock, const struct target *t, struct counts *ret, struct err *e)
{
	_Alignas(struct nlmsghdr) char text[32768];
	for (;;) {
		ssize_t n = recv(sock, text, sizeof(text), 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return err_sys(e, ERR_UNAVAILABLE, n < 0 ? errno : EIO,
			    "could not read the state of sockets");
		unsigned left = (unsigned)n;
		for (struct nlmsghdr *h = (void *)text; NLMSG_OK(h, left);
		     h = NLMSG_NEXT(h, left)) {
			if (h->nlmsg_type == NLMSG_DONE)
				return 0;
			if (h->nlmsg_type == NLMSG_ERROR)
				return err_set(e, ERR_UNSUPPORTED,
				    "this kernel does not tell the state of Unix sockets");
			if (h->nlmsg_len >= NLMSG_LENGTH(sizeof(struct unix_diag_msg)))
				count_one(h, t, ret);
		}
	}
}

int drain_look(
    const char *socket_path, unsigned *ret_queued, unsigned *ret_established, struct err *e)
{
	struct target t;
	struct counts c = {0};
	if (find_target(socket_path, &t, e) != 0)
		return -1;
	CLEANUP_FD int sock = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	if (sock < 0)
		return err_sys(
		    e, ERR_UNSUPPORTED, errno, "could not open the kernel's socket diagnostics");
	if (ask(sock, e) != 0 || read_answers(sock, &t, &c, e) != 0)
		return -1;
	*ret_queued = c.queued;
	*ret_established = c.established;
	return 0;
}

struct drain {
	struct loop_timer *timer;
	char **paths;
	size_t count;
	int64_t deadline_ms;
	unsigned quiet;
	drain_fn *fn;
	void *ctx;
};

static void drain_free(struct drain *d)
{
	loop_timer_free(d->timer);
	for (size_t i = 0; i < d->count; i++)
		free(d->paths[i]);
	free(d->paths);
	free(d);
}

static void finish(struct drain *d, unsigned left, const struct err *e)
{
	drain_fn *fn = d->fn;
	void *ctx = d->ctx;
	drain_free(d);
	fn(ctx, left, e);
}

/* Connections at all sockets together; a socket that is gone has none. */
static int look_all(const struct drain *d, unsigned *ret_left, struct err *e)
{
	*ret_left = 0;
	for (size_t i = 0; i < d->count; i++) {
		unsigned queued = 0, established = 0;
		if (drain_look(d->paths[i], &queued, &established, e) != 0 &&
		    e->code != ERR_NOT_FOUND)
			return -1;
		*ret_left += queued + established; /* what waits is not listed as established yet */
	}
	return 0;
}

static void on_timer(void *ctx)
{
	struct drain *d = ctx;
	struct err e = {0};
	unsigned left = 0;
	if (look_all(d, &left, &e) != 0) {
		finish(d, 0, &e);
		return;
	}
	d->quiet = left == 0 ? d->quiet + 1 : 0;
	int64_t now = clock_mono_ms();
	if (d->quiet >= QUIET_LOOKS || now >= d->deadline_ms) {
		finish(d, left, NULL);
		return;
	}
	int64_t next = now + LOOK_MS;
	loop_timer_at(d->timer, next < d->deadline_ms ? next : d->deadline_ms);
}

struct drain *drain_start(struct loop *l, const char *const *socket_paths, size_t count,
    int64_t deadline_ms, drain_fn *fn, void *ctx)
{
	struct drain *d = mem_alloc(sizeof(*d));
	*d = (struct drain){.count = count, .deadline_ms = deadline_ms, .fn = fn, .ctx = ctx};
	d->paths = mem_array(count ? count : 1, sizeof(*d->paths));
	for (size_t i = 0; i < count; i++)
		d->paths[i] = mem_dup(str_c(socket_paths[i]));
	d->timer = loop_timer_new(l, on_timer, d);
	loop_timer_at(d->timer, clock_mono_ms());
	return d;
}

void drain_cancel(struct drain *d)
{
	if (d)
		drain_free(d);
}
