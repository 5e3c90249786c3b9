#include "kinds/kinds.h"
#include "base/name.h"
#include "kinds/kind.h"
#include "text/json.h"
#include "text/procfile.h"

#include <stdio.h>
#include <string.h>

#define CHECK_TIMEOUT_MS (5 * 60 * 1000)
#define BUILD_TIMEOUT_MS (10 * 60 * 1000)
#define RELEASE_TIMEOUT_MS (15 * 60 * 1000)

/* In the order they are tried: what says most about a project comes first. */
static const struct kind *const kinds[] = {&kind_django, &kind_node, &kind_asgi, &kind_wsgi,
    &kind_command, &kind_make, &kind_static, &kind_nginx_site};
#define KINDS (sizeof(kinds) / sizeof(*kinds))

static int read_manifest(struct kind_work *w)
{
	static const char *const wrong[] = {"slipway.yml", ".slipway.yaml", ".slipway.yml"};
	const struct tree_entry *t = tree_find(w->in->tree, STR("slipway.yaml"));
	struct str below =
	    w->in->root.n ? kind_text(w, "%.*s/slipway.yaml", STR_ARG(w->in->root)) : STR("");
	if (below.n && tree_find(w->in->tree, below))
		t = tree_find(w->in->tree, below);
	for (size_t i = 0; !t && i < sizeof(wrong) / sizeof(*wrong); i++)
		if (tree_find(w->in->tree, str_c(wrong[i])))
			kind_note(w, "%s is not read; the manifest is slipway.yaml", wrong[i]);
	if (!t || t->directory)
		return 0;
	if (!t->has_content)
		return err_set(w->e, ERR_TOO_LARGE,
		    "slipway.yaml could not be read, or is larger than %u bytes",
		    LIMIT_MANIFEST_BYTES);
	return manifest_read(t->content, "slipway.yaml", w->a, &w->m, w->e);
}

static int set_root(struct kind_work *w)
{
	w->root = w->in->root.n ? w->in->root : w->m.root;
	if (w->root.n && name_subpath(w->root, w->e))
		return err_prefix(w->e, "root");
	const struct tree_entry *t = w->root.n ? tree_find(w->in->tree, w->root) : NULL;
	size_t depth = 0;
	for (size_t i = 0; i < w->root.n; i++)
		depth += w->root.p[i] == '/';
	if (w->root.n && depth < 3 && !(t && t->directory)) {
		err_set(w->e, ERR_NOT_FOUND, "root '%.*s' is no folder of the source",
		    STR_ARG(w->root));
		return err_hint(w->e, "name a folder that is in the repository");
	}
	struct str up = STR("../..");
	for (size_t i = 0; w->root.n && i <= depth; i++)
		up = kind_text(w, "%.*s/..", STR_ARG(up));
	w->up = arena_cstr(w->a, up);
	w->p->root = w->root;
	return w->up ? 0 : err_set(w->e, ERR_TOO_LARGE, "root is too long");
}

static const struct kind *kind_row(enum manifest_kind k)
{
	for (size_t i = 0; i < KINDS; i++)
		if (kinds[i]->kind == k)
			return kinds[i];
	return NULL;
}

static const struct kind *choose(struct kind_work *w)
{
	bool said = w->in->kind != MANIFEST_KIND_AUTO;
	enum manifest_kind k = said ? w->in->kind : w->m.kind;
	if (said && w->m.kind != MANIFEST_KIND_AUTO && w->m.kind != k)
		kind_note(w, "slipway.yaml says kind %s; the project's setting %s is used",
		    manifest_kind_name(w->m.kind), manifest_kind_name(k));
	if (k == MANIFEST_KIND_NGINX_SITE && !said) {
		/* what such a project says becomes the edge's own configuration */
		kind_fail(w, ERR_FORBIDDEN,
		    "an owner or admin makes one that is: slipway create NAME --kind nginx-site",
		    "slipway.yaml says kind nginx-site, but the project was not made as one");
		return NULL;
	}
	if (k != MANIFEST_KIND_AUTO) {
		kind_reason(w, "kind %s, as %s says", manifest_kind_name(k),
		    said ? "the project's setting" : "slipway.yaml");
		return kind_row(k);
	}
	for (size_t i = 0; i < KINDS && !w->failed; i++)
		if (kinds[i]->detect(w))
			return kinds[i];
	kind_fail(w, ERR_INVALID,
	    "add a Procfile or slipway.yaml, or set `root` when the project is in a subfolder",
	    "what kind of project this is cannot be told: no manage.py, package.json, wsgi.py, "
	    "app.py, "
	    "Procfile, Makefile or index.html");
	return NULL;
}

