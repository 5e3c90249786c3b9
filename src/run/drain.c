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
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* sock_diag(7). The kernel is asked for every Unix socket with its file's inode (UDIAG_SHOW_VFS)
 * and queue lengths (UDIAG_SHOW_RQLEN): the listener's receive queue is the number of connections
 * not yet accepted; sockets accepted from it carry the same inode and are established. */

enum { PAUSE_MS = 200, PATHS_MAX = 32, ANSWER_BYTES = 65536 };

struct look {
	uint32_t ino, dev;
	unsigned queued, established;
};

static int diag_ask(int sock, struct err *e)
{
	struct {
		struct nlmsghdr head;
		struct unix_diag_req body;
	} q = {
	    .head = {.nlmsg_len = sizeof(q),
		.nlmsg_type = SOCK_DIAG_BY_FAMILY,
		.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
	    .body = {.sdiag_family = AF_UNIX,
		.udiag_states = 1u << TCP_LISTEN | 1u << TCP_ESTABLISHED,
		.udiag_show = UDIAG_SHOW_VFS | UDIAG_SHOW_RQLEN},
	};
	struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
	if (sendto(sock, &q, sizeof(q), 0, (struct sockaddr *)&kernel, sizeof(kernel)) < 0)
		return err_sys(e, ERR_IO, errno, "could not ask the kernel for its sockets");
	return 0;
}

static void diag_count(struct look *l, const struct nlmsghdr *head)
{
	const struct unix_diag_msg *m = NLMSG_DATA(head);
	const struct unix_diag_vfs *file = NULL;
	uint32_t queue = 0;
	unsigned left = head->nlmsg_len - (unsigned)NLMSG_LENGTH(sizeof(*m));
	const struct rtattr *a = (const void *)((const char *)m + NLMSG_ALIGN(sizeof(*m)));
	for (; RTA_OK(a, (int)left); a = RTA_NEXT(a, left)) {
		if (a->rta_type == UNIX_DIAG_VFS && RTA_PAYLOAD(a) >= sizeof(*file))
			file = RTA_DATA(a);
		if (a->rta_type == UNIX_DIAG_RQLEN &&
		    RTA_PAYLOAD(a) >= sizeof(struct unix_diag_rqlen))
			memcpy(&queue, RTA_DATA(a), sizeof(queue));
	}
	if (!file || file->udiag_vfs_ino != l->ino || file->udiag_vfs_dev != l->dev)
		return;
	if (m->udiag_state == TCP_LISTEN)
		l->queued += queue;
	else
		l->established++;
}

/* 1: all was read, 0: more is to come, -1. */
static int diag_read(int sock, struct look *looks, size_t count, struct err *e)
{
	static _Alignas(struct nlmsghdr) char answer[ANSWER_BYTES]; /* the loop thread's alone */
	ssize_t n = recv(sock, answer, sizeof(answer), 0);
	if (n < 0)
		return err_sys(e, ERR_IO, errno, "could not read the kernel's list of sockets");
	const struct nlmsghdr *head = (const void *)answer;
	for (unsigned left = (unsigned)n; NLMSG_OK(head, left); head = NLMSG_NEXT(head, left)) {
		if (head->nlmsg_type == NLMSG_DONE)
			return 1;
		if (head->nlmsg_type == NLMSG_ERROR)
			return err_set(e, ERR_IO, "the kernel refused to list its sockets");
		for (size_t i = 0; i < count; i++)
			diag_count(&looks[i], head);
	}
	return 0;
}

static int diag_look(struct look *looks, size_t count, struct err *e)
{
	CLEANUP_FD int sock = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	if (sock < 0)
		return err_sys(e, ERR_IO, errno, "could not open the kernel's socket diagnostics");
	if (diag_ask(sock, e) != 0)
		return -1;
	int rc;
	do
		rc = diag_read(sock, looks, count, e);
	while (rc == 0);
	return rc < 0 ? -1 : 0;
}

/* The kernel's own form of a device number, as unix_diag has it (new_encode_dev is what stat gives;
 * s_dev is not). */
static uint32_t device_of(const struct stat *st)
{
	return (uint32_t)(((unsigned)(st->st_dev >> 8 & 0xfff) << 20) |
			  (unsigned)(st->st_dev & 0xff) |
			  ((unsigned)(st->st_dev >> 12) & 0xfff00u));
}

/* 0; a path that is gone counts as nothing. */
static void look_at(const char *path, struct look *l)
{
	struct stat st;
	*l = (struct look){0};
	if (lstat(path, &st) == 0 && S_ISSOCK(st.st_mode)) {
		l->ino = (uint32_t)st.st_ino;
		l->dev = device_of(&st);
	}
}

int drain_look(
    const char *socket_path, unsigned *ret_queued, unsigned *ret_established, struct err *e)
{
	struct look l;
	look_at(socket_path, &l);
	*ret_queued = *ret_established = 0;
	if (l.ino && diag_look(&l, 1, e) != 0)
		return -1;
	*ret_queued = l.queued;
	*ret_established = l.established;
	return 0;
}

struct drain {
	struct loop_timer *timer;
	drain_fn *fn;
	void *ctx;
	int64_t deadline_ms;
	unsigned empty; /* looks in a row that saw nothing */
	size_t count;
	char paths[PATHS_MAX][108];
};

static void drain_end(struct drain *d, unsigned left, const struct err *e)
{
	drain_fn *fn = d->fn;
	void *ctx = d->ctx;
	drain_cancel(d);
	fn(ctx, left, e);
}

static void drain_tick(void *ctx)
{
	struct drain *d = ctx;
	struct look looks[PATHS_MAX];
	struct err e;
	unsigned left = 0;
	for (size_t i = 0; i < d->count; i++)
		look_at(d->paths[i], &looks[i]);
	if (d->count && diag_look(looks, d->count, &e) != 0) {
		drain_end(d, 0, &e);
		return;
	}
	for (size_t i = 0; i < d->count; i++)
		left += looks[i].queued + looks[i].established;
	d->empty = left ? 0 : d->empty + 1;
	int64_t now = clock_mono_ms();
	if (d->empty >= 2 || now >= d->deadline_ms || !d->count) {
		drain_end(d, left, NULL);
		return;
	}
	loop_timer_at(d->timer, now + PAUSE_MS < d->deadline_ms ? now + PAUSE_MS : d->deadline_ms);
}

struct drain *drain_start(struct loop *l, const char *const *socket_paths, size_t count,
    int64_t deadline_ms, drain_fn *fn, void *ctx)
{
	struct drain *d = mem_alloc(sizeof(*d));
	d->fn = fn;
	d->ctx = ctx;
	d->deadline_ms = deadline_ms;
	d->count = count < PATHS_MAX ? count : PATHS_MAX;
	for (size_t i = 0; i < d->count; i++)
		snprintf(d->paths[i], sizeof(d->paths[i]), "%s", socket_paths[i]);
	d->timer = loop_timer_new(l, drain_tick, d);
	loop_timer_at(d->timer, clock_mono_ms());
	return d;
}

void drain_cancel(struct drain *d)
{
	if (!d)
		return;
	loop_timer_free(d->timer);
	free(d);
}
