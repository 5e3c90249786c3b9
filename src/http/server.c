/* Listening, accepting, the list of connections, the one timer, draining and the end. */
#include "http/server.h"

#include "base/clock.h"
#include "base/counters.h"
#include "base/log.h"
#include "base/mem.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* What the system keeps of answers that a peer has no room for. It would take four megabytes for each
 * connection, until all connections of the machine are short of memory. */
#define UNSENT_BYTES_MAX (128 << 10)
#define ACCEPT_BATCH 64

static void on_tick(void *ctx);

static int64_t or_default(int64_t given, int64_t usual)
{
	return given > 0 ? given : usual;
}

static int64_t least(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static void set_limits(struct http_server *s)
{
	struct http_limits *l = &s->o.limits;
	l->head_ms = or_default(l->head_ms, 10000);
	l->idle_ms = or_default(l->idle_ms, 60000);
	l->body_grace_ms = or_default(l->body_grace_ms, 10000);
	l->write_ms = or_default(l->write_ms, 30000);
	l->keepalive_ms = or_default(l->keepalive_ms, 15000);
	if (l->bodies_bytes == 0)
		l->bodies_bytes = LIMIT_BODIES_IN_FLIGHT_BYTES;
	if (l->connection_count == 0)
		l->connection_count = LIMIT_CONNECTIONS;
	int64_t t = least(least(l->head_ms, l->idle_ms), least(l->body_grace_ms, l->write_ms));
	t = least(t, l->keepalive_ms) / 4;
	s->tick_ms = t < 5 ? 5 : least(t, 1000);
}

/* What stands before the first "{secret}" of a pattern. */
static struct str hidden_paths(const struct http_route *routes, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const char *pattern = routes[i].pattern, *at = strstr(pattern, "{secret}");
		if (at)
			return (struct str){pattern, (size_t)(at - pattern)};
	}
	return STR_NONE;
}

struct http_server *http_server_new(const struct http_server_options *o, struct err *e)
{
	struct http_server *s = mem_alloc(sizeof *s);
	s->o = *o;
	s->drain_deadline_ms = DEADLINE_NEVER;
	set_limits(s);
	s->timer = loop_timer_new(o->loop, on_tick, s);
	if (s->timer == NULL || pthread_mutex_init(&s->lock, NULL) != 0) {
		loop_timer_free(s->timer);
		free(s);
		(void)err_set(e, ERR_INTERNAL, "could not make the server's timer and lock");
		return NULL;
	}
	s->router = http_router_new(o->routes, o->route_count);
	s->hidden = hidden_paths(o->routes, o->route_count);
	return s;
}

/* The list of connections. */

static void link_front(struct http_server *s, struct http_conn *c)
{
	c->prev = NULL;
	c->next = s->conns;
	if (s->conns != NULL)
		s->conns->prev = c;
	else
		s->conns_last = c;
	s->conns = c;
}

static void unlink_conn(struct http_server *s, struct http_conn *c)
{
	if (c->prev != NULL)
		c->prev->next = c->next;
	else
		s->conns = c->next;
	if (c->next != NULL)
		c->next->prev = c->prev;
	else
		s->conns_last = c->prev;
	c->prev = c->next = NULL;
}

void http_server_conn_opened(struct http_server *s, struct http_conn *c)
{
	link_front(s, c);
	s->conn_count++;
	s->conn_structs++;
	if (!s->timer_on) {
		s->timer_on = true;
		loop_timer_at(s->timer, clock_mono_ms() + s->tick_ms);
	}
}

void http_server_conn_active(struct http_server *s, struct http_conn *c)
{
	if (s->conns == c)
		return;
	unlink_conn(s, c);
	link_front(s, c);
}

void http_server_conn_closed(struct http_server *s, struct http_conn *c)
{
	unlink_conn(s, c);
	s->conn_count--;
}

static void server_end(struct http_server *s)
{
	while (s->free_calls != NULL) {
		struct http_call *next = s->free_calls->next;
		http_call_free(s->free_calls);
		s->free_calls = next;
	}
	http_router_free(s->router);
	(void)pthread_mutex_destroy(&s->lock);
	free(s);
}

void http_server_conn_freed(struct http_server *s)
{
	s->conn_structs--;
	if (s->freed && s->conn_structs == 0)
		server_end(s);
}

size_t http_server_connections(const struct http_server *s)
{
	return s->conn_count;
}

/* Accepting. */

/* Full: the connection that has been quiet longest makes room, unless a handler or a stream has it.
 * So a flood of slow requests displaces itself. */
static bool make_room(struct http_server *s)
{
	if (s->conn_count < s->o.limits.connection_count)
		return true;
	for (struct http_conn *c = s->conns_last; c != NULL; c = c->prev) {
		if (c->state != CONN_HEAD && c->state != CONN_BODY && c->state != CONN_LINGER)
			continue;
		http_conn_close(c);
		return true;
	}
	return false;
}

