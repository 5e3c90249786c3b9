#include "deploy/own.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/name.h"
#include "base/rand.h"
#include "crypto/certificate.h"
#include "deploy/proof.h"
#include "deploy/renewal.h"
#include "deploy/work.h"
#include "edge/acme.h"
#include "model/place.h"

#define FIRST_MS 1000
#define BUSY_MS 200	  /* an order of a project's is under way */
#define END_AGAIN_MS 1000 /* the store could not take the end: doubles to RENEWAL_EVERY_MS */
#define ASK_LIMIT_MS 15000
#define DAY_MS (24 * 3600 * (int64_t)1000)
#define ARENA_BYTES (1u << 20)
#define PEM_MAX (96u << 10)
#define SAID_MAX 8000u
#define PROJECTS_PAGE 200u

struct own {
	struct own_options o;
	struct queue *queue; /* NULL: not begun yet */
	struct loop_timer *timer;
	bool busy;  /* from a look to its end */
	bool again; /* kicked meanwhile */
	bool in_store, closing;
	int rc; /* of the unit */
	struct err e;

	/* what is being done */
	struct arena a;
	struct model_own_certificate row;
	char action[16];      /* empty: nothing */
	bool staging, wished; /* wished: somebody asked for it */
	struct buf chain, key, said;
	char token[RAND_TOKEN_SIZE + 16], name[NAME_DOMAIN_MAX + 8];
	int64_t limited_ms;
	bool failed, covers_anew;
	struct err why;	      /* it failed */
	char wish[16];	      /* of somebody, meanwhile */
	int64_t end_again_ms; /* 0: its end is not known yet, or stored */
};

static bool is_action(const struct own *o, const char *name)
{
	return strcmp(o->action, name) == 0;
}

static bool asks(const struct own *o)
{
	return is_action(o, "issue") || is_action(o, "renew");
}

static bool is_issued(const struct model_certificate *c)
{
	return c->origin == MODEL_ORIGIN_ACME || c->origin == MODEL_ORIGIN_STAGING;
}

static bool is_public(const char *host)
{
	return !str_ends(str_c(host), STR(".localhost"));
}

static const char *acme_name(const struct own *o)
{
	return o->row.which == MODEL_OWN_HOST ? ACME_HOST : ACME_WILDCARD;
}

static enum edge_own edge_name(const struct own *o)
{
	return o->row.which == MODEL_OWN_HOST ? EDGE_OWN_HOST : EDGE_OWN_WILDCARD;
}

/* ---- what may be asked for ---- */

static int check_limit(const struct own_ask *a, const struct model_certificate *c, struct err *e)
{
	char text[24] = "";
	struct tm tm;
	time_t until = (time_t)(c->limited_ms / 1000);
	if (a->staging || c->limited_ms <= a->now_ms)
		return 0;
	if (gmtime_r(&until, &tm))
		(void)strftime(text, sizeof(text), "%Y-%m-%d %H:%M UTC", &tm);
	err_set(e, ERR_RATE, "the authority takes no order for this name before %s", text);
	return err_hint(e,
	    "its rehearsal has limits of its own: slipway certs issue --%s --staging",
	    a->which == MODEL_OWN_HOST ? "platform" : "wildcard");
}

int own_check(const struct own_ask *a, const struct model_own_certificate *row, struct err *e)
{
	bool issue = str_eq_c(a->action, "issue"), renew = str_eq_c(a->action, "renew");
	const char *flag = a->which == MODEL_OWN_HOST ? "--platform" : "--wildcard";
	if (row->wanted.n)
		return err_set(e, ERR_CONFLICT,
		    "the %.*s that was asked for before has not ended yet", STR_ARG(row->wanted));
	if (!a->https) {
		err_set(e, ERR_UNSUPPORTED, "the edge has no HTTPS");
		return err_hint(e, "slipway setup --https PORT");
	}
	if ((issue || renew) && !is_public(a->host)) {
		err_set(e, ERR_CONFLICT, "no authority can know the platform's host '%s'", a->host);
		return err_hint(e, "slipway setup --domain HOST");
	}
	if ((issue || renew) && a->which == MODEL_OWN_WILDCARD && !a->wildcard) {
		err_set(
		    e, ERR_SETTINGS, "a wildcard needs a program that puts records into the DNS");
		return err_hint(e, "root names it: slipway setup --dns-hook PROGRAM");
	}
	if ((renew || str_eq_c(a->action, "revoke")) && !is_issued(&row->c)) {
		err_set(e, ERR_CONFLICT, "there is no certificate of an authority's");
		return err_hint(e, "slipway certs issue %s", flag);
	}
	return issue || renew ? check_limit(a, &row->c, e) : 0;
}

