/* rooms: base crypto text store model */
#include "model/release.h"

#include "base/clock.h"
#include "model/env.h"
#include "model/release_made.h"
#include "model_fixture.h"

static int64_t sealed(struct store_db *db, int64_t project, int64_t task, struct err *e)
{
	struct model_release r = {.project_id = project,
	    .task_id = task,
	    .attempt = 1,
	    .created_ms = 10,
	    .env_version = task};
	int64_t n;

	if (model_release_begin(db, &r, &n, e) < 0 ||
	    model_release_seal(db, project, n, 100, 20, e) != 1)
		return -1;
	return n;
}

UNIT(life)
{
	struct model_release r = {.task_id = 7,
				 .attempt = 1,
				 .commit = STR("c0ffee"),
				 .subject = STR("Fix"),
				 .created_ms = 5},
			     got;
	int64_t id = fixture_project(db, "shop", e), other = fixture_project(db, "other", e), n, m;

	r.project_id = id;
	CHECK(model_release_begin(db, &r, &n, e) == 0 && n == 1);
	CHECK(model_release_begin(db, &r, &m, e) == 0 && m == 1); /* the step was repeated */
	CHECK(model_release_set_plan(db, id, 1, STR("{\"kind\":\"static\"}"), e) == 1);
	CHECK(model_release_set_migrated(db, id, 1, e) == 1);
	CHECK(model_release_seal(db, id, 1, 1234, 99, e) == 1);
	CHECK(model_release_seal(db, id, 1, 1234, 200, e) == 1);
	CHECK(model_release_set_plan(db, id, 1, STR("{}"), e) == 0); /* sealed means sealed */
	CHECK(model_release_seal(db, id, 2, 1, 1, e) == 0);
	CHECK(model_release_get(db, a, id, 1, MODEL_EVERYTHING, &got, e) == 1);
	CHECK(got.state == MODEL_RELEASE_SEALED && got.size_bytes == 1234 && got.sealed_ms == 99 &&
	      got.migrated);
	CHECK(str_eq_c(got.plan, "{\"kind\":\"static\"}") && str_eq_c(got.commit, "c0ffee") &&
	      !got.live);
	r.attempt = 2;
	CHECK(model_release_begin(db, &r, &n, e) == 0 && n == 2);
	CHECK(model_release_fail(db, id, 2, e) == 1);
	CHECK(model_release_seal(db, id, 2, 1, 1, e) == 0);
	r.project_id = other; /* numbers are a project's own */
	CHECK(model_release_begin(db, &r, &n, e) == 0 && n == 1);
	CHECK(model_live_set(db, other, 1, 1, e) == -1 && e->code == ERR_NOT_FOUND);
	return 0;
}
TEST_OF(life)

UNIT(made)
{
	struct model_release r = {.task_id = 7, .attempt = 1}, got;
	int64_t id = fixture_project(db, "shop", e), n;

	r.project_id = id;
	CHECK(model_release_begin(db, &r, &n, e) == 0 && n == 1);
	r.number = 1;
	r.commit = STR("c0ffee");
	r.author = STR("Anna");
	CHECK(model_release_describe(db, &r, e) == 1);
	CHECK(model_release_get(db, a, id, 1, MODEL_EVERYTHING, &got, e) == 1);
	CHECK(str_eq_c(got.commit, "c0ffee") && str_eq_c(got.author, "Anna") && got.ref.n == 0);
	CHECK(model_release_discard(db, id, 1, e) == 1 && model_release_discard(db, id, 1, e) == 0);
	CHECK(model_release_get(db, a, id, 1, MODEL_EVERYTHING, &got, e) == 0);
	for (int i = 1; i <= 4; i++)
		CHECK(sealed(db, id, i, e) == i);
	CHECK(model_release_describe(db, &r, e) == 0 && model_release_discard(db, id, 1, e) == 0);
	CHECK(model_release_set_migrated(db, id, 2, e) == 1 &&
	      model_release_set_migrated(db, id, 3, e) == 1);
	CHECK(model_release_migrated_between(db, id, 1, 4, &n, e) == 1 && n == 3);
	CHECK(model_release_migrated_between(db, id, 1, 2, &n, e) == 1 && n == 2);
	CHECK(model_release_migrated_between(db, id, 3, 4, &n, e) == 0);
	return 0;
}
TEST_OF(made)

