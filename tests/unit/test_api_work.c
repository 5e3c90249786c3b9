/* rooms: base loop crypto text store model http access queue source priv render launch run
 * outbound notify edge observe hooks kinds deploy api */
/* Orders, tasks, repeats, archives, events, streams and logs, over real sockets; the queue is the
 * real one and nobody takes its tasks. */
#include "api_world.h"

#include "base/hex.h"
#include "kinds/plan.h"
#include "model/event.h"
#include "model/step.h"

#include <dirent.h>
#include <sys/stat.h>

#define OWN "/api/v1/projects/own"

static int64_t ordered(enum who w, const char *path, const char *body)
{
	struct answer a = call(w, "POST", path, body);
	EXPECT(a, 202);
	int64_t id = number_of(&a, "task");
	assert_true(id > 0);
	answer_free(&a);
	return id;
}

static struct answer task_get(int64_t id)
{
	char path[64];
	snprintf(path, sizeof(path), "/api/v1/tasks/%d", (int)id);
	struct answer a = call(P_VIEWER, "GET", path, NULL);
	EXPECT(a, 200);
	return a;
}

static void test_orders(void **state)
{
	(void)state;
	struct err e = {0};
	int64_t release[2];
	char body[64];
	int64_t id = ordered(P_DEPLOYER, OWN "/deploys", "{\"ref\":\"next\",\"force\":true}");
	struct answer a = task_get(id);
	assert_string_equal(text_of(&a, "kind"), "deploy");
	assert_string_equal(text_of(&a, "state"), "waiting");
	assert_string_equal(text_of(&a, "ref"), "next");
	assert_string_equal(text_of(&a, "requested_by"), "pdeployer");
	assert_true(json_is_true(json_object_get(json_object_get(a.json, "input"), "force")));
	answer_free(&a);
	id = ordered(P_DEPLOYER, OWN "/plan", NULL);
	a = task_get(id);
	assert_true(json_is_true(json_object_get(json_object_get(a.json, "input"), "plan_only")));
	assert_string_equal(text_of(&a, "ref"), "main"); /* the project's */
	answer_free(&a);
	CALL(P_DEPLOYER, "POST", OWN "/deploys", "{\"ref\":\"--upload-pack\"}", 400);
	CALL(P_DEPLOYER, "POST", OWN "/deploys", "{\"url\":\"http://10.0.0.1/a\"}", 403);
	CALL(P_DEPLOYER, "POST", OWN "/rollback", "{}", 409); /* nothing is live */
	CALL(P_DEPLOYER, "POST", OWN "/start", "{}", 409);
	if (store_write(world.cx.store, sealed_unit, release, &e) < 0)
		fail_msg("%s", e.msg);
	snprintf(body, sizeof(body), "{\"release\":%d}", (int)release[0]);
	ordered(P_DEPLOYER, OWN "/rollback", body);
	ordered(P_DEPLOYER, OWN "/rollback", "{}");
	CALL(P_DEPLOYER, "POST", OWN "/rollback", "{\"release\":99}", 404);
	ordered(P_DEPLOYER, OWN "/stop", "{}");
	ordered(P_DEPLOYER, OWN "/start", "{}");
	ordered(P_DEPLOYER, OWN "/restart", "{\"process\":\"web\"}");
	CALL(P_DEPLOYER, "POST", OWN "/restart", "{\"process\":\"We b\"}", 400);
	CALL(P_DEPLOYER, "POST", OWN "/restart", "{\"process\":\"worker\"}", 404);
	CALL(P_DEPLOYER, "PUT", OWN "/processes/web", "{\"count\":11}", 400);
	CALL(P_VIEWER, "GET", OWN "/releases/1", NULL, 200);
	CALL(P_VIEWER, "GET", OWN "/releases/9", NULL, 404);
	a = call(P_VIEWER, "GET", OWN, NULL);
	EXPECT(a, 200);
	assert_int_equal(number_of(&a, "live"), release[1]);
	answer_free(&a);
}

