/* rooms: base crypto text store model */
#include "model/project.h"

#include "base/limits.h"
#include "model/domain.h"
#include "model/env.h"
#include "model/idempotency.h"
#include "model_fixture.h"

#include <stdlib.h>
#include <unistd.h>

UNIT(add_get_update)
{
	struct model_project p = {.name = STR("shop"),
				 .kind = STR("django"),
				 .source = MODEL_SOURCE_GIT,
				 .source_url = STR("https://x.example/shop.git"),
				 .source_ref = STR("main"),
				 .desired_running = true,
				 .limits = STR("{\"a\":1}"),
				 .created_ms = 77},
			     r;
	int64_t id;

	CHECK(model_project_add(db, &p, &id, e) == 0);
	CHECK(model_project_add(db, &p, &id, e) == -1 && e->code == ERR_CONFLICT);
	CHECK(model_project_get(db, a, STR("shop"), MODEL_EVERYTHING, &r, e) == 1);
	CHECK(str_eq_c(r.kind, "django") && r.source == MODEL_SOURCE_GIT && r.desired_running);
	CHECK(
	    str_eq_c(r.limits, "{\"a\":1}") && str_eq_c(r.settings, "{}") && r.known_hosts.n == 0);
	CHECK(r.first_port == 20000 && r.live == 0 && r.version == 1 && r.created_ms == 77);
	CHECK(model_project_get(db, a, STR("nope"), MODEL_EVERYTHING, &r, e) == 0);
	/* If-Match. */
	CHECK(model_project_update(
		  db, r.id, 2, &(struct model_project_change){.root = STR("x")}, e) == 0);
	CHECK(model_project_update(db, r.id, 1,
		  &(struct model_project_change){
		      .root = STR("web"), .set_source = true, .source = MODEL_SOURCE_PATH},
		  e) == 1);
	CHECK(model_project_set_user_no(db, r.id, 5, e) == 0);
	CHECK(model_project_set_desired(db, r.id, false, e) == 0);
	CHECK(model_project_set_desired(db, 999, false, e) == -1 && e->code == ERR_NOT_FOUND);
	CHECK(model_project_get_id(db, a, r.id, MODEL_EVERYTHING, &r, e) == 1);
	CHECK(r.version == 2 && str_eq_c(r.root, "web") && r.source == MODEL_SOURCE_PATH);
	CHECK(str_eq_c(r.source_url, "https://x.example/shop.git") && r.user_no == 5 &&
	      !r.desired_running);
	return 0;
}
TEST_OF(add_get_update)

UNIT(secrets)
{
	struct model_project r;
	struct str s;
	int64_t id = fixture_project(db, "shop", e);

	CHECK(model_project_secret_get(db, a, id, MODEL_PROJECT_HTTPS_TOKEN, &s, e) == 0);
	CHECK(model_project_secret_set(
		  db, id, MODEL_PROJECT_HTTPS_TOKEN, STR("a\0b"), STR_NONE, e) == 0);
	CHECK(model_project_secret_set(
		  db, id, MODEL_PROJECT_DEPLOY_KEY, STR("\1\2"), STR("ssh-ed25519 A"), e) == 0);
	CHECK(model_project_secret_get(db, a, id, MODEL_PROJECT_HTTPS_TOKEN, &s, e) == 1 &&
	      str_eq(s, STR("a\0b")));
	CHECK(model_project_secret_get(db, a, id, MODEL_PROJECT_DEPLOY_KEY, &s, e) == 1 &&
	      str_eq(s, STR("\1\2")));
	CHECK(model_project_get_id(db, a, id, MODEL_EVERYTHING, &r, e) == 1);
	CHECK(r.has_https_token && str_eq_c(r.deploy_key, "ssh-ed25519 A"));
	CHECK(model_project_secret_set(db, id, MODEL_PROJECT_HTTPS_TOKEN, STR_NONE, STR_NONE, e) ==
	      0);
	CHECK(model_project_secret_get(db, a, id, MODEL_PROJECT_HTTPS_TOKEN, &s, e) == 0);
	return 0;
}
TEST_OF(secrets)

