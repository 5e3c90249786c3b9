#include "run/run.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/limits.h"
#include "base/mem.h"
#include "run/state.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define REQUEST_MS 60000
#define ENDING_MS 20000 /* a helper that ends takes 15 s at most */
#define ENDING_TRY_MS 100
#define OPEN_MS 10000
#define RETRY_MS 5
#define ENDED_OUTPUT_MS 2000 /* for the last lines of what has ended */
#define READ_AT_ONCE_MAX 64

/* ---- records ---- */

static size_t record_index(const struct run *r, uint64_t id)
{
	size_t i = 0;
	while (i < r->record_count && r->records[i]->st.id != id)
		i++;
	return i;
}

struct run_record *run_record_find(struct run *r, uint64_t id)
{
	size_t i = record_index(r, id);
	return i < r->record_count ? r->records[i] : NULL;
}

static struct run_record *record_add(struct run *r, const struct priv_status *s)
{
	if (r->record_count == r->record_room) {
		size_t room = r->record_room ? r->record_room * 2 : 64;
		r->records = mem_grow(r->records, r->record_room, room, sizeof(*r->records));
		r->statuses = mem_grow(r->statuses, r->record_room, room, sizeof(*r->statuses));
		r->record_room = room;
	}
	struct run_record *rec = mem_alloc(sizeof(*rec));
	rec->st = *s;
	rec->run = r;
	r->records[r->record_count] = rec;
	r->statuses[r->record_count++] = &rec->st;
	return rec;
}

static void record_remove(struct run *r, uint64_t id)
{
	size_t i = record_index(r, id);
	if (i == r->record_count)
		return;
	run_lines_free(r->records[i]->lines);
	free(r->records[i]);
	r->record_count--;
	r->records[i] = r->records[r->record_count];
	r->statuses[i] = r->statuses[r->record_count];
}

size_t run_statuses(struct run *r, const struct priv_status *const **ret)
{
	*ret = r->statuses;
	return r->record_count;
}

bool run_is_root(const struct run *r)
{
	return r->is_root;
}

bool run_has_quota(const struct run *r)
{
	return r->has_quota;
}

uint64_t run_incarnation(const struct run *r)
{
	return r->incarnation;
}

/* ---- requests ---- */

static void wake(struct run *r, int64_t at_ms)
{
	if (at_ms >= r->wake_ms)
		return;
	r->wake_ms = at_ms;
	loop_timer_at(r->timer, at_ms);
}

static void out_free(struct run_out *o)
{
	for (size_t i = 0; i < o->fd_count; i++)
		fs_close_fd(&o->fds[i]);
	free(o);
}

/* What did not fit goes later; it needs descriptors of its own. */
static int put_off(
    struct run *r, const struct priv_request *q, const int *fds, size_t n, struct err *e)
{
	if (r->out_count == RUN_OUT_MAX)
		return err_set(
		    e, ERR_UNAVAILABLE, "%u requests wait for the helper already", RUN_OUT_MAX);
	struct run_out *o = mem_alloc(sizeof(*o));
	o->q = *q;
	for (; o->fd_count < n; o->fd_count++) {
		o->fds[o->fd_count] = fcntl(fds[o->fd_count], F_DUPFD_CLOEXEC, 3);
		if (o->fds[o->fd_count] < 0) {
			out_free(o);
			return err_sys(
			    e, ERR_UNAVAILABLE, errno, "could not duplicate a descriptor");
		}
	}
	*r->out_end = o;
	r->out_end = &o->next;
	r->out_count++;
	wake(r, clock_mono_ms() + RETRY_MS);
	return 0;
}

static int send_or_put_off(
    struct run *r, const struct priv_request *q, const int *fds, size_t n, struct err *e)
{
	if (r->lost)
		return err_set(e, ERR_UNAVAILABLE, "the helper is gone");
	if (r->out)
		return put_off(r, q, fds, n, e);
	if (priv_send(r->sock, q, sizeof(*q), fds, n, e) == 0)
		return 0;
	return e->sys == EAGAIN || e->sys == ENOBUFS ? put_off(r, q, fds, n, e) : -1;
}

