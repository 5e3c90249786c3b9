#include "services/web.h"

#include "base/mem.h"

#include <stdio.h>
#include <string.h>

#define CONNECT_MS 5000L
#define PATH_MAX_BYTES 2048u

void web_escape(struct buf *out, struct str s)
{
	static const char plain[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] && strchr(plain, s.p[i]))
			buf_char(out, s.p[i]);
		else
			buf_printf(out, "%%%02X", (uint8_t)s.p[i]);
}

void web_close(struct web *w)
{
	if (w->easy)
		w->lib->curl_easy_cleanup(w->easy);
	if (w->headers)
		w->lib->curl_slist_free_all(w->headers);
	buf_fini(&w->answer);
	w->easy = NULL;
	w->headers = NULL;
}

static size_t on_answer(char *p, size_t size, size_t count, void *ctx)
{
	struct web *w = ctx;
	buf_put(&w->answer, p, size * count);
	w->too_long |= w->answer.full;
	return w->too_long ? 0 : size * count;
}

void web_common(const struct libcurl *lib, CURL *c, const struct web_server *s)
{
	lib->curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, s->tls ? "https" : "http");
	lib->curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
	lib->curl_easy_setopt(c, CURLOPT_PROXY, "");
	lib->curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L);
	lib->curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_MS);
	lib->curl_easy_setopt(c, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	if (s->ca_file)
		lib->curl_easy_setopt(c, CURLOPT_CAINFO, s->ca_file);
}

static bool headers_make(struct web *w)
{
	static const char *const lines[] = {"Content-Type: application/json", "Expect:"};
	for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++) {
		struct curl_slist *more = w->lib->curl_slist_append(w->headers, lines[i]);
		if (!more)
			return false;
		w->headers = more;
	}
	return true;
}

int web_open(struct web *w, const struct web_server *s, struct err *e)
{
	*w = (struct web){.lib = libcurl_load(e)};
	buf_init(&w->answer, WEB_ANSWER_MAX);
	if (!w->lib)
		return -1;
	(void)snprintf(w->root, sizeof(w->root), "%s://%s:%u/api/", s->tls ? "https" : "http",
	    s->host, s->port);
	if (!(w->easy = w->lib->curl_easy_init()) || !headers_make(w))
		return err_set(e, ERR_INTERNAL, "could not begin to ask");
	web_common(w->lib, w->easy, s);
	w->lib->curl_easy_setopt(w->easy, CURLOPT_PATH_AS_IS, 1L); /* a name may be ".." */
	w->lib->curl_easy_setopt(w->easy, CURLOPT_TIMEOUT_MS, WEB_WAIT_S * 1000L);
	w->lib->curl_easy_setopt(w->easy, CURLOPT_ERRORBUFFER, w->error);
	w->lib->curl_easy_setopt(w->easy, CURLOPT_WRITEFUNCTION, on_answer);
	w->lib->curl_easy_setopt(w->easy, CURLOPT_WRITEDATA, w);
	w->lib->curl_easy_setopt(w->easy, CURLOPT_HTTPHEADER, w->headers);
	w->lib->curl_easy_setopt(w->easy, CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC);
	if (s->user) {
		w->lib->curl_easy_setopt(w->easy, CURLOPT_USERNAME, s->user);
		w->lib->curl_easy_setopt(w->easy, CURLOPT_PASSWORD, s->password);
	}
	return 0;
}

static int failed(const struct web *w, CURLcode rc, struct err *e)
{
	if (w->too_long)
		return err_set(
		    e, ERR_UNAVAILABLE, "could not ask RabbitMQ: its answer is too long");
	return err_set(e, ERR_UNAVAILABLE, "could not ask RabbitMQ: %.200s",
	    w->error[0] ? w->error : w->lib->curl_easy_strerror(rc));
}

int web_ask(struct web *w, const char *method, struct str path, struct str json, struct err *e)
{
	CLEANUP_BUF struct buf url;
	long status = 0;
	buf_init(&url, PATH_MAX_BYTES);
	buf_c(&url, w->root);
	buf_str(&url, path);
	if (buf_check(&url, "the address", e) != 0)
		return -1;
	buf_clear(&w->answer);
	w->error[0] = '\0';
	w->lib->curl_easy_setopt(w->easy, CURLOPT_URL, url.p);
	/* What a body would bring with it ends here; DELETE and PUT alike are a request of their own. */
	if (json.p) {
		w->lib->curl_easy_setopt(w->easy, CURLOPT_POST, 1L);
		w->lib->curl_easy_setopt(w->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)json.n);
		w->lib->curl_easy_setopt(w->easy, CURLOPT_POSTFIELDS, json.p);
	} else {
		w->lib->curl_easy_setopt(w->easy, CURLOPT_HTTPGET, 1L);
	}
	w->lib->curl_easy_setopt(w->easy, CURLOPT_CUSTOMREQUEST, method);
	CURLcode rc = w->lib->curl_easy_perform(w->easy);
	if (rc != CURLE_OK)
		return failed(w, rc, e);
	w->lib->curl_easy_getinfo(w->easy, CURLINFO_RESPONSE_CODE, &status);
	return (int)status;
}