static void turn_away(int fd)
{
	static const char busy[] = "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\n"
				   "Content-Length: 0\r\nConnection: close\r\n\r\n";
	(void)send(fd, busy, sizeof busy - 1, MSG_DONTWAIT | MSG_NOSIGNAL);
	(void)close(fd);
}

static void on_listener(void *ctx);

static void watch_all(struct http_server *s)
{
	s->accept_paused = false;
	for (size_t i = 0; i < s->listener_count; i++)
		if (s->listeners[i].watch == NULL)
			s->listeners[i].watch = loop_watch_new(
			    s->o.loop, s->listeners[i].fd, on_listener, &s->listeners[i]);
}

static void unwatch_all(struct http_server *s)
{
	for (size_t i = 0; i < s->listener_count; i++) {
		loop_watch_free(s->listeners[i].watch);
		s->listeners[i].watch = NULL;
	}
}

/* Out of descriptors: trying again at once would spin, so the next tick does. */
static void accept_pause(struct http_server *s)
{
	s->accept_paused = true;
	unwatch_all(s);
	s->timer_on = true;
	loop_timer_at(s->timer, clock_mono_ms() + s->tick_ms);
}

static void on_listener(void *ctx)
{
	struct http_listener *l = ctx;
	struct http_server *s = l->server;
	for (int i = 0; i < ACCEPT_BATCH; i++) {
		int fd = accept4(l->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd < 0) {
			if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS ||
			    errno == ENOMEM)
				accept_pause(s);
			if (errno != ECONNABORTED && errno != EINTR)
				return;
			continue;
		}
		if (make_room(s)) {
			http_conn_open(s, fd, l->is_unix);
		} else {
			counter_add(COUNTER_HTTP_OVERLOAD, 1);
			turn_away(fd);
		}
	}
}

int http_server_listen(struct http_server *s, int fd, struct err *e)
{
	int family = 0, one = 1, unsent = UNSENT_BYTES_MAX;
	socklen_t len = sizeof family;
	if (s->listener_count == HTTP_LISTENERS_MAX)
		return err_set(e, ERR_TOO_LARGE, "a server cannot listen on more than %u sockets",
		    HTTP_LISTENERS_MAX);
	if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &len) != 0)
		return err_sys(e, ERR_IO, errno, "cannot listen on descriptor %d", fd);
	if (family != AF_UNIX) { /* inherited by what is accepted */
		(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
		(void)setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof unsent);
	}
	struct http_listener *l = &s->listeners[s->listener_count];
	*l = (struct http_listener){.server = s, .fd = fd, .is_unix = family == AF_UNIX};
	l->watch = loop_watch_new(s->o.loop, fd, on_listener, l);
	if (l->watch == NULL)
		return err_set(e, ERR_IO, "cannot watch descriptor %d for connections", fd);
	s->listener_count++;
	return 0;
}

/* Time. */

static void close_all(struct http_server *s)
{
	while (s->conns != NULL)
		http_conn_close(s->conns);
}

static void tell_unwarned(struct http_server *s)
{
	if (s->unwarned > 0)
		log_event(LOG_WARN, "http", "requests_more", F_I64("requests", (int64_t)s->unwarned),
		    F_C("why", "too many were refused or failed in a second to tell of each"));
	s->unwarned = 0;
}

static void on_tick(void *ctx)
{
	struct http_server *s = ctx;
	int64_t now = clock_mono_ms();
	tell_unwarned(s);
	struct http_conn *next;
	for (struct http_conn *c = s->conns; c != NULL; c = next) {
		next = c->next;
		http_conn_tick(c, now);
	}
	if (now >= s->drain_deadline_ms)
		close_all(s);
	if (s->accept_paused)
		watch_all(s);
	s->timer_on = s->conns != NULL;
	if (s->timer_on)
		loop_timer_at(
		    s->timer, least(now + s->tick_ms,
				  s->drain_deadline_ms > now ? s->drain_deadline_ms : now));
}

void http_server_drain(struct http_server *s, int64_t deadline_ms)
{
	atomic_store(&s->draining, true);
	s->drain_deadline_ms = deadline_ms;
	unwatch_all(s);
	s->accept_paused = false;
	struct http_conn *next;
	for (struct http_conn *c = s->conns; c != NULL; c = next) {
		next = c->next;
		http_conn_drain(c);
	}
	if (s->conns != NULL) {
		s->timer_on = true;
		loop_timer_at(s->timer, clock_mono_ms());
	}
}

void http_server_free(struct http_server *s)
{
	if (s == NULL)
		return;
	unwatch_all(s);
	for (size_t i = 0; i < s->listener_count; i++)
		(void)close(s->listeners[i].fd);
	s->listener_count = 0;
	close_all(s);
	tell_unwarned(s);
	loop_timer_free(s->timer);
	s->timer = NULL;
	s->freed = true;
	if (s->conn_structs == 0)
		server_end(s);
}
