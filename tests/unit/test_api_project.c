/* rooms: base loop crypto text store model http access queue source priv render launch run
 * outbound notify edge observe hooks kinds deploy api */
/* Projects and what belongs to them, over real sockets: making, changing, environment, domains,
 * hooks. */
#include "api_world.h"

#define PROJECTS "/api/v1/projects"

static const char git_source[] =
    "{\"name\":\"shop\",\"source\":{\"type\":\"git\",\"url\":\"https://example.org/shop.git\"}}";

static void test_create(void **state)
{
	(void)state;
	struct answer a = call(G_DEPLOYER, "POST", PROJECTS,
	    "{\"name\":\"shop\",\"kind\":\"django\",\"source\":{\"type\":\"git\",\"url\":"
	    "\"git@github.com:acme/shop.git\",\"ref\":\"main\"},\"root\":\"backend\",\"domains\":["
	    "\"shop.example.org\"]}");
	EXPECT(a, 201);
	assert_non_null(strstr(a.head, "Location: /api/v1/projects/shop\r\n"));
	assert_string_equal(text_of(&a, "kind"), "django");
	assert_true(str_starts(str_c(text_of(&a, "deploy_key")), STR("ssh-ed25519 ")));
	assert_string_equal(
	    text_of(&a, "deploy_key_page"), "https://github.com/acme/shop/settings/keys/new");
	assert_string_equal(text_of(&a, "role"), "admin"); /* made it, so administrates it */
	assert_non_null(strstr(a.body, "\"http://shop.example.org:8080/\""));
	assert_non_null(strstr(a.body, "\"http://shop.localhost:8080/\""));
	assert_null(strstr(a.body, "PRIVATE"));
	answer_free(&a);
	CALL(G_DEPLOYER, "POST", PROJECTS, git_source, 409);
	CALL(G_DEPLOYER, "DELETE", PROJECTS "/shop", NULL, 202);
	CALL(P_OWNER, "GET", PROJECTS "/shop", NULL, 404);
}

/* Whoever has a role on a project does not set what it may use; a manifest may ask for less. */
static void test_limits(void **state)
{
	(void)state;
	static const char change[] = "{\"limits\":{\"memory_bytes\":536870912,\"tasks\":50}}";
	for (enum who w = NO_ROLE; w < WHO_COUNT; w++) {
		bool platform = w == G_ADMIN || w == G_OWNER || w == ROOT;
		struct answer a = call(w, "PATCH", PROJECTS "/own", change);
		EXPECT(a, platform ? 200 : w == NO_ROLE ? 404 : 403);
		if (platform)
			assert_non_null(strstr(
			    a.body, "\"limits\":{\"memory_bytes\":536870912,\"tasks\":50}"));
		answer_free(&a);
	}
	struct answer a = call(G_DEPLOYER, "POST", PROJECTS,
	    "{\"name\":\"shop\",\"source\":{\"type\":\"archive\"},\"limits\":{\"tasks\":9}}");
	EXPECT(a, 403);
	assert_non_null(strstr(a.body, "admins of the platform"));
	answer_free(&a);
	CALL(G_ADMIN, "POST", PROJECTS,
	    "{\"name\":\"shop\",\"source\":{\"type\":\"archive\"},\"limits\":{\"tasks\":9}}", 201);
}

static void refused(enum who w, const char *body, int status, const char *pointer, const char *hint)
{
	struct answer a = call(w, "POST", PROJECTS, body);
	EXPECT(a, status);
	assert_non_null(strstr(a.head, "application/problem+json"));
	if (pointer && !strstr(a.body, pointer))
		fail_msg("no %s in %s", pointer, a.body);
	if (hint && !strstr(a.body, hint))
		fail_msg("no %s in %s", hint, a.body);
	answer_free(&a);
}

