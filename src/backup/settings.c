#include "backup/settings.h"
#include "base/limits.h"
#include "base/name.h"
#include "model/look.h"
#include "model/place.h"
#include "text/json.h"

#include <inttypes.h>
#include <string.h>

#define HOOKS_MAX 32u

/* ---- the header ---- */

void backup_header_write(const struct backup_header *h, struct buf *out)
{
	struct json_out j;
	json_out_init(&j, out);
	json_open_object(&j, NULL);
	json_put_str(&j, "project", h->project);
	json_put_i64(&j, "number", h->number);
	json_put_str(&j, "kind", h->kind);
	json_put_i64(&j, "created_ms", h->created_ms);
	json_put_str(&j, "reason", h->reason);
	json_put_i64(&j, "until_ms", h->until_ms);
	json_put_str(&j, "by", h->by);
	json_put_i64(&j, "release", h->release);
	json_put_str(&j, "commit", h->commit);
	json_put_i64(&j, "files", h->files);
	json_put_i64(&j, "bytes", h->bytes);
	json_put_i64(&j, "databases", h->databases);
	json_put_i64(&j, "left_out", h->left_out);
	json_close_object(&j);
}

struct text_field {
	const char *key;
	struct str *into;
};
struct number_field {
	const char *key;
	int64_t *into;
};

/* Absent is empty. */
static int read_texts(
    const json_t *o, struct arena *a, const struct text_field *f, size_t n, struct err *e)
{
	for (size_t i = 0; i < n; i++) {
		struct str v = STR("");
		if (json_get_str(o, f[i].key, &v, e) < 0)
			return -1;
		*f[i].into = arena_str(a, v);
		if (!f[i].into->p)
			return err_set(
			    e, ERR_TOO_LARGE, "the archive's settings need too much memory");
	}
	return 0;
}

static int read_numbers(const json_t *o, const struct number_field *f, size_t n, struct err *e)
{
	for (size_t i = 0; i < n; i++)
		if (json_get_i64(o, f[i].key, 0, INT64_MAX, f[i].into, e) < 0)
			return -1;
	return 0;
}

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

int backup_header_read(struct str json, struct arena *a, struct backup_header *ret, struct err *e)
{
	*ret = (struct backup_header){0};
	const struct text_field texts[] = {{"project", &ret->project}, {"kind", &ret->kind},
	    {"reason", &ret->reason}, {"by", &ret->by}, {"commit", &ret->commit}};
	const struct number_field numbers[] = {{"number", &ret->number},
	    {"created_ms", &ret->created_ms}, {"until_ms", &ret->until_ms},
	    {"release", &ret->release}, {"files", &ret->files}, {"bytes", &ret->bytes},
	    {"databases", &ret->databases}, {"left_out", &ret->left_out}};
	CLEANUP_JSON json_t *o = json_read(json, e);
	return !o || read_texts(o, a, texts, COUNT(texts), e) != 0
		   ? -1
		   : read_numbers(o, numbers, COUNT(numbers), e);
}

/* ---- writing the settings ---- */

struct out {
	struct store_db *db;
	struct arena *a;
	const struct seal_key *seal;
	struct json_out j;
	struct err *e;
};

static int put_opened(struct out *o, const char *key, struct str place, struct str sealed)
{
	struct buf clear;
	buf_init(&clear, LIMIT_ENV_BYTES);
	int rc = seal_open(o->seal, place, sealed, &clear, o->e);
	if (rc == 0)
		json_put_str(&o->j, key, clear.n ? buf_view(&clear) : STR(""));
	buf_wipe(&clear);
	return rc;
}

static int put_secret(
    struct out *o, const char *key, int64_t project_id, enum model_project_secret which)
{
	char place[MODEL_PLACE_SIZE];
	struct str sealed;
	int rc = model_project_secret_get(o->db, o->a, project_id, which, &sealed, o->e);
	return rc <= 0 ? rc
		       : put_opened(o, key, model_place_project(project_id, which, place), sealed);
}

