/* The HTTP/1.1 server of the daemon (RFC 9110, 9112), strict: what is not plainly right is 400 and
 * close.
 *
 * A *call* is one request and its answer. Its handler runs on the loop thread or on the pool, as
 * its route says, and must answer exactly once, now or later, from any thread, with one of
 * http_reply…, http_stream_open or http_hijack. A call's memory dies with it.
 *
 * Limits (base/limits.h): header bytes and count, URL, body per route, bytes of all bodies in
 * flight and answers over 1 MiB together (503 beyond), connections; 10 s for the headers, body at least 1 KiB/s in each
 * 10 s (one that goes to a file: on the whole), 60 s idle keep-alive. Refused with 400 and closed: NUL, lone CR or LF, folded lines, blank
 * before the colon, a name that is no token, TE together with CL or on HTTP/1.0, TE other than
 * `chunked`, two CLs or Hosts, no Host on 1.1, absolute-form other than own, anything after a
 * malformed message. */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "loop/loop.h"

#include <stdint.h>
#include <sys/types.h>

struct http_server;
struct http_call;
struct http_stream;

enum http_method {
	HTTP_GET,
	HTTP_HEAD,
	HTTP_POST,
	HTTP_PUT,
	HTTP_PATCH,
	HTTP_DELETE,
	HTTP_METHOD_COUNT
};
const char *http_method_name(enum http_method m);

struct http_header {
	struct str name, value;
};

/* What a handler sees; everything lives as long as the call. */
struct http_request {
	uint64_t id; /* of this daemon's life, also sent as X-Request-Id */
	enum http_method method;
	struct str path;  /* as received, percent-encoded, without the query */
	struct str query; /* without '?' */
	const struct http_header *headers;
	size_t header_count;
	struct str body;
	struct arena *arena;
	const void *access; /* the route's opaque access row */
	void *subject;	    /* whatever the authorizer set: who is asking */
	const char *challenge; /* likewise: complete lines for an answer 401; NULL: a bearer token is asked for */
	bool unix_peer;	    /* over the Unix socket: peer_uid and peer_pid hold */
	uid_t peer_uid;
	pid_t peer_pid;
	char peer_address[64]; /* textual address of the other end, "" for Unix */
};

typedef void http_handler(struct http_call *c, struct http_request *r, void *ctx);

enum http_where { HTTP_ON_LOOP, HTTP_ON_POOL };

/* One row of the table that names every route. A pattern is literal segments and {name} segments,
 * e.g.
 * "/api/v1/projects/{project}/env/{key}"; a last segment {name...} takes all that is left, slashes
 * included, even nothing. Literal segments win. A GET route answers HEAD too. A route without an
 * access row does not start (programmer's error). */
struct http_route {
	enum http_method method;
	const char *pattern; /* "/projects/{project}"; a parameter called {secret} is one: no log has it, nor what follows */
	const void *access;
	http_handler *handler;
	enum http_where where;
	size_t body_max;   /* bytes; 0: no body allowed */
	bool body_to_file; /* the body goes to an unlinked temporary file instead of memory:
			      http_body_fd */
};

/* Called before each handler, where the handler runs; with body_to_file also, on the pool, before the body is taken. 0: go on; -1: the
 * call is answered with the error. May set request->subject. */
typedef int http_authorize_fn(
    void *ctx, struct http_request *r, struct http_call *c, struct err *e);

/* Bounds of the server; 0 stands for the default behind each. */
struct http_limits {
	int64_t head_ms;	 /* 10 s: from the first byte of a head to its last */
	int64_t idle_ms;	 /* 60 s: between requests */
	int64_t body_grace_ms;	 /* 10 s: in each such span a body must come at 1 KiB/s or more */
	int64_t write_ms;	 /* 30 s: without the client reading anything */
	int64_t keepalive_ms;	 /* 15 s: between comment lines of a stream */
	size_t bodies_bytes;	 /* LIMIT_BODIES_IN_FLIGHT_BYTES */
	size_t connection_count; /* LIMIT_CONNECTIONS */
};

struct http_server_options {
	struct loop *loop;
	const struct http_route *routes;
	size_t route_count;
	void *ctx; /* given to handlers and the authorizer */
	http_authorize_fn *authorize;
	/* A route's request was refused before its handler heard of it: for its body's sake. May be NULL. */
	void (*on_refused)(void *ctx, const struct http_route *route, const struct err *e);
	const char *spool_dir; /* for bodies that go to files */
	/* "Name: value\r\n…" put on every answer, errors included. */
	const char *common_headers;
	/* Unix peers are a proxy, not the person who asks: unix_peer stays false. */
	bool behind_proxy;
	struct http_limits limits; /* all 0: the house's; set by tests */
};

