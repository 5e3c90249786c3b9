/* Output of projects: LOGS/NAME/PROCESS.log and .log.1 (LIMIT_LOG_BYTES together), one line each:
 *   time(RFC 3339) " " release "." instance " " text (control bytes escaped) "\n"
 * Kept across releases and crashes, removed with the project. Appends on the loop thread; reads
 * anywhere. */
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "observe/feed.h"

struct logs;
struct logs *logs_open(const char *dir, struct feed *feed, struct err *e);
void logs_close(struct logs *l);
/* Appends and publishes on "logs/PROJECT". Never fails for the caller: what cannot be written is
 * counted. */
void logs_append(struct logs *l, struct str project, uint32_t release, struct str process,
    uint16_t instance, struct str line);

struct logs_line {
	int64_t at_ms;
	uint32_t release;
	uint16_t instance;
	uint32_t order; /* among lines of one millisecond and process */
	struct str process, text;
};
struct logs_query {
	struct str project, process; /* process empty: all */
	uint32_t release;	     /* 0: all */
	struct str contains;
	int64_t since_ms;
	uint32_t tail; /* newest lines, 1..10,000 */
};
/* In time order. */
int logs_read(struct logs *l, const struct logs_query *q, struct arena *a, struct logs_line **ret,
    size_t *ret_count, struct err *e) WARN_UNUSED;
/* Ends the watches of "logs/PROJECT" ("end") and forgets its messages. On the loop. */
int logs_remove(struct logs *l, struct str project, struct err *e) WARN_UNUSED;