static void test_cancel(void **state)
{
	(void)state;
	char path[64];
	int64_t id = ordered(P_DEPLOYER, OWN "/deploys", "{}");
	snprintf(path, sizeof(path), "/api/v1/tasks/%d/cancel", (int)id);
	struct answer a = call(P_DEPLOYER, "POST", path, "{}");
	EXPECT(a, 202);
	assert_string_equal(text_of(&a, "state"), "cancelled");
	answer_free(&a);
	CALL(P_DEPLOYER, "POST", path, "{}", 409);
	CALL(P_VIEWER, "POST", path, "{}", 403);
	a = call(P_VIEWER, "GET", OWN "/tasks?state=cancelled", NULL);
	EXPECT(a, 200);
	assert_int_equal(json_array_size(json_object_get(a.json, "items")), 1);
	answer_free(&a);
	CALL(P_VIEWER, "GET", OWN "/tasks?state=bored", NULL, 400);
}

static void basic(char *out, size_t size, const char *credentials)
{
	struct buf b CLEANUP_BUF;
	buf_init(&b, 1024);
	base64_encode(credentials, strlen(credentials), &b);
	snprintf(out, size, "Authorization: Basic %.*s\r\n", (int)b.n, b.p);
}

static void with_basic(const char *method, const char *path, const char *credentials, int want)
{
	char header[256];
	basic(header, sizeof(header), credentials);
	bool post = strcmp(method, "POST") == 0;
	struct answer a = call_with(ANONYMOUS, method, path, header, post ? STR("{}") : STR_NONE);
	EXPECT(a, want);
	answer_free(&a);
}

/* A person with a browser: asked for a password where a token is wanted, for this and nothing else. */
static void test_log_in_a_browser(void **state)
{
	(void)state;
	char log[64], task[64], cancel[64], known[128];
	int64_t id = ordered(P_DEPLOYER, OWN "/deploys", "{\"ref\":\"next\"}");
	snprintf(log, sizeof(log), "/api/v1/tasks/%d/log", (int)id);
	snprintf(task, sizeof(task), "/api/v1/tasks/%d", (int)id);
	snprintf(cancel, sizeof(cancel), "/api/v1/tasks/%d/cancel", (int)id);
	snprintf(known, sizeof(known), "anna:%s", world.tokens[P_VIEWER]);
	struct answer a = call(P_VIEWER, "GET", log, NULL);
	EXPECT(a, 200);
	assert_non_null(strstr(a.head, "Content-Type: text/plain; charset=utf-8\r\n"));
	assert_non_null(strstr(a.body, ": deploy of own, next\nasked for by pdeployer\nwaiting\n"));
	answer_free(&a);
	a = call(ANONYMOUS, "GET", log, NULL);
	EXPECT(a, 401);
	assert_non_null(
	    strstr(a.head, "WWW-Authenticate: Bearer\r\nWWW-Authenticate: Basic realm="));
	answer_free(&a);
	a = call(ANONYMOUS, "GET", task, NULL);
	EXPECT(a, 401);
	assert_null(strstr(a.head, "Basic"));
	answer_free(&a);
	with_basic("GET", log, known, 200);
	with_basic("GET", task, known, 401);
	with_basic("POST", cancel, known, 401);
	const char *const wrong[] = {"", "anna", "anna:", "anna:slw_x", world.tokens[P_VIEWER]};
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
		with_basic("GET", log, wrong[i], 401);
	a = call_with(ANONYMOUS, "GET", log, "Authorization: Basic !!!\r\n", STR_NONE);
	EXPECT(a, 401);
	answer_free(&a);
	snprintf(log, sizeof(log), "/api/v1/tasks/%d/log", (int)world.theirs_task);
	CALL(P_OWNER, "GET", log, NULL, 404);
}

