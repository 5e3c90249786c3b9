#include "text/manifest.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/name.h"
#include "text/manifest_value.h"

#include <stddef.h>

#define MINUTE_MS 60000
#define HOUR_MS (60 * MINUTE_MS)
#define DAY_MS (24 * HOUR_MS)
#define MIB (INT64_C(1) << 20)
#define TIB (INT64_C(1) << 40)

static const char *const kind_names[MANIFEST_KIND_COUNT] = {[MANIFEST_KIND_AUTO] = "auto",
    [MANIFEST_KIND_STATIC] = "static",
    [MANIFEST_KIND_COMMAND] = "command",
    [MANIFEST_KIND_WSGI] = "wsgi",
    [MANIFEST_KIND_ASGI] = "asgi",
    [MANIFEST_KIND_DJANGO] = "django",
    [MANIFEST_KIND_NODE] = "node",
    [MANIFEST_KIND_MAKE] = "make",
    [MANIFEST_KIND_NGINX_SITE] = "nginx-site"};

static manifest_value_fn read_kind, read_listen, read_wsgi, read_server, read_build, read_checks, read_devices,
    read_processes, read_statics, read_domains, read_env, read_services, read_schedule,
    read_version, read_rules, read_certificates, read_headers;

#define AT(member) offsetof(struct manifest, member)

static const struct manifest_field python_table[] = {
    {"version", read_version, AT(python_version), NULL, 0, 0},
    {"system", manifest_value_bool, AT(system_packages), NULL, 0, 0},
    {"from", manifest_value_subpath, AT(python_from), NULL, 0, 0},
    {NULL, NULL, 0, NULL, 0, 0},
};
static const struct manifest_field node_table[] = {
    {"version", read_version, AT(node_version), NULL, 0, 0},
    {NULL, NULL, 0, NULL, 0, 0},
};
static const struct manifest_field health_table[] = {
    {"path", manifest_value_word, AT(health.path), NULL, 0, 0},
    {"status", manifest_value_u16, AT(health.status), NULL, 100, 599},
    {"timeout", manifest_value_duration, AT(health.timeout_ms), NULL, 1, HOUR_MS},
    {"interval", manifest_value_duration, AT(health.interval_ms), NULL, 10, HOUR_MS},
    {NULL, NULL, 0, NULL, 0, 0},
};
static const struct manifest_field build_limits_table[] = {
    {"memory", manifest_value_size, AT(limits.build_memory_bytes), NULL, MIB, TIB},
    {"time", manifest_value_duration, AT(limits.build_time_ms), NULL, 1, DAY_MS},
    {NULL, NULL, 0, NULL, 0, 0},
};
static const struct manifest_field limits_table[] = {
    {"memory", manifest_value_size, AT(limits.memory_bytes), NULL, MIB, TIB},
    {"cpu", manifest_value_milli, AT(limits.cpu_milli), NULL, 1, LIMIT_CPU_MILLI},
    {"tasks", manifest_value_u32, AT(limits.tasks), NULL, 1, 1000000},
    {"files", manifest_value_u32, AT(limits.files), NULL, 16, 1000000},
    {"disk", manifest_value_size, AT(limits.disk_bytes), NULL, MIB, 1024 * TIB},
    {"build", manifest_value_map, 0, build_limits_table, 0, 0},
    {NULL, NULL, 0, NULL, 0, 0},
};
static const struct manifest_field sites_table[] = {
    {"folder", manifest_value_subpath, AT(sites.folder), NULL, 0, 0},
    {"rules", read_rules, AT(sites), NULL, 0, 0},
    {"certificates", read_certificates, AT(sites), NULL, 0, 0},
    {NULL, NULL, 0, NULL, 0, 0},
};

