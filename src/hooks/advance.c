#include "hooks/advance.h"
#include "hooks/alert.h"

#include "base/clock.h"
#include "model/action.h"
#include "model/channel.h"
#include "model/delivery.h"
#include "model/task.h"
#include "notify/notify.h"
#include "queue/units.h"
#include "text/json.h"

#include <inttypes.h>
#include <stdio.h>

enum {
	AT_ONCE = 100,
	TURN_MS = 20, /* bodies are read inside the unit, and everybody else waits for it */
	ARENA_BYTES = 64 << 20,
	EXCERPT_BYTES = 4000, /* of a body, in a message */
	SHORT_COMMIT = 7,
	INPUT_BYTES = 32 << 10,
};

/* One action that is begun. */
struct begin {
	struct intake *in;
	struct store_db *db;
	struct arena a;
	const struct model_action *x;
	json_t *spec;
	struct model_event ev;
	int64_t now_ms;
	bool told;
	bool body_lost; /* it could not be read: this event's trouble alone */
	char key[64];
};

int advance_body(struct intake *in, struct store_db *db, int64_t event_id, struct arena *a,
    struct model_event *ret, struct str *ret_body, struct err *e)
{
	*ret_body = STR("");
	int rc = model_event_get(db, a, event_id, MODEL_EVERYTHING, ret, e);
	if (rc <= 0)
		return rc;
	rc = model_event_body(db, a, event_id, MODEL_EVERYTHING, ret_body, e);
	return rc < 0 || intake_body(in, ret, a, ret_body, e) < 0 ? -1 : 1;
}

/* --- deploy, check, run: tasks --- */

/* 1: under way; 0: it is over, as *x says. */
static int begin_look(struct begin *b, struct err *e)
{
	struct queue_delivery d = {.project_id = b->ev.project_id,
	    .ref = b->ev.ref,
	    .before = b->ev.before,
	    .after = b->ev.after,
	    .received_ms = b->now_ms,
	    .stranger = json_is_true(json_object_get(b->spec, "stranger"))};
	int64_t task = 0;
	bool deploy = b->x->kind == MODEL_ACTION_DEPLOY;
	if (deploy) {
		int rc = model_task_decided_since(
		    b->db, b->ev.project_id, b->ev.received_ms, b->now_ms, e);
		if (rc != 0)
			return rc < 0 ? -1
				      : model_action_end(b->db, b->x, MODEL_ACTION_SKIPPED,
					    "a rollback, stop or destroy came after it", e);
	}
	if ((deploy ? queue_unit_push(b->db, &d, &task, e)
		    : queue_unit_check(b->db, &d, &task, e)) != 0)
		return -1;
	return model_action_begun(b->db, b->x, task, e);
}

static int begin_run(struct begin *b, struct err *e)
{
	struct json_out w;
	CLEANUP_BUF struct buf input;
	const json_t *argv = json_object_get(b->spec, "argv"),
		     *timeout = json_object_get(b->spec, "timeout_ms");
	buf_init(&input, INPUT_BYTES);
	json_out_init(&w, &input);
	json_open_object(&w, NULL);
	json_open_array(&w, "argv");
	for (size_t i = 0; i < json_array_size(argv); i++)
		json_put_str(&w, NULL, str_c(json_string_value(json_array_get(argv, i))));
	json_close_array(&w);
	if (timeout)
		json_put_i64(&w, "timeout_ms", json_integer_value(timeout));
	json_put_i64(&w, "event", b->ev.id);
	json_close_object(&w);
	const struct queue_order o = {.project_id = b->ev.project_id,
	    .kind = MODEL_TASK_RUN,
	    .input_json = buf_view(&input),
	    .requested_by = STR("hook"),
	    .now_ms = b->now_ms};
	int64_t task = 0;
	if (buf_check(&input, "the command", e) != 0 || queue_unit_order(b->db, &o, &task, e) != 0)
		return -1;
	return model_action_begun(b->db, b->x, task, e);
}

/* --- notify, forward: deliveries --- */

struct told {
	struct message_field v[14];
	size_t n;
};

static void put(struct told *t, const char *name, struct str value)
{
	if (value.n)
		t->v[t->n++] = (struct message_field){name, value};
}

