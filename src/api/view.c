#include "api/view.h"

#include "base/clock.h"
#include "source/address.h"
#include "text/json.h"

#include <stdio.h>
#include <string.h>

void api_put_text(struct json_out *w, const char *key, struct str v)
{
	json_put_str(w, key, v.n ? v : STR_NONE);
}

void api_put_stored(struct json_out *w, const char *key, struct str json)
{
	if (json.n)
		json_put_raw(w, key, json);
	else
		json_put_null(w, key);
}

static void source_json(struct json_out *w, const struct model_project *p)
{
	json_open_object(w, "source");
	json_put_str(w, "type", str_c(model_source_name(p->source)));
	json_put_str(
	    w, "url", p->source == MODEL_SOURCE_GIT && p->source_url.n ? p->source_url : STR_NONE);
	json_put_str(w, "path", p->source == MODEL_SOURCE_PATH ? p->source_url : STR_NONE);
	api_put_text(w, "ref", p->source_ref);
	json_close_object(w);
}

static void url_put(struct api_call *c, const struct api_project_extra *x, struct str host)
{
	const struct api_context *cx = c->cx;
	bool secure = cx->edge_https_port && (model_certificate_serves(&x->certificate, host) ||
						 model_certificate_serves(&x->wildcard, host));
	const char *scheme = secure ? "https" : cx->edge_scheme ? cx->edge_scheme : "http";
	uint16_t port = secure ? cx->edge_https_port : cx->edge_port,
		 usual = strcmp(scheme, "https") == 0 ? 443 : 80;
	char url[320];
	int n;
	if (port && port != usual)
		n = snprintf(url, sizeof(url), "%s://%.*s:%u/", scheme, STR_ARG(host), port);
	else
		n = snprintf(url, sizeof(url), "%s://%.*s/", scheme, STR_ARG(host));
	if (n > 0 && (size_t)n < sizeof(url))
		json_put_str(&c->w, NULL, str_c(url));
}

static void urls_json(
    struct api_call *c, const struct model_project *p, const struct api_project_extra *x)
{
	json_open_array(&c->w, "urls");
	char local[64], below[NAME_PROJECT_MAX + NAME_DOMAIN_MAX + 2];
	bool listed = !c->cx->edge_localhost || str_eq_c(p->kind, "nginx-site");
	snprintf(local, sizeof(local), "%.*s.localhost", STR_ARG(p->name));
	for (size_t i = 0; x->domains && i < x->domain_count; i++) {
		url_put(c, x, x->domains[i]);
		listed |= str_eq_c(x->domains[i], local);
	}
	if (c->cx->names_below && !str_eq_c(p->kind, "nginx-site")) {
		snprintf(below, sizeof(below), "%.*s.%s", STR_ARG(p->name), c->cx->host);
		url_put(c, x, str_c(below));
	}
	if (!listed)
		url_put(c, x, str_c(local));
	json_close_array(&c->w);
}

static void requests_json(struct api_call *c, struct str project)
{
	struct json_out *w = &c->w;
	struct requests_sum s = {0};
	if (c->cx->requests)
		(void)requests_of(c->cx->requests, project, &s);
	json_open_object(w, "requests");
	json_put_i64(w, "total", (int64_t)requests_all(&s));
	json_put_i64(w, "failed", (int64_t)s.count[5]);
	json_put_time(w, "last_at", s.last_ms);
	json_close_object(w);
}

