/* Follows a task's stream. What the stream says goes to the screen in report.c; this file keeps the
 * connection. */
#include "cli/follow.h"

#include "base/clock.h"
#include "cli/report.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define GIVE_UP_MS 60000
#define SAY_SO_MS 3000
#define RETRY_FIRST_MS 200
#define RETRY_MAX_MS 5000

struct following {
	struct cli *c;
	struct report report;
	json_t *end; /* the last message, once it came */
	int64_t last_news_ms;
};

static int take_event(void *ctx, struct str id, struct str event, struct str data)
{
	struct following *f = ctx;
	CLEANUP_JSON json_t *j = json_read(data, NULL);
	(void)id;
	if (!json_is_object(j))
		return 0;
	f->last_news_ms = clock_mono_ms();
	const char *state = cli_raw(j, "state");
	/* "retry" ends an attempt, not the task. */
	if (str_eq_c(event, "end") && state && strcmp(state, "retry") != 0) {
		f->end = json_incref(j);
		return 1;
	}
	report_event(&f->report, event, j);
	return 0;
}

static void tick(void *ctx)
{
	report_tick(&((struct following *)ctx)->report);
}

/* SIGINT and SIGTERM as a descriptor; *ret_old is what to restore. */
static int catch_signals(sigset_t *ret_old)
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	if (sigprocmask(SIG_BLOCK, &set, ret_old) < 0)
		return -1;
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static void release_signals(int fd, const sigset_t *old)
{
	struct signalfd_siginfo info;
	/* Taken off the queue, or it would strike once it is let through. */
	while (fd >= 0 && read(fd, &info, sizeof(info)) > 0)
		;
	if (fd >= 0)
		(void)close(fd);
	(void)sigprocmask(SIG_SETMASK, old, NULL);
}

static bool has_ended(const json_t *task)
{
	const char *state = cli_raw(task, "state");
	return state && strcmp(state, "waiting") != 0 && strcmp(state, "running") != 0;
}

/* Waits before the next try; true when a signal came. */
static bool wait_or_stop(int stop_fd, int64_t ms)
{
	struct timespec limit = {.tv_sec = ms / 1000, .tv_nsec = (ms % 1000) * 1000000};
	fd_set set;
	FD_ZERO(&set);
	if (stop_fd >= 0 && stop_fd < FD_SETSIZE)
		FD_SET(stop_fd, &set);
	return pselect(stop_fd + 1, &set, NULL, NULL, &limit, NULL) > 0;
}

/* Until the end came (0), a signal (2), or there is no way (-1). */
static int keep_following(struct following *f, int64_t task, int stop_fd, struct err *e)
{
	struct sse sse;
	char number[24];
	int64_t pause = RETRY_FIRST_MS;
	int how = 0;
	bool said = false;
	(void)snprintf(number, sizeof(number), "%" PRId64, task);
	struct net_stream st = {.path = cli_path(f->c, "tasks/{}/stream", number, NULL),
	    .sse = &sse,
	    .stop_fd = stop_fd,
	    .tick_ms = 500,
	    .tick = tick,
	    .ctx = f};
	sse_init(&sse, take_event, f);
	f->last_news_ms = clock_mono_ms();
	for (;;) {
		int64_t before = f->last_news_ms;
		how = net_follow(cli_net(f->c, e), &st, e);
		if (how != 0)
			break;
		/* It broke, or the daemon was replaced: the task itself knows more. */
		json_t *now = NULL;
		if (cli_call(f->c, "GET", cli_path(f->c, "tasks/{}", number, NULL), NULL, &now,
			e) == 0 &&
		    has_ended(now)) {
			f->end = now;
			how = 1;
			break;
		}
		json_decref(now);
		pause = f->last_news_ms > before ? RETRY_FIRST_MS : pause * 2;
		if (pause > RETRY_MAX_MS)
			pause = RETRY_MAX_MS;
		int64_t silence = clock_mono_ms() - f->last_news_ms;
		if (silence > GIVE_UP_MS && net_unreachable(f->c->net)) {
			how = -1;
			break;
		}
		if (!said && net_unreachable(f->c->net) && silence > SAY_SO_MS) {
			report_clear_line(&f->report);
			(void)fprintf(
			    stderr, "the connection broke; the task goes on, trying again\n");
			said = true;
		}
		if (wait_or_stop(stop_fd, pause)) {
			how = 2;
			break;
		}
	}
	sse_fini(&sse);
	return how == 1 ? 0 : how;
}

static void missed_steps(struct following *f, const json_t *task)
{
	if (json_is_array(json_object_get(task, "steps")))
		report_event(&f->report, STR("task"), task);
}

static int detached(int64_t task)
{
	(void)fflush(stdout);
	(void)fprintf(stderr,
	    "\ndetached: task %" PRId64 " goes on. Look: slipway tasks %" PRId64
	    "    end it: slipway cancel %" PRId64 "\n",
	    task, task, task);
	return CLI_EXIT_DETACHED;
}

int follow_task(struct cli *c, int64_t task, const struct follow_options *o)
{
	struct following f = {.c = c};
	struct err e = {0};
	sigset_t old;
	if (!cli_net(c, &e))
		return cli_fail(c, &e);
	int stop_fd = catch_signals(&old);
	report_init(&f.report, c, task, o->headline, o->quiet);
	int how = keep_following(&f, task, stop_fd, &e);
	report_clear_line(&f.report);
	release_signals(stop_fd, &old);
	int code;
	if (how == 2) {
		code = detached(task);
	} else if (how < 0) {
		code = cli_fail(c, &e);
	} else {
		missed_steps(&f, f.end);
		code = report_end(&f.report, f.end);
		if (code == 0 && o->ret_result)
			*o->ret_result = json_incref(json_object_get(f.end, "result"));
	}
	json_decref(f.end);
	report_fini(&f.report);
	return code;
}

int follow_answer(struct cli *c, json_t *answer, const struct follow_options *o)
{
	int64_t task = cli_int(answer, "task");
	int code = 0;
	if (task && !cli_has(c, "no-wait")) {
		code = follow_task(c, task, o);
	} else if (c->json) {
		cli_print_json(answer);
	} else if (task) {
		(void)printf(
		    "task %" PRId64 " was ordered. Look: slipway tasks %" PRId64 "\n", task, task);
	}
	json_decref(answer);
	return code;
}