static int put_project(struct out *o, const struct model_project *p)
{
	struct json_out *j = &o->j;
	json_open_object(j, "project");
	json_put_str(j, "kind", p->kind);
	json_put_str(j, "source", str_c(model_source_name(p->source)));
	json_put_str(j, "url", p->source_url);
	json_put_str(j, "ref", p->source_ref);
	json_put_str(j, "root", p->root);
	json_put_str(j, "limits", p->limits);
	json_put_str(j, "settings", p->settings);
	json_put_str(j, "sites", p->sites);
	json_put_i64(j, "poll_ms", p->poll_ms);
	json_put_str(j, "known_hosts", p->known_hosts);
	json_put_str(j, "deploy_key_public", p->deploy_key);
	if (put_secret(o, "https_token", p->id, MODEL_PROJECT_HTTPS_TOKEN) < 0 ||
	    put_secret(o, "deploy_key", p->id, MODEL_PROJECT_DEPLOY_KEY) < 0)
		return -1;
	json_close_object(j);
	return 0;
}

static int put_env(struct out *o, const char *key, int64_t project_id, int64_t at_version)
{
	char place[MODEL_PLACE_SIZE];
	struct model_envs env;
	if (model_env_list(o->db, o->a, project_id, at_version, MODEL_EVERYTHING, &env, o->e) < 0)
		return -1;
	json_open_array(&o->j, key);
	for (size_t i = 0; i < env.n; i++) {
		json_open_object(&o->j, NULL);
		json_put_str(&o->j, "key", env.v[i].key);
		json_put_bool(&o->j, "secret", env.v[i].secret);
		json_put_bool(&o->j, "build", env.v[i].build);
		if (put_opened(o, "value", model_place_env(project_id, env.v[i].key, place),
			env.v[i].sealed) != 0)
			return err_prefix(o->e, "variable '%.*s'", STR_ARG(env.v[i].key));
		json_close_object(&o->j);
	}
	json_close_array(&o->j);
	return 0;
}

static int put_hook(struct out *o, struct str name)
{
	char place[MODEL_PLACE_SIZE];
	struct model_hook h;
	int rc = model_hook_find(o->db, o->a, name, &h, o->e);
	if (rc <= 0)
		return rc;
	json_open_object(&o->j, NULL);
	json_put_str(&o->j, "name", h.name);
	json_put_str(&o->j, "sender", h.sender);
	json_put_str(&o->j, "branch", h.branch);
	json_put_str(&o->j, "settings", h.settings);
	json_put_str(&o->j, "actions", h.actions);
	json_put_bool(&o->j, "paused", h.paused);
	if (put_opened(o, "secret", model_place_hook(h.name, place), h.secret) != 0)
		return err_prefix(o->e, "hook '%.*s'", STR_ARG(h.name));
	json_close_object(&o->j);
	return 0;
}

static int put_hooks(struct out *o, int64_t project_id)
{
	struct model_hooks all;
	const struct model_page page = {.limit = HOOKS_MAX};
	if (model_hook_list(o->db, o->a, project_id, page, MODEL_EVERYTHING, &all, o->e) < 0)
		return -1;
	json_open_array(&o->j, "hooks");
	for (size_t i = all.n; i-- > 0;)
		if (put_hook(o, all.v[i].name) < 0)
			return -1;
	json_close_array(&o->j);
	return 0;
}

static int put_names(struct out *o, int64_t project_id)
{
	struct model_domains d;
	struct model_scales s;
	if (model_domain_list(o->db, o->a, project_id, STR(""), MODEL_EVERYTHING, &d, o->e) < 0 ||
	    model_scale_list(o->db, o->a, project_id, MODEL_EVERYTHING, &s, o->e) < 0)
		return -1;
	json_open_array(&o->j, "domains");
	for (size_t i = 0; i < d.n; i++)
		json_put_str(&o->j, NULL, d.v[i].host);
	json_close_array(&o->j);
	json_open_object(&o->j, "scale");
	for (size_t i = 0; i < s.n; i++) {
		char key[NAME_PROCESS_MAX + 1];
		if (str_copy(s.v[i].process, key, sizeof(key)))
			json_put_i64(&o->j, key, s.v[i].count);
	}
	json_close_object(&o->j);
	return 0;
}

