/* rooms: base crypto text store model */
/* Operators, tokens, grants, the audit trail, and the table that says who sees what: every getter
 * and list of things of a project, for every kind of viewer. */
#include "model/operator.h"

#include "model/audit.h"
#include "model/certificate.h"
#include "model/domain.h"
#include "model/env.h"
#include "model/release.h"
#include "model/service.h"
#include "model/step.h"
#include "model_fixture.h"

UNIT(operators)
{
	struct model_operator o;
	struct model_operators l;
	int64_t root, anna, n;

	CHECK((root = fixture_operator(db, "root", MODEL_ROLE_OWNER, e)) > 0);
	CHECK((anna = fixture_operator(db, "anna", MODEL_ROLE_NONE, e)) > 0);
	CHECK(fixture_operator(db, "anna", MODEL_ROLE_NONE, e) == -1 && e->code == ERR_CONFLICT);
	CHECK(model_operator_get(db, a, STR("anna"), &o, e) == 1 && o.role == MODEL_ROLE_NONE &&
	      !o.password_hash.p);
	CHECK(model_operator_get(db, a, STR("nobody"), &o, e) == 0);
	CHECK(model_operator_set_password(db, anna, STR("$argon2id$x"), e) == 1);
	CHECK(model_operator_get_id(db, a, anna, &o, e) == 1 &&
	      str_eq_c(o.password_hash, "$argon2id$x"));
	CHECK(model_operator_set_password(db, anna, STR_NONE, e) == 1);
	CHECK(model_operator_get_id(db, a, anna, &o, e) == 1 && !o.password_hash.p);
	CHECK(model_operator_list(db, a, STR(""), 1, &l, e) == 0 && l.n == 1 && l.more);
	CHECK(model_operator_list(db, a, STR("anna"), 9, &l, e) == 0 && l.n == 1 &&
	      str_eq_c(l.v[0].name, "root"));
	CHECK(model_operator_count(db, &n, e) == 0 && n == 2);
	CHECK(model_operator_set_disabled(db, 99, true, e) == 0);
	CHECK(model_operator_set_role(db, anna, MODEL_ROLE_OWNER, e) == 1);
	CHECK(model_operator_remove(db, root, e) == 1);
	return 0;
}
TEST_OF(operators)

UNIT(one_owner)
{
	(void)a;
	return fixture_operator(db, "root", MODEL_ROLE_OWNER, e) == 1 ? 0 : -1;
}
UNIT(owner_demoted)
{
	(void)a;
	return model_operator_set_role(db, 1, MODEL_ROLE_ADMIN, e);
}
UNIT(owner_disabled)
{
	(void)a;
	return model_operator_set_disabled(db, 1, true, e);
}
UNIT(owner_removed)
{
	(void)a;
	return model_operator_remove(db, 1, e);
}
UNIT(owner_still_there)
{
	struct model_operator o;

	CHECK(model_operator_get_id(db, a, 1, &o, e) == 1 && o.role == MODEL_ROLE_OWNER &&
	      !o.disabled);
	return 0;
}

static void test_last_owner(void **state)
{
	static fixture_unit *const attempts[] = {owner_demoted, owner_disabled, owner_removed};
	struct store *s = fixture_open();

	(void)state;
	fixture_run(s, one_owner);
	for (size_t i = 0; i < 3; i++) {
		fixture_unit *u = attempts[i];
		struct err e = {0};

		assert_int_equal(store_write(s, fixture_call, &u, &e), -1);
		assert_int_equal(e.code, ERR_CONFLICT);
	}
	fixture_run(s, owner_still_there);
	store_close(s);
}

