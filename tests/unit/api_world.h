/* A whole API over a database in memory, on a TCP port and a Unix socket, with operators of every
 * kind; and a blocking client. What the tests of src/api and src/access share. */
#pragma once

#include "api/api.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "model/hook.h"
#include "model/operator.h"
#include "model/place.h"
#include "model/project.h"
#include "kinds/plan.h"
#include "model/release.h"
#include "model/schema.h"
#include "model/task.h"
#include "text/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

/* Operators: with a global role, or with a grant on the project "own"; nobody has one on "theirs".
 */
enum who {
	ANONYMOUS,
	WRONG_TOKEN,
	NO_ROLE,
	G_VIEWER,
	G_DEPLOYER,
	G_ADMIN,
	G_OWNER,
	P_VIEWER,
	P_DEPLOYER,
	P_ADMIN,
	P_OWNER,
	ROOT, /* over the Unix socket */
	WHO_COUNT
};
static const char *const who_names[WHO_COUNT] = {"", "", "norole", "gviewer", "gdeployer", "gadmin",
    "gowner", "pviewer", "pdeployer", "padmin", "powner", ""};

static struct api_world {
	struct api_context cx;
	struct seal_key *seal;
	struct http_server *server;
	pthread_t thread;
	uint16_t port;
	char dir[64], spool[96], path[96];
	char tokens[WHO_COUNT][ACCESS_TOKEN_SIZE];
	int64_t own, theirs, own_task, theirs_task;
} world;

struct answer {
	int status;
	char head[8192];
	char *body; /* ended by NUL */
	size_t size;
	json_t *json; /* NULL when the body is none */
};

static inline void answer_free(struct answer *a)
{
	free(a->body);
	json_decref(a->json);
	*a = (struct answer){0};
}

static inline enum model_role who_global(enum who w)
{
	return w == ROOT ? MODEL_ROLE_OWNER
	       : w >= G_VIEWER && w <= G_OWNER
		   ? (enum model_role)(MODEL_ROLE_VIEWER + (w - G_VIEWER))
		   : MODEL_ROLE_NONE;
}

static inline enum model_role who_on_own(enum who w)
{
	return w >= P_VIEWER && w <= P_OWNER ? (enum model_role)(MODEL_ROLE_VIEWER + (w - P_VIEWER))
					     : who_global(w);
}

/* Setting up. */

static inline int world_project(struct store_db *db, struct str name, int64_t *ret, struct err *e)
{
	struct model_project p = {.name = name,
	    .kind = STR("static"),
	    .source = MODEL_SOURCE_GIT,
	    .source_url = STR("https://example.org/a/b.git"),
	    .source_ref = STR("main"),
	    .root = STR(""),
	    .desired_running = true,
	    .created_ms = clock_wall_ms()};
	return model_project_add(db, &p, ret, e);
}

static inline int world_task(struct store_db *db, int64_t project, int64_t *ret, struct err *e)
{
	struct queue_order o = {.project_id = project,
	    .kind = MODEL_TASK_DEPLOY,
	    .ref = STR("main"),
	    .input_json = STR("{}"),
	    .requested_by = STR("test"),
	    .now_ms = clock_wall_ms()};
	return queue_unit_order(db, &o, ret, e);
}

static inline int world_hook(struct store_db *db, int64_t project, struct str name, struct err *e)
{
	struct model_hook h = {.project_id = project,
	    .name = name,
	    .sender = STR("github"),
	    .secret = STR("sealed"),
	    .branch = STR(""),
	    .created_ms = clock_wall_ms()};
	int64_t id;
	return model_hook_add(db, &h, &id, e);
}

static inline int world_unit(void *ctx, struct store_db *db, struct err *e)
{
	(void)ctx;
	if (world_project(db, STR("own"), &world.own, e) < 0 ||
	    world_project(db, STR("theirs"), &world.theirs, e) < 0 ||
	    world_task(db, world.own, &world.own_task, e) < 0 ||
	    world_task(db, world.theirs, &world.theirs_task, e) < 0 ||
	    world_hook(db, world.own, STR("ownhook"), e) < 0 ||
	    world_hook(db, world.theirs, STR("theirs"), e) < 0)
		return -1;
	for (int i = NO_ROLE; i <= P_OWNER; i++) {
		int64_t id, token;
		struct model_operator o = {.name = str_c(who_names[i]),
		    .role = who_global((enum who)i),
		    .created_ms = clock_wall_ms()};
		if (model_operator_add(db, &o, &id, e) < 0 ||
		    access_unit_token(db, id, STR("test"), 0, world.tokens[i], &token, e) < 0)
			return -1;
		if (i >= P_VIEWER &&
		    model_grant_set(db, id, world.own, who_on_own((enum who)i), e) < 0)
			return -1;
	}
	return 0;
}

