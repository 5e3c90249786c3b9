/* The dispatcher: what is due, by channel, through outbound/, and what came of it back into the
 * store.
 *
 * One look at a time: a pool thread reads what is due and makes requests of it (that needs the
 * sealing key), the loop sends them. A look is made when something was kicked, when a try ended,
 * and when the next is due. */
#include "notify/notify.h"

#include "base/clock.h"
#include "base/hex.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"
#include "model/channel.h"
#include "model/delivery.h"
#include "model/place.h"
#include "notify/deployment.h"
#include "notify/lanes.h"
#include "notify/shape.h"
#include "notify/verdict.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	READ_WAIT_MS = 5000,
	AGAIN_MS = 5000, /* after a look that failed, or what the store could not take */
	FAR_MS = 3600000,
	WAIT_MS = 300000, /* while something waits: the clock may be set back */
	PRUNED_AT_ONCE = 500,
	DUE_AT_ONCE = 16, /* of a channel: more than may go, as some may be of one series */
	CLOCK_STEP_MS = 2000,
	DUE_MOST_MS = 8 * 86400000, /* no schedule waits longer */
	ARENA_BYTES = 4 << 20,
};

/* One try of one delivery. The pool fills it, the loop sends it, the writer thread records it. */
struct
try {
	struct notify *n;
	struct try *next;
	struct arena a;
	struct model_delivery delivery;
	struct model_channel channel;
	struct outbound_request request;
	bool deploys; /* `deployment` says what follows on what */
	struct deployment deployment;
	bool unsendable; /* never, or pointless: `record` says it */
	struct model_delivery_try record;
	struct verdict verdict;
	enum lanes_end end;
	bool untold; /* the store could not take it */
};

struct look {
	struct notify *n;
	struct try *found;
	int64_t next_due_ms; /* wall clock; 0: nothing waits */
	bool failed;
	struct lanes *lanes; /* a copy, with what it has found */
};

struct notify {
	struct notify_options o;
	struct loop_timer *timer;
	struct lanes *lanes;
	bool looking, again, closing;
	struct try *asked;  /* of outbound/, not answered yet */
	struct try *untold; /* answered, and the store could not take it: it is told again, nothing is sent again */
	atomic_uint
	    held; /* whoever may still call back, and the owner: freed when nobody is left */
	atomic_bool kicked;
	int64_t tidy_mono_ms, clock_ms; /* when next; the wall clock less the monotonic one */
	int pruned;
	atomic_ullong taken[MODEL_CHANNEL_TYPE_COUNT],
	    refused[MODEL_CHANNEL_TYPE_COUNT]; /* tries */
};

static void look_start(struct notify *n);

static void try_free(struct try *t)
{
	arena_wipe(&t->a); /* it holds secrets in clear */
	free(t);
}

static void release(struct notify *n, unsigned shares)
{
	if (atomic_fetch_sub(&n->held, shares) > shares)
		return;
	lanes_free(n->lanes);
	free(n);
}

/* --- recording --- */

static int record_unit(void *ctx, struct store_db *db, struct err *e)
{
	struct try *t = ctx;
	int rc = model_delivery_tried(db, &t->record, e);
	if (rc <= 0 || !t->verdict.gone)
		return rc < 0 ? -1 : 0;
	const struct message_field fields[] = {
	    {"channel", t->channel.name}, {"message", str_c(t->verdict.why)}};
	char key[40];
	(void)snprintf(
	    key, sizeof(key), "disabled/%" PRId64 "/%" PRId64, t->channel.id, t->record.at_ms);
	const struct notify_news news = {.project_id = t->channel.project_id,
	    .event = STR("channel.disabled"),
	    .key = str_c(key),
	    .fields = fields,
	    .field_count = 2,
	    .now_ms = t->record.at_ms,
	    .not_channel = t->channel.id};
	return model_channel_disable(db, t->channel.id, str_c(t->verdict.why), t->record.at_ms, e) <
		       0
		   ? -1
		   : notify_unit_publish(db, &news, e);
}

static void recorded(void *ctx)
{
	struct try *t = ctx;
	struct notify *n = t->n;
	if (t->untold && !n->closing) {
		t->next = n->untold;
		n->untold = t;
		loop_timer_at(n->timer, clock_mono_ms() + AGAIN_MS);
		return;
	}
	if (!n->closing) {
		lanes_leave(n->lanes, t->channel.id, t->delivery.id, t->end);
		look_start(n);
	}
	try_free(t);
	release(n, 1);
}

