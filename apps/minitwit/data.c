#include "minitwit/data.h"

#include "base/clock.h"
#include "base/rand.h"

#include <string.h>

/* The indexes are the timelines: each is read from its newest end, and stops. `user` is a word of
 * PostgreSQL's, hence the quotes. */
static const char schema[] =
    "CREATE TABLE IF NOT EXISTS \"user\"(user_id @id, username TEXT NOT NULL UNIQUE,"
    " email TEXT NOT NULL, pw_hash TEXT NOT NULL) @strict;"
    "CREATE TABLE IF NOT EXISTS message(message_id @id, author_id @i64 NOT NULL,"
    " text TEXT NOT NULL, pub_date @i64 NOT NULL, flagged @i64 NOT NULL DEFAULT 0) @strict;"
    "CREATE INDEX IF NOT EXISTS message_public ON message(pub_date DESC, message_id DESC)"
    " WHERE flagged = 0;"
    "CREATE INDEX IF NOT EXISTS message_author ON message(author_id, pub_date DESC,"
    " message_id DESC) WHERE flagged = 0;"
    "CREATE TABLE IF NOT EXISTS follower(follower_id @id, who_id @i64 NOT NULL,"
    " whom_id @i64 NOT NULL, UNIQUE(who_id, whom_id)) @strict;"
    "CREATE INDEX IF NOT EXISTS follower_list ON follower(who_id, follower_id, whom_id);"
    "CREATE TABLE IF NOT EXISTS session(token_hash @blob PRIMARY KEY, user_id @i64 NOT NULL,"
    " expires_s @i64 NOT NULL) @strict;"
    "CREATE TABLE IF NOT EXISTS latest(one @i64 PRIMARY KEY, value @i64 NOT NULL) @strict;"
    "CREATE TABLE IF NOT EXISTS secret(name TEXT PRIMARY KEY, value @blob NOT NULL) @strict;";

int data_migrate(void *ctx, struct store_db *db, struct err *e)
{
	(void)ctx;
	return store_script(db, schema, e);
}

int data_key_unit(void *ret_key, struct store_db *db, struct err *e)
{
	struct data_key *key = ret_key;
	rand_bytes(key->bytes, sizeof(key->bytes));
	struct store_stmt *q = store_prepare(db,
	    "INSERT INTO secret(name, value) VALUES ('forms', $value) ON CONFLICT DO NOTHING", e);
	if (!q)
		return -1;
	store_bind_blob(q, "$value", (struct str){(const char *)key->bytes, sizeof(key->bytes)});
	if (store_exec(q, e) < 0)
		return -1;
	q = store_prepare(db, "SELECT value FROM secret WHERE name = 'forms'", e);
	if (!q || store_step(q, e) != 1)
		return -1;
	struct str value = store_col_text(q, 0);
	if (value.n != sizeof(key->bytes))
		return err_set(e, ERR_INVALID, "the secret for forms is not %zu bytes long",
		    sizeof(key->bytes));
	memcpy(key->bytes, value.p, value.n);
	return 0;
}

int data_latest_set(struct store_db *db, int64_t latest, struct err *e)
{
	struct store_stmt *q = store_prepare(db,
	    "INSERT INTO latest(one, value) VALUES (1, $value)"
	    " ON CONFLICT(one) DO UPDATE SET value = excluded.value",
	    e);
	if (!q)
		return -1;
	store_bind_i64(q, "$value", latest);
	return store_exec(q, e);
}

int data_latest_get(struct store_db *db, int64_t *ret, struct err *e)
{
	struct store_stmt *q = store_prepare(db, "SELECT value FROM latest WHERE one = 1", e);
	if (!q)
		return -1;
	int rc = store_step(q, e);
	*ret = rc == 1 ? store_col_i64(q, 0) : -1;
	store_reset(q);
	return rc < 0 ? -1 : 0;
}

/* --- users --- */