static void test_repeats(void **state)
{
	(void)state;
	const char *key = "Idempotency-Key: k-1\r\n";
	struct answer a =
	    call_with(P_DEPLOYER, "POST", OWN "/deploys", key, STR("{\"ref\":\"a\"}"));
	struct answer b =
	    call_with(P_DEPLOYER, "POST", OWN "/deploys", key, STR("{\"ref\":\"a\"}"));
	EXPECT(a, 202);
	EXPECT(b, 202);
	assert_string_equal(a.body, b.body);
	assert_null(strstr(a.head, "Idempotent-Replayed"));
	assert_non_null(strstr(b.head, "Idempotent-Replayed: true"));
	answer_free(&a);
	answer_free(&b);
	a = call_with(P_DEPLOYER, "POST", OWN "/deploys", key, STR("{\"ref\":\"b\"}"));
	EXPECT(a, 409);
	answer_free(&a);
	/* Another operator's key is another key; a refused request keeps nothing. */
	a = call_with(P_ADMIN, "POST", OWN "/deploys", key, STR("{\"ref\":\"b\"}"));
	EXPECT(a, 202);
	answer_free(&a);
	a = call_with(
	    P_ADMIN, "POST", OWN "/hooks", "Idempotency-Key: k-2\r\n", STR("{\"name\":\"-\"}"));
	EXPECT(a, 400);
	answer_free(&a);
	/* A secret that is shown once is shown again to a repeat, and only sealed in between. */
	a = call_with(
	    P_ADMIN, "POST", OWN "/hooks", "Idempotency-Key: k-2\r\n", STR("{\"name\":\"once\"}"));
	b = call_with(
	    P_ADMIN, "POST", OWN "/hooks", "Idempotency-Key: k-2\r\n", STR("{\"name\":\"once\"}"));
	EXPECT(a, 201);
	EXPECT(b, 201);
	assert_string_equal(text_of(&a, "secret"), text_of(&b, "secret"));
	answer_free(&a);
	answer_free(&b);
	a = call_with(P_ADMIN, "POST", OWN "/deploys", "Idempotency-Key: a b\r\n", STR("{}"));
	EXPECT(a, 400);
	answer_free(&a);
}

static unsigned spool_count(void)
{
	unsigned n = 0;
	DIR *d = opendir(world.spool);
	const struct dirent *entry;
	assert_non_null(d);
	while ((entry = readdir(d)))
		n += entry->d_name[0] != '.';
	closedir(d);
	return n;
}

static void test_archives(void **state)
{
	(void)state;
	char body[128], path[256];
	struct stat st;
	struct answer a = call_with(P_DEPLOYER, "POST", OWN "/archives", "Idempotency-Key: up\r\n",
	    STR("not really a tar file"));
	EXPECT(a, 201);
	assert_int_equal(number_of(&a, "size_bytes"), 21);
	snprintf(body, sizeof(body), "{\"archive\":\"%s\"}", text_of(&a, "archive"));
	snprintf(path, sizeof(path), "%s/%s.tar", world.spool, text_of(&a, "archive"));
	answer_free(&a);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(st.st_size, 21);
	a = call_with(P_DEPLOYER, "POST", OWN "/archives", "Idempotency-Key: up\r\n",
	    STR("not really a tar file"));
	EXPECT(a, 201);
	assert_int_equal(spool_count(), 1);
	answer_free(&a);
	a = call_with(
	    P_DEPLOYER, "POST", OWN "/archives", "Idempotency-Key: up\r\n", STR("another"));
	EXPECT(a, 409);
	answer_free(&a);
	assert_int_equal(spool_count(), 1);
	ordered(P_DEPLOYER, OWN "/deploys", body);
	/* Not for another project, and not for a name that leads elsewhere. */
	CALL(ROOT, "POST", "/api/v1/projects/theirs/deploys", body, 404);
	CALL(P_DEPLOYER, "POST", OWN "/deploys", "{\"archive\":\"../key\"}", 404);
	CALL(P_DEPLOYER, "POST", OWN "/deploys", "{\"archive\":\"1-00\"}", 404);
	a = call_with(P_DEPLOYER, "POST", OWN "/archives", "Content-Length: 0\r\n", STR_NONE);
	EXPECT(a, 400);
	answer_free(&a);
	assert_int_equal(spool_count(), 1);
}

struct event_made {
	const char *key, *kind, *ref;
	enum model_outcome outcome;
	int64_t id;
};

static int event_unit(void *ctx, struct store_db *db, struct err *e)
{
	struct event_made *made = ctx;
	struct arena a CLEANUP_ARENA;
	struct model_hook h;
	arena_init(&a, 65536);
	if (model_hook_find(db, &a, STR("ownhook"), &h, e) != 1)
		return -1;
	struct model_event ev = {.hook_id = h.id,
	    .project_id = h.project_id,
	    .delivery_key = str_c(made->key),
	    .received_ms = clock_wall_ms(),
	    .kind = str_c(made->kind),
	    .ref = str_c(made->ref),
	    .before = STR(""),
	    .after = STR(""),
	    .body = STR("{\"zen\":\"\\u0000 is fine\"}"),
	    .outcome = made->outcome};
	return model_event_add(db, &ev, &made->id, e);
}