static void on_recorded(void *ctx, int rc, const struct err *e)
{
	struct try *t = ctx;
	t->untold = rc != 0;
	if (rc != 0)
		log_event(LOG_ERROR, "notify", "not_recorded", F_I64("delivery", t->delivery.id),
		    F_ERR(e));
	loop_post(t->n->o.loop, recorded, t);
}

static void tell_store(struct try *t)
{
	struct err e;
	if (store_submit(t->n->o.store, record_unit, on_recorded, t, &e) != 0)
		on_recorded(t, -1, &e);
}

static void record(struct try *t)
{
	struct notify *n = t->n;
	if (t->record.state == MODEL_DELIVERY_DELIVERED)
		atomic_fetch_add(&n->taken[t->channel.type], 1);
	else if (t->record.state != MODEL_DELIVERY_SUPERSEDED)
		atomic_fetch_add(&n->refused[t->channel.type], 1);
	log_event(t->record.state == MODEL_DELIVERY_FAILED ? LOG_WARN : LOG_INFO, "notify", "tried",
	    F_I64("delivery", t->delivery.id), F_STR("channel", t->channel.name),
	    F_STR("event", t->delivery.event), F_I64("try", t->delivery.attempts + 1),
	    F_I64("status", t->record.status),
	    F_C("state", model_delivery_state_name(t->record.state)), F_C("error", t->verdict.why));
	tell_store(t);
}

static void ask(struct try *t);

/* One request of a deployment was answered: true when another is on its way. */
static bool deploys_on(struct try *t, struct outbound_answer *a, struct err *e)
{
	int rc = a->outcome == OUTBOUND_ANSWERED && a->status / 100 == 2
		     ? deployment_answered(&t->deployment, a, e)
		     : 0;
	if (t->deployment.id)
		t->record.remote_id = t->deployment.id;
	if (rc > 0)
		rc = deployment_request(&t->deployment, &t->a, &t->request, e) == 0 ? 1 : -1;
	if (rc < 0)
		*a = (struct outbound_answer){
		    .outcome = OUTBOUND_UNREACHABLE, .text = str_c(e->msg), .ms = a->ms};
	if (rc > 0)
		ask(t);
	return rc > 0;
}

static void on_answer(void *ctx, const struct outbound_answer *given)
{
	struct try *t = ctx;
	struct err e;
	struct outbound_answer copy = *given, *a = &copy;
	for (struct try **at = &t->n->asked; *at; at = &(*at)->next)
		if (*at == t) {
			*at = t->next;
			break;
		}
	if (t->deploys && deploys_on(t, a, &e))
		return;
	const struct verdict_of v = {.schedule = t->n->o.schedule,
	    .mail = t->request.kind == OUTBOUND_MAIL,
	    .attempts = t->delivery.attempts,
	    .at_ms = clock_wall_ms()};
	verdict_give(&v, a, &t->verdict);
	t->end = a->outcome == OUTBOUND_ANSWERED ? LANES_ANSWERED : LANES_SILENT;
	t->record.ms = a->ms;
	t->record.status = a->status;
	t->record.at_ms = v.at_ms;
	t->record.state = t->verdict.state;
	t->record.due_ms = t->verdict.due_ms;
	t->record.error = str_c(t->verdict.why);
	record(t);
}

static void ask(struct try *t)
{
	struct err e;
	t->next = t->n->asked;
	t->n->asked = t;
	if (outbound_ask(t->n->o.outbound, &t->request, on_answer, t, &e) == 0)
		return;
	const struct outbound_answer a = {.outcome = OUTBOUND_UNREACHABLE, .text = str_c(e.msg)};
	on_answer(t, &a);
}

static void send_one(struct notify *n, struct try *t)
{
	lanes_enter(n->lanes, t->channel.id, t->delivery.id, t->delivery.series);
	atomic_fetch_add(&n->held, 1);
	if (t->unsendable) {
		record(t);
		return;
	}
	ask(t);
}

/* --- a look at what is due; on the pool --- */

