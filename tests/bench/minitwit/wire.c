#include "wire.h"

#include "check.h"
#include "model.h"
#include "plant.h"
#include "report.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
	ANSWER_ROOM = 64 << 10,
	ANSWER_MAX = 256 << 20,
	TIMEOUT_US = 60 * 1000000,
	SECOND_US = 1000000,
	EVENTS = 256
};

struct slot {
	int fd;
	bool busy, head_done, waits_to_send, last; /* last: the server closes after this answer */
	int status;
	int64_t due_us;
	size_t out_at, in_n, in_room, body_at, body_need;
	char *in;
	struct request r;
};

static struct slot *slots;
static unsigned *idle, idle_count;
static int poller;
static bool over;

void wire_open(void)
{
	slots = calloc(o.connections, sizeof(*slots));
	idle = calloc(o.connections, sizeof(*idle));
	poller = epoll_create1(EPOLL_CLOEXEC);
	if (!slots || !idle || poller < 0)
		die("start");
	for (unsigned i = 0; i < o.connections; i++) {
		slots[i].fd = -1;
		slots[i].in_room = ANSWER_ROOM;
		slots[i].in = malloc(ANSWER_ROOM);
		if (!slots[i].in)
			die("memory");
		idle[idle_count++] = i;
	}
}

static void slot_close(struct slot *s)
{
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
}

static void slot_idle(struct slot *s)
{
	s->busy = false;
	idle[idle_count++] = (unsigned)(s - slots);
}

static void slot_failed(struct slot *s, enum failure f)
{
	m.tick++;
	model_failed(&s->r);
	report_failure(f);
	slot_close(s);
	slot_idle(s);
}

static const char *header(const struct slot *s, const char *name)
{
	const char *at = strcasestr(s->in, name);
	return at ? at + strlen(name) : NULL;
}

static void slot_answered(struct slot *s)
{
	int64_t took = now_us() - s->due_us;
	m.tick++;
	struct answer a = {.status = s->status, .body = s->in + s->body_at};
	a.body_n = plant_answer(&s->r, s->status, s->in + s->body_at, s->in_n - s->body_at);
	bool right = check(&s->r, &a);
	const char *version = header(s, "\r\nX-MiniTwit-Version: ");
	if (version)
		report_version(&s->r, version, strcspn(version, "\r"));
	report_answer(s->r.kind, took, right);
	if (right)
		model_done(&s->r);
	else
		model_failed(&s->r);
	if (!o.keep || s->last)
		slot_close(s);
	slot_idle(s);
}

static void poll_for(struct slot *s, int how, unsigned events)
{
	struct epoll_event ev = {.events = events, .data.ptr = s};
	if (epoll_ctl(poller, how, s->fd, &ev) != 0)
		die("epoll_ctl");
}

