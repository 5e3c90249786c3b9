/* Processes that an instance left behind, where there is no control group to name them: they are
 * found by their session, or by SLIPWAY_INSTANCE in their first environment. */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

/* SIGKILL to every process of session `session` or with SLIPWAY_INSTANCE=key that we may look at.
 * True: found some. */
bool leftovers_kill(pid_t session, const char *key);