static void about(struct begin *b, struct told *t)
{
	put(t, "project", b->ev.project);
	put(t, "hook", b->ev.hook);
	put(t, "kind", b->ev.kind);
	put(t, "ref", b->ev.ref);
	put(t, "commit", b->ev.after);
	put(t, "short", str_slice(b->ev.after, 0, SHORT_COMMIT));
	put(t, "delivery", b->ev.delivery_key);
	put(t, "event_id", str_c(arena_printf(&b->a, "%" PRId64, b->ev.id)));
}

/* Whole characters only. */
static struct str excerpt(struct str body)
{
	size_t n = body.n < EXCERPT_BYTES ? body.n : EXCERPT_BYTES;
	while (n < body.n && n > 0 && ((uint8_t)body.p[n] & 0xc0) == 0x80)
		n--;
	return str_slice(body, 0, n);
}

static void about_alert(struct begin *b, struct str body, struct told *t)
{
	struct alert one;
	alert_read(body, &b->a, &one);
	put(t, "alert", one.name.n > 0 ? excerpt(one.name) : STR("an alert"));
	put(t, "severity", excerpt(one.severity));
	put(t, "summary", excerpt(one.summary));
	put(t, "description", excerpt(one.description));
	put(t, "since", excerpt(one.since));
	put(t, "more", one.more);
}

static int channel_find(struct begin *b, struct str name, struct model_channel *ret, struct err *e)
{
	int rc = model_channel_get(b->db, &b->a, b->ev.project_id, name, MODEL_EVERYTHING, ret, e);
	if (rc != 0)
		return rc < 0 ? -1 : 0;
	return err_set(e, ERR_NOT_FOUND, "there is no channel '%.*s' any more", STR_ARG(name));
}

static int publish(struct begin *b, const struct told *t, int64_t only, struct err *e)
{
	const struct notify_news n = {.project_id = b->ev.project_id,
	    .event = alert_is(b->ev.kind) ? b->ev.kind : STR("hook.received"),
	    .key = str_c(b->key),
	    .fields = t->v,
	    .field_count = t->n,
	    .now_ms = b->now_ms,
	    .only_channel = only};
	b->told = true;
	return notify_unit_publish(b->db, &n, e);
}

/* Errors of the journal's files are told apart from the store's. */
static int body_read(struct begin *b, struct str *ret, struct err *e)
{
	*ret = STR("");
	if (model_event_body(b->db, &b->a, b->ev.id, MODEL_EVERYTHING, ret, e) < 0)
		return -1;
	if (intake_body(b->in, &b->ev, &b->a, ret, e) >= 0)
		return 0;
	b->body_lost = true;
	return err_prefix(e, "the event's body");
}

static int begin_notify(struct begin *b, struct err *e)
{
	struct told t = {0};
	struct str body;
	const json_t *names = json_object_get(b->spec, "channels");
	if (body_read(b, &body, e) != 0)
		return -1;
	about(b, &t);
	if (alert_is(b->ev.kind))
		about_alert(b, body, &t);
	else
		put(&t, "body", excerpt(body));
	for (size_t i = 0; i < json_array_size(names); i++) {
		struct model_channel c;
		struct str name = str_c(json_string_value(json_array_get(names, i)));
		if (channel_find(b, name, &c, e) != 0 || publish(b, &t, c.id, e) != 0)
			return -1;
	}
	if (!names && publish(b, &t, 0, e) != 0)
		return -1;
	return model_action_end(b->db, b->x, MODEL_ACTION_DONE, "", e);
}

static int begin_forward(struct begin *b, struct err *e)
{
	struct told t = {0};
	struct model_channel c;
	CLEANUP_BUF struct buf message;
	struct str name = str_c(json_string_value(json_object_get(b->spec, "channel")));
	int64_t id;
	buf_init(&message, 4 * MESSAGE_TEXT_MAX);
	if (channel_find(b, name, &c, e) != 0)
		return -1;
	if (c.disabled.n) /* nothing is sent, and what waited would wait without end */
		return err_set(e, ERR_SETTINGS, "channel '%.*s' was switched off: %.*s",
		    STR_ARG(name), STR_ARG(c.disabled));
	about(b, &t);
	if (message_write(STR("hook.forwarded"), t.v, t.n, b->now_ms, &message, e) != 0)
		return -1;
	const struct model_delivery d = {.channel_id = c.id,
	    .key = str_c(b->key),
	    .event = STR("hook.forwarded"),
	    .series = STR(""),
	    .message = buf_view(&message),
	    .due_ms = b->now_ms,
	    .created_ms = b->now_ms};
	b->told = true;
	if (model_delivery_add(b->db, &d, &id, e) < 0)
		return -1;
	return model_action_end(b->db, b->x, MODEL_ACTION_DONE, "", e);
}