static int put_services(struct out *o, int64_t project_id)
{
	struct model_services s;
	if (model_service_list(o->db, o->a, project_id, MODEL_EVERYTHING, &s, o->e) < 0)
		return -1;
	json_open_array(&o->j, "services");
	for (size_t i = 0; i < s.n; i++) {
		if (s.v[i].made_ms == 0)
			continue;
		json_open_object(&o->j, NULL);
		json_put_str(&o->j, "name", s.v[i].name);
		json_put_str(&o->j, "type", str_c(model_service_type_name(s.v[i].type)));
		json_close_object(&o->j);
	}
	json_close_array(&o->j);
	return 0;
}

static int put_release(struct out *o, const struct model_project *p)
{
	struct model_release r;
	struct json_out *j = &o->j;
	int64_t version = 0;
	int rc = p->live
		     ? model_release_get(o->db, o->a, p->id, p->live, MODEL_EVERYTHING, &r, o->e)
		     : 0;
	if (rc <= 0)
		return rc;
	if (model_env_version(o->db, p->id, &version, o->e) < 0 ||
	    (r.env_version != version && put_env(o, "release_env", p->id, r.env_version) != 0))
		return -1;
	json_open_object(j, "release");
	json_put_i64(j, "number", r.number);
	json_put_str(j, "commit", r.commit);
	json_put_str(j, "ref", r.ref);
	json_put_str(j, "subject", r.subject);
	json_put_str(j, "author", r.author);
	json_put_str(j, "plan", r.plan);
	json_put_bool(j, "migrated", r.migrated);
	json_put_i64(j, "size", r.size_bytes);
	json_put_i64(j, "created_ms", r.created_ms);
	json_put_i64(j, "sealed_ms", r.sealed_ms);
	json_close_object(j);
	return 0;
}

int backup_settings_write(struct store_db *db, struct arena *a, const struct seal_key *seal,
    int64_t project_id, struct buf *out, struct err *e)
{
	struct out o = {.db = db, .a = a, .seal = seal, .e = e};
	struct model_project p;
	int rc = model_project_get_id(db, a, project_id, MODEL_EVERYTHING, &p, e);
	if (rc <= 0)
		return rc < 0 ? -1 : err_set(e, ERR_NOT_FOUND, "the project is gone");
	json_out_init(&o.j, out);
	json_open_object(&o.j, NULL);
	if (put_project(&o, &p) != 0 || put_env(&o, "env", p.id, 0) != 0 ||
	    put_names(&o, p.id) != 0 || put_hooks(&o, p.id) != 0 || put_release(&o, &p) < 0 ||
	    put_services(&o, p.id) != 0)
		return -1;
	json_close_object(&o.j);
	return buf_check(out, "the project's settings", e);
}

/* ---- reading them ---- */

static int no_memory(struct err *e)
{
	return err_set(e, ERR_TOO_LARGE, "the archive's settings need too much memory");
}

static int read_project(
    const json_t *all, struct arena *a, struct backup_settings *s, struct err *e)
{
	struct model_project *p = &s->project;
	struct str source = STR_NONE;
	const struct text_field texts[] = {{"kind", &p->kind}, {"source", &source},
	    {"url", &p->source_url}, {"ref", &p->source_ref}, {"root", &p->root},
	    {"limits", &p->limits}, {"settings", &p->settings}, {"sites", &p->sites},
	    {"known_hosts", &p->known_hosts}, {"deploy_key_public", &p->deploy_key},
	    {"https_token", &s->https_token}, {"deploy_key", &s->deploy_key}};
	const struct number_field numbers[] = {{"poll_ms", &p->poll_ms}};
	const json_t *o = json_object_get(all, "project");
	if (!json_is_object(o))
		return err_set(e, ERR_INVALID, "the archive names no project");
	return read_texts(o, a, texts, COUNT(texts), e) != 0 ||
		       read_numbers(o, numbers, COUNT(numbers), e) != 0
		   ? -1
		   : model_source_parse(source, &p->source, e);
}

