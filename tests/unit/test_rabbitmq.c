/* rooms: base crypto text store model services */
/* Brokers for projects, on a real RabbitMQ that is started here: made, repeated, taken away; whose they are; where another's
 * user may not go; and that no value becomes more than a value. */
#include "services/rabbitmq.h"

#include "base/buf.h"
#include "base/hex.h"
#include "crypto/hash.h"
#include "model/place.h"
#include "rabbitmq_server.h"
#include "services/amqp.h"
#include "services/services.h"
#include "services/web.h"
#include "text/json.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/mman.h>

#include <cmocka.h>

static struct rabbitmq_server mq;
static struct err last;
static char maker_url[64], folder[] = "/tmp/slipway-keys-XXXXXX";
static int keys = -1;

/* --- asking the broker by ourselves --- */

/* What the administrator is told; static. *ret_status may be NULL. */
static const char *ask(const char *method, const char *path, const char *json, int *ret_status)
{
	static char said[4][4096];
	static unsigned at;
	const struct web_server s = {
	    .host = "127.0.0.1", .port = mq.http, .user = "maker", .password = "made"};
	struct web w;
	struct err e;
	assert_int_equal(web_open(&w, &s, &e), 0);
	int status = web_ask(&w, method, str_c(path), json ? str_c(json) : STR_NONE, &e);
	if (status < 0)
		fail_msg("%s %s: %s", method, path, e.msg);
	char *to = said[at++ % 4];
	snprintf(to, sizeof(said[0]), "%.*s", STR_ARG(buf_view(&w.answer)));
	web_close(&w);
	if (ret_status)
		*ret_status = status;
	return to;
}

static void tell(const char *method, const char *path, const char *json)
{
	int status;
	const char *said = ask(method, path, json, &status);
	if (status < 200 || status > 299)
		fail_msg("%s %s: %d %s", method, path, status, said);
}

static bool there(const char *path)
{
	int status;
	(void)ask("GET", path, NULL, &status);
	return status == 200;
}

static void holds(const char *path, const char *what)
{
	const char *said = ask("GET", path, NULL, NULL);
	if (!strstr(said, what))
		fail_msg("%s: %s", path, said);
}

static const struct web_server near = {.host = "127.0.0.1"};

/* As the project comes in. NULL: it got in; else why not. */
static const char *refused(const char *user, const char *password, const char *vhost)
{
	static struct err e;
	struct amqp_way way = {near, str_c(user), str_c(password), str_c(vhost)};
	way.at.port = mq.amqp;
	return amqp_try(&way, &e) == 0 ? NULL : e.msg;
}

