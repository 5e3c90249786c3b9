/* Who may do what. Operators hold a global role or roles per project; tokens speak for an operator;
 * on the Unix socket the peer's user decides. Every route names one access row; the authorizer
 * turns request + row into a subject, and the queries carry the subject's viewer, so somebody
 * else's project looks exactly like an absent one. */
#pragma once

#include "base/err.h"
#include "http/http.h"
#include "model/operator.h"
#include "store/store.h"

enum access_need {
	ACCESS_PUBLIC = 1, /* nobody in particular: health, version, OpenAPI */
	ACCESS_SIGNED,	   /* the handler verifies a signature over the body: hooks */
	ACCESS_LOGIN,	   /* any operator; lists show what they may see */
	ACCESS_VIEW,	   /* viewer on the project (or globally when scope is global) */
	ACCESS_DEPLOY,	   /* deployer */
	ACCESS_ADMIN,	   /* admin */
	ACCESS_OWNER,
	ACCESS_NEED_COUNT
};
const char *access_need_name(enum access_need n); /* "public", "signed", … */

enum access_scope {
	ACCESS_GLOBAL = 1,
	ACCESS_PROJECT, /* the route has {project} */
	ACCESS_TASK,	/* {task} names a project's task */
	ACCESS_ABOVE,	/* the route has {project}, and the role is that on the platform */
	ACCESS_SCOPE_COUNT
};

struct access_row {
	enum access_need need;
	enum access_scope scope;
	const char *action; /* for the audit record: "project.create"; reads have NULL */
	bool browsers; /* a person may open it in a browser, which asks for a token as the password of basic authentication (RFC 7617). Reads
			  only: browsers send that again by themselves */
};

struct access_subject {
	int64_t operator_id; /* 0: nobody, or root over the Unix socket before there is an owner */
	int64_t token_id;    /* by which they came; 0: over the Unix socket */
	struct str name; /* "anna"; over the Unix socket of root or the daemon's user: their name */
	bool everything; /* owner by the Unix socket: no grants are asked */
	enum model_role global_role;
	int64_t project_id; /* with scope project or task: the one asked for; roles were checked */
	struct str project;
	enum model_role project_role; /* the higher of global and granted */
	int64_t task_id;
};

struct access;
/* Borrows the store, which outlives it. */
struct access *access_open(struct store *s, struct err *e);
void access_close(struct access *a);

/* http_authorize_fn; ctx is the struct access. Public and signed rows pass at once, anywhere; every
 * other row reads the store and must be on the pool.
 *
 * Who: `Authorization: Bearer slw_…` wins; else the Unix socket's peer: uid 0 and the daemon's own
 * uid are owner, another user must be in the group `slipway` and is the operator with the user's
 * name. ERR_UNAUTHORIZED: nobody, or a token that is not known. ERR_FORBIDDEN: somebody whose role
 * is too low; it says which is needed. ERR_NOT_FOUND: no such project or task, or none that they
 * may see: both take the same way and give the same bytes.
 *
 * Refusals are audited: 403 and unknown tokens always, 404 on a route that changes something; those
 * of nobody in particular at most 60 at once and one a second, so that a stranger cannot fill the
 * disk. */
int access_authorize(void *ctx, struct http_request *r, struct http_call *c, struct err *e);
/* Writes down that something of the platform's own was refused: by the helper, who knows better than to do it. Any thread; durable
 * soon after. As many as of operators. */
void access_note_refusal(struct access *a, const char *action, struct str target, struct str why);
/* Whom the authorizer found; never NULL behind it. Lives as long as the call. */
const struct access_subject *access_subject_of(const struct http_request *r);

/* What a query on the subject's behalf carries. */
struct model_viewer access_viewer(const struct access_subject *who, enum model_role least);
/* The subject's role on a project (0: global), read inside a unit or a snapshot. */
int access_role_on(struct store_db *db, const struct access_subject *who, int64_t project_id,
    enum model_role *ret, struct err *e) WARN_UNUSED;

/* The same check of the row's need again, inside the unit that does the change: a role that was
 * taken away, or a project that went, between authorizer and unit. ERR_NOT_FOUND or ERR_FORBIDDEN.
 */
int access_unit_recheck(struct store_db *db, const struct access_row *row,
    const struct access_subject *who, struct err *e) WARN_UNUSED;

/* A new token for an operator, shown once, stored as SHA-256: "slw_" and 43 characters. expires_ms:
 * wall clock, 0 never. Inside a unit. */
#define ACCESS_TOKEN_SIZE 64
int access_unit_token(struct store_db *db, int64_t operator_id, struct str label,
    int64_t expires_ms, char ret_token[ACCESS_TOKEN_SIZE], int64_t *ret_id,
    struct err *e) WARN_UNUSED;
/* At first start: makes the operator "owner" when there is no operator at all. 1 and its token when
 * it was made now, 0 when there are some, -1. Blocks; durable on return. */
int access_first_owner(
    struct store *s, char ret_token[ACCESS_TOKEN_SIZE], struct err *e) WARN_UNUSED;

/* One audit record, chained by hash, inside the unit that does the change. `who` NULL: the platform
 * itself. outcome: "ok", "refused". detail: free text or JSON, never a secret; may be empty. */
int access_unit_audit(struct store_db *db, const struct access_subject *who, const char *action,
    struct str target, const char *outcome, struct str detail, struct err *e) WARN_UNUSED;