static struct run_call *call_add(struct run *r)
{
	struct run_call *c = mem_alloc(sizeof(*c)), **at = &r->calls;
	while (*at)
		at = &(*at)->next;
	*at = c;
	c->seq = ++r->seq;
	c->deadline_ms = clock_mono_ms() + REQUEST_MS;
	return c;
}

/* Whom it is about, also where the request has a number for it. */
static void call_names(struct run *r, struct run_call *c, const struct priv_request *q)
{
	memcpy(c->project, q->project, sizeof(c->project));
	c->release = q->release;
	if (q->op == PRIV_START) {
		memcpy(c->process, q->start.process, sizeof(c->process));
		c->release = q->start.release;
		c->instance = q->start.instance;
	}
	const struct run_record *rec = q->project[0] ? NULL : run_record_find(r, q->id);
	if (!rec)
		return;
	memcpy(c->project, rec->st.project, sizeof(c->project));
	memcpy(c->process, rec->st.process, sizeof(c->process));
	c->release = rec->st.release;
	c->instance = rec->st.instance;
}

static void call_send(
    struct run *r, struct run_call *c, const struct priv_request *q, const int *fds, size_t n)
{
	struct priv_request copy = *q;
	copy.magic = PRIV_MAGIC;
	copy.seq = c->seq;
	c->op = q->op;
	call_names(r, c, q);
	c->failed = send_or_put_off(r, &copy, fds, n, &c->e) != 0;
	wake(r, clock_mono_ms() + (c->failed ? 0 : RETRY_MS));
}

void run_request(struct run *r, const struct priv_request *q, const int *fds, size_t fd_count,
    run_done_fn *fn, void *ctx)
{
	struct run_call *c = call_add(r);
	c->fn = fn;
	c->ctx = ctx;
	/* Taking a big tree apart or sealing one takes longer than an answer may, and so does
	 * nginx with very many vhosts. */
	if (q->op == PRIV_PROJECT_REMOVE || q->op == PRIV_RELEASE_SEAL ||
	    q->op == PRIV_RELEASE_REMOVE || q->op == PRIV_VHOST_SET || q->op == PRIV_VHOST_REMOVE ||
	    q->op == PRIV_EDGE_CHECK || q->op == PRIV_EDGE_RELOAD)
		c->deadline_ms += 900000 - REQUEST_MS;
	call_send(r, c, q, fds, fd_count);
}

void run_request_fd(struct run *r, const struct priv_request *q,
    void (*fn)(void *ctx, int fd, const struct err *e), void *ctx)
{
	struct run_call *c = call_add(r);
	c->with_fd = fn;
	c->ctx = ctx;
	call_send(r, c, q, NULL, 0);
}

static void call_end(struct run_call *c, uint64_t value, int fd, const struct err *e)
{
	if (c->with_fd)
		c->with_fd(c->ctx, e ? -1 : fd, e);
	else if (c->fn)
		c->fn(c->ctx, value, e);
	if (fd >= 0 && (!c->with_fd || e))
		close(fd);
	free(c);
}

/* Takes the first call out of the list that `due` says; the list may change under a callback. */
static struct run_call *call_take(struct run *r, uint64_t seq, int64_t now_ms)
{
	for (struct run_call **at = &r->calls; *at; at = &(*at)->next) {
		struct run_call *c = *at;
		if (seq != 0 ? c->seq == seq : c->failed || now_ms >= c->deadline_ms) {
			*at = c->next;
			return c;
		}
	}
	return NULL;
}

/* ---- output of services ---- */

void run_forget(struct run *r, uint64_t id)
{
	struct priv_request q = {.op = PRIV_FORGET, .id = id};
	run_request(r, &q, NULL, 0, NULL, NULL);
	record_remove(r, id);
}

