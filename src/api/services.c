/* Services of a project: databases and brokers on the operator's servers. Handlers run on the pool, where asking that server may
 * block. A row is durable before the server is asked, and goes after what it stands for: what was begun is found again. */
#include "api/routes.h"

#include "base/clock.h"
#include "base/name.h"
#include "model/task.h"
#include "services/services.h"

static int unmade(struct err *e)
{
	return err_set(e, ERR_UNSUPPORTED, "this platform makes no services");
}

/* Those that lead to it: its address, and what the oldest database alone has. */
static void variables_json(
    struct api_call *c, const struct manifest_pair *v, size_t n, struct str url)
{
	bool oldest = false;
	json_open_array(&c->w, "variables");
	for (size_t i = 0; i < n; i++) {
		bool address = str_eq(v[i].value, url);
		oldest |= address && str_eq_c(v[i].key, "DATABASE_URL");
		if (address || (oldest && str_starts(v[i].key, STR("PG"))))
			json_put_str(&c->w, NULL, v[i].key);
	}
	json_close_array(&c->w);
}

static int service_json(
    struct api_call *c, const struct model_services *all, size_t at, struct err *e)
{
	const struct model_service *s = &all->v[at];
	struct manifest_pair *v;
	struct services_access x;
	size_t n;
	if (!c->cx->services)
		return unmade(e);
	if (services_access(c->cx->services, c->r->arena, c->who->project, s, &x, e) != 0 ||
	    services_env(c->cx->services, c->r->arena, c->who->project, all, &v, &n, e) != 0)
		return -1;
	json_open_object(&c->w, NULL);
	json_put_str(&c->w, "name", s->name);
	json_put_str(&c->w, "type", str_c(model_service_type_name(s->type)));
	json_put_bool(&c->w, "made", s->made_ms > 0);
	json_put_str(&c->w, "called", x.user);
	json_put_str(&c->w, "host", s->host);
	json_put_i64(&c->w, "port", s->port);
	variables_json(c, v, n, x.url);
	json_put_time(&c->w, "created_at", s->created_ms);
	json_close_object(&c->w);
	return 0;
}

static int list_read(
    struct api_call *c, struct store_db *db, struct model_services *ret, struct err *e)
{
	return model_service_list(
	    db, c->r->arena, c->who->project_id, access_viewer(c->who, MODEL_ROLE_VIEWER), ret, e);
}

int api_service_list(struct api_call *c, struct err *e)
{
	struct model_services all;
	struct store_db *db = api_reading(c, e);
	if (!db || list_read(c, db, &all, e) < 0)
		return -1;
	json_open_object(&c->w, NULL);
	json_open_array(&c->w, "items");
	for (size_t i = 0; i < all.n; i++)
		if (service_json(c, &all, i, e) != 0)
			return -1;
	json_close_array(&c->w);
	json_close_object(&c->w);
	return 0;
}

/* --- one of them --- */

struct one {
	struct str name;
	enum model_service_type type;
	struct model_service row;
	bool added;
	bool stayed; /* on its server, which could not be reached */
};

static int find(struct api_call *c, struct store_db *db, struct one *o, struct err *e)
{
	int rc = model_service_get(db, c->r->arena, c->who->project_id, o->name,
	    access_viewer(c->who, MODEL_ROLE_VIEWER), &o->row, e);
	return rc == 0 ? api_absent("service", o->name, e) : rc < 0 ? -1 : 0;
}

static int show_unit(struct api_call *c, struct store_db *db, struct one *o, struct err *e)
{
	struct model_services all;
	if (list_read(c, db, &all, e) < 0)
		return -1;
	for (size_t i = 0; i < all.n; i++)
		if (str_eq(all.v[i].name, o->name))
			return service_json(c, &all, i, e);
	return api_absent("service", o->name, e);
}

/* --- add --- */

/* A destroy that waits or runs takes with it what it finds; what comes behind it would stay on its server. */
static int not_destroyed(struct api_call *c, struct store_db *db, struct err *e)
{
	static const enum model_task_state open[] = {MODEL_TASK_WAITING, MODEL_TASK_RUNNING};
	for (size_t s = 0; s < sizeof(open) / sizeof(open[0]); s++) {
		const struct model_task_filter f = {
		    .project_id = c->who->project_id, .by_state = true, .state = open[s]};
		const struct model_page page = {.limit = MODEL_PAGE_MAX};
		struct model_tasks t;
		if (model_task_list(db, c->r->arena, f, page, MODEL_EVERYTHING, &t, e) < 0)
			return -1;
		for (size_t i = 0; i < t.n; i++)
			if (t.v[i].kind == MODEL_TASK_DESTROY)
				return err_set(e, ERR_CONFLICT, "'%.*s' is being destroyed",
				    STR_ARG(c->who->project));
	}
	return 0;
}

static int add_unit(struct api_call *c, struct store_db *db, void *ctx, struct err *e)
{
	struct one *o = ctx;
	if (not_destroyed(c, db, e) != 0)
		return -1;
	int added = services_want(c->cx->services, db, c->r->arena, c->who->project_id, o->name,
	    o->type, clock_wall_ms(), e);
	if (added < 0 || find(c, db, o, e) != 0)
		return -1;
	o->added = added > 0;
	if (o->added && api_audit(c, db, o->name, str_c(model_service_type_name(o->type)), e) < 0)
		return -1;
	c->status = o->added ? 201 : 200;
	return show_unit(c, db, o, e);
}

