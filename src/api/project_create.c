/* Making a project: checks, deploy key, domains, first grant, all in one unit; then its user. */
#include "api/input.h"
#include "api/routes.h"
#include "api/view.h"
#include "api/wait.h"

#include "backup/shelf.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/name.h"
#include "crypto/sshkey.h"
#include "model/domain.h"
#include "model/look.h"
#include "model/operator.h"
#include "model/place.h"
#include "text/manifest.h"

#include <stdio.h>

enum { USER_MS = 10000 };

struct create {
	struct model_project row;
	struct api_source source;
	struct str domains[LIMIT_DOMAINS];
	size_t domain_count;
	struct str https_token;
	int64_t poll_ms;
	struct buf public_line, private_pem;
};

static int domains_read(struct api_call *c, struct create *n, struct err *e)
{
	const json_t *list = json_object_get(c->body, "domains");
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *v = json_array_get(list, i);
		struct str host = {json_string_value(v), json_string_length(v)};
		if (api_domain_check(c, n->row.name, host, e) < 0)
			return err_at(e, "/domains/%zu", i);
		n->domains[n->domain_count++] = host;
	}
	return 0;
}

static int create_read(struct api_call *c, struct create *n, struct err *e)
{
	enum manifest_kind kind;
	struct model_project *p = &n->row;
	struct str kind_name = api_str(c->body, "kind"), root = api_str(c->body, "root");
	p->name = api_str(c->body, "name");
	p->kind = kind_name.p ? kind_name : STR("auto");
	p->root = root.p ? root : STR("");
	if (name_project(p->name, e) < 0)
		return err_at(e, "/name");
	if (manifest_kind_parse(p->kind, &kind, e) < 0)
		return err_at(e, "/kind");
	if (api_site_kind_check(c, NULL, p->kind, e) < 0 || api_sites_read(c, &p->sites, e) < 0)
		return -1;
	if (p->root.n && name_subpath(p->root, e) < 0)
		return err_at(e, "/root");
	if (api_source_read(c, json_object_get(c->body, "source"), "/source", &n->source, e) < 0 ||
	    domains_read(c, n, e) < 0 || api_limits_read(c, &p->limits, e) < 0)
		return -1;
	p->source = n->source.type;
	p->source_url = n->source.url;
	p->source_ref = n->source.ref;
	p->settings = api_source_settings(&n->source);
	p->desired_running = true;
	p->created_ms = clock_wall_ms();
	n->https_token = api_str(c->body, "https_token");
	if (api_poll_read(c->body, &n->poll_ms, e) < 0 ||
	    api_poll_check(p->source, n->poll_ms, e) < 0)
		return -1;
	return api_token_check(n->https_token, "/https_token", e);
}

static int secrets_store(
    struct api_call *c, struct store_db *db, struct create *n, int64_t id, struct err *e)
{
	char place[MODEL_PLACE_SIZE];
	if (n->https_token.n) {
		struct str sealed,
		    where = model_place_project(id, MODEL_PROJECT_HTTPS_TOKEN, place);
		if (api_seal(c, where, n->https_token, &sealed, e) < 0 ||
		    model_project_secret_set(
			db, id, MODEL_PROJECT_HTTPS_TOKEN, sealed, STR_NONE, e) < 0)
			return -1;
	}
	if (!n->private_pem.n)
		return 0;
	struct str sealed, where = model_place_project(id, MODEL_PROJECT_DEPLOY_KEY, place);
	if (api_seal(c, where, buf_view(&n->private_pem), &sealed, e) < 0)
		return -1;
	return model_project_secret_set(
	    db, id, MODEL_PROJECT_DEPLOY_KEY, sealed, str_trim(buf_view(&n->public_line)), e);
}

static int domains_store(
    struct create *n, struct store_db *db, int64_t id, int64_t now_ms, struct err *e)
{
	for (size_t i = 0; i < n->domain_count; i++)
		if (model_domain_add(db, id, n->domains[i], now_ms, e) < 0)
			return err_at(e, "/domains/%zu", i);
	return 0;
}

static int create_unit(struct api_call *c, struct store_db *db, void *ctx, struct err *e)
{
	struct create *n = ctx;
	int64_t id = 0;
	if (model_project_add(db, &n->row, &id, e) < 0) {
		if (e->code == ERR_CONFLICT)
			err_at(e, "/name");
		return -1;
	}
	if ((n->poll_ms > 0 && model_look_every(db, id, n->poll_ms, n->row.created_ms, e) < 0) ||
	    secrets_store(c, db, n, id, e) < 0 ||
	    domains_store(n, db, id, n->row.created_ms, e) < 0)
		return -1;
	/* Whoever makes a project administrates it. */
	if (c->who->operator_id && c->who->global_role < MODEL_ROLE_ADMIN &&
	    model_grant_set(db, c->who->operator_id, id, MODEL_ROLE_ADMIN, e) < 0)
		return -1;
	struct access_subject who = *c->who;
	who.project_id = id;
	if (access_unit_audit(
		db, &who, c->route->access.action, n->row.name, "ok", n->row.source_url, e) < 0)
		return -1;
	return api_project_show(c, db, id, false, e);
}

/* The helper makes user and tree. Each deploy sees to that again, and says what is wrong when it
 * cannot be: then the project is there all the same. */
static void user_make(const struct api_call *c, const struct model_project *p)
{
	struct priv_request q = {.op = PRIV_PROJECT_ENSURE};
	struct err e;
	int64_t disk = 0;
	if (!c->cx->run)
		return;
	if (json_get_i64(
		json_object_get(c->body, "limits"), "disk_bytes", 0, INT64_MAX, &disk, &e) > 0)
		q.start.limits.disk_bytes = (uint64_t)disk;
	(void)snprintf(q.project, sizeof(q.project), "%.*s", STR_ARG(p->name));
	if (api_ask_helper(c, &q, USER_MS, &e) != 0)
		log_event(LOG_WARN, "api", "user_not_made", F_C("project", q.project), F_ERR(&e));
}

int api_project_create(struct api_call *c, struct err *e)
{
	struct create n = {0};
	buf_init(&n.public_line, 1024);
	buf_init(&n.private_pem, 4096);
	int rc = create_read(c, &n, e);
	if (rc == 0 && n.source.wants_key) {
		char comment[64];
		snprintf(comment, sizeof(comment), "slipway-%.*s", STR_ARG(n.row.name));
		rc = sshkey_make(str_c(comment), &n.public_line, &n.private_pem, e);
	}
	/* A store that went back in time has forgotten who had a number; the shelf has not. */
	if (rc == 0 && c->cx->backups_dir)
		rc = shelf_highest(c->cx->backups_dir, &n.row.id, e);
	if (rc == 0)
		rc = api_write(c, create_unit, &n, e);
	if (rc == 0 && !c->replayed)
		user_make(c, &n.row);
	if (rc == 0)
		api_location(c, "/api/v1/projects/%.*s", STR_ARG(n.row.name));
	buf_fini(&n.public_line);
	buf_wipe(&n.private_pem);
	return rc;
}
