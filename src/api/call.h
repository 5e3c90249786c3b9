/* One request on its way through the API. Not for other rooms. */
#pragma once

#include "api/api.h"
#include "base/buf.h"
#include "model/viewer.h"
#include "text/json.h"

struct api_call;

/* Does what the route is for: fills the answer in call->w and call->status (0 means 200), or -1
 * with e. */
typedef int api_fn(struct api_call *c, struct err *e);

/* One row of the table. The access row comes first: it is what http/ hands around. */
struct api_route {
	struct access_row access;
	enum http_method method;
	const char *pattern;
	api_fn *fn;
	size_t body_max; /* bytes; 0: none */
	bool body_to_file;
	const char *tag, *summary;
	const char *query; /* known query parameters, separated by blanks; may be NULL */
	const char *request,
	    *answer; /* schema names; answer NULL: none, "text" or "events": not JSON */
	int status;  /* of success */
};
const struct api_route *api_route_table(size_t *ret_count);

struct api_call {
	const struct api_context *cx;
	const struct api_route *route;
	struct http_call *http;
	struct http_request *r;
	const struct access_subject *who;
	struct store_db *db; /* a snapshot, from api_reading; ended with the call */
	json_t *body; /* an object that fits the route's schema; NULL when the route takes none */
	struct str body_hash; /* hex, of what the request says, for the idempotency key */
	int status;
	struct buf out;
	struct json_out w;
	struct buf headers;   /* complete lines for the answer */
	bool answered;	      /* the function has answered, or will, by itself */
	bool replayed;	      /* the answer is one that was kept */
	int64_t changed_task; /* its watchers are told once durable; 0: none */
	bool kick, kick_notify, kick_catchup, kick_own; /* to do once durable, as what follows */
	struct str changed_hook;			/* its name */
	bool changed_branch;				/* the project's own: its hooks follow it */
};

#define API_ANSWER_BYTES_MAX (16u << 20)
#define API_READ_WAIT_MS 5000
#define API_PAGE_DEFAULT 50
#define API_PAGE_LIMIT 200

/* The http_handler of every route. */
void api_handle(struct http_call *hc, struct http_request *r, void *ctx);

/* The snapshot that the call reads from; NULL on error. */
struct store_db *api_reading(struct api_call *c, struct err *e);
/* Runs fn inside a store unit; durable when it returns 0. The answer may be written inside. With an
 * Idempotency-Key on a POST: a repeat runs nothing and finds the kept answer. */
typedef int api_unit_fn(struct api_call *c, struct store_db *db, void *ctx, struct err *e);
int api_write(struct api_call *c, api_unit_fn *fn, void *ctx, struct err *e) WARN_UNUSED;
/* The audit record of the route's action, inside the unit. detail may be STR_NONE. */
int api_audit(struct api_call *c, struct store_db *db, struct str target, struct str detail,
    struct err *e) WARN_UNUSED;

/* The viewer of this subject with the role that the route needs. */
struct model_viewer api_viewer(const struct api_call *c);
/* ?after= and ?limit= of a list by number. */
int api_page(const struct api_call *c, struct model_page *ret, struct err *e) WARN_UNUSED;
/* The same of a list by name. */
int api_page_name(const struct api_call *c, struct str *ret_after, uint32_t *ret_limit,
    struct err *e) WARN_UNUSED;
/* "items" stands open: closes it and adds "next". */
void api_list_open(struct api_call *c);
void api_list_close(struct api_call *c, bool more, struct str next);
void api_list_close_id(struct api_call *c, bool more, int64_t next);

/* A path segment that is a number; anything else is "there is no WHAT 'x'". */
int api_param_id(const struct api_call *c, const char *name, const char *what, int64_t *ret,
    struct err *e) WARN_UNUSED;
/* ERR_NOT_FOUND "there is no WHAT 'id'", escaped. */
int api_absent(const char *what, struct str id, struct err *e);
/* ETag: "N" on the answer, and what If-Match asked for: -1 without one. ERR_PRECONDITION when it is
 * no tag of ours. */
void api_etag(struct api_call *c, int64_t version);
int api_if_match(const struct api_call *c, int64_t *ret_version, struct err *e) WARN_UNUSED;
/* A Location line; printf-like. */
void api_location(struct api_call *c, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* ?purge=true; false when it is not said. */
int api_query_purge(const struct api_call *c, bool *ret, struct err *e) WARN_UNUSED;
/* Members of c->body, which the schema has checked: STR_NONE, or the default, when absent or null.
 */
struct str api_str(const json_t *o, const char *key);
bool api_bool(const json_t *o, const char *key, bool otherwise);
int64_t api_int(const json_t *o, const char *key, int64_t otherwise);
bool api_has(const json_t *o, const char *key); /* null counts as there */
/* Seals a value for its place (model/place.h), into the arena. */
int api_seal(struct api_call *c, struct str place, struct str clear, struct str *ret,
    struct err *e) WARN_UNUSED;
void api_put_i64_or_null(struct json_out *w, const char *key, int64_t v); /* 0 writes null */
