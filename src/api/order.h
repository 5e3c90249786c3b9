/* Ordering work of the queue. Not for other rooms. */
#pragma once

#include "api/call.h"
#include "model/task.h"

struct api_order {
	enum model_task_kind kind;
	struct str ref;	  /* may be empty */
	struct str input; /* JSON, as in queue/queue.h */
};
/* Inside a unit: orders it for the subject's project, writes the audit record with the input as its
 * detail; the queue is woken once that is durable. */
int api_order_unit(struct api_call *c, struct store_db *db, const struct api_order *o,
    int64_t *ret_task_id, struct err *e) WARN_UNUSED;
/* The same as a whole call: a unit whose answer is {"task": id}. */
int api_order(struct api_call *c, const struct api_order *o, struct err *e) WARN_UNUSED;
/* When something is live: orders that for it. *ret_task_id 0: nothing is. */
int api_order_live_unit(struct api_call *c, struct store_db *db, enum model_task_kind kind,
    int64_t *ret_task_id, struct err *e) WARN_UNUSED;
/* The same after a change that the edge must hear of. */
int api_order_edge_unit(
    struct api_call *c, struct store_db *db, int64_t *ret_task_id, struct err *e) WARN_UNUSED;
