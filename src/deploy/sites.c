/* Sites of an nginx-site project: from a release's plan to the edge, and what nginx says of them in the words of the
 * repository. */
#include "deploy/work.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "edge/acme.h"
#include "model/site_certificate.h"
#include "render/sites.h"

#define PACKED_MAX (1u << 20)

bool plan_is_sites(const struct plan *p)
{
	return p->kind == MANIFEST_KIND_NGINX_SITE;
}

/* ---- the request ---- */

struct packing {
	struct render_sites head;
	struct buf files, edits, domains;
};

static void pack_one(struct packing *k, const struct plan_site *s, bool snippet)
{
	struct render_site_file f = {.snippet = snippet,
	    .certified = s->certified,
	    .bytes = s->bytes,
	    .first_edit = k->head.edit_count,
	    .edit_count = (uint32_t)s->edit_count,
	    .domains_at = (uint32_t)k->domains.n};
	for (size_t i = 0; i < s->domains.n; i++)
		buf_printf(&k->domains, "%s%.*s", i ? " " : "", STR_ARG(s->domains.v[i]));
	f.domains_n = (uint32_t)k->domains.n - f.domains_at;
	if (!str_copy(s->file, f.name, sizeof(f.name)))
		k->files.full = true;
	buf_put(&k->files, &f, sizeof(f));
	for (size_t i = 0; i < s->edit_count; i++)
		buf_put(&k->edits, &s->edits[i], sizeof(s->edits[i]));
	k->head.edit_count += (uint32_t)s->edit_count;
	k->head.file_count++;
}

static int pack(const struct plan *p, bool closed, struct buf *out, struct err *e)
{
	struct packing k = {.head = {.version = RENDER_SITES_VERSION, .closed = closed}};
	buf_init(&k.files, SITE_FILES_MAX * sizeof(struct render_site_file));
	buf_init(&k.edits, SITE_EDITS_MAX * sizeof(struct site_edit));
	buf_init(&k.domains, RENDER_SITES_DOMAINS_BYTES);
	for (size_t i = 0; i < p->snippet_count; i++)
		pack_one(&k, &p->snippets[i], true);
	for (size_t i = 0; i < p->site_count; i++)
		pack_one(&k, &p->sites[i], false);
	k.head.domains_bytes = (uint32_t)k.domains.n;
	bool ok = str_copy(p->sites_folder, k.head.folder, sizeof(k.head.folder)) &&
		  str_copy(p->snippets_folder, k.head.snippets, sizeof(k.head.snippets));
	buf_put(out, &k.head, sizeof(k.head));
	buf_str(out, buf_view(&k.files));
	buf_str(out, buf_view(&k.edits));
	buf_str(out, buf_view(&k.domains));
	ok = ok && !k.files.full && !k.edits.full && !k.domains.full && !out->full;
	buf_fini(&k.files);
	buf_fini(&k.edits);
	buf_fini(&k.domains);
	return ok ? 0 : err_set(e, ERR_TOO_LARGE, "the sites are too many for one request");
}

/* ---- what nginx says ---- */

/* Everything from the blank or quote before `mark` up to and with it becomes `instead`. */
static void rename_path(char *text, size_t size, const char *mark, struct str instead)
{
	char *at = strstr(text, mark), behind[512];
	if (!at)
		return;
	char *from = at;
	while (from > text && from[-1] != ' ' && from[-1] != '"' && from[-1] != '(')
		from--;
	(void)snprintf(behind, sizeof(behind), "%s", at + strlen(mark));
	(void)snprintf(from, size - (size_t)(from - text), "%.*s/%s", STR_ARG(instead), behind);
}

/* The helper shows quotes as a log does. */
static void plain_quotes(char *text)
{
	char *to = text;
	for (const char *at = text; *at; at++)
		if (at[0] != '\\' || at[1] != '"')
			*to++ = *at;
	*to = '\0';
}

