/* Databases and brokers that were provisioned for a project. The server that holds them is asked by
 * services/; here is what the store remembers. */
#pragma once

#include "base/arena.h"
#include "model/viewer.h"
#include "store/store.h"

enum model_service_type {
	MODEL_SERVICE_POSTGRES,
	MODEL_SERVICE_RABBITMQ,
	MODEL_SERVICE_TYPE_COUNT
};
const char *model_service_type_name(enum model_service_type t); /* "postgres", … */
int model_service_type_parse(struct str s, enum model_service_type *ret, struct err *e) WARN_UNUSED;

struct model_service {
	int64_t project_id;
	struct str name;
	enum model_service_type type;
	struct str sealed; /* the password, bound to "service/PROJECT-ID/NAME" */
	struct str mark;   /* random; what is there without it is not ours */
	struct str host;   /* where the project reaches it; empty until made */
	int64_t port;
	int64_t created_ms, made_ms; /* made_ms 0: not there yet */
};
struct model_services {
	struct model_service *v;
	size_t n;
};

/* Uses all but host, port and made_ms. 1: added; 0: the project has one of that name already;
 * ERR_TOO_LARGE beyond LIMIT_SERVICES. */
int model_service_add(
    struct store_db *db, const struct model_service *s, struct err *e) WARN_UNUSED;
/* It is there, at this address. 1/0/-1. */
int model_service_made(struct store_db *db, int64_t project_id, struct str name, struct str host,
    int64_t port, int64_t now_ms, struct err *e) WARN_UNUSED;
int model_service_remove(struct store_db *db, int64_t project_id, struct str name,
    struct err *e) WARN_UNUSED; /* 1/0/-1 */
/* Oldest first. Empty when the viewer may not see the project. */
int model_service_list(struct store_db *db, struct arena *a, int64_t project_id,
    struct model_viewer viewer, struct model_services *ret, struct err *e) WARN_UNUSED;
int model_service_get(struct store_db *db, struct arena *a, int64_t project_id, struct str name,
    struct model_viewer viewer, struct model_service *ret, struct err *e) WARN_UNUSED; /* 1/0/-1 */