/* gunicorn takes the platform's socket when nothing else is bound. */
static bool takes_socket(const struct manifest_command *c)
{
	bool gunicorn = false, bound = false;
	for (size_t i = 0; i < c->argv.n; i++) {
		struct str s = c->argv.v[i];
		if (i < 3 && (str_eq_c(s, "gunicorn") || str_ends(s, STR("/gunicorn"))))
			gunicorn = true;
		bound = bound || str_starts(s, STR("-b")) || str_starts(s, STR("--bind"));
	}
	return gunicorn && !bound;
}

static void add_process(struct kind_work *w, const struct manifest_process *m)
{
	struct manifest_command run = m->run;
	if (m->mod_wsgi)
		run.argv = kind_mod_wsgi(w, m->wsgi);
	struct plan_process *p = kind_process(w, m->name, &run);
	bool web = str_eq_c(m->name, "web");
	p->stop_timeout_ms = m->stop_timeout_ms;
	p->notify = m->notify;
	p->watchdog_ms = m->watchdog_ms;
	p->listen = m->listen;
	if (p->listen == MANIFEST_LISTEN_UNSET)
		p->listen = !web		    ? MANIFEST_LISTEN_NONE
			    : takes_socket(&m->run) ? MANIFEST_LISTEN_SOCKET
						    : MANIFEST_LISTEN_PORT;
	/* longer than the 30 s that gunicorn gives to requests under way */
	if (p->stop_timeout_ms == 0 && p->listen == MANIFEST_LISTEN_SOCKET)
		p->stop_timeout_ms = 40000;
}

static int merge_procfile(struct kind_work *w)
{
	struct manifest_process *list;
	size_t count;
	const struct tree_entry *t = kind_file(w, "Procfile");
	if (!t)
		return 0;
	if (!t->has_content)
		return err_set(w->e, ERR_TOO_LARGE, "Procfile could not be read, or is too large");
	if (procfile_read(t->content, "Procfile", w->a, &list, &count, w->e))
		return -1;
	for (size_t i = 0; i < count; i++) {
		if (!str_eq_c(list[i].name, "release")) {
			add_process(w, &list[i]);
			continue;
		}
		const struct manifest_command *run = &list[i].run;
		w->p->release = (struct plan_command){.label = STR("release"),
		    .argv = run->argv,
		    .env = run->env,
		    .env_count = run->env_count,
		    .expand = run->expand,
		    .timeout_ms = RELEASE_TIMEOUT_MS};
	}
	kind_note(w, "processes from Procfile");
	return 0;
}

static void merge_manifest(struct kind_work *w)
{
	const struct manifest *m = &w->m;
	for (size_t i = 0; i < m->process_count; i++)
		add_process(w, &m->processes[i]);
	if (m->release.n)
		w->p->release = (struct plan_command){
		    .label = STR("release"), .argv = m->release, .timeout_ms = RELEASE_TIMEOUT_MS};
	if (m->release_timeout_ms)
		w->p->release.timeout_ms = m->release_timeout_ms;
	for (size_t i = 0; i < m->static_count; i++) {
		struct manifest_static s = m->statics[i];
		if (!s.data)
			s.path = kind_path(w, s.path);
		w->statics[w->p->static_count++] = s;
	}
	w->p->health = m->health;
	w->p->services = m->services;
	w->p->service_count = m->service_count;
	w->p->domains = m->domains;
	w->p->drain_ms = m->drain_ms;
	w->p->keep_releases = m->keep_releases;
	w->p->body_max_bytes = m->body_max_bytes;
	w->p->request_timeout_ms = m->request_timeout_ms;
	w->p->headers = m->headers;
	w->p->sleep_ms = m->sleep_ms;
}

static void add_checks(struct kind_work *w)
{
	w->p->checks = arena_array(w->a, w->m.check_count, sizeof(*w->p->checks));
	if (!w->p->checks) {
		kind_fail(w, ERR_TOO_LARGE, "", "the plan is too large");
		return;
	}
	for (size_t i = 0; i < w->m.check_count; i++) {
		const struct manifest_check *c = &w->m.checks[i];
		w->p->checks[w->p->check_count++] = (struct plan_command){.label = c->name,
		    .argv = c->run,
		    .timeout_ms = c->timeout_ms ? c->timeout_ms : CHECK_TIMEOUT_MS};
	}
}