/* The manifest: every key there is, what reads it and where it goes. */
static const struct manifest_field manifest_table[] = {
    {"kind", read_kind, AT(kind), NULL, 0, 0},
    {"root", manifest_value_subpath, AT(root), NULL, 0, 0},
    {"python", manifest_value_map, 0, python_table, 0, 0},
    {"node", manifest_value_map, 0, node_table, 0, 0},
    {"submodules", manifest_value_bool, AT(submodules), NULL, 0, 0},
    {"build", read_build, 0, NULL, 0, 0},
    {"checks", read_checks, 0, NULL, 0, 0},
    {"processes", read_processes, 0, NULL, 0, 0},
    {"health", manifest_value_map, 0, health_table, 0, 0},
    {"static", read_statics, 0, NULL, 0, 0},
    {"domains", read_domains, 0, NULL, 0, 0},
    {"sites", manifest_value_map, 0, sites_table, 0, 0},
    {"env", read_env, 0, NULL, 0, 0},
    {"services", read_services, 0, NULL, 0, 0},
    {"limits", manifest_value_map, 0, limits_table, 0, 0},
    {"devices", read_devices, AT(devices), NULL, 0, 0},
    {"schedule", read_schedule, 0, NULL, 0, 0},
    {"release", manifest_value_argv, AT(release), NULL, 0, 0},
    {"release_timeout", manifest_value_duration, AT(release_timeout_ms), NULL, 1, DAY_MS},
    {"drain", manifest_value_duration, AT(drain_ms), NULL, 1, DAY_MS},
    {"sleep", manifest_value_duration, AT(sleep_ms), NULL, 1000, 30 * (int64_t)DAY_MS},
    {"keep_releases", manifest_value_u32, AT(keep_releases), NULL, 1, 100},
    {"body_max", manifest_value_size, AT(body_max_bytes), NULL, 1, TIB},
    {"request_timeout", manifest_value_duration, AT(request_timeout_ms), NULL, 1000, DAY_MS},
    {"headers", read_headers, AT(headers), NULL, 0, 0},
    {NULL, NULL, 0, NULL, 0, 0},
};

static const struct manifest_field check_table[] = {
    {"name", manifest_value_word, offsetof(struct manifest_check, name), NULL, 0, 0},
    {"run", manifest_value_argv, offsetof(struct manifest_check, run), NULL, 0, 0},
    {"timeout", manifest_value_duration, offsetof(struct manifest_check, timeout_ms), NULL, 1,
	DAY_MS},
    {NULL, NULL, 0, NULL, 0, 0},
};
static const struct manifest_field process_table[] = {
    {"run", manifest_value_argv, offsetof(struct manifest_process, run.argv), NULL, 0, 0},
    {"wsgi", read_wsgi, offsetof(struct manifest_process, wsgi), NULL, 0, 0},
    {"server", read_server, offsetof(struct manifest_process, mod_wsgi), NULL, 0, 0},
    {"listen", read_listen, offsetof(struct manifest_process, listen), NULL, 0, 0},
    {"stop_timeout", manifest_value_duration, offsetof(struct manifest_process, stop_timeout_ms),
	NULL, 1, HOUR_MS},
    {"notify", manifest_value_bool, offsetof(struct manifest_process, notify), NULL, 0, 0},
    {"watchdog", manifest_value_duration, offsetof(struct manifest_process, watchdog_ms), NULL, 1000, HOUR_MS},
    {NULL, NULL, 0, NULL, 0, 0},
};
static const struct manifest_field data_table[] = {
    {"data", manifest_value_subpath, offsetof(struct manifest_static, path), NULL, 0, 0},
    {NULL, NULL, 0, NULL, 0, 0},
};

const char *manifest_kind_name(enum manifest_kind k)
{
	return k < MANIFEST_KIND_COUNT ? kind_names[k] : "unknown";
}

int manifest_kind_parse(struct str s, enum manifest_kind *ret, struct err *e)
{
	for (unsigned k = 0; k < MANIFEST_KIND_COUNT; k++) {
		if (!str_eq_c(s, kind_names[k]))
			continue;
		*ret = (enum manifest_kind)k;
		return 0;
	}
	char shown[80];
	log_escape(s, shown, sizeof(shown));
	bool planned = str_eq_c(s, "llm");
	if (planned)
		err_set(e, ERR_UNSUPPORTED, "kind '%s' is not supported yet", shown);
	else
		err_set(e, ERR_INVALID, "unknown kind '%s'", shown);
	return err_hint(
	    e, "a kind is static, command, wsgi, asgi, django, node, make or nginx-site");
}