static void test_bad_input(void **state)
{
	(void)state;
	static const char path_source[] =
	    "{\"name\":\"a\",\"source\":{\"type\":\"path\",\"path\":\"/srv/a\"}}";
	refused(ROOT, "{\"name\":", 400, NULL, NULL);
	refused(ROOT, "[]", 400, NULL, NULL);
	refused(ROOT, "{\"name\":\"a\"}", 400, "/source", NULL);
	refused(ROOT, "{\"nmae\":\"a\"}", 400, "/nmae", "name");
	refused(ROOT, "{\"name\":\"a\",\"source\":{\"typ\":\"git\"}}", 400, "/source/typ", "type");
	refused(ROOT, "{\"name\":7,\"source\":{\"type\":\"archive\"}}", 400, "/name", NULL);
	refused(ROOT, "{\"name\":\"a\",\"name\":\"b\"}", 400, NULL, NULL);
	refused(ROOT, "{\"name\":\"A b\",\"source\":{\"type\":\"archive\"}}", 400, "/name", NULL);
	refused(ROOT, "{\"name\":\"a\",\"source\":{\"type\":\"svn\"}}", 400, "/source/type", NULL);
	refused(ROOT, "{\"name\":\"a\",\"source\":{\"type\":\"git\",\"url\":\"--upload-pack=x\"}}",
	    400, "/source/url", NULL);
	refused(ROOT,
	    "{\"name\":\"a\",\"source\":{\"type\":\"archive\"},\"domains\":[\"a.org\",\"b;c\"]}",
	    400, "/domains/1", NULL);
	refused(ROOT, "{\"name\":\"a\",\"source\":{\"type\":\"archive\"},\"limits\":{\"tasks\":0}}",
	    400, "/limits/tasks", NULL);
	refused(G_DEPLOYER, path_source, 403, "/source/path", "admin");
	static const char *const inside[] = {"http://127.0.0.1/a", "https://10.1.2.3/a",
	    "https://192.168.0.1/a", "https://169.254.169.254/a", "http://localhost/a",
	    "http://[::1]/a", "http://[fd00::1]/a", "http://[::ffff:8.8.8.8]/a",
	    "http://2130706433/a", "http://0x7f.1/a", "http://0177.0.0.1/a", "http://intranet/a",
	    "http://db.internal/a"};
	for (size_t i = 0; i < sizeof(inside) / sizeof(*inside); i++) {
		char body[256];
		snprintf(body, sizeof(body),
		    "{\"name\":\"a\",\"source\":{\"type\":\"git\",\"url\":\"%s\"}}", inside[i]);
		struct answer a = call(G_DEPLOYER, "POST", PROJECTS, body);
		if (a.status != 403 && a.status != 400)
			fail_msg("%s: %d %s", inside[i], a.status, a.body);
		answer_free(&a);
	}
	CALL(G_ADMIN, "POST", PROJECTS, path_source, 201);
	struct answer a = call_with(ROOT, "POST", PROJECTS, "X-Y: z\r\n", STR_NONE);
	EXPECT(a, 400);
	answer_free(&a);
	CALL(ROOT, "GET", PROJECTS "?limt=3", NULL, 400);
	CALL(ROOT, "GET", PROJECTS "?limit=201", NULL, 400);
}

static void test_pages(void **state)
{
	(void)state;
	char body[160], path[200], after[64] = "";
	unsigned seen = 0;
	for (int i = 0; i < 7; i++) {
		snprintf(
		    body, sizeof(body), "{\"name\":\"p%d\",\"source\":{\"type\":\"archive\"}}", i);
		CALL(ROOT, "POST", PROJECTS, body, 201);
	}
	for (int i = 0; i < 10; i++) {
		snprintf(
		    path, sizeof(path), PROJECTS "?limit=2%s%s", after[0] ? "&after=" : "", after);
		struct answer a = call(ROOT, "GET", path, NULL);
		EXPECT(a, 200);
		seen += (unsigned)json_array_size(json_object_get(a.json, "items"));
		snprintf(after, sizeof(after), "%s", text_of(&a, "next"));
		answer_free(&a);
		if (!after[0])
			break;
	}
	assert_int_equal(seen, 9); /* with own and theirs */
}