static int64_t event_make(
    const char *key, const char *kind, const char *ref, enum model_outcome outcome)
{
	struct err e = {0};
	struct event_made made = {key, kind, ref, outcome, 0};
	if (store_write(world.cx.store, event_unit, &made, &e) < 0)
		fail_msg("%s", e.msg);
	return made.id;
}

static size_t task_count(void)
{
	struct answer a = call(P_VIEWER, "GET", OWN "/tasks?limit=100", NULL);
	EXPECT(a, 200);
	size_t n = json_array_size(json_object_get(a.json, "items"));
	answer_free(&a);
	return n;
}

static void replayed(int64_t id, int status, const char *word)
{
	char path[96];
	snprintf(path, sizeof(path), OWN "/events/%d/replay", (int)id);
	struct answer a = call(P_DEPLOYER, "POST", path, "{}");
	EXPECT(a, status);
	if (!strstr(a.body, word))
		fail_msg("no '%s' in %s", word, a.body);
	answer_free(&a);
}

/* What was left out begins as its hook says, and puts nothing live that the hook does not follow. */
static void test_replay_of_what_was_left_out(void **state)
{
	(void)state;
	char path[96];
	int64_t main_push = event_make("p-1", "push", "main", MODEL_OUTCOME_IGNORED),
		topic = event_make("p-2", "push", "topic", MODEL_OUTCOME_IGNORED),
		ping = event_make("p-3", "ping", "", MODEL_OUTCOME_IGNORED),
		pull = event_make("p-4", "pull_request", "refs/pull/7/head", MODEL_OUTCOME_IGNORED),
		waits = event_make("p-5", "push", "main", MODEL_OUTCOME_WAITING);
	replayed(topic, 409, "is of branch 'topic', and hook 'ownhook' follows 'main'");
	replayed(ping, 409, "names no branch");
	size_t tasks = task_count();
	CALL(P_ADMIN, "PATCH", OWN "/hooks/ownhook",
	    "{\"actions\":[{\"type\":\"check\"},{\"type\":\"deploy\"}]}", 200);
	replayed(topic, 409, "follows 'main'");
	replayed(ping, 409, "a ping");
	replayed(pull, 409, "another repository");
	replayed(waits, 409, "is under way");
	CALL(P_ADMIN, "PATCH", OWN "/hooks/ownhook", "{\"actions\":[{\"type\":\"notify\"}]}", 200);
	replayed(main_push, 202, "\"task\":null");
	assert_int_equal(task_count(), tasks);
	snprintf(path, sizeof(path), OWN "/events/%d", (int)main_push);
	struct answer a = call(P_VIEWER, "GET", path, NULL);
	EXPECT(a, 200);
	assert_string_equal(text_of(&a, "outcome"), "waiting");
	const json_t *actions = json_object_get(a.json, "actions");
	assert_int_equal(json_array_size(actions), 1);
	assert_string_equal(
	    json_string_value(json_object_get(json_array_get(actions, 0), "type")), "notify");
	answer_free(&a);
	CALL(P_ADMIN, "PATCH", OWN "/hooks/ownhook", "{\"actions\":[{\"type\":\"deploy\"}]}", 200);
}

static void test_events(void **state)
{
	(void)state;
	char path[96];
	int64_t id = event_make("d-1", "push", "main", MODEL_OUTCOME_WAITING);
	snprintf(path, sizeof(path), OWN "/events/%d", (int)id);
	struct answer a = call(P_VIEWER, "GET", path, NULL);
	EXPECT(a, 200);
	assert_string_equal(text_of(&a, "body"), "{\"zen\":\"\\u0000 is fine\"}");
	answer_free(&a);
	snprintf(path, sizeof(path), "/api/v1/projects/theirs/events/%d", (int)id);
	CALL(G_OWNER, "GET", path, NULL, 404);
	snprintf(path, sizeof(path), OWN "/events/%d/replay", (int)id);
	int64_t task = ordered(P_DEPLOYER, path, "{}");
	a = call(P_VIEWER, "GET", OWN "/events", NULL);
	EXPECT(a, 200);
	json_t *first = json_array_get(json_object_get(a.json, "items"), 0);
	assert_int_equal(json_integer_value(json_object_get(first, "task")), task);
	assert_null(json_object_get(first, "body"));
	answer_free(&a);
	CALL(P_ADMIN, "POST", OWN "/hooks", "{\"name\":\"second\"}", 201);
	for (int other = 0; other < 2; other++) {
		a = call(P_VIEWER, "GET",
		    other ? OWN "/events?hook=second" : OWN "/events?hook=ownhook", NULL);
		EXPECT(a, 200);
		assert_int_equal(json_array_size(json_object_get(a.json, "items")), !other);
		answer_free(&a);
	}
	CALL(P_VIEWER, "GET", OWN "/events?hook=theirs", NULL, 404);
	CALL(P_VIEWER, "GET", OWN "/events?hook=none", NULL, 404);
}