static void explain(const struct work *w, const struct plan *p, struct err *e)
{
	char mark[NAME_PROJECT_MAX + 40];
	static const char *const folders[] = {"enabled", "snippets"};
	const struct str of[] = {p->sites_folder, p->snippets_folder};
	plain_quotes(e->msg);
	for (size_t i = 0; i < 2; i++) {
		(void)snprintf(
		    mark, sizeof(mark), "/sites/%.*s/%s/", STR_ARG(w->project.name), folders[i]);
		rename_path(e->msg, sizeof(e->msg), mark, of[i]);
		rename_path(e->msg, sizeof(e->msg), mark, of[i]);
	}
	(void)snprintf(mark, sizeof(mark), "/certs/sites/%.*s/", STR_ARG(w->project.name));
	rename_path(e->msg, sizeof(e->msg), mark, STR("/etc/letsencrypt/live"));
	rename_path(e->msg, sizeof(e->msg), mark, STR("/etc/letsencrypt/live"));
	if (e->code != ERR_FAILED || e->hint[0])
		return;
	if (strstr(e->msg, "default server"))
		(void)err_hint(e, "the platform has the default server of its own ports: take "
				  "`default_server` out, or disable that site");
	else if (strstr(e->msg, "cannot load certificate"))
		(void)err_hint(e, "a site can name its own certificate, or that of another site "
				  "of this project: /etc/letsencrypt/live/SITE/");
	else if (strstr(e->msg, "\"http2\" directive") || strstr(e->msg, "\"quic\""))
		(void)err_hint(e, "this nginx is older than that word (nginx -v says how old)");
}

struct call {
	struct work *w;
	const struct plan *p;
};

static void answered(void *ctx, uint64_t value, const struct err *e)
{
	struct call *c = ctx;
	struct work *w = c->w;
	struct err why;
	if (e) {
		why = *e;
		explain(w, c->p, &why);
	} else {
		w->site_changes = value;
		w->sites_told = true;
	}
	mem_free_ptr(&c);
	work_op_back(w, e ? &why : NULL);
}

void sites_set(struct work *w, const struct plan *p, uint32_t release, bool closed)
{
	CLEANUP_BUF struct buf packed;
	struct err e;
	buf_init(&packed, PACKED_MAX);
	work_op_add(w);
	if (pack(p, closed, &packed, &e) != 0) {
		work_op_back(w, &e);
		return;
	}
	struct call *c = mem_alloc(sizeof(*c));
	*c = (struct call){w, p};
	edge_sites_set(w->d->o.edge, w->project.name, release, buf_view(&packed), answered, c);
}

void sites_tell(struct work *w)
{
	size_t n = w->plan.site_count;
	buf_printf(&w->detail, "%zu %s", n, n == 1 ? "site" : "sites");
	if (!w->sites_told)
		return;
	unsigned added = w->site_changes & 0xffff, changed = w->site_changes >> 16 & 0xffff,
		 gone = w->site_changes >> 32 & 0xffff;
	if (w->site_changes == 0)
		buf_c(&w->detail, ": as they were, nothing reloaded");
	else
		buf_printf(
		    &w->detail, ": %u new, %u changed, %u gone; reloaded", added, changed, gone);
	buf_c(&w->detail, "; ");
}

/* ---- names ---- */

static int check_name(
    struct work *w, struct store_db *db, const struct plan_site *s, struct str host, struct err *e)
{
	const struct name_platform platform = work_platform(w);
	struct model_domain d;
	/* A site may listen as localhost: only there, and no project's own name is taken by it. */
	if (!str_eq_c(host, "localhost") && !str_ends(host, STR(".localhost")) &&
	    name_domain_free(host, w->project.name, &platform, e) != 0)
		return err_prefix(e, "site %.*s", STR_ARG(s->name));
	int rc = model_domain_get(db, &w->a, host, MODEL_EVERYTHING, &d, e);
	if (rc <= 0 || d.project_id == w->project.id)
		return rc < 0 ? -1 : 0;
	(void)err_set(e, ERR_CONFLICT, "site %.*s: domain '%.*s' belongs to another project",
	    STR_ARG(s->name), STR_ARG(host));
	return err_hint(e, "take it out of its server_name, or let it be given up there first "
			   "(slipway domains remove)");
}

int sites_check_names(struct work *w, struct store_db *db, struct err *e)
{
	for (size_t i = 0; i < w->plan.site_count; i++) {
		const struct plan_site *s = &w->plan.sites[i];
		for (size_t k = 0; k < s->domains.n; k++)
			if (check_name(w, db, s, s->domains.v[k], e) != 0)
				return -1;
	}
	return 0;
}