static struct str opened(
    struct look *k, struct arena *a, struct str place, struct str sealed, struct err *e, int *rc)
{
	struct buf clear CLEANUP_BUF;
	buf_init(&clear, 8u << 10);
	if (!sealed.n)
		return STR("");
	if (seal_open(k->n->o.seal, place, sealed, &clear, e) != 0) {
		*rc = -1;
		return STR("");
	}
	struct str s = arena_str(a, buf_view(&clear));
	buf_wipe(&clear);
	return s;
}

/* The id is the same for every try, and for nobody else's message. */
static struct str message_id(struct try *t)
{
	return str_c(arena_printf(
	    &t->a, "msg_%" PRId64 "_%" PRId64, t->delivery.created_ms, t->delivery.id));
}

static void give_up(struct try *t, const char *why, enum model_delivery_state state)
{
	t->unsendable = true;
	(void)snprintf(t->verdict.why, sizeof(t->verdict.why), "%s", why);
	t->record.state = state;
	t->record.at_ms = clock_wall_ms();
	t->record.error = str_c(t->verdict.why);
}

/* What a hook hands on is the event itself. */
static int event_body(struct look *k, struct store_db *db, struct try *t, const struct message *m,
    struct str *ret, struct err *e)
{
	int64_t id;
	if (!str_eq_c(m->event, "hook.forwarded") || !k->n->o.body)
		return 0;
	int rc = num_i64(message_data(m, "event_id"), 1, INT64_MAX, &id)
		     ? k->n->o.body(k->n->o.ctx, db, id, &t->a, ret, e)
		     : 0;
	if (rc < 0 && e->code == ERR_TOO_LARGE)
		return err_set(e, ERR_TOO_LARGE, "the event is too large to be handed on");
	return rc > 0 ? 0 : rc == 0 ? err_set(e, ERR_NOT_FOUND, "the event is gone") : -1;
}

static int deploy(struct store_db *db, struct try *t, const struct shape *s, struct err *e)
{
	int64_t id = 0;
	return model_delivery_remote(db, &t->delivery, &id, e) < 0 ||
		       deployment_begin(s, id, &t->a, &t->deployment, e) < 0
		   ? -1
		   : deployment_request(&t->deployment, &t->a, &t->request, e);
}

/* The request for it, or why there is none. */
static void prepare(struct look *k, struct store_db *db, struct try *t)
{
	struct err e = {0};
	struct model_mail_server mail;
	struct message m;
	char place[MODEL_PLACE_SIZE];
	int rc = 0, has_mail = model_mail_server_get(db, &t->a, &mail, &e);
	CLEANUP_JSON json_t *o = has_mail < 0 ? NULL : json_read(t->delivery.message, &e);
	if (!o || message_read(o, &m, &e) < 0) {
		give_up(t, e.msg, MODEL_DELIVERY_FAILED);
		return;
	}
	struct shape s = {.channel = &t->channel,
	    .recipient = t->delivery.recipient,
	    .message = &m,
	    .stored = t->delivery.message,
	    .id = message_id(t),
	    .now_ms = clock_wall_ms(),
	    .mail = has_mail > 0 ? &mail : NULL};
	s.secret =
	    opened(k, &t->a, model_place_channel(t->channel.project_id, t->channel.name, place),
		t->channel.secret, &e, &rc);
	if (s.mail && t->channel.type == MODEL_CHANNEL_MAIL)
		s.mail_password = opened(k, &t->a, model_place_mail(place), mail.password, &e, &rc);
	if (rc == 0)
		rc = event_body(k, db, t, &m, &s.event, &e);
	t->deploys = str_starts(t->delivery.key, STR(DEPLOYMENT_KEY));
	if (rc == 0)
		rc = t->deploys ? deploy(db, t, &s, &e) : shape_request(&s, &t->a, &t->request, &e);
	if (rc < 0)
		give_up(t, e.msg, MODEL_DELIVERY_FAILED);
}