/* ---- a look at what is due, in a unit ---- */

static bool is_for_host(const struct own *o)
{
	char below[NAME_DOMAIN_MAX + 4];
	(void)snprintf(below, sizeof(below), "x.%s", o->o.host);
	return name_covered(
	    str_c(o->row.which == MODEL_OWN_HOST ? o->o.host : below), o->row.c.names);
}

/* The host's is ordered by itself, from the first time on. */
static void choose(struct own *o, bool exists, int64_t now)
{
	const struct model_own_certificate *r = &o->row;
	const char *action = "";
	bool possible = r->which == MODEL_OWN_HOST || o->o.wildcard;
	o->wished = r->wanted.n && str_copy(r->wanted, o->action, sizeof(o->action));
	if (o->wished) {
		o->staging = r->staging;
		return;
	}
	/* the host has another name by now */
	bool moved = exists && r->c.installed_ms > 0 && r->c.failures == 0 && !is_for_host(o),
	     due = exists && r->c.renew_ms > 0 &&
		   (r->c.renew_ms <= now || model_certificate_too_late(&r->c, now)),
	     first = !exists && is_public(o->o.host);
	if (possible && due && !moved && is_issued(&r->c))
		action = "renew";
	else if (possible && (moved || due || first))
		action = "issue";
	(void)snprintf(o->action, sizeof(o->action), "%s", action);
	o->staging = is_issued(&r->c) && r->c.origin == MODEL_ORIGIN_STAGING;
}

static int tell_ending(struct own *o, struct store_db *db, int64_t now, struct err *e)
{
	struct model_certificate *c = &o->row.c;
	if (c->installed_ms == 0 || !renewal_ends_soon(c, now) || c->told_ms > now - DAY_MS)
		return 0;
	c->told_ms = now;
	c->project = STR("platform");
	return model_own_certificate_put(db, &o->row, e) < 0
		   ? -1
		   : news_certificate_of(db, c, "certificate.expiring", now, e);
}

static int open_given(struct own *o, struct store_db *db, struct err *e)
{
	char place[MODEL_PLACE_SIZE];
	struct str chain, sealed;
	int rc = model_own_certificate_given(db, &o->a, o->row.which, &chain, &sealed, e);
	if (rc <= 0)
		return rc < 0 ? -1
			      : err_set(e, ERR_NOT_FOUND,
				    "what was given is installed already, or gone");
	buf_str(&o->chain, chain);
	return seal_open(o->o.seal,
	    model_place_own_certificate(model_own_name(o->row.which), place), sealed, &o->key, e);
}

static int look_unit(void *ctx, struct store_db *db, struct err *e)
{
	struct own *o = ctx;
	int64_t now = clock_wall_ms();
	o->action[0] = '\0';
	for (unsigned i = 0; i < MODEL_OWN_COUNT && !o->action[0] && o->o.https; i++) {
		o->row = (struct model_own_certificate){0};
		int rc = model_own_certificate_get(db, &o->a, (enum model_own)i, &o->row, e);
		o->row.which = (enum model_own)i;
		if (rc < 0 || tell_ending(o, db, now, e) < 0)
			return -1;
		choose(o, rc == 1, now);
	}
	return is_action(o, "import") ? open_given(o, db, e) : 0;
}

/* ---- the end ---- */

static void rest(struct own *o)
{
	buf_clear(&o->said);
	buf_clear(&o->chain);
	buf_wipe(&o->key);
	arena_fini(&o->a);
	arena_init(&o->a, ARENA_BYTES);
	o->busy = false;
	o->end_again_ms = 0;
	bool soon = o->action[0] || o->again;
	o->again = false;
	loop_timer_at(o->timer, clock_mono_ms() + (soon ? 0 : RENEWAL_EVERY_MS));
}

static bool is_gone(const struct own *o)
{
	return !o->failed && (is_action(o, "revoke") || is_action(o, "delete"));
}

static int order_vhost(
    struct store_db *db, const struct model_project *p, int64_t now, struct err *e)
{
	int64_t task;
	const struct queue_order q = {.project_id = p->id,
	    .kind = MODEL_TASK_SCALE,
	    .ref = STR(""),
	    .input_json = STR("{}"),
	    .requested_by = STR("schedule"),
	    .now_ms = now};
	return p->live == 0 ? 0 : queue_unit_order(db, &q, &task, e);
}

