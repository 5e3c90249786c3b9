#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "run/state.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#define LAST_OUTPUT_MS 2000 /* after the end, for pipes that somebody else still holds */
#define REPORT_PIECE_BYTES 65536u
#define PIPE_BYTES (256 << 10)

/* A job is over when it has ended and both pipes are at their end, or LAST_OUTPUT_MS later. */
struct run_job {
	struct run_job *next;
	struct run *run;
	struct run_job_callbacks cb;
	uint64_t id;
	bool answered; /* the start was; id is set when it went well */
	bool taking;   /* the request for its output is under way, and names this job */
	bool cancelled, ended, output_ended;
	int wait_status;
	enum priv_limit_hit limit_hit;
	struct run_lines *lines;
	int report_fd;
	struct loop_watch *report_watch;
	struct buf report;
	bool report_full, has_failed;
	struct err e;
	struct loop_timer *timer;
};

static void job_free(struct run_job *j)
{
	for (struct run_job **at = &j->run->jobs; *at; at = &(*at)->next)
		if (*at == j) {
			*at = j->next;
			break;
		}
	if (j->report_watch)
		loop_watch_free(j->report_watch);
	fs_close_fd(&j->report_fd);
	run_lines_free(j->lines);
	loop_timer_free(j->timer);
	buf_wipe(&j->report);
	free(j);
}

/* 1 read something, 0 nothing there, -1 the end. What is too much is read away, so that the job can
 * end. */
static int read_report(struct run_job *j)
{
	char gone[4096];
	size_t left = j->report.max - j->report.n,
	       step = left < REPORT_PIECE_BYTES ? left : REPORT_PIECE_BYTES;
	char *to = step ? buf_reserve(&j->report, step) : NULL;
	ssize_t n = to ? read(j->report_fd, to, step) : read(j->report_fd, gone, sizeof(gone));
	if (n < 0)
		return errno == EINTR ? 1 : errno == EAGAIN ? 0 : -1;
	if (n == 0)
		return -1;
	if (to)
		buf_commit(&j->report, (size_t)n);
	else
		j->report_full = true;
	return 1;
}

static void close_report(struct run_job *j)
{
	if (j->report_watch)
		loop_watch_free(j->report_watch);
	j->report_watch = NULL;
	fs_close_fd(&j->report_fd);
}

static void finish(struct run_job *j)
{
	struct run *r = j->run;
	if (j->lines && !j->output_ended)
		run_lines_drain(j->lines);
	while (j->report_fd >= 0 && read_report(j) == 1)
		continue;
	if (j->report_full && !j->has_failed) {
		(void)err_set(
		    &j->e, ERR_TOO_LARGE, "the report is larger than %zu bytes", j->cb.report_max);
		j->has_failed = true;
	}
	j->cb.ended(j->cb.ctx, j->wait_status, j->limit_hit, buf_view(&j->report),
	    j->has_failed ? &j->e : NULL);
	if (j->id != 0 && !r->lost)
		run_forget(r, j->id);
	job_free(j);
}

static void on_timer(void *ctx)
{
	finish(ctx);
}

static void check_over(struct run_job *j)
{
	if (!j->ended || j->taking)
		return;
	bool over = j->has_failed || (j->output_ended && j->report_fd < 0);
	/* Never from inside a callback that still uses the job. */
	loop_timer_at(j->timer, clock_mono_ms() + (over ? 0 : LAST_OUTPUT_MS));
}

static void fail(struct run_job *j, const struct err *e)
{
	j->has_failed = j->ended = true;
	j->e = *e;
	check_over(j);
}

static void on_report(void *ctx)
{
	struct run_job *j = ctx;
	if (read_report(j) >= 0)
		return;
	close_report(j);
	check_over(j);
}

static void on_line(void *ctx, struct str line)
{
	struct run_job *j = ctx;
	if (j->cb.output)
		j->cb.output(j->cb.ctx, line);
}

static void on_output_end(void *ctx)
{
	struct run_job *j = ctx;
	j->output_ended = true;
	check_over(j);
}

