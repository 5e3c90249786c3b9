/* What the files of the server share: the server, its connections, calls and streams. Not for other
 * rooms.
 *
 * A connection (conn.c) is a libuv handle and a state; a call (call.c, reply.c) holds all memory of
 * one request and is lent to the connection only while one is being read or answered, so idle
 * connections stay small. Everything here belongs to the loop thread, except what is said to be
 * shared. */
#pragma once

#include "http/http.h"
#include "http/router.h"
#include "http/scan.h"
#include "http/wire.h"

#include <pthread.h>
#include <stdatomic.h>
#include <uv.h>

#define HTTP_SCRATCH_BYTES (64u << 10) /* one read(2) */
/* Most that one connection has received and not yet used: reading pauses before, and one more read(2) may come. */
#define HTTP_BUFFERED_BYTES (3 * HTTP_SCRATCH_BYTES)
#define HTTP_KEEP_BYTES (64u << 10)    /* larger buffers are given back after a call */
#define HTTP_LISTENERS_MAX 8u
#define HTTP_ANSWER_BYTES_MAX (64u << 20)

enum http_conn_state {
	CONN_HEAD,    /* waiting for, or reading, a head */
	CONN_BODY,    /* reading a body */
	CONN_ASIDE,   /* its body waits for the pool: spool.c */
	CONN_CALL,    /* a handler has it */
	CONN_WRITING, /* the answer did not fit into the socket at once */
	CONN_STREAM,  /* server-sent events */
	CONN_LINGER,  /* answered and shut down; swallowing what still comes, so that no RST
			 overtakes the answer */
	CONN_CLOSED,  /* uv_close was called */
	CONN_STATE_COUNT
};

struct http_conn {
	union {
		uv_handle_t handle;
		uv_stream_t stream;
		uv_tcp_t tcp;
		uv_pipe_t pipe;
	} uv;
	uv_write_t write;
	uv_shutdown_t shutdown;
	struct http_server *server;
	struct http_conn *prev, *next;
	enum http_conn_state state;
	bool processing;  /* conn_process is on the stack */
	bool paused;	  /* not reading: enough is buffered */
	bool served;	  /* has had an answer: from now on idling is keep-alive */
	bool eof;	  /* the peer has sent all it will */
	bool close_after; /* the answer under way is the last */
	bool handle_gone; /* closing callback has run */
	bool hijack_due;  /* hand the descriptor over once the bytes at hand are sorted */
	bool call_out;	  /* a handler or the pool has the call: it outlives even a closed connection */
	struct buf in;	  /* received, not yet used */
	size_t scanned;	  /* bytes of the head looked at */
	int64_t since_ms; /* when the present state began */
	/* While a body is received: ticks since it began, what it had at the last one, what came between the last two, and when it was last
	 * judged and what it had then. */
	unsigned body_ticks;
	size_t ticked_bytes, lately_bytes, judged_bytes;
	int64_t judged_age_ms;
	int64_t alive_ms; /* of the last progress while writing */
	size_t unwritten; /* at alive_ms */
	struct http_call *call;
	struct http_stream *sse;
	bool unix_peer;
	uid_t peer_uid;
	pid_t peer_pid;
	char peer_address[64];
};

enum http_answer { ANSWER_NONE, ANSWER_REPLY, ANSWER_STREAM, ANSWER_HIJACK, ANSWER_COUNT };

/* A body that goes to a file: what the pool does for it, and what came of that. */
struct http_spool {
	int rc;
	struct err e;
	int64_t began_ms;
	bool last; /* the piece that is being written is */
};

struct http_call {
	struct http_server *server;
	struct http_conn *conn;
	struct http_call *next; /* free list, or the list of answers from other threads */
	struct http_request request;
	struct arena arena;
	struct http_head head;
	struct http_wire wire;
	struct http_chunks chunks;
	struct http_match match;
	struct buf head_bytes, body, out;
	size_t body_bytes;    /* received */
	size_t charged_bytes; /* of the budget of all bodies */
	size_t answer_bytes;  /* of the same, for a large answer */
	int body_fd;	      /* spool file or -1; what is in body then is not yet in it */
	struct http_spool spool;
	int64_t started_us;
	bool keep_alive, no_body; /* no_body: HEAD */
	bool refused;		  /* before its handler */
	bool in_pool;		  /* loop_work is under way */
	bool deliver;		  /* answered while in_pool: to be sent when that ends */
	atomic_bool answered;
	enum http_answer answer;
	int status;
	char why[256]; /* of a 5xx, for the log */
	struct http_stream *stream;
	http_hijacked_fn *hijacked;
	void *hijacked_ctx;
};

struct http_stream {
	struct http_server *server;
	struct http_conn *conn; /* NULL before it is attached and after it has closed */
	loop_fn *closed;
	void *ctx;
	uv_write_t write;
	int64_t sent_ms;
	bool in_flight, gone; /* gone: closed has run */
	/* shared, under lock: */
	pthread_mutex_t lock;
	struct buf pending, writing;
	bool posted, ending, overrun;
};

struct http_listener {
	struct http_server *server;
	struct loop_watch *watch;
	int fd;
	bool is_unix;
};

