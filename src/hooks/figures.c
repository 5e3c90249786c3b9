#include "hooks/figures.h"

#include "base/clock.h"

#include <assert.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <string.h>

/* Sender 0: no such hook; n + 1: the n-th. */
enum { UNKNOWN, SENDERS_MAX = 24, STATUS_MIN = 200, STATUS_END = 600 };

/* The routes that lead to hooks; the first is every hook's. */
static const struct {
	const char *pattern, *method;
} endpoints[] = {{"/hooks/{hook}", "POST"}, {"/github-webhook", "POST"},
    {"/webhooks/{secret}/", "POST"}, {"/webhooks/{secret}/test/", "GET"}, {"/webhook", "POST"},
    {"/webhook/particle", "POST"}};
enum { ENDPOINTS = sizeof(endpoints) / sizeof(*endpoints) };

/* Upper bounds in us, and as they are written. */
static const struct {
	int64_t us;
	const char *le;
} buckets[] = {{500, "0.0005"}, {1000, "0.001"}, {2500, "0.0025"}, {5000, "0.005"}, {10000, "0.01"},
    {25000, "0.025"}, {50000, "0.05"}, {75000, "0.075"}, {100000, "0.1"}, {250000, "0.25"},
    {500000, "0.5"}, {750000, "0.75"}, {1000000, "1.0"}, {2500000, "2.5"}, {5000000, "5.0"},
    {7500000, "7.5"}, {10000000, "10.0"}};
enum { BUCKETS = sizeof(buckets) / sizeof(*buckets) };

static const char *const failure_names[FIGURES_FAILURE_COUNT] = {
    [FIGURES_MISSING] = "missing_signature",
    [FIGURES_MALFORMED] = "malformed_signature",
    [FIGURES_STALE] = "stale_timestamp",
    [FIGURES_WRONG] = "invalid_signature",
    [FIGURES_ADDRESS] = "address_not_allowed",
    [FIGURES_UNKNOWN] = "unknown_hook",
};

static const struct {
	enum err_code code;
	const char *reason;
} refusal_names[] = {{ERR_UNAUTHORIZED, "proof"}, {ERR_FORBIDDEN, "address"},
    {ERR_NOT_FOUND, "unknown_hook"}, {ERR_RATE, "limited"}, {ERR_UNSUPPORTED, "content_type"},
    {ERR_INVALID, "malformed"}, {ERR_TOO_LARGE, "too_large"}, {ERR_UNAVAILABLE, "no_room"},
    {ERR_NO_SPACE, "disk_full"}, {ERR_TIMEOUT, "slow"}, {ERR_NONE, "other"}};
enum { REFUSALS = sizeof(refusal_names) / sizeof(*refusal_names) };

typedef _Atomic uint64_t count;

static struct series {
	atomic_bool shown;
	count answers[STATUS_END - STATUS_MIN];
	count took[BUCKETS + 1], took_us; /* each request in one bucket; the last: longer */
} all[ENDPOINTS][SENDERS_MAX] = {{[UNKNOWN] = {.shown = true}}};
static struct {
	atomic_bool shown;
	count failures[FIGURES_FAILURE_COUNT];
} senders[SENDERS_MAX] = {[UNKNOWN] = {.shown = true}};
static _Atomic int64_t active;
static count refusals[REFUSALS];

static size_t number_of(const struct sender *sender)
{
	for (size_t n = 0; sender && sender_at(n); n++)
		if (sender_at(n) == sender)
			return n + 1;
	return UNKNOWN;
}

static size_t endpoint_of(const char *pattern)
{
	size_t n = 0;
	while (n < ENDPOINTS && strcmp(endpoints[n].pattern, pattern) != 0)
		n++;
	assert(n < ENDPOINTS);
	return n;
}

static void one_more(count *c)
{
	atomic_fetch_add_explicit(c, 1, memory_order_relaxed);
}

static uint64_t get(const count *c)
{
	return atomic_load_explicit(c, memory_order_relaxed);
}

static void show(size_t endpoint, size_t sender)
{
	assert(sender < SENDERS_MAX);
	atomic_store_explicit(&all[endpoint][sender].shown, true, memory_order_relaxed);
	atomic_store_explicit(&senders[sender].shown, true, memory_order_relaxed);
}

void figures_show(const struct sender *sender)
{
	show(0, number_of(sender));
}

struct figures_span figures_begin(const struct sender *sender, const char *endpoint)
{
	struct figures_span s = {.endpoint = endpoint_of(endpoint),
	    .sender = number_of(sender),
	    .begun_us = clock_mono_us()};
	show(s.endpoint, s.sender);
	atomic_fetch_add(&active, 1);
	return s;
}

void figures_failed(const struct figures_span *s, enum figures_failure why)
{
	assert(why < FIGURES_FAILURE_COUNT && failure_names[why]);
	one_more(&senders[s->sender].failures[why]);
}

void figures_refused(enum err_code why)
{
	size_t i = 0;
	while (i < REFUSALS - 1 && refusal_names[i].code != why)
		i++;
	one_more(&refusals[i]);
}

