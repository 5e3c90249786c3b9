/* Hooks over a real server, store and queue, and a sender that signs: what the tests of src/hooks
 * share. */
#pragma once

#include "model_fixture.h"

#include "http_world.h"

#include "base/fs.h"
#include "base/hex.h"
#include "base/mem.h"
#include "hooks/hooks.h"
#include "hooks/sender.h"
#include "model/event.h"
#include "model/place.h"
#include "model/task.h"

#define SECRET "It's a Secret to Everybody"
#define COMMIT "1111111111111111111111111111111111111111"
#define MAIN "{\"ref\":\"refs/heads/main\",\"after\":\"" COMMIT "\"}"
#define BODY_MAX (1u << 20)

static struct hooks_world {
	struct store *store;
	struct seal_key *seal;
	struct queue *queue;
	struct intake *intake;
	struct hooks *hooks;
	int64_t project;
	atomic_int ran, closed;
	pthread_mutex_t gate;
} hw;

/* Setting up. */

static int add_hook(struct store_db *db, const char *name, const char *sender, const char *branch,
    const char *secret, bool paused, struct err *e)
{
	char place[MODEL_PLACE_SIZE];
	CLEANUP_BUF struct buf sealed;
	int64_t id;
	buf_init(&sealed, 4096);
	seal(hw.seal, model_place_hook(str_c(name), place), str_c(secret), &sealed);
	struct model_hook h = {.project_id = hw.project,
	    .name = str_c(name),
	    .sender = str_c(sender),
	    .secret = buf_view(&sealed),
	    .branch = str_c(branch),
	    .created_ms = 1};
	if (model_hook_add(db, &h, &id, e) < 0)
		return -1;
	return paused && model_hook_set_paused(db, id, true, e) < 0 ? -1 : 0;
}

UNIT(make_hooks)
{
	(void)a;
	hw.project = fixture_project(db, "site", e);
	CHECK(hw.project > 0);
	CHECK(add_hook(db, "site", "github", "main", SECRET, false, e) == 0);
	CHECK(add_hook(db, "any", "github", "", "another secret", false, e) == 0);
	CHECK(add_hook(db, "gen", "generic", "main", SECRET, false, e) == 0);
	CHECK(add_hook(db, "bits", "bitbucket", "main", SECRET, false, e) == 0);
	CHECK(add_hook(db, "quiet", "github", "main", SECRET, true, e) == 0);
	/* a secret that was sealed for another place does not open here: the hook is as good as
	 * absent */
	CHECK(add_hook(db, "moved", "github", "main", SECRET, false, e) == 0);
	struct model_hook m;
	CHECK(model_hook_find(db, a, STR("site"), &m, e) == 1);
	struct str stolen = m.secret;
	CHECK(model_hook_find(db, a, STR("moved"), &m, e) == 1);
	CHECK(model_hook_rotate(db, m.id, stolen, 0, e) == 1);
	return 0;
}

static void on_run(void *ctx, const struct model_task *t, struct queue_lease l, bool recovered)
{
	(void)ctx, (void)t, (void)recovered;
	atomic_fetch_add(&hw.ran, 1);
	queue_finish(hw.queue, l, QUEUE_DONE, STR("{}"), STR("{}"), NULL, NULL);
}

static void on_cancel(void *ctx, int64_t task)
{
	(void)ctx, (void)task;
}

static void on_hook(struct http_call *c, struct http_request *r, void *ctx)
{
	(void)ctx;
	hooks_receive(hw.hooks, c, r);
}

static void serve(void)
{
	static const struct http_route route = {
	    HTTP_POST, "/hooks/{hook}", &hw, on_hook, HTTP_ON_LOOP, BODY_MAX, false};
	struct err e;
	struct http_server_options o = {.loop = w.loop,
	    .routes = &route,
	    .route_count = 1,
	    .authorize = authorize,
	    .spool_dir = w.dir,
	    .common_headers = COMMON};
	w.server = http_server_new(&o, &e);
	assert_non_null(w.server);
	int fd = http_listen_tcp("127.0.0.1", 0, 512, &w.port, &e);
	assert_true(fd >= 0);
	assert_int_equal(http_server_listen(w.server, fd, &e), 0);
	assert_int_equal(pthread_create(&w.thread, NULL, run_loop, NULL), 0);
}

/* With a store in a file and a journal before it. */
static bool hw_journal;

