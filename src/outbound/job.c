#include "outbound/job.h"

#include "base/clock.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <netinet/in.h>
#include <unistd.h>

enum { CONNECT_MS = 10000, LINK_MAX = 2048, RETRY_AFTER_MAX_S = 86400 * 7 };

static const char *const methods[OUTBOUND_METHOD_COUNT] = {"GET", "POST", "PUT", "PATCH", "DELETE"};

static bool one_line(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((uint8_t)s.p[i] < ' ' || s.p[i] == 0x7f)
			return false;
	return true;
}

/* What becomes part of a mail server's command line. */
static bool mail_address(struct str s)
{
	size_t at = str_find(s, '@', 0);
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] <= ' ' || s.p[i] > '~' || strchr("<>()[],;:\\\"", s.p[i]))
			return false;
	return at != SIZE_MAX && at > 0 && at + 1 < s.n && str_find(s, '@', at + 1) == SIZE_MAX;
}

static const char *mail_refusal(const struct outbound_request *r)
{
	if (!str_starts(r->url, STR("smtp://")) || !one_line(r->url) ||
	    str_find(r->url, '@', 0) != SIZE_MAX)
		return "the mail server's address is not smtp://HOST:PORT";
	if (r->to_count == 0 || !mail_address(r->from))
		return "the mail has no sender or no recipient";
	for (uint32_t i = 0; i < r->to_count; i++)
		if (!mail_address(r->to[i]))
			return "a recipient is not a mail address";
	return one_line(r->user) && one_line(r->password)
		   ? NULL
		   : "the user name or password holds a control character";
}

const char *job_refusal(const struct outbound_request *r)
{
	if (r->kind == OUTBOUND_MAIL)
		return mail_refusal(r);
	for (uint32_t i = 0; i < r->header_count; i++)
		if (!one_line(r->headers[i]) || str_find(r->headers[i], ':', 0) == SIZE_MAX)
			return "a header is not one line 'Name: value'";
	return guard_url_refuses(r->url);
}

/* Every connection's address comes by here, after resolving and before a packet. */
static curl_socket_t on_open_socket(void *ctx, curlsocktype purpose, struct curl_sockaddr *a)
{
	struct job *j = ctx;
	struct cidr_address at;
	uint16_t port = 0;
	if (purpose != CURLSOCKTYPE_IPCXN || !cidr_address_of(&a->addr, &at))
		return CURL_SOCKET_BAD;
	if (a->family == AF_INET || a->family == AF_INET6)
		memcpy(&port, (const char *)&a->addr + 2,
		    sizeof(port)); /* in both at the same place */
	const char *why = guard_refuses(j->guard, &at, ntohs(port));
	if (why) {
		j->blocked = why;
		cidr_address_text(&at, j->blocked_address);
		return CURL_SOCKET_BAD;
	}
	return socket(a->family, a->socktype | SOCK_CLOEXEC, a->protocol);
}

static size_t on_body(char *p, size_t one, size_t n, void *ctx)
{
	(void)one;
	struct job *j = ctx;
	size_t room = j->body_max - j->answer.n;
	buf_put(&j->answer, p, n < room ? n : room);
	return n; /* the rest is read and dropped: a cut answer is an answer */
}

/* A header that the asker may want, as frame.h says. */
static void keep_header(struct job *j, struct str line)
{
	static const char *const kept[] = {
	    "etag", "cache-control", "x-ratelimit-remaining", "x-ratelimit-reset"};
	size_t colon = str_find(line, ':', 0);
	for (size_t i = 0; colon != SIZE_MAX && i < sizeof(kept) / sizeof(*kept); i++)
		if (str_eq_nocase(str_slice(line, 0, colon), str_c(kept[i])) &&
		    j->headers_kept.n + line.n < OUTBOUND_HEADERS_KEPT_MAX - 8)
			buf_printf(&j->headers_kept, "%s: %.*s\n", kept[i],
			    STR_ARG(str_trim(str_from(line, colon + 1))));
}

static size_t on_header(char *p, size_t one, size_t n, void *ctx)
{
	(void)one;
	struct job *j = ctx;
	struct str line = str_trim((struct str){p, n});
	if (line.n > 5 && str_eq_nocase(str_slice(line, 0, 5), STR("link:")) && line.n < LINK_MAX &&
	    one_line(line)) {
		buf_clear(&j->link);
		buf_str(&j->link, str_trim(str_from(line, 5)));
	}
	if (one_line(line))
		keep_header(j, line);
	return n;
}