/* Vhosts name the wildcard, or do not: each project's is set anew. */
static int order_vhosts(struct store_db *db, int64_t now, struct err *e)
{
	char after[NAME_PROJECT_MAX + 1] = "";
	for (;;) {
		CLEANUP_ARENA struct arena a;
		struct model_projects list;
		arena_init(&a, 16u << 20);
		if (model_project_list(
			db, &a, str_c(after), PROJECTS_PAGE, MODEL_EVERYTHING, &list, e) < 0)
			return -1;
		for (size_t i = 0; i < list.n; i++)
			if (order_vhost(db, &list.v[i], now, e) < 0)
				return -1;
		if (list.n < PROJECTS_PAGE ||
		    !str_copy(list.v[list.n - 1].name, after, sizeof(after)))
			return 0;
	}
}

static void note_failure(struct own *o, int64_t now)
{
	struct model_certificate *c = &o->row.c;
	c->failures++;
	c->error = str_c(o->why.msg);
	c->limited_ms = o->limited_ms > now ? o->limited_ms : 0;
	o->row.said = buf_view(&o->said);
	/* an imported one is nobody's to renew */
	if (asks(o) && c->origin != MODEL_ORIGIN_IMPORT)
		c->renew_ms = model_certificate_retry_at(now, c->failures, c->limited_ms);
}

/* What was asked for while something was done by itself. */
static int keep_wish(struct own *o, struct store_db *db, struct err *e)
{
	CLEANUP_ARENA struct arena a;
	struct model_own_certificate now = {0};
	arena_init(&a, ARENA_BYTES);
	int rc = model_own_certificate_get(db, &a, o->row.which, &now, e);
	bool fits = str_copy(now.wanted, o->wish, sizeof(o->wish));
	o->row.wanted = fits ? str_c(o->wish) : STR("");
	o->row.staging = now.staging;
	return rc < 0 ? -1 : 0;
}

/* As often as it takes: nothing here may count on being the first time. */
static int end_unit(void *ctx, struct store_db *db, struct err *e)
{
	struct own *o = ctx;
	struct model_own_certificate *r = &o->row;
	int64_t now = clock_wall_ms();
	if (o->wished) {
		r->wanted = STR("");
		r->staging = false;
	} else if (keep_wish(o, db, e) < 0) {
		return -1;
	}
	if (is_gone(o)) /* nothing is ordered by itself after a person took it away */
		r->c = (struct model_certificate){.origin = MODEL_ORIGIN_NONE};
	if (model_own_certificate_put(db, r, e) < 0 ||
	    (o->wished && model_own_certificate_given_forget(db, r->which, e) < 0) ||
	    (o->covers_anew && order_vhosts(db, now, e) < 0))
		return -1;
	if (is_gone(o))
		return 0;
	r->c.project = STR("platform");
	return news_certificate_of(
	    db, &r->c, o->failed ? "certificate.failed" : "certificate.installed", now, e);
}

static void own_free(struct own *o)
{
	arena_fini(&o->a);
	buf_fini(&o->chain);
	buf_wipe(&o->key);
	buf_fini(&o->key);
	buf_fini(&o->said);
	mem_free_ptr(&o);
}

/* Back from the store. False: it was the last thing. */
static bool go_on(struct own *o)
{
	o->in_store = false;
	if (o->closing)
		own_free(o);
	else
		return true;
	return false;
}

/* The writer's thread: what came of a unit, and the loop goes on with it. */
static void stored(struct own *o, int rc, const struct err *e, void (*then)(void *ctx))
{
	o->rc = rc;
	if (rc != 0)
		o->e = *e;
	loop_post(o->o.loop, then, o);
}

/* Nothing else is begun before: each look would find the same due, and each be an order. */
static void end_put_off(struct own *o)
{
	int64_t wait = o->end_again_ms > 0 ? 2 * o->end_again_ms : END_AGAIN_MS;
	o->end_again_ms = wait < RENEWAL_EVERY_MS ? wait : RENEWAL_EVERY_MS;
	log_event(LOG_ERROR, "deploy", "own_certificate_not_noted", F_ERR(&o->e));
	loop_timer_at(o->timer, clock_mono_ms() + o->end_again_ms);
}

static void ended(void *ctx)
{
	struct own *o = ctx;
	if (!go_on(o))
		return;
	if (o->rc != 0) {
		end_put_off(o);
		return;
	}
	notify_kick(o->o.notify);
	queue_kick(o->queue);
	rest(o);
}

