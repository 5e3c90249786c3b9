#include "api/call.h"

#include "api/schema.h"
#include "base/clock.h"
#include "deploy/own.h"
#include "base/hex.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/num.h"
#include "crypto/hash.h"
#include "github/catchup.h"
#include "github/ranges.h"
#include "model/idempotency.h"
#include "model/place.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KEY_MAX = 128, KEPT_MS = 24 * 3600 * 1000, HEADERS_MAX = 2048 };

int api_authorize(void *ctx, struct http_request *r, struct http_call *c, struct err *e)
{
	const struct api_context *cx = ctx;
	return access_authorize(cx->access, r, c, e);
}

struct store_db *api_reading(struct api_call *c, struct err *e)
{
	if (!c->db)
		c->db = store_read_begin(c->cx->store, clock_mono_ms() + API_READ_WAIT_MS, e);
	return c->db;
}

int api_audit(
    struct api_call *c, struct store_db *db, struct str target, struct str detail, struct err *e)
{
	return access_unit_audit(db, c->who, c->route->access.action, target, "ok", detail, e);
}

/* The reading of a body. */

static int json_type_check(const struct api_call *c, struct err *e)
{
	struct str type = http_header_get(c->r, "Content-Type");
	size_t end = str_find(type, ';', 0);
	if (end != SIZE_MAX)
		type = str_slice(type, 0, end);
	if (str_eq_nocase(str_trim(type), STR("application/json")))
		return 0;
	err_set(e, ERR_UNSUPPORTED, "the body is no application/json");
	return err_hint(e, "send: Content-Type: application/json");
}

static int body_read(struct api_call *c, struct err *e)
{
	if (!c->route->request)
		return 0;
	const struct api_schema *s = api_schema_find(c->route->request);
	if (c->r->body.n == 0) {
		c->body = json_object();
	} else {
		if (json_type_check(c, e) < 0)
			return -1;
		c->body = json_read(c->r->body, e);
	}
	if (!c->body)
		return -1;
	return api_schema_check(s, c->body, e);
}

/* Whether a name is one of a list separated by blanks. */
static bool listed(const char *list, struct str name)
{
	struct str rest = str_c(list), piece;
	while (str_next(&rest, ' ', &piece) == 1)
		if (str_eq(piece, name))
			return true;
	return false;
}

static int query_check(const struct api_call *c, struct err *e)
{
	struct str rest = c->r->query, pair;
	if (!rest.n)
		return 0;
	while (str_next(&rest, '&', &pair) == 1) {
		size_t end = str_find(pair, '=', 0);
		struct str name = end == SIZE_MAX ? pair : str_slice(pair, 0, end);
		char shown[64];
		log_escape(name, shown, sizeof(shown));
		if (name.n && listed(c->route->query, name)) {
			if (http_query(c->r, arena_cstr(c->r->arena, name)).p)
				continue;
			err_set(e, ERR_INVALID, "the value of query parameter '%s' is malformed",
			    shown);
			return err_hint(e, "write '%%' as %%25; it cannot hold a NUL");
		}
		err_set(e, ERR_INVALID, "there is no query parameter '%s' here", shown);
		return err_hint(e, "known: %s", c->route->query ? c->route->query : "none");
	}
	return 0;
}

/* Idempotency: the answer of a POST is kept, sealed, under the client's key. */

static void request_hash(struct api_call *c)
{
	struct hash *h = hash_new();
	hash_update(h, str_c(http_method_name(c->r->method)));
	hash_update(h, STR(" "));
	hash_update(h, c->r->path);
	hash_update(h, STR("\n"));
	hash_update(h, c->r->body);
	hash_update(h, c->body_hash);
	uint8_t raw[HASH_SHA256_BYTES];
	hash_finish(h, raw);
	hash_free(h);
	char *hex = arena_alloc(c->r->arena, 2 * sizeof(raw) + 1);
	if (!hex)
		return;
	hex_encode(raw, sizeof(raw), hex);
	c->body_hash = str_c(hex);
}

/* 1: *ret is the key; 0: none was sent, or the method takes none; -1. */
static int key_read(const struct api_call *c, struct str *ret, struct err *e)
{
	*ret = http_header_get(c->r, "Idempotency-Key");
	if (!ret->p || c->r->method != HTTP_POST)
		return 0;
	bool plain = ret->n > 0 && ret->n <= KEY_MAX;
	for (size_t i = 0; plain && i < ret->n; i++)
		plain = ret->p[i] > 0x20 && ret->p[i] < 0x7f;
	return plain ? 1
		     : err_set(e, ERR_INVALID,
			   "Idempotency-Key must be 1 to %d printable characters without blanks",
			   KEY_MAX);
}

int api_seal(struct api_call *c, struct str place, struct str clear, struct str *ret, struct err *e)
{
	struct buf sealed CLEANUP_BUF;
	buf_init(&sealed, API_ANSWER_BYTES_MAX);
	seal(c->cx->seal, place, clear, &sealed);
	*ret = arena_str(c->r->arena, buf_view(&sealed));
	if (sealed.full || !ret->p)
		return err_set(e, ERR_TOO_LARGE, "the request needs too much memory");
	return 0;
}

