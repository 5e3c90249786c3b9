/* Hooks of a project: their secrets are made here, shown once and kept sealed. */
#include "api/hook_actions.h"
#include "api/hook_github.h"
#include "api/hook_host.h"
#include "api/input.h"
#include "api/routes.h"
#include "api/view.h"

#include "base/clock.h"
#include "base/name.h"
#include "github/catchup.h"
#include "hooks/action.h"
#include "hooks/classic.h"
#include "hooks/policy.h"
#include "hooks/sender.h"
#include "model/catchup.h"
#include "model/hook.h"
#include "model/place.h"
#include "model/project.h"

#include <assert.h>
#include <stdio.h>

enum { HOOKS_PER_PROJECT = 32, ROTATE_KEEP_MS = 86400000, SECRET_SIZE = 128 };
static_assert(SECRET_SIZE >= SENDER_SECRET_SIZE && SECRET_SIZE >= CLASSIC_SECRET_SIZE, "either");

static const char *const setting_names[] = {"from", "events", "paths", "fields", "limit"};
#define SETTINGS (sizeof(setting_names) / sizeof(*setting_names))

static void settings_json(struct api_call *c, struct str settings)
{
	struct err ignored;
	struct str one;
	CLEANUP_JSON json_t *o = json_read(settings.n ? settings : STR("{}"), &ignored);
	for (size_t i = 0; i < SETTINGS; i++)
		if (api_json_member(c, o, setting_names[i], &one, &ignored) == 0 && one.p)
			json_put_raw(&c->w, setting_names[i], one);
}

/* What the request says laid over what was there; null takes away. NULL: it does not fit the
 * sender. */
static json_t *settings_merge(
    const struct api_call *c, struct str before, const struct sender *s, struct err *e)
{
	struct policy checked;
	json_t *o = json_read(before.n ? before : STR("{}"), e);
	for (size_t i = 0; o && i < SETTINGS; i++) {
		json_t *said = json_object_get(c->body, setting_names[i]);
		if (said && json_is_null(said))
			(void)json_object_del(o, setting_names[i]);
		else if (said)
			(void)json_object_set(o, setting_names[i], said);
	}
	if (o && policy_init(&checked, o, s, e) == 0) {
		policy_fini(&checked);
		return o;
	}
	json_decref(o);
	return NULL;
}

static int settings_text(const struct api_call *c, struct str before, const struct sender *s,
    struct str *ret, struct err *e)
{
	CLEANUP_JSON json_t *o = settings_merge(c, before, s, e);
	CLEANUP_JSON json_t *holder = o ? json_pack("{s:O}", "x", o) : NULL;
	return holder ? api_json_member(c, holder, "x", ret, e) : -1;
}

static void sender_json(struct api_call *c, struct str name, bool untrusted)
{
	const struct sender *s = sender_find(name);
	struct api_host host = api_public_host(c->cx);
	json_put_str(&c->w, "content_type", s ? str_c(s->content_type_hint) : STR(""));
	json_put_str(&c->w, "steps", s ? str_c(s->steps) : STR(""));
	json_open_array(&c->w, "warnings");
	if (host.is_private)
		json_put_str(&c->w, NULL,
		    STR("senders outside cannot reach this address: tell slipwayd its "
			"--public-url"));
	else if (!host.tls)
		json_put_str(&c->w, NULL,
		    STR("the address is not https: whoever is in between reads what is sent"));
	else if (untrusted)
		json_put_str(&c->w, NULL,
		    STR("the address has a certificate that senders do not trust, self-signed "
			"perhaps: they refuse it unless told not to verify"));
	json_close_array(&c->w);
}

/* What is said of a hook only once. */
struct hook_once {
	struct str secret, page;
	bool untrusted; /* the certificate of its address */
};

static int hook_json(struct api_call *c, struct store_db *db, const struct model_hook *h,
    const struct hook_once *once, struct err *e)
{
	struct json_out *w = &c->w;
	char url[512];
	snprintf(url, sizeof(url), "%s/hooks/%.*s", c->cx->public_url ? c->cx->public_url : "",
	    STR_ARG(h->name));
	json_open_object(w, NULL);
	json_put_str(w, "name", h->name);
	json_put_str(w, "project", c->who->project);
	json_put_str(w, "sender", h->sender);
	api_put_text(w, "branch", h->branch);
	json_put_bool(w, "paused", h->paused);
	json_put_str(w, "url", str_c(url));
	json_put_time(w, "created_at", h->created_ms);
	settings_json(c, h->settings);
	api_actions_json(c, sender_find(h->sender), h->actions);
	sender_json(c, h->sender, once && once->untrusted);
	json_put_time(
	    w, "old_secret_until", h->old_until_ms > clock_wall_ms() ? h->old_until_ms : 0);
	if (once && once->secret.n)
		json_put_str(w, "secret", once->secret);
	if (once && once->page.n)
		json_put_str(w, "page", once->page);
	if (api_hook_addresses_json(c, db, h->settings, e) < 0 ||
	    api_hook_github_json(c, db, h->id, e) < 0)
		return -1;
	json_close_object(w);
	return 0;
}

