/* Certificates of a project: prove that its names lead here, order from an authority, install. The
 * one before serves until the new one does, and goes on when anything fails. */
#include "deploy/work.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/rand.h"
#include "crypto/certificate.h"
#include "deploy/proof.h"
#include "edge/acme.h"
#include "model/place.h"
#include "model/site_certificate.h"
#include "outbound/outbound.h"

#define ASK_LIMIT_MS 15000
#define BUSY_MS 200 /* another project's order is under way */
#define TOKEN_PREFIX "slipway-"

static bool is_action(const struct work *w, const char *name)
{
	return str_eq_c(w->in.action, name);
}

/* Whether an authority is asked for a new one. */
static bool asks(const struct work *w)
{
	return is_action(w, "issue") || is_action(w, "renew");
}

static bool is_staging(const struct work *w)
{
	return is_action(w, "renew") ? w->certificate.origin == MODEL_ORIGIN_STAGING
				     : w->in.staging;
}

static bool is_public(struct str host)
{
	return !str_ends(host, STR(".localhost")) && !str_eq_c(host, "localhost");
}

/* The names that an authority can know; into names[] of LIMIT_DOMAINS. */
static size_t public_names(const struct work *w, struct str *names)
{
	const struct plan_site *s = sites_find(&w->plan, w->in.site);
	size_t n = 0;
	if (w->in.site.n > 0)
		return s ? sites_public_names(s, names) : 0;
	for (size_t i = 0; i < w->domains.n && n < LIMIT_DOMAINS; i++)
		if (is_public(w->domains.v[i].host))
			names[n++] = w->domains.v[i].host;
	return n;
}

/* ---- the end of what went wrong ---- */

static int put_row(struct store_db *db, const struct model_certificate *c, struct err *e)
{
	if (c->site.n > 0)
		return model_site_certificate_put(db, c, e);
	return model_certificate_put(db, c, e) < 0 ||
		       model_certificate_given_forget(db, c->project_id, e) < 0
		   ? -1
		   : 0;
}

static int failed_unit(struct work *w, struct store_db *db, struct err *e)
{
	struct model_certificate *c = &w->certificate;
	int64_t now = clock_wall_ms();
	/* a site's is ordered by itself from the first time on */
	bool renews =
	    c->origin == MODEL_ORIGIN_ACME || c->origin == MODEL_ORIGIN_STAGING || w->in.site.n > 0;
	c->project_id = w->project.id;
	c->site = w->in.site;
	c->failures++;
	c->error = arena_str(&w->a, str_c(w->op_err.msg));
	c->limited_ms = w->limited_ms > now ? w->limited_ms : 0;
	c->renew_ms = renews ? model_certificate_retry_at(now, c->failures, c->limited_ms) : 0;
	return put_row(db, c, e) < 0 ? -1 : news_certificate(w, db, "certificate.failed", e);
}

static void failed_back(struct work *w)
{
	work_fail(w, NULL); /* the reason was given */
}

/* The store remembers it, so that the clock tries again later and people see why. */
static void fail(struct work *w, const struct err *e)
{
	if (work_stopping(w)) {
		work_fail(w, e);
		return;
	}
	struct err why = *e;
	work_blame(w, &why);
	w->op_err = why;
	notify_kick(w->d->o.notify);
	work_unit(w, failed_unit, failed_back);
}

/* ---- prove ---- */

struct proof {
	struct work *w;
	struct proof_question q;
};

static void on_proof(void *ctx, const struct outbound_answer *a)
{
	const struct proof *p = ctx;
	struct err e;
	int rc = proof_judge(&p->q, a, &e);
	work_op_back(p->w, rc != 0 ? &e : NULL);
}

static void ask(struct work *w, struct str host)
{
	struct err e;
	struct proof *p = arena_alloc(&w->a, sizeof(*p));
	uint16_t port = w->d->o.acme_http_port;
	char *url = p ? arena_printf(&w->a, "http://%.*s:%u/.well-known/acme-challenge/%s",
			    STR_ARG(host), port, w->token)
		      : NULL;
	work_op_add(w);
	if (!url) {
		(void)err_set(&e, ERR_TOO_LARGE, "the task's memory is full");
		work_op_back(w, &e);
		return;
	}
	*p = (struct proof){w, {host, port, w->token,
				   arena_printf(&w->a, "slipway domains remove %.*s %.*s",
				       STR_ARG(w->project.name), STR_ARG(host))}};
	const struct outbound_request r = {.kind = OUTBOUND_HTTP,
	    .timeout_ms = ASK_LIMIT_MS,
	    .url = str_c(url),
	    .method = OUTBOUND_GET,
	    .body_max = 256};
	if (outbound_ask(w->d->o.outbound, &r, on_proof, p, &e) != 0)
		work_op_back(w, &e);
}

static void proved(struct work *w)
{
	acme_token_remove(w->d->o.acme, w->token);
	if (w->op_failed) {
		struct err e = w->op_err;
		fail(w, &e);
		return;
	}
	work_done(w);
}

