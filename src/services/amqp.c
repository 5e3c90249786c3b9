#include "services/amqp.h"

#include "base/buf.h"
#include "base/clock.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>

/* A frame:
 *   offset  size  field
 *        0     1  type: 1, a method
 *        1     2  channel: 0
 *        3     4  size n of what follows, without the end
 *        7     n  class (2), method (2), arguments
 *      7+n     1  0xCE
 * All numbers have their highest byte first. A short text is a byte of length and its bytes, a long one four and its. */
#define FRAME_HEAD 7u
#define FRAME_END 0xCEu
#define FRAME_MAX 16384u
#define LOGIN_MAX 1536u
#define TYPE_METHOD 1u
#define CLASS_CONNECTION 10u

enum method {
	START = 10,
	START_OK = 11,
	TUNE = 30,
	TUNE_OK = 31,
	OPEN = 40,
	OPEN_OK = 41,
	CLOSE = 50
};

/* Whoever says so is told why it may not come in. */
#define CLIENT                                                                                     \
	"\x0c"                                                                                     \
	"capabilitiesF\0\0\0\x1f\x1c"                                                              \
	"authentication_failure_closet\x01"

struct talk {
	const struct libcurl *lib;
	CURL *easy;
	curl_socket_t fd;
	int64_t until_ms;
	struct buf out; /* holds the password for a moment: wiped */
	uint8_t in[FRAME_MAX];
	size_t size; /* of the arguments in `in` */
	uint16_t method;
};

static int silent(struct err *e, const char *why)
{
	return err_set(e, ERR_UNAVAILABLE, "%s", why);
}

/* --- bytes --- */

static int wait_for(struct talk *t, short events, struct err *e)
{
	struct pollfd p = {.fd = t->fd, .events = events};
	int64_t left = t->until_ms - clock_mono_ms();
	if (left <= 0 || poll(&p, 1, (int)left) == 0)
		return silent(e, "it does not answer in time");
	return 0;
}

static int send_all(struct talk *t, struct err *e)
{
	for (size_t at = 0, n; at < t->out.n; at += n) {
		CURLcode rc = t->lib->curl_easy_send(t->easy, t->out.p + at, t->out.n - at, &n);
		if (rc == CURLE_OK)
			continue;
		n = 0;
		if (rc != CURLE_AGAIN)
			return silent(e, "it closed the connection");
		if (wait_for(t, POLLOUT, e) != 0)
			return -1;
	}
	return 0;
}

static int receive(struct talk *t, uint8_t *to, size_t size, struct err *e)
{
	for (size_t at = 0, n; at < size; at += n) {
		CURLcode rc = t->lib->curl_easy_recv(t->easy, to + at, size - at, &n);
		if (rc == CURLE_OK && n > 0)
			continue;
		n = 0;
		if (rc != CURLE_AGAIN)
			return silent(e, "it closed the connection");
		if (wait_for(t, POLLIN, e) != 0)
			return -1;
	}
	return 0;
}

static void put_number(struct buf *b, uint32_t v, unsigned size)
{
	while (size-- > 0)
		buf_char(b, (char)(uint8_t)(v >> (8 * size)));
}

static uint32_t number(const uint8_t *p, unsigned size)
{
	uint32_t v = 0;
	for (unsigned i = 0; i < size; i++)
		v = v << 8 | p[i];
	return v;
}

static void put_short(struct buf *b, struct str s)
{
	put_number(b, (uint32_t)s.n, 1);
	buf_str(b, s);
}

/* --- methods --- */

static int send_method(struct talk *t, enum method m, struct str arguments, struct err *e)
{
	buf_clear(&t->out);
	put_number(&t->out, TYPE_METHOD, 1);
	put_number(&t->out, 0, 2);
	put_number(&t->out, (uint32_t)arguments.n + 4, 4);
	put_number(&t->out, CLASS_CONNECTION, 2);
	put_number(&t->out, m, 2);
	buf_str(&t->out, arguments);
	put_number(&t->out, FRAME_END, 1);
	return send_all(t, e);
}

/* Anything but a method of the connection is not AMQP as far as we speak it. */
static int read_method(struct talk *t, struct err *e)
{
	uint8_t head[FRAME_HEAD + 4], end;
	if (receive(t, head, sizeof(head), e) != 0)
		return -1;
	uint32_t size = number(head + 3, 4);
	if (head[0] != TYPE_METHOD || size < 4 || size - 4 > sizeof(t->in) ||
	    number(head + FRAME_HEAD, 2) != CLASS_CONNECTION)
		return silent(e, "it does not speak AMQP 0-9-1");
	t->size = size - 4;
	t->method = (uint16_t)number(head + FRAME_HEAD + 2, 2);
	if (receive(t, t->in, t->size, e) != 0 || receive(t, &end, 1, e) != 0)
		return -1;
	return end == FRAME_END ? 0 : silent(e, "it does not speak AMQP 0-9-1");
}