static void end_done(void *ctx, int rc, const struct err *e)
{
	stored(ctx, rc, e, ended);
}

static void end_store(struct own *o)
{
	struct err e;
	o->in_store = true;
	if (store_submit(o->o.store, end_unit, end_done, o, &e) != 0)
		end_done(o, -1, &e);
}

static void end(struct own *o, const struct err *e)
{
	o->failed = e != NULL;
	if (e) {
		o->why = *e;
		note_failure(o, clock_wall_ms());
	}
	log_event(e ? LOG_WARN : LOG_INFO, "deploy",
	    e ? "own_certificate_failed" : "own_certificate",
	    F_C("which", model_own_name(o->row.which)), F_C("action", o->action),
	    F_C("error", e ? e->msg : ""));
	end_store(o);
}

/* ---- install ---- */

static int read_row(struct own *o, const struct certificate *c, struct err *e)
{
	bool given = is_action(o, "import");
	struct model_certificate *row = &o->row.c;
	struct str had = row->names;
	bool trusted = row->origin == MODEL_ORIGIN_ACME || row->origin == MODEL_ORIGIN_IMPORT;
	*row = (struct model_certificate){.origin = given	 ? MODEL_ORIGIN_IMPORT
						    : o->staging ? MODEL_ORIGIN_STAGING
								 : MODEL_ORIGIN_ACME,
	    .names = arena_str(&o->a, buf_view(&c->names)),
	    .issuer = arena_str(&o->a, str_c(c->issuer)),
	    .serial = arena_str(&o->a, str_c(c->serial)),
	    .not_before_ms = c->not_before_ms,
	    .not_after_ms = c->not_after_ms,
	    .installed_ms = clock_wall_ms()};
	if (!given)
		row->renew_ms = model_certificate_renew_at(c->not_before_ms, c->not_after_ms);
	o->row.said = STR("");
	o->covers_anew =
	    o->row.which == MODEL_OWN_WILDCARD &&
	    (!str_eq(had, row->names) || trusted != (row->origin != MODEL_ORIGIN_STAGING));
	return row->names.p ? 0 : err_set(e, ERR_TOO_LARGE, "its names are too long");
}

static void installed(void *ctx, uint64_t value, const struct err *e)
{
	struct own *o = ctx;
	struct certificate c;
	struct err why;
	(void)value;
	if (e) {
		end(o, e);
		return;
	}
	certificate_init(&c);
	int rc =
	    certificate_pair(buf_view(&o->chain), buf_view(&o->key), clock_wall_ms(), &c, &why);
	if (rc == 0)
		rc = read_row(o, &c, &why);
	certificate_fini(&c);
	end(o, rc == 0 ? NULL : &why);
}

static void install(struct own *o)
{
	edge_own_certificate_set(o->o.edge, edge_name(o), is_action(o, "import") || !o->staging,
	    buf_view(&o->chain), buf_view(&o->key), installed, o);
}

static void removed(void *ctx, uint64_t value, const struct err *e)
{
	struct own *o = ctx;
	struct err why;
	(void)value;
	o->covers_anew = !e && o->row.which == MODEL_OWN_WILDCARD;
	if (!e && acme_forget(o->o.acme, str_c(acme_name(o)), STR(""), &why) != 0)
		e = &why;
	end(o, e);
}

/* ---- order ---- */

static void on_line(void *ctx, struct str line)
{
	struct own *o = ctx;
	if (o->said.n + line.n + 1 > SAID_MAX) /* the last ones say why */
		buf_drop_front(&o->said, o->said.n / 2);
	buf_str(&o->said, line);
	buf_c(&o->said, "\n");
}

static void on_ended(void *ctx, int64_t limited_ms, const struct err *e)
{
	struct own *o = ctx;
	struct err why;
	o->limited_ms = limited_ms;
	if (e) {
		end(o, e);
		return;
	}
	if (is_action(o, "revoke"))
		edge_own_certificate_remove(o->o.edge, edge_name(o), removed, o);
	else if (acme_read(o->o.acme, str_c(acme_name(o)), STR(""), &o->chain, &o->key, &why) == 0)
		install(o);
	else
		end(o, &why);
}

