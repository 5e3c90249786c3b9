/* Hooks of a project: their secrets are made here, shown once and kept sealed. */
#include "api/routes.h"
#include "api/view.h"

#include "base/clock.h"
#include "base/name.h"
#include "hooks/sender.h"
#include "model/hook.h"
#include "model/place.h"
#include "model/project.h"

#include <stdio.h>

enum { HOOKS_PER_PROJECT = 32 };

static void hook_json(
    struct api_call *c, const struct model_hook *h, struct str secret, struct str page)
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
	if (secret.n)
		json_put_str(w, "secret", secret);
	if (page.n)
		json_put_str(w, "page", page);
	json_close_object(w);
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
		hook_json(c, &list.v[i], STR_NONE, STR_NONE);
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
	hook_json(c, &h, STR_NONE, STR_NONE);
	return 0;
}

struct hook_new {
	struct model_hook row;
	const struct sender *sender;
	struct str secret;
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
		return 0;
	err_set(e, ERR_INVALID, "there is no such sender");
	err_hint(e, "known: %s", sender_names());
	return err_at(e, "/sender");
}

/* Which branch a push must be of has to be known from somewhere. */
static int check_branch(const struct hook_new *n, const struct model_project *p, struct err *e)
{
	if (!n->sender->pushes || n->sender->head_at || n->row.branch.n || p->source_ref.n)
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
	if (found > 0 && check_branch(n, &p, e) < 0)
		return -1;
	if (found < 0 || api_audit(c, db, n->row.name, n->row.sender, e) < 0)
		return -1;
	c->changed_hook = n->row.name;
	struct str hook_page = found && str_eq_c(n->row.sender, "github")
				   ? api_hook_page(p.source_url, url)
				   : STR_NONE;
	hook_json(c, &n->row, n->secret, hook_page);
	return 0;
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
	if (api_write(c, create_unit, &n, e) < 0)
		return -1;
	api_location(
	    c, "/api/v1/projects/%.*s/hooks/%.*s", STR_ARG(c->who->project), STR_ARG(n.row.name));
	return 0;
}

static int rotate_unit(struct api_call *c, struct store_db *db, void *ctx, struct err *e)
{
	(void)ctx;
	struct model_hook h;
	struct str sealed;
	char place[MODEL_PLACE_SIZE], made[SENDER_SECRET_SIZE];
	if (hook_find(c, db, &h, e) < 0)
		return -1;
	const struct sender *sender = sender_find(h.sender);
	if (!sender)
		return err_set(e, ERR_CONFLICT, "this version does not know the hook's sender");
	sender_make_secret(sender, made);
	struct str secret = str_c(made);
	if (api_seal(c, model_place_hook(h.name, place), secret, &sealed, e) < 0 ||
	    model_hook_update(db, h.id, STR_NONE, sealed, STR_NONE, e) < 0 ||
	    api_audit(c, db, h.name, STR_NONE, e) < 0)
		return -1;
	c->changed_hook = h.name;
	hook_json(c, &h, secret, STR_NONE);
	return 0;
}

int api_hook_rotate(struct api_call *c, struct err *e)
{
	return api_write(c, rotate_unit, NULL, e);
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

int api_hook_remove(struct api_call *c, struct err *e)
{
	return api_write(c, remove_unit, NULL, e);
}
