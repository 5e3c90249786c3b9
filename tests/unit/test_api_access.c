/* rooms: base loop crypto text store model http access queue source priv render launch run
 * outbound notify edge observe hooks kinds deploy api */
/* Every route × everybody × (own, other's, no project), expected from the table of routes itself;
 * and somebody else's id looks exactly like an absent one. */
#include "api_world.h"

#include "api/call.h"

/* "theirs" and "absent" have the same length, and so have the numbers of their tasks: bodies that
 * differ in the name alone become equal when one is written over the other. */
enum target { OWN, THEIRS, ABSENT, TARGET_COUNT };
static int64_t absent_task;
static const char *const project_names[TARGET_COUNT] = {"own", "theirs", "absent"};

static void path_make(const struct api_route *r, enum target t, char out[512])
{
	struct str rest = str_c(r->pattern), piece;
	size_t n = 0;
	int64_t tasks[TARGET_COUNT] = {world.own_task, world.theirs_task, absent_task};
	for (bool first = true; str_next(&rest, '/', &piece) == 1; first = false) {
		if (!first)
			out[n++] = '/';
		if (str_eq_c(piece, "{project}"))
			n += (size_t)sprintf(out + n, "%s", project_names[t]);
		else if (str_eq_c(piece, "{task}"))
			n += (size_t)sprintf(out + n, "%d", (int)tasks[t]);
		else if (piece.n && piece.p[0] == '{')
			n += (size_t)sprintf(out + n, "7777");
		else
			n += (size_t)sprintf(out + n, "%.*s", STR_ARG(piece));
	}
	out[n] = 0;
}

static enum model_role role_of(enum access_need n)
{
	return n >= ACCESS_VIEW ? (enum model_role)(MODEL_ROLE_VIEWER + (n - ACCESS_VIEW))
				: MODEL_ROLE_NONE;
}

/* What the authorizer must say: 401, 403, 404, or 0: it lets the call through. */
static int expected(const struct api_route *r, enum who w, enum target t)
{
	enum model_role least = role_of(r->access.need);
	if (r->access.need == ACCESS_PUBLIC)
		return 0;
	if (w == ANONYMOUS || w == WRONG_TOKEN)
		return 401;
	if (r->access.scope == ACCESS_GLOBAL)
		return who_global(w) >= least ? 0 : 403;
	enum model_role has = t == OWN ? who_on_own(w) : who_global(w);
	if (t == ABSENT || has == MODEL_ROLE_NONE)
		return 404;
	if (r->access.scope == ACCESS_ABOVE)
		has = who_global(w);
	return has >= least ? 0 : 403;
}

static bool from_authorizer(const struct answer *a)
{
	if (a->status == 401 || a->status == 403)
		return true;
	return a->status == 404 && (strstr(text_of(a, "detail"), "there is no project") ||
				       strstr(text_of(a, "detail"), "there is no task"));
}

static struct answer route_call(const struct api_route *r, enum who w, enum target t)
{
	char path[512];
	path_make(r, t, path);
	bool body = r->method != HTTP_GET && r->method != HTTP_DELETE;
	return call(w, http_method_name(r->method), path, body ? "{}" : NULL);
}

static void test_every_route(void **state)
{
	(void)state;
	size_t count, checked = 0;
	const struct api_route *table = api_route_table(&count);
	absent_task = 999999;
	for (size_t i = 0; i < count; i++)
		for (int w = 0; w < WHO_COUNT; w++)
			for (int t = 0; t < TARGET_COUNT; t++) {
				int want = expected(&table[i], (enum who)w, (enum target)t);
				struct answer a =
				    route_call(&table[i], (enum who)w, (enum target)t);
				if (want ? a.status != want : from_authorizer(&a))
					fail_msg("%s %s by %d on %s: %d instead of %d: %s",
					    http_method_name(table[i].method), table[i].pattern, w,
					    project_names[t], a.status, want, a.body);
				checked++;
				answer_free(&a);
			}
	print_message("%zu combinations\n", checked);
}