static void test_update(void **state)
{
	(void)state;
	char match[64];
	struct answer a = call(P_ADMIN, "GET", PROJECTS "/own", NULL);
	EXPECT(a, 200);
	snprintf(match, sizeof(match), "If-Match: \"%d\"\r\n", (int)number_of(&a, "version"));
	assert_non_null(strstr(a.head, "ETag: \""));
	answer_free(&a);
	struct str change = STR("{\"branch\":\"next\",\"https_token\":\"geheim-123\"}");
	a = call_with(P_ADMIN, "PATCH", PROJECTS "/own", match, change);
	EXPECT(a, 200);
	assert_string_equal(
	    json_string_value(json_object_get(json_object_get(a.json, "source"), "ref")), "next");
	assert_true(json_is_true(json_object_get(a.json, "https_token")));
	assert_null(strstr(a.body, "geheim"));
	answer_free(&a);
	a = call_with(P_ADMIN, "PATCH", PROJECTS "/own", match, change);
	EXPECT(a, 412);
	answer_free(&a);
	a = call_with(P_ADMIN, "PATCH", PROJECTS "/own", "If-Match: W/\"1\"\r\n", change);
	EXPECT(a, 412);
	answer_free(&a);
	CALL(P_ADMIN, "PATCH", PROJECTS "/own", "{\"https_token\":\"a\\nb\"}", 400);
	CALL(P_ADMIN, "PATCH", PROJECTS "/own", "{\"domains\":[]}", 400);
	CALL(P_ADMIN, "PATCH", PROJECTS "/own",
	    "{\"source\":{\"type\":\"path\",\"path\":\"/etc\"}}", 403);
	a = call(P_ADMIN, "PATCH", PROJECTS "/own",
	    "{\"https_token\":null,\"source\":{\"type\":\"git\",\"url\":\"git@gitlab.com:a/"
	    "b.git\"}}");
	EXPECT(a, 200);
	assert_true(json_is_false(json_object_get(a.json, "https_token")));
	assert_true(str_starts(str_c(text_of(&a, "deploy_key")), STR("ssh-ed25519 ")));
	answer_free(&a);
	a = call(ROOT, "GET", "/api/v1/audit?project=own", NULL);
	EXPECT(a, 200);
	assert_non_null(strstr(a.body, "project.update"));
	assert_null(strstr(a.body, "geheim"));
	answer_free(&a);
}

static void test_env(void **state)
{
	(void)state;
	struct answer a = call(P_DEPLOYER, "PUT", PROJECTS "/own/env",
	    "{\"API_KEY\":{\"value\":\"geheim-456\"},\"COLOR\":{\"value\":\"red \\u2603 $x\","
	    "\"secret\":false,\"build\":true}}");
	EXPECT(a, 200);
	int64_t version = number_of(&a, "version");
	answer_free(&a);
	a = call(P_VIEWER, "GET", PROJECTS "/own/env", NULL);
	EXPECT(a, 200);
	assert_int_equal(number_of(&a, "version"), version);
	assert_null(strstr(a.body, "geheim"));
	assert_non_null(strstr(a.body, "red \xe2\x98\x83 $x"));
	answer_free(&a);
	char match[64];
	snprintf(match, sizeof(match), "If-Match: \"%d\"\r\n", (int)version + 5);
	a = call_with(
	    P_DEPLOYER, "PUT", PROJECTS "/own/env", match, STR("{\"A\":{\"value\":\"1\"}}"));
	EXPECT(a, 412);
	answer_free(&a);
	a = call_with(P_DEPLOYER, "PUT", PROJECTS "/theirs/env", NULL, STR("{}"));
	EXPECT(a, 404);
	answer_free(&a);
	a = call_with(ROOT, "PUT", PROJECTS "/theirs/env", "If-Match: \"0\"\r\n",
	    STR("{\"A\":{\"value\":\"1\"}}"));
	EXPECT(a, 200);
	answer_free(&a);
	CALL(P_DEPLOYER, "PUT", PROJECTS "/own/env", "{\"LD_PRELOAD\":{\"value\":\"1\"}}", 400);
	CALL(P_DEPLOYER, "PUT", PROJECTS "/own/env", "{\"A\":{\"value\":\"1\",\"sekret\":true}}",
	    400);
	CALL(P_DEPLOYER, "PUT", PROJECTS "/own/env", "{\"A\":\"1\"}", 400);
	CALL(P_DEPLOYER, "DELETE", PROJECTS "/own/env/API_KEY", NULL, 200);
	CALL(P_DEPLOYER, "DELETE", PROJECTS "/own/env/API_KEY", NULL, 404);
	a = call(ROOT, "GET", "/api/v1/audit", NULL);
	assert_non_null(strstr(a.body, "API_KEY"));
	assert_null(strstr(a.body, "geheim"));
	answer_free(&a);
}

static void test_domains(void **state)
{
	(void)state;
	CALL(P_ADMIN, "POST", PROJECTS "/own/domains", "{\"domain\":\"a.example.org\"}", 201);
	CALL(P_ADMIN, "POST", PROJECTS "/own/domains", "{\"domain\":\"a.example.org\"}", 200);
	CALL(ROOT, "POST", PROJECTS "/theirs/domains", "{\"domain\":\"a.example.org\"}", 409);
	CALL(P_ADMIN, "POST", PROJECTS "/own/domains", "{\"domain\":\"*.example.org\"}", 400);
	CALL(P_ADMIN, "POST", PROJECTS "/own/domains", "{\"domain\":\"theirs.localhost\"}", 409);
	CALL(P_ADMIN, "POST", PROJECTS "/own/domains", "{\"domain\":\"localhost\"}", 409);
	CALL(P_ADMIN, "POST", PROJECTS "/own/domains", "{\"domain\":\"own.localhost\"}", 201);
	CALL(P_ADMIN, "DELETE", PROJECTS "/own/domains/b.example.org", NULL, 404);
	CALL(P_ADMIN, "DELETE", PROJECTS "/own/domains/a.example.org", NULL, 200);
	CALL(ROOT, "POST", PROJECTS "/theirs/domains", "{\"domain\":\"a.example.org\"}", 201);
}

