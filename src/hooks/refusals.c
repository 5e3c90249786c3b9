#include "hooks/refusals.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "hooks/pace.h"

#include <stdlib.h>

#define REPORT_MS 60000

static const struct pace lines = {.per_minute = 600, .burst = 1000};

struct refusals {
	struct sources *sources;
	struct loop_timer *report;
	bool due;	 /* the timer runs */
	int64_t paced;	 /* of `lines` */
	uint64_t untold; /* had no line, whoever they came from */
};

/* A source has its own line while there is room for lines. */
static void tell_source(void *ctx, const struct cidr *from, uint32_t requests)
{
	struct refusals *r = ctx;
	char text[CIDR_TEXT_SIZE];
	if (!from || pace_take(&lines, &r->paced, clock_mono_ms()) > 0) {
		r->untold += requests;
		return;
	}
	cidr_text(from, text);
	log_event(LOG_WARN, "hooks", "refused_more", F_C("from", text),
	    F_I64("requests", (int64_t)requests),
	    F_C("why", "too many requests from this address were refused"));
}

static void report(struct refusals *r)
{
	sources_report(r->sources, tell_source, r);
	if (r->untold > 0)
		log_event(LOG_WARN, "hooks", "refused_more", F_I64("requests", (int64_t)r->untold),
		    F_C("why", "there were too many to tell of each"));
	r->untold = 0;
}

static void on_report(void *ctx)
{
	struct refusals *r = ctx;
	r->due = false;
	report(r);
}

static void report_later(struct refusals *r)
{
	if (!r->due)
		loop_timer_at(r->report, clock_mono_ms() + REPORT_MS);
	r->due = true;
}

struct refusals *refusals_new(struct loop *loop)
{
	struct refusals *r = mem_alloc(sizeof(*r));
	r->sources = sources_new();
	r->report = loop_timer_new(loop, on_report, r);
	return r;
}

void refusals_free(struct refusals *r)
{
	if (!r)
		return;
	report(r);
	loop_timer_free(r->report);
	sources_free(r->sources);
	free(r);
}

void refusals_note(struct refusals *r, struct str hook, const struct cidr_address *from,
    uint64_t request, const struct err *e)
{
	char text[CIDR_TEXT_SIZE] = "";
	if (pace_take(&lines, &r->paced, clock_mono_ms()) > 0) {
		r->untold++;
		report_later(r);
		return;
	}
	if (from)
		cidr_address_text(from, text);
	log_event(LOG_WARN, "hooks", "refused", F_STR("hook", hook), F_C("from", text),
	    F_I64("request", (int64_t)request), F_ERR(e));
}

int64_t refusals_too_many(struct refusals *r, const struct cidr_address *from)
{
	int64_t wait_ms = sources_refuse(r->sources, from, clock_mono_ms());
	if (wait_ms > 0)
		report_later(r);
	return wait_ms;
}