static int user_row(struct store_stmt *q, struct arena *a, struct data_user *ret, struct err *e)
{
	int rc = store_step(q, e);
	if (rc != 1)
		return rc;
	*ret = (struct data_user){.id = store_col_i64(q, 0),
	    .name = store_col_str(q, 1, a),
	    .email = store_col_str(q, 2, a),
	    .hash = store_col_str(q, 3, a)};
	store_reset(q);
	return 1;
}

int data_user_get(
    struct store_db *db, struct str name, struct arena *a, struct data_user *ret, struct err *e)
{
	struct store_stmt *q = store_prepare(
	    db, "SELECT user_id, username, email, pw_hash FROM \"user\" WHERE username = $name", e);
	if (!q)
		return -1;
	store_bind_text(q, "$name", name);
	return user_row(q, a, ret, e);
}

int data_user_add(struct store_db *db, const struct data_user *u, int64_t *ret_id, struct err *e)
{
	struct store_stmt *q = store_prepare(db,
	    "INSERT INTO \"user\"(username, email, pw_hash) VALUES ($name, $email, $hash)"
	    " ON CONFLICT(username) DO NOTHING RETURNING user_id",
	    e);
	if (!q)
		return -1;
	store_bind_text(q, "$name", u->name);
	store_bind_text(q, "$email", u->email);
	store_bind_text(q, "$hash", u->hash);
	int rc = store_step(q, e);
	if (rc == 1)
		*ret_id = store_col_i64(q, 0);
	store_reset(q);
	return rc;
}

int data_user_rehash(struct store_db *db, int64_t id, struct str hash, struct err *e)
{
	struct store_stmt *q =
	    store_prepare(db, "UPDATE \"user\" SET pw_hash = $hash WHERE user_id = $id", e);
	if (!q)
		return -1;
	store_bind_text(q, "$hash", hash);
	store_bind_i64(q, "$id", id);
	return store_exec(q, e);
}

/* --- messages --- */

int data_message_add(struct store_db *db, struct timeline_row *row, struct err *e)
{
	struct store_stmt *q = store_prepare(db,
	    "INSERT INTO message(author_id, text, pub_date)"
	    " SELECT user_id, CAST($text AS TEXT), CAST($now AS BIGINT) FROM \"user\" WHERE "
	    "username = $name"
	    " RETURNING message_id",
	    e);
	if (!q)
		return -1;
	/* Here, not where the request came in: so the order of dates is the order of commits. */
	row->pub_date = clock_wall_ms() / 1000;
	store_bind_text(q, "$text", row->text);
	store_bind_i64(q, "$now", row->pub_date);
	store_bind_text(q, "$name", row->user);
	int rc = store_step(q, e);
	if (rc == 1)
		row->id = store_col_i64(q, 0);
	store_reset(q);
	return rc;
}

int data_message_flag(struct store_db *db, int64_t id, struct err *e)
{
	struct store_stmt *q =
	    store_prepare(db, "UPDATE message SET flagged = 1 WHERE message_id = $id", e);
	if (!q)
		return -1;
	store_bind_i64(q, "$id", id);
	return store_exec(q, e) < 0 ? -1 : store_changes(db) > 0;
}

/* --- who follows whom --- */

/* 1 when both are there. Asked only when a change has changed nothing. */
static int pair_known(struct store_db *db, struct str who, struct str whom, struct err *e)
{
	struct store_stmt *q = store_prepare(db,
	    "SELECT 1 FROM \"user\" a, \"user\" b WHERE a.username = $who AND b.username = $whom",
	    e);
	if (!q)
		return -1;
	store_bind_text(q, "$who", who);
	store_bind_text(q, "$whom", whom);
	int rc = store_step(q, e);
	store_reset(q);
	return rc;
}

int data_follow(
    struct store_db *db, struct str who, struct str whom, int64_t *ret_id, struct err *e)
{
	struct store_stmt *q = store_prepare(db,
	    "INSERT INTO follower(who_id, whom_id)"
	    " SELECT a.user_id, b.user_id FROM \"user\" a, \"user\" b"
	    " WHERE a.username = $who AND b.username = $whom"
	    " ON CONFLICT DO NOTHING RETURNING follower_id",
	    e);
	if (!q)
		return -1;
	store_bind_text(q, "$who", who);
	store_bind_text(q, "$whom", whom);
	int rc = store_step(q, e);
	*ret_id = rc == 1 ? store_col_i64(q, 0) : 0;
	store_reset(q);
	return rc == 0 ? pair_known(db, who, whom, e) : rc;
}