void api_project_json(
    struct api_call *c, const struct model_project *p, const struct api_project_extra *x)
{
	struct json_out *w = &c->w;
	char page[512];
	json_open_object(w, NULL);
	json_put_str(w, "name", p->name);
	json_put_str(w, "kind", p->kind);
	api_put_text(w, "detected_kind", x->detected);
	source_json(w, p);
	json_put_str(w, "root", p->root.p ? p->root : STR(""));
	json_put_bool(w, "running", p->desired_running);
	api_put_i64_or_null(w, "live", p->live);
	api_put_i64_or_null(w, "previous", p->previous);
	json_put_raw(w, "limits", p->limits.n ? p->limits : STR("{}"));
	if (p->sites.n)
		json_put_raw(w, "sites", p->sites);
	json_put_bool(w, "disk_quota", c->cx->run && run_has_quota(c->cx->run));
	api_put_text(w, "deploy_key", p->deploy_key);
	api_put_text(
	    w, "deploy_key_page", p->deploy_key.n ? api_key_page(p->source_url, page) : STR_NONE);
	json_put_bool(w, "https_token", p->has_https_token);
	json_put_i64(w, "poll_ms", p->poll_ms);
	if (x->domains) {
		json_open_array(w, "domains");
		for (size_t i = 0; i < x->domain_count; i++)
			json_put_str(w, NULL, x->domains[i]);
		json_close_array(w);
	}
	urls_json(c, p, x);
	requests_json(c, p->name);
	api_put_i64_or_null(w, "first_port", p->first_port);
	json_put_i64(w, "version", p->version);
	json_put_time(w, "created_at", p->created_ms);
	json_put_str(w, "role", str_c(model_role_name(x->role)));
	if (x->task)
		api_task_json(w, "task", x->task, NULL);
	else if (x->with_task)
		json_put_null(w, "task");
	json_close_object(w);
}

struct str api_kind_of_live(struct api_call *c, struct store_db *db, const struct model_project *p)
{
	struct model_release r;
	struct err ignored;
	struct model_viewer viewer = access_viewer(c->who, MODEL_ROLE_VIEWER);
	if (p->live == 0 ||
	    model_release_get(db, c->r->arena, p->id, p->live, viewer, &r, &ignored) != 1)
		return STR_NONE;
	CLEANUP_JSON json_t *plan = json_read(r.plan, &ignored);
	return arena_str(c->r->arena, api_str(plan, "kind"));
}

void api_step_json(struct json_out *w, const struct model_step *s)
{
	json_open_object(w, NULL);
	json_put_i64(w, "attempt", s->attempt);
	json_put_i64(w, "seq", s->seq);
	json_put_str(w, "name", s->name);
	json_put_str(w, "state", str_c(model_step_state_name(s->state)));
	json_put_time(w, "started_at", s->started_ms);
	json_put_time(w, "finished_at", s->finished_ms);
	int64_t end = s->finished_ms ? s->finished_ms : clock_wall_ms();
	json_put_i64(w, "duration_ms", end > s->started_ms ? end - s->started_ms : 0);
	json_put_str(w, "detail", s->detail.p ? s->detail : STR(""));
	json_close_object(w);
}

void api_task_json(struct json_out *w, const char *key, const struct model_task *t,
    const struct model_steps *steps)
{
	json_open_object(w, key);
	json_put_i64(w, "id", t->id);
	json_put_str(w, "project", t->project);
	json_put_str(w, "kind", str_c(model_task_kind_name(t->kind)));
	json_put_str(w, "state", str_c(model_task_state_name(t->state)));
	api_put_text(w, "ref", t->ref);
	api_put_text(w, "commit", t->head_commit);
	api_put_text(w, "current_step", t->current_step);
	json_put_i64(w, "attempt", t->attempt);
	json_put_i64(w, "attempts_max", t->attempts_max);
	json_put_bool(w, "from_push", t->from_push);
	json_put_bool(w, "cancel_requested", t->cancel_requested);
	json_put_str(w, "requested_by", t->requested_by);
	json_put_time(w, "due_at", t->due_ms ? t->due_ms : t->created_ms);
	json_put_time(w, "created_at", t->created_ms);
	json_put_time(w, "started_at", t->started_ms);
	json_put_time(w, "finished_at", t->finished_ms);
	json_put_raw(w, "input", t->input.n ? t->input : STR("{}"));
	api_put_stored(w, "result", t->result);
	api_put_stored(w, "error", t->error);
	if (steps) {
		json_open_array(w, "steps");
		for (size_t i = 0; i < steps->n; i++)
			api_step_json(w, &steps->v[i]);
		json_close_array(w);
	}
	json_close_object(w);
}

