#include "notify/shape.h"

#include "base/hex.h"
#include "base/name.h"
#include "base/num.h"
#include "base/rand.h"
#include "crypto/hmac.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum {
	TIMEOUT_MS = 15000,
	KEPT_ANSWER_BYTES = 512,
	DISCORD_CHARS_MAX = 1900,
	SECRET_BYTES = 32,
	SECRET_BYTES_MIN = 24,
	SECRET_BYTES_MAX = 64,
	BODY_MAX = 256 << 10,
	MAIL_LINE = 76,
	FORWARD_MAX = 1 << 20,
};
#define SECRET_PREFIX STR("whsec_")

static int room(struct err *e)
{
	return err_set(e, ERR_TOO_LARGE, "a message is too large to be sent");
}

/* Copies of what was written, in the arena. */
static int keep(struct arena *a, const struct buf *b, struct str *ret, struct err *e)
{
	*ret = b->full ? STR_NONE : arena_str(a, buf_view(b));
	return ret->p ? 0 : room(e);
}

static int header(
    struct outbound_request *r, struct arena *a, struct err *e, const char *name, struct str value)
{
	char *line = arena_printf(a, "%s: %.*s", name, STR_ARG(value));
	if (!line)
		return room(e);
	r->headers[r->header_count++] = str_c(line);
	return 0;
}

static int json_post(
    struct outbound_request *r, struct arena *a, const struct buf *body, struct err *e)
{
	r->kind = OUTBOUND_HTTP;
	r->method = OUTBOUND_POST;
	r->timeout_ms = TIMEOUT_MS;
	r->body_max = KEPT_ANSWER_BYTES;
	if (keep(a, body, &r->body, e) != 0 ||
	    header(r, a, e, "User-Agent", STR("Slipway/" SLIPWAY_VERSION)) != 0)
		return -1;
	return header(r, a, e, "Content-Type", STR("application/json"));
}

/* The whole in plain words. */
static void words(const struct message *m, struct buf *out)
{
	buf_str(out, m->title);
	if (m->text.n) {
		buf_char(out, '\n');
		buf_str(out, m->text);
	}
	if (m->link.n) {
		buf_c(out, "\n");
		buf_str(out, m->link);
	}
}

/* Printable and without blanks. */
static bool token_ok(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] <= ' ' || s.p[i] > '~')
			return false;
	return s.n > 0;
}

/* --- webhook: https://www.standardwebhooks.com --- */

static int secret_bytes(struct str secret, struct buf *out, struct err *e)
{
	if (str_starts(secret, SECRET_PREFIX) &&
	    base64_decode(str_from(secret, SECRET_PREFIX.n), out) && out->n >= SECRET_BYTES_MIN &&
	    out->n <= SECRET_BYTES_MAX)
		return 0;
	err_set(e, ERR_INVALID, "the secret is not 'whsec_' and %d to %d bytes in base64",
	    SECRET_BYTES_MIN, SECRET_BYTES_MAX);
	return err_hint(e, "leave it out: one is made");
}

static int sign(
    const struct shape *s, struct str body, struct str when, struct buf *out, struct err *e)
{
	uint8_t mac[HMAC_SHA256_BYTES];
	struct buf key CLEANUP_BUF;
	struct buf prefix CLEANUP_BUF;
	buf_init(&key, SECRET_BYTES_MAX + 3);
	buf_init(&prefix, 256);
	if (secret_bytes(s->secret, &key, e) != 0)
		return -1;
	struct hmac_key *k = hmac_key_new(buf_view(&key));
	buf_printf(&prefix, "%.*s.%.*s.", STR_ARG(s->id), STR_ARG(when));
	hmac_sha256_2(k, buf_view(&prefix), body, mac);
	hmac_key_free(k);
	buf_wipe(&key);
	buf_c(out, "v1,");
	base64_encode(mac, sizeof(mac), out);
	return 0;
}

static void told(const struct shape *s, struct buf *body)
{
	struct json_out w;
	json_out_init(&w, body);
	json_open_object(&w, NULL);
	json_put_str(&w, "type", s->message->event);
	json_put_time(&w, "timestamp", s->message->at_ms);
	json_put_raw(&w, "data", s->stored);
	json_close_object(&w);
}

/* Which event of which hook is handed on. */
static int handed_on(
    const struct shape *s, struct arena *a, struct outbound_request *r, struct err *e)
{
	static const struct {
		const char *header, *field;
	} said[] = {{"X-Slipway-Hook", "hook"}, {"X-Slipway-Event", "kind"},
	    {"X-Slipway-Delivery", "delivery"}};
	for (size_t i = 0; i < sizeof(said) / sizeof(*said); i++) {
		struct str v = message_data(s->message, said[i].field);
		if (token_ok(v) && header(r, a, e, said[i].header, v) != 0)
			return -1;
	}
	return 0;
}

