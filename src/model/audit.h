/* The audit trail: append-only, each row chained to the one before.
 *
 * chain = SHA-256(previous chain (32 bytes, zero for the first) ‖ id ‖ at_ms ‖ project_id as 8
 * bytes little-endian each ‖ operator ‖ action ‖ target ‖ outcome ‖ detail, each as 4 bytes
 * little-endian length and the bytes) */
#pragma once

#include "base/arena.h"
#include "model/viewer.h"
#include "store/store.h"

#define MODEL_AUDIT_CHAIN_BYTES 32

struct model_audit {
	int64_t id, at_ms;
	int64_t project_id;			  /* 0: of the platform */
	struct str operator_name, action, target; /* "anna", "project.create", "shop" */
	struct str outcome, detail;		  /* "ok", "refused"; detail: never a secret */
	struct str chain;			  /* 32 bytes, when read */
};
struct model_audits {
	struct model_audit *v;
	size_t n;
	bool more;
};
int model_audit_append(
    struct store_db *db, const struct model_audit *row, struct err *e) WARN_UNUSED;
/* Newest first. Rows of a project for whoever has `least` on it; those of the platform by global
 * role. */
int model_audit_list(struct store_db *db, struct arena *a, int64_t project_id,
    struct model_page page, struct model_viewer viewer, struct model_audits *ret,
    struct err *e) WARN_UNUSED;
/* 1: the whole chain holds; 0: it breaks at *ret_bad_id; -1. */
int model_audit_verify(struct store_db *db, int64_t *ret_bad_id, struct err *e) WARN_UNUSED;