/* Reads a stream until `wanted` has come. */
static void stream_expect(int fd, struct buf *b, const char *wanted)
{
	char piece[4096];
	while (!b->n || !strstr(b->p, wanted)) {
		ssize_t n = recv(fd, piece, sizeof(piece), 0);
		if (n <= 0)
			fail_msg("no %s in %s", wanted, b->n ? b->p : "");
		buf_put(b, piece, (size_t)n);
	}
}

static void stream_expect_end(int fd)
{
	char piece[4096];
	ssize_t n;
	while ((n = recv(fd, piece, sizeof(piece), 0)) > 0)
		;
	assert_int_equal(n, 0);
}

static void test_task_stream(void **state)
{
	(void)state;
	char path[96], topic[32];
	struct buf b CLEANUP_BUF;
	buf_init(&b, 1 << 20);
	int64_t id = ordered(P_DEPLOYER, OWN "/deploys", "{}");
	snprintf(path, sizeof(path), "/api/v1/tasks/%d/stream", (int)id);
	snprintf(topic, sizeof(topic), "task/%d", (int)id);
	CALL(P_VIEWER, "HEAD", path, NULL, 200);
	CALL(P_VIEWER, "HEAD", OWN, NULL, 200);
	int fd = client_connect(P_VIEWER);
	client_say(fd, P_VIEWER, "GET", path, NULL, STR_NONE);
	stream_expect(fd, &b, "event: task");
	feed_publish(world.cx.feed, str_c(topic), STR("step"), STR("{\"step\":\"fetch\"}"));
	stream_expect(fd, &b, "\"fetch\"");
	assert_non_null(strstr(b.p, "id: 1\n"));
	/* Somebody else comes later, having seen the first message. */
	int late = client_connect(P_VIEWER);
	struct buf lb CLEANUP_BUF;
	buf_init(&lb, 1 << 20);
	client_say(late, P_VIEWER, "GET", path, "Last-Event-ID: 1\r\n", STR_NONE);
	stream_expect(late, &lb, "text/event-stream");
	snprintf(path, sizeof(path), "/api/v1/tasks/%d/cancel", (int)id);
	CALL(P_DEPLOYER, "POST", path, "{}", 202);
	stream_expect(fd, &b, "event: end");
	stream_expect_end(fd);
	stream_expect(late, &lb, "event: end");
	assert_null(strstr(lb.p, "\"fetch\""));
	stream_expect_end(late);
	close(fd);
	close(late);
	/* Superseded by a stop, which nobody publishes: found out all the same. So is a role that
	 * was taken away. */
	id = ordered(P_DEPLOYER, OWN "/deploys", "{}");
	snprintf(path, sizeof(path), "/api/v1/tasks/%d/stream", (int)id);
	fd = client_connect(P_VIEWER);
	client_say(fd, P_VIEWER, "GET", path, NULL, STR_NONE);
	late = client_connect(P_DEPLOYER);
	client_say(late, P_DEPLOYER, "GET", OWN "/logs/stream", NULL, STR_NONE);
	buf_clear(&b);
	buf_clear(&lb);
	stream_expect(fd, &b, "event: task");
	stream_expect(late, &lb, "text/event-stream");
	CALL(ROOT, "DELETE", "/api/v1/grants/pdeployer/own", NULL, 200);
	(void)ordered(ROOT, OWN "/stop", "{}");
	stream_expect_end(late);
	stream_expect(fd, &b, "event: end");
	stream_expect_end(fd);
	close(fd);
	close(late);
	/* An ended task tells its end at once. */
	snprintf(path, sizeof(path), "/api/v1/tasks/%d/stream", (int)id);
	fd = client_connect(P_VIEWER);
	buf_clear(&b);
	client_say(fd, P_VIEWER, "GET", path, NULL, STR_NONE);
	stream_expect(fd, &b, "event: end");
	stream_expect_end(fd);
	close(fd);
}

