/* The environment of a project. Values of secrets go in and never come out. */
#include "api/routes.h"

#include "base/clock.h"
#include "base/limits.h"
#include "base/name.h"
#include "model/env.h"
#include "model/place.h"

#include <inttypes.h>

static int variable_json(struct api_call *c, const struct model_env *v, struct err *e)
{
	char place[MODEL_PLACE_SIZE];
	struct buf clear;
	buf_init(&clear, LIMIT_ENV_BYTES);
	int rc = 0;
	if (!v->secret)
		rc = seal_open(c->cx->seal, model_place_env(c->who->project_id, v->key, place),
		    v->sealed, &clear, e);
	json_open_object(&c->w, NULL);
	json_put_str(&c->w, "key", v->key);
	if (v->secret)
		json_put_null(&c->w, "value");
	else
		json_put_str(&c->w, "value", clear.n ? buf_view(&clear) : STR(""));
	json_put_bool(&c->w, "secret", v->secret);
	json_put_bool(&c->w, "build", v->build);
	json_put_i64(&c->w, "version", v->version);
	json_put_time(&c->w, "set_at", v->set_ms);
	json_close_object(&c->w);
	buf_wipe(&clear);
	return rc;
}

int api_env_get(struct api_call *c, struct err *e)
{
	struct model_envs env;
	struct store_db *db = api_reading(c, e);
	if (!db ||
	    model_env_list(db, c->r->arena, c->who->project_id, 0, api_viewer(c), &env, e) < 0)
		return -1;
	api_etag(c, env.version);
	json_open_object(&c->w, NULL);
	json_put_i64(&c->w, "version", env.version);
	json_open_array(&c->w, "items");
	for (size_t i = 0; i < env.n; i++)
		if (variable_json(c, &env.v[i], e) < 0)
			return -1;
	json_close_array(&c->w);
	json_close_object(&c->w);
	return 0;
}

struct changes {
	struct model_env_change *v;
	size_t n;
	int64_t if_version;
	struct buf names; /* for the audit record */
};

static int change_read(
    struct api_call *c, struct model_env_change *ch, struct str key, const json_t *o, struct err *e)
{
	char place[MODEL_PLACE_SIZE];
	struct str value = api_str(o, "value");
	if (name_env_key(key, e) < 0)
		return err_at(e, "/%.*s", STR_ARG(key));
	ch->key = key;
	ch->secret = api_bool(o, "secret", true);
	ch->build = api_bool(o, "build", false);
	if (!value.p)
		return 0;
	return api_seal(c, model_place_env(c->who->project_id, key, place), value, &ch->sealed, e);
}

static int changes_read(struct api_call *c, struct changes *all, struct err *e)
{
	all->v = arena_array(c->r->arena, json_object_size(c->body) + 1, sizeof(*all->v));
	if (!all->v)
		return err_set(e, ERR_TOO_LARGE, "the request needs too much memory");
	for (void *i = json_object_iter(c->body); i; i = json_object_iter_next(c->body, i)) {
		struct str key = str_c(json_object_iter_key(i));
		if (change_read(c, &all->v[all->n], key, json_object_iter_value(i), e) < 0)
			return -1;
		buf_printf(&all->names, "%s%s%.*s", all->n ? " " : "",
		    all->v[all->n].sealed.p ? "" : "-", STR_ARG(key));
		all->n++;
	}
	return 0;
}

static int version_check(struct api_call *c, struct store_db *db, int64_t if_version, struct err *e)
{
	int64_t version = 0;
	if (model_env_version(db, c->who->project_id, &version, e) < 0)
		return -1;
	if (if_version < 0 || if_version == version)
		return 0;
	err_set(e, ERR_PRECONDITION, "the environment is at version %" PRId64 " by now", version);
	return err_hint(e, "read it again and repeat the change");
}

/* All values together stay within what a process can be given. */
static int size_check(struct api_call *c, struct store_db *db, struct err *e)
{
	struct model_envs env;
	size_t sum = 0;
	if (model_env_list(db, c->r->arena, c->who->project_id, 0, api_viewer(c), &env, e) < 0)
		return -1;
	for (size_t i = 0; i < env.n; i++)
		sum += env.v[i].key.n + env.v[i].sealed.n;
	if (sum <= LIMIT_ENV_BYTES)
		return 0;
	return err_set(e, ERR_TOO_LARGE, "the environment would have %zu bytes; at most %u fit",
	    sum, LIMIT_ENV_BYTES);
}

static int changes_unit(struct api_call *c, struct store_db *db, void *ctx, struct err *e)
{
	struct changes *all = ctx;
	int64_t version = 0;
	if (version_check(c, db, all->if_version, e) < 0 ||
	    model_env_set(db, c->who->project_id, all->v, all->n, clock_wall_ms(), &version, e) <
		0 ||
	    size_check(c, db, e) < 0 ||
	    api_audit(c, db, c->who->project, buf_view(&all->names), e) < 0)
		return -1;
	api_etag(c, version);
	json_open_object(&c->w, NULL);
	json_put_i64(&c->w, "version", version);
	json_close_object(&c->w);
	return 0;
}

int api_env_put(struct api_call *c, struct err *e)
{
	struct changes all = {0};
	buf_init(&all.names, LIMIT_ENV_COUNT * 140);
	int rc = api_if_match(c, &all.if_version, e);
	if (rc == 0)
		rc = changes_read(c, &all, e);
	if (rc == 0)
		rc = api_write(c, changes_unit, &all, e);
	buf_fini(&all.names);
	return rc;
}

static int unset_unit(struct api_call *c, struct store_db *db, void *ctx, struct err *e)
{
	struct model_env there;
	struct model_env_change ch = {.key = *(const struct str *)ctx};
	int64_t version = 0;
	int found =
	    model_env_get(db, c->r->arena, c->who->project_id, ch.key, api_viewer(c), &there, e);
	if (found <= 0)
		return found < 0 ? -1 : api_absent("variable", ch.key, e);
	if (model_env_set(db, c->who->project_id, &ch, 1, clock_wall_ms(), &version, e) < 0 ||
	    api_audit(c, db, c->who->project, ch.key, e) < 0)
		return -1;
	api_etag(c, version);
	json_open_object(&c->w, NULL);
	json_put_i64(&c->w, "version", version);
	json_close_object(&c->w);
	return 0;
}

int api_env_delete(struct api_call *c, struct err *e)
{
	struct str key = http_param(c->http, "key");
	return api_write(c, unset_unit, &key, e);
}
