#include "access/access.h"

#include "base/clock.h"
#include "base/rand.h"
#include "crypto/hash.h"
#include "model/audit.h"

#include <stdio.h>

_Static_assert(ACCESS_TOKEN_SIZE >= RAND_TOKEN_SIZE + 4, "a token and its prefix fit");

int access_unit_token(struct store_db *db, int64_t operator_id, struct str label,
    int64_t expires_ms, char ret_token[ACCESS_TOKEN_SIZE], int64_t *ret_id, struct err *e)
{
	char random[RAND_TOKEN_SIZE];
	rand_token(random);
	snprintf(ret_token, ACCESS_TOKEN_SIZE, "slw_%s", random);
	uint8_t hash[HASH_SHA256_BYTES];
	hash_sha256(str_c(ret_token), hash);
	struct model_token t = {
	    .operator_id = operator_id,
	    .label = label,
	    .created_ms = clock_wall_ms(),
	    .expires_ms = expires_ms,
	};
	return model_token_add(db, &t, (struct str){(const char *)hash, sizeof(hash)}, ret_id, e);
}

struct first {
	char *token;
	bool made;
};

static int first_unit(void *ctx, struct store_db *db, struct err *e)
{
	struct first *f = ctx;
	int64_t count = 0, id = 0, token_id = 0;
	f->made = false;
	if (model_operator_count(db, &count, e) < 0)
		return -1;
	if (count > 0)
		return 0;
	struct model_operator o = {
	    .name = STR("owner"), .role = MODEL_ROLE_OWNER, .created_ms = clock_wall_ms()};
	if (model_operator_add(db, &o, &id, e) < 0 ||
	    access_unit_token(db, id, STR("made at first start"), 0, f->token, &token_id, e) < 0 ||
	    access_unit_audit(db, NULL, "operator.create", o.name, "ok", STR("first start"), e) < 0)
		return -1;
	f->made = true;
	return 0;
}

int access_first_owner(struct store *s, char ret_token[ACCESS_TOKEN_SIZE], struct err *e)
{
	struct first f = {.token = ret_token};
	if (store_write(s, first_unit, &f, e) < 0)
		return -1;
	return f.made ? 1 : 0;
}

int access_unit_audit(struct store_db *db, const struct access_subject *who, const char *action,
    struct str target, const char *outcome, struct str detail, struct err *e)
{
	struct str name = who ? who->name : STR("slipway");
	struct model_audit row = {
	    .at_ms = clock_wall_ms(),
	    .project_id = who ? who->project_id : 0,
	    .operator_name = name.n ? name : STR("nobody"),
	    .action = str_c(action),
	    .target = target,
	    .outcome = str_c(outcome),
	    .detail = detail.p ? detail : STR(""),
	};
	return model_audit_append(db, &row, e);
}