/* ---- certificates ---- */

#define ORDER_AGAIN_MS (6 * 3600 * (int64_t)1000) /* for a task that never says how it went */

const struct plan_site *sites_find(const struct plan *p, struct str name)
{
	for (size_t i = 0; i < p->site_count; i++)
		if (str_eq(p->sites[i].name, name))
			return &p->sites[i];
	return NULL;
}

size_t sites_public_names(const struct plan_site *s, struct str *names)
{
	size_t n = 0;
	for (size_t i = 0; i < s->domains.n && n < SITE_DOMAINS_MAX; i++)
		if (!str_ends(s->domains.v[i], STR(".localhost")) &&
		    !str_eq_c(s->domains.v[i], "localhost"))
			names[n++] = s->domains.v[i];
	return n;
}

/* Whether an authority is to be asked for this site, by itself. */
static bool is_wanted(const struct plan *p, const struct plan_site *s)
{
	struct str names[SITE_DOMAINS_MAX];
	return p->certificates && s->certified && sites_public_names(s, names) > 0;
}

static bool covers(const struct plan_site *s, const struct model_certificate *c)
{
	struct str names[SITE_DOMAINS_MAX];
	size_t n = sites_public_names(s, names);
	for (size_t i = 0; i < n; i++)
		if (!name_covered(names[i], c->names))
			return false;
	return true;
}

static int order(struct work *w, struct store_db *db, struct model_certificate *c, struct err *e)
{
	int64_t now = clock_wall_ms(), task;
	c->renew_ms = c->limited_ms > now ? c->limited_ms : now + ORDER_AGAIN_MS;
	if (model_site_certificate_put(db, c, e) < 0 || c->limited_ms > now)
		return c->limited_ms > now ? 0 : -1;
	char *input =
	    arena_printf(&w->a, "{\"action\":\"issue\",\"site\":\"%.*s\"}", STR_ARG(c->site));
	if (!input)
		return err_set(e, ERR_TOO_LARGE, "the task's memory is full");
	const struct queue_order q = {.project_id = w->project.id,
	    .kind = MODEL_TASK_CERTIFICATE,
	    .ref = STR(""),
	    .input_json = str_c(input),
	    .requested_by = STR("deploy"),
	    .now_ms = now};
	return queue_unit_order(db, &q, &task, e);
}

static int look_at_site(
    struct work *w, struct store_db *db, const struct plan_site *s, struct err *e)
{
	struct model_certificate c = {0};
	if (!is_wanted(&w->plan, s))
		return 0;
	int rc =
	    model_site_certificate_get(db, &w->a, w->project.id, s->name, MODEL_EVERYTHING, &c, e);
	/* one that was tried is tried again in its time; one for other names is not the one */
	if (rc < 0 || (rc == 1 && (c.installed_ms == 0 || covers(s, &c))))
		return rc < 0 ? -1 : 0;
	c.project_id = w->project.id;
	c.site = s->name;
	return order(w, db, &c, e);
}

int sites_certificates(struct work *w, struct store_db *db, struct err *e)
{
	struct model_certificates had;
	if (model_site_certificate_list(db, &w->a, w->project.id, MODEL_EVERYTHING, &had, e) < 0)
		return -1;
	for (size_t i = 0; i < had.n; i++) {
		const struct plan_site *s = sites_find(&w->plan, had.v[i].site);
		if ((!s || !s->certified) &&
		    model_site_certificate_remove(db, w->project.id, had.v[i].site, e) < 0)
			return -1;
	}
	for (size_t i = 0; i < w->plan.site_count; i++)
		if (look_at_site(w, db, &w->plan.sites[i], e) != 0)
			return -1;
	return 0;
}

static bool is_kept(void *ctx, struct str site)
{
	const struct plan_site *s = sites_find(ctx, site);
	return s && s->certified;
}

void sites_forget_gone(struct work *w)
{
	struct err e;
	queue_kick(w->d->queue);
	if (w->d->o.acme &&
	    acme_forget_sites(w->d->o.acme, w->project.name, is_kept, &w->plan, &e) != 0)
		buf_printf(&w->warning, "%scertificates of sites that are gone stayed: %s",
		    w->warning.n > 0 ? "; " : "", e.msg);
}
