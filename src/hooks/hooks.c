/* The table of hooks: read at start, and again row by row where one changes. */
#include "hooks/hooks_parts.h"

#include "base/clock.h"
#include "base/ct.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rand.h"
#include "hooks/classic.h"
#include "hooks/figures.h"
#include "model/hook.h"
#include "model/place.h"
#include "text/json.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
	CHANGE_MS = 5000, /* reading a change, and waiting until it holds */
	AGAIN_MS = 1000,  /* until what could not be read is tried once more */
	ROW_BYTES = 1 << 20,
	SETTLE_MS = 1000, /* for what an earlier life left in the journal */
};

/* A hook that was added, changed or removed; or all of them. */
struct change {
	struct hooks *h;
	char *name;	    /* NULL: all */
	uint64_t forgotten; /* of the hooks, when all began to be read */
	struct table found; /* of a name one row, or none: it is gone or unusable */
	sem_t applied;
	atomic_int holders; /* who waits, and the loop */
};

void hook_policy_release(struct hook_policy *p)
{
	if (!p || atomic_fetch_sub(&p->holders, 1) > 1)
		return;
	policy_fini(&p->p);
	free(p);
}

static void row_fini(struct hook *row)
{
	free(row->name);
	free(row->branch);
	free(row->project);
	for (size_t i = 0; i < row->secret_count; i++)
		sender_credential_fini(&row->secrets[i]);
	hook_policy_release(row->policy);
}

static void table_free(struct table *t)
{
	for (size_t i = 0; i < t->n; i++)
		row_fini(&t->v[i]);
	free(t->v);
	*t = (struct table){0};
}

static void change_release(struct change *c)
{
	if (atomic_fetch_sub(&c->holders, 1) > 1)
		return;
	table_free(&c->found);
	sem_destroy(&c->applied);
	free(c->name);
	free(c);
}

static int secret_open(const struct hooks *h, struct hook *row, const struct model_hook *m,
    int64_t until_ms, struct err *e)
{
	struct str sealed = until_ms ? m->old_secret : m->secret;
	char place[MODEL_PLACE_SIZE];
	CLEANUP_BUF struct buf secret;
	buf_init(&secret, 4096);
	if (seal_open(h->o.seal, model_place_hook(str_c(row->name), place), sealed, &secret, e) !=
	    0)
		return err_prefix(e, "the secret of hook '%s'", row->name);
	int rc = sender_credential_init(
	    &row->secrets[row->secret_count], row->sender, buf_view(&secret), until_ms, e);
	if (rc == 0 && classic_is_secret(buf_view(&secret))) {
		if (!row->project)
			row->project = mem_dup(m->project);
		hmac_sha256(h->paths, buf_view(&secret), row->paths[row->path_count].of);
		row->paths[row->path_count++].until_ms = until_ms;
	}
	buf_wipe(&secret);
	if (rc != 0)
		return err_prefix(e, "the secret of hook '%s'", row->name);
	row->secret_count++;
	return 0;
}

static int row_open(
    const struct hooks *h, struct hook *row, const struct model_hook *m, struct err *e)
{
	CLEANUP_JSON json_t *settings = json_read(m->settings, e);
	row->policy = mem_alloc(sizeof(*row->policy));
	atomic_init(&row->policy->holders, 1);
	if (!settings || policy_init(&row->policy->p, settings, row->sender, e) != 0)
		return err_prefix(e, "the settings of hook '%s'", row->name);
	if (actions_read(m->actions, row->sender, &row->actions, e) != 0)
		return err_prefix(e, "the actions of hook '%s'", row->name);
	if (!row->own_branch && !(row->actions.kinds & ACTIONS_LOOK))
		row->branch[0] = '\0';
	if (secret_open(h, row, m, 0, e) != 0)
		return -1;
	/* Also when its time seems over: each use is judged, and by then the clock may be set right. */
	if (m->old_secret.n && m->old_until_ms > 0)
		return secret_open(h, row, m, m->old_until_ms, e);
	return 0;
}

static _Atomic uint64_t readings;

/* One more row; a secret that does not open leaves the hook out, said once in the log. */
static int table_add(
    const struct hooks *h, struct table *t, const struct model_hook *m, struct err *e)
{
	const struct sender *sender = sender_find(m->sender);
	if (!sender)
		return err_set(e, ERR_INVALID, "hook '%.*s' has no known sender", STR_ARG(m->name));
	struct hook row = {
	    .name = mem_dup(m->name),
	    .branch = mem_dup(m->branch.n ? m->branch : m->project_branch),
	    .own_branch = m->branch.n > 0,
	    .id = m->id,
	    .project_id = m->project_id,
	    .sender = sender,
	    .paused = m->paused,
	    .reading = atomic_fetch_add(&readings, 1) + 1,
	};
	if (row_open(h, &row, m, e) != 0) {
		row_fini(&row);
		return -1;
	}
	t->v = mem_grow(t->v, t->n, t->n + 1, sizeof(*t->v));
	t->v[t->n++] = row;
	figures_show(sender);
	return 0;
}

static int hook_compare(const void *a, const void *b)
{
	return strcmp(((const struct hook *)a)->name, ((const struct hook *)b)->name);
}