UNIT(ports_and_pages)
{
	struct model_projects l;
	struct model_project r;
	int64_t id[5], n;
	char name[8];

	for (int i = 0; i < 5; i++) {
		snprintf(name, sizeof(name), "p%d", i);
		id[i] = fixture_project(db, name, e);
		CHECK(id[i] > 0);
	}
	CHECK(model_project_get_id(db, a, id[4], MODEL_EVERYTHING, &r, e) == 1 &&
	      r.first_port == 20040);
	/* A freed block is the next to be given out. */
	CHECK(model_project_remove(db, id[1], 500, e) == 1);
	CHECK(model_project_remove(db, id[1], 500, e) == 0);
	CHECK(model_project_get(db, a, STR("p1"), MODEL_EVERYTHING, &r, e) == 0);
	CHECK(model_project_set_user_no(db, id[1], 1, e) == -1);
	n = fixture_project(db, "p1", e);
	CHECK(n > 0 && n != id[1]);
	CHECK(
	    model_project_get_id(db, a, n, MODEL_EVERYTHING, &r, e) == 1 && r.first_port == 20010);
	CHECK(model_project_list(db, a, STR(""), 2, MODEL_EVERYTHING, &l, e) == 0);
	CHECK(l.n == 2 && l.more && str_eq_c(l.v[1].name, "p1"));
	CHECK(model_project_list(db, a, l.v[1].name, 3, MODEL_EVERYTHING, &l, e) == 0);
	CHECK(l.n == 3 && !l.more && str_eq_c(l.v[0].name, "p2"));
	CHECK(model_project_count(db, &n, e) == 0 && n == 5);
	CHECK(model_project_purge(db, 501, e) == 0);
	CHECK(model_project_count(db, &n, e) == 0 && n == 5);
	return 0;
}
TEST_OF(ports_and_pages)

/* What outlives a project's row names it by number: archives, records of the audit. */
UNIT(no_number_comes_again)
{
	struct model_project above = {.id = 70, .name = STR("d"), .kind = STR("static")};
	struct store_stmt *q;
	int64_t gone = fixture_project(db, "a", e), next, id;

	CHECK(model_project_remove(db, gone, 500, e) == 1);
	CHECK(model_project_purge(db, 501, e) == 0);
	CHECK((next = fixture_project(db, "b", e)) > gone);
	CHECK(model_project_get(db, a, STR("a"), MODEL_EVERYTHING, &above, e) == 0);
	/* Removed and purged by an earlier Slipway, which kept no account of its numbers. */
	q = store_prepare(db, "DELETE FROM meta WHERE key = 'project_last'", e);
	CHECK(q && store_exec(q, e) == 0);
	q = store_prepare(db,
	    "INSERT INTO audit(at_ms, project_id, operator, action, target, outcome, detail, chain)"
	    " VALUES (1, 41, '', '', '', '', '', x'00')",
	    e);
	CHECK(q && store_exec(q, e) == 0);
	CHECK(fixture_project(db, "c", e) == 42 && next < 42);
	CHECK(model_project_add(db, &above, &id, e) == 0 && id == 71);
	return 0;
}
TEST_OF(no_number_comes_again)

UNIT(scale)
{
	struct model_scales l;
	int64_t id = fixture_project(db, "shop", e);

	CHECK(model_scale_set(db, id, STR("web"), 2, e) == 0);
	CHECK(model_scale_set(db, id, STR("web"), 3, e) == 0);
	CHECK(model_scale_set(db, id, STR("beat"), 0, e) == 0);
	CHECK(model_scale_set(db, id, STR("web"), 11, e) == -1 && e->code == ERR_INVALID);
	CHECK(model_scale_list(db, a, id, MODEL_EVERYTHING, &l, e) == 0);
	CHECK(l.n == 2 && str_eq_c(l.v[0].process, "beat") && l.v[1].count == 3);
	return 0;
}
TEST_OF(scale)

