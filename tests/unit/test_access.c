/* rooms: base loop crypto text store model http access queue source priv render launch run
 * outbound notify edge observe hooks kinds deploy api */
/* The first owner, tokens and their ends, the peers of the Unix socket, the bound on refusals. The
 * table of routes against roles is in test_api_access.c. */
#include "api_world.h"

#include "access/trail.h"
#include "model/audit.h"

#include <sys/stat.h>
#include <sys/wait.h>

static void test_first_owner(void **state)
{
	(void)state;
	struct err e = {0};
	char token[ACCESS_TOKEN_SIZE], again[ACCESS_TOKEN_SIZE] = "";
	struct store *s = store_open(&(struct store_options){.readers = 1}, &e);
	assert_non_null(s);
	world_check(model_migrate(s, &e), &e);
	assert_int_equal(access_first_owner(s, token, &e), 1);
	assert_int_equal(strlen(token), 47);
	assert_memory_equal(token, "slw_", 4);
	assert_int_equal(access_first_owner(s, again, &e), 0);
	assert_string_equal(again, "");
	store_close(s);
}

static int expired_unit(void *ctx, struct store_db *db, struct err *e)
{
	struct arena a CLEANUP_ARENA;
	struct model_operator o;
	int64_t id;
	arena_init(&a, 65536);
	if (model_operator_get(db, &a, STR("norole"), &o, e) != 1)
		return -1;
	return access_unit_token(db, o.id, STR("short"), clock_wall_ms() - 1, ctx, &id, e);
}

static int disable_unit(void *ctx, struct store_db *db, struct err *e)
{
	struct arena a CLEANUP_ARENA;
	struct model_operator o;
	arena_init(&a, 65536);
	if (model_operator_get(db, &a, str_c(ctx), &o, e) != 1)
		return -1;
	return model_operator_set_disabled(db, o.id, true, e) == 1 ? 0 : -1;
}

static void test_tokens_end(void **state)
{
	(void)state;
	struct err e = {0};
	char name[] = "padmin", good[ACCESS_TOKEN_SIZE];
	memcpy(good, world.tokens[NO_ROLE], sizeof(good));
	world_check(store_write(world.cx.store, expired_unit, world.tokens[NO_ROLE], &e), &e);
	CALL(NO_ROLE, "GET", "/api/v1/whoami", NULL, 401);
	CALL(P_ADMIN, "GET", "/api/v1/whoami", NULL, 200);
	world_check(store_write(world.cx.store, disable_unit, name, &e), &e);
	CALL(P_ADMIN, "GET", "/api/v1/whoami", NULL, 401);
	/* What is nearly a token, or no bearer token at all. */
	char headers[256];
	const char *const forms[] = {
	    "Bearer", "Bearer  ", "Basic b3duZXI6", "slw_", "Bearer %.46s"};
	for (size_t i = 0; i < sizeof(forms) / sizeof(*forms); i++) {
		char value[128];
		snprintf(value, sizeof(value), "%s", forms[i]);
		if (i == 4)
			snprintf(value, sizeof(value), "Bearer %.46s", good);
		snprintf(headers, sizeof(headers), "Authorization: %s\r\n", value);
		/* Over the Unix socket too: a wrong token is not overlooked. */
		struct answer a = call_with(ROOT, "GET", "/api/v1/whoami", headers, STR_NONE);
		EXPECT(a, 401);
		answer_free(&a);
	}
	snprintf(headers, sizeof(headers), "Authorization: bearer %s\r\n", good);
	struct answer a = call_with(ROOT, "GET", "/api/v1/whoami", headers, STR_NONE);
	EXPECT(a, 200);
	assert_string_equal(text_of(&a, "name"), "norole");
	answer_free(&a);
}