static void on_service_line(void *ctx, struct str line)
{
	struct run_record *rec = ctx;
	if (rec->run->o.on_line)
		rec->run->o.on_line(rec->run->o.ctx, &rec->st, line);
}

static void on_service_output_end(void *ctx)
{
	struct run_record *rec = ctx;
	rec->ended_ms = clock_mono_ms() - ENDED_OUTPUT_MS; /* nothing more to wait for */
	wake(rec->run, clock_mono_ms());
}

struct taking {
	struct run *run;
	uint64_t id;
};

static void on_output(void *ctx, int fd, const struct err *e)
{
	struct taking *t = ctx;
	struct run_record *rec = run_record_find(t->run, t->id);
	if (rec && !e)
		rec->lines =
		    run_lines_new(t->run->o.loop, fd, on_service_line, on_service_output_end, rec);
	else if (fd >= 0)
		close(fd);
	if (rec)
		rec->taking = false;
	free(t);
}

static void take_output(struct run_record *rec)
{
	struct priv_request q = {.op = PRIV_TAKE_OUTPUT, .id = rec->st.id};
	struct taking *t = mem_alloc(sizeof(*t));
	*t = (struct taking){rec->run, rec->st.id};
	rec->took = rec->taking = true;
	run_request_fd(rec->run, &q, on_output, t);
}

/* ---- what the keeper says ---- */

static void finish_stops(struct run *r, uint64_t id)
{
	for (struct run_stop_wait **at = &r->stops; *at;) {
		struct run_stop_wait *w = *at;
		if (w->id != id || !w->answered) {
			at = &w->next;
			continue;
		}
		*at = w->next;
		if (w->fn)
			w->fn(w->ctx, id, NULL);
		free(w);
		at = &r->stops;
	}
}

static void on_status(struct run *r, const struct priv_status *s, bool tell)
{
	struct run_record *rec = run_record_find(r, s->id);
	if (!rec)
		rec = record_add(r, s);
	rec->st = *s;
	if (!tell)
		return;
	if (s->class == PRIV_SERVICE && !rec->took)
		take_output(rec);
	if (s->state == PRIV_ENDED) {
		if (rec->ended_ms == 0) /* the end of its output may have come first */
			rec->ended_ms = clock_mono_ms();
		wake(r, clock_mono_ms() + RETRY_MS);
	}
	if (r->o.on_status)
		r->o.on_status(r->o.ctx, s);
	run_jobs_on_status(r, s);
	if (s->state == PRIV_ENDED)
		finish_stops(r, s->id);
}

/* Records of what has ended go when their last lines are read. Jobs of ours are forgotten by
 * run/job.c. */
static bool sweep_ended(struct run *r, int64_t now_ms)
{
	bool waiting = false;
	for (size_t i = r->record_count; i-- > 0;) {
		struct run_record *rec = r->records[i];
		if (rec->st.state != PRIV_ENDED || rec->ours || rec->ended_ms == 0)
			continue;
		if (rec->taking || (rec->lines && now_ms < rec->ended_ms + ENDED_OUTPUT_MS)) {
			waiting = true;
			continue;
		}
		if (rec->lines)
			run_lines_drain(rec->lines);
		run_forget(r, rec->st.id);
	}
	return waiting;
}

/* Those that only look, or read what a program printed. */
static bool changes(uint32_t op)
{
	return op != PRIV_HELLO && op != PRIV_LIST && op != PRIV_TAKE_OUTPUT && op != PRIV_FORGET &&
	       op != PRIV_EDGE_CHECK;
}

