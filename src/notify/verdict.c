#include "notify/verdict.h"

#include <stdio.h>

#include "base/rand.h"

enum { JITTER_PART = 10, RETRY_AFTER_MAX_MS = 86400000, GONE = 410 };

static bool says(const struct verdict_of *v, const struct outbound_answer *a, unsigned status)
{
	return a->outcome == OUTBOUND_ANSWERED && !v->mail && a->status == status;
}

static bool hopeless(const struct verdict_of *v, const struct outbound_answer *a)
{
	if (a->outcome == OUTBOUND_BLOCKED || a->outcome == OUTBOUND_REFUSED)
		return true;
	return says(v, a, GONE) || (a->outcome == OUTBOUND_ANSWERED && v->mail && a->status >= 500);
}

static int64_t jittered(int64_t wait_ms)
{
	int64_t part = wait_ms / JITTER_PART;
	return part ? wait_ms - part + (int64_t)rand_below(2 * (uint64_t)part + 1) : wait_ms;
}

static int64_t next_try(const struct verdict_of *v, const struct outbound_answer *a)
{
	int64_t wait = jittered(v->schedule->wait_ms[v->attempts + 1]);
	int64_t asked = (int64_t)a->retry_after_s * 1000;
	if (asked > RETRY_AFTER_MAX_MS)
		asked = RETRY_AFTER_MAX_MS;
	return v->at_ms + (asked > wait ? asked : wait);
}

static void explain(
    const struct verdict_of *v, const struct outbound_answer *a, struct verdict *ret)
{
	if (says(v, a, GONE))
		(void)snprintf(ret->why, sizeof(ret->why), "the receiver answered 410: it is gone");
	else if (a->outcome == OUTBOUND_ANSWERED && !v->mail && a->status / 100 == 3)
		(void)snprintf(ret->why, sizeof(ret->why),
		    "the receiver answered %u: redirections are not followed", a->status);
	else if (a->outcome == OUTBOUND_ANSWERED)
		(void)snprintf(ret->why, sizeof(ret->why), "the receiver answered %u%s%.*s",
		    a->status, a->text.n ? ": " : "", STR_ARG(a->text));
	else
		(void)snprintf(ret->why, sizeof(ret->why), "%s: %.*s",
		    outbound_outcome_name(a->outcome), STR_ARG(a->text));
}

void verdict_give(const struct verdict_of *v, const struct outbound_answer *a, struct verdict *ret)
{
	*ret = (struct verdict){.state = MODEL_DELIVERY_DELIVERED};
	if (a->outcome == OUTBOUND_ANSWERED && a->status / 100 == 2)
		return;
	explain(v, a, ret);
	ret->gone = says(v, a, GONE);
	bool last = v->attempts + 1 >= (int64_t)v->schedule->n;
	ret->state = last || hopeless(v, a) ? MODEL_DELIVERY_FAILED : MODEL_DELIVERY_WAITING;
	if (ret->state == MODEL_DELIVERY_WAITING)
		ret->due_ms = next_try(v, a);
}
