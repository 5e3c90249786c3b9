/* rooms: base crypto text store model loop edge */
/* Certificates over time: when the next try is, what an authority's words mean; the rows that
 * remember it. */
#include "edge/acme.h"
#include "model/project.h"
#include "model/site_certificate.h"
#include "model_fixture.h"

#define HOUR_MS (3600 * (int64_t)1000)
#define DAY_MS (24 * HOUR_MS)

static void test_times(void **state)
{
	(void)state;
	/* 90 days: after 60 */
	assert_int_equal(model_certificate_renew_at(1000, 1000 + 90 * DAY_MS), 1000 + 60 * DAY_MS);
	assert_int_equal(model_certificate_retry_at(0, 1, 0), HOUR_MS / 6);
	assert_int_equal(model_certificate_retry_at(0, 2, 0), HOUR_MS / 3);
	assert_int_equal(model_certificate_retry_at(0, 40, 0), DAY_MS);
	assert_int_equal(model_certificate_retry_at(5, INT64_MAX, 0), 5 + DAY_MS);
	assert_int_equal(model_certificate_retry_at(0, 1, 2 * DAY_MS), 2 * DAY_MS);
}

static void test_whom_it_serves(void **state)
{
	(void)state;
	struct model_certificate c = {
	    .origin = MODEL_ORIGIN_ACME, .names = STR("shop.example.org *.wild.example.org")};
	assert_true(model_certificate_serves(&c, STR("shop.example.org")));
	assert_true(model_certificate_serves(&c, STR("a.wild.example.org")));
	assert_false(model_certificate_serves(&c, STR("wild.example.org")));
	assert_false(model_certificate_serves(&c, STR("a.b.wild.example.org")));
	assert_false(model_certificate_serves(&c, STR("shop.example.or")));
	assert_false(model_certificate_serves(&c, STR("")));
	c.origin = MODEL_ORIGIN_STAGING;
	assert_false(model_certificate_serves(&c, STR("shop.example.org")));
	c = (struct model_certificate){0};
	assert_false(model_certificate_serves(&c, STR("shop.example.org")));
}

static void test_retry_after(void **state)
{
	(void)state;
	static const char text[] = "Error creating new order :: too many certificates (5) already "
				   "issued for this exact set of "
				   "identifiers in the last 168h0m0s, retry after 2026-11-27 "
				   "10:00:01 UTC: see https://letsencrypt.org";
	assert_int_equal(acme_retry_after_ms(str_c(text)), 1795773601000);
	assert_int_equal(
	    acme_retry_after_ms(STR("retry after 2026-11-27T10:00:01Z")), 1795773601000);
	assert_int_equal(
	    acme_retry_after_ms(STR("retry after 2026-11-27T10:00:01.5Z")), 1795773601000);
	static const char *const none[] = {"", "retry after", "retry after ",
	    "retry after tomorrow, whenever that is", "2026-11-27 10:00:01 UTC",
	    "retry after 2026-13-27 10:00:01 UTC", "retry after 2026-11-27 1"};
	for (size_t i = 0; i < sizeof(none) / sizeof(*none); i++)
		assert_int_equal(acme_retry_after_ms(str_c(none[i])), 0);
}

UNIT(rows)
{
	struct model_certificate c = {.origin = MODEL_ORIGIN_ACME,
				     .names = STR("shop.test www.shop.test"),
				     .issuer = STR("x"),
				     .serial = STR("01"),
				     .not_before_ms = 1,
				     .not_after_ms = 100 * DAY_MS,
				     .installed_ms = 2,
				     .renew_ms = 50},
				 got;
	struct model_certificates list;
	struct str chain, key;
	c.project_id = fixture_project(db, "shop", e);
	CHECK(c.project_id > 0);
	CHECK(model_certificate_get(db, a, c.project_id, MODEL_EVERYTHING, &got, e) == 0);
	CHECK(model_certificate_put(db, &c, e) == 0);
	CHECK(model_certificate_get(db, a, c.project_id, MODEL_EVERYTHING, &got, e) == 1);
	CHECK(str_eq(got.names, c.names) && got.renew_ms == 50 && got.origin == MODEL_ORIGIN_ACME);
	/* taken once: the next time is later, until its task says better */
	CHECK(model_certificate_take_due(db, a, 49, 1000, 5, &list, e) == 0 && list.n == 0);
	CHECK(model_certificate_take_due(db, a, 50, 1000, 5, &list, e) == 0 && list.n == 1);
	CHECK(model_certificate_take_due(db, a, 50, 1000, 5, &list, e) == 0 && list.n == 0);
	/* told once a day */
	CHECK(model_certificate_take_ending(db, a, DAY_MS, 101 * DAY_MS, 1, &list, e) == 0 &&
	      list.n == 1);
	CHECK(model_certificate_take_ending(db, a, DAY_MS, 101 * DAY_MS, 1, &list, e) == 0 &&
	      list.n == 0);
	CHECK(model_certificate_take_ending(
		  db, a, 3 * DAY_MS, 101 * DAY_MS, 2 * DAY_MS, &list, e) == 0 &&
	      list.n == 1);
	CHECK(model_certificate_take_ending(db, a, 9 * DAY_MS, 99 * DAY_MS, 8 * DAY_MS, &list, e) ==
		  0 &&
	      list.n == 0);
	/* a time that cannot be is of a clock that was ahead: that is two thirds of its life, an
	 * authority's, or within a day */
	c.renew_ms = model_certificate_renew_at(c.not_before_ms, c.not_after_ms);
	CHECK(!model_certificate_too_late(&c, 5) && model_certificate_put(db, &c, e) == 0);
	CHECK(model_certificate_set_back(db, 5, e) == 0);
	CHECK(model_certificate_take_due(db, a, 5, 1000, 5, &list, e) == 0 && list.n == 0);
	c.renew_ms++;
	CHECK(model_certificate_too_late(&c, 5) && model_certificate_put(db, &c, e) == 0);
	CHECK(!model_certificate_too_late(&c, c.renew_ms - DAY_MS));
	CHECK(model_certificate_set_back(db, c.renew_ms - DAY_MS, e) == 0);
	CHECK(model_certificate_take_due(db, a, 5, 1000, 5, &list, e) == 0 && list.n == 0);
	c.limited_ms = c.renew_ms;
	CHECK(!model_certificate_too_late(&c, 5) && model_certificate_put(db, &c, e) == 0);
	CHECK(model_certificate_set_back(db, 5, e) == 0);
	CHECK(model_certificate_take_due(db, a, 5, 1000, 5, &list, e) == 0 && list.n == 0);
	c.limited_ms = 0;
	CHECK(model_certificate_put(db, &c, e) == 0 && model_certificate_set_back(db, 5, e) == 0);
	CHECK(model_certificate_take_due(db, a, 5, 1000, 5, &list, e) == 0 && list.n == 1);
	/* what is given stands beside what is installed, and goes */
	CHECK(model_certificate_given(db, a, c.project_id, &chain, &key, e) == 0);
	CHECK(model_certificate_give(db, c.project_id, STR("chain"), STR("\x01sealed"), e) == 0);
	CHECK(model_certificate_put(db, &c, e) == 0);
	CHECK(model_certificate_given(db, a, c.project_id, &chain, &key, e) == 1 &&
	      str_eq(key, STR("\x01sealed")));
	CHECK(model_certificate_given_forget(db, c.project_id, e) == 0);
	CHECK(model_certificate_given(db, a, c.project_id, &chain, &key, e) == 0);
	CHECK(model_certificate_list(db, a, MODEL_EVERYTHING, &list, e) == 0 && list.n == 1);
	CHECK(model_certificate_remove(db, c.project_id, e) == 0);
	CHECK(model_certificate_get(db, a, c.project_id, MODEL_EVERYTHING, &got, e) == 0);
	return 0;
}
TEST_OF(rows)

