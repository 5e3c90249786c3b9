#include "kinds/plan.h"
#include "base/limits.h"
#include "kinds/plan_sites.h"
#include "text/json.h"

#include <string.h>

#define PLAN_VERSION 1
#define LIST_MAX 1024u
#define ARENA_FULL "the plan is too large to be read"

static void put_args(struct json_out *w, const char *key, const struct args *a)
{
	json_open_array(w, key);
	for (size_t i = 0; i < a->n; i++)
		json_put_str(w, NULL, a->v[i]);
	json_close_array(w);
}

/* Order matters in an environment, so it is a list of pairs. */
static void put_pairs(
    struct json_out *w, const char *key, const struct manifest_pair *pairs, size_t count)
{
	json_open_array(w, key);
	for (size_t i = 0; i < count; i++) {
		json_open_array(w, NULL);
		json_put_str(w, NULL, pairs[i].key);
		json_put_str(w, NULL, pairs[i].value);
		json_close_array(w);
	}
	json_close_array(w);
}

static void put_command_members(struct json_out *w, const struct plan_command *c)
{
	json_put_str(w, "label", c->label);
	put_args(w, "argv", &c->argv);
	put_pairs(w, "env", c->env, c->env_count);
	json_put_bool(w, "expand", c->expand);
	json_put_i64(w, "timeout_ms", c->timeout_ms);
	json_put_str(w, "cache_key", c->cache_key);
}

static void put_command(struct json_out *w, const char *key, const struct plan_command *c)
{
	json_open_object(w, key);
	put_command_members(w, c);
	json_close_object(w);
}

static void put_commands(
    struct json_out *w, const char *key, const struct plan_command *c, size_t count)
{
	json_open_array(w, key);
	for (size_t i = 0; i < count; i++)
		put_command(w, NULL, &c[i]);
	json_close_array(w);
}

static void put_processes(struct json_out *w, const struct plan *p)
{
	json_open_array(w, "processes");
	for (size_t i = 0; i < p->process_count; i++) {
		const struct plan_process *x = &p->processes[i];
		json_open_object(w, NULL);
		json_put_str(w, "name", x->name);
		put_command(w, "run", &x->run);
		json_put_i64(w, "listen", x->listen);
		json_put_i64(w, "stop_timeout_ms", x->stop_timeout_ms);
		if (x->notify)
			json_put_bool(w, "notify", true);
		if (x->watchdog_ms > 0)
			json_put_i64(w, "watchdog_ms", x->watchdog_ms);
		json_close_object(w);
	}
	json_close_array(w);
}

static void put_statics(struct json_out *w, const struct plan *p)
{
	json_open_array(w, "statics");
	for (size_t i = 0; i < p->static_count; i++) {
		json_open_object(w, NULL);
		json_put_str(w, "url", p->statics[i].url);
		json_put_str(w, "path", p->statics[i].path);
		json_put_bool(w, "data", p->statics[i].data);
		json_close_object(w);
	}
	json_close_array(w);
}

static void put_health(struct json_out *w, const struct manifest_health *h)
{
	json_open_object(w, "health");
	json_put_str(w, "path", h->path);
	json_put_i64(w, "status", h->status);
	json_put_i64(w, "timeout_ms", h->timeout_ms);
	json_put_i64(w, "interval_ms", h->interval_ms);
	json_close_object(w);
}

static void put_limits(struct json_out *w, const struct manifest_limits *l)
{
	json_open_object(w, "limits");
	json_put_i64(w, "memory_bytes", (int64_t)l->memory_bytes);
	json_put_i64(w, "disk_bytes", (int64_t)l->disk_bytes);
	json_put_i64(w, "build_memory_bytes", (int64_t)l->build_memory_bytes);
	json_put_i64(w, "cpu_milli", l->cpu_milli);
	json_put_i64(w, "tasks", l->tasks);
	json_put_i64(w, "files", l->files);
	json_put_i64(w, "build_time_ms", l->build_time_ms);
	json_close_object(w);
}

static void put_devices(struct json_out *w, uint32_t devices)
{
	json_open_array(w, "devices");
	for (unsigned d = 0; d < DEVICE_COUNT; d++)
		if (devices & 1u << d)
			json_put_str(w, NULL, str_c(device_name((enum device)d)));
	json_close_array(w);
}

