/* The daemon's end: starts the program, sends requests, hands out answers, ends it when it is idle.
 */
#include "outbound/outbound.h"

#include "base/cidr.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "launch/spawn.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uv.h>

enum { IDLE_MS = 30000, ARGS_MAX = 70, READ_BYTES = 64 << 10 };

struct asked {
	struct asked *next;
	uint64_t id;
	outbound_fn *fn;
	void *ctx;
};

/* One life of the program. It is closed once and freed by libuv's callback. */
struct life {
	uv_pipe_t pipe;
	struct outbound *owner; /* NULL: nobody listens any more */
	pid_t pid;
	struct buf in;
	char chunk[READ_BYTES];
};

struct sending {
	uv_write_t req;
	struct buf frame;
};

struct outbound {
	struct outbound_options o;
	const char *args[ARGS_MAX];
	struct life *life; /* NULL: not running */
	struct asked *asked;
	size_t count;
	uint64_t last_id;
	struct loop_timer *timer;
	bool broken; /* the timer is to tell those who ask that there is no program */
	struct err broken_why;
};

const char *outbound_outcome_name(enum outbound_outcome o)
{
	static const char *const names[OUTBOUND_OUTCOME_COUNT] = {
	    "answered", "blocked", "refused", "unreachable", "untrusted", "timed out"};
	return names[o];
}

static void on_closed(uv_handle_t *h)
{
	struct life *l = (struct life *)h->data;
	/* It ends with its socket; one that does not is not waited for. */
	(void)kill(l->pid, SIGKILL);
	while (waitpid(l->pid, NULL, 0) < 0 && errno == EINTR)
		continue;
	buf_wipe(&l->in);
	free(l);
}

static void life_end(struct outbound *o)
{
	struct life *l = o->life;
	if (!l)
		return;
	o->life = NULL;
	l->owner = NULL;
	uv_close((uv_handle_t *)&l->pipe, on_closed);
}

static void answer_all(struct outbound *o, const char *why)
{
	struct asked *list = o->asked;
	o->asked = NULL;
	o->count = 0;
	const struct outbound_answer a = {.outcome = OUTBOUND_UNREACHABLE, .text = str_c(why)};
	while (list) {
		struct asked *q = list;
		list = q->next;
		q->fn(q->ctx, &a);
		free(q);
	}
}

static void lost(struct outbound *o, const char *why)
{
	life_end(o);
	answer_all(o, why);
}

static void on_timer(void *ctx)
{
	struct outbound *o = ctx;
	if (o->broken) {
		o->broken = false;
		lost(o, o->broken_why.msg);
	} else if (o->count == 0) {
		life_end(o);
	}
}

static struct asked *take(struct outbound *o, uint64_t id)
{
	for (struct asked **at = &o->asked; *at; at = &(*at)->next)
		if ((*at)->id == id) {
			struct asked *q = *at;
			*at = q->next;
			o->count--;
			return q;
		}
	return NULL;
}

/* 1: a frame was handed out, 0: more bytes are needed, -1: what it says is malformed. */
static int one_frame(struct outbound *o, struct life *l)
{
	struct frame f;
	size_t used;
	struct err e;
	int got = frame_next(buf_view(&l->in), &f, &used, &e);
	if (got <= 0)
		return got;
	struct asked *q = f.kind == OUTBOUND_ANSWER ? take(o, f.id) : NULL;
	if (!q)
		return -1;
	if (o->count == 0)
		loop_timer_at(o->timer, clock_mono_ms() + IDLE_MS);
	q->fn(q->ctx, &f.answer);
	free(q);
	buf_drop_front(&l->in, used);
	return 1;
}

static void on_alloc(uv_handle_t *h, size_t size, uv_buf_t *b)
{
	(void)size;
	struct life *l = (struct life *)h->data;
	*b = uv_buf_init(l->chunk, sizeof(l->chunk));
}

static void on_read(uv_stream_t *s, ssize_t n, const uv_buf_t *b)
{
	struct life *l = (struct life *)s->data;
	struct outbound *o = l->owner;
	if (!o || n == 0)
		return;
	if (n < 0) {
		lost(o, "the program that sends ended");
		return;
	}
	buf_put(&l->in, b->base, (size_t)n);
	int rc = l->in.full ? -1 : 1;
	/* Whoever is answered may free the room, or make the program end. */
	while (rc == 1 && l->owner)
		rc = one_frame(o, l);
	if (rc < 0 && l->owner)
		lost(o, "the program that sends said something malformed");
}