static size_t on_send(char *p, size_t one, size_t n, void *ctx)
{
	struct job *j = ctx;
	struct str rest = str_slice(str_from(buf_view(&j->body), j->sent), 0, one * n);
	if (rest.n)
		memcpy(p, rest.p, rest.n);
	j->sent += rest.n;
	return rest.n;
}

/* Endless answers end with the time; endless headers end here. */
static void common(struct job *j, const struct outbound_request *r, const char *ca_file)
{
	CURL *c = j->easy;
	curl_easy_setopt(c, CURLOPT_PRIVATE, j);
	curl_easy_setopt(c, CURLOPT_URL, j->url.p);
	curl_easy_setopt(c, CURLOPT_ERRORBUFFER, j->error);
	curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(c, CURLOPT_NOPROXY, "*");
	curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, (long)r->timeout_ms);
	curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS);
	curl_easy_setopt(c, CURLOPT_OPENSOCKETFUNCTION, on_open_socket);
	curl_easy_setopt(c, CURLOPT_OPENSOCKETDATA, j);
	curl_easy_setopt(c, CURLOPT_FRESH_CONNECT, 1L);
	curl_easy_setopt(c, CURLOPT_FORBID_REUSE, 1L);
	curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(c, CURLOPT_WRITEDATA, j);
	curl_easy_setopt(c, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	if (ca_file)
		curl_easy_setopt(c, CURLOPT_CAINFO, ca_file);
}

static void http(struct job *j, const struct outbound_request *r)
{
	CURL *c = j->easy;
	curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(c, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(c, CURLOPT_HEADERDATA, j);
	for (uint32_t i = 0; i < r->header_count; i++) {
		CLEANUP_FREE char *line = mem_dup(r->headers[i]);
		j->headers = curl_slist_append(j->headers, line);
	}
	j->headers = curl_slist_append(j->headers, "Expect:");
	curl_easy_setopt(c, CURLOPT_HTTPHEADER, j->headers);
	if (r->method != OUTBOUND_GET) {
		curl_easy_setopt(c, CURLOPT_POST, 1L);
		curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)j->body.n);
		curl_easy_setopt(c, CURLOPT_POSTFIELDS, j->body.p ? j->body.p : "");
	}
	curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST, methods[r->method]);
}

static void mail(struct job *j, const struct outbound_request *r)
{
	CURL *c = j->easy;
	CLEANUP_FREE char *from = mem_dup(r->from);
	curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "smtp,smtps");
	curl_easy_setopt(c, CURLOPT_MAIL_FROM, from);
	for (uint32_t i = 0; i < r->to_count; i++) {
		CLEANUP_FREE char *to = mem_dup(r->to[i]);
		j->to = curl_slist_append(j->to, to);
	}
	curl_easy_setopt(c, CURLOPT_MAIL_RCPT, j->to);
	curl_easy_setopt(c, CURLOPT_UPLOAD, 1L);
	curl_easy_setopt(c, CURLOPT_READFUNCTION, on_send);
	curl_easy_setopt(c, CURLOPT_READDATA, j);
	curl_easy_setopt(c, CURLOPT_INFILESIZE_LARGE, (curl_off_t)j->body.n);
	if (r->tls == OUTBOUND_TLS_STARTTLS)
		curl_easy_setopt(c, CURLOPT_USE_SSL, (long)CURLUSESSL_ALL);
	if (r->user.n) {
		CLEANUP_FREE char *user = mem_dup(r->user);
		char *password = mem_dup(r->password);
		curl_easy_setopt(c, CURLOPT_USERNAME, user);
		curl_easy_setopt(c, CURLOPT_PASSWORD, password);
		explicit_bzero(password, r->password.n);
		free(password);
	}
}

/* "smtp://HOST:PORT" becomes the URL for its TLS, with the name we greet as behind it. */
static void mail_url(struct job *j, const struct outbound_request *r)
{
	char name[256] = "localhost";
	if (gethostname(name, sizeof(name) - 1) != 0 || !name[0] || !one_line(str_c(name)))
		(void)!str_copy(STR("localhost"), name, sizeof(name));
	buf_c(&j->url, r->tls == OUTBOUND_TLS_IMPLICIT ? "smtps" : "smtp");
	buf_str(&j->url, str_from(r->url, 4));
	buf_printf(&j->url, "/%s", name);
}