static int read_env(
    const json_t *all, const char *key, struct arena *a, struct backup_env *ret, struct err *e)
{
	const json_t *list = json_object_get(all, key);
	size_t n = json_array_size(list);
	if (!json_is_array(list))
		return 0;
	if (n > LIMIT_ENV_COUNT)
		return err_set(e, ERR_INVALID, "the archive has too many variables");
	ret->v = arena_array(a, n + 1, sizeof(*ret->v));
	for (size_t i = 0; ret->v && i < n; i++) {
		struct model_env_change *v = &ret->v[i];
		const json_t *o = json_array_get(list, i);
		const struct text_field texts[] = {{"key", &v->key}, {"value", &v->sealed}};
		if (read_texts(o, a, texts, COUNT(texts), e) != 0 ||
		    json_get_bool(o, "secret", &v->secret, e) < 0 ||
		    json_get_bool(o, "build", &v->build, e) < 0 || name_env_key(v->key, e) != 0)
			return -1;
	}
	ret->n = n;
	return ret->v ? 0 : no_memory(e);
}

static int read_names(const json_t *all, struct arena *a, struct backup_settings *s, struct err *e)
{
	const json_t *domains = json_object_get(all, "domains");
	json_t *scale = json_object_get(all, "scale");
	size_t n = json_array_size(domains), m = json_object_size(scale);
	if (n > LIMIT_DOMAINS || m > LIMIT_PROCESSES)
		return err_set(e, ERR_INVALID, "the archive has too many domains or processes");
	s->domains = arena_array(a, n + 1, sizeof(*s->domains));
	s->scales.v = arena_array(a, m + 1, sizeof(*s->scales.v));
	if (!s->domains || !s->scales.v)
		return no_memory(e);
	for (; s->domain_count < n; s->domain_count++) {
		const json_t *v = json_array_get(domains, s->domain_count);
		struct str host =
		    arena_str(a, (struct str){json_string_value(v), json_string_length(v)});
		if (!json_is_string(v) || !host.p || name_domain(host, e) != 0)
			return err_set(e, ERR_INVALID, "the archive has a malformed domain");
		s->domains[s->domain_count] = host;
	}
	const char *key;
	json_t *v;
	json_object_foreach(scale, key, v)
	{
		struct str process = arena_str(a, str_c(key));
		int64_t count = json_integer_value(v);
		if (!process.p || name_process(process, e) != 0 || count < 0 ||
		    count > LIMIT_INSTANCES)
			return err_set(e, ERR_INVALID, "the archive has a malformed scale");
		s->scales.v[s->scales.n++] = (struct model_scale){process, count};
	}
	return 0;
}

static int read_hooks(const json_t *all, struct arena *a, struct backup_settings *s, struct err *e)
{
	const json_t *list = json_object_get(all, "hooks");
	size_t n = json_array_size(list);
	if (n > HOOKS_MAX)
		return err_set(e, ERR_INVALID, "the archive has too many hooks");
	s->hooks = arena_array(a, n + 1, sizeof(*s->hooks));
	if (!s->hooks)
		return no_memory(e);
	for (; s->hook_count < n; s->hook_count++) {
		struct model_hook *h = &s->hooks[s->hook_count].hook;
		const json_t *o = json_array_get(list, s->hook_count);
		const struct text_field texts[] = {{"name", &h->name}, {"sender", &h->sender},
		    {"branch", &h->branch}, {"settings", &h->settings}, {"actions", &h->actions},
		    {"secret", &h->secret}};
		if (read_texts(o, a, texts, COUNT(texts), e) != 0 ||
		    json_get_bool(o, "paused", &h->paused, e) < 0 || name_hook(h->name, e) != 0)
			return -1;
	}
	return 0;
}