static int begin_with(uint32_t queue_max)
{
	char file[96], journal[96];
	struct err e = {0};
	memset(&w, 0, sizeof w);
	memset(&hw, 0, sizeof hw);
	pthread_mutex_init(&hw.gate, NULL);
	(void)snprintf(w.dir, sizeof w.dir, "/tmp/slipway-hooks-XXXXXX");
	assert_non_null(mkdtemp(w.dir));
	int dir = open(w.dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	hw.seal = seal_key_load(dir, "key", &e);
	assert_non_null(hw.seal);
	(void)close(dir);
	(void)snprintf(file, sizeof file, "%s/x.db", w.dir);
	(void)snprintf(journal, sizeof journal, "%s/journal", w.dir);
	hw.store = store_open(&(struct store_options){.path = hw_journal ? file : NULL,
				  .readers = 2,
				  .queue_max = queue_max},
	    &e);
	assert_non_null(hw.store);
	assert_int_equal(model_migrate(hw.store, &e), 0);
	fixture_run(hw.store, make_hooks);
	w.loop = loop_new(2);
	hw.queue = queue_open(&(struct queue_options){.store = hw.store,
				  .loop = w.loop,
				  .parallel_max = 4,
				  .incarnation = 1,
				  .run = on_run,
				  .cancel = on_cancel},
	    &e);
	assert_non_null(hw.queue);
	hw.intake = intake_open(
	    &(struct intake_options){.store = hw.store,
		.queue = hw.queue,
		.loop = w.loop,
		.journal = hw_journal ? journal : NULL},
	    &e);
	assert_non_null(hw.intake);
	hw.hooks = hooks_open(
	    &(struct hooks_options){
		.loop = w.loop, .store = hw.store, .intake = hw.intake, .seal = hw.seal},
	    &e);
	assert_non_null(hw.hooks);
	serve();
	return 0;
}

static int begin(void **state)
{
	(void)state;
	return begin_with(0);
}

static void end_on_loop(void *ctx)
{
	free_on_loop(ctx);
	intake_close(hw.intake);
	queue_close(hw.queue);
	atomic_store(&hw.closed, 1);
}

static void stop_loop(void *ctx)
{
	(void)ctx;
	loop_stop(w.loop);
}

UNIT(nothing)
{
	(void)db, (void)a, (void)e;
	return 0;
}

static int end(void **state)
{
	(void)state;
	loop_post(w.loop, end_on_loop, NULL);
	await(&hw.closed, 1);
	fixture_run(hw.store, nothing); /* what the queue had under way is back on the loop */
	loop_post(w.loop, stop_loop, NULL);
	(void)pthread_join(w.thread, NULL);
	hooks_close(hw.hooks);
	store_close(hw.store);
	loop_free(w.loop);
	seal_key_free(hw.seal);
	int tmp = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(fs_remove_tree(tmp, strrchr(w.dir, '/') + 1, NULL), 0);
	(void)close(tmp);
	return 0;
}

/* Sending. */

static const char *sign(const char *secret, const char *body)
{
	static char text[80];
	uint8_t mac[HMAC_SHA256_BYTES];
	struct hmac_key *k = hmac_key_new(str_c(secret));
	hmac_sha256(k, str_c(body), mac);
	hmac_key_free(k);
	memcpy(text, "sha256=", 7);
	hex_encode(mac, sizeof mac, text + 7);
	return text;
}

/* One request with these header lines; the body's length is added. */
static void send_raw(struct client *c, const char *hook, const char *headers, const char *body)
{
	CLEANUP_BUF struct buf b;
	buf_init(&b, 2 * BODY_MAX);
	buf_printf(&b, "POST /hooks/%s HTTP/1.1\r\nHost: a\r\nContent-Length: %zu\r\n%s\r\n", hook,
	    strlen(body), headers);
	buf_c(&b, body);
	assert_false(b.full);
	say(c, buf_view(&b));
}

static void send_push(struct client *c, const char *hook, const char *delivery, const char *event,
    const char *signature, const char *body)
{
	char headers[600];
	(void)snprintf(headers, sizeof headers,
	    "Content-Type: application/json\r\nX-GitHub-Delivery: %s\r\nX-GitHub-Event: %s\r\n"
	    "X-Hub-Signature-256: %s\r\n",
	    delivery, event, signature);
	send_raw(c, hook, headers, body);
}

static int64_t member(const struct client *c, const char *key)
{
	char name[32];
	int64_t v = 0;
	(void)snprintf(name, sizeof name, "\"%s\":", key);
	const char *at = memmem(c->body.p, c->body.n, name, strlen(name));
	if (at == NULL)
		return 0;
	struct str rest = str_from(c->body, (size_t)(at - c->body.p) + strlen(name));
	size_t n = 0;
	while (n < rest.n && rest.p[n] >= '0' && rest.p[n] <= '9')
		n++;
	assert_true(num_i64(str_slice(rest, 0, n), 1, INT64_MAX, &v));
	return v;
}

struct said {
	int status;
	int64_t event, task;
	bool repeated;
	char body[512];
};

/* What the event tells of its task: the answer came before there was one. */
static int64_t hw_event, hw_task;

UNIT(find_task)
{
	struct model_event ev;
	int rc = model_event_get(db, a, hw_event, MODEL_EVERYTHING, &ev, e);
	hw_task = rc > 0 ? ev.task_id : 0;
	return rc < 0 ? -1 : 0;
}

static struct said heard(struct client *c)
{
	struct said s = {.status = answer(c)};
	s.event = member(c, "event");
	s.task = member(c, "task");
	s.repeated = str_contains(c->body, STR("\"repeated\":true"));
	(void)snprintf(s.body, sizeof s.body, "%.*s", STR_ARG(c->body));
	if (hw_journal && s.event && !s.task) {
		hw_event = s.event;
		intake_settle(hw.intake, clock_mono_ms() + 30000);
		fixture_run(hw.store, find_task);
		s.task = hw_task;
	}
	return s;
}

static struct said ask_raw(const char *hook, const char *headers, const char *body)
{
	struct client c;
	client_open(&c);
	send_raw(&c, hook, headers, body);
	struct said s = heard(&c);
	client_close(&c);
	return s;
}

static struct said push_signed(
    const char *hook, const char *delivery, const char *event, const char *secret, const char *body)
{
	struct client c;
	client_open(&c);
	send_push(&c, hook, delivery, event, sign(secret, body), body);
	struct said s = heard(&c);
	client_close(&c);
	return s;
}
