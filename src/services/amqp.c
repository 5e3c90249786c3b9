#include "services/amqp.h"

#include "base/buf.h"
#include "base/clock.h"
#include "services/amqp_frame.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>

#define LOGIN_MAX 1536u

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
	struct buf in;
	struct amqp_frame got; /* in `in` */
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

/* Until `in` has that many. */
static int receive(struct talk *t, size_t size, struct err *e)
{
	while (t->in.n < size) {
		size_t n = 0;
		char *to = buf_reserve(&t->in, size - t->in.n);
		if (!to)
			return silent(e, "it says too much");
		CURLcode rc = t->lib->curl_easy_recv(t->easy, to, size - t->in.n, &n);
		if (rc == CURLE_OK && n > 0)
			buf_commit(&t->in, n);
		else if (rc != CURLE_AGAIN)
			return silent(e, "it closed the connection");
		else if (wait_for(t, POLLIN, e) != 0)
			return -1;
	}
	return 0;
}

/* --- methods --- */

static int send_method(
    struct talk *t, enum amqp_frame_method m, struct str arguments, struct err *e)
{
	buf_clear(&t->out);
	amqp_frame_write(&t->out, m, arguments);
	return send_all(t, e);
}

static int read_method(struct talk *t, struct err *e)
{
	size_t size = 0;
	int got = 0;
	buf_clear(&t->in);
	do {
		if (receive(t, size, e) != 0)
			return -1;
		got = amqp_frame_read(buf_view(&t->in), &t->got, &size);
	} while (got == 0);
	return got > 0 ? 0 : silent(e, "it does not speak AMQP 0-9-1");
}

/* Full is not closed: whoever is in is the project itself. */
static int refused(const struct talk *t, struct err *e)
{
	struct str text;
	if (!amqp_frame_close_text(t->got.arguments, &text))
		return silent(e, "it does not speak AMQP 0-9-1");
	if (str_contains(text, STR("connection limit")))
		return 0;
	return err_set(e, ERR_FAILED, "RabbitMQ says: %.*s", STR_ARG(text));
}

/* 1: that method came; 0: refused, and that is well; -1. */
static int expect(struct talk *t, enum amqp_frame_method m, struct err *e)
{
	if (read_method(t, e) != 0)
		return -1;
	if (t->got.method == AMQP_FRAME_CLOSE)
		return refused(t, e);
	return t->got.method == m ? 1 : silent(e, "it does not speak AMQP 0-9-1");
}

/* --- the whole --- */

static int log_in(struct talk *t, const struct amqp_way *way, struct err *e)
{
	struct buf b;
	buf_init(&b, LOGIN_MAX);
	(void)buf_reserve(&b, LOGIN_MAX / 2); /* so that no copy stays behind */
	amqp_frame_put_number(&b, sizeof(CLIENT) - 1, 4);
	buf_put(&b, CLIENT, sizeof(CLIENT) - 1);
	amqp_frame_put_short(&b, STR("PLAIN"));
	amqp_frame_put_number(&b, (uint32_t)(way->user.n + way->password.n + 2), 4);
	buf_char(&b, '\0');
	buf_str(&b, way->user);
	buf_char(&b, '\0');
	buf_str(&b, way->password);
	amqp_frame_put_short(&b, STR("en_US"));
	int rc = send_method(t, AMQP_FRAME_START_OK, buf_view(&b), e);
	buf_wipe(&b);
	return rc;
}

static int open_vhost(struct talk *t, const struct amqp_way *way, struct err *e)
{
	CLEANUP_BUF struct buf b;
	buf_init(&b, 512);
	/* As large as it offers, and no heartbeats: we are gone before the first. */
	if (t->got.arguments.n < 6)
		return silent(e, "it does not speak AMQP 0-9-1");
	buf_str(&b, str_slice(t->got.arguments, 0, 6));
	amqp_frame_put_number(&b, 0, 2);
	if (send_method(t, AMQP_FRAME_TUNE_OK, buf_view(&b), e) != 0)
		return -1;
	buf_clear(&b);
	amqp_frame_put_short(&b, way->vhost);
	amqp_frame_put_short(&b, STR(""));
	amqp_frame_put_number(&b, 0, 1);
	return send_method(t, AMQP_FRAME_OPEN, buf_view(&b), e);
}

static int converse(struct talk *t, const struct amqp_way *way, struct err *e)
{
	static const char hello[] = "AMQP\0\0\x09\x01", bye[] = "\0\xc8\0\0\0\0\0";
	buf_put(&t->out, hello, sizeof(hello) - 1);
	int rc = send_all(t, e) != 0 ? -1 : expect(t, AMQP_FRAME_START, e);
	if (rc > 0)
		rc = log_in(t, way, e) != 0 ? -1 : expect(t, AMQP_FRAME_TUNE, e);
	if (rc > 0)
		rc = open_vhost(t, way, e) != 0 ? -1 : expect(t, AMQP_FRAME_OPEN_OK, e);
	if (rc > 0)
		rc = send_method(t, AMQP_FRAME_CLOSE, (struct str){bye, sizeof(bye) - 1}, e);
	return rc;
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
	buf_init(&t.in, AMQP_FRAME_MAX);
	buf_init(&t.out, AMQP_FRAME_MAX);
	(void)buf_reserve(&t.out, LOGIN_MAX);
	int rc = connect_to(&t, &way->at, e) != 0 ? -1 : converse(&t, way, e);
	if (t.easy)
		t.lib->curl_easy_cleanup(t.easy);
	buf_wipe(&t.out);
	buf_fini(&t.in);
	return rc;
}