/* --- both --- */

static int begin_kind(struct begin *b, struct err *e)
{
	static int (*const begins[MODEL_ACTION_KIND_COUNT])(struct begin *, struct err *) = {
	    [MODEL_ACTION_DEPLOY] = begin_look,
	    [MODEL_ACTION_CHECK] = begin_look,
	    [MODEL_ACTION_NOTIFY] = begin_notify,
	    [MODEL_ACTION_FORWARD] = begin_forward,
	    [MODEL_ACTION_RUN] = begin_run,
	};
	int rc = model_event_get(b->db, &b->a, b->x->event_id, MODEL_EVERYTHING, &b->ev, e);
	if (rc <= 0)
		return rc < 0 ? -1 : err_set(e, ERR_NOT_FOUND, "the event is gone");
	b->spec = json_read(b->x->spec, e);
	(void)snprintf(b->key, sizeof(b->key), "action/%" PRId64 "/%" PRId64 "/%" PRId64,
	    b->x->event_id, b->x->position, b->x->attempt);
	return b->spec ? begins[b->x->kind](b, e) : -1;
}

/* What can never be done as things are: the action has failed. Anything else is the store's. An
 * action that met a bad sector and counted as the store's would hold up every project's work. */
static bool is_its_own(const struct begin *b, enum err_code code)
{
	return b->body_lost || code == ERR_NOT_FOUND || code == ERR_INVALID ||
	       code == ERR_TOO_LARGE || code == ERR_SETTINGS;
}

/* 1 begun or ended, 0 there is no room in the queue for it, -1. */
static int begin_one(struct intake *in, struct store_db *db, const struct model_action *x,
    int64_t now_ms, bool *ret_told, struct err *e)
{
	struct err why = {0};
	struct begin b = {.in = in, .db = db, .x = x, .now_ms = now_ms};
	arena_init(&b.a, ARENA_BYTES);
	int rc = begin_kind(&b, &why);
	*ret_told = *ret_told || b.told;
	json_decref(b.spec);
	arena_fini(&b.a);
	if (rc == 0)
		return 1;
	if (is_its_own(&b, why.code))
		return model_action_end(db, x, MODEL_ACTION_FAILED, why.msg, e) < 0 ? -1 : 1;
	if (why.code == ERR_UNAVAILABLE)
		return 0;
	*e = why;
	return -1;
}

static int end_one(struct store_db *db, const struct model_action *x, struct err *e)
{
	char text[96];
	if (x->task_done)
		return model_action_end(db, x, MODEL_ACTION_DONE, "", e);
	if (x->task_superseded)
		return model_action_end(
		    db, x, MODEL_ACTION_SKIPPED, "a rollback, stop or destroy came after it", e);
	(void)snprintf(text, sizeof(text), "task %" PRId64 " did not end well", x->task_id);
	return model_action_end(db, x, MODEL_ACTION_FAILED, text, e);
}

int advance_unit(struct intake *in, struct store_db *db, int64_t now_ms, bool *ret_more,
    bool *ret_told, struct err *e)
{
	CLEANUP_ARENA struct arena a;
	struct model_actions l;
	int64_t until_ms = clock_mono_ms() + TURN_MS;
	*ret_told = false;
	arena_init(&a, ARENA_BYTES);
	if (model_action_ended(db, &a, AT_ONCE, &l, e) < 0)
		return -1;
	*ret_more = l.n >= AT_ONCE;
	for (size_t i = 0; i < l.n; i++)
		if (end_one(db, &l.v[i], e) < 0)
			return -1;
	if (!*ret_more && model_action_none_ended(db, e) < 0)
		return -1;
	if (model_action_ready(db, &a, AT_ONCE, &l, e) < 0)
		return -1;
	int rc = 1;
	for (size_t i = 0; rc > 0 && i < l.n && (i == 0 || clock_mono_ms() < until_ms); i++)
		rc = begin_one(in, db, &l.v[i], now_ms, ret_told, e);
	/* What was begun and is over already has made the next one of its event wait; or the time
	 * was up. */
	*ret_more = *ret_more || (rc > 0 && l.n > 0);
	return rc < 0 ? -1 : 0;
}
