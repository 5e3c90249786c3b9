/* Telling people. What happened becomes one delivery for each channel that listens, in the unit of
 * what caused it; a dispatcher sends each through outbound/ until it was taken or its schedule is
 * over. At least once, always under the same id.
 *
 * Dead receivers delay nobody: each channel has lanes of its own (notify/lanes.h). After a crash what was under
 * way is sent again. */
#pragma once

#include "crypto/seal.h"
#include "loop/loop.h"
#include "notify/message.h"
#include "outbound/outbound.h"
#include "store/store.h"

/* Inside a store unit. For each channel that listens to the event (of the project, 0: none, and of
 * the platform) a delivery that is due now; `key` says what news it is: the same key again tells
 * nobody twice. `series` (may be empty): older, unsent deliveries of it are pointless once this one
 * is there. The caller then calls notify_kick. */
struct notify_news {
	int64_t project_id;
	struct str event, key, series;
	const struct message_field *fields;
	size_t field_count;
	int64_t now_ms;
	int64_t only_channel; /* for a test: this one, whatever it listens to; 0: all that listen */
	int64_t not_channel;  /* 0: none is left out */
};
int notify_unit_publish(
    struct store_db *db, const struct notify_news *n, struct err *e) WARN_UNUSED;

/* The tries of a delivery: waits before the first, second … in ms. The default is that of Standard
 * Webhooks: at once, 5 s, 5 min, 30 min, 2 h, 5 h, 10 h, 14 h, 20 h, 24 h. Each wait but 0 gets up
 * to a tenth of itself more or less; a receiver's Retry-After counts when it is later, up to a day.
 */
#define NOTIFY_TRIES_MAX 16u
struct notify_schedule {
	int64_t wait_ms[NOTIFY_TRIES_MAX];
	size_t n;
};
extern const struct notify_schedule notify_schedule_default;
/* "0s,5s,5m,…"; ERR_SETTINGS. */
int notify_schedule_parse(struct str s, struct notify_schedule *ret, struct err *e) WARN_UNUSED;

#define NOTIFY_KEPT_MS (30LL * 86400000) /* ended deliveries are kept so long */

struct notify;
struct notify_options {
	struct loop *loop;
	struct store *store;
	struct outbound *outbound;
	const struct seal_key *seal;
	const struct notify_schedule *schedule;
	/* The body of an event that a hook hands on, in the arena: 1, 0: there is none any more,
	 * -1. On the pool. */
	int (*body)(void *ctx, struct store_db *db, int64_t event_id, struct arena *a,
	    struct str *ret, struct err *e);
	void *ctx; /* of `body` */
};
/* Everything is borrowed. */
struct notify *notify_new(const struct notify_options *o);
/* What is under way is forgotten: it waits in the store. On the loop thread; outbound_free must
 * follow before the loop runs again, and nobody may kick any more. NULL is fine. */
void notify_free(struct notify *n);
/* Something may be due. From any thread; cheap; coalesced. */
void notify_kick(struct notify *n);

/* Tries since the daemon's start, by kind of receiver and how they ended, as
 * notification_delivery_total in Prometheus' text format. Any thread. */
void notify_figures_write(const struct notify *n, struct buf *out);