/* Beside each other and beside the project's own; due and told likewise; gone one by one. */
UNIT(site_rows)
{
	struct model_certificate one = {.site = STR("one.test"),
				     .origin = MODEL_ORIGIN_NONE,
				     .renew_ms = 50,
				     .error = STR("why"),
				     .failures = 2},
				 two = {.site = STR("two.test"),
				     .origin = MODEL_ORIGIN_ACME,
				     .names = STR("two.test"),
				     .not_after_ms = DAY_MS,
				     .installed_ms = 2,
				     .renew_ms = 60},
				 got;
	struct model_certificates list;
	one.project_id = two.project_id = fixture_project(db, "shop", e);
	CHECK(one.project_id > 0);
	CHECK(model_site_certificate_put(db, &two, e) == 0);
	CHECK(model_site_certificate_put(db, &one, e) == 0);
	one.failures = 3;
	CHECK(model_site_certificate_put(db, &one, e) == 0);
	CHECK(model_site_certificate_list(db, a, one.project_id, MODEL_EVERYTHING, &list, e) == 0);
	CHECK(list.n == 2 && str_eq(list.v[0].site, one.site) && list.v[0].failures == 3);
	CHECK(model_site_certificate_get(
		  db, a, one.project_id, two.site, MODEL_EVERYTHING, &got, e) == 1);
	CHECK(str_eq(got.names, two.names) && str_eq_c(got.project, "shop"));
	CHECK(model_certificate_get(db, a, one.project_id, MODEL_EVERYTHING, &got, e) == 0);
	CHECK(model_site_certificate_take_due(db, a, 55, 1000, 5, &list, e) == 0 && list.n == 1);
	CHECK(str_eq(list.v[0].site, one.site));
	CHECK(model_site_certificate_take_due(db, a, 60, 1000, 5, &list, e) == 0 && list.n == 1);
	CHECK(model_site_certificate_take_due(db, a, 60, 1000, 5, &list, e) == 0 && list.n == 0);
	one.renew_ms = two.renew_ms = DAY_MS + 61;
	CHECK(model_site_certificate_put(db, &one, e) == 0);
	CHECK(model_site_certificate_put(db, &two, e) == 0);
	CHECK(model_site_certificate_set_back(db, 61, e) == 0);
	CHECK(model_site_certificate_take_due(db, a, 61, 1000, 5, &list, e) == 0 && list.n == 0);
	CHECK(model_site_certificate_set_back(db, 60, e) == 0);
	CHECK(model_site_certificate_take_due(db, a, 60, 1000, 5, &list, e) == 0 && list.n == 2);
	CHECK(model_site_certificate_take_ending(db, a, 1, 2 * DAY_MS, 1, &list, e) == 0);
	CHECK(list.n == 1 && str_eq(list.v[0].site, two.site));
	CHECK(model_site_certificate_remove(db, one.project_id, one.site, e) == 0);
	CHECK(model_site_certificate_list(db, a, one.project_id, MODEL_EVERYTHING, &list, e) == 0);
	CHECK(list.n == 1);
	CHECK(model_project_remove(db, one.project_id, 9, e) == 1);
	CHECK(model_site_certificate_take_due(db, a, 5000, 9000, 5, &list, e) == 0 && list.n == 0);
	return 0;
}
TEST_OF(site_rows)

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_times),
	    cmocka_unit_test(test_whom_it_serves), cmocka_unit_test(test_retry_after),
	    cmocka_unit_test(test_rows), cmocka_unit_test(test_site_rows)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
