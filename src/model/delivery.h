/* Deliveries: one message for one channel, kept until it was taken or given up, with each try. */
#pragma once

#include "base/arena.h"
#include "model/viewer.h"
#include "store/store.h"

enum model_delivery_state {
	MODEL_DELIVERY_WAITING, /* due_ms says when it is tried (again) */
	MODEL_DELIVERY_DELIVERED,
	MODEL_DELIVERY_FAILED,	   /* given up */
	MODEL_DELIVERY_SUPERSEDED, /* a newer one of its series is told instead */
	MODEL_DELIVERY_STATE_COUNT
};
const char *model_delivery_state_name(enum model_delivery_state s);

struct model_delivery {
	int64_t id, channel_id;
	struct str channel; /* its name, when read */
	struct str key; /* unique per channel and recipient: the same news is told once */
	struct str recipient; /* whom of a mail channel's; empty: all that the channel names */
	struct str event; /* "deploy.failed" */
	struct str
	    series; /* newer ones of the same series make older ones pointless; empty: none */
	struct str message; /* JSON, notify/message.h */
	enum model_delivery_state state;
	int64_t attempts, due_ms, created_ms, ended_ms, last_status;
	struct str last_error;
};
struct model_deliveries {
	struct model_delivery *v;
	size_t n;
	bool more;
};

/* Uses channel_id, key, recipient, event, series, message, due_ms, created_ms. 1: new, 0: that key is known.
 */
int model_delivery_add(struct store_db *db, const struct model_delivery *d, int64_t *ret_id,
    struct err *e) WARN_UNUSED;
int model_delivery_get(struct store_db *db, struct arena *a, int64_t channel_id, int64_t id,
    struct model_delivery *ret, struct err *e) WARN_UNUSED; /* 1/0/-1 */
/* Newest first, of one channel, whose viewer was checked. */
int model_delivery_list(struct store_db *db, struct arena *a, int64_t channel_id,
    struct model_page page, struct model_deliveries *ret, struct err *e) WARN_UNUSED;

/* The same news for the project's own channels, whose viewer was checked. */
int model_delivery_by_key(struct store_db *db, struct arena *a, int64_t project_id, struct str key,
    struct model_deliveries *ret, struct err *e) WARN_UNUSED;

/* Channels with something waiting, and when its first is due, soonest first. */
struct model_delivery_lane {
	int64_t channel_id, due_ms;
};
struct model_delivery_lanes {
	struct model_delivery_lane *v;
	size_t n;
};
int model_delivery_lanes(struct store_db *db, struct arena *a, struct model_delivery_lanes *ret,
    struct err *e) WARN_UNUSED;
/* What is due of a channel, the longest waiting first. */
int model_delivery_due(struct store_db *db, struct arena *a, int64_t channel_id, int64_t now_ms,
    uint32_t limit, struct model_deliveries *ret, struct err *e) WARN_UNUSED;
/* 1 when a newer delivery of its series is there. 0/-1. */
int model_delivery_outdated(
    struct store_db *db, const struct model_delivery *d, struct err *e) WARN_UNUSED;

/* What the receiver calls the series, as a try of it found out: 1/0/-1. */
int model_delivery_remote(struct store_db *db, const struct model_delivery *d, int64_t *ret_id,
    struct err *e) WARN_UNUSED;

/* One try has ended. */
struct model_delivery_try {
	int64_t delivery_id, at_ms, ms, status;
	int64_t remote_id; /* what the receiver calls the series; 0: nothing new is known */
	struct str error;
	enum model_delivery_state state; /* after it */
	int64_t due_ms;			 /* of the next; state waiting */
};
int model_delivery_tried(struct store_db *db, const struct model_delivery_try *t,
    struct err *e) WARN_UNUSED; /* 1/0/-1 */
struct model_delivery_tries {
	struct model_delivery_try *v;
	size_t n;
};
int model_delivery_try_list(struct store_db *db, struct arena *a, int64_t delivery_id,
    struct model_delivery_tries *ret, struct err *e) WARN_UNUSED;
/* To be sent again, from the first try on, under the same key. 1/0/-1. */
int model_delivery_replay(
    struct store_db *db, int64_t id, int64_t now_ms, struct err *e) WARN_UNUSED;
/* A clock that was set back makes nobody wait for its old time: what was made after `now_ms` and never
 * tried is due, and what is due after `far_ms`. */
int model_delivery_set_back(
    struct store_db *db, int64_t now_ms, int64_t far_ms, struct err *e) WARN_UNUSED;
/* Ended ones before a time go, at most `limit`: how many did, or -1. */
int model_delivery_prune(
    struct store_db *db, int64_t ended_before_ms, uint32_t limit, struct err *e) WARN_UNUSED;
