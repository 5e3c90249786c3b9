/* Certificates of projects from outside: what is installed, and when it is tried again. A project
 * without a row, or with origin `none`, has the one that signs itself. */
#pragma once

#include "base/arena.h"
#include "model/viewer.h"
#include "store/store.h"

enum model_origin {
	MODEL_ORIGIN_NONE,    /* asked for, never had */
	MODEL_ORIGIN_ACME,    /* an authority that browsers trust */
	MODEL_ORIGIN_STAGING, /* an authority's rehearsal */
	MODEL_ORIGIN_IMPORT,  /* given by a person */
	MODEL_ORIGIN_COUNT
};
const char *model_origin_name(enum model_origin o);

struct model_certificate {
	int64_t project_id;
	struct str project; /* its name, when read */
	struct str site;    /* model/site_certificate.h; else empty */
	enum model_origin origin;
	struct str names; /* one blank between */
	struct str issuer, serial;
	int64_t not_before_ms, not_after_ms, installed_ms;
	int64_t renew_ms;   /* next try by itself; 0: none */
	int64_t failures;   /* since the last success */
	struct str error;   /* of the last one */
	int64_t limited_ms; /* the authority takes nothing before; 0: no limit known */
	int64_t told_ms;    /* when it was last told that it ends */
};
struct row;
struct model_certificates {
	struct model_certificate *v;
	size_t n;
};

int model_certificate_get(struct store_db *db, struct arena *a, int64_t project_id,
    struct model_viewer viewer, struct model_certificate *ret,
    struct err *e) WARN_UNUSED; /* 1/0/-1 */
/* Of all projects that the viewer sees, by name, at most MODEL_PAGE_MAX. */
int model_certificate_list(struct store_db *db, struct arena *a, struct model_viewer viewer,
    struct model_certificates *ret, struct err *e) WARN_UNUSED;
/* The whole row but what was given; makes it. */
int model_certificate_put(
    struct store_db *db, const struct model_certificate *c, struct err *e) WARN_UNUSED;
int model_certificate_remove(struct store_db *db, int64_t project_id, struct err *e) WARN_UNUSED;

/* Given by a person, waiting to be installed; the key sealed for model_place_certificate. */
int model_certificate_give(struct store_db *db, int64_t project_id, struct str chain,
    struct str sealed_key, struct err *e) WARN_UNUSED;
/* 1/0/-1; what was given is gone from the store with model_certificate_given_forget. */
int model_certificate_given(struct store_db *db, struct arena *a, int64_t project_id,
    struct str *ret_chain, struct str *ret_key, struct err *e) WARN_UNUSED;
int model_certificate_given_forget(
    struct store_db *db, int64_t project_id, struct err *e) WARN_UNUSED;

/* Its next time is later than any there can be from now on: it is of a clock that was ahead. */
bool model_certificate_too_late(const struct model_certificate *c, int64_t now_ms);
/* Those are due now. */
int model_certificate_set_back(struct store_db *db, int64_t now_ms, struct err *e) WARN_UNUSED;
/* Takes those that are due: each gets `again_ms` as its next time, until its task says better. At
 * most `max`. */
int model_certificate_take_due(struct store_db *db, struct arena *a, int64_t now_ms,
    int64_t again_ms, uint32_t max, struct model_certificates *ret, struct err *e) WARN_UNUSED;
/* Installed ones that end before `until_ms` and were not told of since `told_before_ms`; they count
 * as told now. */
int model_certificate_take_ending(struct store_db *db, struct arena *a, int64_t now_ms,
    int64_t until_ms, int64_t told_before_ms, struct model_certificates *ret,
    struct err *e) WARN_UNUSED;

/* Browsers find this host in it: it is from an authority or a person, and names the host. */
bool model_certificate_serves(const struct model_certificate *c, struct str host);

/* Two thirds of its life. */
int64_t model_certificate_renew_at(int64_t not_before_ms, int64_t not_after_ms);
/* After the n-th failure in a row (from 1): 10 minutes, doubled each time, at most a day; not
 * before the authority's own time. */
int64_t model_certificate_retry_at(int64_t now_ms, int64_t failures, int64_t limited_ms);
