/* What follows from a hook's events, as people say and see it. Not for other rooms. */
#pragma once

#include "api/call.h"
#include "hooks/sender.h"

/* The member `actions` of the request over what was stored: the text to store, which is empty for a
 * deploy alone. ERR_INVALID. */
int api_actions_read(const struct api_call *c, const struct sender *s, struct str before,
    struct str *ret, struct err *e) WARN_UNUSED;
/* In a unit: every channel that they name is the project's and can take it. */
int api_actions_check(
    const struct api_call *c, struct store_db *db, struct str actions, struct err *e) WARN_UNUSED;
/* The member `actions` of a hook. */
void api_actions_json(struct api_call *c, const struct sender *s, struct str actions);
/* The member `actions` of an event: where each stands, and what became of its deliveries. */
int api_event_actions(
    struct api_call *c, struct store_db *db, int64_t event_id, struct err *e) WARN_UNUSED;
