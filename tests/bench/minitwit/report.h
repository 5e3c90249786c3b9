/* What was measured: counts, latencies, the versions that answered; as text and as JSON. */
#pragma once

#include "load.h"

enum failure { FAIL_CONNECT, FAIL_CLOSED, FAIL_CUT, FAIL_TIMEOUT, FAIL_COUNT };

/* An answer that came, right or wrong, so many µs after its request was due. */
void report_answer(enum kind kind, int64_t us, bool right);
void report_failure(enum failure f);
/* The header X-MiniTwit-Version of an answer. Answers to requests that began after another version
 * had answered belong to a new reign; those that began before may still come from the old one. */
void report_version(const struct request *r, const char *version, size_t n);
void report_clear(void); /* what the phases before have counted */
/* The simulator's phase is over. */
void report_phase_end(double seconds);
void report_progress(void);
void report_mark(const char *what); /* a line of progress */
/* Prints the text, writes the JSON when o.json says where. True when nothing was wrong, late or
 * missing. */
bool report_end(double audit_seconds);