void api_release_json(struct json_out *w, const struct model_release *r, bool with_plan)
{
	json_open_object(w, NULL);
	json_put_i64(w, "number", r->number);
	json_put_str(w, "state", str_c(model_release_state_name(r->state)));
	json_put_bool(w, "live", r->live);
	json_put_bool(w, "previous", r->previous);
	api_put_text(w, "commit", r->commit);
	api_put_text(w, "ref", r->ref);
	api_put_text(w, "subject", r->subject);
	api_put_text(w, "author", r->author);
	json_put_i64(w, "env_version", r->env_version);
	json_put_bool(w, "migrated", r->migrated);
	json_put_i64(w, "size_bytes", r->size_bytes);
	json_put_time(w, "created_at", r->created_ms);
	json_put_time(w, "sealed_at", r->sealed_ms);
	api_put_i64_or_null(w, "task", r->task_id);
	if (with_plan)
		json_put_raw(w, "plan", r->plan.n ? r->plan : STR("{}"));
	json_close_object(w);
}

struct forge {
	const char *host, *key_page, *hook_page;
};
static const struct forge forges[] = {
    {"github.com", "settings/keys/new", "settings/hooks/new"},
    {"gitlab.com", "-/settings/repository#js-deploy-keys-settings", "-/hooks"},
    {"bitbucket.org", "admin/access-keys/", "admin/webhooks"},
    {"codeberg.org", "settings/keys", "settings/hooks"},
    {"gitea.com", "settings/keys", "settings/hooks"},
};

static struct str page_of(struct str url, bool hook, char out[512])
{
	struct source_address address;
	struct err ignored;
	if (source_address_parse(url, &address, &ignored) < 0)
		return STR_NONE;
	struct str path = source_address_repository(&address);
	for (size_t i = 0; i < sizeof(forges) / sizeof(*forges); i++) {
		if (!str_eq_nocase(address.host, str_c(forges[i].host)))
			continue;
		int n = snprintf(out, 512, "https://%s/%.*s/%s", forges[i].host, STR_ARG(path),
		    hook ? forges[i].hook_page : forges[i].key_page);
		return n > 0 && n < 512 ? str_c(out) : STR_NONE;
	}
	return STR_NONE;
}

struct str api_key_page(struct str url, char out[512])
{
	return page_of(url, false, out);
}

struct str api_hook_page(struct str url, char out[512])
{
	return page_of(url, true, out);
}

static void put_names(struct json_out *w, struct str names)
{
	struct str one;
	json_open_array(w, "names");
	while (names.n > 0 && str_next(&names, ' ', &one))
		json_put_str(w, NULL, one);
	json_close_array(w);
}

void api_certificate_members(
    struct json_out *w, struct str project, const char *platform, const struct model_certificate *c)
{
	bool has = c->installed_ms > 0;
	json_put_str(w, "project", project);
	json_put_str(w, "platform", str_c(platform));
	json_put_str(w, "origin", has ? str_c(model_origin_name(c->origin)) : STR("self-signed"));
	json_put_bool(w, "trusted", has && c->origin != MODEL_ORIGIN_STAGING);
	put_names(w, c->names);
	json_put_str(w, "issuer", c->issuer.p ? c->issuer : STR(""));
	json_put_str(w, "serial", c->serial.p ? c->serial : STR(""));
	json_put_time(w, "not_before", c->not_before_ms);
	json_put_time(w, "not_after", c->not_after_ms);
	json_put_time(w, "installed_at", c->installed_ms);
	json_put_time(w, "next_try_at", c->renew_ms);
	json_put_time(w, "limited_until", c->limited_ms);
	json_put_i64(w, "failures", c->failures);
	json_put_str(w, "error", c->error.p ? c->error : STR(""));
}