int api_hook_list(struct api_call *c, struct err *e)
{
	struct model_page page;
	struct model_hooks list;
	struct store_db *db = api_reading(c, e);
	if (!db || api_page(c, &page, e) < 0 ||
	    model_hook_list(db, c->r->arena, c->who->project_id, page, api_viewer(c), &list, e) < 0)
		return -1;
	api_list_open(c);
	for (size_t i = 0; i < list.n; i++)
		if (hook_json(c, db, &list.v[i], NULL, e) < 0)
			return -1;
	api_list_close_id(c, list.more, list.n ? list.v[list.n - 1].id : 0);
	return 0;
}

/* The hook that the route names, of this project and no other: 0, or ERR_NOT_FOUND. */
static int hook_find(struct api_call *c, struct store_db *db, struct model_hook *ret, struct err *e)
{
	struct str name = http_param(c->http, "hook");
	int found = model_hook_get(db, c->r->arena, name, api_viewer(c), ret, e);
	if (found < 0)
		return -1;
	if (found == 0 || ret->project_id != c->who->project_id)
		return api_absent("hook", name, e);
	return 0;
}

int api_hook_get(struct api_call *c, struct err *e)
{
	struct model_hook h;
	struct store_db *db = api_reading(c, e);
	if (!db || hook_find(c, db, &h, e) < 0)
		return -1;
	return hook_json(c, db, &h, NULL, e);
}

struct hook_new {
	struct model_hook row;
	const struct sender *sender;
	struct str secret;
	bool untrusted;
	char made[SENDER_SECRET_SIZE];
};

static int hook_read(struct api_call *c, struct hook_new *n, struct err *e)
{
	struct model_hook *h = &n->row;
	struct str sender = api_str(c->body, "sender"), branch = api_str(c->body, "branch");
	h->name = api_str(c->body, "name");
	if (!h->name.p)
		h->name = c->who->project;
	h->sender = sender.p ? sender : STR("github");
	h->branch = branch.p ? branch : STR("");
	n->secret = api_str(c->body, "secret");
	if (name_hook(h->name, e) < 0)
		return err_at(e, "/name");
	if (h->branch.n && name_ref(h->branch, e) < 0)
		return err_at(e, "/branch");
	n->sender = sender_find(h->sender);
	if (n->sender && n->secret.n && sender_check_secret(n->sender, n->secret, e) < 0)
		return err_at(e, "/secret");
	if (n->sender)
		return settings_text(c, STR_NONE, n->sender, &h->settings, e) < 0 ||
			       api_actions_read(c, n->sender, STR_NONE, &h->actions, e) < 0
			   ? -1
			   : 0;
	err_set(e, ERR_INVALID, "there is no such sender");
	err_hint(e, "known: %s", sender_names());
	return err_at(e, "/sender");
}

/* Which branch a push must be of has to be known from somewhere. */
static int check_branch(const struct sender *s, const struct model_hook *h,
    const struct model_project *p, struct err *e)
{
	struct actions follow;
	if (actions_read(h->actions, s, &follow, e) != 0)
		return -1;
	if (!s->pushes || s->head_at || h->branch.n || p->source_ref.n ||
	    !(follow.kinds & ACTIONS_LOOK))
		return 0;
	err_set(e, ERR_INVALID,
	    "the hook needs a branch: the project follows the remote's HEAD, and this sender does "
	    "not say which branch that is");
	err_hint(e, "say a branch, for example main");
	return err_at(e, "/branch");
}