static int read_release(
    const json_t *all, struct arena *a, struct backup_settings *s, struct err *e)
{
	struct model_release *r = &s->release;
	const json_t *o = json_object_get(all, "release");
	const struct text_field texts[] = {{"commit", &r->commit}, {"ref", &r->ref},
	    {"subject", &r->subject}, {"author", &r->author}, {"plan", &r->plan}};
	const struct number_field numbers[] = {{"number", &r->number}, {"size", &r->size_bytes},
	    {"created_ms", &r->created_ms}, {"sealed_ms", &r->sealed_ms}};
	if (!json_is_object(o))
		return 0;
	if (read_texts(o, a, texts, COUNT(texts), e) != 0 ||
	    read_numbers(o, numbers, COUNT(numbers), e) != 0 ||
	    json_get_bool(o, "migrated", &r->migrated, e) < 0)
		return -1;
	return r->number < 1 || r->number > INT32_MAX
		   ? err_set(e, ERR_INVALID, "the archive's release has no number")
		   : 0;
}

static int read_services(
    const json_t *all, struct arena *a, struct backup_settings *s, struct err *e)
{
	const json_t *list = json_object_get(all, "services");
	size_t n = json_array_size(list);
	if (n > LIMIT_SERVICES)
		return err_set(e, ERR_INVALID, "the archive has too many services");
	s->services.v = arena_array(a, n + 1, sizeof(*s->services.v));
	if (!s->services.v)
		return no_memory(e);
	for (; s->services.n < n; s->services.n++) {
		struct model_service *v = &s->services.v[s->services.n];
		struct str type = STR("");
		const struct text_field texts[] = {{"name", &v->name}, {"type", &type}};
		if (read_texts(json_array_get(list, s->services.n), a, texts, COUNT(texts), e) !=
			0 ||
		    name_service(v->name, e) != 0 ||
		    model_service_type_parse(type, &v->type, e) != 0)
			return -1;
	}
	return 0;
}

int backup_settings_read(
    struct str json, struct arena *a, struct backup_settings *ret, struct err *e)
{
	*ret = (struct backup_settings){0};
	CLEANUP_JSON json_t *o = json_read(json, e);
	if (!o)
		return err_prefix(e, "the archive's settings");
	return read_project(o, a, ret, e) != 0 || read_env(o, "env", a, &ret->env, e) != 0 ||
		       read_env(o, "release_env", a, &ret->release_env, e) != 0 ||
		       read_names(o, a, ret, e) != 0 || read_hooks(o, a, ret, e) != 0 ||
		       read_services(o, a, ret, e) != 0
		   ? -1
		   : read_release(o, a, ret, e);
}

/* ---- putting them in force ---- */

static int sealed_for(struct arena *a, const struct seal_key *key, struct str place,
    struct str clear, struct str *ret, struct err *e)
{
	struct buf sealed;
	buf_init(&sealed, LIMIT_ENV_BYTES + 64);
	seal(key, place, clear, &sealed);
	*ret = arena_str(a, buf_view(&sealed));
	buf_fini(&sealed);
	return ret->p ? 0 : no_memory(e);
}

static bool env_has(const struct backup_env *env, struct str key)
{
	for (size_t i = 0; i < env->n; i++)
		if (str_eq(env->v[i].key, key))
			return true;
	return false;
}

/* The whole environment becomes this one. */
static int env_becomes(struct store_db *db, struct arena *a, const struct seal_key *seal,
    int64_t project_id, const struct backup_env *env, int64_t now_ms, int64_t *ret_version,
    struct err *e)
{
	char place[MODEL_PLACE_SIZE];
	struct model_envs now;
	if (model_env_list(db, a, project_id, 0, MODEL_EVERYTHING, &now, e) < 0)
		return -1;
	struct model_env_change *all = arena_array(a, env->n + now.n + 1, sizeof(*all));
	size_t n = 0;
	if (!all)
		return no_memory(e);
	for (; n < env->n; n++) {
		all[n] = env->v[n];
		if (sealed_for(a, seal, model_place_env(project_id, all[n].key, place),
			env->v[n].sealed, &all[n].sealed, e) != 0)
			return -1;
	}
	for (size_t i = 0; i < now.n; i++)
		if (!env_has(env, now.v[i].key))
			all[n++] = (struct model_env_change){.key = now.v[i].key};
	return model_env_set(db, project_id, all, n, now_ms, ret_version, e);
}

