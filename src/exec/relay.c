#include "exec/relay.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define PIECE_BYTES 16384u
#define CONNECT_WAIT_MS 30000 /* a program that was woken, or failed, may need a while */
#define RETRY_MS 50
#define EVENTS_MAX 128

enum side { CLIENT, PROGRAM, SIDE_COUNT };

/* Bytes on their way from one side to the other. */
struct flow {
	size_t from, to; /* bytes[from..to) are not written yet */
	bool ended;	 /* the reader saw the end */
	bool shut;	 /* and the writer was told */
	char bytes[PIECE_BYTES];
};

struct link {
	uint32_t life; /* tells this use of the slot from the one before */
	int fd[SIDE_COUNT];
	bool connected;
	int64_t give_up_ms, retry_ms; /* while not connected; retry_ms 0: a connect is under way */
	uint32_t wanted[SIDE_COUNT];
	bool watched[SIDE_COUNT];
	struct flow flow[SIDE_COUNT]; /* [CLIENT]: from the client */
};

struct relay {
	int epoll, listen, signals;
	uint16_t port;
	bool accepting, listening;
	uint32_t lives;
	size_t count;
	struct link *links[RELAY_CONNECTIONS_MAX];
};

/* epoll's data: the link's life in the upper half, slot * 4 + side in the lower; or one of these.
 * An event may be in hand for a link that an earlier event of the same turn has dropped and
 * replaced. */
enum { TAG_LISTEN = RELAY_CONNECTIONS_MAX * 4, TAG_SIGNAL };

static uint64_t link_tag(const struct link *k, size_t slot, enum side s)
{
	return (uint64_t)k->life << 32 | (slot * 4 + s);
}

/* With `watch` false the side is taken out of epoll: a hang-up, which is always reported, must not
 * wake us while there is nothing that we could do about it. */
static void set_wanted(struct relay *r, size_t slot, enum side s, uint32_t events, bool watch)
{
	struct link *k = r->links[slot];
	if (k->wanted[s] == events && k->watched[s] == watch)
		return;
	struct epoll_event ev = {.events = events, .data.u64 = link_tag(k, slot, s)};
	int op = !watch ? EPOLL_CTL_DEL : k->watched[s] ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
	if (watch || k->watched[s])
		(void)epoll_ctl(r->epoll, op, k->fd[s], &ev);
	k->wanted[s] = events;
	k->watched[s] = watch;
}

static int add_side(struct relay *r, size_t slot, enum side s, int fd, uint32_t events)
{
	struct epoll_event ev = {.events = events, .data.u64 = link_tag(r->links[slot], slot, s)};
	r->links[slot]->fd[s] = fd;
	r->links[slot]->wanted[s] = events;
	r->links[slot]->watched[s] = true;
	return epoll_ctl(r->epoll, EPOLL_CTL_ADD, fd, &ev);
}

/* Accepting stops when all slots are used: what waits is then visible in the socket's queue. */
static void set_accepting(struct relay *r, bool on)
{
	if (!r->listening || r->accepting == on)
		return;
	struct epoll_event ev = {.events = on ? EPOLLIN : 0, .data.u64 = TAG_LISTEN};
	(void)epoll_ctl(r->epoll, EPOLL_CTL_MOD, r->listen, &ev);
	r->accepting = on;
}

static void drop(struct relay *r, size_t slot)
{
	struct link *k = r->links[slot];
	fs_close_fd(&k->fd[CLIENT]);
	fs_close_fd(&k->fd[PROGRAM]);
	free(k);
	r->links[slot] = NULL;
	r->count--;
	set_accepting(r, true);
}