static int webhook(
    const struct shape *s, struct arena *a, struct outbound_request *r, struct err *e)
{
	struct buf body CLEANUP_BUF;
	struct buf signature CLEANUP_BUF;
	char when[24];
	buf_init(&body, s->event.p ? FORWARD_MAX + 1 : BODY_MAX);
	buf_init(&signature, 128);
	if (s->event.n > FORWARD_MAX)
		return err_set(e, ERR_TOO_LARGE, "the event is too large to be handed on");
	if (s->event.p)
		buf_str(&body, s->event);
	else
		told(s, &body);
	(void)snprintf(when, sizeof(when), "%" PRId64, s->now_ms / 1000);
	r->url = s->channel->target;
	if (json_post(r, a, &body, e) != 0 || (s->event.p && handed_on(s, a, r, e) != 0) ||
	    sign(s, r->body, str_c(when), &signature, e) != 0)
		return -1;
	return header(r, a, e, "webhook-id", s->id) != 0 ||
		       header(r, a, e, "webhook-timestamp", str_c(when)) != 0
		   ? -1
		   : header(r, a, e, "webhook-signature", buf_view(&signature));
}

/* --- chat --- */

/* https://api.slack.com/reference/surfaces/formatting: these three are its marks. */
static void slack_escape(struct str s, struct buf *out)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] == '&')
			buf_c(out, "&amp;");
		else if (s.p[i] == '<')
			buf_c(out, "&lt;");
		else if (s.p[i] == '>')
			buf_c(out, "&gt;");
		else
			buf_char(out, s.p[i]);
}

/* Cut at a code point. */
struct str shape_cut(struct str s, size_t most)
{
	if (s.n <= most)
		return s;
	while (most > 0 && ((uint8_t)s.p[most] & 0xc0) == 0x80)
		most--;
	return str_slice(s, 0, most);
}

static int slack(const struct shape *s, struct arena *a, struct outbound_request *r, struct err *e)
{
	struct json_out w;
	struct buf text CLEANUP_BUF;
	struct buf said CLEANUP_BUF;
	struct buf body CLEANUP_BUF;
	buf_init(&text, BODY_MAX);
	buf_init(&said, BODY_MAX);
	buf_init(&body, BODY_MAX);
	words(s->message, &text);
	slack_escape(buf_view(&text), &said);
	json_out_init(&w, &body);
	json_open_object(&w, NULL);
	json_put_str(&w, "text", buf_view(&said));
	json_close_object(&w);
	r->url = s->secret;
	return json_post(r, a, &body, e);
}

static int discord(
    const struct shape *s, struct arena *a, struct outbound_request *r, struct err *e)
{
	struct json_out w;
	struct buf text CLEANUP_BUF;
	struct buf body CLEANUP_BUF;
	buf_init(&text, BODY_MAX);
	buf_init(&body, BODY_MAX);
	words(s->message, &text);
	json_out_init(&w, &body);
	json_open_object(&w, NULL);
	json_put_str(&w, "content", shape_cut(buf_view(&text), DISCORD_CHARS_MAX));
	json_put_raw(&w, "allowed_mentions",
	    STR("{\"parse\":[]}")); /* nobody is called by what a commit says */
	json_close_object(&w);
	r->url = s->secret;
	return json_post(r, a, &body, e);
}

static void percent(struct str s, struct buf *out)
{
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];
		bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
			     (c >= '0' && c <= '9') || (c && strchr("-._~", c));
		if (plain)
			buf_char(out, c);
		else
			buf_printf(out, "%%%02X", (uint8_t)c);
	}
}