void figures_turned_away(const char *endpoint, const struct err *e)
{
	struct figures_span s = figures_begin(NULL, endpoint);
	figures_refused(e->code);
	/* a body that came too slowly is the sender's: 408, where elsewhere a time limit is 504 */
	figures_answered(&s, e->code == ERR_TIMEOUT ? 408 : err_class_of(e->code)->http_status);
}

void figures_answered(const struct figures_span *s, int status)
{
	int64_t us = clock_mono_us() - s->begun_us;
	size_t i = 0;
	assert(status >= STATUS_MIN && status < STATUS_END);
	while (i < BUCKETS && us > buckets[i].us)
		i++;
	struct series *of = &all[s->endpoint][s->sender];
	one_more(&of->answers[status - STATUS_MIN]);
	one_more(&of->took[i]);
	atomic_fetch_add_explicit(&of->took_us, (uint64_t)us, memory_order_relaxed);
	atomic_fetch_sub(&active, 1);
}

/* --- the text --- */

static const char *type_of(size_t sender)
{
	return sender == UNKNOWN ? "unknown" : sender_at(sender - 1)->name;
}

/* The labels that every series has. */
static void labels(size_t endpoint, size_t sender, struct buf *out)
{
	buf_printf(out, "endpoint=\"%s\",source_type=\"%s\"", endpoints[endpoint].pattern,
	    type_of(sender));
}

/* What alerts ask for stands there before it happens. */
static bool is_asked_for(int status)
{
	return status == 202 || status == 500 || status == 503;
}

static void requests_write(size_t endpoint, size_t sender, struct buf *out)
{
	for (int status = STATUS_MIN; status < STATUS_END; status++) {
		uint64_t n = get(&all[endpoint][sender].answers[status - STATUS_MIN]);
		if (n == 0 && !is_asked_for(status))
			continue;
		buf_printf(
		    out, "webhook_requests_total{method=\"%s\",", endpoints[endpoint].method);
		labels(endpoint, sender, out);
		buf_printf(out, ",status_code=\"%d\"} %" PRIu64 "\n", status, n);
	}
}

static void durations_write(size_t endpoint, size_t sender, struct buf *out)
{
	static const char name[] = "webhook_request_duration_seconds";
	const struct series *of = &all[endpoint][sender];
	uint64_t n = 0, us = get(&of->took_us);
	for (size_t i = 0; i <= BUCKETS; i++) {
		n += get(&of->took[i]);
		buf_printf(out, "%s_bucket{", name);
		labels(endpoint, sender, out);
		buf_printf(
		    out, ",le=\"%s\"} %" PRIu64 "\n", i < BUCKETS ? buckets[i].le : "+Inf", n);
	}
	buf_printf(out, "%s_sum{", name);
	labels(endpoint, sender, out);
	buf_printf(out, "} %" PRIu64 ".%06" PRIu64 "\n%s_count{", us / 1000000, us % 1000000, name);
	labels(endpoint, sender, out);
	buf_printf(out, "} %" PRIu64 "\n", n);
}

static void head_write(struct buf *out, const char *name, const char *type, const char *help)
{
	buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void series_write(struct buf *out, void (*write)(size_t, size_t, struct buf *))
{
	for (size_t endpoint = 0; endpoint < ENDPOINTS; endpoint++)
		for (size_t sender = 0; sender < SENDERS_MAX; sender++)
			if (atomic_load(&all[endpoint][sender].shown))
				write(endpoint, sender, out);
}

/* That there is no such hook is nobody's but the unknown's, who has nothing else. */
static void failures_write(struct buf *out)
{
	head_write(out, "webhook_auth_failures_total", "counter",
	    "Requests to hooks that were not believed.");
	for (size_t sender = 0; sender < SENDERS_MAX; sender++)
		for (int why = 0; why < FIGURES_FAILURE_COUNT; why++)
			if (failure_names[why] && atomic_load(&senders[sender].shown) &&
			    (sender == UNKNOWN) == (why == FIGURES_UNKNOWN))
				buf_printf(out,
				    "webhook_auth_failures_total{source_type=\"%s\",failure_reason="
				    "\"%s\"} %" PRIu64 "\n",
				    type_of(sender), failure_names[why],
				    get(&senders[sender].failures[why]));
}

static void refusals_write(struct buf *out)
{
	head_write(out, "slipway_hook_refusals_total", "counter",
	    "Requests to hooks that were refused, by reason.");
	for (size_t i = 0; i < REFUSALS; i++)
		buf_printf(out, "slipway_hook_refusals_total{reason=\"%s\"} %" PRIu64 "\n",
		    refusal_names[i].reason, get(&refusals[i]));
}

void figures_write(struct buf *out)
{
	refusals_write(out);
	head_write(
	    out, "webhook_requests_total", "counter", "Requests to hooks, by answer and sender.");
	series_write(out, requests_write);
	head_write(out, "webhook_request_duration_seconds", "histogram",
	    "From a request's body to its answer.");
	series_write(out, durations_write);
	failures_write(out);
	head_write(out, "webhook_active_connections", "gauge",
	    "Requests to hooks that wait for their answer.");
	buf_printf(out, "webhook_active_connections %" PRId64 "\n", atomic_load(&active));
}
