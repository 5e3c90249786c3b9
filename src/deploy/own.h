/* The platform's own certificates: of its host, where API, hooks and health are, by HTTP-01, ordered
 * by itself once the name leads here; and, where the operator named a DNS hook, one for all names
 * right below it (*.HOST), by DNS-01, which every project whose names it covers is served with.
 *
 * What is asked for waits in the store (model/own_certificate.h), so that it goes on after a crash;
 * one at a time, and an end that the store cannot take is kept and stored before anything else is
 * begun. Renewal, back-off and news are as with projects. Everything on the loop thread. */
#pragma once

#include "crypto/seal.h"
#include "edge/edge.h"
#include "loop/loop.h"
#include "model/own_certificate.h"
#include "notify/notify.h"
#include "outbound/outbound.h"
#include "queue/queue.h"
#include "store/store.h"

struct acme;
struct own_options { /* borrowed */
	struct loop *loop;
	struct store *store;
	struct notify *notify;
	struct edge *edge;
	struct acme *acme;
	struct outbound *outbound;
	const struct seal_key *seal;
	const char *host;	 /* the platform's */
	bool https;		 /* the edge has it */
	bool wildcard;		 /* there is a DNS hook */
	uint16_t acme_http_port; /* where an authority looks for its answers: 80 */
};
struct own;
struct own *own_new(const struct own_options *o);
/* From now on; looks for the first time a second later. */
void own_begin(struct own *o, struct queue *queue);
/* Something is wanted in the store. From any thread. */
void own_kick(struct own *o);
void own_close(
    struct own *o); /* the store is closed already, nobody kicks any more; NULL is fine */

/* What is asked for: 0, or ERR_CONFLICT, ERR_RATE with the time of the next try, ERR_SETTINGS. In a
 * unit; `row` is what there is (zeroed: nothing). */
struct own_ask {
	enum model_own which;
	struct str action; /* as in model/own_certificate.h */
	bool staging;
	const char *host;
	bool https, wildcard;
	int64_t now_ms;
};
int own_check(
    const struct own_ask *a, const struct model_own_certificate *row, struct err *e) WARN_UNUSED;
