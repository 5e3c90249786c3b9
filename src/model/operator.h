/* Operators, their tokens, and their roles on projects. Who may call these is access/'s business.
 */
#pragma once

#include "base/arena.h"
#include "model/viewer.h"
#include "store/store.h"

struct model_operator {
	int64_t id;
	struct str name;
	enum model_role role;	  /* global */
	struct str password_hash; /* NULL: cannot log in by password */
	bool disabled;
	int64_t created_ms;
};
struct model_operators {
	struct model_operator *v;
	size_t n;
	bool more;
};
/* Uses name, role, password_hash, created_ms. ERR_CONFLICT when the name is taken. */
int model_operator_add(struct store_db *db, const struct model_operator *o, int64_t *ret_id,
    struct err *e) WARN_UNUSED;
int model_operator_get(struct store_db *db, struct arena *a, struct str name,
    struct model_operator *ret, struct err *e) WARN_UNUSED;
int model_operator_get_id(struct store_db *db, struct arena *a, int64_t id,
    struct model_operator *ret, struct err *e) WARN_UNUSED;
/* By name; `after` is the last name of the page before. */
int model_operator_list(struct store_db *db, struct arena *a, struct str after, uint32_t limit,
    struct model_operators *ret, struct err *e) WARN_UNUSED;
/* Each 1/0/-1. Taking the role from, disabling or removing the last enabled owner is ERR_CONFLICT.
 */
int model_operator_set_role(
    struct store_db *db, int64_t id, enum model_role role, struct err *e) WARN_UNUSED;
int model_operator_set_disabled(
    struct store_db *db, int64_t id, bool disabled, struct err *e) WARN_UNUSED;
int model_operator_set_password(
    struct store_db *db, int64_t id, struct str hash, struct err *e) WARN_UNUSED; /* NULL: none */
int model_operator_remove(
    struct store_db *db, int64_t id, struct err *e) WARN_UNUSED; /* with tokens and grants */
int model_operator_count(struct store_db *db, int64_t *ret, struct err *e) WARN_UNUSED;

struct model_token {
	int64_t id, operator_id;
	struct str label;
	int64_t created_ms, expires_ms, last_used_ms; /* 0: never */
	bool revoked;
};
struct model_tokens {
	struct model_token *v;
	size_t n;
};
/* `hash`: SHA-256 of the token, 32 bytes. Uses operator_id, label, created_ms, expires_ms. */
int model_token_add(struct store_db *db, const struct model_token *t, struct str hash,
    int64_t *ret_id, struct err *e) WARN_UNUSED;
/* The enabled operator behind a token that is neither revoked nor expired at now_ms. 1/0/-1. */
int model_token_find(struct store_db *db, struct arena *a, struct str hash, int64_t now_ms,
    struct model_token *ret, struct model_operator *ret_operator, struct err *e) WARN_UNUSED;
/* Whether model_token_find would still find it. 1/0/-1. */
int model_token_good(struct store_db *db, int64_t id, int64_t now_ms, struct err *e) WARN_UNUSED;
int model_token_list(struct store_db *db, struct arena *a, int64_t operator_id,
    struct model_tokens *ret, struct err *e) WARN_UNUSED;
/* Only that operator's own (0: anybody's). 1/0/-1. */
int model_token_revoke(
    struct store_db *db, int64_t id, int64_t operator_id, struct err *e) WARN_UNUSED;
int model_token_touch(
    struct store_db *db, int64_t id, int64_t now_ms, struct err *e) WARN_UNUSED; /* last_used_ms */

struct model_grant {
	int64_t operator_id, project_id;
	struct str operator_name, project;
	enum model_role role;
};
struct model_grants {
	struct model_grant *v;
	size_t n;
};
/* MODEL_ROLE_NONE takes it away. ERR_NOT_FOUND when operator or project is absent. */
int model_grant_set(struct store_db *db, int64_t operator_id, int64_t project_id,
    enum model_role role, struct err *e) WARN_UNUSED;
/* Either may be 0: any. */
int model_grant_list(struct store_db *db, struct arena *a, int64_t operator_id, int64_t project_id,
    struct model_grants *ret, struct err *e) WARN_UNUSED;
/* The operator's role on a project: the higher of global and granted; MODEL_ROLE_NONE when disabled
 * or absent. project_id 0: the global one. */
int model_role_on(struct store_db *db, int64_t operator_id, int64_t project_id,
    enum model_role *ret, struct err *e) WARN_UNUSED;