/* The Matrix client-server API, v1.7 §11.6.2; the transaction id makes a repeat the same event. */
static int matrix(const struct shape *s, struct arena *a, struct outbound_request *r, struct err *e)
{
	struct json_out w;
	struct str target = s->channel->target;
	size_t slash = str_find(target, '/', STR("https://").n);
	struct buf text CLEANUP_BUF;
	struct buf body CLEANUP_BUF;
	struct buf url CLEANUP_BUF;
	buf_init(&text, BODY_MAX);
	buf_init(&body, BODY_MAX);
	buf_init(&url, 4096);
	words(s->message, &text);
	json_out_init(&w, &body);
	json_open_object(&w, NULL);
	json_put_str(&w, "msgtype", STR("m.text"));
	json_put_str(&w, "body", buf_view(&text));
	json_close_object(&w);
	buf_str(&url, str_slice(target, 0, slash));
	buf_c(&url, "/_matrix/client/v3/rooms/");
	percent(str_from(target, slash + 1), &url);
	buf_c(&url, "/send/m.room.message/");
	percent(s->id, &url);
	if (json_post(r, a, &body, e) != 0 || keep(a, &url, &r->url, e) != 0)
		return -1;
	r->method = OUTBOUND_PUT;
	char *bearer = arena_printf(a, "Bearer %.*s", STR_ARG(s->secret));
	return bearer ? header(r, a, e, "Authorization", str_c(bearer)) : room(e);
}

/* --- GitHub: POST /repos/{owner}/{repo}/statuses/{sha} --- */

static const char *github_state(struct str event)
{
	static const struct {
		const char *end, *state;
	} states[] = {{"started", "pending"}, {"succeeded", "success"}, {"cancelled", "error"},
	    {"failed", "failure"}};
	size_t dot = str_find(event, '.', 0);
	struct str about = str_slice(event, 0, dot);
	for (size_t i = 0; i < sizeof(states) / sizeof(*states); i++)
		if ((str_eq_c(about, "deploy") || str_eq_c(about, "check")) &&
		    str_eq_c(str_from(event, dot + 1), states[i].end))
			return states[i].state;
	return NULL;
}

int shape_github_request(const struct shape *s, struct arena *a, struct str url, struct str body,
    struct outbound_request *ret, struct err *e)
{
	const char *bearer = arena_printf(a, "Bearer %.*s", STR_ARG(s->secret));
	*ret = (struct outbound_request){.kind = OUTBOUND_HTTP,
	    .method = body.p ? OUTBOUND_POST : OUTBOUND_GET,
	    .timeout_ms = TIMEOUT_MS,
	    .body_max = KEPT_ANSWER_BYTES,
	    .url = url,
	    .body = body};
	if (!bearer || header(ret, a, e, "User-Agent", STR("Slipway/" SLIPWAY_VERSION)) != 0 ||
	    header(ret, a, e, "Authorization", str_c(bearer)) != 0 ||
	    header(ret, a, e, "Accept", STR("application/vnd.github+json")) != 0 ||
	    header(ret, a, e, "X-GitHub-Api-Version", STR("2022-11-28")) != 0)
		return room(e);
	return body.p ? header(ret, a, e, "Content-Type", STR("application/json")) : 0;
}

static int github(const struct shape *s, struct arena *a, struct outbound_request *r, struct err *e)
{
	struct json_out w;
	struct err ignored;
	struct str commit = message_data(s->message, "commit"),
		   log = message_data(s->message, "log");
	const char *state = github_state(s->message->event);
	struct buf body CLEANUP_BUF;
	buf_init(&body, BODY_MAX);
	if (!state || name_commit(commit, &ignored) != 0)
		return err_set(e, ERR_INVALID, "there is no commit whose status could be told");
	json_out_init(&w, &body);
	json_open_object(&w, NULL);
	json_put_str(&w, "state", str_c(state));
	bool check = str_starts(s->message->event, STR("check."));
	json_put_str(&w, "context",
	    str_c(arena_printf(
		a, "slipway/%.*s%s", STR_ARG(s->message->project), check ? "/checks" : "")));
	json_put_str(&w, "description", shape_cut(s->message->title, 140));
	if (log.n)
		json_put_str(&w, "target_url", log);
	json_close_object(&w);
	struct str text;
	char *url =
	    arena_printf(a, "%.*s/statuses/%.*s", STR_ARG(s->channel->target), STR_ARG(commit));
	if (!url || keep(a, &body, &text, e) != 0)
		return room(e);
	return shape_github_request(s, a, str_c(url), text, r, e);
}

/* --- mail: RFC 5322, RFC 2045, RFC 2047 --- */

static bool is_ascii(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((uint8_t)s.p[i] > '~')
			return false;
	return true;
}

/* An encoded word is at most 75 characters: 45 bytes make 60 of base64. */
static void subject(struct str s, struct buf *out)
{
	enum { WORD_BYTES = 42 };
	if (is_ascii(s)) {
		buf_str(out, shape_cut(s, 200));
		return;
	}
	for (bool first = true; s.n; first = false) {
		struct str word = shape_cut(s, WORD_BYTES);
		buf_c(out, first ? "=?UTF-8?B?" : "\r\n =?UTF-8?B?");
		base64_encode(word.p, word.n, out);
		buf_c(out, "?=");
		s = str_from(s, word.n);
	}
}

