/* Projects that sleep: when nobody asked anything of one for as long as its plan says, what listens
 * of it ends; the keeper holds the sockets and starts it again at the first knock. Whoever does not
 * listen (workers, schedulers) stays awake. Who asked is known from the edge's log; where that
 * cannot be read, nobody sleeps. */
#include "deploy/work.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

#define LOOK_EVERY_MS 1000
#define AWAKE_AT_LEAST_MS 3000 /* what woke it may not be in the log yet */

struct sleeper {
	struct sleeper *next;
	int64_t sleep_ms;
	int64_t touched_ms; /* wall clock: deployed, started, or seen with a visitor */
	char project[NAME_PROJECT_MAX + 1];
};

static void look(void *ctx);

static struct sleeper **place_of(struct deploy *d, struct str project)
{
	struct sleeper **at = &d->sleepers;
	while (*at && !str_eq_c(project, (*at)->project))
		at = &(*at)->next;
	return at;
}

static void forget(struct sleeper **at)
{
	struct sleeper *s = *at;
	*at = s->next;
	free(s);
}

void sleep_note(struct deploy *d, struct str project, int64_t sleep_ms)
{
	struct sleeper **at = place_of(d, project);
	if (sleep_ms == 0 || !d->o.requests) {
		if (*at)
			forget(at);
		return;
	}
	if (!*at) {
		*at = mem_alloc(sizeof(**at));
		(void)!str_copy(project, (*at)->project, sizeof((*at)->project));
	}
	(*at)->sleep_ms = sleep_ms;
	(*at)->touched_ms = clock_wall_ms();
	if (!d->sleep_timer)
		d->sleep_timer = loop_timer_new(d->o.loop, look, d);
	loop_timer_at(d->sleep_timer, clock_mono_ms() + LOOK_EVERY_MS);
}

void sleep_close(struct deploy *d)
{
	loop_timer_free(d->sleep_timer);
	while (d->sleepers)
		forget(&d->sleepers);
}

/* What visitors reach: a relay, or a program that took the socket itself. */
static bool listens(const struct deploy *d, const struct sleeper *s, const struct priv_status *st)
{
	return st->class == PRIV_SERVICE && st->state == PRIV_RUNNING &&
	       (st->program == PRIV_PROGRAM_RELAY || st->port == 0) &&
	       str_eq_c(str_c(s->project), st->project) && instance_has_socket(d, st);
}

/* Somebody is connected, or it cannot be told. */
static bool has_visitor(const struct deploy *d, const struct priv_status *st)
{
	char path[WORK_PATH_SIZE];
	unsigned queued, established;
	struct err e;
	instance_socket_path(
	    d, str_c(st->project), st->release, str_c(st->process), st->instance, path);
	return drain_look(path, &queued, &established, &e) != 0 || queued + established > 0;
}

static bool just_started(const struct priv_status *st)
{
	return clock_mono_ms() - (int64_t)st->started_mono_ms < AWAKE_AT_LEAST_MS;
}

static bool has_work(const struct deploy *d, const struct sleeper *s)
{
	for (const struct work *w = d->works; w; w = w->next)
		if (str_eq_c(w->task.project, s->project))
			return true;
	return false;
}

static bool asked_lately(const struct deploy *d, const struct sleeper *s, int64_t now_ms)
{
	struct requests_sum sum;
	(void)requests_of(d->o.requests, str_c(s->project), &sum);
	int64_t last = sum.last_ms > s->touched_ms ? sum.last_ms : s->touched_ms;
	return now_ms - last < s->sleep_ms;
}

/* Looked at again once it may sleep. */
static void look_at(struct deploy *d, struct sleeper *s, int64_t now_ms)
{
	const struct priv_status *const *all;
	size_t n, found = 0;
	bool busy = false;
	if (asked_lately(d, s, now_ms))
		return;
	n = run_statuses(d->o.run, &all);
	for (size_t i = 0; i < n && !busy; i++) {
		if (!listens(d, s, all[i]))
			continue;
		if (just_started(all[i]))
			return;
		busy = has_work(d, s) || has_visitor(d, all[i]);
		found++;
	}
	s->touched_ms = now_ms;
	if (busy || found == 0)
		return;
	for (size_t i = 0; i < n; i++)
		if (listens(d, s, all[i]))
			run_sleep(d->o.run, all[i]->id);
	log_event(LOG_INFO, "deploy", "sleeps", F_C("project", s->project));
}

static void look(void *ctx)
{
	struct deploy *d = ctx;
	int64_t now_ms = clock_wall_ms();
	if (d->quiet || d->closing || !d->sleepers)
		return;
	for (struct sleeper *s = d->sleepers; s && requests_has_log(d->o.requests); s = s->next)
		look_at(d, s, now_ms);
	loop_timer_at(d->sleep_timer, clock_mono_ms() + LOOK_EVERY_MS);
}
