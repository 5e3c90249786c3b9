#include "services/rabbitmq.h"

#include "base/buf.h"
#include "base/fs.h"
#include "base/hex.h"
#include "base/num.h"
#include "base/rand.h"
#include "crypto/hash.h"
#include "services/amqp.h"
#include "services/web.h"
#include "text/json.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#define HTTP_PORT 15672
#define HTTPS_PORT 15671
#define MARK_SIZE 96
#define PATH_SIZE 1024
#define BODY_SIZE 2048
#define PASSWORD_MAX 256
#define SALT_BYTES 4
#define ADVICE                                                                                     \
	"as the administrator: rabbitmq-plugins enable rabbitmq_management, and a user with the "  \
	"tag administrator, whose password is in keys/" RABBITMQ_PASSWORD_FILE                     \
	"; see slipwayd(8), --rabbitmq"

/* --- the address --- */

/* Without the address: there may be a password in it. */
static int no_address(const char *why, struct err *e)
{
	return err_set(e, ERR_INVALID, "no address of RabbitMQ: %s", why);
}

static bool holds_only(struct str s, const char *set, size_t max)
{
	for (size_t i = 0; i < s.n; i++)
		if (!s.p[i] || !strchr(set, s.p[i]))
			return false;
	return s.n > 0 && s.n <= max;
}

#define LETTERS "abcdefghijklmnopqrstuvwxyz0123456789-."

bool rabbitmq_host_is_near(struct str host)
{
	return str_eq_c(host, "127.0.0.1") || str_eq_c(host, "localhost");
}

static int host_parse(struct str rest, struct rabbitmq_address *ret, struct err *e)
{
	struct str host = rest, port = STR_NONE;
	size_t at = str_find(rest, ':', 0);
	int64_t n = ret->tls ? HTTPS_PORT : HTTP_PORT;
	if (at != SIZE_MAX) {
		host = str_slice(rest, 0, at);
		port = str_from(rest, at + 1);
	}
	if (!holds_only(host, LETTERS, sizeof(ret->host) - 1) ||
	    !str_copy(host, ret->host, sizeof(ret->host)))
		return no_address("its host is neither a name nor an address such as 127.0.0.1", e);
	if (port.p && !num_i64(port, 1, UINT16_MAX, &n))
		return no_address("its port is none", e);
	ret->port = (uint16_t)n;
	return ret->tls || rabbitmq_host_is_near(host)
		   ? 0
		   : no_address("to another machine only https is safe", e);
}

int rabbitmq_address_parse(const char *url, struct rabbitmq_address *ret, struct err *e)
{
	static const char letters[] = LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZ_";
	struct str s = str_c(url), user;
	*ret = (struct rabbitmq_address){.tls = str_starts(s, STR("https://"))};
	if (!ret->tls && !str_starts(s, STR("http://")))
		return no_address("it begins with neither http:// nor https://", e);
	s = str_from(s, ret->tls ? 8 : 7);
	size_t at = str_find(s, '@', 0);
	if (at == SIZE_MAX)
		return no_address("it names no user, as http://slipway@127.0.0.1 does", e);
	user = str_slice(s, 0, at);
	if (str_find(user, ':', 0) != SIZE_MAX)
		return no_address("it holds a password, which others could read", e);
	if (!holds_only(user, letters, sizeof(ret->user) - 1) ||
	    !str_copy(user, ret->user, sizeof(ret->user)))
		return no_address("its user is malformed", e);
	s = str_from(s, at + 1);
	return host_parse(str_ends(s, STR("/")) ? str_slice(s, 0, s.n - 1) : s, ret, e);
}

/* --- asking --- */

static int refused(const struct web *w, int status, const char *what, struct err *e)
{
	struct err unread;
	struct str why = STR_NONE;
	CLEANUP_JSON json_t *o = json_read(buf_view(&w->answer), &unread);
	if (!o || json_get_str(o, "reason", &why, &unread) <= 0)
		why = STR("no reason given");
	bool is_right = status == 401 || status == 403;
	(void)err_set(e,
	    is_right	    ? ERR_SETTINGS
	    : status >= 500 ? ERR_UNAVAILABLE
			    : ERR_FAILED,
	    "RabbitMQ %s %s: %.*s (%d)", status >= 500 ? "could not" : "cannot", what,
	    STR_ARG(str_slice(why, 0, 200)), status);
	return err_hint(e, "%s", is_right ? ADVICE : "RabbitMQ's own log says more");
}