struct http_server *http_server_new(const struct http_server_options *o, struct err *e);
/* Takes over a listening socket (TCP or Unix): open until http_server_free, which closes it. */
int http_server_listen(struct http_server *s, int fd, struct err *e) WARN_UNUSED;
/* No new connections; open ones end after their answer, at the latest at the deadline. */
void http_server_drain(struct http_server *s, int64_t deadline_ms);
/* On the loop thread. Cuts every connection; memory goes once the loop has run its closing
 * callbacks and calls still with a handler have been answered. NULL is fine. */
void http_server_free(struct http_server *s);
size_t http_server_connections(const struct http_server *s); /* open ones; loop thread */

/* Reading a request. */
struct str http_header_get(
    const struct http_request *r, const char *name); /* STR_NONE when absent */
/* A {name} segment, percent-decoded into the arena; STR_NONE when the route has none or it is
 * malformed. */
struct str http_param(const struct http_call *c, const char *name);
/* A query parameter, decoded; STR_NONE when absent. */
struct str http_query(const struct http_request *r, const char *name);
/* A field of a body of application/x-www-form-urlencoded (WHATWG URL §5.1), decoded; STR_NONE when
 * absent, malformed, or the body is of another type. The first of several. */
struct str http_form(const struct http_request *r, const char *name);
/* The same, decoded within the body itself, which is used up by it: for fields of many megabytes. */
struct str http_form_take(struct http_request *r, const char *name);
/* Walks over the fields of such a body, decoded into the arena: 1 a field, 0 the end, -1 malformed.
 * *at starts at 0. */
int http_form_each(
    const struct http_request *r, size_t *at, struct str *ret_name, struct str *ret_value);
/* The media type of the body without parameters, "" when none is said. */
struct str http_content_type(const struct http_request *r);
/* A cookie's value as sent (RFC 6265 §5.4), borrowed; STR_NONE when absent. The first of several. */
struct str http_cookie(const struct http_request *r, const char *name);
/* Percent-decodes into the arena; `plus`: '+' is a blank, as in queries. STR_NONE when malformed or
 * holding a NUL. */
struct str http_decode(struct arena *a, struct str s, bool plus);
/* The listening socket that whoever started us passed (sd_listen_fds(3): LISTEN_PID, LISTEN_FDS),
 * close-on-exec and non-blocking, or -1 when none was. Takes the first and unsets the variables. */
int http_listen_passed(void);
int http_body_fd(const struct http_call *c); /* borrowed, at offset 0; -1 without body_to_file */
struct http_request *http_request_of(struct http_call *c);
/* The pattern of the row that the request was routed by: one of few, whatever the path holds. */
const char *http_pattern(const struct http_call *c);

/* Answering: from any thread. `body` is copied. Extra headers are complete lines, or NULL. */
void http_reply(struct http_call *c, int status, const char *content_type, struct str body);
void http_reply_headers(struct http_call *c, int status, const char *content_type,
    const char *extra_lines, struct str body);
void http_reply_json(struct http_call *c, int status, struct str json);
/* An RFC 9457 problem document from an error; also what the server itself sends. */
void http_reply_problem(struct http_call *c, const struct err *e);
/* The same, and when to come again (RFC 9110 §10.2.3). */
void http_reply_later(struct http_call *c, const struct err *e, int64_t wait_ms);

/* Server-sent events (WHATWG HTML §9.2). Opens with 200 text/event-stream; a comment line every 15
 * s keeps it alive. `closed` runs on the loop thread once the client is gone or the server drains;
 * after it the stream may not be used. A client that does not read is cut off at 1 MiB of backlog.
 */
struct http_stream *http_stream_open(struct http_call *c, loop_fn *closed, void *ctx);
/* From any thread until closed has run. `id` and `event` may be empty. */
void http_stream_send(struct http_stream *st, struct str id, struct str event, struct str data);
void http_stream_end(struct http_stream *st); /* closed still runs */

/* Answers 101 with `Upgrade: protocol` and hands the connection's descriptor (non-blocking, the
 * receiver closes it) plus bytes already read (valid during fn) to fn on the loop thread; the
 * server forgets it. fn runs exactly once: with fd -1 when the client had gone, or had not asked
 * for that protocol (it gets 426 then). */
typedef void http_hijacked_fn(void *ctx, int fd, struct str early);
void http_hijack(struct http_call *c, const char *protocol, http_hijacked_fn *fn, void *ctx);

/* Listening sockets, CLOEXEC and non-blocking; the descriptor or -1. Port 0 picks one. */
int http_listen_tcp(
    const char *address, uint16_t port, int backlog, uint16_t *ret_port, struct err *e) WARN_UNUSED;
/* Replaces a stale socket file (one that nobody answers), refuses a live one with ERR_CONFLICT. */
int http_listen_unix(const char *path, mode_t mode, struct err *e) WARN_UNUSED;
