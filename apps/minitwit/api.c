/* The simulator's API. Every handler starts on the loop thread: `latest` first, then who asks, then
 * an answer from memory, else a read, or a write that is answered once it is durable. */
#include "minitwit/app.h"

#include "base/clock.h"
#include "base/ct.h"
#include "base/num.h"
#include "crypto/password.h"
#include "text/json.h"

#include <string.h>

#define COUNT_DEFAULT 100
#define ANSWER_MAX_BYTES (60u << 20)
#define LONG_COUNT 1000 /* more rows than this are read on the pool, whatever the store */

#define CREDENTIAL "Basic c2ltdWxhdG9yOnN1cGVyX3NhZmUh"
static const char no_user[] = "There is no such user";

static void note_latest(struct app *a, const struct http_request *r)
{
	int64_t n;
	if (r->query.n > 0 && num_i64(http_query(r, "latest"), INT64_MIN, INT64_MAX, &n) && n != -1)
		board_set_latest(a->board, n);
}

/* What every request but GET /latest and POST /register goes through. */
static bool enter(struct app *a, struct http_call *c, const struct http_request *r)
{
	note_latest(a, r);
	if (ct_eq(http_header_get(r, "Authorization"), STR(CREDENTIAL)))
		return true;
	app_reply_error(a, c, 403, "You are not authorized to use this resource!");
	return false;
}

static int64_t count_of(const struct http_request *r)
{
	int64_t n = COUNT_DEFAULT;
	if (r->query.n > 0 && !num_i64(http_query(r, "no"), INT64_MIN, INT64_MAX, &n))
		return COUNT_DEFAULT;
	return n < 0 ? DATA_ALL : n;
}

static struct str user_param(const struct http_call *c)
{
	return app_name(http_param(c, "user"));
}

void api_latest(struct http_call *c, struct http_request *r, void *ctx)
{
	struct app *a = ctx;
	char text[48];
	(void)r;
	int n =
	    snprintf(text, sizeof(text), "{\"latest\":%lld}", (long long)board_latest(a->board));
	app_reply(a, c, 200, "application/json", NULL, (struct str){text, (size_t)n});
}

/* --- reading --- */

struct reading {
	struct app *a;
	struct http_call *call;
	enum board_kind kind;
	struct str user;
	int64_t count;
	struct board_stamp stamp;
	int rc; /* 1 found, 0 no such user, -1 */
	struct err err;
	struct buf answer;
	int64_t rows, last_id;
};

static void row_note(struct reading *x, const struct timeline_row *row)
{
	x->rows++;
	if (row->id > x->last_id)
		x->last_id = row->id;
}

static void put_message(void *ctx, const struct timeline_row *row)
{
	struct reading *x = ctx;
	row_note(x, row);
	if (x->rows > 1)
		buf_char(&x->answer, ',');
	timeline_json(&x->answer, row);
}

static void put_followed(void *ctx, const struct timeline_row *row)
{
	struct reading *x = ctx;
	struct json_out w;
	json_out_init(&w, &x->answer);
	row_note(x, row);
	w.comma = x->rows > 1;
	json_put_str(&w, NULL, row->user);
}

/* One question where there is a row: on a server each is a journey there and back. */
static int put_user(struct reading *x, struct store_db *db)
{
	int rc;
	if (x->kind == BOARD_MSGS) {
		buf_char(&x->answer, '[');
		rc = data_by_user(db, x->user, x->count, 0, put_message, x, &x->err);
		buf_char(&x->answer, ']');
	} else {
		buf_str(&x->answer, STR("{\"follows\":["));
		rc = data_followed(db, x->user, x->count, put_followed, x, &x->err);
		buf_str(&x->answer, STR("]}"));
	}
	if (rc < 0 || x->rows > 0)
		return rc < 0 ? -1 : 1;
	struct data_user u;
	return data_user_get(db, x->user, http_request_of(x->call)->arena, &u, &x->err);
}

static void user_read(void *ctx)
{
	struct reading *x = ctx;
	struct store_db *db =
	    store_read_begin(x->a->store, clock_mono_ms() + READ_WAIT_MS, &x->err);
	x->rc = db ? put_user(x, db) : -1;
	store_read_end(x->a->store, db);
	if (x->rc == 1 && buf_check(&x->answer, "the answer", &x->err) < 0)
		x->rc = -1;
}

static void reading_reply(struct reading *x)
{
	struct app *a = x->a;
	if (x->rc < 0)
		app_reply_err(a, x->call, &x->err);
	else if (x->rc == 0)
		app_reply_error(a, x->call, 404, no_user);
	else
		app_reply(a, x->call, 200, "application/json", NULL, buf_view(&x->answer));
}

