/* Answers kept under a client's Idempotency-Key, per operator. */
#pragma once

#include "base/arena.h"
#include "store/store.h"

struct model_idempotency {
	int64_t operator_id; /* 0: root over the Unix socket */
	struct str key, route;
	struct str request_hash; /* SHA-256 over method, path and body */
	int status;		 /* 0: still being worked on */
	struct str body;	 /* any bytes: the caller may have sealed it */
	int64_t at_ms;
};
/* 1: new and reserved, go on and finish it; 0: known, *ret has the answer (status 0: in progress;
 * an unfinished one older than stale_ms is reserved anew). ERR_CONFLICT when the key was used for
 * another request. */
int model_idempotency_begin(struct store_db *db, struct arena *a, const struct model_idempotency *i,
    int64_t stale_ms, struct model_idempotency *ret, struct err *e) WARN_UNUSED;
/* In the same unit as the effect itself, so that both are durable or neither. */
int model_idempotency_finish(struct store_db *db, int64_t operator_id, struct str key, int status,
    struct str body, struct err *e) WARN_UNUSED;
/* The work failed in a way that a repeat may cure: forget the reservation. */
int model_idempotency_drop(
    struct store_db *db, int64_t operator_id, struct str key, struct err *e) WARN_UNUSED;
int model_idempotency_prune(struct store_db *db, int64_t before_ms, struct err *e) WARN_UNUSED;