int data_unfollow(struct store_db *db, struct str who, struct str whom, struct err *e)
{
	struct store_stmt *q = store_prepare(db,
	    "DELETE FROM follower"
	    " WHERE who_id = (SELECT user_id FROM \"user\" WHERE username = $who)"
	    " AND whom_id = (SELECT user_id FROM \"user\" WHERE username = $whom)",
	    e);
	if (!q)
		return -1;
	store_bind_text(q, "$who", who);
	store_bind_text(q, "$whom", whom);
	if (store_exec(q, e) < 0)
		return -1;
	return store_changes(db) > 0 ? 1 : pair_known(db, who, whom, e);
}

int data_follows(struct store_db *db, int64_t who, int64_t whom, struct err *e)
{
	struct store_stmt *q =
	    store_prepare(db, "SELECT 1 FROM follower WHERE who_id = $who AND whom_id = $whom", e);
	if (!q)
		return -1;
	store_bind_i64(q, "$who", who);
	store_bind_i64(q, "$whom", whom);
	int rc = store_step(q, e);
	store_reset(q);
	return rc;
}

/* --- lists --- */

static int rows(struct store_stmt *q, data_row_fn *each, void *ctx, struct err *e)
{
	int rc;
	while ((rc = store_step(q, e)) == 1) {
		const struct timeline_row row = {.id = store_col_i64(q, 0),
		    .pub_date = store_col_i64(q, 1),
		    .user = store_col_text(q, 2),
		    .text = store_col_text(q, 3),
		    .email = store_col_text(q, 4)};
		each(ctx, &row);
	}
	return rc;
}

#define ROW "m.message_id, m.pub_date, u.username, m.text, u.email"

int data_public(
    struct store_db *db, int64_t limit, int64_t offset, data_row_fn *each, void *ctx, struct err *e)
{
	struct store_stmt *q = store_prepare(db,
	    "SELECT " ROW " FROM message m JOIN \"user\" u ON u.user_id = m.author_id"
	    " WHERE m.flagged = 0 ORDER BY m.pub_date DESC, m.message_id DESC"
	    " LIMIT $limit OFFSET $offset",
	    e);
	if (!q)
		return -1;
	store_bind_i64(q, "$limit", limit);
	store_bind_i64(q, "$offset", offset);
	return rows(q, each, ctx, e);
}

int data_public_after(
    struct store_db *db, int64_t after, int64_t limit, data_row_fn *each, void *ctx, struct err *e)
{
	struct store_stmt *q = store_prepare(db,
	    "SELECT " ROW " FROM message m JOIN \"user\" u ON u.user_id = m.author_id"
	    " WHERE m.message_id > $after AND m.flagged = 0 ORDER BY m.message_id DESC LIMIT "
	    "$limit",
	    e);
	if (!q)
		return -1;
	store_bind_i64(q, "$after", after);
	store_bind_i64(q, "$limit", limit);
	return rows(q, each, ctx, e);
}

int data_by_user(struct store_db *db, struct str user, int64_t limit, int64_t offset,
    data_row_fn *each, void *ctx, struct err *e)
{
	struct store_stmt *q = store_prepare(db,
	    "SELECT " ROW " FROM message m JOIN \"user\" u ON u.user_id = m.author_id"
	    " WHERE m.author_id = (SELECT user_id FROM \"user\" WHERE username = $user)"
	    " AND m.flagged = 0"
	    " ORDER BY m.pub_date DESC, m.message_id DESC LIMIT $limit OFFSET $offset",
	    e);
	if (!q)
		return -1;
	store_bind_text(q, "$user", user);
	store_bind_i64(q, "$limit", limit);
	store_bind_i64(q, "$offset", offset);
	return rows(q, each, ctx, e);
}