/* 1: done, 0: there is no such thing, -1. `path` has a %s for each of `v`, which ends with STR_NONE. */
static int ask(struct web *w, const char *what, const char *method, const char *path,
    const struct str *v, struct str json, struct err *e)
{
	CLEANUP_BUF struct buf full;
	buf_init(&full, PATH_SIZE);
	for (; *path; path++)
		if (*path == '%')
			web_escape(&full, *v++);
		else
			buf_char(&full, *path);
	if (buf_check(&full, "the name", e) != 0)
		return -1;
	int status = web_ask(w, method, buf_view(&full), json, e);
	if (status < 0)
		return err_hint(e, "does it run, and does it know us? %s", ADVICE);
	if (status == 404)
		return 0;
	return status >= 200 && status < 300 ? 1 : refused(w, status, what, e);
}

#define ASK(w, what, e, method, path, json, ...)                                                   \
	ask(w, what, method, path, (const struct str[]){__VA_ARGS__, STR_NONE}, json, e)

/* What is looked for must be there by now. */
static int put(struct web *w, const char *what, const char *path, const struct str *v,
    const struct buf *json, struct err *e)
{
	if (buf_check(json, "what RabbitMQ is told", e) != 0)
		return -1;
	int rc = ask(w, what, "PUT", path, v, buf_view(json), e);
	return rc == 0 ? refused(w, 404, what, e) : rc < 0 ? -1 : 0;
}

#define PUT(w, what, e, path, json, ...)                                                           \
	put(w, what, path, (const struct str[]){__VA_ARGS__, STR_NONE}, json, e)

static json_t *answer(const struct web *w, struct err *e)
{
	json_t *o = json_read(buf_view(&w->answer), e);
	if (!o)
		(void)err_prefix(e, "RabbitMQ's answer");
	return o;
}

/* --- connecting --- */

struct link {
	struct rabbitmq_address at;
	struct web_server server;
	struct web web;
	struct buf password;
};
#define CLEANUP_LINK __attribute__((cleanup(link_close)))

static void link_close(struct link *l)
{
	web_close(&l->web);
	buf_wipe(&l->password);
}

static int no_password(struct err *e)
{
	return err_hint(e,
	    "as that user: umask 077; one line in STATE/keys/%s, the password of "
	    "--rabbitmq's user; see slipwayd(8)",
	    RABBITMQ_PASSWORD_FILE);
}

static int password_read(int keys, struct buf *ret, struct err *e)
{
	struct stat st;
	if (fstatat(keys, RABBITMQ_PASSWORD_FILE, &st, AT_SYMLINK_NOFOLLOW) != 0) {
		(void)err_sys(e, ERR_SETTINGS, errno, "could not find RabbitMQ's password");
		return no_password(e);
	}
	if ((st.st_mode & 077) != 0) {
		(void)err_set(e, ERR_SETTINGS, "others may read RabbitMQ's password");
		return no_password(e);
	}
	if (fs_read(keys, RABBITMQ_PASSWORD_FILE, ret, e) != 0)
		return no_password(e);
	if (ret->n > 0 && ret->p[ret->n - 1] == '\n')
		ret->p[--ret->n] = '\0';
	if (ret->n > 0 && strlen(ret->p) == ret->n && !strchr(ret->p, '\n'))
		return 0;
	(void)err_set(e, ERR_SETTINGS, "RabbitMQ's password is not one line");
	return no_password(e);
}

static int link_open(struct link *l, const struct rabbitmq_maker *s, struct err *e)
{
	buf_init(&l->password, PASSWORD_MAX);
	if (rabbitmq_address_parse(s->url, &l->at, e) != 0 ||
	    password_read(s->keys, &l->password, e) != 0)
		return -1;
	l->server = (struct web_server){.tls = l->at.tls,
	    .host = l->at.host,
	    .port = l->at.port,
	    .ca_file = s->ca_file,
	    .user = l->at.user,
	    .password = l->password.p};
	return web_open(&l->web, &l->server, e);
}

/* --- where it is --- */

/* The broker says itself where it listens: on this machine in clear, elsewhere over TLS. */
static int place_of(struct link *l, struct services_place *ret, struct err *e)
{
	bool near = rabbitmq_host_is_near(str_c(l->at.host));
	int64_t port = 0;
	size_t i;
	json_t *one;
	int rc = ASK(&l->web, "be asked", e, "GET", "overview", STR_NONE, STR_NONE);
	if (rc <= 0)
		return rc < 0 ? -1 : refused(&l->web, 404, "be asked", e);
	CLEANUP_JSON json_t *o = answer(&l->web, e);
	if (!o)
		return -1;
	json_array_foreach(json_object_get(o, "listeners"), i, one)
	{
		struct str protocol = STR_NONE;
		if (port == 0 && json_get_str(one, "protocol", &protocol, e) == 1 &&
		    str_eq_c(protocol, near ? "amqp" : "amqp/ssl") &&
		    json_get_i64(one, "port", 1, UINT16_MAX, &port, e) < 0)
			return -1;
	}
	(void)snprintf(ret->host, sizeof(ret->host), "%s", l->at.host);
	ret->port = (uint16_t)port;
	return port ? 0
		    : err_set(e, ERR_SETTINGS, "RabbitMQ does not listen for %s",
			  near ? "AMQP" : "AMQP over TLS, as projects on another machine need it");
}

