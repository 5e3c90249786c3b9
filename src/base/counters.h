/* Named counters that any thread may add to and the metrics page reads. */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

enum counter {
	COUNTER_HTTP_REQUESTS,
	COUNTER_HTTP_MALFORMED,
	COUNTER_HTTP_OVERLOAD,
	COUNTER_HOOK_ACCEPTED,
	COUNTER_HOOK_REPEATED,
	COUNTER_HOOK_REFUSED,
	COUNTER_STORE_COMMITS,
	COUNTER_STORE_UNITS,
	COUNTER_JOURNAL_SYNCS,
	COUNTER_JOURNAL_DRAINED,
	COUNTER_TASKS_DONE,
	COUNTER_TASKS_FAILED,
	COUNTER_LOG_LINES,
	COUNTER_LOG_DROPPED_BYTES,
	COUNTER_COUNT
};

void counter_add(enum counter c, uint64_t n);
uint64_t counter_get(enum counter c);
const char *counter_name(enum counter c); /* "slipway_http_requests_total" */
const char *counter_help(enum counter c);