static bool slot_connect(struct slot *s)
{
	const struct sockaddr_in a = {.sin_family = AF_INET,
	    .sin_port = htons(o.port),
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int one = 1;
	s->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (s->fd < 0)
		die("socket");
	if (o.keep)
		setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return connect(s->fd, (const struct sockaddr *)&a, sizeof(a)) == 0 || errno == EINPROGRESS;
}

/* True when all is sent. */
static bool slot_send(struct slot *s)
{
	while (s->out_at < s->r.bytes_n) {
		ssize_t n =
		    send(s->fd, s->r.bytes + s->out_at, s->r.bytes_n - s->out_at, MSG_NOSIGNAL);
		if (n > 0)
			s->out_at += (size_t)n;
		else if (n < 0 && (errno == EAGAIN || errno == ENOTCONN))
			return false;
		else
			return true; /* what is wrong is read */
	}
	return true;
}

static void slot_begin(struct slot *s, int64_t due_us)
{
	plant_request(&s->r);
	s->due_us = due_us;
	s->busy = true;
	s->head_done = s->last = false;
	s->out_at = s->in_n = 0;
	bool fresh = s->fd < 0;
	if (fresh && !slot_connect(s)) {
		slot_failed(s, FAIL_CONNECT);
		return;
	}
	s->waits_to_send = !slot_send(s);
	unsigned events = s->waits_to_send ? EPOLLIN | EPOLLOUT : EPOLLIN;
	if (fresh || s->waits_to_send)
		poll_for(s, fresh ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, events);
}

static void head_read(struct slot *s)
{
	char *end = memmem(s->in, s->in_n, "\r\n\r\n", 4);
	if (!end)
		return;
	end[2] = '\0'; /* behind the last header's line end */
	s->head_done = true;
	s->body_at = (size_t)(end - s->in) + 4;
	s->status = s->in_n > 12 ? (int)strtol(s->in + 9, NULL, 10) : 0;
	const char *length = header(s, "\r\nContent-Length:");
	s->body_need = s->status == 204 ? 0 : length ? strtoul(length, NULL, 10) : SIZE_MAX;
	s->last = header(s, "\r\nConnection: close") != NULL;
}

static void room_make(struct slot *s)
{
	if (s->in_room - s->in_n > 4096)
		return;
	s->in_room *= 2;
	s->in = s->in_room <= ANSWER_MAX ? realloc(s->in, s->in_room) : NULL;
	if (!s->in)
		die("an answer is too long");
}

/* The connection is over, or failed. */
static void slot_ended(struct slot *s, ssize_t n)
{
	bool whole =
	    s->head_done && (s->body_need == SIZE_MAX || s->in_n - s->body_at >= s->body_need);
	if (!s->busy)
		slot_close(s);
	else if (n == 0 && whole)
		slot_answered(s);
	else
		slot_failed(s, n < 0 && errno == ECONNREFUSED ? FAIL_CONNECT
			       : s->in_n		      ? FAIL_CUT
							      : FAIL_CLOSED);
}

static void slot_receive(struct slot *s)
{
	while (s->fd >= 0) {
		room_make(s);
		ssize_t n = recv(s->fd, s->in + s->in_n, s->in_room - s->in_n - 1, 0);
		if (n < 0 && errno == EAGAIN)
			return;
		if (n <= 0) {
			slot_ended(s, n);
			return;
		}
		s->in_n += (size_t)n;
		if (!s->head_done)
			head_read(s);
		if (s->busy && s->head_done && s->body_need != SIZE_MAX &&
		    s->in_n - s->body_at >= s->body_need) {
			slot_answered(s);
			return;
		}
	}
}

static void on_event(struct slot *s, unsigned events)
{
	if (s->fd < 0)
		return;
	if (s->waits_to_send && events & EPOLLOUT && slot_send(s)) {
		s->waits_to_send = false;
		poll_for(s, EPOLL_CTL_MOD, EPOLLIN);
	}
	if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
		slot_receive(s);
}

static void look_for_late(int64_t now)
{
	for (unsigned i = 0; i < o.connections; i++)
		if (slots[i].busy && now - slots[i].due_us > TIMEOUT_US)
			slot_failed(&slots[i], FAIL_TIMEOUT);
}

/* Begins what is due; µs until the next one is. */
static int64_t begin_due(mix_fn *next, double rate, int64_t started_us, uint64_t *count)
{
	while (idle_count > 0 && !over) {
		int64_t now = now_us(),
			due = rate > 0 ? started_us + (int64_t)((double)*count * 1e6 / rate) : now;
		if (due > now)
			return due - now;
		struct slot *s = &slots[idle[idle_count - 1]];
		int rc = next(&s->r);
		over = rc < 0;
		if (rc <= 0)
			break;
		idle_count--;
		(*count)++;
		slot_begin(s, due);
	}
	return 100000;
}

void wire_run(mix_fn *next, double rate)
{
	struct epoll_event ev[EVENTS];
	int64_t started_us = now_us(), looked_us = started_us;
	uint64_t count = 0;
	over = false;
	while (!over || idle_count < o.connections) {
		int64_t wait_us = begin_due(next, rate, started_us, &count), now = now_us();
		if (now - looked_us >= SECOND_US) {
			looked_us = now;
			look_for_late(now);
			if (o.progress)
				report_progress();
		}
		const struct timespec wait = {.tv_nsec = wait_us * 1000};
		int n = epoll_pwait2(poller, ev, EVENTS, &wait, NULL);
		for (int i = 0; i < n; i++)
			on_event(ev[i].data.ptr, ev[i].events);
	}
}
