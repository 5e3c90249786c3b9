#include "hooks/hooks.h"

#include "base/clock.h"
#include "base/counters.h"
#include "base/log.h"
#include "base/mem.h"
#include "crypto/hash.h"
#include "hooks/sender.h"
#include "model/hook.h"
#include "model/place.h"
#include "text/json.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* All hooks stand in memory, sorted by name, with their keys prepared: a delivery costs one
 * look-up, one HMAC and one unit of the store. The table is replaced whole when something changes;
 * it is used on the loop thread only. */
struct hook {
	char *name, *branch;
	int64_t id, project_id;
	const struct sender *sender;
	struct hmac_key *key;
	bool paused;
};

struct table {
	struct hook *v;
	size_t n;
};

struct hooks {
	struct hooks_options o;
	struct table table;
	struct hmac_key *nobody; /* verified against for unknown names, so that they take as long */
	bool reading, again;
	atomic_bool posted;
};

static void table_free(struct table *t)
{
	for (size_t i = 0; i < t->n; i++) {
		free(t->v[i].name);
		free(t->v[i].branch);
		hmac_key_free(t->v[i].key);
	}
	free(t->v);
	*t = (struct table){0};
}

/* One more row; a secret that does not open leaves the hook out, said once in the log. */
static int table_add(
    struct table *t, const struct model_hook *m, const struct seal_key *seal, struct err *e)
{
	char place[MODEL_PLACE_SIZE];
	CLEANUP_BUF struct buf secret;
	buf_init(&secret, 4096);
	const struct sender *sender = sender_find(m->sender);
	if (!sender)
		return err_set(e, ERR_INVALID, "hook '%.*s' has no known sender", STR_ARG(m->name));
	if (seal_open(seal, model_place_hook(m->name, place), m->secret, &secret, e) != 0)
		return err_prefix(e, "the secret of hook '%.*s'", STR_ARG(m->name));
	t->v = mem_grow(t->v, t->n, t->n + 1, sizeof(*t->v));
	t->v[t->n++] = (struct hook){
	    .name = mem_dup(m->name),
	    .branch = mem_dup(m->branch),
	    .id = m->id,
	    .project_id = m->project_id,
	    .sender = sender,
	    .key = hmac_key_new(buf_view(&secret)),
	    .paused = m->paused,
	};
	buf_wipe(&secret);
	return 0;
}

static int hook_compare(const void *a, const void *b)
{
	return strcmp(((const struct hook *)a)->name, ((const struct hook *)b)->name);
}

static int table_read_page(struct hooks *h, struct store_db *db, struct table *t, int64_t *after,
    bool *ret_more, struct err *e)
{
	struct arena a CLEANUP_ARENA;
	arena_init(&a, 4 << 20);
	struct model_hooks page;
	struct err why;
	if (model_hook_all(db, &a, (struct model_page){.after = *after, .limit = MODEL_PAGE_MAX},
		&page, e) != 0)
		return -1;
	for (size_t i = 0; i < page.n; i++) {
		*after = page.v[i].id;
		if (table_add(t, &page.v[i], h->o.seal, &why) != 0)
			log_event(LOG_ERROR, "hooks", "hook_unusable",
			    F_STR("hook", page.v[i].name), F_ERR(&why));
	}
	*ret_more = page.more;
	return 0;
}

static int table_read(struct hooks *h, struct table *t, struct err *e)
{
	struct store_db *db = store_read_begin(h->o.store, clock_mono_ms() + 10000, e);
	if (!db)
		return -1;
	int64_t after = 0;
	bool more = true;
	int rc = 0;
	while (rc == 0 && more)
		rc = table_read_page(h, db, t, &after, &more, e);
	store_read_end(h->o.store, db);
	if (rc != 0) {
		table_free(t);
		return -1;
	}
	if (t->n)
		qsort(t->v, t->n, sizeof(*t->v), hook_compare);
	return 0;
}

struct hooks *hooks_open(const struct hooks_options *o, struct err *e)
{
	struct hooks *h = mem_alloc(sizeof(*h));
	h->o = *o;
	h->nobody = hmac_key_new(STR("nobody's key"));
	if (table_read(h, &h->table, e) != 0) {
		hooks_close(h);
		return NULL;
	}
	return h;
}

void hooks_close(struct hooks *h)
{
	if (!h)
		return;
	table_free(&h->table);
	hmac_key_free(h->nobody);
	free(h);
}

struct reread {
	struct hooks *h;
	struct table table;
	struct err e;
	int rc;
};

static void hooks_reread(void *ctx);

static void reread_work(void *ctx)
{
	struct reread *w = ctx;
	w->rc = table_read(w->h, &w->table, &w->e);
}

static void reread_done(void *ctx)
{
	struct reread *w = ctx;
	struct hooks *h = w->h;
	if (w->rc == 0) {
		table_free(&h->table);
		h->table = w->table;
	} else {
		log_event(LOG_ERROR, "hooks", "reread_failed", F_ERR(&w->e));
	}
	free(w);
	h->reading = false;
	if (h->again)
		hooks_reread(h);
}

static void hooks_reread(void *ctx)
{
	struct hooks *h = ctx;
	atomic_store(&h->posted, false);
	h->again = h->reading;
	if (h->reading)
		return;
	struct reread *w = mem_alloc(sizeof(*w));
	w->h = h;
	h->reading = true;
	if (loop_work(h->o.loop, reread_work, reread_done, w, &w->e) != 0) {
		w->rc = -1;
		reread_done(w);
	}
}

