/* What the edge is told about a project: typed fields from its settings and one release's plan. */
#include "deploy/work.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"

/* What a plan that says nothing gets; as the manifest's documentation has it. */
#define BODY_MAX_BYTES (100u << 20)
#define REQUEST_TIMEOUT_MS 60000

static int put_domain(struct render_vhost *v, struct str host, struct err *e)
{
	if (v->domain_count >= LIMIT_DOMAINS)
		return 0;
	if (!str_copy(host, v->domains[v->domain_count], sizeof(v->domains[0])))
		return err_set(e, ERR_INVALID, "the domain is too long");
	v->domain_count++;
	return 0;
}

static int put_statics(struct render_vhost *v, const struct plan *p, struct err *e)
{
	for (size_t i = 0; i < p->static_count && i < LIMIT_STATICS; i++) {
		struct render_static *s = &v->statics[v->static_count++];
		const struct manifest_static *m = &p->statics[i];
		s->data = m->data;
		if (!str_copy(m->url, s->url, sizeof(s->url)) ||
		    (m->data && !str_copy(m->path, s->data_path, sizeof(s->data_path))))
			return err_set(
			    e, ERR_INVALID, "the static path '%.*s' is too long", STR_ARG(m->url));
	}
	return 0;
}

int vhost_fill(const struct work *w, const struct plan *p, bool maintenance,
    struct render_vhost *ret, struct err *e)
{
	memset(ret, 0, sizeof(*ret));
	ret->version = RENDER_VHOST_VERSION;
	char local[NAME_PROJECT_MAX + 16], below[NAME_PROJECT_MAX + NAME_DOMAIN_MAX + 2] = "";
	struct str name = w->project.name;
	if (!str_copy(name, ret->project, sizeof(ret->project)))
		return err_set(e, ERR_INTERNAL, "the project's name is too long");
	(void)snprintf(local, sizeof(local), "%.*s.localhost", STR_ARG(name));
	if (w->d->o.names_below)
		(void)snprintf(below, sizeof(below), "%.*s.%s", STR_ARG(name), w->d->o.names_below);
	if (put_domain(ret, str_c(local), e) != 0 ||
	    (below[0] && strlen(below) <= NAME_DOMAIN_MAX && put_domain(ret, str_c(below), e) != 0))
		return -1;
	for (size_t i = 0; i < w->domains.n; i++)
		if (!str_eq_c(w->domains.v[i].host, local) &&
		    !str_eq_c(w->domains.v[i].host, below) &&
		    put_domain(ret, w->domains.v[i].host, e) != 0)
			return -1;
	if (put_statics(ret, p, e) != 0)
		return -1;
	int64_t web = plan_has_web(p) ? facts_count(w, STR("web")) : 0;
	ret->web_instances = (uint16_t)web;
	ret->maintenance = maintenance || (plan_has_web(p) && web == 0);
	ret->headers =
	    p->headers == MANIFEST_HEADERS_STRICT ? RENDER_HEADERS_STRICT : RENDER_HEADERS_BASIC;
	ret->body_max_bytes = p->body_max_bytes > 0 ? p->body_max_bytes : BODY_MAX_BYTES;
	int64_t timeout_ms = p->request_timeout_ms > 0 ? p->request_timeout_ms : REQUEST_TIMEOUT_MS;
	ret->request_timeout_s = (uint32_t)((timeout_ms + 999) / 1000);
	return 0;
}

/* ---- the switch ---- */

struct switch_call {
	struct work *w;
	uint32_t release, previous;
	int rc;
	int64_t us;
	struct err e;
	char project[NAME_PROJECT_MAX + 1];
};

static void switch_run(void *ctx)
{
	struct switch_call *c = ctx;
	int64_t from = clock_mono_us();
	c->rc = edge_switch(c->w->d->o.edge, str_c(c->project), c->release, c->previous, &c->e);
	c->us = clock_mono_us() - from;
}

static void switch_back(void *ctx)
{
	struct switch_call *c = ctx;
	struct work *w = c->w;
	int rc = c->rc;
	struct err e = c->e;
	w->switch_us = c->us;
	mem_free_ptr(&c);
	work_op_back(w, rc != 0 ? &e : NULL);
}

void work_switch(struct work *w, uint32_t release, uint32_t previous)
{
	struct switch_call *c = mem_alloc(sizeof(*c));
	*c = (struct switch_call){.w = w, .release = release, .previous = previous};
	(void)!str_copy(w->project.name, c->project, sizeof(c->project)); /* "" is refused */
	work_op_add(w);
	if (loop_work(w->d->o.loop, switch_run, switch_back, c, &c->e) == 0)
		return;
	/* Nothing may stand between a release that failed and the way back: better here than not.
	 */
	switch_run(c);
	loop_post(w->d->o.loop, switch_back, c);
}

/* ---- the vhost ---- */

void vhost_set(struct work *w, const struct plan *p, bool maintenance)
{
	struct err e;
	if (plan_is_sites(p)) {
		uint32_t release =
		    p == &w->old.plan ? w->from_release : (uint32_t)w->release.number;
		sites_set(w, p, release, maintenance);
		return;
	}
	struct render_vhost *v = mem_alloc(sizeof(*v));
	work_op_add(w);
	sleep_note(w->d, w->project.name, maintenance ? 0 : p->sleep_ms);
	if (vhost_fill(w, p, maintenance, v, &e) != 0)
		work_op_back(w, &e);
	else
		edge_vhost_set(w->d->o.edge, v, work_op_done, w);
	mem_free_ptr(&v);
}