static void write_password(const char *text, mode_t mode)
{
	(void)unlinkat(keys, RABBITMQ_PASSWORD_FILE, 0);
	int fd = openat(keys, RABBITMQ_PASSWORD_FILE, O_WRONLY | O_CREAT | O_CLOEXEC, mode);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static int open_server(void **state)
{
	(void)state;
	int rc = rabbitmq_open(&mq);
	if (rc != 1)
		return rc;
	if (!mkdtemp(folder))
		return -1;
	keys = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	write_password("made\n", 0600);
	snprintf(maker_url, sizeof(maker_url), "http://maker@127.0.0.1:%u", mq.http);
	return 0;
}

static int close_server(void **state)
{
	(void)state;
	rabbitmq_close(&mq);
	(void)unlinkat(keys, RABBITMQ_PASSWORD_FILE, 0);
	(void)unlinkat(keys, "seal.key", 0);
	(void)rmdir(folder);
	return 0;
}

static void need_server(void)
{
	if (mq.pid <= 0)
		skip();
}

static const struct services_owner shop = {"sw-shop_queue", {"mark-1", 6}, {"word1-word1", 11}};
static const struct services_owner other = {"sw-other_queue", {"mark-2", 6}, {"word2", 5}};

static struct rabbitmq_maker maker(void)
{
	return (struct rabbitmq_maker){
	    .url = maker_url, .keys = keys, .connections = 7, .queues = 3};
}

static struct services_place make(const struct services_owner *o)
{
	struct services_place p;
	struct err e;
	const struct rabbitmq_maker s = maker();
	if (rabbitmq_make(&s, o, &p, &e) != 0)
		fail_msg("%s", e.msg);
	return p;
}

static void drop(const struct services_owner *o)
{
	struct err e;
	const struct rabbitmq_maker s = maker();
	if (rabbitmq_drop(&s, o, &e) != 0)
		fail_msg("%s", e.msg);
}

static enum err_code refuses_by(
    const struct rabbitmq_maker *s, const struct services_owner *o, bool drops)
{
	struct services_place p;
	err_clear(&last);
	int rc = drops ? rabbitmq_drop(s, o, &last) : rabbitmq_make(s, o, &p, &last);
	return rc == 0 ? ERR_NONE : last.code;
}

static enum err_code refuses(const struct services_owner *o, bool drops)
{
	const struct rabbitmq_maker s = maker();
	return refuses_by(&s, o, drops);
}

static void nothing_left(void)
{
	const char *vhosts = ask("GET", "vhosts?columns=name", NULL, NULL),
		   *users = ask("GET", "users?columns=name", NULL, NULL);
	assert_string_equal(vhosts, "[{\"name\":\"/\"}]");
	assert_null(strstr(users, "sw-"));
}

/* --- tests --- */

static void test_made_once(void **state)
{
	(void)state;
	need_server();
	struct services_place p = make(&shop);
	assert_true(p.fresh);
	assert_string_equal(p.host, "127.0.0.1");
	assert_int_equal(p.port, mq.amqp);
	tell("PUT", "queues/sw-shop_queue/kept", "{\"durable\":true}");
	assert_false(make(&shop).fresh);
	assert_true(there("queues/sw-shop_queue/kept"));
	holds("vhosts/sw-shop_queue", "\"description\":\"slipway mark-1\"");
	holds("users/sw-shop_queue", "\"tags\":[\"slipway-mark-1\"]");
	holds("vhost-limits/sw-shop_queue", "\"max-connections\":7");
	holds("vhost-limits/sw-shop_queue", "\"max-queues\":3");
	assert_string_equal(ask("GET", "users/sw-shop_queue/permissions", NULL, NULL),
	    "[{\"user\":\"sw-shop_queue\",\"vhost\":\"sw-shop_queue\",\"configure\":\".*\","
	    "\"write\":\".*\",\"read\":\".*\"}]");
	/* It gets in, with that password alone, and never into the API. */
	assert_null(refused("sw-shop_queue", "word1-word1", "sw-shop_queue"));
	assert_non_null(
	    strstr(refused("sw-shop_queue", "word2", "sw-shop_queue"), "ACCESS_REFUSED"));
	const struct web_server s = {.host = "127.0.0.1",
	    .port = mq.http,
	    .user = "sw-shop_queue",
	    .password = "word1-word1"};
	struct web w;
	struct err e;
	assert_int_equal(web_open(&w, &s, &e), 0);
	assert_int_equal(web_ask(&w, "GET", STR("whoami"), STR_NONE, &e), 401);
	assert_non_null(strstr(w.answer.p, "Not management user"));
	web_close(&w);
	/* Whatever somebody gave it besides, the next deploy has ours hold again. */
	tell("PUT", "users/sw-shop_queue",
	    "{\"password\":\"mine\",\"tags\":\"administrator,slipway-mark-1\"}");
	(void)make(&shop);
	assert_null(refused("sw-shop_queue", "word1-word1", "sw-shop_queue"));
	assert_non_null(refused("sw-shop_queue", "mine", "sw-shop_queue"));
	holds("users/sw-shop_queue", "\"tags\":[\"slipway-mark-1\"]");
	drop(&shop);
	nothing_left();
}

/* Between us and the broker's API, one connection after another: what we say is kept in `to`. */
static pid_t overhear(int to, uint16_t *ret_port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}},
			   api = a;
	socklen_t n = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, n), 0);
	assert_int_equal(listen(fd, 4), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &n), 0);
	*ret_port = ntohs(a.sin_port);
	api.sin_port = htons(mq.http);
	pid_t pid = fork();
	if (pid != 0) {
		close(fd);
		return pid;
	}
	alarm(30);
	for (int c; (c = accept(fd, NULL, NULL)) >= 0; close(c)) {
		char in[8192];
		ssize_t got = 1;
		int b = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (connect(b, (struct sockaddr *)&api, sizeof(api)) != 0)
			_exit(1);
		while (got > 0) {
			struct pollfd p[2] = {{c, POLLIN, 0}, {b, POLLIN, 0}};
			if (poll(p, 2, -1) < 0)
				_exit(1);
			bool ours = p[0].revents != 0;
			got = read(ours ? c : b, in, sizeof(in));
			if (got > 0 && ((ours && write(to, in, (size_t)got) != got) ||
					   write(ours ? b : c, in, (size_t)got) != got))
				_exit(1);
		}
		close(b);
	}
	_exit(0);
}

