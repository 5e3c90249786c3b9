/* Figures of deliveries in Prometheus' text format (exposition format 0.0.4), counted since the
 * daemon's start: webhook_requests_total, webhook_request_duration_seconds,
 * webhook_auth_failures_total and webhook_active_connections, as the documents of this kind of
 * service name them. Labels come from closed sets: source_type is a sender of hooks/sender.h, or
 * "unknown" where no hook has that name; endpoint is the route. Any thread. */
#pragma once

#include "base/buf.h"
#include "base/err.h"
#include "hooks/sender.h"

/* Why nobody was believed; the first five are those of sender.h. */
enum figures_failure {
	FIGURES_MISSING = SENDER_MISSING,
	FIGURES_MALFORMED = SENDER_MALFORMED,
	FIGURES_STALE = SENDER_STALE,
	FIGURES_WRONG = SENDER_WRONG,
	FIGURES_ADDRESS = SENDER_VERDICT_COUNT, /* the hook takes nothing from there */
	FIGURES_UNKNOWN,			/* there is no such hook */
	FIGURES_FAILURE_COUNT
};

/* One request, from its head to its answer. */
struct figures_span {
	size_t endpoint, sender;
	int64_t begun_us;
};

/* sender NULL: unknown. Its series are shown from now on, at 0 where nothing happened: an alert
 * cannot see the first rise of a series that was not there. */
void figures_show(const struct sender *sender);
/* endpoint: the pattern of the request's route. */
struct figures_span figures_begin(const struct sender *sender, const char *endpoint);
void figures_failed(const struct figures_span *s, enum figures_failure why);
/* Each request that was refused, by its reason: slipway_hook_refusals_total. */
void figures_refused(enum err_code why);
/* One that was refused before anybody knew whose it is: its body was too large, too slow, broken, or had no room. */
void figures_turned_away(const char *endpoint, const struct err *e);
/* Once per span, before the answer goes: who has it may look. */
void figures_answered(const struct figures_span *s, int status);

void figures_write(struct buf *out);
