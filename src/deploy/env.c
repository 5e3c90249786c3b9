/* Environments of commands and processes. Later entries win: the manifest's, those of
 * services, the operator's, the process's own, ours. */
#include "deploy/work.h"

#include <inttypes.h>

#include "base/mem.h"
#include "model/place.h"
#include "services/services.h"

struct env_out {
	struct work *w;
	struct str *v;
	size_t n;
	bool full;
};

static size_t key_length(struct str pair)
{
	size_t at = str_find(pair, '=', 0);
	return at == SIZE_MAX ? pair.n : at;
}

static void put(struct env_out *o, struct str key, struct str value)
{
	struct str pair = str_c(arena_printf(&o->w->a, "%.*s=%.*s", STR_ARG(key), STR_ARG(value)));
	if (!pair.p) {
		o->full = true;
		return;
	}
	for (size_t i = 0; i < o->n; i++)
		if (key_length(o->v[i]) == key.n && str_starts(o->v[i], key)) {
			o->v[i] = pair;
			return;
		}
	if (o->n >= LIMIT_ENV_COUNT + 64)
		o->full = true;
	else
		o->v[o->n++] = pair;
}

static void put_pairs(struct env_out *o, const struct manifest_pair *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		put(o, p[i].key, p[i].value);
}

static int put_sealed(struct env_out *o, const struct model_env *v, struct err *e)
{
	char place[MODEL_PLACE_SIZE];
	struct buf clear;
	buf_init(&clear, LIMIT_ENV_BYTES);
	int rc = seal_open(o->w->d->o.seal, model_place_env(o->w->project.id, v->key, place),
	    v->sealed, &clear, e);
	if (rc == 0)
		put(o, v->key, buf_view(&clear));
	else
		(void)err_prefix(e, "variable '%.*s'", STR_ARG(v->key));
	buf_wipe(&clear);
	return rc;
}

static void put_ours(struct env_out *o, enum env_for why, struct str cache_key)
{
	struct work *w = o->w;
	struct arena *a = &w->a;
	put(o, STR("SLIPWAY_PROJECT"), w->project.name);
	put(o, STR("SLIPWAY_RELEASE"), str_c(arena_printf(a, "%" PRId64, w->release.number)));
	put(o, STR("SLIPWAY_COMMIT"), w->release.commit);
	put(o, STR("SLIPWAY_DATA_DIR"),
	    str_c(arena_printf(a, "%s/%.*s/data", w->d->o.projects_dir, STR_ARG(w->project.name))));
	struct buf domains;
	buf_init(&domains, 32u << 10);
	buf_printf(&domains, "%.*s.localhost", STR_ARG(w->project.name));
	for (size_t i = 0; i < w->domains.n; i++)
		if (!str_ends(w->domains.v[i].host, STR(".localhost")))
			buf_printf(&domains, ",%.*s", STR_ARG(w->domains.v[i].host));
	put(o, STR("SLIPWAY_DOMAINS"), buf_view(&domains));
	buf_fini(&domains);
	if (why == ENV_BUILD)
		put(o, STR("CI"), STR("true"));
	if (cache_key.n > 0)
		put(o, STR("SLIPWAY_CACHE_KEY"), cache_key);
}

/* What was provisioned: to whoever runs, never to a build. */
static int put_services(struct env_out *o, enum env_for why, struct err *e)
{
	struct work *w = o->w;
	struct manifest_pair *v;
	size_t n;
	if (why != ENV_RUN || w->in.stranger || w->services.n == 0 || !w->d->o.services)
		return 0;
	if (services_env(w->d->o.services, &w->a, w->project.name, &w->services, &v, &n, e) != 0)
		return -1;
	put_pairs(o, v, n);
	return 0;
}

int env_list(struct work *w, enum env_for why, const struct manifest_pair *own, size_t own_count,
    struct str cache_key, struct args *ret, struct err *e)
{
	struct env_out o = {
	    .w = w, .v = arena_array(&w->a, LIMIT_ENV_COUNT + 64, sizeof(struct str))};
	if (!o.v)
		return err_set(e, ERR_TOO_LARGE, "the task's memory is full");
	put_pairs(&o, w->plan.env, w->plan.env_count);
	if (put_services(&o, why, e) != 0)
		return -1;
	for (size_t i = 0; i < w->envs.n; i++) {
		const struct model_env *v = &w->envs.v[i];
		bool given = !v->secret || (!w->in.stranger && (why == ENV_RUN || v->build));
		if (given && put_sealed(&o, v, e) != 0)
			return -1;
	}
	put_pairs(&o, own, own_count);
	put_ours(&o, why, cache_key);
	if (o.full)
		return err_set(e, ERR_TOO_LARGE, "the environment has too many variables");
	*ret = (struct args){.v = o.v, .n = o.n};
	return 0;
}