UNIT(tokens)
{
	struct model_token t = {.label = STR("laptop"), .created_ms = 1, .expires_ms = 100}, r;
	struct model_tokens l;
	struct model_operator o;
	struct str h1 = STR("12345678901234567890123456789012"),
		   h2 = STR("x2345678901234567890123456789012");
	int64_t anna = fixture_operator(db, "anna", MODEL_ROLE_VIEWER, e),
		bert = fixture_operator(db, "bert", MODEL_ROLE_NONE, e), id;

	t.operator_id = anna;
	CHECK(model_token_add(db, &t, h1, &id, e) == 0);
	CHECK(model_token_find(db, a, h1, 99, &r, &o, e) == 1 && r.id == id &&
	      str_eq_c(o.name, "anna"));
	CHECK(model_token_find(db, a, h1, 100, &r, &o, e) == 0); /* expired */
	CHECK(model_token_find(db, a, h2, 50, &r, &o, e) == 0);
	CHECK(model_token_touch(db, id, 60, e) == 0);
	CHECK(model_token_list(db, a, anna, &l, e) == 0 && l.n == 1 && l.v[0].last_used_ms == 60);
	CHECK(model_operator_set_disabled(db, anna, true, e) == 1);
	CHECK(model_token_find(db, a, h1, 50, &r, &o, e) == 0);
	CHECK(model_operator_set_disabled(db, anna, false, e) == 1);
	CHECK(model_token_revoke(db, id, bert, e) == 0); /* not bert's */
	CHECK(model_token_find(db, a, h1, 50, &r, &o, e) == 1);
	CHECK(model_token_revoke(db, id, anna, e) == 1);
	CHECK(model_token_find(db, a, h1, 50, &r, &o, e) == 0);
	t.expires_ms = 0;
	CHECK(model_token_add(db, &t, h2, &id, e) == 0);
	CHECK(model_token_find(db, a, h2, INT64_MAX, &r, &o, e) == 1);
	CHECK(model_operator_remove(db, anna, e) == 1);
	CHECK(model_token_find(db, a, h2, 50, &r, &o, e) == 0);
	t.operator_id = 99;
	CHECK(model_token_add(db, &t, h1, &id, e) == -1 && e->code == ERR_NOT_FOUND);
	return 0;
}
TEST_OF(tokens)

UNIT(grants)
{
	struct model_grants l;
	enum model_role role;
	int64_t anna = fixture_operator(db, "anna", MODEL_ROLE_VIEWER, e),
		p = fixture_project(db, "shop", e), q = fixture_project(db, "blog", e);

	CHECK(model_grant_set(db, anna, p, MODEL_ROLE_DEPLOYER, e) == 0);
	CHECK(model_grant_set(db, anna, p, MODEL_ROLE_ADMIN, e) == 0);
	CHECK(model_grant_set(db, anna, 99, MODEL_ROLE_ADMIN, e) == -1 && e->code == ERR_NOT_FOUND);
	CHECK(model_role_on(db, anna, p, &role, e) == 0 && role == MODEL_ROLE_ADMIN);
	CHECK(model_role_on(db, anna, q, &role, e) == 0 && role == MODEL_ROLE_VIEWER);
	CHECK(model_role_on(db, anna, 0, &role, e) == 0 && role == MODEL_ROLE_VIEWER);
	CHECK(model_role_on(db, 99, p, &role, e) == 0 && role == MODEL_ROLE_NONE);
	CHECK(model_grant_list(db, a, anna, 0, &l, e) == 0 && l.n == 1 &&
	      str_eq_c(l.v[0].project, "shop"));
	CHECK(model_grant_list(db, a, 0, q, &l, e) == 0 && l.n == 0);
	CHECK(model_grant_set(db, anna, q, MODEL_ROLE_NONE, e) == 0);
	CHECK(model_grant_set(db, anna, p, MODEL_ROLE_NONE, e) == 0);
	CHECK(model_role_on(db, anna, p, &role, e) == 0 && role == MODEL_ROLE_VIEWER);
	CHECK(model_operator_set_disabled(db, anna, true, e) == 1);
	CHECK(model_role_on(db, anna, p, &role, e) == 0 && role == MODEL_ROLE_NONE);
	return 0;
}
TEST_OF(grants)