static int answer_keep(struct api_call *c, struct store_db *db, struct str key, struct err *e)
{
	char place[MODEL_PLACE_SIZE];
	struct buf text CLEANUP_BUF;
	buf_init(&text, API_ANSWER_BYTES_MAX);
	struct str sealed, where = model_place_idempotency(c->who->operator_id, key, place);
	if (api_seal(c, where, buf_view(&c->out), &sealed, e) < 0)
		return -1;
	base64_encode(sealed.p, sealed.n, &text);
	return model_idempotency_finish(db, c->who->operator_id, key,
	    c->status ? c->status : c->route->status, buf_view(&text), e);
}

static int answer_restore(
    struct api_call *c, struct str key, const struct model_idempotency *kept, struct err *e)
{
	char place[MODEL_PLACE_SIZE];
	struct buf sealed CLEANUP_BUF;
	buf_init(&sealed, API_ANSWER_BYTES_MAX);
	if (!base64_decode(kept->body, &sealed))
		return err_set(e, ERR_INTERNAL, "the kept answer is damaged");
	buf_clear(&c->out);
	c->status = kept->status;
	c->replayed = true;
	return seal_open(c->cx->seal, model_place_idempotency(c->who->operator_id, key, place),
	    buf_view(&sealed), &c->out, e);
}

/* 1: go on; 0: the answer is a kept one; -1. */
static int key_begin(struct api_call *c, struct store_db *db, struct str key, struct err *e)
{
	int64_t now = clock_wall_ms();
	struct model_idempotency want = {
	    .operator_id = c->who->operator_id,
	    .key = key,
	    .route = str_c(c->route->pattern),
	    .request_hash = c->body_hash,
	    .at_ms = now,
	};
	struct model_idempotency kept = {0};
	if (model_idempotency_prune(db, now - KEPT_MS, e) < 0)
		return -1;
	int rc = model_idempotency_begin(db, c->r->arena, &want, 0, &kept, e);
	if (rc != 0)
		return rc;
	if (kept.status == 0)
		return err_set(e, ERR_CONFLICT, "a request with this key is being worked on");
	return answer_restore(c, key, &kept, e) < 0 ? -1 : 0;
}

struct write {
	struct api_call *c;
	api_unit_fn *fn;
	void *ctx;
	struct str key;
};

static void answer_begin(struct api_call *c)
{
	buf_clear(&c->out);
	json_out_init(&c->w, &c->out);
}

static int write_unit(void *ctx, struct store_db *db, struct err *e)
{
	struct write *w = ctx;
	struct api_call *c = w->c;
	answer_begin(c);
	if (access_unit_recheck(db, &c->route->access, c->who, e) < 0)
		return -1;
	if (w->key.p) {
		int rc = key_begin(c, db, w->key, e);
		if (rc <= 0)
			return rc;
	}
	if (w->fn(c, db, w->ctx, e) < 0)
		return -1;
	return w->key.p ? answer_keep(c, db, w->key, e) : 0;
}

int api_write(struct api_call *c, api_unit_fn *fn, void *ctx, struct err *e)
{
	struct write w = {c, fn, ctx, STR_NONE};
	int keyed = key_read(c, &w.key, e);
	if (keyed < 0)
		return -1;
	if (keyed == 0)
		w.key = STR_NONE;
	if (w.key.p)
		request_hash(c);
	if (store_write(c->cx->store, write_unit, &w, e) < 0)
		return -1;
	if (c->kick && c->cx->queue)
		queue_kick(c->cx->queue);
	if (c->kick_notify)
		notify_kick(c->cx->notify);
	if (c->kick_catchup)
		catchup_kick(c->cx->catchup);
	if (c->kick_own && c->cx->own)
		own_kick(c->cx->own);
	if (c->changed_task)
		api_task_changed(c->cx, c->changed_task);
	if (c->changed_hook.p && c->cx->hooks)
		hooks_changed(c->cx->hooks, c->changed_hook);
	if (c->changed_hook.p)
		ranges_kick(c->cx->ranges);
	if (c->changed_branch && c->cx->hooks)
		hooks_project_changed(c->cx->hooks, c->who->project_id);
	return 0;
}

/* The answer. */

static void call_fini(struct api_call *c)
{
	if (c->db)
		store_read_end(c->cx->store, c->db);
	json_decref(c->body);
	buf_wipe(&c->out);
	buf_fini(&c->headers);
}

static void answer_send(struct api_call *c, int rc, struct err *e)
{
	if (rc == 0 && buf_check(&c->out, "the answer", e) < 0)
		rc = -1;
	if (rc < 0) {
		http_reply_problem(c->http, e);
		return;
	}
	if (c->replayed)
		buf_c(&c->headers, "Idempotent-Replayed: true\r\n");
	http_reply_headers(c->http, c->status ? c->status : c->route->status, "application/json",
	    c->headers.p, buf_view(&c->out));
}

void api_handle(struct http_call *hc, struct http_request *r, void *ctx)
{
	struct api_call c = {
	    .cx = ctx,
	    .route = (const struct api_route *)r->access,
	    .http = hc,
	    .r = r,
	    .who = access_subject_of(r),
	};
	struct err e = {0};
	buf_init(&c.out, API_ANSWER_BYTES_MAX);
	buf_init(&c.headers, HEADERS_MAX);
	answer_begin(&c);
	int rc = query_check(&c, &e);
	if (rc == 0)
		rc = body_read(&c, &e);
	if (rc == 0)
		rc = c.route->fn(&c, &e);
	if (!c.answered)
		answer_send(&c, rc, &e);
	call_fini(&c);
}
