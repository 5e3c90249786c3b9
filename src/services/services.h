/* What is provisioned for projects on the operator's servers: made, taken away, and told to the project's processes.
 *
 * Rows (model/service.h) say what is wanted; `make` brings the server to that and may be repeated at any time. A
 * password is made with its row, sealed, and in clear only in the caller's arena and the process's environment. */
#pragma once

#include "base/args.h"
#include "base/arena.h"
#include "crypto/seal.h"
#include "model/service.h"
#include "services/owner.h"
#include "text/manifest.h"

#define SERVICES_NAME_SIZE 64
#define SERVICES_POSTGRES "postgresql:///postgres?host=/var/run/postgresql"

struct services;
struct services_options {
	const struct seal_key *seal; /* borrowed */
	const char *postgres;	     /* URL without a password; borrowed */
	unsigned connections;	     /* of one project's role at once */
	const char *rabbitmq;	 /* as services/rabbitmq.h has it; NULL: there is none; borrowed */
	const char *rabbitmq_ca; /* NULL: the system's authorities; borrowed */
	int keys;		 /* the folder of the broker's password; borrowed */
	unsigned rabbitmq_connections, rabbitmq_queues; /* of one vhost at once */
};
struct services *services_new(const struct services_options *o);
void services_free(struct services *s);

/* In a unit: a row for it, with a new password, unless there is one. 1: added; 0: it is there; ERR_CONFLICT: of another
 * type; ERR_UNSUPPORTED: this server has none of that type. The name is checked again. */
int services_want(const struct services *s, struct store_db *db, struct arena *a,
    int64_t project_id, struct str name, enum model_service_type type, int64_t now_ms,
    struct err *e) WARN_UNUSED;

enum services_act {
	SERVICES_MAKE, /* it is there; *ret says where */
	SERVICES_DROP,
	/* of a restore: services/postgres.h. Of a broker the first makes it where it is not made yet; no other does anything */
	SERVICES_FRESH,	 /* made, and an empty one beside it */
	SERVICES_SWAP,	 /* that one in its place */
	SERVICES_BACK,	 /* what was before in its place */
	SERVICES_SETTLE, /* nothing beside it */
	SERVICES_CLEAN,	 /* nothing new beside it */
	SERVICES_ACT_COUNT
};
/* On a pool thread; blocks, one of each type at a time. `ret` is filled by MAKE and FRESH. */
int services_do(struct services *s, enum services_act act, struct str project,
    const struct model_service *v, struct services_place *ret, struct err *e) WARN_UNUSED;

/* How a project reaches it. In the arena. */
struct services_access {
	struct str url, host, user, password;
	struct str within; /* database or vhost */
	int64_t port;
};
int services_access(const struct services *s, struct arena *a, struct str project,
    const struct model_service *v, struct services_access *ret, struct err *e) WARN_UNUSED;
/* The variables of all that are made, in the arena: NAME_URL of each; of the oldest database also DATABASE_URL, PGHOST,
 * PGPORT, PGUSER, PGPASSWORD and PGDATABASE; of the oldest broker AMQP_URL and CELERY_BROKER_URL. */
int services_env(const struct services *s, struct arena *a, struct str project,
    const struct model_services *all, struct manifest_pair **ret, size_t *ret_count,
    struct err *e) WARN_UNUSED;
/* Archives hold a dump of it, and a restore brings that back. */
bool services_is_dumped(enum model_service_type type);
/* For slipway-tree, which dumps and brings back (tree/dump.h): PGHOST_NAME … of each, all of them such as
 * are dumped; `fresh`: of the one beside. */
int services_tool_env(const struct services *s, struct arena *a, struct str project,
    const struct model_services *all, bool fresh, struct args *ret, struct err *e) WARN_UNUSED;
/* "sw-shop_db": what it is called on its server. No project's name holds a '_', so no two are the same. */
void services_name(struct str project, struct str service, char out[SERVICES_NAME_SIZE]);