static void *world_run(void *ctx)
{
	loop_run(ctx);
	return NULL;
}

static inline void world_check(int rc, const struct err *e)
{
	if (rc < 0)
		fail_msg("%s (%s)", e->msg, e->hint);
}

static inline void world_serve(void)
{
	struct err e = {0};
	size_t count;
	const struct http_route *routes = api_routes(&count);
	struct http_server_options o = {.loop = world.cx.loop,
	    .routes = routes,
	    .route_count = count,
	    .ctx = &world.cx,
	    .authorize = api_authorize,
	    .spool_dir = world.spool};
	world.server = http_server_new(&o, &e);
	if (!world.server)
		fail_msg("%s", e.msg);
	int fd = http_listen_tcp("127.0.0.1", 0, 64, &world.port, &e);
	world_check(fd, &e);
	world_check(http_server_listen(world.server, fd, &e), &e);
	fd = http_listen_unix(world.path, 0600, &e);
	world_check(fd, &e);
	world_check(http_server_listen(world.server, fd, &e), &e);
	assert_int_equal(pthread_create(&world.thread, NULL, world_run, world.cx.loop), 0);
}

static inline void world_start(void)
{
	struct err e = {0};
	char logs[96];
	memset(&world, 0, sizeof(world));
	signal(SIGPIPE, SIG_IGN); /* as the daemon does */
	snprintf(world.dir, sizeof(world.dir), "/tmp/api-test.XXXXXX");
	assert_non_null(mkdtemp(world.dir));
	snprintf(world.spool, sizeof(world.spool), "%s/spool", world.dir);
	snprintf(world.path, sizeof(world.path), "%s/api.sock", world.dir);
	snprintf(logs, sizeof(logs), "%s/logs", world.dir);
	world_check(fs_mkdirs(world.spool, 0700, &e), &e);
	int dir CLEANUP_FD = open(world.dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct store *s = store_open(&(struct store_options){.readers = 4}, &e);
	if (!s || model_migrate(s, &e) < 0 || store_write(s, world_unit, NULL, &e) < 0)
		fail_msg("%s", e.msg);
	world.seal = seal_key_load(dir, "key", &e);
	world.cx = (struct api_context){.loop = loop_new(4),
	    .store = s,
	    .access = access_open(s, &e),
	    .seal = world.seal,
	    .spool_dir = world.spool,
	    .backups_dir = world.spool,
	    .public_url = "http://localhost:8000",
	    .edge_scheme = "http",
	    .edge_port = 8080,
	    .edge_localhost = true,
	    .started_ms = clock_wall_ms()};
	world.cx.feed = feed_new(world.cx.loop);
	world.cx.logs = logs_open(logs, world.cx.feed, &e);
	assert_non_null(world.cx.logs);
	world_serve();
}

static inline void world_end(void *ctx)
{
	(void)ctx;
	http_server_free(world.server);
	feed_free(world.cx.feed);
	loop_stop(world.cx.loop);
}

static inline void world_stop(void)
{
	struct err e;
	loop_post(world.cx.loop, world_end, NULL);
	pthread_join(world.thread, NULL);
	loop_free(world.cx.loop);
	logs_close(world.cx.logs);
	access_close(world.cx.access);
	store_close(world.cx.store);
	seal_key_free(world.seal);
	int tmp CLEANUP_FD = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	world_check(fs_remove_tree(tmp, world.dir + strlen("/tmp/"), &e), &e);
}

/* The client: one connection for each request. */

static inline int client_connect(enum who w)
{
	struct timeval limit = {20, 0};
	int fd;
	if (w == ROOT) {
		struct sockaddr_un to = {.sun_family = AF_UNIX};
		snprintf(to.sun_path, sizeof(to.sun_path), "%s", world.path);
		fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
		assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	} else {
		struct sockaddr_in to = {.sin_family = AF_INET,
		    .sin_port = htons(world.port),
		    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
		fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	}
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	return fd;
}

static inline void client_say(
    int fd, enum who w, const char *method, const char *path, const char *headers, struct str body)
{
	struct buf b;
	buf_init(&b, 64u << 20);
	buf_printf(&b, "%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n", method, path);
	if (w == WRONG_TOKEN)
		buf_c(&b,
		    "Authorization: Bearer slw_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\r\n");
	else if (w != ANONYMOUS && w != ROOT)
		buf_printf(&b, "Authorization: Bearer %s\r\n", world.tokens[w]);
	if (body.p)
		buf_printf(&b, "Content-Type: application/json\r\nContent-Length: %zu\r\n", body.n);
	buf_printf(&b, "%s\r\n", headers ? headers : "");
	buf_str(&b, body);
	/* A refusal may come before the whole body was read. */
	for (size_t sent = 0; sent < b.n;) {
		ssize_t n = send(fd, b.p + sent, b.n - sent, MSG_NOSIGNAL);
		if (n <= 0)
			break;
		sent += (size_t)n;
	}
	buf_fini(&b);
}

static inline void client_hear(int fd, struct answer *a)
{
	struct buf b;
	char piece[65536];
	ssize_t n;
	char *end = NULL;
	buf_init(&b, 64u << 20);
	while ((n = recv(fd, piece, sizeof(piece), 0)) > 0) {
		buf_put(&b, piece, (size_t)n);
		end = strstr(b.p, "\r\n\r\n");
		if (end && strstr(b.p, "text/event-stream"))
			break;
	}
	*a = (struct answer){0};
	if (!end)
		fail_msg("no answer: %s", b.p ? b.p : "");
	assert_int_equal(sscanf(b.p, "HTTP/1.1 %d", &a->status), 1);
	size_t head = (size_t)(end - b.p) + 4;
	assert_true(head < sizeof(a->head));
	memcpy(a->head, b.p, head);
	a->size = b.n - head;
	a->body = mem_dup((struct str){b.p + head, a->size});
	a->json = json_loadb(a->body, a->size, 0, NULL);
	buf_fini(&b);
}

static inline struct answer call_with(
    enum who w, const char *method, const char *path, const char *headers, struct str body)
{
	struct answer a;
	int fd = client_connect(w);
	client_say(fd, w, method, path, headers, body);
	client_hear(fd, &a);
	close(fd);
	return a;
}

/* body NULL: none. */
static inline struct answer call(enum who w, const char *method, const char *path, const char *body)
{
	return call_with(w, method, path, NULL, body ? str_c(body) : STR_NONE);
}

#define EXPECT(a, wanted)                                                                          \
	do {                                                                                       \
		if ((a).status != (wanted))                                                        \
			fail_msg("%s:%d: status %d, expected %d: %s", __FILE__, __LINE__,          \
			    (a).status, wanted, (a).body);                                         \
	} while (0)

/* Calls, expects the status, forgets the answer. */
#define CALL(w, method, path, body, wanted)                                                        \
	do {                                                                                       \
		struct answer a_ = call(w, method, path, body);                                    \
		EXPECT(a_, wanted);                                                                \
		answer_free(&a_);                                                                  \
	} while (0)

static inline const char *text_of(const struct answer *a, const char *key)
{
	const char *s = json_string_value(json_object_get(a->json, key));
	return s ? s : "";
}

static inline int64_t number_of(const struct answer *a, const char *key)
{
	return json_integer_value(json_object_get(a->json, key));
}

static inline int world_setup(void **state)
{
	(void)state;
	world_start();
	return 0;
}

static inline int world_teardown(void **state)
{
	(void)state;
	world_stop();
	return 0;
}

/* Two sealed releases of the project own, the second one live. ctx: their numbers. */
static inline int sealed_unit(void *ctx, struct store_db *db, struct err *e)
{
	int64_t *numbers = ctx;
	struct plan_process web = {.name = STR("web")};
	struct plan plan = {.processes = &web, .process_count = 1};
	CLEANUP_BUF struct buf json;
	buf_init(&json, 65536);
	if (plan_pack(&plan, &json, e) < 0)
		return -1;
	for (int i = 0; i < 2; i++) {
		struct model_release r = {.project_id = world.own,
		    .commit = STR("c0ffee"),
		    .ref = STR("main"),
		    .subject = STR("s"),
		    .author = STR("a"),
		    .task_id = world.own_task,
		    .attempt = i + 1,
		    .created_ms = clock_wall_ms()};
		if (model_release_begin(db, &r, &numbers[i], e) < 0 ||
		    model_release_set_plan(db, world.own, numbers[i], buf_view(&json), e) < 0 ||
		    model_release_seal(db, world.own, numbers[i], 10, clock_wall_ms(), e) < 0 ||
		    model_live_set(db, world.own, numbers[i], clock_wall_ms(), e) < 0)
			return -1;
	}
	return 0;
}
