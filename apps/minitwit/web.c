#include "minitwit/web.h"

#include "base/clock.h"
#include "base/ct.h"
#include "base/hex.h"
#include "base/num.h"
#include "base/rand.h"
#include "crypto/hash.h"
#include "crypto/hmac.h"
#include "text/html.h"

#include <stdio.h>
#include <string.h>

#define PAGE_NUMBER_MAX 1000000

static const char page_headers[] =
    "Cache-Control: no-store\r\n"
    "Content-Security-Policy: default-src 'none'; style-src 'self'; img-src 'self' "
    "https://www.gravatar.com; form-action 'self'; frame-ancestors 'none'; base-uri 'none'\r\n"
    "X-Frame-Options: DENY\r\n"
    "Referrer-Policy: same-origin\r\n"
    "Cross-Origin-Opener-Policy: same-origin\r\n"
    "Cross-Origin-Resource-Policy: same-origin\r\n"
    "Permissions-Policy: camera=(), geolocation=(), microphone=()\r\n";

/* %s stands for the name; the quotes are HTML already, as the original's template wrote them. */
static const struct {
	const char *before, *after;
	bool named;
} flashes[FLASH_COUNT] = {
    [FLASH_FOLLOWING] = {"You are now following &#34;", "&#34;", true},
    [FLASH_UNFOLLOWING] = {"You are no longer following &#34;", "&#34;", true},
    [FLASH_RECORDED] = {"Your message was recorded", "", false},
    [FLASH_REGISTERED] = {"You were successfully registered and can login now", "", false},
    [FLASH_LOGGED_IN] = {"You were logged in", "", false},
    [FLASH_LOGGED_OUT] = {"You were logged out", "", false},
};

/* --- who is looking --- */

static bool is_token(struct str s)
{
	if (s.n != WEB_TOKEN_CHARS)
		return false;
	for (size_t i = 0; i < s.n; i++)
		if (!((s.p[i] >= 'a' && s.p[i] <= 'z') || (s.p[i] >= 'A' && s.p[i] <= 'Z') ||
			(s.p[i] >= '0' && s.p[i] <= '9') || s.p[i] == '-' || s.p[i] == '_'))
			return false;
	return true;
}

/* Bound to the session's token, so that one session's forms are worth nothing in another. */
static void form_token_make(struct visit *v)
{
	uint8_t mac[HMAC_SHA256_BYTES];
	struct hmac_key *k =
	    hmac_key_new((struct str){(const char *)v->app->key.bytes, sizeof(v->app->key.bytes)});
	hmac_sha256_2(k, STR("form "), str_c(v->token), mac);
	hmac_key_free(k);
	hex_encode(mac, 16, v->form_token);
}

static int session_find(struct visit *v, struct err *e)
{
	uint8_t hash[HASH_SHA256_BYTES];
	struct store_db *db = web_read(v, e);
	if (!db)
		return -1;
	hash_sha256(str_c(v->token), hash);
	int rc = data_session_user(
	    db, (struct str){(const char *)hash, sizeof(hash)}, v->r->arena, &v->user, e);
	store_read_end(v->app->store, db);
	v->logged_in = rc == 1;
	return rc < 0 ? -1 : 0;
}

int web_enter(struct visit *v, struct app *a, struct http_call *c)
{
	struct err e = {0};
	memset(v, 0, sizeof(*v));
	v->app = a;
	v->call = c;
	v->r = http_request_of(c);
	buf_init(&v->page, WEB_PAGE_MAX_BYTES);
	buf_init(&v->headers, 8192);
	buf_c(&v->headers, page_headers);
	struct str sent = http_cookie(v->r, "session");
	v->token_made = !is_token(sent);
	if (v->token_made)
		rand_token(v->token);
	else
		memcpy(v->token, sent.p, sent.n);
	form_token_make(v);
	if (v->token_made || session_find(v, &e) == 0)
		return 0;
	web_fail(v, &e);
	web_leave(v);
	return -1;
}

void web_leave(struct visit *v)
{
	buf_fini(&v->page);
	buf_fini(&v->headers);
}

struct store_db *web_read(struct visit *v, struct err *e)
{
	return store_read_begin(v->app->store, clock_mono_ms() + READ_WAIT_MS, e);
}