static void on_output(void *ctx, int fd, const struct err *e)
{
	struct run_job *j = ctx;
	j->taking = false;
	if (e)
		j->output_ended = true;
	else
		j->lines = run_lines_new(j->run->o.loop, fd, on_line, on_output_end, j);
	check_over(j);
}

static void stop_now(struct run_job *j)
{
	struct priv_request q = {.op = PRIV_STOP, .id = j->id, .stop_timeout_ms = 1};
	run_request(j->run, &q, NULL, 0, NULL, NULL);
}

static void on_started(void *ctx, uint64_t id, const struct err *e)
{
	struct run_job *j = ctx;
	j->answered = true;
	if (e) {
		fail(j, e);
		return;
	}
	j->id = id;
	struct priv_request q = {.op = PRIV_TAKE_OUTPUT, .id = id};
	j->taking = true;
	run_request_fd(j->run, &q, on_output, j);
	struct run_record *rec = run_record_find(j->run, id);
	if (rec) {
		rec->ours = true;
		run_jobs_on_status(j->run, &rec->st);
	}
	if (j->cancelled)
		stop_now(j);
}

void run_jobs_on_status(struct run *r, const struct priv_status *s)
{
	for (struct run_job *j = r->jobs; j; j = j->next) {
		if (j->id != s->id)
			continue;
		struct run_record *rec = run_record_find(r, s->id);
		if (rec)
			rec->ours = true;
		if (s->state != PRIV_ENDED || j->ended)
			return;
		j->ended = true;
		j->wait_status = s->wait_status;
		j->limit_hit = (enum priv_limit_hit)s->limit_hit;
		check_over(j);
		return;
	}
}

void run_jobs_on_lost(struct run *r, const struct err *e)
{
	/* A start or output that is not answered comes back by its call, with the same error. */
	for (struct run_job *j = r->jobs; j; j = j->next)
		if (j->answered && !j->ended)
			fail(j, e);
}

void run_jobs_free(struct run *r)
{
	for (struct run_job *j = r->jobs, *next; j; j = next) {
		next = j->next;
		job_free(j);
	}
}

/* The report pipe: *ret_write goes to the job. */
static int open_report(struct run_job *j, int *ret_write, struct err *e)
{
	int ends[2];
	*ret_write = -1;
	if (j->cb.report_max == 0)
		return 0;
	if (pipe2(ends, O_CLOEXEC) != 0)
		return err_sys(e, ERR_UNAVAILABLE, errno, "could not make the report pipe");
	(void)fcntl(ends[0], F_SETFL, O_NONBLOCK);
	(void)fcntl(ends[0], F_SETPIPE_SZ, PIPE_BYTES);
	j->report_fd = ends[0];
	*ret_write = ends[1];
	j->report_watch = loop_watch_new(j->run->o.loop, ends[0], on_report, j);
	return 0;
}

struct run_job *run_job_start(
    struct run *r, const struct run_spec *s, const struct run_job_callbacks *cb)
{
	struct run_job *j = mem_alloc(sizeof(*j));
	*j = (struct run_job){.next = r->jobs, .run = r, .cb = *cb, .report_fd = -1};
	r->jobs = j;
	buf_init(&j->report, cb->report_max ? cb->report_max : 1);
	j->timer = loop_timer_new(r->o.loop, on_timer, j);
	struct priv_request q;
	int fds[PRIV_FDS_MAX], made[3] = {-1, -1, -1}, report = -1;
	size_t n = 0;
	struct err e = {0};
	if (open_report(j, &report, &e) != 0 ||
	    run_spec_request(s, report, &q, fds, &n, made, &e) != 0)
		fail(j, &e);
	else
		run_request(r, &q, fds, n, on_started, j);
	fs_close_fd(&report);
	for (int i = 0; i < 3; i++)
		fs_close_fd(&made[i]);
	return j;
}

void run_job_cancel(struct run_job *j)
{
	if (j->cancelled || j->ended)
		return;
	j->cancelled = true;
	if (j->id != 0)
		stop_now(j);
}

void run_job_signal(struct run_job *j, int signal)
{
	if (j->id != 0 && !j->ended)
		run_signal(j->run, j->id, signal);
}