/* Takes out what differs with each request: its id, and the length that the id gives the body. */
static void mask(char *s)
{
	static const char *const markers[] = {
	    "request_id", "X-Request-Id", "Content-Length", "Date"};
	for (size_t i = 0; i < sizeof(markers) / sizeof(*markers); i++) {
		char *p = strstr(s, markers[i]);
		if (!p)
			continue;
		p += strlen(markers[i]);
		size_t n = strcspn(p, i == 0 ? ",}" : "\r"); /* a date holds a comma */
		memmove(p, p + n, strlen(p + n) + 1);
	}
}

/* `from` and `to` have the same length: one is written over the other. */
static void looks_equal(struct answer *theirs, struct answer *absent, const char *from,
    const char *to, const char *what)
{
	assert_int_equal(theirs->status, absent->status);
	for (char *p = absent->body; (p = strstr(p, from)); p += strlen(from))
		memcpy(p, to, strlen(to));
	char *pairs[2][2] = {{theirs->head, absent->head}, {theirs->body, absent->body}};
	for (int i = 0; i < 2; i++) {
		mask(pairs[i][0]);
		mask(pairs[i][1]);
		if (strcmp(pairs[i][0], pairs[i][1]) != 0)
			fail_msg("%s: theirs\n%s\nabsent\n%s", what, pairs[i][0], pairs[i][1]);
	}
}

static void test_theirs_is_absent(void **state)
{
	(void)state;
	size_t count, checked = 0;
	const struct api_route *table = api_route_table(&count);
	absent_task = 9; /* as long as theirs */
	assert_true(world.theirs_task < 9);
	for (size_t i = 0; i < count; i++) {
		if (table[i].access.scope == ACCESS_GLOBAL)
			continue;
		for (int w = NO_ROLE; w <= P_OWNER; w++) {
			char from[16] = "'absent'", to[16] = "'theirs'";
			if (who_global((enum who)w) != MODEL_ROLE_NONE)
				continue;
			if (table[i].access.scope == ACCESS_TASK) {
				snprintf(from, sizeof(from), "'9'");
				snprintf(to, sizeof(to), "'%d'", (int)world.theirs_task);
			}
			struct answer theirs = route_call(&table[i], (enum who)w, THEIRS);
			struct answer absent = route_call(&table[i], (enum who)w, ABSENT);
			EXPECT(theirs, 404);
			looks_equal(&theirs, &absent, from, to, table[i].pattern);
			answer_free(&theirs);
			answer_free(&absent);
			checked++;
		}
	}
	assert_true(checked > 100);
}

/* Ids inside a path of one's own project, and names inside bodies. */
static void test_fields(void **state)
{
	(void)state;
	static const struct {
		const char *method, *theirs, *absent, *body_theirs, *body_absent;
	} rows[] = {
	    {"GET", "/api/v1/projects/own/hooks/theirs", "/api/v1/projects/own/hooks/absent", NULL,
		NULL},
	    {"DELETE", "/api/v1/projects/own/hooks/theirs", "/api/v1/projects/own/hooks/absent",
		NULL, NULL},
	    {"POST", "/api/v1/projects/own/hooks/theirs/rotate",
		"/api/v1/projects/own/hooks/absent/rotate", "{}", "{}"},
	    {"POST", "/api/v1/grants", "/api/v1/grants",
		"{\"operator\":\"gviewer\",\"project\":\"theirs\",\"role\":\"viewer\"}",
		"{\"operator\":\"gviewer\",\"project\":\"absent\",\"role\":\"viewer\"}"},
	    {"GET", "/api/v1/audit?project=theirs", "/api/v1/audit?project=absent", NULL, NULL},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct answer theirs =
		    call(P_OWNER, rows[i].method, rows[i].theirs, rows[i].body_theirs);
		struct answer absent =
		    call(P_OWNER, rows[i].method, rows[i].absent, rows[i].body_absent);
		EXPECT(theirs, 404);
		looks_equal(&theirs, &absent, "'absent'", "'theirs'", rows[i].theirs);
		answer_free(&theirs);
		answer_free(&absent);
	}
}

static bool mentions(enum who w, const char *path, const char *what)
{
	struct answer a = call(w, "GET", path, NULL);
	EXPECT(a, 200);
	bool there = strstr(a.body, what) != NULL;
	answer_free(&a);
	return there;
}

