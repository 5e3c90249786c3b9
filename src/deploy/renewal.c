#include "deploy/renewal.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "deploy/work.h"
#include "model/site_certificate.h"

#define FIRST_MS 1000
#define AGAIN_MS (6 * 3600 * (int64_t)1000) /* for a task that never says how it went */
#define DAY_MS (24 * 3600 * (int64_t)1000)
#define WARN_DAYS 14
#define ARENA_BYTES (1u << 20)

struct renewal {
	struct renewal_options o;
	struct loop_timer *timer;
	bool closing, under_way;
	size_t count;
	int rc;
	struct err e;
};

static int order(
    struct store_db *db, const struct model_certificate *c, int64_t now_ms, struct err *e)
{
	int64_t task;
	char input[NAME_SITE_MAX + 64];
	bool again = c->site.n == 0 || c->origin != MODEL_ORIGIN_NONE;
	(void)snprintf(input, sizeof(input),
	    c->site.n ? "{\"action\":\"%s\",\"site\":\"%.*s\"}" : "{\"action\":\"%s\"}",
	    again ? "renew" : "issue", STR_ARG(c->site));
	const struct queue_order q = {.project_id = c->project_id,
	    .kind = MODEL_TASK_CERTIFICATE,
	    .ref = STR(""),
	    .input_json = str_c(input),
	    .requested_by = STR("schedule"),
	    .now_ms = now_ms};
	return queue_unit_order(db, &q, &task, e);
}

/* Less than a quarter of its life, or two weeks, is left: the renewal at two thirds did not happen.
 */
bool renewal_ends_soon(const struct model_certificate *c, int64_t now_ms)
{
	int64_t quarter = (c->not_after_ms - c->not_before_ms) / 4, limit = WARN_DAYS * DAY_MS;
	return c->not_after_ms - now_ms < (quarter < limit ? quarter : limit);
}

static int order_all(struct store_db *db, const struct model_certificates *due, int64_t now_ms,
    size_t *ret_count, struct err *e)
{
	for (size_t i = 0; i < due->n; i++)
		if (order(db, &due->v[i], now_ms, e) < 0)
			return -1;
	*ret_count += due->n;
	return 0;
}

static int tell_ending(
    struct store_db *db, const struct model_certificates *ending, int64_t now_ms, struct err *e)
{
	for (size_t i = 0; i < ending->n; i++)
		if (renewal_ends_soon(&ending->v[i], now_ms) &&
		    news_certificate_of(db, &ending->v[i], "certificate.expiring", now_ms, e) < 0)
			return -1;
	return 0;
}

int renewal_unit(struct store_db *db, int64_t now_ms, size_t *ret_count, struct err *e)
{
	CLEANUP_ARENA struct arena a;
	struct model_certificates own, sites;
	int64_t again = now_ms + AGAIN_MS, until = now_ms + WARN_DAYS * DAY_MS,
		before = now_ms - DAY_MS;
	arena_init(&a, ARENA_BYTES);
	*ret_count = 0;
	if (model_certificate_set_back(db, now_ms, e) < 0 ||
	    model_site_certificate_set_back(db, now_ms, e) < 0)
		return -1;
	if (model_certificate_take_due(db, &a, now_ms, again, RENEWAL_AT_ONCE, &own, e) < 0 ||
	    model_site_certificate_take_due(db, &a, now_ms, again, RENEWAL_AT_ONCE, &sites, e) <
		0 ||
	    order_all(db, &own, now_ms, ret_count, e) < 0 ||
	    order_all(db, &sites, now_ms, ret_count, e) < 0)
		return -1;
	if (model_certificate_take_ending(db, &a, now_ms, until, before, &own, e) < 0 ||
	    model_site_certificate_take_ending(db, &a, now_ms, until, before, &sites, e) < 0)
		return -1;
	return tell_ending(db, &own, now_ms, e) < 0 ? -1 : tell_ending(db, &sites, now_ms, e);
}

static int look_unit(void *ctx, struct store_db *db, struct err *e)
{
	struct renewal *r = ctx;
	return renewal_unit(db, clock_wall_ms(), &r->count, e);
}

static void look_back(void *ctx)
{
	struct renewal *r = ctx;
	r->under_way = false;
	if (r->closing) {
		mem_free_ptr(&r);
		return;
	}
	if (r->rc != 0)
		log_event(LOG_WARN, "deploy", "renewal_failed", F_ERR(&r->e));
	else if (r->count > 0)
		queue_kick(r->o.queue);
	if (r->o.notify)
		notify_kick(r->o.notify);
	loop_timer_at(r->timer, clock_mono_ms() + RENEWAL_EVERY_MS);
}

static void look_done(void *ctx, int rc, const struct err *e)
{
	struct renewal *r = ctx;
	r->rc = rc;
	if (rc != 0)
		r->e = *e;
	loop_post(r->o.loop, look_back, r);
}

static void look(void *ctx)
{
	struct renewal *r = ctx;
	struct err e;
	r->under_way = true;
	if (store_submit(r->o.store, look_unit, look_done, r, &e) != 0)
		look_done(r, -1, &e);
}

struct renewal *renewal_open(const struct renewal_options *o)
{
	struct renewal *r = mem_alloc(sizeof(*r));
	*r = (struct renewal){.o = *o};
	r->timer = loop_timer_new(o->loop, look, r);
	loop_timer_at(r->timer, clock_mono_ms() + FIRST_MS);
	return r;
}

void renewal_close(struct renewal *r)
{
	if (!r)
		return;
	loop_timer_free(r->timer);
	r->closing = true;
	if (!r->under_way)
		mem_free_ptr(&r);
}