static void lacks(int fd, const char *what)
{
	struct stat st;
	assert_int_equal(fstat(fd, &st), 0);
	void *all = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	assert_ptr_not_equal(all, MAP_FAILED);
	assert_null(memmem(all, (size_t)st.st_size, what, strlen(what)));
	munmap(all, (size_t)st.st_size);
}

/* What the broker is told over its API, keeps and logs is the password's salted hash. */
static void test_never_in_clear(void **state)
{
	char path[96], hash[128], url[64];
	uint16_t port;
	uint8_t hashed[HASH_SHA256_BYTES];
	struct buf b;
	struct services_place place;
	(void)state;
	need_server();
	int said = memfd_create("said", MFD_CLOEXEC), log;
	snprintf(path, sizeof(path), "%s/rabbit.log", mq.dir);
	log = open(path, O_RDONLY | O_CLOEXEC);
	pid_t ear = overhear(said, &port);
	struct rabbitmq_maker s = maker();
	snprintf(url, sizeof(url), "http://maker@127.0.0.1:%u", port);
	s.url = url;
	assert_int_equal(rabbitmq_make(&s, &shop, &place, &last), 0);
	kill(ear, SIGKILL);
	waitpid(ear, NULL, 0);
	lacks(said, "word1-word1");
	lacks(log, "word1-word1");
	close(said);
	close(log);
	const char *user = ask("GET", "users/sw-shop_queue", NULL, NULL),
		   *at = strstr(user, "\"password_hash\":\"");
	assert_non_null(at);
	snprintf(hash, sizeof(hash), "%.*s", (int)strcspn(at + 17, "\""), at + 17);
	buf_init(&b, 128);
	assert_true(base64_decode(str_c(hash), &b));
	assert_int_equal(b.n, 4 + HASH_SHA256_BYTES);
	memcpy(path, b.p, 4);
	memcpy(path + 4, "word1-word1", 11);
	hash_sha256((struct str){path, 15}, hashed);
	assert_memory_equal(hashed, b.p + 4, HASH_SHA256_BYTES);
	buf_fini(&b);
	drop(&shop);
}

static void test_nobody_else_comes_in(void **state)
{
	(void)state;
	need_server();
	(void)make(&shop);
	(void)make(&other);
	assert_null(refused("sw-other_queue", "word2", "sw-other_queue"));
	assert_non_null(
	    strstr(refused("sw-other_queue", "word2", "sw-shop_queue"), "access to vhost"));
	assert_non_null(strstr(refused("sw-other_queue", "word2", "/"), "access to vhost"));
	assert_non_null(refused("sw-other_queue", "word1-word1", "sw-shop_queue"));
	drop(&shop);
	drop(&other);
}

/* Each point at which it may have been ended is one that the next call goes on from. */
static void test_goes_on(void **state)
{
	(void)state;
	need_server();
	tell("PUT", "vhosts/sw-shop_queue", "{\"description\":\"slipway mark-1\"}");
	assert_false(make(&shop).fresh);
	holds("vhost-limits/sw-shop_queue", "\"max-queues\":3");
	tell("DELETE", "permissions/sw-shop_queue/sw-shop_queue", NULL);
	assert_non_null(refused("sw-shop_queue", "word1-word1", "sw-shop_queue"));
	(void)make(&shop);
	tell("DELETE", "vhosts/sw-shop_queue", NULL);
	assert_true(make(&shop).fresh);
	tell("DELETE", "users/sw-shop_queue", NULL);
	assert_false(make(&shop).fresh);
	tell("DELETE", "users/sw-shop_queue", NULL);
	drop(&shop); /* the vhost alone */
	nothing_left();
	(void)make(&shop);
	tell("DELETE", "vhosts/sw-shop_queue", NULL);
	drop(&shop); /* the user alone */
	drop(&shop); /* nothing there is success */
	nothing_left();
}