static int life_begin(struct outbound *o, struct err *e)
{
	int ends[2];
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
		return err_sys(e, ERR_UNAVAILABLE, errno, "could not make a pair of sockets");
	CLEANUP_FD int theirs = ends[1];
	struct launch_spec s = {.path = o->o.program,
	    .argv = o->args,
	    .fds = {theirs, -1, STDERR_FILENO, -1, -1, -1, -1},
	    .tmp_parent = -1};
	struct life *l = mem_alloc(sizeof(*l));
	l->pid = launch_spawn(&s, e);
	if (l->pid < 0) {
		free(l);
		close(ends[0]);
		return -1;
	}
	l->owner = o;
	buf_init(&l->in, OUTBOUND_FRAME_MAX + READ_BYTES);
	(void)uv_pipe_init(loop_uv(o->o.loop), &l->pipe, 0);
	l->pipe.data = l;
	uv_unref((uv_handle_t *)&l->pipe); /* what others owe us keeps no daemon from ending */
	o->life = l;
	if (uv_pipe_open(&l->pipe, ends[0]) != 0 ||
	    uv_read_start((uv_stream_t *)&l->pipe, on_alloc, on_read) != 0) {
		life_end(o);
		return err_set(e, ERR_UNAVAILABLE, "could not listen to the program that sends");
	}
	return 0;
}

static void on_written(uv_write_t *req, int status)
{
	(void)status; /* a broken socket is told by reading */
	struct sending *s = (struct sending *)req->data;
	buf_wipe(&s->frame);
	free(s);
}

int outbound_ask(
    struct outbound *o, const struct outbound_request *r, outbound_fn *fn, void *ctx, struct err *e)
{
	if (o->count >= OUTBOUND_IN_FLIGHT_MAX)
		return err_set(e, ERR_UNAVAILABLE, "%u requests to others are under way already",
		    OUTBOUND_IN_FLIGHT_MAX);
	struct sending *s = mem_alloc(sizeof(*s));
	buf_init(&s->frame, OUTBOUND_FRAME_MAX + 64);
	if (!frame_pack_request(&s->frame, ++o->last_id, r)) {
		buf_wipe(&s->frame);
		free(s);
		return err_set(e, ERR_TOO_LARGE, "a request to others is larger than %u bytes",
		    OUTBOUND_FRAME_MAX);
	}
	struct asked *q = mem_alloc(sizeof(*q));
	*q = (struct asked){.next = o->asked, .id = o->last_id, .fn = fn, .ctx = ctx};
	o->asked = q;
	o->count++;
	s->req.data = s;
	uv_buf_t b = uv_buf_init(s->frame.p, (unsigned)s->frame.n);
	if ((!o->life && life_begin(o, &o->broken_why) != 0) ||
	    uv_write(&s->req, (uv_stream_t *)&o->life->pipe, &b, 1, on_written) != 0) {
		buf_wipe(&s->frame);
		free(s);
		if (o->life)
			(void)err_set(
			    &o->broken_why, ERR_UNAVAILABLE, "the program that sends ended");
		o->broken = true;
		loop_timer_at(o->timer, clock_mono_ms());
	}
	return 0;
}

size_t outbound_in_flight(const struct outbound *o)
{
	return o->count;
}

struct outbound *outbound_new(const struct outbound_options *options, struct err *e)
{
	struct outbound *o = mem_alloc(sizeof(*o));
	size_t n = 0;
	o->o = *options;
	o->args[n++] = options->program;
	if (options->ca_file) {
		o->args[n++] = "--ca";
		o->args[n++] = options->ca_file;
	}
	for (size_t i = 0; options->allow && options->allow[i]; i++) {
		struct cidr c;
		if (n + 2 >= ARGS_MAX || cidr_parse(str_c(options->allow[i]), &c, e) != 0) {
			if (n + 2 >= ARGS_MAX)
				(void)err_set(
				    e, ERR_SETTINGS, "too many address ranges that may be reached");
			e->code = ERR_SETTINGS;
			free(o);
			return NULL;
		}
		o->args[n++] = "--allow";
		o->args[n++] = options->allow[i];
	}
	o->timer = loop_timer_new(options->loop, on_timer, o);
	return o;
}

void outbound_free(struct outbound *o)
{
	if (!o)
		return;
	life_end(o);
	while (o->asked) {
		struct asked *q = o->asked;
		o->asked = q->next;
		free(q);
	}
	loop_timer_free(o->timer);
	free(o);
}
