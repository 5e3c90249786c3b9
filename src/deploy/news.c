/* News of deploys, for whoever listens: in the unit of what they tell. */
#include "deploy/work.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "base/clock.h"
#include "deploy/hints.h"

enum { FIELDS_MAX = 16, SHORT_COMMIT = 7, NEWS_BYTES = 1 << 20 };

/* On the writer thread: the work's own arena is the loop's. */
struct news {
	struct arena a;
	struct message_field v[FIELDS_MAX];
	size_t n;
};

static void put(struct news *l, const char *name, struct str value)
{
	if (value.n && l->n < FIELDS_MAX)
		l->v[l->n++] = (struct message_field){name, value};
}

static void put_number(struct news *l, const char *name, int64_t v)
{
	if (v > 0)
		put(l, name, str_c(arena_printf(&l->a, "%" PRId64, v)));
}

static void put_release(struct work *w, struct news *l)
{
	put(l, "project", w->project.name);
	put_number(l, "release", w->release.number);
	put(l, "ref", w->release.ref);
	put(l, "commit", w->release.commit);
	put(l, "short", str_slice(w->release.commit, 0, SHORT_COMMIT));
	put(l, "subject", w->release.subject);
	put(l, "author", w->release.author);
	put_number(l, "task", w->task.id);
	if (w->d->o.public_url)
		put(l, "log",
		    str_c(arena_printf(
			&l->a, "%s/api/v1/tasks/%" PRId64 "/log", w->d->o.public_url, w->task.id)));
}

static void put_failure(struct work *w, struct news *l)
{
	const char *step = deploy_phase_step(w->st.failed_at);
	char own[256];
	put(l, "step", str_c(step ? step : ""));
	put(l, "message", str_c(w->failure.msg[0] ? w->failure.msg : "it failed without a reason"));
	if (w->failure.hint[0])
		put(l, "hint", str_c(w->failure.hint));
	else if (w->failure_lines && hints_find(str_c(w->failure_lines), own, sizeof(own)))
		put(l, "hint", arena_str(&l->a, str_c(own)));
	put(l, "lines", str_c(w->failure_lines ? w->failure_lines : ""));
	if (w->st.flow == DEPLOY_FLOW_DEPLOY && w->project.desired_running)
		put_number(l, "serving",
		    w->project.live == w->release.number ? w->from_release : w->project.live);
}

static int publish(struct work *w, struct store_db *db, const char *event, const char *what,
    const struct news *l, int64_t project_id, struct err *e)
{
	bool check = w->st.flow == DEPLOY_FLOW_CHECK;
	char key[64], series[96] = "";
	(void)snprintf(key, sizeof(key), "task/%" PRId64 "/%s", w->task.id, what);
	if (w->release.commit.n && w->release.commit.n <= 64)
		(void)snprintf(series, sizeof(series), "%s/%.*s", check ? "check" : "commit",
		    STR_ARG(w->release.commit));
	const struct notify_news n = {.project_id = project_id,
	    .event = str_c(event),
	    .key = str_c(key),
	    .series = str_c(series),
	    .fields = l->v,
	    .field_count = l->n,
	    .now_ms = clock_wall_ms()};
	return notify_unit_publish(db, &n, e);
}

int news_started(struct work *w, struct store_db *db, struct err *e)
{
	struct news l = {0};
	arena_init(&l.a, NEWS_BYTES);
	put_release(w, &l);
	bool check = w->st.flow == DEPLOY_FLOW_CHECK;
	int rc = publish(
	    w, db, check ? "check.started" : "deploy.started", "start", &l, w->project.id, e);
	arena_fini(&l.a);
	return rc;
}

static void put_time(struct news *l, const char *name, int64_t wall_ms)
{
	char text[24];
	struct tm tm;
	time_t s = (time_t)(wall_ms / 1000);
	if (wall_ms > 0 && gmtime_r(&s, &tm) &&
	    strftime(text, sizeof(text), "%Y-%m-%d %H:%M UTC", &tm) > 0)
		put(l, name, arena_str(&l->a, str_c(text)));
}