UNIT(audit_chain)
{
	struct model_audit row = {.at_ms = 5,
	    .operator_name = STR("anna"),
	    .action = STR("project.create"),
	    .target = STR("shop"),
	    .outcome = STR("ok")};
	struct model_audits l;
	int64_t bad, p = fixture_project(db, "shop", e);

	CHECK(model_audit_verify(db, &bad, e) == 1);
	for (int i = 0; i < 5; i++) {
		row.at_ms++;
		row.project_id = i % 2 ? p : 0;
		CHECK(model_audit_append(db, &row, e) == 0);
	}
	CHECK(model_audit_verify(db, &bad, e) == 1);
	CHECK(model_audit_list(
		  db, a, 0, (struct model_page){.limit = 2}, MODEL_EVERYTHING, &l, e) == 0);
	CHECK(l.n == 2 && l.more && l.v[0].id == 5 && l.v[0].chain.n == MODEL_AUDIT_CHAIN_BYTES);
	CHECK(model_audit_list(
		  db, a, p, (struct model_page){.limit = 9}, MODEL_EVERYTHING, &l, e) == 0 &&
	      l.n == 2);
	/* A changed word, a moved border between two fields, a row taken out: each is noticed where
	 * it is. */
	CHECK(store_script(db, "UPDATE audit SET target = 'blog' WHERE id = 3", e) == 0);
	CHECK(model_audit_verify(db, &bad, e) == 0 && bad == 3);
	CHECK(store_script(db, "UPDATE audit SET target = 'shop' WHERE id = 3", e) == 0 &&
	      model_audit_verify(db, &bad, e) == 1);
	CHECK(store_script(
		  db, "UPDATE audit SET target = 'sho', outcome = 'pok' WHERE id = 2", e) == 0);
	CHECK(model_audit_verify(db, &bad, e) == 0 && bad == 2);
	CHECK(store_script(
		  db, "UPDATE audit SET target = 'shop', outcome = 'ok' WHERE id = 2", e) == 0);
	CHECK(store_script(db, "DELETE FROM audit WHERE id = 4", e) == 0);
	CHECK(model_audit_verify(db, &bad, e) == 0 && bad == 4);
	return 0;
}
TEST_OF(audit_chain)

/* --- who sees what --- */

struct things {
	int64_t project, event, task;
	struct str name, host;
};

static int make_things(struct store_db *db, const char *name, struct things *t, struct err *e)
{
	struct model_release r = {.task_id = 1, .attempt = 1};
	struct model_env_change c = {.key = STR("KEY"), .sealed = STR("x")};
	struct model_event ev = {.delivery_key = STR("k"), .kind = STR("push"), .body = STR("{}")};
	struct model_task task = {.kind = MODEL_TASK_DEPLOY};
	struct model_audit row = {.at_ms = 1, .action = STR("x")};
	struct model_task_added added;
	int64_t n;

	t->name = str_c(name);
	t->host = t->name; /* good enough for a table */
	t->project = r.project_id = task.project_id = row.project_id = fixture_project(db, name, e);
	ev.hook_id = fixture_hook(db, name, t->project, e);
	CHECK(model_release_begin(db, &r, &n, e) == 0 && n == 1);
	CHECK(model_env_set(db, t->project, &c, 1, 1, &n, e) == 0);
	CHECK(model_event_add(db, &ev, &t->event, e) == 1);
	CHECK(model_task_add(db, &task, &added, e) == 0);
	CHECK(model_scale_set(db, t->project, STR("web"), 2, e) == 0);
	CHECK(model_domain_add(db, t->project, t->host, 1, e) == 1);
	CHECK(model_certificate_give(db, t->project, STR("chain"), STR("sealed"), e) == 0);
	CHECK(model_service_add(db,
		  &(struct model_service){.project_id = t->project,
		      .name = STR("db"),
		      .sealed = STR("sealed"),
		      .mark = STR("m"),
		      .created_ms = 1},
		  e) == 1);
	CHECK(model_audit_append(db, &row, e) == 0);
	t->task = added.id;
	return 0;
}

static int step_for(struct store_db *db, struct arena *a, const struct things *t, struct err *e)
{
	struct model_task r;
	struct model_lease l;

	CHECK(model_task_claim(db, a, STR("o"), 1, 9, &r, e) == 1 && r.id == t->task);
	l = model_task_lease(&r);
	return model_step_begin(db, &l, 1, STR("fetch"), 1, e) == 1 ? 0 : -1;
}

#define GETTERS 11
/* How many of the getters for one thing find it. -1 when one fails. */
static int count_gets(struct store_db *db, struct arena *a, const struct things *t,
    struct model_viewer v, struct err *e)
{
	struct model_project p;
	struct model_release r;
	struct model_hook h;
	struct model_event ev;
	struct model_task task;
	struct model_env env;
	struct model_domain d;
	struct model_certificate cert;
	struct model_service service;
	struct str body;
	int rc[GETTERS], n = 0;

