/* The platform's own certificates, beside those of projects (model/certificate.h): of its host, and
 * of all names right below it. What is asked for waits in the row until it has ended. */
#pragma once

#include "model/certificate.h"

enum model_own {
	MODEL_OWN_HOST,
	MODEL_OWN_WILDCARD, /* one for *.HOST */
	MODEL_OWN_COUNT
};
const char *model_own_name(enum model_own which); /* "host", "wildcard" */
/* 1, or 0 when there is none of that name. */
int model_own_find(struct str name, enum model_own *ret) WARN_UNUSED;

struct model_own_certificate {
	enum model_own which;
	struct model_certificate c; /* of project 0 */
	struct str wanted; /* "issue", "renew", "revoke", "delete", "import"; empty: nothing */
	bool staging;	   /* what is wanted comes from the authority's rehearsal */
	struct str said;   /* last lines of what failed */
};

int model_own_certificate_get(struct store_db *db, struct arena *a, enum model_own which,
    struct model_own_certificate *ret, struct err *e) WARN_UNUSED; /* 1/0/-1 */
/* The whole row but what was given; makes it. */
int model_own_certificate_put(
    struct store_db *db, const struct model_own_certificate *c, struct err *e) WARN_UNUSED;
int model_own_certificate_remove(
    struct store_db *db, enum model_own which, struct err *e) WARN_UNUSED;

/* Given by a person, waiting to be installed; the key sealed for model_place_own_certificate. There
 * is a row. */
int model_own_certificate_give(struct store_db *db, enum model_own which, struct str chain,
    struct str sealed_key, struct err *e) WARN_UNUSED;
int model_own_certificate_given(struct store_db *db, struct arena *a, enum model_own which,
    struct str *ret_chain, struct str *ret_key, struct err *e) WARN_UNUSED; /* 1/0/-1 */
int model_own_certificate_given_forget(
    struct store_db *db, enum model_own which, struct err *e) WARN_UNUSED;