static void user_done(void *ctx)
{
	struct reading *x = ctx;
	struct buf answer = x->answer; /* x goes with the call */
	const struct pages_answer kept = {
	    .stamp = x->stamp, .last_id = x->last_id, .rows = x->rows, .bytes = buf_view(&answer)};
	if (x->rc == 1 && x->count <= LONG_COUNT)
		pages_put(x->a->pages, x->kind, x->user, x->count, &kept);
	reading_reply(x);
	buf_fini(&answer);
}

static struct reading *reading_new(struct app *a, struct http_call *c, int64_t count)
{
	struct reading *x = arena_alloc(http_request_of(c)->arena, sizeof(*x));
	if (!x)
		return NULL;
	x->a = a;
	x->call = c;
	x->count = count;
	buf_init(&x->answer, ANSWER_MAX_BYTES);
	return x;
}

static void reading_start(struct reading *x, loop_fn *fn, loop_fn *done)
{
	struct app *a = x->a;
	struct http_call *c = x->call;
	struct err e = {0};
	int rc = x->count > LONG_COUNT ? loop_work(a->loop, fn, done, x, &e)
				       : app_read(a, fn, done, x, &e);
	if (rc < 0)
		app_reply_err(a, c, &e);
}

static void user_list(
    struct app *a, struct http_call *c, struct http_request *r, enum board_kind kind)
{
	if (!enter(a, c, r))
		return;
	struct str user = user_param(c);
	int64_t count = count_of(r);
	if (!user.p) {
		app_reply_error(a, c, 404, no_user);
		return;
	}
	struct str kept = pages_get(a->pages, kind, user, count);
	if (kept.p) {
		app_reply(a, c, 200, "application/json", NULL, kept);
		return;
	}
	struct reading *x = reading_new(a, c, count);
	if (!x) {
		app_reply_error(a, c, 500, "out of memory");
		return;
	}
	x->kind = kind;
	x->user = user;
	x->stamp = board_stamp(a->board, kind, user);
	reading_start(x, user_read, user_done);
}

void api_msgs_user(struct http_call *c, struct http_request *r, void *ctx)
{
	user_list(ctx, c, r, BOARD_MSGS);
}

void api_follows(struct http_call *c, struct http_request *r, void *ctx)
{
	user_list(ctx, c, r, BOARD_FOLLOWS);
}

/* --- everybody's messages --- */

/* Rows on their way from a read into the ring. */
struct filling {
	struct reading x;
	struct ring_stamp stamp;
	int64_t after;
	struct timeline_row rows[RING_SIZE];
	size_t row_count;
	struct arena arena;
};

static void keep_row(void *ctx, const struct timeline_row *row)
{
	struct filling *f = ctx;
	if (f->row_count == RING_SIZE)
		return;
	f->rows[f->row_count++] = (struct timeline_row){.id = row->id,
	    .pub_date = row->pub_date,
	    .user = arena_str(&f->arena, row->user),
	    .text = arena_str(&f->arena, row->text)};
}

static void newest_read(void *ctx)
{
	struct filling *f = ctx;
	struct app *a = f->x.a;
	struct store_db *db = store_read_begin(a->store, clock_mono_ms() + READ_WAIT_MS, &f->x.err);
	if (!db)
		f->x.rc = -1;
	else if (f->after == 0)
		f->x.rc = data_public(db, RING_SIZE, 0, keep_row, f, &f->x.err);
	else
		f->x.rc = data_public_after(db, f->after, RING_SIZE, keep_row, f, &f->x.err);
	store_read_end(a->store, db);
}

static void all_read(void *ctx)
{
	struct reading *x = ctx;
	struct store_db *db =
	    store_read_begin(x->a->store, clock_mono_ms() + READ_WAIT_MS, &x->err);
	buf_char(&x->answer, '[');
	x->rc = db && data_public(db, x->count, 0, put_message, x, &x->err) == 0 ? 1 : -1;
	buf_char(&x->answer, ']');
	store_read_end(x->a->store, db);
	if (x->rc == 1 && buf_check(&x->answer, "the answer", &x->err) < 0)
		x->rc = -1;
}

static void all_done(void *ctx)
{
	struct reading *x = ctx;
	struct buf answer = x->answer;
	reading_reply(x);
	buf_fini(&answer);
}

/* The ring is up to date. */
static void msgs_reply(struct app *a, struct http_call *c, int64_t count)
{
	struct str kept = count <= RING_SIZE ? ring_json(a->ring, (size_t)count) : STR_NONE;
	if (kept.p) {
		app_reply(a, c, 200, "application/json", NULL, kept);
		return;
	}
	struct reading *x = reading_new(a, c, count);
	if (x)
		reading_start(x, all_read, all_done);
	else
		app_reply_error(a, c, 500, "out of memory");
}

