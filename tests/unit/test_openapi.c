/* rooms: base loop crypto text store model http access queue source priv render launch run
 * outbound notify edge observe hooks kinds deploy api */
/* The OpenAPI document and the table of routes agree, both ways; every schema that is named is
 * there. */
#include "api_world.h"

#include "api/call.h"
#include "api/schema.h"

static json_t *document(void)
{
	struct err e = {0};
	struct buf b CLEANUP_BUF;
	buf_init(&b, 4u << 20);
	api_openapi_write(&b);
	assert_false(b.full);
	json_t *d = json_read(buf_view(&b), &e);
	if (!d)
		fail_msg("%s", e.msg);
	return d;
}

static const char *const methods[HTTP_METHOD_COUNT] = {
    "get", "head", "post", "put", "patch", "delete"};

static void test_every_route_is_documented(void **state)
{
	(void)state;
	json_t *d CLEANUP_JSON = document();
	json_t *paths = json_object_get(d, "paths");
	size_t count, operations = 0;
	const struct api_route *t = api_route_table(&count);
	for (size_t i = 0; i < count; i++) {
		json_t *path = json_object_get(paths, t[i].pattern);
		json_t *operation = json_object_get(path, methods[t[i].method]);
		assert_non_null(operation);
		assert_true(json_string_length(json_object_get(operation, "summary")) > 3);
		assert_string_equal(json_string_value(json_object_get(operation, "x-access")),
		    access_need_name(t[i].access.need));
		char status[8];
		snprintf(status, sizeof(status), "%d", t[i].status);
		assert_non_null(json_object_get(json_object_get(operation, "responses"), status));
	}
	const char *pattern;
	json_t *path;
	json_object_foreach(paths, pattern, path) operations += json_object_size(path);
	assert_int_equal(operations, count);
}

static void test_every_route_is_served(void **state)
{
	(void)state;
	size_t count, served;
	const struct api_route *t = api_route_table(&count);
	const struct http_route *r = api_routes(&served);
	assert_int_equal(count, served);
	for (size_t i = 0; i < count; i++) {
		assert_string_equal(r[i].pattern, t[i].pattern);
		assert_ptr_equal(r[i].access, &t[i].access);
		assert_int_equal(r[i].where, HTTP_ON_POOL);
		assert_int_equal(r[i].body_max, t[i].body_max);
		/* What changes something says so in the audit trail; what only reads does not. */
		assert_int_equal(t[i].access.action != NULL, t[i].method != HTTP_GET);
		assert_int_equal(
		    strstr(t[i].pattern, "{project}") != NULL, t[i].access.scope == ACCESS_PROJECT ||
			t[i].access.scope == ACCESS_ABOVE);
		assert_int_equal(
		    strstr(t[i].pattern, "{task}") != NULL, t[i].access.scope == ACCESS_TASK);
	}
}

static void refs_check(const json_t *v)
{
	const json_t *member;
	const char *key;
	size_t i;
	if (json_is_array(v)) {
		json_array_foreach(v, i, member) refs_check(member);
		return;
	}
	json_object_foreach((json_t *)(uintptr_t)v, key, member)
	{
		if (strcmp(key, "$ref") != 0) {
			refs_check(member);
			continue;
		}
		const char *name = strrchr(json_string_value(member), '/') + 1;
		if (!api_schema_find(name))
			fail_msg("there is no schema %s", name);
	}
}

static void test_every_schema_is_there(void **state)
{
	(void)state;
	json_t *d CLEANUP_JSON = document();
	refs_check(d);
	size_t count = 0;
	for (const struct api_schema *s; (s = api_schema_at(count)); count++)
		assert_ptr_equal(api_schema_find(s->name), s);
	assert_true(count > 80);
	assert_int_equal(
	    count, json_object_size(json_object_get(json_object_get(d, "components"), "schemas")));
}

/* Every answer that the running API gives to a GET fits the schema that its route names. */
static void test_answers_fit(void **state)
{
	(void)state;
	size_t count, fitted = 0;
	const struct api_route *t = api_route_table(&count);
	struct err err = {0};
	int64_t releases[2];
	assert_int_equal(store_write(world.cx.store, sealed_unit, releases, &err), 0);
	CALL(ROOT, "PUT", "/api/v1/projects/own/env", "{\"A\":{\"value\":\"1\"}}", 200);
	CALL(ROOT, "POST", "/api/v1/projects/own/domains", "{\"domain\":\"a.example.org\"}", 201);
	CALL(ROOT, "PUT", "/api/v1/projects/own/processes/web", "{\"count\":2}", 202);
	CALL(ROOT, "POST", "/api/v1/channels",
	    "{\"name\":\"own\",\"type\":\"mail\",\"target\":\"anna@example.org\"}", 201);
	CALL(ROOT, "POST", "/api/v1/channels/own/test", "{}", 202);
	CALL(ROOT, "PUT", "/api/v1/mail-server",
	    "{\"host\":\"mail.example.org\",\"from\":\"slipway@example.org\"}", 200);
	for (size_t i = 0; i < count; i++) {
		const struct api_schema *s = api_schema_find(t[i].answer);
		if (t[i].method != HTTP_GET || !s)
			continue;
		char path[256];
		const char *at = strchr(t[i].pattern, '{');
		snprintf(path, sizeof(path), "%s", t[i].pattern);
		if (at) {
			const char *rest = strchr(at, '}') + 1;
			const char *last = strchr(rest, '{');
			snprintf(path, sizeof(path), "%.*s%s%.*s%s", (int)(at - t[i].pattern),
			    t[i].pattern,
			    t[i].access.scope == ACCESS_TASK  ? "1"
			    : strstr(t[i].pattern, "{which}") ? "host"
							      : "own",
			    last ? (int)(last - rest) : 100, rest,
			    !last		   ? ""
			    : strstr(rest, "hook") ? "ownhook"
						   : "1");
		}
		struct answer a = call(G_OWNER, "GET", path, NULL);
		struct err e = {0};
		if (a.status == 404 && strstr(t[i].pattern, "{project}/")) {
			answer_free(&a); /* no release and no event was made here */
			continue;
		}
		EXPECT(a, t[i].status);
		if (api_schema_check(s, a.json, &e) < 0)
			fail_msg("%s: %s (%s)\n%s", path, e.msg, e.hint, a.body);
		fitted++;
		answer_free(&a);
	}
	assert_true(fitted > 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_every_route_is_documented),
	    cmocka_unit_test(test_every_route_is_served),
	    cmocka_unit_test(test_every_schema_is_there),
	    cmocka_unit_test_setup_teardown(test_answers_fit, world_setup, world_teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