static int hook_secret_unit(void *ctx, struct store_db *db, struct err *e)
{
	struct arena a CLEANUP_ARENA;
	struct model_hook h;
	char place[MODEL_PLACE_SIZE];
	arena_init(&a, 65536);
	if (model_hook_find(db, &a, STR("push"), &h, e) != 1)
		return -1;
	return seal_open(
	    world.seal, model_place_hook(STR("push"), place), h.secret, (struct buf *)ctx, e);
}

static int many_events_unit(void *ctx, struct store_db *db, struct err *e)
{
	struct arena a CLEANUP_ARENA;
	struct model_hook h;
	struct model_event ev = {.kind = STR("push"),
	    .ref = STR(""),
	    .before = STR(""),
	    .after = STR(""),
	    .outcome = MODEL_OUTCOME_IGNORED};
	char key[16];
	int64_t id;
	(void)ctx;
	arena_init(&a, 1u << 20);
	if (model_hook_find(db, &a, STR("push"), &h, e) != 1)
		return -1;
	ev.hook_id = h.id;
	ev.project_id = h.project_id;
	for (int i = 0; i < 2 * MODEL_EVENTS_AT_ONCE + 1; i++) {
		snprintf(key, sizeof(key), "k%d", i);
		ev.delivery_key = str_c(key);
		if (model_event_add(db, &ev, &id, e) != 1)
			return -1;
	}
	return 0;
}

static void test_hooks(void **state)
{
	(void)state;
	struct err e = {0};
	struct buf secret CLEANUP_BUF;
	buf_init(&secret, 1024);
	struct answer a =
	    call(P_ADMIN, "POST", PROJECTS "/own/hooks", "{\"name\":\"push\",\"branch\":\"main\"}");
	EXPECT(a, 201);
	assert_string_equal(text_of(&a, "url"), "http://localhost:8000/hooks/push");
	assert_int_equal(strlen(text_of(&a, "secret")), 43);
	if (store_write(world.cx.store, hook_secret_unit, &secret, &e) < 0)
		fail_msg("%s", e.msg);
	assert_string_equal(secret.p, text_of(&a, "secret"));
	answer_free(&a);
	a = call(P_ADMIN, "GET", PROJECTS "/own/hooks/push", NULL);
	EXPECT(a, 200);
	assert_null(json_object_get(a.json, "secret"));
	answer_free(&a);
	a = call(P_ADMIN, "POST", PROJECTS "/own/hooks/push/rotate", NULL);
	EXPECT(a, 200);
	assert_string_not_equal(text_of(&a, "secret"), secret.p);
	answer_free(&a);
	CALL(P_ADMIN, "POST", PROJECTS "/own/hooks", "{\"name\":\"push\"}", 409);
	CALL(P_ADMIN, "POST", PROJECTS "/own/hooks", "{\"name\":\"x\",\"sender\":\"cvs\"}", 400);
	CALL(P_ADMIN, "POST", PROJECTS "/own/hooks", "{\"name\":\"x\",\"secret\":\"short\"}", 400);
	/* More than go in one unit. */
	if (store_write(world.cx.store, many_events_unit, NULL, &e) < 0)
		fail_msg("%s", e.msg);
	CALL(P_DEPLOYER, "DELETE", PROJECTS "/own/hooks/push", NULL, 403);
	CALL(P_ADMIN, "DELETE", PROJECTS "/own/hooks/push", NULL, 200);
	CALL(P_ADMIN, "DELETE", PROJECTS "/own/hooks/push", NULL, 404);
}

static void refused_as(
    enum who who, const char *method, const char *path, const char *change, const char *pointer)
{
	struct answer a = call(who, method, path, change);
	EXPECT(a, 400);
	const json_t *first = json_array_get(json_object_get(a.json, "errors"), 0);
	assert_string_equal(json_string_value(json_object_get(first, "pointer")), pointer);
	answer_free(&a);
}

static void refused_at(const char *path, const char *change, const char *pointer)
{
	refused_as(P_ADMIN, "PATCH", path, change, pointer);
}