UNIT(domains)
{
	struct model_domains l;
	struct model_domain d;
	int64_t one = fixture_project(db, "one", e), two = fixture_project(db, "two", e);
	char host[32];

	CHECK(model_domain_add(db, one, STR("a.example"), 5, e) == 1);
	CHECK(model_domain_add(db, one, STR("a.example"), 5, e) == 0);
	CHECK(model_domain_add(db, two, STR("a.example"), 5, e) == -1 && e->code == ERR_CONFLICT);
	CHECK(!strstr(e->msg, "one")); /* whose it is stays unsaid */
	CHECK(model_domain_remove(db, two, STR("a.example"), e) == 0);
	CHECK(model_domain_get(db, a, STR("a.example"), MODEL_EVERYTHING, &d, e) == 1 &&
	      str_eq_c(d.project, "one"));
	CHECK(model_domain_remove(db, one, STR("a.example"), e) == 1);
	CHECK(model_domain_add(db, two, STR("a.example"), 5, e) == 1);
	CHECK(model_domain_add(db, 99, STR("z.example"), 5, e) == -1 && e->code == ERR_NOT_FOUND);
	for (unsigned i = 0; i < LIMIT_DOMAINS; i++) {
		snprintf(host, sizeof(host), "h%u.example", i);
		CHECK(model_domain_add(db, one, str_c(host), 5, e) == 1);
	}
	CHECK(
	    model_domain_add(db, one, STR("more.example"), 5, e) == -1 && e->code == ERR_TOO_LARGE);
	CHECK(model_domain_list(db, a, 0, STR(""), MODEL_EVERYTHING, &l, e) == 0 &&
	      l.n == LIMIT_DOMAINS + 1);
	CHECK(model_domain_list(db, a, two, STR(""), MODEL_EVERYTHING, &l, e) == 0 && l.n == 1);
	return 0;
}
TEST_OF(domains)

static bool env_is(const struct model_envs *l, const char *want)
{
	char got[256] = "";
	size_t n = 0;

	for (size_t i = 0; i < l->n; i++)
		n += (size_t)snprintf(got + n, sizeof(got) - n, "%.*s=%.*s ", STR_ARG(l->v[i].key),
		    STR_ARG(l->v[i].sealed));
	return strcmp(got, want) == 0;
}

UNIT(env_versions)
{
	struct model_env_change first[] = {{.key = STR("A"), .sealed = STR("1")},
	    {.key = STR("B"), .sealed = STR("2"), .secret = true}};
	struct model_env_change second[] = {{.key = STR("A"), .sealed = STR("3")},
	    {.key = STR("C"), .sealed = STR(""), .build = true}};
	struct model_env_change third[] = {{.key = STR("B")}};
	struct model_envs l;
	struct model_env one;
	int64_t id = fixture_project(db, "shop", e), other = fixture_project(db, "other", e), v;

	CHECK(model_env_set(db, id, NULL, 0, 1, &v, e) == 0 && v == 0);
	CHECK(model_env_set(db, id, first, 2, 1, &v, e) == 0 && v == 1);
	CHECK(model_env_set(db, id, second, 2, 2, &v, e) == 0 && v == 2);
	CHECK(model_env_set(db, id, third, 1, 3, &v, e) == 0 && v == 3);
	CHECK(model_env_set(db, other, first, 1, 3, &v, e) == 0 && v == 1);
	CHECK(model_env_list(db, a, id, 0, MODEL_EVERYTHING, &l, e) == 0 && env_is(&l, "A=3 C= ") &&
	      l.version == 3);
	CHECK(l.v[1].build && !l.v[1].secret);
	CHECK(model_env_list(db, a, id, 1, MODEL_EVERYTHING, &l, e) == 0 &&
	      env_is(&l, "A=1 B=2 ") && l.version == 1);
	CHECK(l.v[1].secret);
	CHECK(model_env_list(db, a, id, 2, MODEL_EVERYTHING, &l, e) == 0 &&
	      env_is(&l, "A=3 B=2 C= "));
	CHECK(model_env_get(db, a, id, STR("B"), MODEL_EVERYTHING, &one, e) == 0);
	CHECK(
	    model_env_get(db, a, id, STR("A"), MODEL_EVERYTHING, &one, e) == 1 && one.version == 2);
	/* Nothing refers to the versions 1 and 2: pruning keeps what holds now, and the version
	 * goes on. */
	CHECK(model_env_prune(db, id, e) == 0);
	CHECK(model_env_list(db, a, id, 0, MODEL_EVERYTHING, &l, e) == 0 && env_is(&l, "A=3 C= ") &&
	      l.version == 3);
	CHECK(model_env_set(db, id, first, 2, 4, &v, e) == 0 && v == 4);
	CHECK(model_env_version(db, id, &v, e) == 0 && v == 4);
	return 0;
}
TEST_OF(env_versions)