UNIT(live)
{
	struct model_release got;
	int64_t id = fixture_project(db, "shop", e), now, before;
	struct model_project p;

	for (int i = 1; i <= 3; i++)
		CHECK(sealed(db, id, i, e) == i);
	CHECK(model_live_get(db, id, &now, &before, e) == 0 && now == 0);
	CHECK(model_live_set(db, id, 1, 1, e) == 0);
	CHECK(model_live_set(db, id, 3, 1, e) == 0);
	CHECK(model_live_set(db, id, 3, 1, e) == 0); /* again */
	CHECK(model_live_get(db, id, &now, &before, e) == 1 && now == 3 && before == 1);
	CHECK(model_release_get(db, a, id, 3, MODEL_EVERYTHING, &got, e) == 1 && got.live &&
	      !got.previous);
	CHECK(model_project_get_id(db, a, id, MODEL_EVERYTHING, &p, e) == 1 && p.live == 3 &&
	      p.previous == 1);
	CHECK(model_release_fail(db, id, 3, e) == 0); /* not what is live */
	CHECK(model_release_before(db, a, id, 3, &got, e) == 1 && got.number == 2);
	CHECK(model_release_before(db, a, id, 1, &got, e) == 0);
	CHECK(model_live_correct(db, id, 2, 0, 1, e) == 0);
	CHECK(model_live_get(db, id, &now, &before, e) == 1 && now == 2 && before == 0);
	CHECK(model_live_correct(db, id, 0, 0, 1, e) == 0);
	CHECK(model_live_get(db, id, &now, &before, e) == 0);
	return 0;
}
TEST_OF(live)

UNIT(pruning)
{
	struct model_releases l;
	struct model_release r = {.task_id = 100, .attempt = 1};
	int64_t id = fixture_project(db, "shop", e), n;

	for (int i = 1; i <= 6; i++)
		CHECK(sealed(db, id, i, e) == i);
	r.project_id = id;
	CHECK(model_release_begin(db, &r, &n, e) == 0 && model_release_fail(db, id, 7, e) == 1);
	/* Without anything live: the failed one and what is beyond the two newest. */
	CHECK(model_release_prunable(db, a, id, 2, &l, e) == 0 && l.n == 5);
	CHECK(model_live_set(db, id, 2, 1, e) == 0 && model_live_set(db, id, 1, 1, e) == 0);
	CHECK(model_release_prunable(db, a, id, 2, &l, e) == 0 && l.n == 3);
	CHECK(l.v[0].number == 3 && l.v[1].number == 4 && l.v[2].number == 7);
	CHECK(model_release_prune(db, id, 1, e) == 0); /* live */
	CHECK(model_release_prune(db, id, 2, e) == 0); /* previous */
	CHECK(model_release_prune(db, id, 3, e) == 1);
	CHECK(model_release_prune(db, id, 3, e) == 0);
	CHECK(model_release_set_migrated(db, id, 3, e) == 0);
	CHECK(model_release_list(
		  db, a, id, (struct model_page){.limit = 3}, MODEL_EVERYTHING, &l, e) == 0);
	CHECK(l.n == 3 && l.more && l.v[0].number == 7);
	CHECK(model_release_list(db, a, id, (struct model_page){.after = 5, .limit = 9},
		  MODEL_EVERYTHING, &l, e) == 0);
	CHECK(l.n == 4 && !l.more && l.v[0].number == 4 && l.v[1].state == MODEL_RELEASE_PRUNED);
	return 0;
}
TEST_OF(pruning)