static int take(struct look *k, struct store_db *db, const struct model_delivery *d,
    const struct model_channel *c, struct err *e)
{
	int outdated = model_delivery_outdated(db, d, e);
	if (outdated < 0)
		return -1;
	struct try *t = mem_alloc(sizeof(*t));
	*t = (struct try){.n = k->n,
	    .next = k->found,
	    .delivery = *d,
	    .channel = *c,
	    .record = {.delivery_id = d->id}};
	arena_init(&t->a, ARENA_BYTES);
	k->found = t;
	/* The look's own arena ends with it. */
	t->delivery.message = arena_str(&t->a, d->message);
	t->delivery.event = arena_str(&t->a, d->event);
	t->delivery.key = arena_str(&t->a, d->key);
	t->delivery.series = arena_str(&t->a, d->series);
	t->delivery.recipient = arena_str(&t->a, d->recipient);
	t->channel.name = arena_str(&t->a, c->name);
	t->channel.target = arena_str(&t->a, c->target);
	if (outdated > 0)
		give_up(t, "a newer state is told instead", MODEL_DELIVERY_SUPERSEDED);
	else
		prepare(k, db, t);
	lanes_enter(k->lanes, c->id, d->id, t->delivery.series);
	return 0;
}

/* What one channel has that may go now; the soonest of the rest goes into next_due_ms. */
static int look_lane(struct look *k, struct store_db *db, struct arena *a,
    const struct model_delivery_lane *lane, int64_t now_ms, struct err *e)
{
	struct model_deliveries due;
	struct model_channel c;
	if (lane->due_ms > now_ms) {
		if (!k->next_due_ms || lane->due_ms < k->next_due_ms)
			k->next_due_ms = lane->due_ms;
		return 0;
	}
	if (!lanes_room(k->lanes, lane->channel_id))
		return 0; /* the end of a try looks again */
	int rc = model_channel_open(db, a, lane->channel_id, &c, e);
	if (rc <= 0 || c.paused || c.disabled.n)
		return rc < 0 ? -1 : 0;
	unsigned most = DUE_AT_ONCE + lanes_count(k->lanes, c.id);
	if (model_delivery_due(db, a, c.id, now_ms, most, &due, e) < 0)
		return -1;
	for (size_t i = 0; i < due.n && lanes_room(k->lanes, c.id); i++)
		if (!lanes_busy(k->lanes, c.id, due.v[i].id, due.v[i].series) &&
		    take(k, db, &due.v[i], &c, e) < 0)
			return -1;
	return 0;
}

static int look_all(struct look *k, struct store_db *db, struct arena *a, struct err *e)
{
	struct model_delivery_lanes lanes;
	int64_t now_ms = clock_wall_ms();
	if (model_delivery_lanes(db, a, &lanes, e) < 0)
		return -1;
	for (size_t i = 0; i < lanes.n; i++)
		if (look_lane(k, db, a, &lanes.v[i], now_ms, e) < 0)
			return -1;
	return 0;
}

static void look_work(void *ctx)
{
	struct look *k = ctx;
	struct err e = {0};
	struct arena a;
	arena_init(&a, 4 * ARENA_BYTES);
	struct store_db *db = store_read_begin(k->n->o.store, clock_mono_ms() + READ_WAIT_MS, &e);
	k->failed = !db || look_all(k, db, &a, &e) < 0;
	if (db)
		store_read_end(k->n->o.store, db);
	if (k->failed)
		log_event(LOG_WARN, "notify", "cannot_look", F_ERR(&e));
	arena_fini(&a);
}

/* --- the loop's part --- */

static void look_free(struct look *k)
{
	lanes_free(k->lanes);
	free(k);
}

static void look_done(void *ctx)
{
	struct look *k = ctx;
	struct notify *n = k->n;
	n->looking = false;
	while (k->found) {
		struct try *t = k->found;
		k->found = t->next;
		if (n->closing)
			try_free(t);
		else
			send_one(n, t);
	}
	if (!n->closing) {
		int64_t wait = k->failed || n->untold ? AGAIN_MS
			       : k->next_due_ms ? k->next_due_ms - clock_wall_ms()
						: FAR_MS;
		int64_t most = k->next_due_ms ? WAIT_MS : FAR_MS;
		loop_timer_at(n->timer, clock_mono_ms() + (wait < 0	      ? 0
							      : wait > most ? most
									    : wait));
		if (n->again)
			look_start(n);
	}
	look_free(k);
	release(n, 1);
}

/* --- what nobody asks for --- */

static int tidy_unit(void *ctx, struct store_db *db, struct err *e)
{
	struct notify *n = ctx;
	int64_t now_ms = clock_wall_ms();
	if (model_delivery_set_back(db, now_ms, now_ms + DUE_MOST_MS, e) < 0)
		return -1;
	n->pruned = model_delivery_prune(db, now_ms - NOTIFY_KEPT_MS, PRUNED_AT_ONCE, e);
	return n->pruned < 0 ? -1 : 0;
}