void hooks_changed(struct hooks *h)
{
	if (!atomic_exchange(&h->posted, true))
		loop_post(h->o.loop, hooks_reread, h);
}

static struct hook *hook_find(struct hooks *h, struct str name)
{
	size_t low = 0, high = h->table.n;
	while (low < high) {
		size_t mid = (low + high) / 2;
		int order = str_cmp(name, str_c(h->table.v[mid].name));
		if (order == 0)
			return &h->table.v[mid];
		if (order < 0)
			high = mid;
		else
			low = mid + 1;
	}
	return NULL;
}

/* A delivery on its way into the store; lives in the request's arena. */
struct delivery {
	struct hooks *h;
	struct http_call *c;
	struct queue_delivery d;
	struct queue_accepted accepted;
	const char *note;
};

static int delivery_unit(void *ctx, struct store_db *db, struct err *e)
{
	struct delivery *d = ctx;
	return queue_unit_accept(db, &d->d, &d->accepted, e);
}

/* On the writer thread: durable now. */
static void delivery_done(void *ctx, int rc, const struct err *e)
{
	struct delivery *d = ctx;
	if (rc != 0) {
		http_reply_problem(d->c, e);
		return;
	}
	char text[160];
	struct queue_accepted got = d->accepted;
	int n = snprintf(text, sizeof(text), "{\"event\":%lld", (long long)got.event_id);
	if (got.task_id)
		n += snprintf(
		    text + n, sizeof(text) - (size_t)n, ",\"task\":%lld", (long long)got.task_id);
	if (got.repeated)
		n += snprintf(text + n, sizeof(text) - (size_t)n, ",\"repeated\":true");
	else if (d->note)
		n += snprintf(text + n, sizeof(text) - (size_t)n, ",\"note\":\"%s\"", d->note);
	text[n++] = '}';
	counter_add(got.repeated ? COUNTER_HOOK_REPEATED : COUNTER_HOOK_ACCEPTED, 1);
	if (got.task_id && !got.repeated)
		queue_kick(d->h->o.queue);
	http_reply_json(d->c, got.repeated ? 200 : 202, (struct str){text, (size_t)n});
}

static void refuse(struct http_call *c, const struct err *e)
{
	counter_add(COUNTER_HOOK_REFUSED, 1);
	http_reply_problem(c, e);
}

static bool content_is_json(const struct http_request *r)
{
	struct str type = http_header_get(r, "Content-Type"), essence;
	if (!str_next(&type, ';', &essence))
		return false;
	return str_eq_nocase(str_trim(essence), STR("application/json"));
}

/* A sender without ids: the key is the hash of the body, good for ten minutes. */
static struct str key_of_body(const struct http_request *r, int64_t now_ms)
{
	char hex[65];
	hash_sha256_hex(r->body, hex);
	char *key = arena_printf(r->arena, "body-%s-%lld", hex, (long long)(now_ms / 600000));
	return str_c(key);
}

static const char *why_ignored(const struct hook *hook, const struct sender_event *ev)
{
	if (hook->paused)
		return "the hook is paused";
	if (ev->ignored)
		return ev->ignored;
	if (hook->branch[0] && !str_eq_c(ev->ref, hook->branch))
		return "another branch";
	return NULL;
}

static void hook_store(struct hooks *h, const struct hook *hook, struct http_call *c,
    struct http_request *r, const struct sender_event *ev)
{
	struct err e;
	struct delivery *d = arena_alloc(r->arena, sizeof(*d));
	if (!d) {
		err_set(&e, ERR_TOO_LARGE, "the delivery is too large");
		refuse(c, &e);
		return;
	}
	int64_t now = clock_wall_ms();
	d->h = h;
	d->c = c;
	d->note = why_ignored(hook, ev);
	d->d = (struct queue_delivery){
	    .hook_id = hook->id,
	    .project_id = hook->project_id,
	    .key = ev->key.p ? ev->key : key_of_body(r, now),
	    .kind = ev->kind,
	    .ref = ev->ref,
	    .before = ev->before,
	    .after = ev->after,
	    .body = r->body,
	    .received_ms = now,
	    .triggers = !d->note,
	};
	if (store_submit(h->o.store, delivery_unit, delivery_done, d, &e) != 0)
		refuse(c, &e);
}

void hooks_receive(struct hooks *h, struct http_call *c, struct http_request *r)
{
	struct err e;
	struct sender_event ev = {0};
	struct hook *hook = hook_find(h, http_param(c, "hook"));
	if (!hook) {
		sender_check_sha256(r, "X-Hub-Signature-256", h->nobody, &e);
		err_set(&e, ERR_NOT_FOUND, "there is no such hook");
		refuse(c, &e);
		return;
	}
	if (hook->sender->verify(r, hook->key, &e) != 0) {
		refuse(c, &e);
		return;
	}
	if (!content_is_json(r)) {
		err_set(&e, ERR_UNSUPPORTED, "the body's type is not application/json");
		err_hint(
		    &e, "choose content type %s at the sender", hook->sender->content_type_hint);
		refuse(c, &e);
		return;
	}
	if (hook->sender->read(r, &ev, &e) != 0) {
		refuse(c, &e);
		return;
	}
	hook_store(h, hook, c, r, &ev);
}
