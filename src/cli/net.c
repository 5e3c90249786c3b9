/* Calls and streams over libcurl. One handle is made anew per call: a run makes few. */
#include "cli/net.h"

#include "base/ct.h"
#include "base/mem.h"
#include "base/rand.h"
#include "cli/pin.h"
#include "text/json.h"

#include <curl/curl.h>
#include <string.h>
#include <unistd.h>

#define CONNECT_MS 10000L
#define SILENCE_S 60L
#define CALL_MS (15L * 60 * 1000)
#define ERROR_BODY_MAX (64u << 10)

struct net {
	struct net_server server;
	char *base; /* URL in front of every path */
	bool unreachable, untrusted;
};

/* 127.…, localhost or [::1], with or without a port; "127.example.org" is none. */
static bool is_loopback(struct str host)
{
	if (str_starts(host, STR("[::1]")))
		return host.n == 5 || host.p[5] == ':';
	host = str_slice(host, 0, str_find(host, ':', 0));
	if (str_eq_c(host, "localhost"))
		return true;
	for (size_t i = 0; i < host.n; i++)
		if (host.p[i] != '.' && (host.p[i] < '0' || host.p[i] > '9'))
			return false;
	return str_starts(host, STR("127."));
}

static int check_url(const struct net_server *s, struct err *e)
{
	struct str url = str_c(s->url);
	bool plain = str_starts(url, STR("http://"));
	if (!plain && !str_starts(url, STR("https://"))) {
		err_set(e, ERR_USAGE, "'%.200s' is no address of a server", s->url);
		return err_hint(e, "it begins with https://");
	}
	struct str host = str_from(url, plain ? 7 : 8);
	if (host.n == 0 || str_find(host, '/', 0) != SIZE_MAX || str_find(host, '@', 0) != SIZE_MAX)
		return err_set(
		    e, ERR_USAGE, "'%.200s' must be https://HOST or https://HOST:PORT", s->url);
	if (plain && !is_loopback(host) && !s->insecure) {
		err_set(e, ERR_USAGE, "'%.200s' would send the token in clear", s->url);
		return err_hint(e, "use https://, or say --insecure");
	}
	return 0;
}

struct net *net_open(const struct net_server *s, struct err *e)
{
	if (!s->socket && check_url(s, e) < 0)
		return NULL;
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
		err_set(e, ERR_INTERNAL, "libcurl cannot be used");
		return NULL;
	}
	struct net *n = mem_alloc(sizeof(*n));
	n->server = *s;
	n->base = mem_dup(str_c(s->socket ? "http://localhost" : s->url));
	return n;
}

void net_close(struct net *n)
{
	if (!n)
		return;
	mem_free_ptr(&n->base);
	mem_free_ptr(&n);
	curl_global_cleanup();
}

bool net_unreachable(const struct net *n)
{
	return n && n->unreachable;
}

bool net_untrusted(const struct net *n)
{
	return n && n->untrusted;
}

const char *net_name(const struct net *n)
{
	return n->server.socket ? n->server.socket : n->server.url;
}

/* One exchange in flight. */
struct exchange {
	CURL *curl;
	struct curl_slist *headers;
	char why[CURL_ERROR_SIZE];
	struct buf *body;
	const struct net_request *request;
	/* streams */
	struct sse *sse;
	struct buf refusal;
	struct err *e;
	int stopped; /* 1: by the events' function, -1: by an error in e */
};

static void set_security(CURL *curl, const struct net_server *s)
{
	curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(curl, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	if (s->pin) { /* the key is known: no authority and no name has a say */
		curl_easy_setopt(curl, CURLOPT_PINNEDPUBLICKEY, s->pin);
		curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 0L);
		curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 0L);
	}
}

static void add_header(struct exchange *x, const char *name, const char *value)
{
	struct buf line;
	buf_init(&line, 8192);
	buf_printf(&line, "%s: %s", name, value);
	struct curl_slist *more = curl_slist_append(x->headers, buf_view(&line).p);
	if (more)
		x->headers = more;
	buf_wipe(&line);
}