static void test_not_ours(void **state)
{
	(void)state;
	need_server();
	tell("PUT", "vhosts/sw-shop_queue", "{\"description\":\"theirs\"}");
	tell("PUT", "queues/sw-shop_queue/theirs", "{}");
	assert_int_equal(refuses(&shop, false), ERR_CONFLICT);
	assert_non_null(strstr(last.msg, "a vhost 'sw-shop_queue' that is not this project's"));
	assert_int_equal(refuses(&shop, true), ERR_CONFLICT);
	tell("PUT", "vhosts/sw-shop_queue", "{\"description\":\"slipway mark-9\"}"); /* another's */
	assert_int_equal(refuses(&shop, false), ERR_CONFLICT);
	assert_int_equal(refuses(&shop, true), ERR_CONFLICT);
	assert_true(there("queues/sw-shop_queue/theirs"));
	assert_false(there("users/sw-shop_queue"));
	assert_string_equal(ask("GET", "vhost-limits/sw-shop_queue", NULL, NULL), "[]");
	tell("DELETE", "vhosts/sw-shop_queue", NULL);
	static const char *const theirs[] = {"", "slipway-mark-9", "slipway-mark-11", "management"};
	for (size_t i = 0; i < sizeof(theirs) / sizeof(*theirs); i++) {
		char user[128];
		snprintf(
		    user, sizeof(user), "{\"password\":\"theirs\",\"tags\":\"%s\"}", theirs[i]);
		tell("PUT", "users/sw-shop_queue", user);
		assert_int_equal(refuses(&shop, false), ERR_CONFLICT);
		assert_int_equal(refuses(&shop, true), ERR_CONFLICT);
		assert_false(there("vhosts/sw-shop_queue"));
	}
	/* A vhost that is ours does not make the user so. */
	tell("PUT", "vhosts/sw-shop_queue", "{\"description\":\"slipway mark-1\"}");
	assert_int_equal(refuses(&shop, false), ERR_CONFLICT);
	assert_int_equal(refuses(&shop, true), ERR_CONFLICT);
	assert_true(there("vhosts/sw-shop_queue"));
	tell("PUT", "permissions/sw-shop_queue/sw-shop_queue",
	    "{\"configure\":\"\",\"write\":\"\",\"read\":\"\"}");
	assert_null(refused("sw-shop_queue", "theirs", "sw-shop_queue"));
	tell("DELETE", "users/sw-shop_queue", NULL);
	drop(&shop);
	nothing_left();
}

/* Full is not closed: a deploy does not fail because the project is busy. */
static void test_limits(void **state)
{
	int status;
	char queue[64];
	(void)state;
	need_server();
	struct rabbitmq_maker s = maker();
	s.connections = 0;
	assert_int_equal(refuses_by(&s, &shop, false), ERR_NONE);
	const struct web_server at = {.host = "127.0.0.1", .port = mq.amqp};
	const struct amqp_way way = {at, str_c(shop.name), shop.password, str_c(shop.name)};
	assert_int_equal(amqp_try(&way, &last), 0);
	for (int i = 0; i < 3; i++) {
		snprintf(queue, sizeof(queue), "queues/sw-shop_queue/q%d", i);
		tell("PUT", queue, "{}");
	}
	const char *said = ask("PUT", "queues/sw-shop_queue/q3", "{}", &status);
	assert_int_equal(status / 100, 4);
	assert_non_null(strstr(said, "queue limit"));
	drop(&shop);
	assert_true(make(&shop).fresh);
	assert_string_equal(ask("GET", "queues/sw-shop_queue", NULL, NULL), "[]");
	drop(&shop);
}

static void test_over_tls(void **state)
{
	char url[64];
	(void)state;
	need_server();
	struct rabbitmq_maker s = maker();
	struct services_place p;
	snprintf(url, sizeof(url), "https://maker@127.0.0.2:%u", mq.https);
	s.url = url;
	assert_int_equal(refuses_by(&s, &shop, false), ERR_UNAVAILABLE); /* nobody vouches for it */
	assert_non_null(strstr(last.msg, "certificate"));
	s.ca_file = mq.ca;
	if (rabbitmq_make(&s, &shop, &p, &last) != 0)
		fail_msg("%s", last.msg);
	assert_string_equal(p.host, "127.0.0.2");
	assert_int_equal(p.port, mq.amqps);
	assert_int_equal(rabbitmq_drop(&s, &shop, &last), 0);
	nothing_left();
}