/* Full is not closed: whoever is in is the project itself. */
static int refused(const struct talk *t, struct err *e)
{
	size_t n = t->size < 3 ? 0 : t->in[2];
	struct str text = {(const char *)t->in + 3, n};
	if (t->size < 3 || n > t->size - 3 || !str_utf8_ok(text))
		return silent(e, "it does not speak AMQP 0-9-1");
	if (str_contains(text, STR("connection limit")))
		return 0;
	return err_set(e, ERR_FAILED, "RabbitMQ says: %.*s", STR_ARG(text));
}

/* 1: that method came; 0: refused, and that is well; -1. */
static int expect(struct talk *t, enum method m, struct err *e)
{
	if (read_method(t, e) != 0)
		return -1;
	if (t->method == CLOSE)
		return refused(t, e);
	return t->method == m ? 1 : silent(e, "it does not speak AMQP 0-9-1");
}

/* --- the whole --- */

static int log_in(struct talk *t, const struct amqp_way *way, struct err *e)
{
	struct buf b;
	buf_init(&b, LOGIN_MAX);
	(void)buf_reserve(&b, LOGIN_MAX / 2); /* so that no copy stays behind */
	put_number(&b, sizeof(CLIENT) - 1, 4);
	buf_put(&b, CLIENT, sizeof(CLIENT) - 1);
	put_short(&b, STR("PLAIN"));
	put_number(&b, (uint32_t)(way->user.n + way->password.n + 2), 4);
	buf_char(&b, '\0');
	buf_str(&b, way->user);
	buf_char(&b, '\0');
	buf_str(&b, way->password);
	put_short(&b, STR("en_US"));
	int rc = send_method(t, START_OK, buf_view(&b), e);
	buf_wipe(&b);
	return rc;
}

static int open_vhost(struct talk *t, const struct amqp_way *way, struct err *e)
{
	CLEANUP_BUF struct buf b;
	buf_init(&b, 512);
	/* As large as it offers, and no heartbeats: we are gone before the first. */
	if (t->size < 6)
		return silent(e, "it does not speak AMQP 0-9-1");
	buf_put(&b, t->in, 6);
	put_number(&b, 0, 2);
	if (send_method(t, TUNE_OK, buf_view(&b), e) != 0)
		return -1;
	buf_clear(&b);
	put_short(&b, way->vhost);
	put_short(&b, STR(""));
	put_number(&b, 0, 1);
	return send_method(t, OPEN, buf_view(&b), e);
}

static int converse(struct talk *t, const struct amqp_way *way, struct err *e)
{
	static const char hello[] = "AMQP\0\0\x09\x01", bye[] = "\0\xc8\0\0\0\0\0";
	buf_put(&t->out, hello, sizeof(hello) - 1);
	int rc;
	if (send_all(t, e) != 0 || (rc = expect(t, START, e)) < 0 || log_in(t, way, e) != 0 ||
	    (rc = expect(t, TUNE, e)) < 0)
		return -1;
	if (rc == 0)
		return 0;
	if (open_vhost(t, way, e) != 0 || (rc = expect(t, OPEN_OK, e)) < 0)
		return -1;
	return rc == 0 ? 0 : send_method(t, CLOSE, (struct str){bye, sizeof(bye) - 1}, e);
}

static int connect_to(struct talk *t, const struct web_server *at, struct err *e)
{
	char url[320], error[CURL_ERROR_SIZE] = "";
	t->lib = libcurl_load(e);
	if (!t->lib)
		return -1;
	if (!(t->easy = t->lib->curl_easy_init()))
		return err_set(e, ERR_INTERNAL, "could not begin to ask");
	(void)snprintf(
	    url, sizeof(url), "%s://%s:%u", at->tls ? "https" : "http", at->host, at->port);
	web_common(t->lib, t->easy, at);
	t->lib->curl_easy_setopt(t->easy, CURLOPT_URL, url);
	t->lib->curl_easy_setopt(t->easy, CURLOPT_ERRORBUFFER, error);
	t->lib->curl_easy_setopt(t->easy, CURLOPT_CONNECT_ONLY, 1L);
	t->lib->curl_easy_setopt(t->easy, CURLOPT_SSL_ENABLE_ALPN, 0L);
	CURLcode rc = t->lib->curl_easy_perform(t->easy);
	if (rc == CURLE_OK)
		rc = t->lib->curl_easy_getinfo(t->easy, CURLINFO_ACTIVESOCKET, &t->fd);
	t->lib->curl_easy_setopt(t->easy, CURLOPT_ERRORBUFFER, NULL);
	return rc == CURLE_OK ? 0
			      : err_set(e, ERR_UNAVAILABLE, "%.200s",
				    error[0] ? error : t->lib->curl_easy_strerror(rc));
}

int amqp_try(const struct amqp_way *way, struct err *e)
{
	struct talk t = {.until_ms = clock_mono_ms() + AMQP_WAIT_S * 1000};
	if (way->user.n > 255 || way->password.n > 255 || way->vhost.n > 255)
		return err_set(e, ERR_INVALID, "a name or password is longer than 255 bytes");
	buf_init(&t.out, FRAME_MAX);
	(void)buf_reserve(&t.out, LOGIN_MAX);
	int rc = connect_to(&t, &way->at, e) != 0 ? -1 : converse(&t, way, e);
	if (t.easy)
		t.lib->curl_easy_cleanup(t.easy);
	buf_wipe(&t.out);
	return rc;
}