bool web_known(struct visit *v)
{
	if (v->logged_in)
		return true;
	web_refuse(v, 401, "You have to sign in first.");
	return false;
}

int64_t web_page_number(const struct http_request *r)
{
	int64_t n;
	return num_i64(http_query(r, "p"), 0, PAGE_NUMBER_MAX, &n) ? n : 0;
}

/* --- cookies --- */

/* The edge says whether the person's side is encrypted. */
static void cookie(struct visit *v, const char *name, struct str value, int64_t age_s)
{
	bool tls = str_eq_c(http_header_get(v->r, "X-Forwarded-Proto"), "https");
	buf_printf(&v->headers, "Set-Cookie: %s=%.*s; Path=/; HttpOnly; SameSite=Lax%s", name,
	    STR_ARG(value), tls ? "; Secure" : "");
	if (age_s >= 0)
		buf_printf(&v->headers, "; Max-Age=%lld", (long long)age_s);
	buf_c(&v->headers, "\r\n");
}

void web_cookie_session(struct visit *v, const char *token)
{
	cookie(v, "session", str_c(token), token[0] ? WEB_SESSION_S : 0);
	v->token_made = false; /* told */
}

void web_flash(struct visit *v, enum flash f, struct str name)
{
	CLEANUP_BUF struct buf b;
	buf_init(&b, 3000);
	struct str before = http_cookie(v->r, "flash");
	if (before.n > 0 && before.n < 500) {
		buf_str(&b, before);
		buf_char(&b, '.');
	}
	buf_printf(&b, "%d-", (int)f);
	for (size_t i = 0; i < name.n; i++)
		buf_printf(&b, "%02x", (unsigned char)name.p[i]);
	cookie(v, "flash", buf_view(&b), -1);
}

static void put_flash(struct visit *v, struct str one)
{
	size_t dash = str_find(one, '-', 0);
	int64_t f;
	if (dash == SIZE_MAX || !num_i64(str_slice(one, 0, dash), 1, FLASH_COUNT - 1, &f))
		return;
	struct str hex = str_from(one, dash + 1);
	char name[1000];
	size_t n = hex.n / 2;
	if (n > sizeof(name) || !hex_decode(hex, name, n))
		return;
	buf_str(&v->page, STR("    <li>"));
	buf_c(&v->page, flashes[f].before);
	if (flashes[f].named)
		html_escape(&v->page, (struct str){name, n});
	buf_c(&v->page, flashes[f].after);
	buf_char(&v->page, '\n');
}

static void put_flashes(struct visit *v)
{
	struct str all = http_cookie(v->r, "flash"), one;
	if (all.n == 0)
		return;
	buf_str(&v->page, STR("  <ul class=flashes>\n"));
	while (str_next(&all, '.', &one))
		put_flash(v, one);
	buf_str(&v->page, STR("  </ul>\n"));
	cookie(v, "flash", STR(""), 0);
}

/* --- the frame --- */

static void put_navigation(struct visit *v)
{
	buf_str(&v->page, STR("  <div class=navigation>\n"));
	if (!v->logged_in) {
		buf_str(&v->page, STR("    <a href=\"/public\">public timeline</a> |\n"
				      "    <a href=\"/register\">sign up</a> |\n"
				      "    <a href=\"/login\">sign in</a>\n  </div>\n"));
		return;
	}
	buf_str(
	    &v->page, STR("    <a href=\"/\">my timeline</a> |\n"
			  "    <a href=\"/public\">public timeline</a> |\n    <a href=\"/logout"));
	web_put_query(v);
	buf_str(&v->page, STR("\">sign out ["));
	html_escape(&v->page, v->user.name);
	buf_str(&v->page, STR("]</a>\n  </div>\n"));
}

