#include "monitor/pass.h"

#include "base/fs.h"
#include "base/log.h"
#include "monitor/request.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#define SEND_BUFFER_BYTES (1 << 20)

void pass_open(struct pass *p, int listen, int control, uid_t daemon_uid, uid_t own_uid)
{
	*p = (struct pass){.listen = listen,
	    .control = control,
	    .daemon_uid = daemon_uid,
	    .own_uid = own_uid,
	    .daemon = -1,
	    .helper = -1};
}

static void drop_fds(int *fds, size_t *count)
{
	for (size_t i = 0; i < *count; i++)
		fs_close_fd(&fds[i]);
	*count = 0;
}

static void end_connection(struct pass *p)
{
	fs_close_fd(&p->daemon);
	fs_close_fd(&p->helper);
	drop_fds(p->request_fds, &p->request_fd_count);
	drop_fds(p->reply_fds, &p->reply_fd_count);
	p->has_request = p->has_reply = p->greeted = false;
}

void pass_close(struct pass *p)
{
	end_connection(p);
}

/* ---- who connects ---- */

/* Whether the other end has gone without our having read so. */
static bool is_dead(int fd)
{
	char byte;
	ssize_t n = recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
	return n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR);
}

static bool is_allowed(const struct pass *p, int fd)
{
	struct ucred peer;
	socklen_t size = sizeof(peer);
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0)
		return false;
	if (peer.uid == p->daemon_uid || peer.uid == p->own_uid)
		return true;
	log_event(LOG_WARN, "helper", "refused", F_C("op", "connect"), F_I64("uid", peer.uid));
	return false;
}

static void fill_refusal(struct priv_reply *r, uint64_t seq, const struct err *e)
{
	*r = (struct priv_reply){.magic = PRIV_MAGIC,
	    .kind = PRIV_REPLY,
	    .seq = seq,
	    .code = (int)e->code,
	    .sys = e->sys,
	    .version = PRIV_VERSION};
	memcpy(r->msg, e->msg, sizeof(r->msg));
	memcpy(r->hint, e->hint, sizeof(r->hint));
}

static void refuse_second(int fd)
{
	struct err e, ignored;
	struct priv_reply r;
	char unread[sizeof(struct priv_request)];
	(void)err_set(&e, ERR_CONFLICT, "another daemon is connected to the keeper");
	fill_refusal(&r, 0, &e);
	/* Closing with something unread would take the answer away with it. */
	while (recv(fd, unread, sizeof(unread), MSG_DONTWAIT) > 0)
		continue;
	if (priv_send(fd, &r, sizeof(r), NULL, 0, &ignored) != 0)
		log_event(LOG_WARN, "keeper", "refusal_lost", F_ERR(&ignored));
}

/* The helper is told of it, and has the other end. */
static int announce(const struct pass *p, int *ret_ours, struct err *e)
{
	const struct pass_connection c = {PRIV_MAGIC, PASS_CONNECT};
	int ends[2];
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) != 0)
		return err_sys(e, ERR_UNAVAILABLE, errno, "could not make a connection");
	int rc = priv_send(p->control, &c, sizeof(c), &ends[1], 1, e);
	fs_close_fd(&ends[1]);
	if (rc != 0)
		fs_close_fd(&ends[0]);
	*ret_ours = ends[0];
	return rc;
}

static void admit(struct pass *p)
{
	struct err e;
	int fd = accept4(p->listen, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd < 0)
		return;
	bool allowed = is_allowed(p, fd);
	if (allowed && p->daemon >= 0 && is_dead(p->daemon))
		end_connection(p);
	if (!allowed) {
		fs_close_fd(&fd);
	} else if (p->daemon >= 0) {
		refuse_second(fd);
		fs_close_fd(&fd);
	} else if (announce(p, &p->helper, &e) != 0) {
		log_event(LOG_ERROR, "helper", "no_connection", F_ERR(&e));
		fs_close_fd(&fd);
	} else {
		/* Answers need not wait for each other. */
		(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &(int){SEND_BUFFER_BYTES}, sizeof(int));
		p->daemon = fd;
	}
}