static void tell_operation(struct run *r, const struct run_call *c, const struct err *e)
{
	bool refused =
	    e->code == ERR_INVALID || e->code == ERR_FORBIDDEN || e->code == ERR_UNSUPPORTED;
	bool performed = e->code == 0 && changes(c->op);
	const char *name = priv_op_name(c->op);
	const struct run_operation o = {.name = name ? name : "unknown",
	    .project = c->project,
	    .process = c->process,
	    .release = c->release,
	    .instance = c->instance};
	if ((refused || performed) && r->o.on_operation)
		r->o.on_operation(r->o.ctx, &o, performed ? NULL : e);
}

static void on_reply(struct run *r, const struct priv_reply *reply, int fd)
{
	struct run_call *c = reply->seq ? call_take(r, reply->seq, 0) : NULL;
	if (!c) {
		fs_close_fd(&fd);
		return;
	}
	struct err e = {.code = (enum err_code)reply->code, .sys = reply->sys};
	if ((unsigned)reply->code >= ERR_CODE_COUNT)
		e.code = ERR_INTERNAL;
	memcpy(e.msg, reply->msg, sizeof(e.msg));
	memcpy(e.hint, reply->hint, sizeof(e.hint));
	e.msg[sizeof(e.msg) - 1] = e.hint[sizeof(e.hint) - 1] = '\0';
	tell_operation(r, c, &e);
	call_end(c, reply->value, fd, reply->code == 0 ? NULL : &e);
}

static void lose(struct run *r, const struct err *e)
{
	if (r->lost)
		return;
	r->lost = true;
	if (r->watch)
		loop_watch_free(r->watch);
	r->watch = NULL;
	/* First, so that who hears of broken requests knows why. */
	if (r->o.on_lost)
		r->o.on_lost(r->o.ctx, e);
	for (struct run_call *c = r->calls; c; c = c->next) {
		c->failed = true;
		c->e = *e;
	}
	/* Stops that were not answered end with their calls. */
	for (struct run_stop_wait **at = &r->stops; *at;) {
		struct run_stop_wait *w = *at;
		if (!w->answered) {
			at = &w->next;
			continue;
		}
		*at = w->next;
		if (w->fn)
			w->fn(w->ctx, w->id, e);
		free(w);
		at = &r->stops;
	}
	run_jobs_on_lost(r, e);
	wake(r, clock_mono_ms());
}

/* 1 a message, 0 none now, -1 the keeper is gone. */
static int receive(struct run *r, bool tell, struct priv_reply *m, int *ret_fd, struct err *e)
{
	int fds[PRIV_FDS_MAX];
	size_t n = 0;
	int rc = priv_recv(r->sock, m, sizeof(*m), fds, &n, e);
	if (rc < 0 && e->sys == EAGAIN)
		return 0;
	if (rc == 0)
		return err_set(e, ERR_UNAVAILABLE, "the helper closed the connection");
	if (rc < 0)
		return -1;
	*ret_fd = n > 0 ? fds[0] : -1;
	for (size_t i = 1; i < n; i++)
		close(fds[i]);
	if (m->magic != PRIV_MAGIC)
		return err_set(e, ERR_INVALID, "the helper speaks another protocol");
	if (m->kind == PRIV_EVENT_STATUS)
		on_status(r, &m->status, tell);
	return 1;
}

static void on_readable(void *ctx)
{
	struct run *r = ctx;
	for (int i = 0; i < READ_AT_ONCE_MAX && !r->lost; i++) {
		struct priv_reply m;
		struct err e = {0};
		int fd = -1, rc = receive(r, true, &m, &fd, &e);
		if (rc == 0)
			return;
		if (rc < 0) {
			lose(r, &e);
			return;
		}
		if (m.kind == PRIV_REPLY)
			on_reply(r, &m, fd);
	}
}

/* ---- timer ---- */

static void announce(struct run *r)
{
	r->announced = true;
	for (size_t i = 0; i < r->record_count; i++) {
		struct priv_status s = r->records[i]->st;
		on_status(r, &s, true);
	}
}