static void put_services(struct json_out *w, const struct plan *p)
{
	json_open_array(w, "services");
	for (size_t i = 0; i < p->service_count; i++) {
		json_open_object(w, NULL);
		json_put_str(w, "name", p->services[i].name);
		json_put_str(w, "type", p->services[i].type);
		json_close_object(w);
	}
	json_close_array(w);
}

int plan_pack(const struct plan *p, struct buf *json, struct err *e)
{
	struct json_out w;
	json_out_init(&w, json);
	json_open_object(&w, NULL);
	json_put_i64(&w, "version", PLAN_VERSION);
	json_put_str(&w, "kind", str_c(manifest_kind_name(p->kind)));
	json_put_str(&w, "reason", p->reason);
	json_put_str(&w, "root", p->root);
	put_commands(&w, "build", p->build, p->build_count);
	put_commands(&w, "checks", p->checks, p->check_count);
	put_command(&w, "release", &p->release);
	put_processes(&w, p);
	put_health(&w, &p->health);
	put_statics(&w, p);
	put_args(&w, "domains", &p->domains);
	put_pairs(&w, "env", p->env, p->env_count);
	put_services(&w, p);
	put_limits(&w, &p->limits);
	put_devices(&w, p->devices);
	json_put_i64(&w, "drain_ms", p->drain_ms);
	json_put_i64(&w, "sleep_ms", p->sleep_ms);
	json_put_i64(&w, "keep_releases", p->keep_releases);
	json_put_i64(&w, "body_max_bytes", (int64_t)p->body_max_bytes);
	json_put_i64(&w, "request_timeout_ms", p->request_timeout_ms);
	if (p->headers != MANIFEST_HEADERS_BASIC)
		json_put_str(&w, "headers", STR("strict"));
	plan_sites_put(&w, p);
	put_args(&w, "notes", &p->notes);
	json_close_object(&w);
	return buf_check(json, "the plan", e);
}

/* Reading: a member that is absent keeps its zero, so an older plan reads as it was meant. The
 * first fault sticks. */
struct taker {
	struct arena *a;
	struct err *e;
	bool failed;
};

static void fail(struct taker *t, const char *key, const char *what)
{
	if (!t->failed)
		err_set(t->e, ERR_INVALID, "the plan's '%s' %s", key, what);
	t->failed = true;
}

static struct str copy(struct taker *t, struct str s)
{
	struct str out = arena_str(t->a, s);
	if (!out.p && !t->failed) {
		t->failed = true;
		err_set(t->e, ERR_TOO_LARGE, ARENA_FULL);
	}
	return out;
}

static void take_str(struct taker *t, const json_t *o, const char *key, struct str *ret)
{
	struct str s;
	int rc = t->failed ? 0 : json_get_str(o, key, &s, t->e);
	if (rc < 0)
		t->failed = true;
	if (rc > 0)
		*ret = copy(t, s);
}

static int64_t take_i64(struct taker *t, const json_t *o, const char *key, int64_t max)
{
	int64_t v = 0;
	if (!t->failed && json_get_i64(o, key, 0, max, &v, t->e) < 0)
		t->failed = true;
	return v;
}

static bool take_bool(struct taker *t, const json_t *o, const char *key)
{
	bool v = false;
	if (!t->failed && json_get_bool(o, key, &v, t->e) < 0)
		t->failed = true;
	return v;
}

/* A list member as zeroed memory for its elements. */
static void *take_list(struct taker *t, const json_t *o, const char *key, size_t max, size_t size,
    const json_t **ret_list, size_t *ret_count)
{
	*ret_list = json_object_get(o, key);
	*ret_count = json_array_size(*ret_list);
	if (*ret_list && !json_is_array(*ret_list))
		fail(t, key, "is not a list");
	if (*ret_count > max)
		fail(t, key, "is too long");
	void *p = t->failed ? NULL : arena_array(t->a, *ret_count, size);
	if (!p && !t->failed) {
		t->failed = true;
		err_set(t->e, ERR_TOO_LARGE, ARENA_FULL);
	}
	if (t->failed)
		*ret_count = 0;
	return p;
}