static void tidied(void *ctx)
{
	struct notify *n = ctx;
	if (!n->closing) {
		if (n->pruned == PRUNED_AT_ONCE)
			n->tidy_mono_ms = 0;
		look_start(n);
	}
	release(n, 1);
}

static void on_tidied(void *ctx, int rc, const struct err *e)
{
	struct notify *n = ctx;
	if (rc != 0) {
		n->pruned = 0;
		log_event(LOG_WARN, "notify", "cannot_tidy", F_ERR(e));
	}
	loop_post(n->o.loop, tidied, n);
}

/* By the hour, until nothing old is left; and when the clock was set back. */
static void tidy(struct notify *n)
{
	struct err e;
	int64_t mono_ms = clock_mono_ms(), clock_ms = clock_wall_ms() - mono_ms;
	bool set_back = clock_ms < n->clock_ms - CLOCK_STEP_MS;
	n->clock_ms = clock_ms;
	if (!set_back && mono_ms < n->tidy_mono_ms)
		return;
	n->tidy_mono_ms = mono_ms + FAR_MS;
	atomic_fetch_add(&n->held, 1);
	if (store_submit(n->o.store, tidy_unit, on_tidied, n, &e) != 0)
		on_tidied(n, -1, &e);
}

static void look_start(struct notify *n)
{
	struct err e;
	n->again = n->looking;
	if (n->looking || lanes_full(n->lanes))
		return;
	struct look *k = mem_alloc(sizeof(*k));
	*k = (struct look){.n = n, .lanes = lanes_copy(n->lanes)};
	tidy(n);
	n->looking = true;
	atomic_fetch_add(&n->held, 1);
	if (loop_work(n->o.loop, look_work, look_done, k, &e) == 0)
		return;
	n->looking = false;
	atomic_fetch_sub(&n->held, 1);
	look_free(k);
	loop_timer_at(n->timer, clock_mono_ms() + AGAIN_MS);
}

static void on_timer(void *ctx)
{
	struct notify *n = ctx;
	struct try *untold = n->untold;
	n->untold = NULL;
	while (untold) {
		struct try *t = untold;
		untold = t->next;
		tell_store(t);
	}
	look_start(n);
}

static void on_kick(void *ctx)
{
	struct notify *n = ctx;
	atomic_store(&n->kicked, false);
	if (!n->closing)
		look_start(n);
	release(n, 1);
}

void notify_kick(struct notify *n)
{
	if (!n || atomic_exchange(&n->kicked, true))
		return;
	atomic_fetch_add(&n->held, 1);
	loop_post(n->o.loop, on_kick, n);
}

void notify_figures_write(const struct notify *n, struct buf *out)
{
	static const char name[] = "notification_delivery_total";
	buf_printf(out, "# HELP %s Tries of notifications.\n# TYPE %s counter\n", name, name);
	for (int i = 0; i < MODEL_CHANNEL_TYPE_COUNT; i++) {
		const char *method = model_channel_type_name((enum model_channel_type)i);
		buf_printf(out, "%s{delivery_method=\"%s\",status=\"success\"} %llu\n", name,
		    method, atomic_load(&n->taken[i]));
		buf_printf(out, "%s{delivery_method=\"%s\",status=\"failure\"} %llu\n", name,
		    method, atomic_load(&n->refused[i]));
	}
}

struct notify *notify_new(const struct notify_options *o)
{
	struct notify *n = mem_alloc(sizeof(*n));
	n->o = *o;
	n->timer = loop_timer_new(o->loop, on_timer, n);
	n->lanes = lanes_new();
	atomic_store(&n->held, 1);
	loop_timer_at(n->timer, clock_mono_ms());
	return n;
}

static unsigned tries_free(struct try *first)
{
	unsigned count = 0;
	while (first) {
		struct try *t = first;
		first = t->next;
		try_free(t);
		count++;
	}
	return count;
}

void notify_free(struct notify *n)
{
	if (!n)
		return;
	n->closing = true;
	loop_timer_free(n->timer);
	unsigned shares = 1; /* the owner's */
	shares += tries_free(n->asked) + tries_free(n->untold);
	release(n, shares);
}