static void begin_connect(struct relay *r, size_t slot)
{
	struct link *k = r->links[slot];
	k->retry_ms = clock_mono_ms() + RETRY_MS;
	struct sockaddr_in to = {.sin_family = AF_INET,
	    .sin_port = htons(r->port),
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	fs_close_fd(&k->fd[PROGRAM]);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
	if (connect(fd, (struct sockaddr *)&to, sizeof(to)) != 0 && errno != EINPROGRESS) {
		close(fd);
		return;
	}
	if (add_side(r, slot, PROGRAM, fd, EPOLLOUT) == 0)
		k->retry_ms = 0;
	else
		fs_close_fd(&k->fd[PROGRAM]);
}

static void accept_one(struct relay *r)
{
	size_t slot = 0;
	while (slot < RELAY_CONNECTIONS_MAX && r->links[slot])
		slot++;
	if (slot == RELAY_CONNECTIONS_MAX) {
		set_accepting(r, false);
		return;
	}
	int fd = accept4(r->listen, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd < 0)
		return;
	struct link *k = mem_alloc(sizeof(*k));
	k->fd[CLIENT] = k->fd[PROGRAM] = -1;
	k->life = ++r->lives;
	k->give_up_ms = clock_mono_ms() + CONNECT_WAIT_MS;
	r->links[slot] = k;
	r->count++;
	if (add_side(r, slot, CLIENT, fd, 0) != 0)
		drop(r, slot);
	else
		begin_connect(r, slot);
}

static void check_connected(struct relay *r, size_t slot)
{
	struct link *k = r->links[slot];
	int sys = 0;
	socklen_t size = sizeof(sys);
	(void)getsockopt(k->fd[PROGRAM], SOL_SOCKET, SO_ERROR, &sys, &size);
	if (sys != 0) {
		fs_close_fd(&k->fd[PROGRAM]);
		k->retry_ms = clock_mono_ms() + RETRY_MS;
		return;
	}
	k->connected = true;
}

/* -1: the connection is broken. */
static int read_side(struct flow *f, int fd)
{
	if (f->ended || f->to > f->from)
		return 0;
	ssize_t n = read(fd, f->bytes, sizeof(f->bytes));
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -1;
	f->from = 0;
	f->to = (size_t)n;
	f->ended = n == 0;
	return 0;
}

static int write_side(struct flow *f, int fd)
{
	while (f->to > f->from) {
		ssize_t n = send(fd, f->bytes + f->from, f->to - f->from, MSG_NOSIGNAL);
		if (n < 0)
			return errno == EAGAIN || errno == EINTR ? 0 : -1;
		f->from += (size_t)n;
	}
	if (f->ended && !f->shut) {
		f->shut = true;
		(void)shutdown(fd, SHUT_WR);
	}
	return 0;
}

static uint32_t wants(const struct flow *from, const struct flow *to)
{
	uint32_t events = 0;
	if (!from->ended && from->to == from->from)
		events |= EPOLLIN;
	if (to->to > to->from)
		events |= EPOLLOUT;
	return events;
}

static void pump(struct relay *r, size_t slot)
{
	struct link *k = r->links[slot];
	struct flow *out = &k->flow[CLIENT], *in = &k->flow[PROGRAM];
	if (read_side(out, k->fd[CLIENT]) != 0 || write_side(out, k->fd[PROGRAM]) != 0 ||
	    read_side(in, k->fd[PROGRAM]) != 0 || write_side(in, k->fd[CLIENT]) != 0 ||
	    (out->shut && in->shut)) {
		drop(r, slot);
		return;
	}
	uint32_t client = wants(out, in), program = wants(in, out);
	/* An idle client is watched for its hang-up; an idle program ends by what we read from it.
	 */
	set_wanted(r, slot, CLIENT, client, client != 0 || out->to == out->from);
	set_wanted(r, slot, PROGRAM, program, program != 0);
}

static void on_side(struct relay *r, uint64_t tag, uint32_t events)
{
	size_t slot = (uint32_t)tag / 4;
	enum side s = (enum side)(tag % 4);
	struct link *k = r->links[slot];
	if (!k || k->life != tag >> 32 || k->fd[s] < 0)
		return;
	if (!k->connected) {
		if (s == CLIENT) { /* gone before the program answered */
			drop(r, slot);
			return;
		}
		check_connected(r, slot);
		if (!k->connected)
			return;
	} else if ((s == CLIENT && (events & EPOLLERR) != 0) ||
		   ((events & EPOLLHUP) != 0 && k->flow[s].ended)) {
		/* With both directions closed there, what is still for it can go nowhere. A program
		 * that reset its side may have answered before: that is read first, the error comes
		 * behind it. */
		drop(r, slot);
		return;
	}
	pump(r, slot);
}

/* Connects that wait for the program; returns how long to sleep, -1: for ever. */
static int retry(struct relay *r)
{
	int64_t now = clock_mono_ms();
	int sleep_ms = -1;
	for (size_t i = 0; i < RELAY_CONNECTIONS_MAX; i++) {
		struct link *k = r->links[i];
		if (!k || k->connected)
			continue;
		if (now >= k->give_up_ms) {
			drop(r, i);
			continue;
		}
		if (k->retry_ms != 0 && now >= k->retry_ms)
			begin_connect(r, i);
		sleep_ms = RETRY_MS;
	}
	return sleep_ms;
}

static void on_signal(struct relay *r)
{
	struct signalfd_siginfo info;
	if (read(r->signals, &info, sizeof(info)) != (ssize_t)sizeof(info))
		return;
	r->listening = false;
	(void)epoll_ctl(r->epoll, EPOLL_CTL_DEL, r->listen, NULL);
}

static int prepare(struct relay *r, struct err *e)
{
	sigset_t stop;
	sigemptyset(&stop);
	sigaddset(&stop, SIGTERM);
	sigaddset(&stop, SIGINT);
	(void)sigprocmask(SIG_BLOCK, &stop, NULL);
	r->signals = signalfd(-1, &stop, SFD_CLOEXEC | SFD_NONBLOCK);
	r->epoll = epoll_create1(EPOLL_CLOEXEC);
	/* The socket is ours alone, and a client that is gone before it is accepted must not stop
	 * us. */
	(void)fcntl(r->listen, F_SETFL, O_NONBLOCK);
	struct epoll_event listen_ev = {.events = EPOLLIN, .data.u64 = TAG_LISTEN},
			   signal_ev = {.events = EPOLLIN, .data.u64 = TAG_SIGNAL};
	if (r->signals < 0 || r->epoll < 0 ||
	    epoll_ctl(r->epoll, EPOLL_CTL_ADD, r->listen, &listen_ev) != 0 ||
	    epoll_ctl(r->epoll, EPOLL_CTL_ADD, r->signals, &signal_ev) != 0)
		return err_sys(e, ERR_UNAVAILABLE, errno, "could not watch the socket");
	return 0;
}

static void dispatch(struct relay *r, const struct epoll_event *ev)
{
	if (ev->data.u64 == TAG_SIGNAL)
		on_signal(r);
	else if (ev->data.u64 == TAG_LISTEN)
		accept_one(r);
	else
		on_side(r, ev->data.u64, ev->events);
}

int relay_run(int listen_fd, uint16_t port, struct err *e)
{
	struct relay *r = mem_alloc(sizeof(*r));
	*r =
	    (struct relay){.listen = listen_fd, .port = port, .listening = true, .accepting = true};
	r->epoll = r->signals = -1;
	int rc = prepare(r, e);
	while (rc == 0 && (r->listening || r->count > 0)) {
		struct epoll_event events[EVENTS_MAX];
		int n = epoll_wait(r->epoll, events, EVENTS_MAX, retry(r));
		for (int i = 0; i < n; i++)
			dispatch(r, &events[i]);
	}
	fs_close_fd(&r->epoll);
	fs_close_fd(&r->signals);
	free(r);
	return rc;
}