static void order(struct own *o)
{
	const struct str name = str_c(o->name);
	const struct acme_order q = {.what = is_action(o, "revoke") ? ACME_REVOKE : ACME_ISSUE,
	    .project = str_c(acme_name(o)),
	    .names = &name,
	    .name_count = 1,
	    .staging = o->staging,
	    .dns = !is_action(o, "revoke") && o->row.which == MODEL_OWN_WILDCARD};
	const struct acme_callbacks cb = {.line = on_line, .ended = on_ended, .ctx = o};
	if (!acme_start(o->o.acme, &q, &cb))
		loop_timer_at(o->timer, clock_mono_ms() + BUSY_MS);
}

/* ---- prove ---- */

static void on_proof(void *ctx, const struct outbound_answer *answer)
{
	struct own *o = ctx;
	struct err e;
	const struct proof_question q = {
	    .host = str_c(o->o.host), .port = o->o.acme_http_port, .token = o->token};
	acme_token_remove(o->o.acme, o->token);
	if (proof_judge(&q, answer, &e) == 0)
		order(o);
	else
		end(o, &e);
}

static void prove(struct own *o)
{
	char secret[RAND_TOKEN_SIZE], url[NAME_DOMAIN_MAX + 128];
	struct err e;
	rand_token(secret);
	(void)snprintf(o->token, sizeof(o->token), "slipway-%s", secret);
	(void)snprintf(url, sizeof(url), "http://%s:%u/.well-known/acme-challenge/%s", o->o.host,
	    o->o.acme_http_port, o->token);
	const struct outbound_request r = {.kind = OUTBOUND_HTTP,
	    .timeout_ms = ASK_LIMIT_MS,
	    .url = str_c(url),
	    .method = OUTBOUND_GET,
	    .body_max = 256};
	if (acme_token_put(o->o.acme, o->token, &e) != 0 ||
	    outbound_ask(o->o.outbound, &r, on_proof, o, &e) != 0) {
		acme_token_remove(o->o.acme, o->token);
		end(o, &e);
	}
}

/* ---- the clock ---- */

static void begin(struct own *o)
{
	bool wildcard = o->row.which == MODEL_OWN_WILDCARD;
	(void)snprintf(o->name, sizeof(o->name), "%s%s", wildcard ? "*." : "", o->o.host);
	o->limited_ms = 0;
	o->failed = o->covers_anew = false;
	if (is_action(o, "import"))
		install(o);
	else if (is_action(o, "delete"))
		edge_own_certificate_remove(o->o.edge, edge_name(o), removed, o);
	else if (asks(o) && !wildcard)
		prove(o);
	else
		order(o);
}

static void looked(void *ctx)
{
	struct own *o = ctx;
	if (!go_on(o))
		return;
	if (o->rc != 0 && is_action(o, "import")) {
		struct err e = o->e;
		end(o, &e);
	} else if (o->rc != 0) {
		log_event(LOG_WARN, "deploy", "own_certificate_not_read", F_ERR(&o->e));
		o->action[0] = '\0';
		rest(o);
	} else if (o->action[0]) {
		begin(o);
	} else {
		notify_kick(o->o.notify);
		rest(o);
	}
}

static void look_done(void *ctx, int rc, const struct err *e)
{
	stored(ctx, rc, e, looked);
}

static void tick(void *ctx)
{
	struct own *o = ctx;
	struct err e;
	if (o->end_again_ms > 0) {
		end_store(o);
		return;
	}
	if (o->busy) { /* another's order was under way */
		order(o);
		return;
	}
	o->busy = o->in_store = true;
	if (store_submit(o->o.store, look_unit, look_done, o, &e) != 0)
		look_done(o, -1, &e);
}

static void kicked(void *ctx)
{
	struct own *o = ctx;
	if (o->closing || !o->queue)
		return;
	o->again = o->busy;
	if (!o->busy)
		loop_timer_at(o->timer, clock_mono_ms());
}

void own_kick(struct own *o)
{
	loop_post(o->o.loop, kicked, o);
}

struct own *own_new(const struct own_options *options)
{
	struct own *o = mem_alloc(sizeof(*o));
	*o = (struct own){.o = *options};
	arena_init(&o->a, ARENA_BYTES);
	buf_init(&o->chain, PEM_MAX);
	buf_init(&o->key, PEM_MAX);
	buf_init(&o->said, 2 * SAID_MAX);
	o->timer = loop_timer_new(options->loop, tick, o);
	return o;
}

void own_begin(struct own *o, struct queue *queue)
{
	o->queue = queue;
	loop_timer_at(o->timer, clock_mono_ms() + FIRST_MS);
}

void own_close(struct own *o)
{
	if (!o)
		return;
	loop_timer_free(o->timer);
	o->closing = true;
	if (!o->in_store)
		own_free(o);
}
