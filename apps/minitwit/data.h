/* MiniTwit's tables and every statement on them. Functions take the connection of a unit (writes)
 * or of a read; none commits. Strings come back in the arena. */
#pragma once

#include "minitwit/timeline.h"
#include "store/store.h"

#define DATA_KEY_BYTES 32
#define DATA_ALL INT64_MAX /* as a limit */

/* Unit: makes what is absent. Additive: an older MiniTwit runs on a newer one's tables. */
int data_migrate(void *ctx, struct store_db *db, struct err *e);
/* Unit: the secret that forms are signed with, made once for all processes. */
struct data_key {
	uint8_t bytes[DATA_KEY_BYTES];
};
int data_key_unit(void *ret_key, struct store_db *db, struct err *e);

int data_latest_set(struct store_db *db, int64_t latest, struct err *e) WARN_UNUSED;
/* -1 when there was none. */
int data_latest_get(struct store_db *db, int64_t *ret, struct err *e) WARN_UNUSED;

struct data_user {
	int64_t id;
	struct str name, email, hash;
};
/* 1, 0 unknown, -1. */
int data_user_get(struct store_db *db, struct str name, struct arena *a, struct data_user *ret,
    struct err *e) WARN_UNUSED;
/* 1 and the id, 0 when the name is taken. Uses name, email and hash. */
int data_user_add(
    struct store_db *db, const struct data_user *u, int64_t *ret_id, struct err *e) WARN_UNUSED;
int data_user_rehash(struct store_db *db, int64_t id, struct str hash, struct err *e) WARN_UNUSED;

/* 1 with row->id and row->pub_date set, 0 when there is no such author. Uses row->user and text. */
int data_message_add(struct store_db *db, struct timeline_row *row, struct err *e) WARN_UNUSED;
/* 1 when there was such a message. */
int data_message_flag(struct store_db *db, int64_t id, struct err *e) WARN_UNUSED;

/* 1 done or already so, 0 when either is unknown. *ret_id grows with each that begins; 0: already
 * so. */
int data_follow(struct store_db *db, struct str who, struct str whom, int64_t *ret_id,
    struct err *e) WARN_UNUSED;
int data_unfollow(struct store_db *db, struct str who, struct str whom, struct err *e) WARN_UNUSED;
int data_follows(struct store_db *db, int64_t who, int64_t whom, struct err *e) WARN_UNUSED;

/* Lists. Each row is handed to `each`, whose strings hold during the call. */
typedef void data_row_fn(void *ctx, const struct timeline_row *row);
/* Everybody's visible messages, newest first. */
int data_public(struct store_db *db, int64_t limit, int64_t offset, data_row_fn *each, void *ctx,
    struct err *e) WARN_UNUSED;
/* Those beyond an id, highest id first. */
int data_public_after(struct store_db *db, int64_t after, int64_t limit, data_row_fn *each,
    void *ctx, struct err *e) WARN_UNUSED;
/* One author's, by name; none of who is not there. */
int data_by_user(struct store_db *db, struct str user, int64_t limit, int64_t offset,
    data_row_fn *each, void *ctx, struct err *e) WARN_UNUSED;
/* Own and followed. */
int data_personal(struct store_db *db, int64_t user, int64_t limit, int64_t offset,
    data_row_fn *each, void *ctx, struct err *e) WARN_UNUSED;
/* Whom a user follows, by name, in the order it began; only row->user and its id are set. */
int data_followed(struct store_db *db, struct str who, int64_t limit, data_row_fn *each, void *ctx,
    struct err *e) WARN_UNUSED;

/* Sessions: by the hash of their token, so that a copy of the database opens none. */
int data_session_add(struct store_db *db, struct str token_hash, int64_t user, int64_t expires_s,
    struct err *e) WARN_UNUSED;
int data_session_drop(struct store_db *db, struct str token_hash, struct err *e) WARN_UNUSED;
/* 1 with id, name and email. */
int data_session_user(struct store_db *db, struct str token_hash, struct arena *a,
    struct data_user *ret, struct err *e) WARN_UNUSED;
