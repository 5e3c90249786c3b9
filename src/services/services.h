/* What is provisioned for projects on the operator's servers: made, taken away, and told to the project's processes.
 *
 * Rows (model/service.h) say what is wanted; `make` brings the server to that and may be repeated at any time. A
 * password is made with its row, sealed, and in clear only in the caller's arena and the process's environment. */
#pragma once

#include "base/arena.h"
#include "crypto/seal.h"
#include "model/service.h"
#include "text/manifest.h"

#define SERVICES_HOST_SIZE 256
#define SERVICES_POSTGRES "postgresql:///postgres?host=/var/run/postgresql"

struct services;
struct services_options {
	const struct seal_key *seal; /* borrowed */
	const char *postgres;	     /* URL without a password; borrowed */
	unsigned connections;	     /* of one project's role at once */
};
struct services *services_new(const struct services_options *o);
void services_free(struct services *s);

/* In a unit: a row for it, with a new password, unless there is one. 1: added; 0: it is there; ERR_CONFLICT: of another
 * type. The name is checked again. */
int services_want(const struct services *s, struct store_db *db, struct arena *a,
    int64_t project_id, struct str name, enum model_service_type type, int64_t now_ms,
    struct err *e) WARN_UNUSED;

struct services_place {
	char host[SERVICES_HOST_SIZE];
	uint16_t port;
	bool fresh; /* it was made now */
};
/* On a pool thread; blocks, one at a time. */
int services_make(struct services *s, struct str project, const struct model_service *v,
    struct services_place *ret, struct err *e) WARN_UNUSED;
int services_drop(struct services *s, struct str project, const struct model_service *v,
    struct err *e) WARN_UNUSED;

/* How a project reaches it. In the arena. */
struct services_access {
	struct str url, host, user, password, database;
	int64_t port;
};
int services_access(const struct services *s, struct arena *a, struct str project,
    const struct model_service *v, struct services_access *ret, struct err *e) WARN_UNUSED;
/* The variables of all that are made, in the arena: NAME_URL of each; of the oldest database also DATABASE_URL, PGHOST,
 * PGPORT, PGUSER, PGPASSWORD and PGDATABASE. */
int services_env(const struct services *s, struct arena *a, struct str project,
    const struct model_services *all, struct manifest_pair **ret, size_t *ret_count,
    struct err *e) WARN_UNUSED;
/* "sw-shop_db": what it is called on its server. */
void services_name(struct str project, struct str service, char *out, size_t size);