/* A new RabbitMQ has an administrator with a password that everybody knows: each project would have all of it. */
static int guest_check(struct link *l, struct err *e)
{
	struct web_server as_guest = l->server;
	struct web w CLEANUP_WEB = {0};
	int rc = ASK(&l->web, "be asked", e, "GET", "users/%", STR_NONE, STR("guest"));
	if (rc <= 0)
		return rc;
	as_guest.user = as_guest.password = "guest";
	if (web_open(&w, &as_guest, e) != 0)
		return -1;
	int status = web_ask(&w, "GET", STR("whoami"), STR_NONE, e);
	if (status != 200)
		return status < 0 ? -1 : 0;
	(void)err_set(e, ERR_SETTINGS,
	    "every project could take over this RabbitMQ: its user 'guest' still has the password "
	    "that it came with");
	return err_hint(e, "as the administrator: rabbitmqctl delete_user guest");
}

/* --- looking --- */

static int not_ours(const char *what, const struct services_owner *o, struct err *e)
{
	(void)err_set(
	    e, ERR_CONFLICT, "RabbitMQ has a %s '%s' that is not this project's", what, o->name);
	return err_hint(e,
	    "another platform's, or a person's: delete it, or choose another name for the "
	    "service");
}

/* 1: it is there and ours; 0: it is not there. */
static int vhost_look(struct web *w, const struct services_owner *o, struct err *e)
{
	char mark[MARK_SIZE];
	struct str has = STR_NONE;
	int rc = ASK(w, "look for the vhost", e, "GET", "vhosts/%", STR_NONE, str_c(o->name));
	if (rc <= 0)
		return rc;
	CLEANUP_JSON json_t *v = answer(w, e);
	if (!v || json_get_str(v, "description", &has, e) < 0)
		return -1;
	(void)snprintf(mark, sizeof(mark), "slipway %.*s", STR_ARG(o->mark));
	return str_eq_c(has, mark) ? 1 : not_ours("vhost", o, e);
}

static void tag_of(const struct services_owner *o, char out[MARK_SIZE])
{
	(void)snprintf(out, MARK_SIZE, "slipway-%.*s", STR_ARG(o->mark));
}

/* The same of the user. Somebody may have given it tags of his own beside ours. */
static int user_look(struct web *w, const struct services_owner *o, struct err *e)
{
	char tag[MARK_SIZE];
	size_t i;
	json_t *one;
	int rc = ASK(w, "look for the user", e, "GET", "users/%", STR_NONE, str_c(o->name));
	if (rc <= 0)
		return rc;
	CLEANUP_JSON json_t *u = answer(w, e);
	if (!u)
		return -1;
	tag_of(o, tag);
	json_array_foreach(json_object_get(u, "tags"), i,
	    one) if (json_is_string(one) && strcmp(json_string_value(one), tag) == 0) return 1;
	return not_ours("user", o, e);
}

struct there {
	int vhost, user;
};

static int look(struct web *w, const struct services_owner *o, struct there *ret, struct err *e)
{
	ret->vhost = vhost_look(w, o, e);
	ret->user = ret->vhost < 0 ? -1 : user_look(w, o, e);
	return ret->user < 0 ? -1 : 0;
}

/* --- making --- */

static int vhost_make(struct web *w, const struct services_owner *o, struct err *e)
{
	char mark[MARK_SIZE];
	struct json_out j;
	CLEANUP_BUF struct buf b;
	buf_init(&b, BODY_SIZE);
	json_out_init(&j, &b);
	(void)snprintf(mark, sizeof(mark), "slipway %.*s", STR_ARG(o->mark));
	json_open_object(&j, NULL);
	json_put_str(&j, "description", str_c(mark));
	json_close_object(&j);
	return PUT(w, "make the project's vhost", e, "vhosts/%", &b, str_c(o->name));
}