static void log_line(void *ctx)
{
	logs_append(world.cx.logs, STR("own"), 3, STR("web"), 1, str_c(ctx));
	logs_append(world.cx.logs, STR("own"), 3, STR("worker"), 1, STR("from the worker"));
}

static void test_logs(void **state)
{
	(void)state;
	struct buf b CLEANUP_BUF;
	char first[] = "hello \033[31m", second[] = "second line";
	buf_init(&b, 1 << 20);
	int fd = client_connect(P_VIEWER);
	client_say(fd, P_VIEWER, "GET", OWN "/logs/stream?process=web", NULL, STR_NONE);
	stream_expect(fd, &b, "text/event-stream");
	loop_post(world.cx.loop, log_line, first);
	loop_post(world.cx.loop, log_line, second);
	stream_expect(fd, &b, "second line");
	assert_null(strstr(b.p, "from the worker"));
	close(fd);
	struct answer a = call(P_VIEWER, "GET", OWN "/logs?process=web&tail=1&since=10m", NULL);
	EXPECT(a, 200);
	assert_int_equal(json_array_size(json_object_get(a.json, "items")), 1);
	assert_non_null(strstr(a.body, "second line"));
	answer_free(&a);
	a = call(P_VIEWER, "GET", OWN "/logs?contains=worker", NULL);
	EXPECT(a, 200);
	assert_int_equal(json_array_size(json_object_get(a.json, "items")), 2);
	answer_free(&a);
	CALL(P_VIEWER, "GET", OWN "/logs?tail=0", NULL, 400);
	CALL(P_VIEWER, "GET", OWN "/logs?since=yesterday", NULL, 400);
	CALL(P_VIEWER, "GET", OWN "/logs?process=../x", NULL, 400);
}

static void test_people(void **state)
{
	(void)state;
	CALL(ROOT, "POST", "/api/v1/operators", "{\"name\":\"anna\",\"role\":\"deployer\"}", 201);
	CALL(ROOT, "POST", "/api/v1/operators", "{\"name\":\"anna\"}", 409);
	struct answer a =
	    call(ROOT, "POST", "/api/v1/tokens", "{\"operator\":\"anna\",\"label\":\"laptop\"}");
	EXPECT(a, 201);
	assert_true(
	    str_copy(str_c(text_of(&a, "token")), world.tokens[NO_ROLE], ACCESS_TOKEN_SIZE));
	char path[64];
	snprintf(path, sizeof(path), "/api/v1/tokens/%d", (int)number_of(&a, "id"));
	answer_free(&a);
	a = call(NO_ROLE, "GET", "/api/v1/whoami", NULL);
	EXPECT(a, 200);
	assert_string_equal(text_of(&a, "name"), "anna");
	answer_free(&a);
	CALL(P_ADMIN, "DELETE", path, NULL, 404); /* not theirs */
	/* What was opened with a token ends with it, while its operator and their role stay. */
	struct buf b CLEANUP_BUF;
	buf_init(&b, 1 << 20);
	int fd = client_connect(NO_ROLE);
	client_say(fd, NO_ROLE, "GET", OWN "/logs/stream", NULL, STR_NONE);
	stream_expect(fd, &b, "text/event-stream");
	CALL(NO_ROLE, "DELETE", path, NULL, 200);
	stream_expect_end(fd);
	close(fd);
	CALL(NO_ROLE, "GET", "/api/v1/whoami", NULL, 401);
	CALL(ROOT, "POST", "/api/v1/tokens",
	    "{\"operator\":\"anna\",\"expires_at\":\"2001-01-01T00:00:00Z\"}", 400);
	CALL(ROOT, "DELETE", "/api/v1/operators/anna", NULL, 200);
	CALL(ROOT, "DELETE", "/api/v1/operators/gowner", NULL, 409); /* the last owner */
	a = call(ROOT, "GET", "/metrics", NULL);
	EXPECT(a, 200);
	assert_non_null(strstr(a.body, "\nslipway_projects 2\n"));
	assert_non_null(strstr(a.body, "slipway_tasks{state=\"waiting\"} 2"));
	answer_free(&a);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, world_setup, world_teardown)
	const struct CMUnitTest tests[] = {T(test_orders), T(test_cancel), T(test_log_in_a_browser),
	    T(test_repeats), T(test_archives), T(test_events), T(test_replay_of_what_was_left_out),
	    T(test_task_stream), T(test_logs), T(test_people)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
