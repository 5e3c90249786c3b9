#include "api/hook_github.h"
#include "api/input.h"
#include "api/routes.h"
#include "api/view.h"

#include "base/clock.h"
#include "github/answer.h"
#include "github/list.h"
#include "model/catchup.h"
#include "model/github.h"
#include "model/place.h"
#include "outbound/guard.h"
#include "source/address.h"

static int wrong(const char *member, const char *value, const char *why, struct err *e)
{
	(void)err_set(e, ERR_INVALID, "the %s %s", value, why);
	return err_at(e, "/github/%s", member);
}

/* The project's own, where it is fetched from github.com. */
static struct str repository_of(struct str source_url)
{
	struct source_address address;
	struct err ignored;
	if (source_address_parse(source_url, &address, &ignored) < 0 ||
	    !str_eq_nocase(address.host, STR("github.com")))
		return STR_NONE;
	return source_address_repository(&address);
}

static int repository_read(
    const json_t *said, struct str source_url, struct model_catchup *m, struct err *e)
{
	struct str repository = api_str(said, "repository");
	if (!repository.p && !m->repository.n)
		repository = repository_of(source_url);
	if (repository.p)
		m->repository = repository;
	if (!m->repository.n) {
		(void)err_set(e, ERR_INVALID, "the repository at GitHub is missing");
		err_hint(e, "say OWNER/REPOSITORY: the project does not come from github.com");
		return err_at(e, "/github/repository");
	}
	const char *why = github_repository_refuses(m->repository);
	return why ? wrong("repository", "repository", why, e) : 0;
}

static int api_read(
    const struct api_call *c, const json_t *said, struct model_catchup *m, struct err *e)
{
	struct str api = api_str(said, "api");
	if (!api.p)
		api = m->api.n ? m->api : str_c(c->cx->github_api);
	while (str_ends(api, STR("/")))
		api.n--;
	const char *why = guard_url_refuses(api);
	if (!why && str_find(api, '?', 0) != SIZE_MAX)
		why = "has a query";
	m->api = api;
	return why ? wrong("api", "address of the API", why, e) : 0;
}

/* `before`: where the token that is there has gone; STR_NONE: there is none. */
static int token_read(struct api_call *c, const json_t *said, struct str hook, struct str before,
    struct model_catchup *m, struct err *e)
{
	char place[MODEL_PLACE_SIZE];
	struct str token = api_str(said, "token");
	if (!token.n && before.p && guard_same_server(before, m->api))
		return 0;
	if (!token.n && before.p) {
		(void)err_set(
		    e, ERR_INVALID, "the API is another server, which would be sent the token");
		err_hint(e, "say the token again for a new address");
		return err_at(e, "/github/token");
	}
	if (!token.n) {
		(void)err_set(e, ERR_INVALID, "a token for GitHub is missing");
		err_hint(e, "make one that may look at the deliveries of hooks: a classic one with "
			    "admin:repo_hook, or a fine-grained one with Webhooks, read and write");
		return err_at(e, "/github/token");
	}
	return api_token_check(token, "/github/token", e) < 0
		   ? -1
		   : api_seal(c, model_place_hook_token(hook, place), token, &m->token, e);
}

int api_hook_github_set(struct api_call *c, struct store_db *db, const struct model_hook *h,
    struct str source_url, struct err *e)
{
	struct model_catchup m = {0};
	const json_t *said = json_object_get(c->body, "github");
	if (!said)
		return 0;
	if (json_is_null(said))
		return model_catchup_remove(db, h->id, e) < 0 ? -1 : 0;
	if (!str_eq_c(h->sender, "github")) {
		(void)err_set(e, ERR_INVALID, "the hook's sender is not GitHub");
		return err_at(e, "/github");
	}
	int there = model_catchup_get(db, c->r->arena, h->id, &m, e);
	struct str before = there > 0 ? m.api : STR_NONE;
	m.token = STR_NONE;
	if (there < 0 || repository_read(said, source_url, &m, e) < 0 ||
	    api_read(c, said, &m, e) < 0 || token_read(c, said, h->name, before, &m, e) < 0)
		return -1;
	int64_t now = clock_wall_ms();
	m.hook_id = h->id;
	if (!there || json_object_get(said, "repository") || json_object_get(said, "hook_id"))
		m.remote_id = api_int(said, "hook_id", 0);
	m.since_ms = there ? m.since_ms : h->created_ms;
	m.due_ms = now;
	c->kick_catchup = true;
	return model_catchup_set(db, &m, e) < 0 ? -1 : 0;
}

int api_hook_github_json(struct api_call *c, struct store_db *db, int64_t hook_id, struct err *e)
{
	struct model_catchup m;
	struct json_out *w = &c->w;
	int there = model_catchup_get(db, c->r->arena, hook_id, &m, e);
	if (there <= 0)
		return there;
	json_open_object(w, "github");
	json_put_str(w, "repository", m.repository);
	api_put_i64_or_null(w, "hook_id", m.remote_id);
	json_put_str(w, "api", m.api);
	json_put_str(w, "state", m.due_ms ? STR("due") : m.error.n ? STR("failed") : STR("idle"));
	json_put_time(w, "due_at", m.due_ms);
	json_put_time(w, "ended_at", m.ended_ms);
	json_put_i64(w, "found", m.found);
	json_put_i64(w, "asked", m.asked);
	api_put_text(w, "error", m.error);
	json_close_object(w);
	return 0;
}

static bool takes_from_github(struct str settings)
{
	struct err ignored;
	CLEANUP_JSON json_t *o = json_read(settings.n ? settings : STR("{}"), &ignored);
	const json_t *list = json_object_get(o, "from");
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *one = json_array_get(list, i);
		if (json_is_string(one) && str_eq_c(STR("github"), json_string_value(one)))
			return true;
	}
	return false;
}

int api_hook_addresses_json(
    struct api_call *c, struct store_db *db, struct str settings, struct err *e)
{
	struct model_github g = {0};
	struct github_list list;
	struct err ignored;
	if (!takes_from_github(settings))
		return 0;
	if (model_github_get(db, c->r->arena, &g, e) < 0)
		return -1;
	bool given = g.fetched_ms > 0 && github_list_parse(g.ranges, &list, &ignored) == 0;
	json_open_object(&c->w, "github_addresses");
	json_put_i64(&c->w, "ranges", (int64_t)(given ? list.n : github_list_built_in.n));
	json_put_time(&c->w, "fetched_at", given ? g.fetched_ms : 0);
	api_put_text(&c->w, "error", g.error);
	json_close_object(&c->w);
	return 0;
}

json_t *api_hook_said(const struct api_call *c)
{
	json_t *said = json_deep_copy(c->body), *github = json_object_get(said, "github");
	if (json_object_get(github, "token"))
		(void)json_object_set_new(github, "token", json_string("…"));
	return said;
}