struct job *job_new(
    uint64_t id, const struct outbound_request *r, const struct guard *g, const char *ca_file)
{
	struct job *j = mem_alloc(sizeof(*j));
	*j = (struct job){
	    .id = id, .guard = g, .body_max = r->body_max, .begun_ms = clock_mono_ms()};
	buf_init(&j->url, r->url.n + 300);
	buf_init(&j->body, OUTBOUND_FRAME_MAX);
	buf_init(&j->answer, OUTBOUND_BODY_MAX + 1);
	buf_init(&j->link, LINK_MAX);
	buf_init(&j->headers_kept, OUTBOUND_HEADERS_KEPT_MAX);
	buf_str(&j->body, r->body);
	if (!(j->easy = curl_easy_init()))
		abort();
	if (r->kind == OUTBOUND_MAIL)
		mail_url(j, r);
	else
		buf_str(&j->url, r->url);
	common(j, r, ca_file);
	if (r->kind == OUTBOUND_MAIL)
		mail(j, r);
	else
		http(j, r);
	return j;
}

static enum outbound_outcome outcome_of(const struct job *j, CURLcode rc, long status)
{
	if (j->blocked && rc != CURLE_OK)
		return OUTBOUND_BLOCKED;
	switch ((int)rc) {
	case CURLE_OK:
		return OUTBOUND_ANSWERED;
	case CURLE_URL_MALFORMAT:
	case CURLE_UNSUPPORTED_PROTOCOL:
		return OUTBOUND_REFUSED;
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_SSL_ISSUER_ERROR:
	case CURLE_USE_SSL_FAILED:
		return OUTBOUND_UNTRUSTED;
	case CURLE_OPERATION_TIMEDOUT:
		return OUTBOUND_TIMED_OUT;
	case CURLE_LOGIN_DENIED:
	case CURLE_SEND_ERROR:
	case CURLE_RECV_ERROR:
	default:
		/* A mail server that said no has answered. */
		return status >= 400 ? OUTBOUND_ANSWERED : OUTBOUND_UNREACHABLE;
	}
}

static void say_blocked(struct job *j)
{
	struct buf text = {0};
	buf_init(&text, sizeof(j->error));
	buf_printf(
	    &text, "%s is %s; an operator may allow its range", j->blocked_address, j->blocked);
	if (text.p)
		memcpy(j->error, text.p, text.n + 1);
	buf_fini(&text);
}

struct outbound_answer job_answer(struct job *j, CURLcode rc)
{
	long status = 0;
	curl_off_t after = 0;
	char *address = NULL;
	curl_easy_getinfo(j->easy, CURLINFO_RESPONSE_CODE, &status);
	curl_easy_getinfo(j->easy, CURLINFO_RETRY_AFTER, &after);
	curl_easy_getinfo(j->easy, CURLINFO_PRIMARY_IP, &address);
	struct outbound_answer a = {.outcome = outcome_of(j, rc, status)};
	if (a.outcome == OUTBOUND_BLOCKED) {
		say_blocked(j);
		address = j->blocked_address;
	} else if (rc != CURLE_OK && !j->error[0]) {
		(void)strncpy(j->error, curl_easy_strerror(rc), sizeof(j->error) - 1);
	}
	a.status = status > 0 && status <= 999 ? (uint32_t)status : 0;
	a.retry_after_s =
	    after > 0 ? (uint32_t)(after < RETRY_AFTER_MAX_S ? after : RETRY_AFTER_MAX_S) : 0;
	a.ms = (uint32_t)(clock_mono_ms() - j->begun_ms);
	a.text = rc == CURLE_OK ? STR_NONE : str_c(j->error);
	a.address = str_c(address);
	a.body = buf_view(&j->answer);
	a.link = buf_view(&j->link);
	a.headers = buf_view(&j->headers_kept);
	return a;
}

void job_free(struct job *j)
{
	curl_easy_cleanup(j->easy);
	curl_slist_free_all(j->headers);
	curl_slist_free_all(j->to);
	buf_fini(&j->url);
	buf_wipe(&j->body);
	buf_fini(&j->answer);
	buf_fini(&j->link);
	buf_fini(&j->headers_kept);
	free(j);
}