void web_begin(struct visit *v, const char *title, struct str title_name)
{
	struct buf *b = &v->page;
	buf_str(b,
	    STR("<!doctype html>\n<html lang=en>\n<meta charset=utf-8>\n"
		"<meta name=viewport content=\"width=device-width, initial-scale=1\">\n<title>"));
	html_escape(b, title_name);
	buf_c(b, title);
	buf_str(b, STR(" | MiniTwit</title>\n<link rel=stylesheet href=\"/static/style.css\">\n"
		       "<div class=page>\n  <h1><a href=\"/\">MiniTwit</a></h1>\n"));
	put_navigation(v);
	put_flashes(v);
	buf_str(b, STR("  <div class=body>\n  <h2>"));
	html_escape(b, title_name);
	buf_c(b, title);
	buf_str(b, STR("</h2>\n"));
}

void web_answer(struct visit *v, int status)
{
	buf_str(
	    &v->page, STR("  </div>\n  <div class=footer>\n"
			  "    MiniTwit &mdash; an application on Slipway\n  </div>\n</div>\n"));
	if (v->token_made && v->form_shown)
		web_cookie_session(v, v->token);
	if (v->page.full || v->headers.full)
		app_reply_error(v->app, v->call, 500, "the page is too large");
	else
		app_reply(v->app, v->call, status, "text/html; charset=utf-8", v->headers.p,
		    buf_view(&v->page));
}

void web_redirect(struct visit *v, const char *to)
{
	buf_printf(&v->headers, "Location: %s\r\n", to);
	buf_str(&v->page, STR("<!doctype html>\n<title>Redirecting</title>\n<p>See <a href=\""));
	html_escape(&v->page, str_c(to));
	buf_str(&v->page, STR("\">there</a>.\n"));
	if (v->headers.full)
		app_reply_error(v->app, v->call, 500, "the address is too long");
	else
		app_reply(v->app, v->call, 302, "text/html; charset=utf-8", v->headers.p,
		    buf_view(&v->page));
}

void web_refuse(struct visit *v, int status, const char *what)
{
	static const struct {
		int status;
		const char *title;
	} titles[] = {{401, "Unauthorized"}, {403, "Forbidden"}, {404, "Not Found"}, {503, "Busy"},
	    {500, "Something Went Wrong"}};
	size_t i = 0;
	while (i + 1 < sizeof(titles) / sizeof(titles[0]) && titles[i].status != status)
		i++;
	buf_clear(&v->page);
	web_begin(v, titles[i].title, STR(""));
	buf_str(&v->page, STR("  <p>"));
	html_escape(&v->page, str_c(what));
	buf_char(&v->page, '\n');
	web_answer(v, status);
}

void web_fail(struct visit *v, const struct err *e)
{
	bool later = err_class_of(e->code)->http_status == 503;
	web_refuse(v, later ? 503 : 500, "MiniTwit could not do this now. Try again in a moment.");
}

/* --- forged requests --- */

void web_put_field(struct visit *v)
{
	v->form_shown = true;
	buf_printf(&v->page, "    <input type=hidden name=csrf value=\"%s\">\n", v->form_token);
}

void web_put_query(struct visit *v)
{
	buf_printf(&v->page, "?csrf=%s", v->form_token);
}

/* Is `url` (of Origin or Referer) of this host? */
static bool is_own(const struct http_request *r, struct str url)
{
	struct str host = http_header_get(r, "Host");
	size_t from = str_starts(url, STR("https://"))	? 8
		      : str_starts(url, STR("http://")) ? 7
							: SIZE_MAX;
	if (from == SIZE_MAX || host.n == 0)
		return false;
	url = str_from(url, from);
	return str_eq_nocase(str_slice(url, 0, str_find(url, '/', 0)), host);
}

bool web_genuine(struct visit *v)
{
	struct str origin = http_header_get(v->r, "Origin"),
		   referer = http_header_get(v->r, "Referer"),
		   site = http_header_get(v->r, "Sec-Fetch-Site");
	if (!origin.p && !referer.p && !site.p)
		return true;
	struct str token =
	    v->r->method == HTTP_POST ? http_form(v->r, "csrf") : http_query(v->r, "csrf");
	if ((!origin.p || is_own(v->r, origin)) && (!referer.p || is_own(v->r, referer)) &&
	    (!site.p || str_eq_c(site, "same-origin")) && !v->token_made &&
	    ct_eq(token, str_c(v->form_token)))
		return true;
	web_refuse(v, 403,
	    "This request did not come from a page of MiniTwit. Go back, load the page again, and "
	    "try once more.");
	return false;
}
