/* A call's thread waits for what the loop finds out. The loop may never answer (it ended), and an answer may come when
 * nobody waits any more: whoever is last frees it.
 *
 * Embedded as the first member of what both share, which was made with mem_alloc. */
#pragma once

#include "api/call.h"
#include "priv/priv.h"

#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct api_wait {
	sem_t answered;
	atomic_int holders;
};
void api_wait_init(struct api_wait *w);
/* On the loop, once: the answer stands in what is shared, which is not touched after this. */
void api_wait_answer(struct api_wait *w);
/* On the call's thread: false when no answer came in time. Then, or when it was read, api_wait_release. */
bool api_wait_for(struct api_wait *w, int64_t limit_ms);
void api_wait_release(struct api_wait *w);

/* One request to the helper, and its answer; ERR_UNAVAILABLE when none came in time. */
int api_ask_helper(const struct api_call *c, const struct priv_request *q, int64_t limit_ms,
    struct err *e) WARN_UNUSED;