	rc[0] = model_project_get(db, a, t->name, v, &p, e);
	rc[1] = model_project_get_id(db, a, t->project, v, &p, e);
	rc[2] = model_release_get(db, a, t->project, 1, v, &r, e);
	rc[3] = model_hook_get(db, a, t->name, v, &h, e);
	rc[4] = model_event_get(db, a, t->event, v, &ev, e);
	rc[5] = model_event_body(db, a, t->event, v, &body, e);
	rc[6] = model_task_get(db, a, t->task, v, &task, e);
	rc[7] = model_env_get(db, a, t->project, STR("KEY"), v, &env, e);
	rc[8] = model_domain_get(db, a, t->host, v, &d, e);
	rc[9] = model_certificate_get(db, a, t->project, v, &cert, e);
	rc[10] = model_service_get(db, a, t->project, STR("db"), v, &service, e);
	for (int i = 0; i < GETTERS; i++) {
		if (rc[i] < 0)
			return -1;
		n += rc[i];
	}
	return n;
}

#define LISTS 10
static int count_lists(struct store_db *db, struct arena *a, const struct things *t,
    struct model_viewer v, struct err *e)
{
	struct model_page page = {.limit = 50};
	struct model_releases releases;
	struct model_hooks hooks;
	struct model_events events;
	struct model_tasks tasks;
	struct model_steps steps;
	struct model_envs envs;
	struct model_domains domains;
	struct model_scales scales;
	struct model_audits audits;
	struct model_services services;
	struct model_event_filter ef = {.project_id = t->project};
	struct model_task_filter tf = {.project_id = t->project};

	if (model_release_list(db, a, t->project, page, v, &releases, e) < 0 ||
	    model_hook_list(db, a, t->project, page, v, &hooks, e) < 0 ||
	    model_event_list(db, a, ef, page, v, &events, e) < 0 ||
	    model_task_list(db, a, tf, page, v, &tasks, e) < 0 ||
	    model_step_list(db, a, t->task, v, &steps, e) < 0 ||
	    model_env_list(db, a, t->project, 0, v, &envs, e) < 0 ||
	    model_domain_list(db, a, t->project, STR(""), v, &domains, e) < 0 ||
	    model_scale_list(db, a, t->project, v, &scales, e) < 0 ||
	    model_service_list(db, a, t->project, v, &services, e) < 0 ||
	    model_audit_list(db, a, t->project, page, v, &audits, e) < 0)
		return -1;
	if ((envs.version != 0) != (envs.n != 0))
		return -1; /* the version of what one may not see is a secret too */
	return (int)(releases.n + hooks.n + events.n + tasks.n + steps.n + envs.n + domains.n +
		     scales.n + audits.n + services.n);
}

/* The lists that go over all projects: how many rows of the two projects together. */
static int count_global(struct store_db *db, struct arena *a, struct model_viewer v, struct err *e)
{
	struct model_page page = {.limit = 50};
	struct model_projects projects;
	struct model_hooks hooks;
	struct model_events events;
	struct model_tasks tasks;
	struct model_domains domains;
	struct model_certificates certificates;
	struct model_audits audits;

	if (model_project_list(db, a, STR(""), 50, v, &projects, e) < 0 ||
	    model_hook_list(db, a, 0, page, v, &hooks, e) < 0 ||
	    model_event_list(db, a, (struct model_event_filter){0}, page, v, &events, e) < 0 ||
	    model_task_list(db, a, (struct model_task_filter){0}, page, v, &tasks, e) < 0 ||
	    model_domain_list(db, a, 0, STR(""), v, &domains, e) < 0 ||
	    model_certificate_list(db, a, v, &certificates, e) < 0 ||
	    model_audit_list(db, a, 0, page, v, &audits, e) < 0)
		return -1;
	if (hooks.n != projects.n || events.n != projects.n || tasks.n != projects.n ||
	    domains.n != projects.n || certificates.n != projects.n)
		return -1;
	return (int)projects.n * 10 + (int)audits.n;
}