struct http_server {
	struct http_server_options o;
	struct http_router *router;
	struct str hidden; /* paths that begin so hold a secret: nothing behind it is written into a log */
	struct http_listener listeners[HTTP_LISTENERS_MAX];
	size_t listener_count;
	struct http_conn *conns, *conns_last; /* most recently active first */
	size_t conn_count;		      /* open */
	size_t conn_structs; /* not yet freed: open, closing, or with a call still out */
	struct http_call *free_calls;
	size_t free_call_count;
	size_t bodies_bytes;  /* charged, of o.limits.bodies_bytes */
	size_t answers_bytes; /* of these, for answers */
	uint64_t spooled_bytes;
	uint64_t last_id;
	int64_t warned_second;
	unsigned warned_count;
	uint64_t unwarned; /* so many had no line of the log; the next tick says so */
	struct loop_timer *timer;
	bool timer_on, freed, accept_paused;
	int64_t tick_ms, drain_deadline_ms;
	atomic_bool draining; /* shared */
	pthread_mutex_t lock;
	struct http_call *answers; /* shared, under lock: newest first */
	char scratch[HTTP_SCRATCH_BYTES];
};

/* conn.c */
/* Takes the accepted descriptor. */
void http_conn_open(struct http_server *s, int fd, bool is_unix);
void http_conn_close(struct http_conn *c);
/* The call's answer lies in call->out: write it and go on with the connection. */
void http_conn_answer(struct http_conn *c);
/* The call of a closed connection has been answered: drop both. */
void http_conn_abandon(struct http_conn *c);
void http_conn_tick(struct http_conn *c, int64_t now_ms);
void http_conn_drain(struct http_conn *c);
/* One that is receiving a body is answered 503, and what it held is free. */
void http_conn_give_way(struct http_conn *c);
/* A body is announced, and whoever sends it may. */
void http_conn_body_begin(struct http_conn *c);
/* What has come of the body is where it belongs; last: that is all of it. */
void http_conn_body_taken(struct http_conn *c, bool last);
/* Answers e for a request whose handler did not hear of it, and ends the connection. */
void http_conn_refuse(struct http_conn *c, const struct err *e);
/* Ends after what was written: shutdown, linger, close. */
void http_conn_linger(struct http_conn *c);
/* Writes all now, or keeps the rest for `done`: 0 all written, 1 done will run, -1 the peer is
 * gone. */
int http_conn_write(struct http_conn *c, uv_write_t *req, struct str bytes, uv_write_cb done);

/* room.c: 0, or -1 and why not. Announced bytes are looked at only, those that came are charged. */
int http_room_announced(const struct http_call *call, size_t bytes, struct err *e) WARN_UNUSED;
int http_room_take(struct http_call *call, size_t bytes, struct err *e) WARN_UNUSED;
void http_room_give_back(struct http_call *call); /* all of its; a spooled body is gone then */
int http_room_none(struct err *e); /* -1 */
/* The answer is ready: what its request held is free, and a large one is charged until http_room_answer_gone. */
int http_room_answer(struct http_call *call, struct err *e) WARN_UNUSED;
void http_room_answer_gone(struct http_call *call);

/* peer.c */
/* Address, or user and process, of the peer of the connected fd. */
void http_peer_learn(struct http_conn *c, int fd);

/* server.c */
void http_server_conn_opened(
    struct http_server *s, struct http_conn *c); /* links it in front, starts the timer */
void http_server_conn_active(
    struct http_server *s, struct http_conn *c); /* moves it to the front */
void http_server_conn_closed(struct http_server *s, struct http_conn *c);
void http_server_conn_freed(struct http_server *s); /* may be the end of the server */

/* call.c */
struct http_call *http_call_get(struct http_conn *c);
void http_call_put(struct http_call *call);
void http_call_free(struct http_call *call);
/* The request is complete: authorize and handle it where its route says. */
void http_call_run(struct http_call *call);
/* From any thread: the answer is ready. */
void http_call_answered(struct http_call *call, enum http_answer what);
/* Loop thread: sends it on its way. */
void http_call_deliver(struct http_call *call);
/* The connection's call was answered with a hijack, and c->in holds all that came after it. */
void http_call_hijack(struct http_conn *c);
/* A body is announced: is it wanted, is there room, where does it go? 0, or -1 with e. */
int http_call_body_begin(struct http_call *call, struct err *e) WARN_UNUSED;
/* A body arrives: 0, or -1 with e (too large, over budget, spool full). */
int http_call_body(struct http_call *call, const char *p, size_t n, struct err *e) WARN_UNUSED;

/* spool.c: on the loop thread; the connection is CONN_ASIDE until the pool has done it. */
int http_spool_open(struct http_call *call, struct err *e);
/* Goes on in http_conn_body_begin, or refuses. */
void http_spool_admit(struct http_call *call);
/* What lies in call->body; goes on in http_conn_body_taken, or refuses. */
void http_spool_write(struct http_call *call, bool last);

/* reply.c */
/* Marks the call as answered; a second answer is a programmer's error. */
void http_reply_claim(struct http_call *call);
/* On the loop thread: e in the place of the answer that lies in call->out. */
void http_reply_instead(struct http_call *call, const struct err *e);
/* Puts the status line and headers into call->out; content_bytes SIZE_MAX: none is announced. */
void http_reply_head(struct http_call *call, int status, const char *content_type,
    const char *extra_lines, size_t content_bytes);
/* A problem that no err_code stands for. */
void http_reply_status(struct http_call *call, int status, const char *extra_lines,
    const char *detail, const char *hint);

/* stream.c */
void http_stream_attach(struct http_stream *st, struct http_conn *c);
/* The client is gone or never was: closed runs soon, then the stream is freed. */
void http_stream_detach(struct http_stream *st);
void http_stream_tick(struct http_stream *st, int64_t now_ms);