static void test_cannot_ask(void **state)
{
	char url[64];
	(void)state;
	need_server();
	struct rabbitmq_maker s = maker();
	snprintf(url, sizeof(url), "http://maker@127.0.0.1:%u", rabbitmq_free_port());
	s.url = url;
	assert_int_equal(refuses_by(&s, &shop, false), ERR_UNAVAILABLE);
	assert_non_null(strstr(last.msg, "could not ask RabbitMQ"));
	assert_non_null(strstr(last.hint, "rabbitmq-plugins enable rabbitmq_management"));
	assert_int_equal(refuses_by(&s, &shop, true), ERR_UNAVAILABLE);
	s = maker();
	write_password("wrong\n", 0600);
	assert_int_equal(refuses_by(&s, &shop, false), ERR_SETTINGS);
	assert_non_null(strstr(last.hint, "tag administrator"));
	static const char *const malformed[] = {"", "\n", "made\nmade\n", "made\n\n"};
	for (size_t i = 0; i < sizeof(malformed) / sizeof(*malformed); i++) {
		write_password(malformed[i], 0600);
		assert_int_equal(refuses_by(&s, &shop, false), ERR_SETTINGS);
	}
	write_password("made\n", 0640);
	assert_int_equal(refuses_by(&s, &shop, false), ERR_SETTINGS);
	assert_non_null(strstr(last.msg, "others may read"));
	(void)unlinkat(keys, RABBITMQ_PASSWORD_FILE, 0);
	assert_int_equal(refuses_by(&s, &shop, false), ERR_SETTINGS);
	assert_non_null(strstr(last.hint, "keys/rabbitmq.password"));
	write_password("made", 0600);
	/* Whoever may look but not make. */
	tell("PUT", "users/weak", "{\"password\":\"made\",\"tags\":\"monitoring\"}");
	snprintf(url, sizeof(url), "http://weak@127.0.0.1:%u", mq.http);
	s.url = url;
	assert_int_equal(refuses_by(&s, &shop, false), ERR_SETTINGS);
	assert_non_null(strstr(last.hint, "tag administrator"));
	tell("DELETE", "users/weak", NULL);
	nothing_left();
}

/* With the administrator that a broker comes with, each project could take it over. */
static void test_everybodys_password(void **state)
{
	(void)state;
	need_server();
	tell("PUT", "users/guest", "{\"password\":\"guest\",\"tags\":\"administrator\"}");
	assert_int_equal(refuses(&shop, false), ERR_SETTINGS);
	assert_non_null(strstr(last.hint, "rabbitmqctl delete_user guest"));
	assert_false(there("vhosts/sw-shop_queue"));
	tell("PUT", "users/guest", "{\"password\":\"changed\",\"tags\":\"administrator\"}");
	(void)make(&shop);
	drop(&shop);
	tell("DELETE", "users/guest", NULL);
}