/* An environment's history is kept as long as a release that can come back was built with it. */
UNIT(env_of_releases)
{
	struct model_env_change c = {.key = STR("A")};
	struct model_envs l;
	int64_t id = fixture_project(db, "shop", e), v;
	static const char *const values[] = {"1", "2", "3", "4"};

	for (int i = 0; i < 4; i++) {
		c.sealed = str_c(values[i]);
		CHECK(model_env_set(db, id, &c, 1, 1, &v, e) == 0);
	}
	CHECK(sealed(db, id, 2, e) == 1); /* env_version 2 */
	CHECK(model_env_prune(db, id, e) == 0);
	CHECK(model_env_list(db, a, id, 2, MODEL_EVERYTHING, &l, e) == 0 && l.n == 1 &&
	      str_eq_c(l.v[0].sealed, "2"));
	CHECK(model_env_list(db, a, id, 1, MODEL_EVERYTHING, &l, e) == 0 && l.n == 0);
	CHECK(model_env_list(db, a, id, 3, MODEL_EVERYTHING, &l, e) == 0 &&
	      str_eq_c(l.v[0].sealed, "2"));
	CHECK(model_release_prune(db, id, 1, e) == 1 && model_env_prune(db, id, e) == 0);
	CHECK(model_env_list(db, a, id, 2, MODEL_EVERYTHING, &l, e) == 0 && l.n == 0);
	CHECK(model_env_list(db, a, id, 0, MODEL_EVERYTHING, &l, e) == 0 &&
	      str_eq_c(l.v[0].sealed, "4"));
	return 0;
}
TEST_OF(env_of_releases)

/* So many releases of the first version, and then two changes of forty variables. */
static int64_t pruning_us(struct store_db *db, const char *name, int64_t releases, struct err *e)
{
	char key[40][8];
	struct model_env_change c[40];
	int64_t id = fixture_project(db, name, e), v = 0;
	struct store_stmt *q = store_prepare(db,
	    "WITH RECURSIVE k(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM k WHERE i < $n)"
	    " INSERT INTO release(project_id, number, state, commit_id, ref, subject, author,"
	    " env_version, created_ms, task_id, attempt)"
	    " SELECT $project, i, 'sealed', 'c', 'main', '', '', 1, 1, i, 1 FROM k",
	    e);

	if (!q)
		return -1;
	store_bind_i64(q, "$n", releases);
	store_bind_i64(q, "$project", id);
	if (store_exec(q, e) < 0)
		return -1;
	for (int i = 0; i < 40; i++) {
		snprintf(key[i], sizeof(key[i]), "K%d", i);
		c[i] = (struct model_env_change){.key = str_c(key[i]), .sealed = STR("x")};
	}
	for (int i = 0; i < 3; i++)
		if (model_env_set(db, id, c, 40, 1, &v, e) < 0)
			return -1;
	int64_t began = clock_mono_us();
	return model_env_prune(db, id, e) < 0 ? -1 : clock_mono_us() - began;
}

UNIT(env_of_many_releases)
{
	int64_t few_us = INT64_MAX, many_us = INT64_MAX;

	(void)a;
	for (int i = 0; i < 5; i++) { /* the shortest of five */
		char few[8], many[8];

		snprintf(few, sizeof(few), "few%d", i);
		snprintf(many, sizeof(many), "many%d", i);
		int64_t one = pruning_us(db, few, 1, e), all = pruning_us(db, many, 3000, e);
		CHECK(one >= 0 && all >= 0);
		few_us = one < few_us ? one : few_us;
		many_us = all < many_us ? all : many_us;
	}
	print_message("of one release: %d us; of 3,000: %d us\n", (int)few_us, (int)many_us);
	CHECK(many_us < 5 * few_us + 1000);
	return 0;
}
TEST_OF(env_of_many_releases)

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_life), cmocka_unit_test(test_made),
	    cmocka_unit_test(test_live), cmocka_unit_test(test_pruning),
	    cmocka_unit_test(test_env_of_releases), cmocka_unit_test(test_env_of_many_releases)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