static struct str element(struct taker *t, const json_t *list, size_t i, const char *key)
{
	const json_t *v = json_array_get(list, i);
	if (json_is_null(v))
		return STR("");
	if (!json_is_string(v)) {
		fail(t, key, "holds something else than text");
		return STR_NONE;
	}
	return copy(t, (struct str){json_string_value(v), json_string_length(v)});
}

static void take_args(struct taker *t, const json_t *o, const char *key, struct args *ret)
{
	const json_t *list;
	size_t n;
	ret->v = take_list(t, o, key, LIST_MAX, sizeof(struct str), &list, &n);
	for (size_t i = 0; i < n; i++)
		ret->v[i] = element(t, list, i, key);
	ret->n = n;
}

static void take_pairs(struct taker *t, const json_t *o, const char *key,
    struct manifest_pair **ret, size_t *ret_count)
{
	const json_t *list;
	*ret = take_list(t, o, key, LIMIT_ENV_COUNT, sizeof(**ret), &list, ret_count);
	for (size_t i = 0; i < *ret_count; i++) {
		const json_t *pair = json_array_get(list, i);
		(*ret)[i] =
		    (struct manifest_pair){element(t, pair, 0, key), element(t, pair, 1, key)};
	}
}

static void take_command(struct taker *t, const json_t *o, struct plan_command *ret)
{
	if (!json_is_object(o)) {
		fail(t, "command", "is missing or not an object");
		return;
	}
	take_str(t, o, "label", &ret->label);
	take_args(t, o, "argv", &ret->argv);
	take_pairs(t, o, "env", &ret->env, &ret->env_count);
	ret->expand = take_bool(t, o, "expand");
	ret->timeout_ms = take_i64(t, o, "timeout_ms", INT64_MAX);
	take_str(t, o, "cache_key", &ret->cache_key);
}

static void take_commands(struct taker *t, const json_t *o, const char *key, size_t max,
    struct plan_command **ret, size_t *ret_count)
{
	const json_t *list;
	*ret = take_list(t, o, key, max, sizeof(**ret), &list, ret_count);
	for (size_t i = 0; i < *ret_count; i++)
		take_command(t, json_array_get(list, i), &(*ret)[i]);
}

static void take_processes(struct taker *t, const json_t *o, struct plan *p)
{
	const json_t *list;
	p->processes = take_list(
	    t, o, "processes", LIMIT_PROCESSES, sizeof(*p->processes), &list, &p->process_count);
	for (size_t i = 0; i < p->process_count; i++) {
		const json_t *x = json_array_get(list, i);
		take_str(t, x, "name", &p->processes[i].name);
		take_command(t, json_object_get(x, "run"), &p->processes[i].run);
		p->processes[i].listen =
		    (enum manifest_listen)take_i64(t, x, "listen", MANIFEST_LISTEN_PORT);
		p->processes[i].stop_timeout_ms = take_i64(t, x, "stop_timeout_ms", INT64_MAX);
		p->processes[i].notify = take_bool(t, x, "notify");
		p->processes[i].watchdog_ms = take_i64(t, x, "watchdog_ms", UINT32_MAX);
	}
}

static void take_statics(struct taker *t, const json_t *o, struct plan *p)
{
	const json_t *list;
	p->statics =
	    take_list(t, o, "statics", LIMIT_STATICS, sizeof(*p->statics), &list, &p->static_count);
	for (size_t i = 0; i < p->static_count; i++) {
		const json_t *x = json_array_get(list, i);
		take_str(t, x, "url", &p->statics[i].url);
		take_str(t, x, "path", &p->statics[i].path);
		p->statics[i].data = take_bool(t, x, "data");
	}
}

static void take_health(struct taker *t, const json_t *h, struct manifest_health *ret)
{
	take_str(t, h, "path", &ret->path);
	ret->status = (uint16_t)take_i64(t, h, "status", 599);
	ret->timeout_ms = take_i64(t, h, "timeout_ms", INT64_MAX);
	ret->interval_ms = take_i64(t, h, "interval_ms", INT64_MAX);
}

static void take_services(struct taker *t, const json_t *o, struct plan *p)
{
	const json_t *list;
	p->services = take_list(
	    t, o, "services", LIMIT_SERVICES, sizeof(*p->services), &list, &p->service_count);
	for (size_t i = 0; i < p->service_count; i++) {
		take_str(t, json_array_get(list, i), "name", &p->services[i].name);
		take_str(t, json_array_get(list, i), "type", &p->services[i].type);
	}
}