static void test_lists_show_what_one_may_see(void **state)
{
	(void)state;
	for (int w = NO_ROLE; w <= P_OWNER; w++) {
		bool global = who_global((enum who)w) != MODEL_ROLE_NONE;
		bool own = who_on_own((enum who)w) != MODEL_ROLE_NONE;
		assert_int_equal(mentions((enum who)w, "/api/v1/projects", "\"theirs\""), global);
		assert_int_equal(mentions((enum who)w, "/api/v1/projects", "\"own\""), own);
		assert_int_equal(mentions((enum who)w, "/api/v1/tasks", "\"theirs\""), global);
		assert_int_equal(mentions((enum who)w, "/api/v1/tasks", "\"own\""), own);
		if (!global)
			assert_false(mentions((enum who)w, "/api/v1/grants", "\"theirs\""));
	}
	assert_false(mentions(P_VIEWER, "/api/v1/grants", "\"padmin\""));
	assert_true(mentions(P_ADMIN, "/api/v1/grants", "\"pviewer\""));
}

static void test_refusals_are_audited(void **state)
{
	(void)state;
	CALL(P_VIEWER, "POST", "/api/v1/projects/own/stop", "{}", 403);
	CALL(NO_ROLE, "POST", "/api/v1/projects/own/stop", "{}", 404);
	CALL(WRONG_TOKEN, "GET", "/api/v1/projects", NULL, 401);
	struct answer a = call(ROOT, "GET", "/api/v1/audit?limit=3", NULL);
	EXPECT(a, 200);
	json_t *items = json_object_get(a.json, "items");
	assert_int_equal(json_array_size(items), 3);
	const char *const operators[] = {"nobody", "norole", "pviewer"};
	const char *const actions[] = {"read", "stop", "stop"};
	for (size_t i = 0; i < 3; i++) {
		const json_t *o = json_array_get(items, i);
		assert_string_equal(
		    json_string_value(json_object_get(o, "operator")), operators[i]);
		assert_string_equal(json_string_value(json_object_get(o, "action")), actions[i]);
		assert_string_equal(json_string_value(json_object_get(o, "outcome")), "refused");
	}
	answer_free(&a);
}

static void test_roles_cannot_grow(void **state)
{
	(void)state;
	CALL(P_ADMIN, "POST", "/api/v1/grants",
	    "{\"operator\":\"norole\",\"project\":\"own\",\"role\":\"owner\"}", 403);
	CALL(P_DEPLOYER, "POST", "/api/v1/grants",
	    "{\"operator\":\"norole\",\"project\":\"own\",\"role\":\"viewer\"}", 403);
	CALL(P_ADMIN, "DELETE", "/api/v1/grants/powner/own", NULL, 403);
	CALL(P_ADMIN, "POST", "/api/v1/grants",
	    "{\"operator\":\"norole\",\"project\":\"own\",\"role\":\"viewer\"}", 200);
	CALL(NO_ROLE, "GET", "/api/v1/projects/own", NULL, 200);
	CALL(P_ADMIN, "DELETE", "/api/v1/grants/norole/own", NULL, 200);
	CALL(NO_ROLE, "GET", "/api/v1/projects/own", NULL, 404);
	CALL(G_ADMIN, "POST", "/api/v1/tokens", "{\"operator\":\"gowner\"}", 403);
	CALL(G_ADMIN, "POST", "/api/v1/operators", "{\"name\":\"eve\",\"role\":\"owner\"}", 403);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(
		test_lists_show_what_one_may_see, world_setup, world_teardown),
	    cmocka_unit_test_setup_teardown(test_theirs_is_absent, world_setup, world_teardown),
	    cmocka_unit_test_setup_teardown(test_every_route, world_setup, world_teardown),
	    cmocka_unit_test_setup_teardown(test_fields, world_setup, world_teardown),
	    cmocka_unit_test_setup_teardown(test_refusals_are_audited, world_setup, world_teardown),
	    cmocka_unit_test_setup_teardown(test_roles_cannot_grow, world_setup, world_teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