/* A local user who is neither root nor the daemon: refused unless in the group `slipway`. */
static void test_other_peer(void **state)
{
	(void)state;
	int ends[2], status = 0;
	char seen[8] = "";
	if (geteuid() != 0)
		skip();
	assert_int_equal(chmod(world.dir, 0755), 0);
	assert_int_equal(chmod(world.path, 0666), 0);
	assert_int_equal(pipe(ends), 0);
	pid_t child = fork();
	if (child == 0) {
		struct sockaddr_un to = {.sun_family = AF_UNIX};
		static const char ask[] =
		    "GET /api/v1/whoami HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
		char answer[512] = "";
		snprintf(to.sun_path, sizeof(to.sun_path), "%s", world.path);
		int fd = socket(AF_UNIX, SOCK_STREAM, 0);
		if (setgid(65534) != 0 || setuid(65534) != 0 ||
		    connect(fd, (struct sockaddr *)&to, sizeof(to)) != 0 ||
		    send(fd, ask, sizeof(ask) - 1, 0) < 0 ||
		    recv(fd, answer, sizeof(answer) - 1, 0) < 12)
			_exit(1);
		_exit(write(ends[1], answer + 9, 3) == 3 ? 0 : 1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	assert_int_equal(read(ends[0], seen, 3), 3);
	assert_string_equal(seen, "403");
	close(ends[0]);
	close(ends[1]);
}

static int64_t audited(void)
{
	int64_t n = 0;
	char path[64] = "/api/v1/audit?limit=200";
	while (path[0]) {
		struct answer a = call(ROOT, "GET", path, NULL);
		EXPECT(a, 200);
		n += (int64_t)json_array_size(json_object_get(a.json, "items"));
		path[0] = 0;
		if (text_of(&a, "next")[0])
			snprintf(path, sizeof(path), "/api/v1/audit?limit=200&after=%s",
			    text_of(&a, "next"));
		answer_free(&a);
	}
	return n;
}

static int verify_unit(void *ctx, struct store_db *db, struct err *e)
{
	return model_audit_verify(db, ctx, e) == 1 ? 0 : -1;
}

/* A stranger who tries tokens cannot fill the disk, and the chain holds. */
static void test_bound(void **state)
{
	(void)state;
	struct err e = {0};
	int64_t bad = 0, before = audited();
	for (int i = 0; i < 150; i++)
		CALL(WRONG_TOKEN, "GET", "/api/v1/projects", NULL, 401);
	int64_t written = audited() - before;
	if (written < 60 || written > 80)
		fail_msg("%d records", (int)written);
	world_check(store_write(world.cx.store, verify_unit, &bad, &e), &e);
}

/* How many there are beyond `before` once there are so many at least, or 10 s have gone by. */
static int64_t audited_at_least(int64_t before, int64_t least)
{
	for (int i = 0; i < 1000 && audited() - before < least; i++)
		usleep(10000);
	return audited() - before;
}

/* Likewise whoever makes the helper refuse again and again; how many were left out is said by the next. */
static void test_helper_refusals_are_bounded(void **state)
{
	(void)state;
	struct err e = {0};
	int64_t bad = 0, before = audited();
	for (int i = 0; i < 900; i++)
		access_note_refusal(
		    world.cx.access, "helper.start", STR("own"), STR("a \x1b[31mlimit"));
	(void)audited_at_least(before, 600);
	usleep(300000); /* room for three more */
	int64_t written = audited() - before;
	if (written < 600 || written > 700)
		fail_msg("%d records", (int)written);
	access_note_refusal(world.cx.access, "helper.start", STR("own"), STR("the last"));
	assert_int_equal(audited_at_least(before, written + 1), written + 1);
	struct answer a = call(ROOT, "GET", "/api/v1/audit?limit=2", NULL);
	EXPECT(a, 200);
	const json_t *items = json_object_get(a.json, "items");
	const char *last = json_string_value(json_object_get(json_array_get(items, 0), "detail"));
	const char *one = json_string_value(json_object_get(json_array_get(items, 1), "detail"));
	assert_non_null(strstr(last, "the last (and "));
	assert_non_null(strstr(last, " not written down)"));
	assert_string_equal(one, "a \\x1b[31mlimit");
	assert_string_equal(
	    json_string_value(json_object_get(json_array_get(items, 0), "operator")), "slipway");
	answer_free(&a);
	world_check(store_write(world.cx.store, verify_unit, &bad, &e), &e);
}

struct gathered {
	size_t records, operations, longest;
	bool escaped;
};

static int gathered_unit(void *ctx, struct store_db *db, struct err *e)
{
	struct gathered *g = ctx;
	struct model_audits all;
	struct arena a CLEANUP_ARENA;
	arena_init(&a, 1 << 20);
	if (model_audit_list(db, &a, 0, (struct model_page){.limit = 100}, MODEL_EVERYTHING, &all, e) < 0)
		return -1;
	for (size_t i = 0; i < all.n; i++) {
		struct str rest = all.v[i].detail, one;
		g->records += str_eq_c(all.v[i].action, "helper.performed");
		while (str_next(&rest, ';', &one) == 1)
			g->operations++;
		g->longest = all.v[i].detail.n > g->longest ? all.v[i].detail.n : g->longest;
		g->escaped = g->escaped || str_contains(all.v[i].detail, STR("stop \\x1b[2J"));
	}
	return 0;
}

/* Nothing that was gathered is lost at the end, nor where a record is full. */
static void test_operations_are_gathered(void **state)
{
	(void)state;
	struct err e = {0};
	struct gathered g = {0};
	struct store *s = store_open(&(struct store_options){.readers = 1}, &e);
	struct loop *l = loop_new(1);
	assert_non_null(s);
	world_check(model_migrate(s, &e), &e);
	struct trail *t = trail_open(s, l);
	for (int i = 0; i < 1000; i++)
		trail_add(t, STR("start shop-that-has-a-long-name/14 worker.2"));
	trail_add(t, STR("stop \x1b[2J"));
	trail_close(t);
	trail_close(NULL);
	world_check(store_write(s, gathered_unit, &g, &e), &e);
	assert_int_equal(g.operations, 1001);
	assert_true(g.records >= 10 && g.records <= 13 && g.longest <= TRAIL_RECORD_BYTES);
	assert_true(g.escaped);
	loop_stop(l);
	loop_run(l);
	loop_free(l);
	store_close(s);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, world_setup, world_teardown)
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_first_owner), T(test_tokens_end),
	    T(test_other_peer), T(test_bound), T(test_helper_refusals_are_bounded),
	    cmocka_unit_test(test_operations_are_gathered)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
