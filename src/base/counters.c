#include "base/counters.h"

#include <assert.h>

static const struct {
	const char *name, *help;
} table[COUNTER_COUNT] = {
    [COUNTER_HTTP_REQUESTS] = {"slipway_http_requests_total", "HTTP requests answered."},
    [COUNTER_HTTP_MALFORMED] = {"slipway_http_malformed_total",
	"HTTP requests refused as malformed."},
    [COUNTER_HTTP_OVERLOAD] = {"slipway_http_overload_total",
	"HTTP requests refused for lack of room."},
    [COUNTER_HOOK_ACCEPTED] = {"slipway_hook_accepted_total", "Hook deliveries stored."},
    [COUNTER_HOOK_REPEATED] = {"slipway_hook_repeated_total",
	"Hook deliveries that were stored before."},
    [COUNTER_HOOK_REFUSED] = {"slipway_hook_refused_total", "Hook deliveries refused."},
    [COUNTER_STORE_COMMITS] = {"slipway_store_commits_total", "Commits of the store."},
    [COUNTER_STORE_UNITS] = {"slipway_store_units_total",
	"Units of work that the store committed."},
    [COUNTER_JOURNAL_SYNCS] = {"slipway_journal_syncs_total",
	"Groups of events that the journal made durable."},
    [COUNTER_JOURNAL_DRAINED] = {"slipway_journal_drained_total",
	"Events that went from the journal into the store."},
    [COUNTER_TASKS_DONE] = {"slipway_tasks_done_total", "Tasks that succeeded."},
    [COUNTER_TASKS_FAILED] = {"slipway_tasks_failed_total", "Tasks that failed."},
    [COUNTER_LOG_LINES] = {"slipway_log_lines_total",
	"Lines collected from processes of projects."},
    [COUNTER_LOG_DROPPED_BYTES] = {"slipway_log_dropped_bytes_total",
	"Bytes of process output that were dropped."},
};

static _Atomic uint64_t value[COUNTER_COUNT];

void counter_add(enum counter c, uint64_t n)
{
	assert((unsigned)c < COUNTER_COUNT);
	atomic_fetch_add_explicit(&value[c], n, memory_order_relaxed);
}

uint64_t counter_get(enum counter c)
{
	assert((unsigned)c < COUNTER_COUNT);
	return atomic_load_explicit(&value[c], memory_order_relaxed);
}

const char *counter_name(enum counter c)
{
	assert((unsigned)c < COUNTER_COUNT);
	return table[c].name;
}

const char *counter_help(enum counter c)
{
	assert((unsigned)c < COUNTER_COUNT);
	return table[c].help;
}
