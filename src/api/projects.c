/* Projects: list, one, change, destroy. Making one is in project_create.c. */
#include "api/input.h"
#include "api/own_certificates.h"
#include "api/routes.h"
#include "api/view.h"

#include "base/clock.h"
#include "base/name.h"
#include "crypto/sshkey.h"
#include "model/domain.h"
#include "model/look.h"
#include "model/place.h"
#include "outbound/guard.h"
#include "source/address.h"
#include "text/manifest.h"

#include <stdio.h>

int api_project_list(struct api_call *c, struct err *e)
{
	struct str after;
	uint32_t limit;
	struct model_projects list;
	struct store_db *db = api_reading(c, e);
	if (!db || api_page_name(c, &after, &limit, e) < 0 ||
	    model_project_list(db, c->r->arena, after, limit, api_viewer(c), &list, e) < 0)
		return -1;
	api_list_open(c);
	for (size_t i = 0; i < list.n; i++) {
		struct api_project_extra x = {.detected = api_kind_of_live(c, db, &list.v[i])};
		if (access_role_on(db, c->who, list.v[i].id, &x.role, e) < 0)
			return -1;
		api_project_json(c, &list.v[i], &x);
	}
	api_list_close(c, list.more, list.n ? list.v[list.n - 1].name : STR(""));
	return 0;
}

/* The task that runs, else the newest one. */
static int newest_task(struct api_call *c, struct store_db *db, int64_t project_id,
    struct model_task *ret, bool *ret_found, struct err *e)
{
	struct model_tasks list;
	struct model_page one = {.limit = 1};
	struct model_task_filter f = {
	    .project_id = project_id, .by_state = true, .state = MODEL_TASK_RUNNING};
	struct model_viewer viewer = access_viewer(c->who, MODEL_ROLE_VIEWER);
	if (model_task_list(db, c->r->arena, f, one, viewer, &list, e) < 0)
		return -1;
	f.by_state = false;
	if (list.n == 0 && model_task_list(db, c->r->arena, f, one, viewer, &list, e) < 0)
		return -1;
	*ret_found = list.n > 0;
	if (list.n)
		*ret = list.v[0];
	return 0;
}

int api_project_show(
    struct api_call *c, struct store_db *db, int64_t id, bool with_task, struct err *e)
{
	struct model_project p;
	struct model_domains domains;
	struct model_task task;
	struct api_project_extra x = {.with_task = with_task};
	struct model_viewer viewer = access_viewer(c->who, MODEL_ROLE_VIEWER);
	int found = model_project_get_id(db, c->r->arena, id, viewer, &p, e);
	if (found <= 0)
		return found < 0 ? -1 : api_absent("project", c->who->project, e);
	if (model_domain_list(db, c->r->arena, id, STR(""), viewer, &domains, e) < 0 ||
	    model_certificate_get(db, c->r->arena, id, viewer, &x.certificate, e) < 0 ||
	    api_wildcard_get(c, db, &x.wildcard, e) < 0 ||
	    access_role_on(db, c->who, id, &x.role, e) < 0)
		return -1;
	struct str *hosts = arena_array(c->r->arena, domains.n + 1, sizeof(*hosts));
	if (!hosts)
		return err_set(e, ERR_TOO_LARGE, "the request needs too much memory");
	for (size_t i = 0; i < domains.n; i++)
		hosts[i] = domains.v[i].host;
	x.detected = api_kind_of_live(c, db, &p);
	x.domains = hosts;
	x.domain_count = domains.n;
	bool has_task = false;
	if (with_task && newest_task(c, db, id, &task, &has_task, e) < 0)
		return -1;
	x.task = has_task ? &task : NULL;
	api_etag(c, p.version);
	api_project_json(c, &p, &x);
	return 0;
}

int api_project_get(struct api_call *c, struct err *e)
{
	struct store_db *db = api_reading(c, e);
	return db ? api_project_show(c, db, c->who->project_id, true, e) : -1;
}

/* A change of settings: what was said, checked before the unit. */
struct change {
	struct model_project_change row;
	struct api_source source;
	bool new_source, set_token;
	struct str token; /* p NULL: take it away */
	int64_t if_version, poll_ms;
	struct buf public_line, private_pem;
};

static int change_read(struct api_call *c, struct change *ch, struct err *e)
{
	struct model_project_change *row = &ch->row;
	enum manifest_kind kind;
	*row = (struct model_project_change){.kind = api_str(c->body, "kind")};
	if (row->kind.p && manifest_kind_parse(row->kind, &kind, e) < 0)
		return err_at(e, "/kind");
	if (api_has(c->body, "root")) {
		struct str root = api_str(c->body, "root");
		row->root = root.p ? root : STR("");
		if (row->root.n && name_subpath(row->root, e) < 0)
			return err_at(e, "/root");
	}
	const json_t *source = json_object_get(c->body, "source");
	if (source) {
		if (api_source_read(c, source, "/source", &ch->source, e) < 0)
			return -1;
		ch->new_source = row->set_source = true;
		row->source = ch->source.type;
		row->source_url = ch->source.url;
		row->source_ref = ch->source.ref;
		row->settings = api_source_settings(&ch->source);
		row->known_hosts = STR(""); /* of the old address */
	}
	if (api_has(c->body, "branch")) {
		struct str branch = api_str(c->body, "branch");
		row->source_ref = branch.p ? branch : STR("");
		if (row->source_ref.n && api_ref_check(row->source_ref, "/branch", e) < 0)
			return -1;
	}
	ch->set_token = api_has(c->body, "https_token");
	ch->token = api_str(c->body, "https_token");
	if (api_token_check(ch->token, "/https_token", e) < 0)
		return -1;
	if (api_sites_read(c, &row->sites, e) < 0 ||
	    api_limits_read(c, &row->limits, e) < 0 ||
	    api_poll_read(c->body, &ch->poll_ms, e) < 0)
		return -1;
	return api_if_match(c, &ch->if_version, e);
}