int manifest_read(
    struct str text, const char *file, struct arena *a, struct manifest *ret, struct err *e)
{
	*ret = (struct manifest){0};
	struct manifest_reader r = {file, a, e};
	if (text.n > LIMIT_MANIFEST_BYTES)
		return err_set(e, ERR_TOO_LARGE, "%s has %zu bytes, more than %u", file, text.n,
		    LIMIT_MANIFEST_BYTES);
	struct yaml_node *top;
	if (yaml_read(text, file, a, &top, e))
		return -1;
	if (top->type != YAML_MAP)
		return manifest_value_fault(&r, top,
		    "the manifest is %s where keys with values belong", yaml_type_name(top));
	return manifest_value_table(&r, manifest_table, "", top, ret);
}

static int read_kind(
    struct manifest_reader *r, const struct manifest_field *f, const struct yaml_node *n, void *at)
{
	if (manifest_value_is(r, f->key, n, YAML_SCALAR, "kind: static"))
		return -1;
	if (manifest_kind_parse(n->text, at, r->e))
		return err_prefix(r->e, "%s:%u:%u", r->file, n->line, n->column);
	return 0;
}

/* "3.11", "20": digits and dots, so that it can stand in a program's name. */
static int read_version(
    struct manifest_reader *r, const struct manifest_field *f, const struct yaml_node *n, void *at)
{
	if (manifest_value_is(r, f->key, n, YAML_SCALAR, "version: \"3.11\""))
		return -1;
	bool ok = n->text.n > 0 && n->text.n <= 16;
	for (size_t i = 0; ok && i < n->text.n; i++) {
		char c = n->text.p[i];
		bool inside = i > 0 && i + 1 < n->text.n && n->text.p[i - 1] != '.';
		ok = (c >= '0' && c <= '9') || (c == '.' && inside);
	}
	if (!ok)
		return manifest_value_fault(r, n, "'%s' is not a version such as 3.11", f->key);
	*(struct str *)at = n->text;
	return 0;
}

static int read_listen(
    struct manifest_reader *r, const struct manifest_field *f, const struct yaml_node *n, void *at)
{
	static const char *const names[] = {[MANIFEST_LISTEN_NONE] = "none",
	    [MANIFEST_LISTEN_SOCKET] = "socket",
	    [MANIFEST_LISTEN_PORT] = "port"};
	if (manifest_value_is(r, f->key, n, YAML_SCALAR, "listen: socket"))
		return -1;
	for (unsigned i = MANIFEST_LISTEN_NONE; i <= MANIFEST_LISTEN_PORT; i++)
		if (str_eq_c(n->text, names[i])) {
			*(enum manifest_listen *)at = (enum manifest_listen)i;
			return 0;
		}
	return manifest_value_fault(r, n, "'%s' is not socket, port or none", f->key);
}

static int read_headers(
    struct manifest_reader *r, const struct manifest_field *f, const struct yaml_node *n, void *at)
{
	static const char *const names[] = {
	    [MANIFEST_HEADERS_BASIC] = "basic", [MANIFEST_HEADERS_STRICT] = "strict"};
	if (manifest_value_is(r, f->key, n, YAML_SCALAR, "headers: strict"))
		return -1;
	for (unsigned i = 0; i < MANIFEST_HEADERS_COUNT; i++)
		if (str_eq_c(n->text, names[i])) {
			*(enum manifest_headers *)at = (enum manifest_headers)i;
			return 0;
		}
	manifest_value_fault(r, n, "'%s' is not basic or strict", f->key);
	return err_hint(r->e, "other headers are the program's own to send; they win");
}

/* A module and, behind a colon, its object: what becomes a path and a word of a configuration. */
static int read_wsgi(
    struct manifest_reader *r, const struct manifest_field *f, const struct yaml_node *n, void *at)
{
	if (manifest_value_is(r, f->key, n, YAML_SCALAR, "wsgi: shop.wsgi"))
		return -1;
	bool part = false, ok = n->text.n < 200;
	unsigned colons = 0;
	for (size_t i = 0; i < n->text.n; i++) {
		char c = n->text.p[i];
		bool word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
			    (part && c >= '0' && c <= '9');
		colons += c == ':';
		ok = ok && (word || (part && (c == ':' || (c == '.' && colons == 0))));
		part = word;
	}
	if (!ok || !part || colons > 1)
		return manifest_value_fault(
		    r, n, "'%s' is not a module such as shop.wsgi, or shop.wsgi:app", f->key);
	*(struct str *)at = n->text;
	return 0;
}

