/* JSON (RFC 8259). Reading: jansson, strict, duplicate keys refused, depth and size bounded. Writing: straight into
 * a buf, keys in the order written, so that answers are stable. */
#pragma once

#include "base/buf.h"
#include "base/err.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

/* NULL with ERR_INVALID saying line and column. The caller json_decref()s. */
json_t *json_read(struct str s, struct err *e);
#define CLEANUP_JSON __attribute__((cleanup(json_release_ptr)))
void json_release_ptr(json_t **j);
/* A member of an object; absent gives 1/0/-1: 1 found, 0 absent or null, -1 wrong type (ERR_INVALID at the pointer). */
int json_get_str(const json_t *o, const char *key, struct str *ret, struct err *e) WARN_UNUSED;
int json_get_i64(const json_t *o, const char *key, int64_t min, int64_t max, int64_t *ret, struct err *e) WARN_UNUSED;
int json_get_bool(const json_t *o, const char *key, bool *ret, struct err *e) WARN_UNUSED;
/* An object with a member that is not in the NULL-ended list of known keys: -1 naming it and the nearest known key. */
int json_known_keys(const json_t *o, const char *const *keys, struct err *e) WARN_UNUSED;

/* Writer: calls nest; commas are its own business. */
struct json_out {
	struct buf *b;
	bool comma;
};
void json_out_init(struct json_out *w, struct buf *b);
void json_open_object(struct json_out *w, const char *key); /* key NULL: an element or the top */
void json_close_object(struct json_out *w);
void json_open_array(struct json_out *w, const char *key);
void json_close_array(struct json_out *w);
void json_put_str(struct json_out *w, const char *key, struct str v); /* p NULL writes null; invalid UTF-8 becomes U+FFFD */
void json_put_i64(struct json_out *w, const char *key, int64_t v);
void json_put_bool(struct json_out *w, const char *key, bool v);
void json_put_null(struct json_out *w, const char *key);
void json_put_time(struct json_out *w, const char *key, int64_t wall_ms); /* RFC 3339; <= 0 writes null */
void json_put_raw(struct json_out *w, const char *key, struct str json); /* already JSON; trusted */