static int create_unit(struct api_call *c, struct store_db *db, void *ctx, struct err *e)
{
	struct hook_new *n = ctx;
	struct model_hooks there;
	struct model_project p;
	struct model_page page = {.limit = HOOKS_PER_PROJECT};
	char place[MODEL_PLACE_SIZE], url[512];
	if (model_hook_list(db, c->r->arena, c->who->project_id, page, api_viewer(c), &there, e) <
	    0)
		return -1;
	if (there.n >= HOOKS_PER_PROJECT)
		return err_set(
		    e, ERR_CONFLICT, "a project has at most %d hooks", HOOKS_PER_PROJECT);
	n->row.project_id = c->who->project_id;
	n->row.created_ms = clock_wall_ms();
	if (api_seal(c, model_place_hook(n->row.name, place), n->secret, &n->row.secret, e) < 0)
		return -1;
	if (model_hook_add(db, &n->row, &n->row.id, e) < 0) {
		if (e->code == ERR_CONFLICT)
			err_at(e, "/name");
		return -1;
	}
	int found = model_project_get_id(db, c->r->arena, c->who->project_id, api_viewer(c), &p, e);
	if (found > 0 && check_branch(n->sender, &n->row, &p, e) < 0)
		return -1;
	if (found < 0 || api_actions_check(c, db, n->row.actions, e) < 0 ||
	    api_hook_github_set(c, db, &n->row, found ? p.source_url : STR(""), e) < 0 ||
	    api_audit(c, db, n->row.name, n->row.sender, e) < 0)
		return -1;
	c->changed_hook = n->row.name;
	struct str hook_page = found && str_eq_c(n->row.sender, "github")
				   ? api_hook_page(p.source_url, url)
				   : STR_NONE;
	const struct hook_once once = {
	    .secret = n->secret, .page = hook_page, .untrusted = n->untrusted};
	return hook_json(c, db, &n->row, &once, e);
}

int api_hook_create(struct api_call *c, struct err *e)
{
	struct hook_new n = {0};
	if (hook_read(c, &n, e) < 0)
		return -1;
	if (!n.secret.n) {
		sender_make_secret(n.sender, n.made);
		n.secret = str_c(n.made);
	}
	n.untrusted = api_public_untrusted(c->cx);
	if (api_write(c, create_unit, &n, e) < 0)
		return -1;
	api_location(
	    c, "/api/v1/projects/%.*s/hooks/%.*s", STR_ARG(c->who->project), STR_ARG(n.row.name));
	return 0;
}

/* Who has an address by its secret (hooks/classic.h) keeps having one. */
static int make_secret(struct api_call *c, struct store_db *db, struct str name,
    const struct sender *sender, char out[SECRET_SIZE], struct err *e)
{
	struct model_hook old;
	char place[MODEL_PLACE_SIZE];
	CLEANUP_BUF struct buf clear;
	buf_init(&clear, 8u << 10);
	int found = model_hook_find(db, c->r->arena, name, &old, e);
	if (found == 0)
		return api_absent("hook", name, e);
	if (found < 0 ||
	    seal_open(c->cx->seal, model_place_hook(name, place), old.secret, &clear, e) < 0)
		return -1;
	if (classic_is_secret(buf_view(&clear)))
		classic_make_secret(out);
	else
		sender_make_secret(sender, out);
	buf_wipe(&clear);
	return 0;
}

static int rotate_unit(struct api_call *c, struct store_db *db, void *ctx, struct err *e)
{
	const struct str *own = ctx;
	struct model_hook h;
	struct str sealed;
	char place[MODEL_PLACE_SIZE], made[SECRET_SIZE] = "";
	int64_t keep_ms = ROTATE_KEEP_MS;
	if (hook_find(c, db, &h, e) < 0 ||
	    json_get_i64(c->body, "keep_ms", 0, INT64_MAX, &keep_ms, e) < 0)
		return -1;
	const struct sender *sender = sender_find(h.sender);
	if (!sender)
		return err_set(e, ERR_CONFLICT, "this version does not know the hook's sender");
	if (own->n && sender_check_secret(sender, *own, e) < 0)
		return err_at(e, "/secret");
	if (!own->n && make_secret(c, db, h.name, sender, made, e) != 0)
		return -1;
	struct str secret = own->n ? *own : str_c(made);
	h.old_until_ms = keep_ms ? clock_wall_ms() + keep_ms : 0;
	if (api_seal(c, model_place_hook(h.name, place), secret, &sealed, e) < 0 ||
	    model_hook_rotate(db, h.id, sealed, h.old_until_ms, e) < 0 ||
	    api_audit(c, db, h.name, STR_NONE, e) < 0)
		return -1;
	c->changed_hook = h.name;
	const struct hook_once once = {.secret = secret};
	return hook_json(c, db, &h, &once, e);
}