static int vhost_limit(
    struct web *w, const struct services_owner *o, const char *which, unsigned n, struct err *e)
{
	struct json_out j;
	CLEANUP_BUF struct buf b;
	buf_init(&b, BODY_SIZE);
	json_out_init(&j, &b);
	json_open_object(&j, NULL);
	json_put_i64(&j, "value", n);
	json_close_object(&j);
	return PUT(w, "limit the vhost", e, "vhost-limits/%/%", &b, str_c(o->name), str_c(which));
}

/* rabbit_password_hashing_sha256: four bytes of salt, and the hash of these and the password. */
static void password_hash(struct str password, struct buf *out)
{
	uint8_t hashed[SALT_BYTES + HASH_SHA256_BYTES];
	struct hash *h = hash_new();
	rand_bytes(hashed, SALT_BYTES);
	hash_update(h, (struct str){(const char *)hashed, SALT_BYTES});
	hash_update(h, password);
	hash_finish(h, hashed + SALT_BYTES);
	hash_free(h);
	base64_encode(hashed, sizeof(hashed), out);
}

static int user_put(struct web *w, const struct services_owner *o, struct err *e)
{
	char tag[MARK_SIZE];
	struct json_out j;
	CLEANUP_BUF struct buf b, hash;
	buf_init(&b, BODY_SIZE);
	buf_init(&hash, 128);
	tag_of(o, tag);
	password_hash(o->password, &hash);
	json_out_init(&j, &b);
	json_open_object(&j, NULL);
	json_put_str(&j, "password_hash", buf_view(&hash));
	json_put_str(&j, "hashing_algorithm", STR("rabbit_password_hashing_sha256"));
	json_put_str(&j, "tags", str_c(tag));
	json_close_object(&j);
	return PUT(w, "make the project's user", e, "users/%", &b, str_c(o->name));
}

static int user_allow(struct web *w, const struct services_owner *o, struct err *e)
{
	struct json_out j;
	CLEANUP_BUF struct buf b;
	buf_init(&b, BODY_SIZE);
	json_out_init(&j, &b);
	json_open_object(&j, NULL);
	json_put_str(&j, "configure", STR(".*"));
	json_put_str(&j, "write", STR(".*"));
	json_put_str(&j, "read", STR(".*"));
	json_close_object(&j);
	return PUT(w, "let the user into its vhost", e, "permissions/%/%", &b, str_c(o->name),
	    str_c(o->name));
}

/* By the way and with the password that the project has. */
static int connect_as_owner(const struct link *l, const struct services_owner *o,
    const struct services_place *p, struct err *e)
{
	const struct amqp_way way = {.at = {.tls = !rabbitmq_host_is_near(str_c(p->host)),
					 .host = p->host,
					 .port = p->port,
					 .ca_file = l->server.ca_file},
	    .user = str_c(o->name),
	    .password = o->password,
	    .vhost = str_c(o->name)};
	if (amqp_try(&way, e) == 0)
		return 0;
	(void)err_prefix(e, "the vhost is there, but the project cannot reach it");
	return err_hint(
	    e, "does RabbitMQ listen at %s:%u, and let users in from there?", p->host, p->port);
}

int rabbitmq_make(const struct rabbitmq_maker *s, const struct services_owner *o,
    struct services_place *ret, struct err *e)
{
	struct link l CLEANUP_LINK = {0};
	struct there there;
	*ret = (struct services_place){0};
	if (link_open(&l, s, e) != 0 || place_of(&l, ret, e) != 0 || guest_check(&l, e) != 0 ||
	    look(&l.web, o, &there, e) != 0)
		return -1;
	if (!there.vhost && vhost_make(&l.web, o, e) != 0)
		return -1;
	ret->fresh = !there.vhost;
	if (vhost_limit(&l.web, o, "max-connections", s->connections, e) != 0 ||
	    vhost_limit(&l.web, o, "max-queues", s->queues, e) != 0 ||
	    user_put(&l.web, o, e) != 0 || user_allow(&l.web, o, e) != 0)
		return -1;
	return connect_as_owner(&l, o, ret, e);
}

/* The user first: nobody comes back in while the vhost goes. */
int rabbitmq_drop(const struct rabbitmq_maker *s, const struct services_owner *o, struct err *e)
{
	struct link l CLEANUP_LINK = {0};
	struct there there;
	if (link_open(&l, s, e) != 0 || look(&l.web, o, &there, e) != 0)
		return -1;
	if (there.user && ASK(&l.web, "delete the project's user", e, "DELETE", "users/%", STR_NONE,
			      str_c(o->name)) < 0)
		return -1;
	if (there.vhost && ASK(&l.web, "delete the project's vhost", e, "DELETE", "vhosts/%",
			       STR_NONE, str_c(o->name)) < 0)
		return -1;
	return 0;
}