static void take_limits(struct taker *t, const json_t *l, struct manifest_limits *ret)
{
	ret->memory_bytes = (uint64_t)take_i64(t, l, "memory_bytes", INT64_MAX);
	ret->disk_bytes = (uint64_t)take_i64(t, l, "disk_bytes", INT64_MAX);
	ret->build_memory_bytes = (uint64_t)take_i64(t, l, "build_memory_bytes", INT64_MAX);
	ret->cpu_milli = (uint32_t)take_i64(t, l, "cpu_milli", UINT32_MAX);
	ret->tasks = (uint32_t)take_i64(t, l, "tasks", UINT32_MAX);
	ret->files = (uint32_t)take_i64(t, l, "files", UINT32_MAX);
	ret->build_time_ms = take_i64(t, l, "build_time_ms", INT64_MAX);
}

static void take_devices(struct taker *t, const json_t *o, uint32_t *ret)
{
	struct args names = {0};
	enum device d;
	take_args(t, o, "devices", &names);
	for (size_t i = 0; i < names.n && !t->failed; i++) {
		t->failed = device_parse(names.v[i], &d, t->e) != 0;
		*ret |= t->failed ? 0 : 1u << d;
	}
}

/* Older plans say nothing of them. */
static enum manifest_headers take_headers(struct taker *t, const json_t *o)
{
	struct str s = STR_NONE;
	take_str(t, o, "headers", &s);
	if (s.n > 0 && !str_eq_c(s, "strict"))
		fail(t, "headers", "is not known");
	return s.n > 0 ? MANIFEST_HEADERS_STRICT : MANIFEST_HEADERS_BASIC;
}

static void take_plan(struct taker *t, const json_t *o, struct plan *p)
{
	struct str kind = STR_NONE;
	take_str(t, o, "kind", &kind);
	if (!t->failed && manifest_kind_parse(kind, &p->kind, t->e))
		t->failed = true;
	take_str(t, o, "reason", &p->reason);
	take_str(t, o, "root", &p->root);
	take_commands(t, o, "build", LIMIT_BUILD_COMMANDS * 2, &p->build, &p->build_count);
	take_commands(t, o, "checks", LIMIT_CHECKS, &p->checks, &p->check_count);
	take_command(t, json_object_get(o, "release"), &p->release);
	take_processes(t, o, p);
	take_health(t, json_object_get(o, "health"), &p->health);
	take_statics(t, o, p);
	take_args(t, o, "domains", &p->domains);
	take_pairs(t, o, "env", &p->env, &p->env_count);
	take_services(t, o, p);
	take_limits(t, json_object_get(o, "limits"), &p->limits);
	take_devices(t, o, &p->devices);
	p->drain_ms = take_i64(t, o, "drain_ms", INT64_MAX);
	p->sleep_ms = take_i64(t, o, "sleep_ms", INT64_MAX);
	p->keep_releases = (uint32_t)take_i64(t, o, "keep_releases", UINT32_MAX);
	p->body_max_bytes = (uint64_t)take_i64(t, o, "body_max_bytes", INT64_MAX);
	p->request_timeout_ms = take_i64(t, o, "request_timeout_ms", INT64_MAX);
	p->headers = take_headers(t, o);
	take_args(t, o, "notes", &p->notes);
	if (!t->failed && plan_sites_take(o, t->a, p, t->e) != 0)
		t->failed = true;
}

int plan_unpack(struct str json, struct arena *a, struct plan *ret, struct err *e)
{
	json_t *top CLEANUP_JSON = json_read(json, e);
	*ret = (struct plan){0};
	if (!top)
		return err_prefix(e, "a stored plan cannot be read");
	struct taker t = {a, e, false};
	int64_t version = take_i64(&t, top, "version", INT32_MAX);
	if (!t.failed && version != PLAN_VERSION)
		return err_set(e, ERR_UNSUPPORTED,
		    "the plan has version %lld, and this program knows %d", (long long)version,
		    PLAN_VERSION);
	take_plan(&t, top, ret);
	return t.failed ? -1 : 0;
}
