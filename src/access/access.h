/* Who may do what. Operators hold a global role or roles per project; tokens speak for an operator; on the Unix socket
 * the peer's user decides. Every route names one access row; the authorizer turns request + row into a subject, and the
 * queries carry the subject's viewer, so somebody else's project looks exactly like an absent one. */
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
enum access_scope { ACCESS_GLOBAL = 1, ACCESS_PROJECT /* the route has {project} */, ACCESS_TASK /* {task} names a project's task */, ACCESS_SCOPE_COUNT };

struct access_row {
	enum access_need need;
	enum access_scope scope;
	const char *action; /* for the audit record: "project.create"; reads have NULL */
};

struct access_subject {
	int64_t operator_id; /* 0: nobody */
	struct str name;
	enum model_role global_role;
	int64_t project_id; /* with scope project or task: the one asked for; roles were checked */
	struct str project;
	enum model_role project_role;
	int64_t task_id;
};

struct access;
struct access *access_open(struct store *s, struct err *e);
void access_close(struct access *a);
/* http_authorize_fn; ctx is the struct access. On the pool it may read the store. Refusals are audited. */
int access_authorize(void *ctx, struct http_request *r, struct http_call *c, struct err *e);
const struct access_subject *access_subject_of(const struct http_request *r);

/* Makes an operator with a role; `ret_token` (RAND_TOKEN_SIZE + 4: "slw_" and 43 characters) is shown once, stored as SHA-256. */
#define ACCESS_TOKEN_SIZE 64
int access_unit_token(struct store_db *db, int64_t operator_id, struct str label, int64_t expires_ms, char ret_token[ACCESS_TOKEN_SIZE], int64_t *ret_id, struct err *e) WARN_UNUSED;
/* At first start: the operator "owner" when there is none; returns 1 and its token when it was made now. */
int access_first_owner(struct store *s, char ret_token[ACCESS_TOKEN_SIZE], struct err *e) WARN_UNUSED;
/* One audit record, chained by hash, inside the unit that does the change. */
int access_unit_audit(struct store_db *db, const struct access_subject *who, const char *action, struct str target, const char *outcome, struct str detail, struct err *e) WARN_UNUSED;