int backup_env_apply(struct store_db *db, struct arena *a, const struct seal_key *seal,
    int64_t project_id, const struct backup_settings *s, int64_t now_ms, int64_t *ret_version,
    struct err *e)
{
	int64_t later;
	if (env_becomes(db, a, seal, project_id, s->release_env.v ? &s->release_env : &s->env,
		now_ms, ret_version, e) != 0)
		return -1;
	return s->release_env.v ? env_becomes(db, a, seal, project_id, &s->env, now_ms, &later, e)
				: 0;
}

static int secret_becomes(struct store_db *db, struct arena *a, const struct seal_key *seal,
    int64_t project_id, enum model_project_secret which, struct str clear, struct str public_half,
    struct err *e)
{
	char place[MODEL_PLACE_SIZE];
	struct str sealed = STR_NONE;
	if (clear.n && sealed_for(a, seal, model_place_project(project_id, which, place), clear,
			   &sealed, e) != 0)
		return -1;
	return model_project_secret_set(
		   db, project_id, which, sealed, clear.n ? public_half : STR_NONE, e) < 0
		   ? -1
		   : 0;
}

static void warn(struct buf *b, const char *what, struct str name, const char *why)
{
	buf_printf(b, "%s%s '%.*s' %s", b->n ? "; " : "", what, STR_ARG(name), why);
}

/* Only an admin of the platform may have set this source: api/input.c marks it. */
static bool is_reserved(const struct model_project *p)
{
	bool said = false;
	struct err e;
	CLEANUP_JSON json_t *o = json_read(p->settings, &e);
	return p->source == MODEL_SOURCE_PATH || !o ||
	       json_get_bool(o, "private_source", &said, &e) < 0 || said;
}

static bool is_site(const struct model_project *p)
{
	return str_eq_c(p->kind, "nginx-site");
}

static void stayed(struct buf *warning, const char *what)
{
	buf_printf(warning,
	    "%s%s stayed as now: another is only brought back for an admin of the platform",
	    warning->n ? "; " : "", what);
}

/* Of what another than an admin of the platform could not have set anew, nothing changes. True: nor do the source's
 * credentials. */
static bool leave_reserved(
    struct model_project_change *c, const struct backup_into *to, struct buf *warning)
{
	const struct model_project *now = to->project;
	if (to->admin)
		return false;
	if (!str_eq(c->limits, now->limits)) {
		stayed(warning, "limits");
		c->limits = STR_NONE;
	}
	const struct model_project then = {
	    .kind = c->kind, .source = c->source, .settings = c->settings};
	bool site = is_site(now) || is_site(&then);
	bool same = c->source == now->source && str_eq(c->source_url, now->source_url);
	if (site) {
		if (!str_eq(c->kind, now->kind) || !str_eq(c->root, now->root) ||
		    !str_eq(c->sites, now->sites))
			stayed(warning, "kind, root and sites");
		c->kind = STR_NONE;
		c->root = STR_NONE;
		c->sites = STR_NONE;
	}
	if (!site && !is_reserved(&then))
		return false;
	c->settings = STR_NONE;
	if (same && !site)
		return false;
	if (!same || !str_eq(c->source_ref, now->source_ref))
		stayed(warning, "the source");
	c->source_url = c->source_ref = c->known_hosts = STR_NONE;
	c->set_source = false;
	return true;
}