/* A source without a branch is not looked at any more. */
static int change_poll(struct api_call *c, struct store_db *db, struct change *ch, struct err *e)
{
	struct model_project p;
	if (!ch->new_source && !api_has(c->body, "poll_ms"))
		return 0;
	int found = model_project_get_id(db, c->r->arena, c->who->project_id, api_viewer(c), &p, e);
	if (found <= 0)
		return found;
	if (!api_has(c->body, "poll_ms") && p.source == MODEL_SOURCE_GIT)
		return 0;
	if (api_poll_check(p.source, ch->poll_ms, e) < 0)
		return -1;
	return model_look_every(db, p.id, ch->poll_ms, clock_wall_ms(), e);
}

static int change_secrets(struct api_call *c, struct store_db *db, struct change *ch, struct err *e)
{
	int64_t id = c->who->project_id;
	char place[MODEL_PLACE_SIZE];
	if (ch->set_token) {
		struct str sealed = STR_NONE,
			   where = model_place_project(id, MODEL_PROJECT_HTTPS_TOKEN, place);
		if (ch->token.n && api_seal(c, where, ch->token, &sealed, e) < 0)
			return -1;
		if (model_project_secret_set(
			db, id, MODEL_PROJECT_HTTPS_TOKEN, sealed, STR_NONE, e) < 0)
			return -1;
	}
	if (!ch->private_pem.n)
		return 0;
	struct model_project p;
	int found = model_project_get_id(db, c->r->arena, id, api_viewer(c), &p, e);
	if (found < 0 ||
	    p.deploy_key.n) /* the key that is there stays: it may be known elsewhere */
		return found < 0 ? -1 : 0;
	struct str sealed, where = model_place_project(id, MODEL_PROJECT_DEPLOY_KEY, place);
	if (api_seal(c, where, buf_view(&ch->private_pem), &sealed, e) < 0)
		return -1;
	return model_project_secret_set(
	    db, id, MODEL_PROJECT_DEPLOY_KEY, sealed, str_trim(buf_view(&ch->public_line)), e);
}

/* A token that nobody can read again is not sent to an address that it was not given for. */
static int new_server_check(const struct model_project *p, const struct change *ch, struct err *e)
{
	struct source_address at;
	struct err ignored;
	if (!ch->new_source || ch->set_token || !p->has_https_token ||
	    ch->source.type != MODEL_SOURCE_GIT ||
	    source_address_parse(ch->source.url, &at, &ignored) < 0 ||
	    (at.scheme != SOURCE_HTTPS && at.scheme != SOURCE_HTTP))
		return 0;
	if (p->source == MODEL_SOURCE_GIT && guard_same_server(p->source_url, ch->source.url))
		return 0;
	(void)err_set(
	    e, ERR_INVALID, "the repository is at another server, which would be sent the token");
	err_hint(e, "say the token again for a new address, or take it away");
	return err_at(e, "/https_token");
}

static int change_allowed(
    struct api_call *c, struct store_db *db, const struct change *ch, struct err *e)
{
	struct model_project p;
	int found = model_project_get_id(db, c->r->arena, c->who->project_id, api_viewer(c), &p, e);
	if (found <= 0)
		return found < 0 ? -1 : api_absent("project", c->who->project, e);
	if (api_site_kind_check(c, &p, ch->row.kind, e) < 0 || new_server_check(&p, ch, e) < 0)
		return -1;
	return ch->new_source || ch->row.sites.p || ch->row.root.p
		   ? api_site_owner_check(c, &p, "what is deployed", e)
		   : 0;
}

static int update_unit(struct api_call *c, struct store_db *db, void *ctx, struct err *e)
{
	struct change *ch = ctx;
	struct str changed;
	if (change_allowed(c, db, ch, e) < 0)
		return -1;
	int rc = model_project_update(
	    db, c->who->project_id, ch->if_version < 0 ? 0 : ch->if_version, &ch->row, e);
	if (rc < 0)
		return -1;
	if (rc == 0) {
		err_set(e, ERR_PRECONDITION, "somebody else changed '%.*s' in the meantime",
		    STR_ARG(c->who->project));
		return err_hint(e, "read it again and repeat the change");
	}
	json_t *names = json_deep_copy(c->body);
	if (names && json_object_get(names, "https_token"))
		json_object_set_new(names, "https_token", json_string("(not shown)"));
	json_t *holder = json_pack("{s:o}", "x", names);
	rc = api_json_member(c, holder, "x", &changed, e);
	json_decref(holder);
	c->changed_branch = ch->row.source_ref.p != NULL;
	if (rc < 0 || change_poll(c, db, ch, e) < 0 || change_secrets(c, db, ch, e) < 0 ||
	    api_audit(c, db, c->who->project, changed, e) < 0)
		return -1;
	return api_project_show(c, db, c->who->project_id, false, e);
}

int api_project_update(struct api_call *c, struct err *e)
{
	struct change ch = {0};
	buf_init(&ch.public_line, 1024);
	buf_init(&ch.private_pem, 4096);
	int rc = change_read(c, &ch, e);
	if (rc == 0 && ch.new_source && ch.source.wants_key) {
		char comment[64];
		snprintf(comment, sizeof(comment), "slipway-%.*s", STR_ARG(c->who->project));
		rc = sshkey_make(str_c(comment), &ch.public_line, &ch.private_pem, e);
	}
	if (rc == 0)
		rc = api_write(c, update_unit, &ch, e);
	buf_fini(&ch.public_line);
	buf_wipe(&ch.private_pem);
	return rc;
}