static void base64_lines(struct str s, struct buf *out)
{
	enum { LINE_BYTES = MAIL_LINE / 4 * 3 };
	while (s.n) {
		struct str line = str_slice(s, 0, LINE_BYTES);
		base64_encode(line.p, line.n, out);
		buf_c(out, "\r\n");
		s = str_from(s, line.n);
	}
}

static void date(int64_t wall_ms, struct buf *out)
{
	static const char days[7][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"},
			  months[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug",
			      "Sep", "Oct", "Nov", "Dec"};
	struct tm t;
	time_t s = (time_t)(wall_ms / 1000);
	if (!gmtime_r(&s, &t))
		memset(&t, 0, sizeof(t));
	buf_printf(out, "%s, %02d %s %d %02d:%02d:%02d +0000", days[t.tm_wday], t.tm_mday,
	    months[t.tm_mon], t.tm_year + 1900, t.tm_hour, t.tm_min, t.tm_sec);
}

static struct str recipients(const struct shape *s)
{
	return s->recipient.n ? s->recipient : s->channel->target;
}

static void letter(const struct shape *s, struct buf *out)
{
	struct str to = recipients(s), one,
		   domain = str_from(s->mail->sender, str_find(s->mail->sender, '@', 0) + 1);
	struct buf text CLEANUP_BUF;
	buf_init(&text, BODY_MAX);
	words(s->message, &text);
	buf_printf(out, "From: Slipway <%.*s>\r\nTo: ", STR_ARG(s->mail->sender));
	for (bool first = true; str_next(&to, ' ', &one) == 1; first = false)
		buf_printf(out, "%s<%.*s>", first ? "" : ",\r\n ", STR_ARG(one));
	buf_c(out, "\r\nSubject: ");
	subject(s->message->title, out);
	buf_c(out, "\r\nDate: ");
	date(s->message->at_ms, out);
	buf_printf(out, "\r\nMessage-ID: <%.*s@%.*s>\r\n", STR_ARG(s->id), STR_ARG(domain));
	buf_printf(out, "X-Slipway-Event: %.*s\r\n", STR_ARG(s->message->event));
	buf_c(out,
	    "Auto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\n"
	    "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n");
	base64_lines(buf_view(&text), out);
}

static int mail(const struct shape *s, struct arena *a, struct outbound_request *r, struct err *e)
{
	static const enum outbound_tls tls[MODEL_MAIL_TLS_COUNT] = {
	    [MODEL_MAIL_STARTTLS] = OUTBOUND_TLS_STARTTLS,
	    [MODEL_MAIL_IMPLICIT] = OUTBOUND_TLS_IMPLICIT,
	    [MODEL_MAIL_PLAIN] = OUTBOUND_TLS_NONE};
	struct str to = recipients(s), one;
	struct buf whole CLEANUP_BUF;
	buf_init(&whole, BODY_MAX);
	if (!s->mail) {
		err_set(e, ERR_SETTINGS, "no mail server is set");
		return err_hint(e, "slipway mail set --host HOST --from ADDRESS");
	}
	letter(s, &whole);
	r->kind = OUTBOUND_MAIL;
	r->timeout_ms = 2 * TIMEOUT_MS;
	r->tls = tls[s->mail->tls];
	r->from = s->mail->sender;
	r->user = s->mail->user;
	r->password = s->mail_password;
	while (r->to_count < OUTBOUND_RECIPIENTS_MAX && str_next(&to, ' ', &one) == 1)
		r->to[r->to_count++] = one;
	bool v6 = str_find(s->mail->host, ':', 0) != SIZE_MAX;
	char *url = arena_printf(a, "smtp://%s%.*s%s:%" PRId64, v6 ? "[" : "",
	    STR_ARG(s->mail->host), v6 ? "]" : "", s->mail->port);
	r->url = str_c(url);
	return url ? keep(a, &whole, &r->body, e) : room(e);
}

bool shape_tells(enum model_channel_type type, struct str event)
{
	return type != MODEL_CHANNEL_GITHUB || github_state(event);
}

bool shape_bears_secret(enum model_channel_type type)
{
	return type == MODEL_CHANNEL_MATRIX || type == MODEL_CHANNEL_GITHUB;
}

int shape_request(
    const struct shape *s, struct arena *a, struct outbound_request *ret, struct err *e)
{
	*ret = (struct outbound_request){0};
	switch (s->channel->type) {
	case MODEL_CHANNEL_MAIL:
		return mail(s, a, ret, e);
	case MODEL_CHANNEL_WEBHOOK:
		return webhook(s, a, ret, e);
	case MODEL_CHANNEL_SLACK:
		return slack(s, a, ret, e);
	case MODEL_CHANNEL_DISCORD:
		return discord(s, a, ret, e);
	case MODEL_CHANNEL_MATRIX:
		return matrix(s, a, ret, e);
	case MODEL_CHANNEL_GITHUB:
		return github(s, a, ret, e);
	case MODEL_CHANNEL_TYPE_COUNT:
	default:
		return err_set(e, ERR_INTERNAL, "a channel of no type");
	}
}

/* --- what people enter --- */

static bool is_https(struct str url, bool http_too)
{
	size_t skip = str_starts(url, STR("https://"))		    ? 8
		      : http_too && str_starts(url, STR("http://")) ? 7
								    : 0;
	return skip && url.n > skip && url.n <= 2048 && token_ok(url) &&
	       str_find(url, '@', 0) == SIZE_MAX && str_find(url, '#', 0) == SIZE_MAX &&
	       url.p[skip] != '/';
}

static int bad(const char *at, const char *why, const char *hint, struct err *e)
{
	err_set(e, ERR_INVALID, "%s", why);
	err_hint(e, "%s", hint);
	return err_at(e, "%s", at);
}

static int addresses(struct str list, struct err *e)
{
	struct str one;
	size_t n = 0;
	while (str_next(&list, ' ', &one) == 1) {
		size_t at = str_find(one, '@', 0);
		bool good =
		    at != SIZE_MAX && at > 0 && at + 1 < one.n && one.n <= 254 && token_ok(one);
		for (size_t i = 0; good && i < one.n; i++)
			good = !strchr("<>()[],;:\\\"", one.p[i]);
		if (!good || ++n > OUTBOUND_RECIPIENTS_MAX)
			return bad("/target", "the target is no list of mail addresses",
			    "write anna@example.org, or several with blanks between (32 at most)",
			    e);
	}
	return n ? 0
		 : bad("/target", "the target is missing: nobody would be told",
		       "write anna@example.org, or several with blanks between", e);
}

int shape_check(enum model_channel_type type, struct str target, struct str secret, struct err *e)
{
	struct buf bytes CLEANUP_BUF;
	buf_init(&bytes, SECRET_BYTES_MAX + 3);
	switch (type) {
	case MODEL_CHANNEL_MAIL:
		return addresses(target, e);
	case MODEL_CHANNEL_WEBHOOK:
		if (!is_https(target, true))
			return bad("/target", "the target is no address of a web server",
			    "write https://HOST/PATH, without user, password or '#'", e);
		return secret.n && secret_bytes(secret, &bytes, e) != 0 ? err_at(e, "/secret") : 0;
	case MODEL_CHANNEL_SLACK:
	case MODEL_CHANNEL_DISCORD:
		return is_https(secret, true)
			   ? 0
			   : bad("/secret", "the secret is no address of a chat's incoming webhook",
				 "paste the address that the chat shows, https://…", e);
	case MODEL_CHANNEL_MATRIX:
		if (!is_https(target, true) || str_find(target, '/', 8) == SIZE_MAX ||
		    str_ends(target, STR("/")))
			return bad("/target", "the target is no room",
			    "write https://SERVER/!ROOM:DOMAIN", e);
		return token_ok(secret)
			   ? 0
			   : bad("/secret", "an access token is missing",
				 "give the access token of the account that writes", e);
	case MODEL_CHANNEL_GITHUB:
		if (!is_https(target, true) || str_find(target, '/', 8) == SIZE_MAX)
			return bad("/target", "the target is no repository of the GitHub API",
			    "write https://api.github.com/repos/OWNER/REPOSITORY", e);
		return token_ok(secret) ? 0
					: bad("/secret", "a token is missing",
					      "give a token that may write commit statuses", e);
	case MODEL_CHANNEL_TYPE_COUNT:
	default:
		return err_set(e, ERR_INTERNAL, "a channel of no type");
	}
}

void shape_secret_make(char out[SHAPE_SECRET_SIZE])
{
	uint8_t raw[SECRET_BYTES];
	struct buf b CLEANUP_BUF;
	buf_init(&b, SHAPE_SECRET_SIZE);
	rand_bytes(raw, sizeof(raw));
	buf_str(&b, SECRET_PREFIX);
	base64_encode(raw, sizeof(raw), &b);
	memcpy(out, b.p, b.n + 1);
	explicit_bzero(raw, sizeof(raw));
	buf_wipe(&b);
}