struct made {
	struct api_call *c;
	struct one *o;
	struct services_place place;
	bool gone; /* its row, meanwhile */
};

static int made_unit(void *ctx, struct store_db *db, struct err *e)
{
	struct made *m = ctx;
	struct api_call *c = m->c;
	int rc = model_service_made(db, c->who->project_id, m->o->name, str_c(m->place.host),
	    m->place.port, clock_wall_ms(), e);
	m->gone = rc == 0;
	if (rc <= 0)
		return rc < 0 ? -1 : api_absent("service", m->o->name, e);
	buf_clear(&c->out);
	json_out_init(&c->w, &c->out);
	return show_unit(c, db, m->o, e);
}

static int make(struct api_call *c, struct one *o, struct err *e)
{
	struct made m = {.c = c, .o = o};
	if (services_do(c->cx->services, SERVICES_MAKE, c->who->project, &o->row, &m.place, e) != 0)
		return err_prefix(e, "'%.*s' is wanted, but not there yet", STR_ARG(o->name));
	int rc = store_write(c->cx->store, made_unit, &m, e);
	struct err ignored;
	if (rc != 0 && m.gone) /* whoever took the row away dropped it before it was there */
		(void)!services_do(
		    c->cx->services, SERVICES_DROP, c->who->project, &o->row, &m.place, &ignored);
	return rc;
}

int api_service_add(struct api_call *c, struct err *e)
{
	struct one o = {.name = api_str(c->body, "name")};
	if (!c->cx->services)
		return unmade(e);
	if (model_service_type_parse(api_str(c->body, "type"), &o.type, e) != 0)
		return err_at(e, "/type");
	if (!o.name.p)
		o.name = o.type == MODEL_SERVICE_RABBITMQ ? STR("queue") : STR("db");
	if (name_service(o.name, e) != 0)
		return err_at(e, "/name");
	if (api_write(c, add_unit, &o, e) < 0)
		return -1;
	return c->replayed || !o.added ? 0 : make(c, &o, e);
}

/* --- credentials --- */

static int credentials_unit(struct api_call *c, struct store_db *db, void *ctx, struct err *e)
{
	struct one *o = ctx;
	struct services_access x;
	if (find(c, db, o, e) != 0 || api_audit(c, db, o->name, STR_NONE, e) < 0)
		return -1;
	if (o->row.made_ms == 0) {
		(void)err_set(
		    e, ERR_CONFLICT, "the service '%.*s' is not there yet", STR_ARG(o->name));
		return err_hint(e, "the next deploy makes it");
	}
	if (services_access(c->cx->services, c->r->arena, c->who->project, &o->row, &x, e) != 0)
		return -1;
	json_open_object(&c->w, NULL);
	json_put_str(&c->w, "name", o->row.name);
	json_put_str(&c->w, "type", str_c(model_service_type_name(o->row.type)));
	json_put_str(&c->w, "url", x.url);
	json_put_str(&c->w, "host", x.host);
	json_put_i64(&c->w, "port", x.port);
	json_put_str(&c->w, "user", x.user);
	json_put_str(&c->w, "password", x.password);
	json_put_str(&c->w, o->row.type == MODEL_SERVICE_RABBITMQ ? "vhost" : "database", x.within);
	json_close_object(&c->w);
	return 0;
}

int api_service_credentials(struct api_call *c, struct err *e)
{
	struct one o = {.name = http_param(c->http, "service")};
	return c->cx->services ? api_write(c, credentials_unit, &o, e) : unmade(e);
}

/* --- remove --- */

static int remove_unit(struct api_call *c, struct store_db *db, void *ctx, struct err *e)
{
	struct one *o = ctx;
	int gone = model_service_remove(db, c->who->project_id, o->name, e);
	struct str what = o->stayed ? STR("forgotten, its server could not be reached") : STR_NONE;
	if (gone < 0 || api_audit(c, db, o->name, what, e) < 0)
		return -1;
	json_open_object(&c->w, NULL);
	json_put_bool(&c->w, "removed", true);
	json_close_object(&c->w);
	return 0;
}

/* Its server does not answer, does not let us in, or is none of ours any more. */
static bool is_away(const struct err *e)
{
	return e->code == ERR_UNAVAILABLE || e->code == ERR_SETTINGS || e->code == ERR_UNSUPPORTED;
}

int api_service_remove(struct api_call *c, struct err *e)
{
	struct one o = {.name = http_param(c->http, "service")};
	struct store_db *db = api_reading(c, e);
	bool purge;
	if (!db || api_query_purge(c, &purge, e) != 0 || find(c, db, &o, e) != 0)
		return -1;
	if (!c->cx->services)
		return unmade(e);
	struct services_place none;
	int rc = services_do(c->cx->services, SERVICES_DROP, c->who->project, &o.row, &none, e);
	if (rc != 0 && is_away(e) && !purge)
		(void)err_hint(e,
		    "to forget it and leave there what is: slipway services remove %.*s %.*s "
		    "--purge",
		    STR_ARG(c->who->project), STR_ARG(o.name));
	if (rc != 0 && !(purge && is_away(e)))
		return -1;
	o.stayed = rc != 0;
	return api_write(c, remove_unit, &o, e);
}