static int exchange_begin(struct net *n, struct exchange *x, const char *path, struct err *e)
{
	CLEANUP_BUF struct buf url;
	buf_init(&url, 16384);
	buf_printf(&url, "%s%s", n->base, path);
	x->curl = curl_easy_init();
	if (!x->curl)
		return err_set(e, ERR_INTERNAL, "libcurl cannot be used");
	if (buf_check(&url, "the address", e) < 0)
		return -1;
	curl_easy_setopt(x->curl, CURLOPT_URL, buf_view(&url).p);
	curl_easy_setopt(x->curl, CURLOPT_ERRORBUFFER, x->why);
	curl_easy_setopt(x->curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(x->curl, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_MS);
	curl_easy_setopt(x->curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
	curl_easy_setopt(x->curl, CURLOPT_LOW_SPEED_TIME, SILENCE_S);
	curl_easy_setopt(x->curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(x->curl, CURLOPT_USERAGENT, "slipway/" SLIPWAY_VERSION);
	set_security(x->curl, &n->server);
	if (n->server.socket || str_starts(str_c(n->base), STR("http://")))
		curl_easy_setopt(x->curl, CURLOPT_PROXY, "");
	if (n->server.socket)
		curl_easy_setopt(x->curl, CURLOPT_UNIX_SOCKET_PATH, n->server.socket);
	if (n->server.token) {
		CLEANUP_BUF struct buf bearer;
		buf_init(&bearer, 4096);
		buf_printf(&bearer, "Bearer %s", n->server.token);
		add_header(x, "Authorization", buf_view(&bearer).p);
		ct_wipe(bearer.p, bearer.n);
	}
	return 0;
}

static void exchange_end(struct exchange *x)
{
	if (x->curl)
		curl_easy_cleanup(x->curl);
	curl_slist_free_all(x->headers);
	x->curl = NULL;
	x->headers = NULL;
}

/* Why there was no answer, in our words. */
static int failure(struct net *n, CURLcode rc, struct exchange *x, struct err *e)
{
	long sys = 0;
	const char *why = x->why;
	if (rc == CURLE_COULDNT_CONNECT)
		(void)curl_easy_getinfo(x->curl, CURLINFO_OS_ERRNO, &sys);
	n->unreachable = rc == CURLE_COULDNT_CONNECT || rc == CURLE_COULDNT_RESOLVE_HOST ||
			 rc == CURLE_OPERATION_TIMEDOUT || rc == CURLE_GOT_NOTHING ||
			 rc == CURLE_RECV_ERROR || rc == CURLE_SEND_ERROR;
	n->untrusted = rc == CURLE_PEER_FAILED_VERIFICATION;
	if (rc == CURLE_SSL_PINNEDPUBKEYNOTMATCH) {
		err_set(e, ERR_FORBIDDEN, "%s shows another key than the one that was agreed",
		    net_name(n));
		return err_hint(e, "if its certificate was renewed with a new key, log in again; "
				   "otherwise somebody may be listening");
	}
	if (n->untrusted) {
		err_set(e, ERR_FORBIDDEN, "the certificate of %s cannot be verified: %.200s",
		    net_name(n), why);
		return err_hint(e, "'slipway login %s' shows it and can remember it", net_name(n));
	}
	if (n->server.socket && sys > 0)
		err_set(e, ERR_UNAVAILABLE, "cannot reach slipwayd at %s: %s", net_name(n),
		    strerror((int)sys));
	else
		err_set(e, ERR_UNAVAILABLE, "cannot reach slipwayd at %s: %.200s", net_name(n),
		    why[0] ? why : curl_easy_strerror(rc));
	if (n->server.socket)
		return err_hint(e, "is it running? 'make run' starts one; $SLIPWAY_SOCKET or "
				   "'slipway login URL' name another");
	return err_hint(e, "check the address and whether the server runs");
}

static enum err_code code_of(int status, struct str type)
{
	struct str prefix = STR("urn:slipway:problem:");
	for (enum err_code c = ERR_USAGE; c < ERR_CODE_COUNT; c++)
		if (str_starts(type, prefix) &&
		    str_eq_c(str_from(type, prefix.n), err_class_of(c)->name))
			return c;
	for (enum err_code c = ERR_INVALID; c < ERR_CODE_COUNT; c++)
		if (err_class_of(c)->http_status == status)
			return c;
	return status >= 500 ? ERR_UNAVAILABLE : ERR_INVALID;
}

int net_problem(int status, struct str body, struct err *e)
{
	struct err ignored;
	CLEANUP_JSON json_t *j = json_read(body, &ignored);
	struct str type = STR(""), detail = STR(""), hint = STR(""), pointer = STR("");
	const json_t *first = json_array_get(json_object_get(j, "errors"), 0);
	if (json_is_object(j) && (json_get_str(j, "type", &type, NULL) < 0 ||
				     json_get_str(j, "detail", &detail, NULL) < 0 ||
				     json_get_str(j, "hint", &hint, NULL) < 0))
		return err_set(e, ERR_INTERNAL, "the server's error %d cannot be read", status);
	if (detail.n)
		err_set(e, code_of(status, type), "%.*s", STR_ARG(detail));
	else
		err_set(e, code_of(status, type), "the server answered %d", status);
	if (hint.n)
		err_hint(e, "%.*s", STR_ARG(hint));
	if (json_is_object(first) && json_get_str(first, "pointer", &pointer, NULL) > 0)
		err_at(e, "%.*s", STR_ARG(pointer));
	return -1;
}

static size_t take_body(char *p, size_t size, size_t count, void *ctx)
{
	struct exchange *x = ctx;
	buf_put(x->body, p, size * count);
	return x->body->full ? 0 : size * count;
}

static size_t give_body(char *p, size_t size, size_t count, void *ctx)
{
	const struct exchange *x = ctx;
	ssize_t got = read(x->request->body_fd, p, size * count);
	return got < 0 ? CURL_READFUNC_ABORT : (size_t)got;
}

static int rewind_body(void *ctx, curl_off_t offset, int origin)
{
	const struct exchange *x = ctx;
	return lseek(x->request->body_fd, offset, origin) < 0 ? CURL_SEEKFUNC_CANTSEEK
							      : CURL_SEEKFUNC_OK;
}

static int tell_progress(
    void *ctx, curl_off_t down, curl_off_t downed, curl_off_t total, curl_off_t sent)
{
	(void)down, (void)downed;
	const struct net_request *q = ((struct exchange *)ctx)->request;
	if (q->progress && total > 0)
		q->progress(q->ctx, sent, total);
	return 0;
}

static void set_body(struct exchange *x)
{
	const struct net_request *q = x->request;
	if (q->type)
		add_header(x, "Content-Type", q->type);
	add_header(x, "Expect", "");
	if (q->body_bytes > 0) {
		curl_easy_setopt(x->curl, CURLOPT_POST, 1L);
		curl_easy_setopt(x->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)q->body_bytes);
		curl_easy_setopt(x->curl, CURLOPT_READFUNCTION, give_body);
		curl_easy_setopt(x->curl, CURLOPT_READDATA, x);
		curl_easy_setopt(x->curl, CURLOPT_SEEKFUNCTION, rewind_body);
		curl_easy_setopt(x->curl, CURLOPT_SEEKDATA, x);
		curl_easy_setopt(x->curl, CURLOPT_UPLOAD_BUFFERSIZE, 512L << 10);
		curl_easy_setopt(x->curl, CURLOPT_NOPROGRESS, 0L);
		curl_easy_setopt(x->curl, CURLOPT_XFERINFOFUNCTION, tell_progress);
		curl_easy_setopt(x->curl, CURLOPT_XFERINFODATA, x);
	} else if (q->body.p || strcmp(q->method, "POST") == 0) {
		curl_easy_setopt(x->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)q->body.n);
		curl_easy_setopt(x->curl, CURLOPT_POSTFIELDS, q->body.p ? q->body.p : "");
	}
	curl_easy_setopt(x->curl, CURLOPT_CUSTOMREQUEST, q->method);
}

/* One attempt: curl's verdict in *ret_rc, the status in *ret_status. */
static int attempt(struct net *n, const struct net_request *q, const char *key, struct buf *ret,
    CURLcode *ret_rc, long *ret_status, struct err *e)
{
	struct exchange x = {.body = ret, .request = q};
	if (exchange_begin(n, &x, q->path, e) < 0) {
		exchange_end(&x);
		return -1;
	}
	if (strcmp(q->method, "POST") == 0)
		add_header(&x, "Idempotency-Key", key);
	set_body(&x);
	curl_easy_setopt(x.curl, CURLOPT_HTTPHEADER, x.headers);
	curl_easy_setopt(x.curl, CURLOPT_WRITEFUNCTION, take_body);
	curl_easy_setopt(x.curl, CURLOPT_WRITEDATA, &x);
	if (q->body_bytes == 0)
		curl_easy_setopt(x.curl, CURLOPT_TIMEOUT_MS, CALL_MS);
	*ret_rc = curl_easy_perform(x.curl);
	*ret_status = 0;
	(void)curl_easy_getinfo(x.curl, CURLINFO_RESPONSE_CODE, ret_status);
	/* A server that refuses a large body early answers and closes: the answer is what counts.
	 */
	if (*ret_rc == CURLE_SEND_ERROR && *ret_status >= 400)
		*ret_rc = CURLE_OK;
	if (*ret_rc != CURLE_OK)
		(void)failure(n, *ret_rc, &x, e);
	exchange_end(&x);
	return 0;
}

int net_call(struct net *n, const struct net_request *q, struct buf *ret, struct err *e)
{
	char key[RAND_TOKEN_SIZE];
	CURLcode rc = CURLE_OK;
	long status = 0;
	rand_token(key);
	for (int tries = 0; tries < 2; tries++) {
		buf_clear(ret);
		if (attempt(n, q, key, ret, &rc, &status, e) < 0)
			return -1;
		bool broke = rc == CURLE_GOT_NOTHING || rc == CURLE_RECV_ERROR;
		if (!broke || q->body_bytes > 0)
			break;
	}
	if (ret->full)
		return err_set(
		    e, ERR_TOO_LARGE, "the server's answer is larger than %zu bytes", ret->max);
	if (rc != CURLE_OK)
		return -1;
	n->unreachable = n->untrusted = false;
	return status >= 200 && status < 300 ? 0 : net_problem((int)status, buf_view(ret), e);
}

static size_t take_events(char *p, size_t size, size_t count, void *ctx)
{
	struct exchange *x = ctx;
	struct str bytes = {p, size * count};
	long status = 0;
	(void)curl_easy_getinfo(x->curl, CURLINFO_RESPONSE_CODE, &status);
	if (status != 200) {
		buf_put(&x->refusal, p, bytes.n);
		return bytes.n;
	}
	x->stopped = sse_feed(x->sse, bytes, x->e);
	return x->stopped ? CURL_WRITEFUNC_ERROR : bytes.n;
}

/* Until the transfer has ended: 0; or stop_fd is readable: 2. */
static int pump(CURLM *multi, const struct net_stream *st, CURLcode *ret_rc)
{
	int running = 1, left;
	for (;;) {
		struct curl_waitfd stop = {.fd = st->stop_fd, .events = CURL_WAIT_POLLIN};
		(void)curl_multi_perform(multi, &running);
		for (CURLMsg *m; (m = curl_multi_info_read(multi, &left));)
			if (m->msg == CURLMSG_DONE)
				*ret_rc = m->data.result;
		if (!running)
			return 0;
		(void)curl_multi_poll(multi, &stop, st->stop_fd >= 0 ? 1 : 0,
		    st->tick_ms > 0 ? st->tick_ms : 1000, NULL);
		if (st->stop_fd >= 0 && (stop.revents & CURL_WAIT_POLLIN))
			return 2;
		if (st->tick)
			st->tick(st->ctx);
	}
}

int net_follow(struct net *n, const struct net_stream *st, struct err *e)
{
	struct exchange x = {.sse = st->sse, .e = e};
	CURLcode rc = CURLE_OK;
	long status = 0;
	buf_init(&x.refusal, ERROR_BODY_MAX);
	CURLM *multi = curl_multi_init();
	int how = -1;
	if (!multi || exchange_begin(n, &x, st->path, e) < 0)
		goto out;
	sse_reset(st->sse);
	add_header(&x, "Accept", "text/event-stream");
	if (st->sse->id[0])
		add_header(&x, "Last-Event-ID", st->sse->id);
	curl_easy_setopt(x.curl, CURLOPT_HTTPHEADER, x.headers);
	curl_easy_setopt(x.curl, CURLOPT_WRITEFUNCTION, take_events);
	curl_easy_setopt(x.curl, CURLOPT_WRITEDATA, &x);
	(void)curl_multi_add_handle(multi, x.curl);
	how = pump(multi, st, &rc);
	(void)curl_easy_getinfo(x.curl, CURLINFO_RESPONSE_CODE, &status);
	(void)curl_multi_remove_handle(multi, x.curl);
	if (x.stopped)
		how = x.stopped;
	else if (how == 0 && status != 0 && status != 200)
		how = net_problem((int)status, buf_view(&x.refusal), e);
	else if (how == 0 && rc != CURLE_OK)
		(void)failure(n, rc, &x, e);
out:
	exchange_end(&x);
	if (multi)
		(void)curl_multi_cleanup(multi);
	buf_fini(&x.refusal);
	return how;
}

void *net_raw_open(struct net *n, int *ret_fd, struct err *e)
{
	struct exchange x = {0};
	curl_socket_t fd = CURL_SOCKET_BAD;
	if (exchange_begin(n, &x, "/", e) < 0) {
		exchange_end(&x);
		return NULL;
	}
	curl_easy_setopt(x.curl, CURLOPT_CONNECT_ONLY, 1L);
	CURLcode rc = curl_easy_perform(x.curl);
	if (rc == CURLE_OK)
		rc = curl_easy_getinfo(x.curl, CURLINFO_ACTIVESOCKET, &fd);
	curl_easy_setopt(x.curl, CURLOPT_ERRORBUFFER, NULL);
	if (rc != CURLE_OK || fd == CURL_SOCKET_BAD) {
		(void)failure(n, rc, &x, e);
		exchange_end(&x);
		return NULL;
	}
	curl_slist_free_all(x.headers);
	*ret_fd = fd;
	return x.curl;
}

void net_raw_close(void *curl)
{
	if (curl)
		curl_easy_cleanup(curl);
}

void net_raw_headers(const struct net *n, struct buf *head)
{
	struct str host = str_c(n->base);
	host = str_from(host, str_starts(host, STR("https://")) ? 8 : 7);
	buf_printf(head, "Host: %.*s\r\n", STR_ARG(host));
	if (n->server.token)
		buf_printf(head, "Authorization: Bearer %s\r\n", n->server.token);
}

int net_certificate(
    struct net *n, char fingerprint[NET_FINGERPRINT_SIZE], char pin[NET_PIN_SIZE], struct err *e)
{
	struct exchange x = {0};
	struct curl_certinfo *chain = NULL;
	struct net_server no_token = n->server;
	no_token.token = no_token.pin = NULL;
	struct net probe = {.server = no_token, .base = n->base};
	int rc = exchange_begin(&probe, &x, "/", e);
	if (rc == 0) {
		curl_easy_setopt(x.curl, CURLOPT_CONNECT_ONLY, 1L);
		curl_easy_setopt(x.curl, CURLOPT_SSL_VERIFYPEER, 0L);
		curl_easy_setopt(x.curl, CURLOPT_SSL_VERIFYHOST, 0L);
		curl_easy_setopt(x.curl, CURLOPT_CERTINFO, 1L);
		CURLcode code = curl_easy_perform(x.curl);
		rc = code == CURLE_OK ? 0 : failure(n, code, &x, e);
	}
	if (rc == 0 && (curl_easy_getinfo(x.curl, CURLINFO_CERTINFO, &chain) != CURLE_OK ||
			   !chain || chain->num_of_certs < 1))
		rc = err_set(e, ERR_INVALID, "%s shows no certificate", net_name(n));
	const char *pem = NULL;
	for (struct curl_slist *s = rc == 0 ? chain->certinfo[0] : NULL; s; s = s->next)
		if (strncmp(s->data, "Cert:", 5) == 0)
			pem = s->data + 5;
	if (rc == 0)
		rc = pin_of_certificate(pem ? pem : "", fingerprint, pin, e);
	exchange_end(&x);
	return rc;
}