static int apply_source(struct store_db *db, struct arena *a, const struct seal_key *seal,
    int64_t id, const struct backup_settings *s, int64_t now_ms, struct err *e)
{
	const struct model_project *p = &s->project;
	if (secret_becomes(
		db, a, seal, id, MODEL_PROJECT_HTTPS_TOKEN, s->https_token, STR_NONE, e) != 0 ||
	    secret_becomes(
		db, a, seal, id, MODEL_PROJECT_DEPLOY_KEY, s->deploy_key, p->deploy_key, e) != 0)
		return -1;
	if (p->poll_ms != 0 && (p->poll_ms < LIMIT_POLL_MIN_MS || p->poll_ms > LIMIT_POLL_MAX_MS))
		return err_set(e, ERR_INVALID, "the archive's interval of looking is out of range");
	return model_look_every(db, id, p->poll_ms, now_ms, e) < 0 ? -1 : 0;
}

static int apply_project(struct store_db *db, struct arena *a, const struct seal_key *seal,
    const struct backup_settings *s, const struct backup_into *to, int64_t now_ms,
    struct buf *warning, struct err *e)
{
	const struct model_project *p = &s->project;
	int64_t id = to->project->id;
	struct model_project_change c = {.kind = p->kind,
	    .source_url = p->source_url,
	    .source_ref = p->source_ref,
	    .root = p->root,
	    .limits = p->limits,
	    .settings = p->settings,
	    .sites = p->sites,
	    .known_hosts = p->known_hosts,
	    .set_source = true,
	    .source = p->source};
	bool source_stays = leave_reserved(&c, to, warning);
	if (model_project_update(db, id, 0, &c, e) < 0)
		return -1;
	return source_stays ? 0 : apply_source(db, a, seal, id, s, now_ms, e);
}

static int apply_domains(struct store_db *db, const struct backup_settings *s,
    const struct backup_into *to, int64_t now_ms, struct buf *warning, struct err *e)
{
	for (size_t i = 0; i < s->domain_count; i++) {
		struct str host = s->domains[i];
		if (str_ends(host, STR(".localhost"))) /* every project has its own */
			continue;
		if (name_domain_free(host, to->project->name, &to->platform, e) != 0) {
			buf_printf(warning, "%sdomain %s", warning->n ? "; " : "", e->msg);
			err_clear(e);
			continue;
		}
		if (model_domain_add(db, to->project->id, host, now_ms, e) >= 0)
			continue;
		if (e->code != ERR_CONFLICT)
			return -1;
		warn(warning, "domain", host, "belongs to another project by now");
		err_clear(e);
	}
	return 0;
}

static int apply_hook(struct store_db *db, struct arena *a, const struct seal_key *seal, int64_t id,
    const struct model_hook *h, int64_t now_ms, struct buf *warning, struct err *e)
{
	char place[MODEL_PLACE_SIZE];
	struct model_hook there, row = *h;
	int64_t hook_id = 0;
	int rc = model_hook_get(db, a, h->name, MODEL_EVERYTHING, &there, e);
	if (rc < 0)
		return -1;
	if (rc == 1) {
		if (there.project_id != id)
			warn(warning, "hook", h->name, "belongs to another project by now");
		return 0;
	}
	row.project_id = id;
	row.created_ms = now_ms;
	if (sealed_for(a, seal, model_place_hook(h->name, place), h->secret, &row.secret, e) != 0 ||
	    model_hook_add(db, &row, &hook_id, e) != 0)
		return -1;
	return h->paused && model_hook_set_paused(db, hook_id, true, e) < 0 ? -1 : 0;
}

int backup_settings_apply(struct store_db *db, struct arena *a, const struct seal_key *seal,
    const struct backup_settings *s, const struct backup_into *to, int64_t now_ms,
    struct buf *warning, struct err *e)
{
	int64_t project_id = to->project->id;
	if (apply_project(db, a, seal, s, to, now_ms, warning, e) != 0 ||
	    apply_domains(db, s, to, now_ms, warning, e) != 0)
		return -1;
	for (size_t i = 0; i < s->scales.n; i++)
		if (model_scale_set(
			db, project_id, s->scales.v[i].process, s->scales.v[i].count, e) < 0)
			return -1;
	for (size_t i = 0; i < s->hook_count; i++)
		if (apply_hook(db, a, seal, project_id, &s->hooks[i].hook, now_ms, warning, e) != 0)
			return -1;
	return 0;
}