static int read_server(
    struct manifest_reader *r, const struct manifest_field *f, const struct yaml_node *n, void *at)
{
	if (manifest_value_is(r, f->key, n, YAML_SCALAR, "server: mod_wsgi"))
		return -1;
	if (!str_eq_c(n->text, "mod_wsgi"))
		return manifest_value_fault(r, n, "'%s' is not mod_wsgi", f->key);
	*(bool *)at = true;
	return 0;
}

static int check_run(
    struct manifest_reader *r, const struct yaml_node *n, const struct manifest_process *p)
{
	if (p->wsgi.n == 0 && !p->mod_wsgi) {
		if (p->run.argv.n > 0)
			return 0;
		manifest_value_fault(r, n, "a process has no 'run'");
		return err_hint(r->e, "write processes: {web: {run: [program, first, second]}}");
	}
	if (str_eq_c(n->key, "web") && p->wsgi.n > 0 && p->mod_wsgi && p->run.argv.n == 0 &&
	    p->listen == MANIFEST_LISTEN_UNSET)
		return 0;
	manifest_value_fault(r, n, "'wsgi' and 'server' go together, alone, in 'web'");
	return err_hint(
	    r->e, "write processes: {web: {wsgi: shop.wsgi, server: mod_wsgi}}, or 'run'");
}

static int read_build(
    struct manifest_reader *r, const struct manifest_field *f, const struct yaml_node *n, void *at)
{
	struct manifest *m = at;
	if (manifest_value_is(r, f->key, n, YAML_LIST, "build: [[npm, ci], [npm, run, build]]"))
		return -1;
	void *v;
	if (manifest_value_array(
		r, f->key, n, LIMIT_BUILD_COMMANDS, sizeof(struct args), &v, &m->build_count))
		return -1;
	m->build = v;
	size_t i = 0;
	for (const struct yaml_node *c = n->first; c; c = c->next)
		if (manifest_value_argv(r, f, c, &m->build[i++]))
			return -1;
	return 0;
}

static int read_devices(
    struct manifest_reader *r, const struct manifest_field *f, const struct yaml_node *n, void *at)
{
	if (manifest_value_is(r, f->key, n, YAML_LIST, "devices: [gpu]"))
		return -1;
	for (const struct yaml_node *c = n->first; c; c = c->next) {
		enum device d;
		if (manifest_value_is(r, "a device", c, YAML_SCALAR, "devices: [gpu]"))
			return -1;
		if (device_parse(c->text, &d, r->e) != 0)
			return err_prefix(r->e, "%s:%u:%u", r->file, c->line, c->column);
		*(uint32_t *)at |= 1u << d;
	}
	return 0;
}

static int read_checks(
    struct manifest_reader *r, const struct manifest_field *f, const struct yaml_node *n, void *at)
{
	struct manifest *m = at;
	const char *example = "checks: [{name: tests, run: [make, test]}]";
	if (manifest_value_is(r, f->key, n, YAML_LIST, example))
		return -1;
	void *v;
	if (manifest_value_array(
		r, f->key, n, LIMIT_CHECKS, sizeof(struct manifest_check), &v, &m->check_count))
		return -1;
	m->checks = v;
	struct manifest_check *check = m->checks;
	for (const struct yaml_node *c = n->first; c; c = c->next, check++) {
		if (manifest_value_is(r, "a check", c, YAML_MAP, example) ||
		    manifest_value_table(r, check_table, "a check", c, check))
			return -1;
		if (check->run.n == 0) {
			manifest_value_fault(r, c, "a check has no 'run'");
			return err_hint(r->e, "write %s", example);
		}
		if (check->name.n == 0)
			check->name = check->run.v[0];
	}
	return 0;
}

static int read_processes(
    struct manifest_reader *r, const struct manifest_field *f, const struct yaml_node *n, void *at)
{
	struct manifest *m = at;
	const char *example = "processes: {web: {run: [program, first, second]}}";
	if (manifest_value_is(r, f->key, n, YAML_MAP, example))
		return -1;
	void *v;
	if (manifest_value_array(r, f->key, n, LIMIT_PROCESSES, sizeof(struct manifest_process), &v,
		&m->process_count))
		return -1;
	m->processes = v;
	struct manifest_process *p = m->processes;
	for (const struct yaml_node *c = n->first; c; c = c->next, p++) {
		if (manifest_value_named(r, c, c->key, true, name_process) ||
		    manifest_value_is(r, "a process", c, YAML_MAP, example) ||
		    manifest_value_table(r, process_table, "a process", c, p))
			return -1;
		p->name = c->key;
		if (check_run(r, c, p))
			return -1;
	}
	return 0;
}