int api_hook_rotate(struct api_call *c, struct err *e)
{
	struct str own = api_str(c->body, "secret");
	return api_write(c, rotate_unit, &own, e);
}

static int update_unit(struct api_call *c, struct store_db *db, void *ctx, struct err *e)
{
	(void)ctx;
	struct model_hook h;
	struct model_project p;
	struct str said;
	if (hook_find(c, db, &h, e) < 0)
		return -1;
	const struct sender *sender = sender_find(h.sender);
	if (!sender)
		return err_set(e, ERR_CONFLICT, "this version does not know the hook's sender");
	if (settings_text(c, h.settings, sender, &h.settings, e) < 0 ||
	    api_actions_read(c, sender, h.actions, &h.actions, e) < 0 ||
	    api_actions_check(c, db, h.actions, e) < 0)
		return -1;
	if (api_has(c->body, "branch")) {
		struct str branch = api_str(c->body, "branch");
		h.branch = branch.p ? branch : STR("");
		if (h.branch.n && name_ref(h.branch, e) < 0)
			return err_at(e, "/branch");
	}
	if (json_get_bool(c->body, "paused", &h.paused, e) < 0)
		return -1;
	int found = model_project_get_id(db, c->r->arena, c->who->project_id, api_viewer(c), &p, e);
	if (found < 0 || (found > 0 && check_branch(sender, &h, &p, e) < 0))
		return -1;
	CLEANUP_JSON json_t *holder = json_pack("{s:o}", "x", api_hook_said(c));
	if (api_hook_github_set(c, db, &h, found ? p.source_url : STR(""), e) < 0 ||
	    api_json_member(c, holder, "x", &said, e) < 0 ||
	    model_hook_update(db, h.id, h.branch, h.settings, h.actions, e) < 0 ||
	    model_hook_set_paused(db, h.id, h.paused, e) < 0 ||
	    api_audit(c, db, h.name, said, e) < 0)
		return -1;
	c->changed_hook = h.name;
	return hook_json(c, db, &h, NULL, e);
}

int api_hook_update(struct api_call *c, struct err *e)
{
	return api_write(c, update_unit, NULL, e);
}

static int catch_up_unit(struct api_call *c, struct store_db *db, void *ctx, struct err *e)
{
	(void)ctx;
	struct model_hook h;
	int64_t now = clock_wall_ms(), back = 0;
	bool refused = false;
	if (hook_find(c, db, &h, e) < 0 ||
	    json_get_i64(c->body, "since_ms", 1, CATCHUP_KEPT_MS, &back, e) < 0 ||
	    json_get_bool(c->body, "refused", &refused, e) < 0)
		return -1;
	int rc = model_catchup_begin(db, h.id, back ? now - back : 0, refused, now, e);
	if (rc == 0) {
		(void)err_set(e, ERR_CONFLICT, "hook '%.*s' has no token to ask GitHub with",
		    STR_ARG(h.name));
		return err_hint(e, "slipway hooks set %.*s %.*s --github-token-stdin",
		    STR_ARG(c->who->project), STR_ARG(h.name));
	}
	if (rc < 0 || api_audit(c, db, h.name, STR_NONE, e) < 0)
		return -1;
	c->kick_catchup = true;
	return hook_json(c, db, &h, NULL, e);
}

int api_hook_catch_up(struct api_call *c, struct err *e)
{
	return api_write(c, catch_up_unit, NULL, e);
}

static int remove_unit(struct api_call *c, struct store_db *db, void *ctx, struct err *e)
{
	(void)ctx;
	struct model_hook h;
	if (hook_find(c, db, &h, e) < 0 || model_hook_remove(db, h.id, e) < 0 ||
	    api_audit(c, db, h.name, STR_NONE, e) < 0)
		return -1;
	c->changed_hook = h.name;
	json_open_object(&c->w, NULL);
	json_put_bool(&c->w, "removed", true);
	json_close_object(&c->w);
	return 0;
}

static int forget_unit(struct api_call *c, struct store_db *db, void *ctx, struct err *e)
{
	struct model_hook h;
	int *more = ctx;
	if (hook_find(c, db, &h, e) < 0)
		return -1;
	*more = model_event_forget(db, 0, h.id, e);
	return *more < 0 ? -1 : 0;
}

/* Its events first, in units between which others have their turn. */
int api_hook_remove(struct api_call *c, struct err *e)
{
	for (int more = 1; more;)
		if (api_write(c, forget_unit, &more, e) < 0)
			return -1;
	return api_write(c, remove_unit, NULL, e);
}