/* The hook of that name, if there is one. By itself, so that what one project's hook takes keeps no
 * other from being read; what cannot be used is left out, said in the log. */
static int table_read_one(
    const struct hooks *h, struct store_db *db, struct str name, struct table *t, struct err *e)
{
	struct arena a CLEANUP_ARENA;
	struct model_hook row;
	struct err why = {0};
	arena_init(&a, ROW_BYTES);
	int rc = model_hook_find(db, &a, name, &row, &why);
	if (rc < 0 && why.code != ERR_TOO_LARGE) {
		*e = why;
		return -1;
	}
	if (rc < 0 || (rc > 0 && table_add(h, t, &row, &why) != 0))
		log_event(LOG_ERROR, "hooks", "hook_unusable", F_STR("hook", name), F_ERR(&why));
	return 0;
}

static int table_read_page(const struct hooks *h, struct store_db *db, struct table *t,
    int64_t *after, bool *ret_more, struct err *e)
{
	struct arena a CLEANUP_ARENA;
	struct model_hooks page;
	arena_init(&a, ROW_BYTES);
	if (model_hook_names(db, &a, 0,
		(struct model_page){.after = *after, .limit = MODEL_PAGE_MAX}, &page, e) != 0)
		return -1;
	for (size_t i = 0; i < page.n; i++) {
		*after = page.v[i].id;
		if (table_read_one(h, db, page.v[i].name, t, e) != 0)
			return -1;
	}
	*ret_more = page.more;
	return 0;
}

static int table_read_all(
    const struct hooks *h, struct store_db *db, struct table *t, struct err *e)
{
	int64_t after = 0;
	bool more = true;
	while (more)
		if (table_read_page(h, db, t, &after, &more, e) != 0)
			return -1;
	if (t->n)
		qsort(t->v, t->n, sizeof(*t->v), hook_compare);
	return 0;
}

/* All, or the hook of that name. */
static int table_read(const struct hooks *h, const char *name, struct table *t, struct err *e)
{
	struct store_db *db = store_read_begin(h->o.store, clock_mono_ms() + CHANGE_MS, e);
	if (!db)
		return -1;
	int rc = name ? table_read_one(h, db, str_c(name), t, e) : table_read_all(h, db, t, e);
	store_read_end(h->o.store, db);
	if (rc != 0)
		table_free(t);
	return rc;
}

static struct str fresh_key(uint8_t key[HMAC_SHA256_BYTES])
{
	rand_bytes(key, HMAC_SHA256_BYTES);
	return (struct str){(const char *)key, HMAC_SHA256_BYTES};
}

static void on_again(void *ctx);