static int read_static(
    struct manifest_reader *r, const struct yaml_node *c, struct manifest_static *s)
{
	static const struct manifest_field path = {"static", NULL, 0, NULL, 0, 0};
	s->url = c->key;
	if (s->url.n > 1 && s->url.p[s->url.n - 1] == '/')
		s->url.n--;
	if (manifest_value_named(r, c, s->url, true, name_url_prefix))
		return -1;
	if (c->type == YAML_SCALAR)
		return manifest_value_subpath(r, &path, c, &s->path);
	if (manifest_value_is(r, "static", c, YAML_MAP, "static: {/media: {data: media}}"))
		return -1;
	s->data = true;
	return manifest_value_table(r, data_table, "static", c, s);
}

static int read_statics(
    struct manifest_reader *r, const struct manifest_field *f, const struct yaml_node *n, void *at)
{
	struct manifest *m = at;
	if (manifest_value_is(r, f->key, n, YAML_MAP, "static: {/static: staticfiles}"))
		return -1;
	void *v;
	if (manifest_value_array(
		r, f->key, n, LIMIT_STATICS, sizeof(struct manifest_static), &v, &m->static_count))
		return -1;
	m->statics = v;
	size_t i = 0;
	for (const struct yaml_node *c = n->first; c; c = c->next, i++) {
		if (read_static(r, c, &m->statics[i]))
			return -1;
		for (size_t k = 0; k < i; k++)
			if (str_eq(m->statics[k].url, m->statics[i].url))
				return manifest_value_fault(r, c, "a URL prefix comes twice");
	}
	return 0;
}

static int read_domains(
    struct manifest_reader *r, const struct manifest_field *f, const struct yaml_node *n, void *at)
{
	struct manifest *m = at;
	if (manifest_value_is(r, f->key, n, YAML_LIST, "domains: [shop.example.org]"))
		return -1;
	void *v;
	if (manifest_value_array(
		r, f->key, n, LIMIT_DOMAINS, sizeof(struct str), &v, &m->domains.n))
		return -1;
	m->domains.v = v;
	size_t i = 0;
	for (const struct yaml_node *c = n->first; c; c = c->next) {
		if (manifest_value_is(r, "a domain", c, YAML_SCALAR, NULL) ||
		    manifest_value_named(r, c, c->text, false, name_domain))
			return -1;
		m->domains.v[i++] = c->text;
	}
	return 0;
}

/* {include: [a, b]} or {exclude: "*"}. */
static int read_rule(
    struct manifest_reader *r, const struct yaml_node *n, struct manifest_site_rule *ret)
{
	static const char example[] =
	    "sites: {rules: [{include: \"*\"}, {exclude: [old.example.org]}]}";
	const struct yaml_node *one = n->first;
	if (manifest_value_is(r, "a rule", n, YAML_MAP, example))
		return -1;
	bool include = one && str_eq_c(one->key, "include");
	if (!one || n->count != 1 || (!include && !str_eq_c(one->key, "exclude"))) {
		manifest_value_fault(r, n, "a rule is one of include and exclude");
		return err_hint(r->e, "write %s", example);
	}
	ret->include = include;
	size_t count = one->type == YAML_LIST ? one->count : 1;
	ret->names.v = arena_array(r->a, count + 1, sizeof(struct str));
	if (!ret->names.v)
		return manifest_value_no_room(r);
	for (const struct yaml_node *c = one->type == YAML_LIST ? one->first : one; c;
	     c = one->type == YAML_LIST ? c->next : NULL) {
		if (manifest_value_is(r, "a rule's site", c, YAML_SCALAR, example) ||
		    (!str_eq_c(c->text, "*") &&
			manifest_value_named(r, c, c->text, false, name_site)))
			return -1;
		ret->names.v[ret->names.n++] = c->text;
	}
	return 0;
}