UNIT(env_limit)
{
	struct model_env_change c[LIMIT_ENV_COUNT + 1];
	char(*keys)[8] = calloc(LIMIT_ENV_COUNT + 1, 8);
	int64_t id = fixture_project(db, "shop", e), v;
	int rc;

	for (unsigned i = 0; i <= LIMIT_ENV_COUNT; i++) {
		snprintf(keys[i], 8, "K%u", i);
		c[i] = (struct model_env_change){.key = str_c(keys[i]), .sealed = STR("x")};
	}
	rc = model_env_set(db, id, c, LIMIT_ENV_COUNT, 1, &v, e);
	CHECK(rc == 0);
	rc = model_env_set(db, id, &c[LIMIT_ENV_COUNT], 1, 1, &v, e);
	CHECK(rc == -1 && e->code == ERR_TOO_LARGE);
	free(keys);
	(void)a;
	return 0;
}
TEST_OF(env_limit)

UNIT(idempotency)
{
	struct model_idempotency i = {.operator_id = 3,
				     .key = STR("k"),
				     .route = STR("POST /x"),
				     .request_hash = STR("h1"),
				     .at_ms = 100},
				 r;

	CHECK(model_idempotency_begin(db, a, &i, 1000, &r, e) == 1);
	CHECK(model_idempotency_begin(db, a, &i, 1000, &r, e) == 0 && r.status == 0);
	i.at_ms = 1100; /* whoever began it is gone */
	CHECK(model_idempotency_begin(db, a, &i, 1000, &r, e) == 1);
	CHECK(model_idempotency_finish(db, 3, STR("k"), 201, STR("{\0}"), e) == 0);
	i.at_ms = 9000;
	CHECK(model_idempotency_begin(db, a, &i, 1000, &r, e) == 0 && r.status == 201 &&
	      str_eq(r.body, STR("{\0}")));
	i.request_hash = STR("h2");
	CHECK(model_idempotency_begin(db, a, &i, 1000, &r, e) == -1 && e->code == ERR_CONFLICT);
	i.operator_id = 4; /* keys of others are others */
	CHECK(model_idempotency_begin(db, a, &i, 1000, &r, e) == 1);
	CHECK(model_idempotency_drop(db, 4, STR("k"), e) == 0);
	CHECK(model_idempotency_begin(db, a, &i, 1000, &r, e) == 1);
	CHECK(model_idempotency_prune(db, 9000, e) == 0);
	i.operator_id = 3;
	CHECK(model_idempotency_begin(db, a, &i, 1000, &r, e) == 1);
	return 0;
}
TEST_OF(idempotency)

UNIT(make_newer)
{
	(void)a;
	return store_script(db, "UPDATE meta SET value = 2 WHERE key = 'schema_major'", e);
}

UNIT(make_newer_minor)
{
	(void)a;
	return store_script(db,
	    "UPDATE meta SET value = 1 WHERE key = 'schema_major'; UPDATE meta SET value = 99 "
	    "WHERE key = 'schema_minor'",
	    e);
}

static void test_schema_versions(void **state)
{
	struct err e = {0};
	struct store *s = fixture_open();

	(void)state;
	assert_int_equal(model_migrate(s, &e), 0); /* once more: nothing to do */
	fixture_run(s, make_newer);
	assert_int_equal(model_migrate(s, &e), -1);
	assert_int_equal(e.code, ERR_SETTINGS);
	assert_non_null(strstr(e.msg, "newer"));
	fixture_run(s, make_newer_minor);
	assert_int_equal(model_migrate(s, &e), 0);
	store_close(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_add_get_update),
	    cmocka_unit_test(test_secrets), cmocka_unit_test(test_ports_and_pages),
	    cmocka_unit_test(test_no_number_comes_again), cmocka_unit_test(test_scale),
	    cmocka_unit_test(test_domains), cmocka_unit_test(test_env_versions),
	    cmocka_unit_test(test_env_limit), cmocka_unit_test(test_idempotency),
	    cmocka_unit_test(test_schema_versions)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