/* ---- messages ---- */

/* Whether there is a message now. The other end's end is the connection's. */
static bool take(struct pass *p, int from, void *message, size_t size, int *fds, size_t *count)
{
	struct err e = {0};
	int rc = priv_recv(from, message, size, fds, count, &e);
	if (rc > 0 || (rc < 0 && e.sys == EAGAIN))
		return rc > 0;
	if (rc < 0) /* a surprise in the protocol */
		log_event(LOG_WARN, "helper", "refused", F_C("op", "message"), F_ERR(&e));
	end_connection(p);
	return false;
}

/* Whether it has been sent; it waits while the other end is full. */
static bool give(struct pass *p, int to, const void *message, size_t size, int *fds, size_t *count)
{
	struct err e = {0};
	if (priv_send(to, message, size, fds, *count, &e) == 0) {
		drop_fds(fds, count);
		return true;
	}
	if (e.sys != EAGAIN && e.sys != ENOBUFS)
		end_connection(p);
	return false;
}

static void read_request(struct pass *p)
{
	struct err e = {0};
	struct priv_request *q = &p->request;
	if (!take(p, p->daemon, q, sizeof(*q), p->request_fds, &p->request_fd_count))
		return;
	if (request_judge(q, p->request_fds, p->request_fd_count, p->greeted, &e) == 0) {
		p->greeted = true;
		p->has_request = true;
		return;
	}
	request_audit_message(q, q->id, &e);
	drop_fds(p->request_fds, &p->request_fd_count);
	fill_refusal(&p->reply, q->seq, &e);
	p->has_reply = true;
}

static void read_reply(struct pass *p)
{
	p->has_reply =
	    take(p, p->helper, &p->reply, sizeof(p->reply), p->reply_fds, &p->reply_fd_count);
}

static void write_request(struct pass *p)
{
	if (give(p, p->helper, &p->request, sizeof(p->request), p->request_fds,
		&p->request_fd_count))
		p->has_request = false;
}

static void write_reply(struct pass *p)
{
	if (give(p, p->daemon, &p->reply, sizeof(p->reply), p->reply_fds, &p->reply_fd_count))
		p->has_reply = false;
}

/* ---- the loop ---- */

/* A descriptor from which nothing is wanted now is left out: its end would be told again and again. */
static struct pollfd want(int fd, bool in, bool out)
{
	short events = (short)((in ? POLLIN : 0) | (out ? POLLOUT : 0));
	return (struct pollfd){.fd = events ? fd : -1, .events = events};
}

static bool is_ready(const struct pollfd *f, short event)
{
	return f->revents & (event | POLLERR | POLLHUP);
}

bool pass_step(struct pass *p, int wait_ms)
{
	/* A request may be answered here: it is read when there is room for both. */
	bool idle = !p->has_request && !p->has_reply;
	struct pollfd fds[] = {want(p->control, true, false),
	    want(p->listen, p->control >= 0, false), want(p->daemon, idle, p->has_reply),
	    want(p->helper, !p->has_reply, p->has_request)};
	if (poll(fds, sizeof(fds) / sizeof(*fds), wait_ms) <= 0)
		return true;
	if (fds[0].revents) /* it never says anything: that is its end */
		p->control = -1;
	if (p->has_request && is_ready(&fds[3], POLLOUT))
		write_request(p);
	if (p->has_reply && is_ready(&fds[2], POLLOUT))
		write_reply(p);
	else if (idle && is_ready(&fds[2], POLLIN))
		read_request(p);
	if (p->helper >= 0 && !p->has_reply && is_ready(&fds[3], POLLIN))
		read_reply(p);
	if (p->control >= 0 && fds[1].revents)
		admit(p);
	return p->control >= 0 || p->daemon >= 0;
}