/* What only its giver has seen goes to no server that it was not given for. */
static void test_tokens_stay_with_their_address(void **state)
{
	(void)state;
	const char *room = PROJECTS "/own/channels/room", *push = PROJECTS "/own/hooks/push";
	CALL(P_ADMIN, "POST", PROJECTS "/own/channels",
	    "{\"name\":\"room\",\"type\":\"matrix\",\"target\":\"https://m.example/"
	    "!a:m.example\",\"secret\":\"tok\"}",
	    201);
	refused_at(room, "{\"target\":\"http://m.example/!a:m.example\"}", "/secret");
	refused_at(room, "{\"target\":\"https://m.example:444/!a:m.example\"}", "/secret");
	refused_at(room, "{\"target\":\"https://evil.example/!a:m.example\"}", "/secret");
	CALL(P_ADMIN, "PATCH", room, "{\"target\":\"https://m.example/!b:m.example\"}", 200);
	CALL(P_ADMIN, "PATCH", room,
	    "{\"target\":\"https://n.example/!b:m.example\",\"secret\":\"other\"}", 200);
	refused_at(room, "{\"target\":\"https://m.example/!b:m.example\"}", "/secret");
	CALL(P_ADMIN, "POST", PROJECTS "/own/channels",
	    "{\"name\":\"web\",\"type\":\"webhook\",\"target\":\"https://w.example/\"}", 201);
	CALL(P_ADMIN, "PATCH", PROJECTS "/own/channels/web", "{\"target\":\"https://x.example/\"}",
	    200); /* signs only */
	CALL(P_ADMIN, "POST", PROJECTS "/own/hooks",
	    "{\"name\":\"push\",\"github\":{\"token\":\"ghp\",\"repository\":\"a/"
	    "b\",\"api\":\"https://api.example/v3\"}}",
	    201);
	refused_at(push, "{\"github\":{\"api\":\"https://evil.example/v3\"}}", "/github/token");
	CALL(P_ADMIN, "PATCH", push, "{\"github\":{\"api\":\"https://api.example\"}}", 200);
	CALL(P_ADMIN, "PATCH", push,
	    "{\"github\":{\"api\":\"https://new.example\",\"token\":\"ghp2\"}}", 200);
	CALL(P_ADMIN, "PATCH", PROJECTS "/own",
	    "{\"source\":{\"type\":\"git\",\"url\":\"https://git.example/a/"
	    "b\"},\"https_token\":\"ghp\"}",
	    200);
	refused_at(PROJECTS "/own",
	    "{\"source\":{\"type\":\"git\",\"url\":\"https://evil.example/a/b\"}}", "/https_token");
	CALL(P_ADMIN, "PATCH", PROJECTS "/own", "{\"source\":{\"type\":\"archive\"}}", 200);
	refused_at(PROJECTS "/own",
	    "{\"source\":{\"type\":\"git\",\"url\":\"https://evil.example/a/b\"}}", "/https_token");
	CALL(P_ADMIN, "PATCH", PROJECTS "/own",
	    "{\"source\":{\"type\":\"git\",\"url\":\"https://other.example/"
	    "a\"},\"https_token\":null}",
	    200);
	const char *mail = "/api/v1/mail-server";
	CALL(G_OWNER, "PUT", mail,
	    "{\"host\":\"m.example\",\"from\":\"a@m.example\",\"user\":\"a\",\"password\":\"p\"}",
	    200);
	CALL(G_OWNER, "PUT", mail,
	    "{\"host\":\"m.example\",\"from\":\"b@m.example\",\"user\":\"a\"}", 200);
	refused_as(G_OWNER, "PUT", mail, "{\"host\":\"evil.example\",\"from\":\"a@m.example\"}",
	    "/password");
	refused_as(G_OWNER, "PUT", mail,
	    "{\"host\":\"m.example\",\"from\":\"a@m.example\",\"tls\":\"none\"}", "/password");
	refused_as(G_OWNER, "PUT", mail,
	    "{\"host\":\"m.example\",\"from\":\"a@m.example\",\"port\":26}", "/password");
	CALL(G_OWNER, "PUT", mail,
	    "{\"host\":\"n.example\",\"from\":\"a@m.example\",\"password\":\"q\"}", 200);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, world_setup, world_teardown)
	const struct CMUnitTest tests[] = {T(test_create), T(test_limits), T(test_bad_input),
	    T(test_pages), T(test_update), T(test_env), T(test_domains), T(test_hooks),
	    T(test_tokens_stay_with_their_address)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