/* What this task cannot do, whatever the network says. */
static int check(struct work *w, struct err *e)
{
	struct str names[LIMIT_DOMAINS];
	enum model_origin origin = w->certificate.origin;
	bool issued = origin == MODEL_ORIGIN_ACME || origin == MODEL_ORIGIN_STAGING;
	if (!w->has_plan) {
		err_set(e, ERR_CONFLICT, "nothing of '%.*s' was deployed yet",
		    STR_ARG(w->project.name));
		return err_hint(e, "slipway deploy %.*s", STR_ARG(w->project.name));
	}
	if (!w->d->o.acme || !w->d->o.outbound)
		return err_set(e, ERR_UNAVAILABLE, "this daemon asks no authorities");
	if ((is_action(w, "renew") || is_action(w, "revoke")) && !issued) {
		err_set(e, ERR_CONFLICT, "'%.*s' has no certificate of an authority's",
		    STR_ARG(w->project.name));
		return err_hint(e, "slipway certs issue %.*s", STR_ARG(w->project.name));
	}
	if (plan_is_sites(&w->plan) && w->in.site.n == 0) {
		err_set(e, ERR_CONFLICT, "each site of '%.*s' has a certificate of its own",
		    STR_ARG(w->project.name));
		return err_hint(
		    e, "slipway certs issue %.*s --site SITE", STR_ARG(w->project.name));
	}
	if (w->in.site.n > 0 && (!asks(w) || public_names(w, names) == 0)) {
		err_set(e, ERR_CONFLICT,
		    "'%.*s' serves no site '%.*s' whose names an authority could ask for",
		    STR_ARG(w->project.name), STR_ARG(w->in.site));
		return err_hint(e, "slipway sites %.*s", STR_ARG(w->project.name));
	}
	if (asks(w) && public_names(w, names) == 0) {
		err_set(e, ERR_CONFLICT, "'%.*s' has no domain that an authority could ask for",
		    STR_ARG(w->project.name));
		return err_hint(
		    e, "slipway domains add %.*s shop.example.org", STR_ARG(w->project.name));
	}
	return 0;
}

void prove_start(struct work *w)
{
	struct err e;
	struct str names[LIMIT_DOMAINS];
	char secret[RAND_TOKEN_SIZE];
	if (check(w, &e) != 0) {
		work_fail(w, &e);
		return;
	}
	if (!asks(w)) {
		work_skip(w, "nothing to ask");
		return;
	}
	size_t n = public_names(w, names);
	rand_token(secret);
	w->token = arena_printf(&w->a, TOKEN_PREFIX "%s", secret);
	if (!w->token || acme_token_put(w->d->o.acme, w->token, &e) != 0) {
		if (!w->token)
			(void)err_set(&e, ERR_TOO_LARGE, "the task's memory is full");
		fail(w, &e);
		return;
	}
	buf_printf(&w->detail, "%zu %s, asked for on port %u", n,
	    n == 1 ? "name leads here" : "names lead here", w->d->o.acme_http_port);
	work_ops_begin(w, proved);
	for (size_t i = 0; i < n; i++)
		ask(w, names[i]);
	work_ops_end(w);
}

/* ---- order ---- */

static void on_line(void *ctx, struct str line)
{
	struct work *w = ctx;
	report_line(w, "order", line);
	report_lines_add(w, line);
}

static void on_ended(void *ctx, int64_t limited_ms, const struct err *e)
{
	struct work *w = ctx;
	w->acme = NULL;
	w->limited_ms = limited_ms;
	if (!e) {
		work_done(w);
		return;
	}
	struct err why = *e;
	if (!work_stopping(w))
		report_lines_keep(w);
	if (e->code == ERR_FAILED)
		(void)err_hint(&why, "what certbot said stands above; %s",
		    w->certificate.installed_ms
			? "the certificate before still serves, and it is tried again by itself"
			: "the certificate that signs itself still serves");
	fail(w, &why);
}

void order_start(struct work *w)
{
	struct str names[LIMIT_DOMAINS];
	if (is_action(w, "delete") || is_action(w, "import")) {
		work_skip(w, "no authority is asked");
		return;
	}
	const struct acme_order o = {.what = is_action(w, "revoke") ? ACME_REVOKE : ACME_ISSUE,
	    .project = w->project.name,
	    .site = w->in.site,
	    .names = names,
	    .name_count = public_names(w, names),
	    .staging = is_staging(w)};
	const struct acme_callbacks cb = {.line = on_line, .ended = on_ended, .ctx = w};
	w->acme = acme_start(w->d->o.acme, &o, &cb);
	if (!w->acme)
		work_timer(w, BUSY_MS);
}

void order_tick(struct work *w)
{
	if (!w->acme)
		order_start(w);
}

void order_abort(struct work *w)
{
	if (w->acme)
		acme_cancel(w->acme);
	else
		work_fail(w, NULL);
}

/* ---- install ---- */

static int gone_unit(struct work *w, struct store_db *db, struct err *e)
{
	return model_certificate_remove(db, w->project.id, e);
}

