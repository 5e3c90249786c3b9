/* Carries on the actions of events (hooks/action.h, model/action.h): begins what waits, and ends
 * what has ended, inside a unit of the store. So an action is begun once, whatever happens in
 * between: its beginning and the mark of it are one transaction. */
#pragma once

#include "queue/intake.h"

/* At most 100 of each at a time, and none is begun any more once some 20 ms have passed; *ret_more:
 * there may be more. *ret_told: deliveries were made. What one event's body that cannot be read
 * keeps from being done fails alone; an error is the store's. */
int advance_unit(struct intake *in, struct store_db *db, int64_t now_ms, bool *ret_more,
    bool *ret_told, struct err *e) WARN_UNUSED;
/* The body of an event, wherever it is kept, in the arena. 1/0 (there is no such event any
 * more)/-1. Not on the loop: it reads the disk. */
int advance_body(struct intake *in, struct store_db *db, int64_t event_id, struct arena *a,
    struct model_event *ret, struct str *ret_body, struct err *e) WARN_UNUSED;