static void newest_done(void *ctx)
{
	struct filling *f = ctx;
	struct arena rows = f->arena; /* f goes with the call */
	if (f->x.rc < 0) {
		app_reply_err(f->x.a, f->x.call, &f->x.err);
	} else {
		ring_fill(f->x.a->ring, f->stamp, f->after, f->rows, f->row_count);
		msgs_reply(f->x.a, f->x.call, f->x.count);
	}
	arena_fini(&rows);
}

void api_msgs(struct http_call *c, struct http_request *r, void *ctx)
{
	struct app *a = ctx;
	struct ring_stamp stamp;
	int64_t after, count;
	if (!enter(a, c, r))
		return;
	count = count_of(r);
	if (!ring_stale(a->ring, &stamp, &after)) {
		msgs_reply(a, c, count);
		return;
	}
	struct filling *f = arena_alloc(r->arena, sizeof(*f));
	if (!f) {
		app_reply_error(a, c, 500, "out of memory");
		return;
	}
	f->x = (struct reading){.a = a, .call = c, .count = count};
	f->stamp = stamp;
	f->after = after;
	arena_init(&f->arena, RING_SIZE * (TEXT_MAX_BYTES + 4096));
	struct err e = {0};
	if (app_read(a, newest_read, newest_done, f, &e) < 0)
		app_reply_err(a, c, &e);
}

/* --- writing --- */

struct change {
	struct write w;
	struct app *a;
	struct http_call *call;
	struct timeline_row row; /* its user is who writes, follows or registers */
	struct str whom;
	struct data_user user;
	struct str password;
	int found;
};

static struct change *change_new(
    struct app *a, struct http_call *c, store_unit_fn *unit, write_done_fn *done)
{
	struct change *x = arena_alloc(http_request_of(c)->arena, sizeof(*x));
	if (!x) {
		app_reply_error(a, c, 500, "out of memory");
		return NULL;
	}
	x->a = a;
	x->call = c;
	x->w = (struct write){.unit = unit, .done = done, .ctx = x};
	return x;
}

static void change_submit(struct change *x)
{
	struct err e = {0};
	struct app *a = x->a;
	struct http_call *c = x->call;
	if (writes_submit(a->writes, &x->w, &e) < 0)
		app_reply_err(a, c, &e);
}

/* True when the change has been made; else it has been answered. */
static bool change_made(struct change *x)
{
	bool made = x->w.rc == 0 && x->found == 1; /* x goes with the answer */
	if (x->w.rc < 0)
		app_reply_err(x->a, x->call, &x->w.err);
	else if (x->found == 0)
		app_reply_error(x->a, x->call, 404, no_user);
	return made;
}

/* The body as an object; NULL when it is none, and that has been answered. */
static json_t *body_read(struct app *a, struct http_call *c, const struct http_request *r)
{
	struct err e = {0};
	json_t *o = json_read(r->body, &e);
	if (o && json_is_object(o))
		return o;
	json_decref(o);
	app_reply_error(a, c, 400, o ? "the body is no JSON object" : e.msg);
	return NULL;
}

/* STR_NONE when absent or no text. */
static struct str member(const json_t *o, const char *key, struct arena *a)
{
	const json_t *v = json_object_get(o, key);
	if (!json_is_string(v))
		return STR_NONE;
	return arena_str(a, (struct str){json_string_value(v), json_string_length(v)});
}

static int unit_message(void *ctx, struct store_db *db, struct err *e)
{
	struct change *x = ctx;
	x->found = data_message_add(db, &x->row, e);
	return x->found < 0 ? -1 : 0;
}

static void message_done(struct write *w)
{
	struct change *x = w->ctx;
	if (!change_made(x))
		return;
	struct app *a = x->a;
	uint32_t before = board_user_changed(a->board, BOARD_MSGS, x->row.user);
	buf_clear(&a->row);
	timeline_json(&a->row, &x->row);
	struct str json = buf_view(&a->row);
	pages_add(a->pages, BOARD_MSGS, x->row.user, COUNT_DEFAULT, before, x->row.id, json);
	ring_add(a->ring, &x->row, json);
	app_reply(x->a, x->call, 204, NULL, NULL, STR(""));
}

void api_msgs_add(struct http_call *c, struct http_request *r, void *ctx)
{
	struct app *a = ctx;
	if (!enter(a, c, r))
		return;
	CLEANUP_JSON json_t *o = body_read(a, c, r);
	struct change *x = o ? change_new(a, c, unit_message, message_done) : NULL;
	if (!x)
		return;
	x->row.user = user_param(c);
	x->row.text = member(o, "content", r->arena);
	if (!x->row.text.p || x->row.text.n > TEXT_MAX_BYTES)
		app_reply_error(
		    a, c, 400, x->row.text.p ? "content is too long" : "content is missing");
	else if (!x->row.user.p)
		app_reply_error(a, c, 404, no_user);
	else
		change_submit(x);
}