UNIT(who_sees_what)
{
	/* global role, role on `mine`, disabled, least needed → sees mine, sees theirs */
	static const struct {
		enum model_role global, granted;
		bool disabled;
		enum model_role least;
		bool mine, theirs;
	} rows[] = {
	    {MODEL_ROLE_NONE, MODEL_ROLE_NONE, false, MODEL_ROLE_VIEWER, false, false},
	    {MODEL_ROLE_NONE, MODEL_ROLE_NONE, false, MODEL_ROLE_NONE, false, false},
	    {MODEL_ROLE_NONE, MODEL_ROLE_VIEWER, false, MODEL_ROLE_NONE, true, false},
	    {MODEL_ROLE_NONE, MODEL_ROLE_VIEWER, false, MODEL_ROLE_VIEWER, true, false},
	    {MODEL_ROLE_NONE, MODEL_ROLE_VIEWER, false, MODEL_ROLE_DEPLOYER, false, false},
	    {MODEL_ROLE_NONE, MODEL_ROLE_DEPLOYER, false, MODEL_ROLE_DEPLOYER, true, false},
	    {MODEL_ROLE_NONE, MODEL_ROLE_DEPLOYER, false, MODEL_ROLE_ADMIN, false, false},
	    {MODEL_ROLE_NONE, MODEL_ROLE_OWNER, true, MODEL_ROLE_VIEWER, false, false},
	    {MODEL_ROLE_VIEWER, MODEL_ROLE_NONE, false, MODEL_ROLE_VIEWER, true, true},
	    {MODEL_ROLE_VIEWER, MODEL_ROLE_ADMIN, false, MODEL_ROLE_DEPLOYER, true, false},
	    {MODEL_ROLE_ADMIN, MODEL_ROLE_VIEWER, false, MODEL_ROLE_ADMIN, true, true},
	    {MODEL_ROLE_OWNER, MODEL_ROLE_NONE, false, MODEL_ROLE_OWNER, true, true},
	    {MODEL_ROLE_OWNER, MODEL_ROLE_NONE, true, MODEL_ROLE_VIEWER, false, false},
	};
	struct things mine = {0}, theirs = {0};
	struct model_audit platform = {.at_ms = 1, .action = STR("start")};
	enum model_task_state was;
	char name[8];

	CHECK(make_things(db, "mine", &mine, e) == 0 && make_things(db, "theirs", &theirs, e) == 0);
	CHECK(step_for(db, a, &mine, e) == 0 && step_for(db, a, &theirs, e) == 0);
	CHECK(model_audit_append(db, &platform, e) == 0);
	CHECK(fixture_operator(db, "root", MODEL_ROLE_OWNER, e) > 0);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct model_viewer v = {.least = rows[i].least};
		bool global = rows[i].mine && rows[i].theirs;

		snprintf(name, sizeof(name), "o%zu", i);
		v.operator_id = fixture_operator(db, name, rows[i].global, e);
		CHECK(model_grant_set(db, v.operator_id, mine.project, rows[i].granted, e) == 0);
		CHECK(model_operator_set_disabled(db, v.operator_id, rows[i].disabled, e) == 1);
		e->sys = (int)i;
		CHECK(count_gets(db, a, &mine, v, e) == (rows[i].mine ? GETTERS : 0));
		CHECK(count_gets(db, a, &theirs, v, e) == (rows[i].theirs ? GETTERS : 0));
		CHECK(count_lists(db, a, &mine, v, e) == (rows[i].mine ? LISTS : 0));
		CHECK(count_lists(db, a, &theirs, v, e) == (rows[i].theirs ? LISTS : 0));
		CHECK(count_global(db, a, v, e) == (rows[i].mine + rows[i].theirs) * 11 + global);
		CHECK(model_task_cancel(db, mine.task, v, 1, &was, e) == rows[i].mine);
		CHECK(model_task_cancel(db, theirs.task, v, 1, &was, e) == rows[i].theirs);
	}
	CHECK(count_gets(db, a, &theirs, MODEL_EVERYTHING, e) == GETTERS);
	CHECK(count_global(db, a, MODEL_EVERYTHING, e) == 23);
	CHECK(count_global(db, a, (struct model_viewer){.operator_id = 999}, e) == 0);
	return 0;
}
TEST_OF(who_sees_what)

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_operators),
	    cmocka_unit_test(test_last_owner), cmocka_unit_test(test_tokens),
	    cmocka_unit_test(test_grants), cmocka_unit_test(test_audit_chain),
	    cmocka_unit_test(test_who_sees_what)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