static int read_rules(
    struct manifest_reader *r, const struct manifest_field *f, const struct yaml_node *n, void *at)
{
	struct manifest_sites *s = at;
	void *v;
	if (manifest_value_is(r, f->key, n, YAML_LIST, "rules: [{include: \"*\"}]") ||
	    manifest_value_array(r, f->key, n, LIMIT_SITE_RULES, sizeof(struct manifest_site_rule),
		&v, &s->rule_count))
		return -1;
	s->rules = v;
	s->has_rules = true;
	struct manifest_site_rule *rule = s->rules;
	for (const struct yaml_node *c = n->first; c; c = c->next)
		if (read_rule(r, c, rule++))
			return -1;
	return 0;
}

static int read_certificates(
    struct manifest_reader *r, const struct manifest_field *f, const struct yaml_node *n, void *at)
{
	struct manifest_sites *s = at;
	bool wanted = true;
	if (manifest_value_bool(r, f, n, &wanted))
		return -1;
	s->has_certificates = true;
	s->no_certificates = !wanted;
	return 0;
}

static int read_env(
    struct manifest_reader *r, const struct manifest_field *f, const struct yaml_node *n, void *at)
{
	struct manifest *m = at;
	if (manifest_value_is(r, f->key, n, YAML_MAP, "env: {NAME: value}"))
		return -1;
	void *v;
	if (manifest_value_array(
		r, f->key, n, LIMIT_ENV_COUNT, sizeof(struct manifest_pair), &v, &m->env_count))
		return -1;
	m->env = v;
	size_t i = 0;
	for (const struct yaml_node *c = n->first; c; c = c->next) {
		if (manifest_value_named(r, c, c->key, true, name_env_key) ||
		    manifest_value_is(r, "a variable", c, YAML_SCALAR, "env: {NAME: value}"))
			return -1;
		m->env[i++] = (struct manifest_pair){c->key, c->text};
	}
	return 0;
}

static int not_yet(struct manifest_reader *r, const struct manifest_field *f,
    const struct yaml_node *n, const char *hint)
{
	err_set(r->e, ERR_UNSUPPORTED, "%s:%u:%u: '%s' is not supported yet", r->file, n->key_line,
	    n->key_column, f->key);
	return err_hint(r->e, "%s", hint);
}

/* Taking a service or a schedule without providing it would let a project start without what it
 * needs. */
static int read_service(struct manifest_reader *r, const struct manifest_field *f,
    const struct yaml_node *c, struct manifest_service *ret)
{
	if (manifest_value_named(r, c, c->key, true, name_service) ||
	    manifest_value_is(r, "a service", c, YAML_SCALAR, "services: {db: postgres}"))
		return -1;
	if (str_eq_c(c->text, "postgres") || str_eq_c(c->text, "rabbitmq")) {
		*ret = (struct manifest_service){c->key, c->text};
		return 0;
	}
	err_set(r->e, ERR_UNSUPPORTED, "%s:%u:%u: %s: there is no service '%.*s'", r->file, c->line,
	    c->column, f->key, STR_ARG(str_slice(c->text, 0, 60)));
	return err_hint(
	    r->e, "there are postgres and rabbitmq; give the address of another with `slipway env set`");
}

static int read_services(
    struct manifest_reader *r, const struct manifest_field *f, const struct yaml_node *n, void *at)
{
	struct manifest *m = at;
	void *v;
	size_t count;
	if (manifest_value_is(r, f->key, n, YAML_MAP, "services: {db: postgres}") ||
	    manifest_value_array(
		r, f->key, n, LIMIT_SERVICES, sizeof(struct manifest_service), &v, &count))
		return -1;
	m->services = v;
	for (const struct yaml_node *c = n->first; c; c = c->next) {
		if (c->type == YAML_SCALAR && str_eq_c(c->text, "none"))
			continue;
		if (read_service(r, f, c, &m->services[m->service_count++]))
			return -1;
	}
	return 0;
}

static int read_schedule(
    struct manifest_reader *r, const struct manifest_field *f, const struct yaml_node *n, void *at)
{
	(void)at;
	if (manifest_value_is(r, f->key, n, YAML_LIST, NULL))
		return -1;
	return n->count == 0
		   ? 0
		   : not_yet(r, f, n, "run it from a process of its own that waits, or from cron");
}