static void test_a_hostile_server(void **state)
{
	static char body[65536];
	char url[64], redirect[256];
	uint16_t port;
	(void)state;
	need_server();
	struct rabbitmq_maker s = maker();
	s.url = url;
	/* To where it would be answered. */
	snprintf(redirect, sizeof(redirect),
	    "HTTP/1.1 302 Found\r\nLocation: http://maker:made@127.0.0.1:%u/api/overview\r\n"
	    "Content-Length: 0\r\nConnection: close\r\n\r\n",
	    mq.http);
	pid_t pid = rabbitmq_pretend(redirect, 1, &port);
	snprintf(url, sizeof(url), "http://maker@127.0.0.1:%u", port);
	assert_int_equal(refuses_by(&s, &shop, false), ERR_FAILED);
	assert_non_null(strstr(last.msg, "(302)"));
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	/* Without an end. */
	memset(body, 'x', sizeof(body) - 1);
	static const char head[] = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n[";
	memcpy(body, head, sizeof(head) - 1);
	pid = rabbitmq_pretend(body, 1 << 20, &port);
	snprintf(url, sizeof(url), "http://maker@127.0.0.1:%u", port);
	assert_int_equal(refuses_by(&s, &shop, false), ERR_UNAVAILABLE);
	assert_non_null(strstr(last.msg, "too long"));
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	/* What the environment names as a proxy is not asked. */
	setenv("http_proxy", "http://127.0.0.1:1", 1);
	setenv("all_proxy", "http://127.0.0.1:1", 1);
	assert_int_equal(refuses(&shop, true), ERR_NONE);
	unsetenv("http_proxy");
	unsetenv("all_proxy");
}

static const char *const hostile[] = {"a/b", "/", "..", ".", "a?b=c", "a#b", "%2f", "%", "a%00b",
    "a\"b", "\",\"tags\":\"administrator", "\\", "\\\"", "{}", "a b", "+", "a&b", "\n", "\x01\x7f",
    "\xc3\xbc", "@", ":", "a:b@c", "*", ".*", ";", "'", "<x>", "|"};

/* Behind the validator: what it lets through no more is still one value, for the broker itself. */
static void test_values_stay_values(void **state)
{
	(void)state;
	need_server();
	for (size_t i = 0; i < sizeof(hostile) / sizeof(*hostile); i++) {
		const struct services_owner o = {hostile[i], str_c("m"), str_c(hostile[i])};
		enum err_code rc = refuses(&o, false);
		if (strcmp(hostile[i], "/") == 0) { /* a vhost that is there, and not ours */
			assert_int_equal(rc, ERR_CONFLICT);
			continue;
		}
		if (strcmp(hostile[i], ".") == 0 || strcmp(hostile[i], "..") == 0) {
			assert_int_not_equal(rc, ERR_NONE); /* the broker takes these for folders */
			nothing_left();
			continue;
		}
		if (rc != ERR_NONE)
			fail_msg("%s: %s", hostile[i], last.msg);
		struct json_t *all;
		CLEANUP_JSON json_t *vhosts =
		    json_read(str_c(ask("GET", "vhosts?columns=name", NULL, NULL)), &last);
		CLEANUP_JSON json_t *users =
		    json_read(str_c(ask("GET", "users?columns=name,tags", NULL, NULL)), &last);
		assert_int_equal(json_array_size(vhosts), 2);
		assert_int_equal(json_array_size(users), 2);
		size_t at, found = 0;
		json_array_foreach(vhosts, at, all) found +=
		    strcmp(json_string_value(json_object_get(all, "name")), hostile[i]) == 0;
		json_array_foreach(users, at,
		    all) if (strcmp(json_string_value(json_object_get(all, "name")), hostile[i]) ==
			     0)
		{
			json_t *tags = json_object_get(all, "tags");
			assert_int_equal(json_array_size(tags), 1);
			assert_string_equal(
			    json_string_value(json_array_get(tags, 0)), "slipway-m");
			found++;
		}
		assert_int_equal(found, 2);
		drop(&o);
		nothing_left();
	}
}

/* --- the room --- */

static struct model_service row(const struct seal_key *k, const char *name,
    enum model_service_type type, const char *host, int64_t port, struct buf *sealed)
{
	char place[MODEL_PLACE_SIZE];
	buf_init(sealed, 256);
	seal(k, model_place_service(1, str_c(name), place), STR("pass:w/rd"), sealed);
	return (struct model_service){.project_id = 1,
	    .name = str_c(name),
	    .type = type,
	    .sealed = buf_view(sealed),
	    .mark = STR("m"),
	    .host = str_c(host),
	    .port = port,
	    .made_ms = 1};
}

static const char *value_of(const struct manifest_pair *v, size_t n, const char *key)
{
	for (size_t i = 0; i < n; i++)
		if (str_eq_c(v[i].key, key))
			return v[i].value.p;
	return NULL;
}

/* The oldest of each type has what programs look for; what a value holds is escaped. */
static void test_variables(void **state)
{
	struct arena a;
	struct err e;
	struct buf b[3];
	struct manifest_pair *v;
	size_t n;
	(void)state;
	need_server();
	arena_init(&a, 1 << 20);
	struct seal_key *k = seal_key_load(keys, "seal.key", &e);
	struct services *s = services_new(&(struct services_options){.seal = k});
	struct model_service rows[] = {
	    row(k, "queue", MODEL_SERVICE_RABBITMQ, "127.0.0.1", 5672, &b[0]),
	    row(k, "db", MODEL_SERVICE_POSTGRES, "127.0.0.1", 5432, &b[1]),
	    row(k, "far", MODEL_SERVICE_RABBITMQ, "mq.example.org", 5671, &b[2])};
	const struct model_services all = {rows, 3};
	assert_int_equal(services_env(s, &a, STR("shop"), &all, &v, &n, &e), 0);
	assert_string_equal(value_of(v, n, "QUEUE_URL"),
	    "amqp://sw-shop_queue:pass%3Aw%2Frd@127.0.0.1:5672/sw-shop_queue");
	assert_string_equal(value_of(v, n, "AMQP_URL"), value_of(v, n, "QUEUE_URL"));
	assert_string_equal(value_of(v, n, "CELERY_BROKER_URL"), value_of(v, n, "QUEUE_URL"));
	assert_string_equal(value_of(v, n, "FAR_URL"),
	    "amqps://sw-shop_far:pass%3Aw%2Frd@mq.example.org:5671/sw-shop_far");
	assert_string_equal(value_of(v, n, "DATABASE_URL"), value_of(v, n, "DB_URL"));
	assert_int_equal(n, 3 + 6 + 2);
	services_free(s);
	seal_key_free(k);
	for (int i = 0; i < 3; i++)
		buf_fini(&b[i]);
	arena_fini(&a);
}

/* What a restore asks of a broker is nothing, also while it is away; where there is none, that is said. */
static void test_acts(void **state)
{
	char away[64];
	struct services_place p;
	struct err e;
	struct buf b;
	(void)state;
	need_server();
	struct seal_key *k = seal_key_load(keys, "seal.key", &e);
	struct model_service v = row(k, "queue", MODEL_SERVICE_RABBITMQ, "127.0.0.1", 5672, &b);
	snprintf(away, sizeof(away), "http://maker@127.0.0.1:%u", rabbitmq_free_port());
	struct services_options o = {.seal = k, .rabbitmq = away, .keys = keys};
	struct services *s = services_new(&o);
	for (enum services_act act = SERVICES_FRESH; act < SERVICES_ACT_COUNT; act++)
		assert_int_equal(services_do(s, act, STR("shop"), &v, &p, &e), 0);
	assert_int_equal(services_do(s, SERVICES_FRESH, STR("shop"), &v, &p, &e), 0);
	assert_string_equal(p.host, "127.0.0.1");
	assert_int_equal(p.port, 5672);
	assert_false(p.fresh);
	assert_int_equal(services_do(s, SERVICES_MAKE, STR("shop"), &v, &p, &e), -1);
	assert_int_equal(e.code, ERR_UNAVAILABLE);
	services_free(s);
	o.rabbitmq = maker_url;
	o.rabbitmq_connections = o.rabbitmq_queues = 5;
	s = services_new(&o);
	v.made_ms = 0;
	assert_int_equal(services_do(s, SERVICES_FRESH, STR("shop"), &v, &p, &e), 0);
	assert_true(p.fresh);
	assert_int_equal(p.port, mq.amqp);
	assert_int_equal(services_do(s, SERVICES_DROP, STR("shop"), &v, &p, &e), 0);
	assert_int_equal(services_do(s, SERVICES_MAKE, STR("sh op"), &v, &p, &e), -1);
	assert_int_equal(e.code, ERR_INVALID);
	services_free(s);
	o.rabbitmq = NULL;
	s = services_new(&o);
	assert_int_equal(services_do(s, SERVICES_MAKE, STR("shop"), &v, &p, &e), -1);
	assert_int_equal(e.code, ERR_UNSUPPORTED);
	assert_non_null(strstr(e.hint, "--rabbitmq"));
	services_free(s);
	seal_key_free(k);
	buf_fini(&b);
	nothing_left();
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_made_once),
	    cmocka_unit_test(test_never_in_clear), cmocka_unit_test(test_nobody_else_comes_in),
	    cmocka_unit_test(test_goes_on), cmocka_unit_test(test_not_ours),
	    cmocka_unit_test(test_limits), cmocka_unit_test(test_over_tls),
	    cmocka_unit_test(test_cannot_ask), cmocka_unit_test(test_everybodys_password),
	    cmocka_unit_test(test_a_hostile_server), cmocka_unit_test(test_values_stay_values),
	    cmocka_unit_test(test_variables), cmocka_unit_test(test_acts)};
	return cmocka_run_group_tests(tests, open_server, close_server);
}