/* Of each author what is as new as the last one that could be shown, from the index, then merged:
 * not all that they ever said. Written so that both databases take each author's date first and
 * then a range of the index. */
int data_personal(struct store_db *db, int64_t user, int64_t limit, int64_t offset,
    data_row_fn *each, void *ctx, struct err *e)
{
	struct store_stmt *q = store_prepare(db,
	    "SELECT " ROW " FROM (SELECT a.author_id, coalesce((SELECT n.pub_date FROM message n"
	    "   WHERE n.author_id = a.author_id AND n.flagged = 0"
	    "   ORDER BY n.pub_date DESC, n.message_id DESC LIMIT 1 OFFSET $deep), 0) AS since"
	    "  FROM (SELECT CAST($me AS BIGINT) AS author_id UNION SELECT whom_id FROM follower"
	    "   WHERE who_id = $me) a) f"
	    " JOIN message m ON m.author_id = f.author_id AND m.flagged = 0"
	    "  AND m.pub_date >= f.since"
	    " JOIN \"user\" u ON u.user_id = m.author_id"
	    " ORDER BY m.pub_date DESC, m.message_id DESC LIMIT $limit OFFSET $offset",
	    e);
	if (!q)
		return -1;
	store_bind_i64(q, "$me", user);
	store_bind_i64(q, "$deep", limit + offset - 1);
	store_bind_i64(q, "$limit", limit);
	store_bind_i64(q, "$offset", offset);
	return rows(q, each, ctx, e);
}

int data_followed(
    struct store_db *db, struct str who, int64_t limit, data_row_fn *each, void *ctx, struct err *e)
{
	struct store_stmt *q = store_prepare(db,
	    "SELECT f.follower_id, 0, u.username, '', '' FROM follower f"
	    " JOIN \"user\" u ON u.user_id = f.whom_id"
	    " WHERE f.who_id = (SELECT user_id FROM \"user\" WHERE username = $who)"
	    " ORDER BY f.follower_id LIMIT $limit",
	    e);
	if (!q)
		return -1;
	store_bind_text(q, "$who", who);
	store_bind_i64(q, "$limit", limit);
	return rows(q, each, ctx, e);
}

/* --- sessions --- */

static int sessions_expire(struct store_db *db, struct err *e)
{
	struct store_stmt *q = store_prepare(db, "DELETE FROM session WHERE expires_s < $now", e);
	if (!q)
		return -1;
	store_bind_i64(q, "$now", clock_wall_ms() / 1000);
	return store_exec(q, e);
}

int data_session_add(
    struct store_db *db, struct str token_hash, int64_t user, int64_t expires_s, struct err *e)
{
	struct store_stmt *q = store_prepare(db,
	    "INSERT INTO session(token_hash, user_id, expires_s) VALUES ($hash, $user, $expires)",
	    e);
	if (!q)
		return -1;
	store_bind_blob(q, "$hash", token_hash);
	store_bind_i64(q, "$user", user);
	store_bind_i64(q, "$expires", expires_s);
	return store_exec(q, e) < 0 ? -1 : sessions_expire(db, e);
}

int data_session_drop(struct store_db *db, struct str token_hash, struct err *e)
{
	struct store_stmt *q = store_prepare(db, "DELETE FROM session WHERE token_hash = $hash", e);
	if (!q)
		return -1;
	store_bind_blob(q, "$hash", token_hash);
	return store_exec(q, e);
}

int data_session_user(struct store_db *db, struct str token_hash, struct arena *a,
    struct data_user *ret, struct err *e)
{
	struct store_stmt *q = store_prepare(db,
	    "SELECT u.user_id, u.username, u.email, '' FROM session s"
	    " JOIN \"user\" u ON u.user_id = s.user_id"
	    " WHERE s.token_hash = $hash AND s.expires_s > $now",
	    e);
	if (!q)
		return -1;
	store_bind_blob(q, "$hash", token_hash);
	store_bind_i64(q, "$now", clock_wall_ms() / 1000);
	return user_row(q, a, ret, e);
}
