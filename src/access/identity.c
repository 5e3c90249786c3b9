#include "access/identity.h"

#include "base/clock.h"
#include "base/ct.h"
#include "base/hex.h"
#include "base/mem.h"
#include "crypto/hash.h"

#include <errno.h>
#include <grp.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	TOUCH_EVERY_MS = 5 * 60 * 1000,
	USER_BYTES = 16384,
	GROUPS_MAX = 256,
};
#define ACCESS_GROUP "slipway" /* whose members may use the Unix socket */

struct touch {
	int64_t token_id, now_ms;
};

static int touch_unit(void *ctx, struct store_db *db, struct err *e)
{
	const struct touch *t = ctx;
	return model_token_touch(db, t->token_id, t->now_ms, e) < 0 ? -1 : 0;
}

static void touch_done(void *ctx, int rc, const struct err *e)
{
	(void)rc;
	(void)e;
	free(ctx);
}

void access_touch_token(struct store *s, int64_t token_id)
{
	struct touch *t = mem_alloc(sizeof(*t));
	*t = (struct touch){token_id, clock_wall_ms()};
	struct err ignored;
	if (store_submit(s, touch_unit, touch_done, t, &ignored) < 0)
		free(t);
}

static void subject_fill(struct access_subject *who, const struct model_operator *o)
{
	who->operator_id = o->id;
	who->name = o->name;
	who->global_role = o->role;
}

static int by_token(struct store_db *db, struct http_request *r, struct str token,
    struct access_subject *who, bool *ret_touch, struct err *e)
{
	uint8_t hash[HASH_SHA256_BYTES];
	hash_sha256(token, hash);
	struct model_token t;
	struct model_operator o;
	int64_t now = clock_wall_ms();
	struct str key = {(const char *)hash, sizeof(hash)};
	int found = model_token_find(db, r->arena, key, now, &t, &o, e);
	if (found < 0)
		return -1;
	if (found == 0) {
		err_set(e, ERR_UNAUTHORIZED, "the token is not known, has expired or was revoked");
		return err_hint(e, "log in again with a token of yours: slipway login");
	}
	subject_fill(who, &o);
	who->token_id = t.id;
	*ret_touch = now - t.last_used_ms > TOUCH_EVERY_MS;
	return 0;
}

/* The name of a local user; an empty one when there is none with that number. */
static int user_name(uid_t uid, struct arena *a, struct str *ret, gid_t *ret_gid, struct err *e)
{
	char *room = arena_alloc(a, USER_BYTES);
	if (!room)
		return err_set(e, ERR_TOO_LARGE, "the request needs too much memory");
	struct passwd pw, *found = NULL;
	int rc = getpwuid_r(uid, &pw, room, USER_BYTES, &found);
	if (rc != 0 && rc != ENOENT && rc != ESRCH)
		return err_sys(
		    e, ERR_UNAVAILABLE, rc, "could not look up user %ju", (uintmax_t)uid);
	*ret = found ? str_c(found->pw_name) : STR("");
	*ret_gid = found ? found->pw_gid : (gid_t)-1;
	return 0;
}

static bool in_group(const char *user, gid_t own, struct arena *a)
{
	char *room = arena_alloc(a, USER_BYTES);
	gid_t *groups = arena_array(a, GROUPS_MAX, sizeof(*groups));
	struct group gr, *found = NULL;
	if (!room || !groups || getgrnam_r(ACCESS_GROUP, &gr, room, USER_BYTES, &found) != 0 ||
	    !found)
		return false;
	int count = GROUPS_MAX;
	if (getgrouplist(user, own, groups, &count) < 0)
		return false;
	for (int i = 0; i < count; i++)
		if (groups[i] == found->gr_gid)
			return true;
	return false;
}

/* Root and the daemon's own user: owner, in the name of the operator "owner" where there is one. */
static int as_local_owner(struct store_db *db, struct http_request *r, struct str name,
    struct access_subject *who, struct err *e)
{
	who->name = name.n ? name : STR("root");
	who->everything = true;
	who->global_role = MODEL_ROLE_OWNER;
	struct model_operator o;
	int found = model_operator_get(db, r->arena, STR("owner"), &o, e);
	if (found > 0 && !o.disabled)
		who->operator_id = o.id;
	return found < 0 ? -1 : 0;
}

static int by_peer(
    struct store_db *db, struct http_request *r, struct access_subject *who, struct err *e)
{
	struct str name;
	gid_t gid = (gid_t)-1;
	if (user_name(r->peer_uid, r->arena, &name, &gid, e) < 0)
		return -1;
	if (r->peer_uid == 0 || r->peer_uid == geteuid())
		return as_local_owner(db, r, name, who, e);
	if (!name.n || !in_group(name.p, gid, r->arena)) {
		err_set(e, ERR_FORBIDDEN, "user '%s' is not in the group '%s'",
		    name.n ? name.p : "?", ACCESS_GROUP);
		return err_hint(
		    e, "as root: usermod -aG %s USER, or use a token: slipway login", ACCESS_GROUP);
	}
	struct model_operator o;
	int found = model_operator_get(db, r->arena, name, &o, e);
	if (found < 0)
		return -1;
	if (found == 0 || o.disabled) {
		err_set(e, ERR_FORBIDDEN, "there is no operator '%s'", name.p);
		return err_hint(e, "ask an owner: slipway operators add %s", name.p);
	}
	subject_fill(who, &o);
	return 0;
}

#define BASIC_MAX 512u
#define BROWSERS_ARE_ASKED                                                                         \
	"WWW-Authenticate: Bearer\r\n"                                                             \
	"WWW-Authenticate: Basic realm=\"a token of Slipway as the password\", charset=\"UTF-8\"\r\n"

/* "anybody:TOKEN" in base64; empty: it is none. */
static struct str basic_token(struct http_request *r, struct str credentials)
{
	struct buf clear CLEANUP_BUF;
	buf_init(&clear, BASIC_MAX);
	if (!base64_decode(str_trim(credentials), &clear))
		return STR("");
	struct str both = buf_view(&clear);
	size_t colon = str_find(both, ':', 0);
	struct str token = colon < both.n ? arena_str(r->arena, str_from(both, colon + 1)) : STR("");
	ct_wipe(clear.p, clear.n);
	return token;
}

static bool is_scheme(struct str header, struct str scheme)
{
	return header.n > scheme.n && str_eq_nocase(str_slice(header, 0, scheme.n), scheme);
}

int access_identify(struct store_db *db, struct http_request *r, const struct access_row *row,
    struct access_subject *who, bool *ret_touch, struct err *e)
{
	struct str header = http_header_get(r, "Authorization");
	if (row->browsers)
		r->challenge = BROWSERS_ARE_ASKED;
	if (header.p && is_scheme(header, STR("Bearer ")))
		return by_token(db, r, str_trim(str_from(header, 7)), who, ret_touch, e);
	if (header.p && row->browsers && is_scheme(header, STR("Basic ")))
		return by_token(db, r, basic_token(r, str_from(header, 6)), who, ret_touch, e);
	if (header.p) {
		err_set(e, ERR_UNAUTHORIZED, "the Authorization header is no bearer token");
		return err_hint(e, "send: Authorization: Bearer slw_...");
	}
	if (r->unix_peer)
		return by_peer(db, r, who, e);
	err_set(e, ERR_UNAUTHORIZED, "this needs a token");
	return err_hint(e, row->browsers ? "give a token as the password (slipway tokens create); any name will do"
					 : "send: Authorization: Bearer slw_..., or: slipway login");
}
