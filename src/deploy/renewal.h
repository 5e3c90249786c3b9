/* The clock for certificates: those at two thirds of their life, or whose pause after a failure is
 * over, get a task; people are told of those that end soon, once a day. On the loop thread. */
#pragma once

#include "loop/loop.h"
#include "model/certificate.h"
#include "notify/notify.h"
#include "queue/queue.h"
#include "store/store.h"

#define RENEWAL_EVERY_MS (60 * 1000)
#define RENEWAL_AT_ONCE 16u

struct renewal;
struct renewal_options { /* borrowed */
	struct loop *loop;
	struct store *store;
	struct queue *queue;
	struct notify *notify;
};
struct renewal *renewal_open(
    const struct renewal_options *o); /* looks for the first time a second later */
void renewal_close(struct renewal
	*r); /* the store is closed already, or nothing of it is under way; NULL is fine */

/* Less than a quarter of its life, or two weeks, is left: people are told. */
bool renewal_ends_soon(const struct model_certificate *c, int64_t now_ms);
/* One look, in a unit: how many tasks it made. */
int renewal_unit(struct store_db *db, int64_t now_ms, size_t *ret_count, struct err *e) WARN_UNUSED;