static void flush_out(struct run *r)
{
	while (r->out && !r->lost) {
		struct run_out *o = r->out;
		struct err e = {0};
		if (priv_send(r->sock, &o->q, sizeof(o->q), o->fds, o->fd_count, &e) != 0) {
			if (e.sys != EAGAIN && e.sys != ENOBUFS)
				lose(r, &e);
			return;
		}
		r->out = o->next;
		if (!r->out)
			r->out_end = &r->out;
		r->out_count--;
		out_free(o);
	}
}

static void on_timer(void *ctx)
{
	struct run *r = ctx;
	r->wake_ms = DEADLINE_NEVER;
	if (!r->announced)
		announce(r);
	flush_out(r);
	int64_t now = clock_mono_ms();
	for (struct run_call *c; (c = call_take(r, 0, now));) {
		struct err e = c->e;
		if (!c->failed)
			(void)err_set(&e, ERR_TIMEOUT, "the helper did not answer in time");
		call_end(c, 0, -1, &e);
	}
	bool waiting = !r->lost && sweep_ended(r, now);
	int64_t next = DEADLINE_NEVER;
	for (struct run_call *c = r->calls; c; c = c->next)
		next = c->deadline_ms < next ? c->deadline_ms : next;
	if (waiting)
		next = now + 50;
	if (r->out && !r->lost)
		next = now + RETRY_MS;
	for (struct run_call *c = r->calls; c; c = c->next)
		next = c->failed ? now : next;
	if (next != DEADLINE_NEVER)
		wake(r, next);
}

/* ---- open and close ---- */

/* One request and its answer before the loop runs; statuses that come meanwhile are recorded. */
static int ask(struct run *r, struct priv_request *q, struct priv_reply *ret, struct err *e)
{
	int64_t deadline = clock_mono_ms() + OPEN_MS;
	q->magic = PRIV_MAGIC;
	q->seq = ++r->seq;
	/* A keeper that refuses us has said why before it hung up. */
	if (priv_send(r->sock, q, sizeof(*q), NULL, 0, e) != 0 && e->sys != EPIPE)
		return -1;
	while (clock_mono_ms() < deadline) {
		int fd = -1, rc = receive(r, false, ret, &fd, e);
		fs_close_fd(&fd);
		if (rc < 0)
			return -1;
		bool refused = rc == 1 && ret->kind == PRIV_REPLY && ret->code != 0;
		if (refused && (ret->seq == 0 || ret->seq == q->seq))
			return err_set(e, (enum err_code)ret->code, "the helper refused: %.*s",
			    (int)sizeof(ret->msg) - 1, ret->msg);
		if (rc == 1 && ret->kind == PRIV_REPLY && ret->seq == q->seq)
			return 0;
		struct pollfd p = {.fd = r->sock, .events = POLLIN};
		if (rc == 0)
			(void)poll(&p, 1, 100);
	}
	return err_set(e, ERR_TIMEOUT, "the helper did not answer within %d s", OPEN_MS / 1000);
}

/* Connected and greeted; NULL. */
static struct run *open_once(const struct run_options *o, struct err *e)
{
	int sock = run_connect(o, e);
	if (sock < 0)
		return NULL;
	struct run *r = mem_alloc(sizeof(*r));
	r->o = *o;
	r->sock = sock;
	r->out_end = &r->out;
	r->wake_ms = DEADLINE_NEVER;
	struct priv_request hello = {.op = PRIV_HELLO, .id = PRIV_VERSION},
			    list = {.op = PRIV_LIST};
	struct priv_reply reply, ignored;
	if (ask(r, &hello, &reply, e) != 0 || ask(r, &list, &ignored, e) != 0) {
		run_close(r);
		return NULL;
	}
	r->is_root = reply.is_root != 0;
	r->has_quota = reply.has_quota != 0;
	r->incarnation = reply.incarnation;
	return r;
}

/* A helper that is just ending says so, or hangs up: a moment later it is gone, and ours is
 * started. */