static void add_build(struct kind_work *w)
{
	for (size_t i = 0; i < w->m.build_count; i++) {
		struct buf label CLEANUP_BUF;
		buf_init(&label, 120);
		for (size_t k = 0; k < w->m.build[i].n && !label.full; k++) {
			buf_c(&label, k ? " " : "");
			buf_str(&label, w->m.build[i].v[k]);
		}
		struct str text = arena_str(w->a, buf_view(&label));
		struct plan_command *c = kind_build(w, "", w->m.build[i]);
		c->label = text;
		c->timeout_ms =
		    w->m.limits.build_time_ms ? w->m.limits.build_time_ms : BUILD_TIMEOUT_MS;
	}
}

/* app.json (Heroku): values of `env`; a name without a value is asked for. */
static void read_app_json(struct kind_work *w)
{
	struct err why;
	if (!kind_has(w, "app.json"))
		return;
	json_t *j CLEANUP_JSON = json_read(kind_content(w, "app.json"), &why);
	json_t *env = json_object_get(j, "env"), *value;
	const char *key;
	if (!j)
		kind_note(w, "app.json is not read: %.200s", why.msg);
	json_object_foreach(env, key, value)
	{
		struct str text;
		const char *name = arena_cstr(w->a, str_c(key));
		json_t *given = json_is_object(value) ? json_object_get(value, "value") : value;
		if (!name || name_env_key(str_c(name), &why))
			continue;
		if (json_is_string(given)) {
			text = arena_str(w->a,
			    (struct str){json_string_value(given), json_string_length(given)});
			kind_env(w, name, text);
		} else {
			kind_note(
			    w, "app.json asks for %.100s: set it with `slipway env set`", name);
		}
	}
}

static void read_env_example(struct kind_work *w)
{
	struct str text = kind_content(w, ".env.example"), line;
	char names[400];
	size_t n = 0;
	struct err why;
	while (str_next(&text, '\n', &line)) {
		struct str key = str_trim(str_slice(line, 0, str_find(line, '=', 0)));
		if (str_starts(key, STR("export ")))
			key = str_trim(str_from(key, 7));
		if (key.n == 0 || key.p[0] == '#' || name_env_key(key, &why) ||
		    n + key.n + 3 > sizeof(names))
			continue;
		n += (size_t)snprintf(
		    names + n, sizeof(names) - n, "%s%.*s", n ? ", " : "", STR_ARG(key));
	}
	if (n)
		kind_note(w,
		    ".env.example names %s: set what the project needs with `slipway env set`",
		    names);
}

struct limit {
	const char *name;
	uint64_t wanted, allowed;
};

static int merge_limits(struct kind_work *w)
{
	const struct manifest_limits none = {0}, *o = w->in->limits ? w->in->limits : &none,
				     *m = &w->m.limits;
	const struct limit all[] = {{"memory", m->memory_bytes, o->memory_bytes},
	    {"disk", m->disk_bytes, o->disk_bytes},
	    {"build.memory", m->build_memory_bytes, o->build_memory_bytes},
	    {"cpu", m->cpu_milli, o->cpu_milli}, {"tasks", m->tasks, o->tasks},
	    {"files", m->files, o->files},
	    {"build.time", (uint64_t)m->build_time_ms, (uint64_t)o->build_time_ms}};
	uint64_t v[sizeof(all) / sizeof(*all)];
	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) {
		v[i] = all[i].wanted ? all[i].wanted : all[i].allowed;
		if (all[i].allowed == 0 || v[i] <= all[i].allowed)
			continue;
		err_set(w->e, ERR_FORBIDDEN,
		    "slipway.yaml asks for more than the operator allows: limits.%s", all[i].name);
		return err_hint(
		    w->e, "lower it, or ask the operator; a manifest can only lower limits");
	}
	w->p->limits = (struct manifest_limits){.memory_bytes = v[0],
	    .disk_bytes = v[1],
	    .build_memory_bytes = v[2],
	    .cpu_milli = (uint32_t)v[3],
	    .tasks = (uint32_t)v[4],
	    .files = (uint32_t)v[5],
	    .build_time_ms = (int64_t)v[6]};
	return 0;
}