static void removed(struct work *w)
{
	struct err e;
	if (w->op_failed) {
		work_fail(w, &w->op_err);
		return;
	}
	if (acme_forget(w->d->o.acme, w->project.name, STR(""), &e) != 0) {
		work_fail(w, &e);
		return;
	}
	buf_c(&w->detail, "the certificate that signs itself serves");
	w->also = gone_unit;
	work_done(w);
}

static int installed_unit(struct work *w, struct store_db *db, struct err *e)
{
	w->certificate = w->fresh;
	return put_row(db, &w->certificate, e) < 0
		   ? -1
		   : news_certificate(w, db, "certificate.installed", e);
}

static void installed(struct work *w)
{
	if (w->op_failed) {
		struct err e = w->op_err;
		fail(w, &e);
		return;
	}
	buf_printf(&w->detail, "for %.*s", STR_ARG(str_slice(w->fresh.names, 0, 300)));
	notify_kick(w->d->o.notify);
	w->also = installed_unit;
	work_done(w);
}

/* The row as it will be. */
static int read_row(struct work *w, const struct certificate *c, struct err *e)
{
	struct model_certificate *row = &w->fresh;
	bool given = is_action(w, "import");
	*row = (struct model_certificate){.project_id = w->project.id,
	    .project = w->project.name,
	    .site = w->in.site,
	    .origin = given	      ? MODEL_ORIGIN_IMPORT
		      : is_staging(w) ? MODEL_ORIGIN_STAGING
				      : MODEL_ORIGIN_ACME,
	    .names = arena_str(&w->a, buf_view(&c->names)),
	    .issuer = arena_str(&w->a, str_c(c->issuer)),
	    .serial = arena_str(&w->a, str_c(c->serial)),
	    .not_before_ms = c->not_before_ms,
	    .not_after_ms = c->not_after_ms,
	    .installed_ms = clock_wall_ms()};
	if (!given)
		row->renew_ms = model_certificate_renew_at(c->not_before_ms, c->not_after_ms);
	return row->names.p ? 0 : err_set(e, ERR_TOO_LARGE, "the task's memory is full");
}

static void install(struct work *w)
{
	struct err e;
	struct certificate c;
	bool site = w->in.site.n > 0;
	struct render_vhost *v = mem_alloc(sizeof(*v));
	certificate_init(&c);
	bool ok = certificate_pair(
		      buf_view(&w->chain), buf_view(&w->key), clock_wall_ms(), &c, &e) == 0 &&
		  (site || vhost_fill(w, &w->plan, !w->project.desired_running, v, &e) == 0) &&
		  read_row(w, &c, &e) == 0;
	certificate_fini(&c);
	if (ok) {
		bool trusted = w->fresh.origin != MODEL_ORIGIN_STAGING;
		work_ops_begin(w, installed);
		work_op_add(w);
		if (site)
			edge_site_certificate_set(w->d->o.edge, w->project.name, w->in.site,
			    trusted, buf_view(&w->chain), buf_view(&w->key), work_op_done, w);
		else
			edge_certificate_set(w->d->o.edge, v, trusted, buf_view(&w->chain),
			    buf_view(&w->key), work_op_done, w);
		work_ops_end(w);
	} else {
		fail(w, &e);
	}
	mem_free_ptr(&v);
}

static int given_unit(struct work *w, struct store_db *db, struct err *e)
{
	char place[MODEL_PLACE_SIZE];
	struct str chain, sealed;
	int rc = model_certificate_given(db, &w->a, w->project.id, &chain, &sealed, e);
	if (rc == 0)
		return err_set(e, ERR_NOT_FOUND, "what was given is installed already, or gone");
	if (rc < 0)
		return -1;
	buf_str(&w->chain, chain);
	return seal_open(
	    w->d->o.seal, model_place_certificate(w->project.id, place), sealed, &w->key, e);
}

static void given_back(struct work *w)
{
	if (w->op_failed) {
		struct err e = w->op_err;
		fail(w, &e);
	} else {
		install(w);
	}
}

static void remove_installed(struct work *w)
{
	struct err e;
	struct render_vhost *v = mem_alloc(sizeof(*v));
	if (vhost_fill(w, &w->plan, !w->project.desired_running, v, &e) == 0) {
		work_ops_begin(w, removed);
		work_op_add(w);
		edge_certificate_remove(w->d->o.edge, v, work_op_done, w);
		work_ops_end(w);
	} else {
		work_fail(w, &e);
	}
	mem_free_ptr(&v);
}

void install_start(struct work *w)
{
	struct err e;
	buf_clear(&w->chain);
	buf_wipe(&w->key);
	if (is_action(w, "revoke") || is_action(w, "delete"))
		remove_installed(w);
	else if (is_action(w, "import"))
		work_unit(w, given_unit, given_back);
	else if (acme_read(w->d->o.acme, w->project.name, w->in.site, &w->chain, &w->key, &e) == 0)
		install(w);
	else
		fail(w, &e);
}