struct run *run_open(const struct run_options *o, struct err *e)
{
	int64_t deadline = clock_mono_ms() + ENDING_MS;
	struct run *r = open_once(o, e);
	while (!r && e->code == ERR_UNAVAILABLE && clock_mono_ms() < deadline) {
		(void)poll(NULL, 0, ENDING_TRY_MS);
		r = open_once(o, e);
	}
	if (!r)
		return NULL;
	r->timer = loop_timer_new(o->loop, on_timer, r);
	r->watch = loop_watch_new(o->loop, r->sock, on_readable, r);
	wake(r, clock_mono_ms());
	return r;
}

void run_close(struct run *r)
{
	if (!r)
		return;
	run_jobs_free(r);
	if (r->watch)
		loop_watch_free(r->watch);
	loop_timer_free(r->timer);
	for (struct run_call *c; (c = r->calls); free(c)) {
		r->calls = c->next;
		if (c->with_fd == on_output)
			free(c->ctx);
	}
	for (struct run_stop_wait *w; (w = r->stops); free(w))
		r->stops = w->next;
	for (struct run_out *o; (o = r->out); out_free(o))
		r->out = o->next;
	while (r->record_count > 0)
		record_remove(r, r->records[0]->st.id);
	free(r->records);
	free(r->statuses);
	close(r->sock);
	free(r);
}

/* ---- services ---- */

void run_start(struct run *r, const struct run_spec *s, run_done_fn *fn, void *ctx)
{
	struct priv_request q;
	int fds[PRIV_FDS_MAX], made[3];
	size_t n;
	struct err e = {0};
	int rc = run_spec_request(s, -1, &q, fds, &n, made, &e);
	if (rc == 0) {
		run_request(r, &q, fds, n, fn, ctx);
	} else {
		struct run_call *c = call_add(r);
		c->fn = fn;
		c->ctx = ctx;
		c->failed = true;
		c->e = e;
		wake(r, clock_mono_ms());
	}
	for (int i = 0; i < 3; i++)
		fs_close_fd(&made[i]);
}

static void on_stop_reply(void *ctx, uint64_t value, const struct err *e)
{
	struct run_stop_wait *w = ctx;
	struct run *r = w->run;
	uint64_t id = w->id;
	(void)value;
	w->answered = true;
	if (e) {
		for (struct run_stop_wait **at = &r->stops; *at; at = &(*at)->next)
			if (*at == w) {
				*at = w->next;
				break;
			}
		if (w->fn)
			w->fn(w->ctx, id, e);
		free(w);
		return;
	}
	/* The end may have come before the answer, and its record be gone. */
	const struct run_record *rec = run_record_find(r, id);
	if (!rec || rec->st.state == PRIV_ENDED)
		finish_stops(r, id);
}

void run_stop(struct run *r, uint64_t id, uint32_t stop_timeout_ms, run_done_fn *fn, void *ctx)
{
	struct run_stop_wait *w = mem_alloc(sizeof(*w));
	*w = (struct run_stop_wait){.next = r->stops, .run = r, .id = id, .fn = fn, .ctx = ctx};
	r->stops = w;
	struct priv_request q = {.op = PRIV_STOP, .id = id, .stop_timeout_ms = stop_timeout_ms};
	run_request(r, &q, NULL, 0, on_stop_reply, w);
}

void run_signal(struct run *r, uint64_t id, int signal)
{
	struct priv_request q = {.op = PRIV_SIGNAL, .id = id, .signal = signal};
	run_request(r, &q, NULL, 0, NULL, NULL);
}

void run_narrow(struct run *r, uint64_t id, uint32_t devices)
{
	struct priv_request q = {
	    .op = PRIV_NARROW, .id = id, .start.limits.devices = devices};
	run_request(r, &q, NULL, 0, NULL, NULL);
}

void run_sleep(struct run *r, uint64_t id)
{
	struct priv_request q = {.op = PRIV_SLEEP, .id = id};
	run_request(r, &q, NULL, 0, NULL, NULL);
}