static int unit_follow(void *ctx, struct store_db *db, struct err *e)
{
	struct change *x = ctx;
	x->found = data_follow(db, x->row.user, x->whom, &x->row.id, e);
	return x->found < 0 ? -1 : 0;
}

static int unit_unfollow(void *ctx, struct store_db *db, struct err *e)
{
	struct change *x = ctx;
	x->found = data_unfollow(db, x->row.user, x->whom, e);
	return x->found < 0 ? -1 : 0;
}

static void follow_done(struct write *w)
{
	struct change *x = w->ctx;
	if (!change_made(x))
		return;
	struct app *a = x->a;
	uint32_t before = board_user_changed(a->board, BOARD_FOLLOWS, x->row.user);
	struct json_out out;
	buf_clear(&a->row);
	json_out_init(&out, &a->row);
	json_put_str(&out, NULL, x->whom);
	/* Following whom one followed already has no id, and changes no answer. */
	pages_add(a->pages, BOARD_FOLLOWS, x->row.user, COUNT_DEFAULT, before, x->row.id,
	    buf_view(&a->row));
	app_reply(a, x->call, 204, NULL, NULL, STR(""));
}

static void unfollow_done(struct write *w)
{
	struct change *x = w->ctx;
	if (!change_made(x))
		return;
	(void)board_user_changed(x->a->board, BOARD_FOLLOWS, x->row.user);
	app_reply(x->a, x->call, 204, NULL, NULL, STR(""));
}

void api_follows_change(struct http_call *c, struct http_request *r, void *ctx)
{
	struct app *a = ctx;
	if (!enter(a, c, r))
		return;
	CLEANUP_JSON json_t *o = body_read(a, c, r);
	if (!o)
		return;
	struct str follow = member(o, "follow", r->arena);
	struct change *x = follow.p ? change_new(a, c, unit_follow, follow_done)
				    : change_new(a, c, unit_unfollow, unfollow_done);
	if (!x)
		return;
	x->row.user = user_param(c);
	x->whom = follow.p ? follow : member(o, "unfollow", r->arena);
	if (!x->whom.p)
		app_reply_error(a, c, 400, "neither follow nor unfollow is there");
	else if (!x->row.user.p || !app_name(x->whom).p)
		app_reply_error(a, c, 404, no_user);
	else
		change_submit(x);
}

/* --- registering --- */

static int unit_user(void *ctx, struct store_db *db, struct err *e)
{
	struct change *x = ctx;
	int64_t id;
	x->found = data_user_add(db, &x->user, &id, e);
	return x->found < 0 ? -1 : 0;
}

static void user_added(struct write *w)
{
	struct change *x = w->ctx;
	if (w->rc < 0)
		app_reply_err(x->a, x->call, &w->err);
	else if (x->found == 0)
		app_reply_error(x->a, x->call, 400, app_taken);
	else
		app_reply(x->a, x->call, 204, NULL, NULL, STR(""));
}

/* Whether the name is free is asked before the expensive part, and decided by the insert. */
static int name_known(struct change *x, struct err *e)
{
	struct data_user u;
	struct store_db *db = store_read_begin(x->a->store, clock_mono_ms() + READ_WAIT_MS, e);
	if (!db)
		return -1;
	int rc = data_user_get(db, x->user.name, http_request_of(x->call)->arena, &u, e);
	store_read_end(x->a->store, db);
	return rc;
}

static void job_register(void *ctx)
{
	struct change *x = ctx;
	struct err e = {0};
	char hash[PASSWORD_HASH_SIZE];
	int known = name_known(x, &e);
	if (known == 1) {
		app_reply_error(x->a, x->call, 400, app_taken);
		return;
	}
	if (known < 0 || password_hash_at(PASSWORD_USER, x->password, hash, &e) < 0) {
		app_reply_err(x->a, x->call, &e);
		return;
	}
	x->user.hash = arena_str(http_request_of(x->call)->arena, str_c(hash));
	change_submit(x);
}

void api_register(struct app *a, struct http_call *c, struct http_request *r)
{
	note_latest(a, r);
	CLEANUP_JSON json_t *o = body_read(a, c, r);
	struct change *x = o ? change_new(a, c, unit_user, user_added) : NULL;
	struct err e = {0};
	if (!x)
		return;
	x->user.name = member(o, "username", r->arena);
	x->user.email = member(o, "email", r->arena);
	x->password = member(o, "pwd", r->arena);
	const char *fault = app_register_fault(x->user.name, x->user.email, x->password);
	if (fault == NULL && x->password.n > PASSWORD_MAX_BYTES)
		fault = "The password is too long";
	if (fault)
		app_reply_error(a, c, 400, fault);
	else if (jobs_add(a->jobs, job_register, x, &e) < 0)
		app_reply_err(a, c, &e);
}