static void put_certificate(struct news *l, const struct model_certificate *c)
{
	put(l, "project", c->project);
	put(l, "names", c->names);
	put(l, "issuer", c->issuer);
	put_time(l, "until", c->not_after_ms);
	put_time(l, "next", c->failures > 0 ? c->renew_ms : 0);
}

static int publish_certificate(struct store_db *db, const char *event, const char *key,
    const struct news *l, int64_t project_id, struct err *e)
{
	const struct notify_news n = {.project_id = project_id,
	    .event = str_c(event),
	    .key = str_c(key),
	    .series = STR(""),
	    .fields = l->v,
	    .field_count = l->n,
	    .now_ms = clock_wall_ms()};
	return notify_unit_publish(db, &n, e);
}

int news_certificate_of(struct store_db *db, const struct model_certificate *c, const char *event,
    int64_t now_ms, struct err *e)
{
	struct news l = {0};
	char key[96];
	arena_init(&l.a, NEWS_BYTES);
	put_certificate(&l, c);
	put(&l, "message", c->error);
	(void)snprintf(key, sizeof(key), "certificate/%" PRId64 "/%" PRId64, c->project_id, now_ms);
	int rc = publish_certificate(db, event, key, &l, c->project_id, e);
	arena_fini(&l.a);
	return rc;
}

int news_certificate(struct work *w, struct store_db *db, const char *event, struct err *e)
{
	struct news l = {0};
	char key[64];
	arena_init(&l.a, NEWS_BYTES);
	w->certificate.project = w->project.name;
	put_certificate(&l, &w->certificate);
	put_number(&l, "task", w->task.id);
	if (w->failed) {
		put(&l, "message", str_c(w->failure.msg));
		put(&l, "hint", str_c(w->failure.hint));
		put(&l, "lines", str_c(w->failure_lines ? w->failure_lines : ""));
	}
	(void)snprintf(key, sizeof(key), "task/%" PRId64 "/end", w->task.id);
	int rc = publish_certificate(db, event, key, &l, w->project.id, e);
	arena_fini(&l.a);
	return rc;
}

/* NULL: nobody is told of such an end. */
static const char *end_event(const struct work *w)
{
	bool done = w->st.outcome == DEPLOY_OUT_DONE, failed = w->st.outcome == DEPLOY_OUT_FAILED;
	if (w->in.look &&
	    w->release.commit.n == 0) /* it did not find out whether there is anything */
		return NULL;
	if (w->in.plan_only || (!done && !failed && w->st.outcome != DEPLOY_OUT_CANCELLED))
		return NULL;
	if (w->st.flow == DEPLOY_FLOW_DEPLOY)
		return done ? "deploy.succeeded" : failed ? "deploy.failed" : "deploy.cancelled";
	if (w->st.flow == DEPLOY_FLOW_CHECK)
		return done ? "check.succeeded" : failed ? "check.failed" : "check.cancelled";
	if (w->st.flow == DEPLOY_FLOW_RUN)
		return failed ? "run.failed" : NULL;
	if (w->st.flow == DEPLOY_FLOW_ROLLBACK)
		return done ? "rollback.succeeded" : failed ? "rollback.failed" : NULL;
	return w->st.flow == DEPLOY_FLOW_DESTROY && done ? "project.destroyed" : NULL;
}

int news_ended(struct work *w, struct store_db *db, struct err *e)
{
	const char *event = end_event(w);
	struct news l = {0};
	if (!event)
		return 0;
	arena_init(&l.a, NEWS_BYTES);
	put_release(w, &l);
	put(&l, "by", w->task.requested_by);
	put(&l, "warning", buf_view(&w->warning));
	if (w->st.outcome == DEPLOY_OUT_DONE && w->st.flow != DEPLOY_FLOW_CHECK)
		put(&l, "url", report_url(w, &l.a));
	if (w->st.outcome == DEPLOY_OUT_FAILED)
		put_failure(w, &l);
	/* A destroyed project's own channels went with it. */
	int64_t project = w->st.flow == DEPLOY_FLOW_DESTROY ? 0 : w->project.id;
	int rc = publish(w, db, event, "end", &l, project, e);
	arena_fini(&l.a);
	return rc;
}