/* What a graphics card's driver may do to this server is for who runs it to decide, not for who pushes. */
static int check_devices(struct kind_work *w)
{
	w->p->devices = w->m.devices;
	for (unsigned d = 0; d < DEVICE_COUNT; d++) {
		const char *name = device_name((enum device)d);
		if ((w->m.devices & 1u << d) == 0)
			continue;
		kind_note(w, "its programs may open devices: %s", name);
		if ((w->in->devices & 1u << d) != 0)
			continue;
		(void)err_set(w->e, ERR_FORBIDDEN,
		    "slipway.yaml asks for devices: [%s], and '%.*s' was not granted that", name,
		    STR_ARG(w->in->project));
		return err_hint(w->e, "an admin of the platform can: slipway devices grant %.*s %s",
		    STR_ARG(w->in->project), name);
	}
	return 0;
}

static void check_result(struct kind_work *w)
{
	if (w->p->kind == MANIFEST_KIND_NGINX_SITE)
		return;
	bool front = false;
	for (size_t i = 0; i < w->p->static_count; i++)
		front = front || str_eq_c(w->statics[i].url, "/");
	if (w->p->process_count == 0 && w->p->static_count == 0)
		kind_fail(w, ERR_INVALID,
		    "add a Procfile with a line `web: COMMAND`, or processes in slipway.yaml",
		    "kind is %s, but nothing says what to run", manifest_kind_name(w->p->kind));
	else if (!kind_has_process(w, "web") && !front)
		kind_note(w, "there is no process 'web': nothing answers the project's address");
}

static void *keep(struct kind_work *w, const void *list, size_t count, size_t size)
{
	void *p = arena_array(w->a, count, size);
	if (p && count)
		memcpy(p, list, count * size);
	if (!p)
		kind_fail(w, ERR_TOO_LARGE, "", "the plan is too large");
	return p;
}

static void fill(struct kind_work *w, const struct kind *k)
{
	struct plan *p = w->p;
	p->kind = k->kind;
	for (size_t i = 0; i < w->m.env_count; i++) {
		const char *key = arena_cstr(w->a, w->m.env[i].key);
		kind_env(w, key ? key : "", w->m.env[i].value);
	}
	read_app_json(w);
	read_env_example(w);
	k->plan(w);
	if (w->p->kind == MANIFEST_KIND_NGINX_SITE) {
		w->p->keep_releases = w->m.keep_releases;
		add_checks(w);
		return;
	}
	if (w->failed || merge_procfile(w)) {
		w->failed = true;
		return;
	}
	merge_manifest(w);
	add_checks(w);
	check_result(w);
}

/* The manifest's own build commands run when packages are there and before what a kind does with
 * the result. */
static void order_build(struct kind_work *w)
{
	struct plan_command own[KIND_BUILD_MAX];
	size_t count = w->p->build_count, last = 0;
	memcpy(own, w->build, count * sizeof(*own));
	bool collects = count && str_eq_c(own[count - 1].label, "collectstatic");
	w->p->build_count = last = collects ? count - 1 : count;
	add_build(w);
	if (collects)
		*kind_build(w, "", own[last].argv) = own[last];
}

int kinds_plan(const struct kinds_input *in, struct arena *a, struct plan *ret, struct err *e)
{
	*ret = (struct plan){0};
	struct kind_work *w = arena_alloc(a, sizeof(*w));
	if (!w)
		return err_set(e, ERR_TOO_LARGE, "the plan is too large");
	*w = (struct kind_work){.in = in, .a = a, .e = e, .p = ret, .python = "python3"};
	if (read_manifest(w) || set_root(w))
		return -1;
	const struct kind *k = choose(w);
	if (k && !w->failed) {
		fill(w, k);
		if (k->kind != MANIFEST_KIND_NGINX_SITE)
			order_build(w);
	}
	if (w->failed || !k || merge_limits(w) || check_devices(w))
		return -1;
	ret->build = keep(w, w->build, ret->build_count, sizeof(*ret->build));
	ret->processes = keep(w, w->processes, ret->process_count, sizeof(*ret->processes));
	ret->statics = keep(w, w->statics, ret->static_count, sizeof(*ret->statics));
	ret->env = keep(w, w->env, ret->env_count, sizeof(*ret->env));
	ret->notes.v = keep(w, w->notes, ret->notes.n, sizeof(*ret->notes.v));
	return w->failed ? -1 : 0;
}
