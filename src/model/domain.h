/* Host names of projects; one belongs to one project. */
#pragma once

#include "base/arena.h"
#include "model/viewer.h"
#include "store/store.h"

struct model_domain {
	struct str host;
	int64_t project_id;
	struct str project; /* its name */
	int64_t created_ms;
};
struct model_domains {
	struct model_domain *v;
	size_t n;
};
/* 1: added; 0: it is this project's already; ERR_CONFLICT: it is another's (whose is not said);
 * ERR_TOO_LARGE beyond LIMIT_DOMAINS. `host` has been through name_domain. */
int model_domain_add(struct store_db *db, int64_t project_id, struct str host, int64_t now_ms,
    struct err *e) WARN_UNUSED;
int model_domain_remove(struct store_db *db, int64_t project_id, struct str host,
    struct err *e) WARN_UNUSED; /* 1/0/-1 */
/* project_id 0: of every project that the viewer sees, at most MODEL_PAGE_MAX after `after` (may be
 * empty). By host. */
int model_domain_list(struct store_db *db, struct arena *a, int64_t project_id, struct str after,
    struct model_viewer viewer, struct model_domains *ret, struct err *e) WARN_UNUSED;
int model_domain_get(struct store_db *db, struct arena *a, struct str host,
    struct model_viewer viewer, struct model_domain *ret, struct err *e) WARN_UNUSED; /* 1/0/-1 */