struct hooks *hooks_open(const struct hooks_options *o, struct err *e)
{
	uint8_t key[HMAC_SHA256_BYTES];
	struct hooks *h = mem_alloc(sizeof(*h));
	h->o = *o;
	pthread_mutex_init(&h->looking, NULL);
	h->recent = recent_new();
	if (o->intake) /* keys that the journal still holds are seen, too, if that takes no longer
			*/
		intake_settle(o->intake, clock_mono_ms() + SETTLE_MS);
	h->paths = hmac_key_new(fresh_key(key));
	ct_wipe(key, sizeof(key));
	h->refusals = refusals_new(o->loop);
	h->again = loop_timer_new(o->loop, on_again, h);
	if (sender_credential_init(&h->nobody, sender_at(0), STR("nobody's secret"), 0, e) != 0 ||
	    table_read(h, NULL, &h->table, e) != 0 || recent_load(h->recent, o->store, e) != 0) {
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
	pthread_mutex_destroy(&h->looking);
	sender_credential_fini(&h->nobody);
	hooks_paths_fini(&h->by_secret);
	hmac_key_free(h->paths);
	recent_free(h->recent);
	refusals_free(h->refusals);
	loop_timer_free(h->again);
	free(h);
}

/* Where the hook of that name stands, or would. */
static size_t table_place(const struct table *t, struct str name, bool *ret_there)
{
	size_t low = 0, high = t->n;
	*ret_there = false;
	while (low < high && !*ret_there) {
		size_t mid = (low + high) / 2;
		int order = str_cmp(name, str_c(t->v[mid].name));
		*ret_there = order == 0;
		if (order > 0)
			low = mid + 1;
		else
			high = mid;
	}
	return high;
}

static void table_apply(struct table *t, struct change *c)
{
	bool there;
	size_t at = table_place(t, str_c(c->name), &there);
	if (there) {
		struct table gone = {.v = mem_array(1, sizeof(*t->v)), .n = 1};
		gone.v[0] = t->v[at];
		table_free(&gone);
		t->n--;
		memmove(&t->v[at], &t->v[at + 1], (t->n - at) * sizeof(*t->v));
	}
	if (c->found.n == 0)
		return;
	t->v = mem_grow(t->v, t->n, t->n + 1, sizeof(*t->v));
	memmove(&t->v[at + 1], &t->v[at], (t->n - at) * sizeof(*t->v));
	t->v[at] = c->found.v[0];
	t->n++;
	c->found.n = 0;
}

void hooks_forget(struct hooks *h, int64_t project_id)
{
	struct table *t = &h->table;
	size_t kept = 0;
	for (size_t i = 0; i < t->n; i++) {
		if (t->v[i].project_id == project_id)
			row_fini(&t->v[i]);
		else
			t->v[kept++] = t->v[i];
	}
	t->n = kept;
	h->forgotten++;
	h->by_secret.current = false;
}

static void again_later(void *ctx);

static void change_apply(void *ctx)
{
	struct change *c = ctx;
	struct hooks *h = c->h;
	struct table was = h->table;
	if (c->name) {
		table_apply(&h->table, c);
	} else if (c->forgotten == h->forgotten) {
		h->table = c->found;
		c->found = was;
	} else { /* it may have what is gone */
		again_later(h);
	}
	h->by_secret.current = false;
	sem_post(&c->applied);
	change_release(c);
}

static struct change *change_new(struct hooks *h, struct str name)
{
	struct change *c = mem_alloc(sizeof(*c));
	c->h = h;
	c->name = name.p ? mem_dup(name) : NULL;
	atomic_store(&c->holders, 1);
	sem_init(&c->applied, 0, 0);
	return c;
}

/* Reads it, and hands it to the loop; or there it is left for later, with all others. */
static bool change_read(struct change *c)
{
	struct err e;
	struct hooks *h = c->h;
	pthread_mutex_lock(&h->looking);
	int rc = table_read(h, c->name, &c->found, &e);
	if (rc == 0)
		atomic_fetch_add(&c->holders, 1);
	loop_post(h->o.loop, rc == 0 ? change_apply : again_later, rc == 0 ? (void *)c : h);
	pthread_mutex_unlock(&h->looking);
	if (rc != 0)
		log_event(LOG_ERROR, "hooks", "reread_failed", F_ERR(&e));
	return rc == 0;
}

void hooks_changed(struct hooks *h, struct str name)
{
	struct change *c = change_new(h, name);
	if (change_read(c)) {
		struct timespec until;
		clock_gettime(CLOCK_MONOTONIC, &until);
		until.tv_sec += CHANGE_MS / 1000;
		(void)sem_clockwait(
		    &c->applied, CLOCK_MONOTONIC, &until); /* a loop that has ended never will */
	}
	change_release(c);
}

void hooks_project_changed(struct hooks *h, int64_t project_id)
{
	struct arena a CLEANUP_ARENA;
	struct model_hooks list = {0};
	struct err e;
	arena_init(&a, ROW_BYTES);
	struct store_db *db = store_read_begin(h->o.store, clock_mono_ms() + CHANGE_MS, &e);
	int rc = !db ? -1
		     : model_hook_names(db, &a, project_id,
			   (struct model_page){.limit = MODEL_PAGE_MAX}, &list, &e);
	store_read_end(h->o.store, db);
	if (rc != 0) {
		log_event(LOG_ERROR, "hooks", "reread_failed", F_ERR(&e));
		loop_post(h->o.loop, again_later, h);
	}
	for (size_t i = 0; i < list.n; i++)
		hooks_changed(h, list.v[i].name);
}

/* What could not be read is read again with all others, until that succeeds: whoever took a secret's
 * validity, paused a hook or removed it has been told that it is so. */

static void again_work(void *ctx)
{
	struct change *c = ctx;
	if (change_read(c))
		log_event(LOG_INFO, "hooks", "reread");
	change_release(c);
}

static void on_again(void *ctx)
{
	struct hooks *h = ctx;
	struct err e;
	struct change *c = change_new(h, STR_NONE);
	h->again_due = false;
	c->forgotten = h->forgotten;
	if (loop_work(h->o.loop, again_work, NULL, c, &e) == 0)
		return;
	change_release(c);
	again_later(h);
}

static void again_later(void *ctx)
{
	struct hooks *h = ctx;
	if (!h->again_due)
		loop_timer_at(h->again, clock_mono_ms() + AGAIN_MS);
	h->again_due = true;
}

struct hook *hook_find(struct hooks *h, struct str name)
{
	bool there;
	size_t at = table_place(&h->table, name, &there);
	return there ? &h->table.v[at] : NULL;
}

/* Under a key that nobody knows a guess tells nothing by how long its comparison takes. */
struct hooks_found hooks_of_secret(struct hooks *h, struct str secret)
{
	uint8_t path[HMAC_SHA256_BYTES];
	struct hooks_found found = {0};
	int64_t now = clock_wall_ms();
	hmac_sha256(h->paths, secret, path);
	if (!h->by_secret.current)
		hooks_paths_make(&h->by_secret, &h->table);
	const struct hooks_paths *p = &h->by_secret;
	for (size_t at = hooks_paths_find(p, path);
	     at < p->n && memcmp(p->v[at].of, path, sizeof(path)) == 0; at++) {
		const struct hook *x = &h->table.v[p->v[at].hook];
		int64_t until_ms = x->paths[p->v[at].secret].until_ms;
		if (until_ms == 0 || now < until_ms)
			found = (struct hooks_found){str_c(x->name), str_c(x->project), x->paused};
	}
	return found;
}
