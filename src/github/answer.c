#include "github/answer.h"

#include "base/clock.h"
#include "base/num.h"
#include "text/json.h"

#include <string.h>

enum {
	TIMEOUT_MS = 15000,
	CURSOR_MAX = 200,
	GUID_MAX = 128,
	WORDS_MAX = 200,
	OWNER_MAX = 100,
	TOO_MANY = 429
};

static bool name_ok(struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];
		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
			c == '.' || c == '_' || c == '-'))
			return false;
	}
	return s.n > 0 && s.n <= OWNER_MAX && !str_eq_c(s, ".") && !str_eq_c(s, "..");
}

const char *github_repository_refuses(struct str s)
{
	size_t slash = str_find(s, '/', 0);
	if (slash == SIZE_MAX)
		return "is not OWNER/REPOSITORY";
	return name_ok(str_slice(s, 0, slash)) && name_ok(str_from(s, slash + 1))
		   ? NULL
		   : "is not OWNER/REPOSITORY, each of letters, digits, '.', '_' and '-'";
}

int github_request(struct arena *a, struct str api, const char *path, struct str token,
    enum outbound_method method, struct outbound_request *ret, struct err *e)
{
	const char *const lines[] = {arena_printf(a, "Authorization: Bearer %.*s", STR_ARG(token)),
	    "Accept: application/vnd.github+json", "X-GitHub-Api-Version: 2022-11-28",
	    "User-Agent: Slipway/" SLIPWAY_VERSION};
	const char *url = arena_printf(a, "%.*s%s", STR_ARG(api), path);
	*ret = (struct outbound_request){.kind = OUTBOUND_HTTP,
	    .timeout_ms = TIMEOUT_MS,
	    .method = method,
	    .body_max = GITHUB_ANSWER_MAX,
	    .url = str_c(url)};
	if (!url || !lines[0])
		return err_set(e, ERR_TOO_LARGE, "a request to GitHub is too large");
	for (size_t i = token.n ? 0 : 1; i < sizeof(lines) / sizeof(*lines); i++)
		ret->headers[ret->header_count++] = str_c(lines[i]);
	return 0;
}

/* The "message" of an error, on one line; "" when there is none. */
static void message_of(struct str body, char out[WORDS_MAX])
{
	struct err ignored;
	struct str said = STR("");
	CLEANUP_JSON json_t *o = body.n ? json_read(body, &ignored) : NULL;
	size_t n = 0;
	if (o && json_get_str(o, "message", &said, &ignored) <= 0)
		said = STR("");
	for (size_t i = 0; i < said.n && n + 1 < WORDS_MAX; i++)
		out[n++] = said.p[i] >= ' ' && said.p[i] <= '~' ? said.p[i] : ' ';
	out[n] = '\0';
}

static int64_t limited(int64_t ms)
{
	return ms > GITHUB_WAIT_MAX_MS ? GITHUB_WAIT_MAX_MS : ms;
}

int64_t github_pause_ms(const struct outbound_answer *a, int64_t now_ms)
{
	int64_t reset_s, wait;
	if (!str_eq_c(outbound_header(a, "x-ratelimit-remaining"), "0"))
		return 0;
	if (!num_i64(outbound_header(a, "x-ratelimit-reset"), 0, INT32_MAX * (int64_t)4, &reset_s))
		return 60000;
	wait = reset_s * 1000 - now_ms + 1000; /* a second for clocks that differ */
	return limited(wait > 1000 ? wait : 1000);
}

static enum github_verdict later(
    const struct outbound_answer *a, int64_t now_ms, int64_t *ret_wait_ms)
{
	int64_t asked = limited((int64_t)a->retry_after_s * 1000),
		pause = github_pause_ms(a, now_ms);
	*ret_wait_ms = asked > pause ? asked : pause;
	return GITHUB_LATER;
}

static enum github_verdict judge_refusal(
    const struct outbound_answer *a, int64_t now_ms, int64_t *ret_wait_ms, struct err *e)
{
	char said[WORDS_MAX];
	message_of(a->body, said);
	(void)err_set(
	    e, ERR_FAILED, "GitHub answered %u%s%s", a->status, said[0] ? ": " : "", said);
	if (a->status == TOO_MANY ||
	    (a->status == 403 && (a->retry_after_s || github_pause_ms(a, now_ms))))
		return later(a, now_ms, ret_wait_ms);
	if (a->status >= 500 || a->status == 408)
		return later(a, now_ms, ret_wait_ms);
	if (a->status / 100 == 3)
		err_hint(e, "redirections are not followed: say the repository's name of today");
	else if (a->status == 401)
		err_hint(e, "the token is wrong or has run out: make a new one, then slipway hooks "
			    "set --github-token-stdin");
	else if (a->status == 403 || a->status == 404)
		err_hint(e,
		    "a classic token needs the scope admin:repo_hook, a fine-grained one the "
		    "repository permission Webhooks, read and write; check the "
		    "repository's name and the hook's number, too");
	else
		err_hint(e, "check the repository's name and the hook's number");
	return GITHUB_NEVER;
}

enum github_verdict github_judge(
    const struct outbound_answer *a, int64_t now_ms, int64_t *ret_wait_ms, struct err *e)
{
	*ret_wait_ms = 0;
	if (a->outcome == OUTBOUND_ANSWERED)
		return a->status / 100 == 2 ? GITHUB_OK : judge_refusal(a, now_ms, ret_wait_ms, e);
	(void)err_set(e, ERR_FAILED, "GitHub could not be asked: %.*s", STR_ARG(a->text));
	switch (a->outcome) {
	case OUTBOUND_BLOCKED:
		err_hint(e, "slipwayd --outbound-allow names ranges that may be asked");
		return GITHUB_NEVER;
	case OUTBOUND_REFUSED:
		err_hint(e, "check the address of the API");
		return GITHUB_NEVER;
	case OUTBOUND_UNTRUSTED:
		err_hint(e, "slipwayd --outbound-ca names authorities to trust");
		return GITHUB_LATER;
	case OUTBOUND_ANSWERED:
	case OUTBOUND_UNREACHABLE:
	case OUTBOUND_TIMED_OUT:
	case OUTBOUND_OUTCOME_COUNT:
	default:
		return GITHUB_LATER;
	}
}

static bool guid_ok(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] <= ' ' || s.p[i] > '~')
			return false;
	return s.n > 0 && s.n <= GUID_MAX;
}

static int delivery_read(
    const json_t *o, struct arena *a, struct github_delivery *ret, struct err *e)
{
	struct str guid, at;
	ret->status = 0; /* null: nobody answered */
	if (json_get_i64(o, "id", 1, INT64_MAX, &ret->id, e) <= 0 ||
	    json_get_str(o, "guid", &guid, e) <= 0 ||
	    json_get_str(o, "delivered_at", &at, e) <= 0 ||
	    json_get_i64(o, "status_code", 0, 999, &ret->status, e) < 0 || !guid_ok(guid) ||
	    !clock_parse(at, &ret->at_ms))
		return -1;
	ret->guid = arena_str(a, guid);
	return ret->guid.p ? 0 : -1;
}

int github_deliveries_read(
    struct str body, struct arena *a, struct github_deliveries *ret, struct err *e)
{
	CLEANUP_JSON json_t *list = json_read(body, e);
	*ret = (struct github_deliveries){0};
	if (!json_is_array(list) || json_array_size(list) > 2 * (size_t)GITHUB_PAGE)
		return err_set(e, ERR_INVALID, "GitHub's list of deliveries is malformed");
	if (json_array_size(list) == 0)
		return 0;
	ret->v = arena_array(a, json_array_size(list), sizeof(*ret->v));
	for (; ret->v && ret->n < json_array_size(list); ret->n++)
		if (delivery_read(json_array_get(list, ret->n), a, &ret->v[ret->n], e) != 0)
			return err_set(e, ERR_INVALID, "GitHub's list of deliveries is malformed");
	return ret->v ? 0 : err_set(e, ERR_TOO_LARGE, "there are too many deliveries");
}

bool github_delivery_missed(const struct github_delivery *d, bool refused)
{
	if (d->status / 100 == 2)
		return false;
	bool said_no = d->status / 100 == 4 && d->status != 408 && d->status != TOO_MANY;
	return refused || !said_no;
}

static struct str cursor_of(struct str target)
{
	static const struct str key = {"cursor=", 7};
	for (size_t i = 0; i + key.n < target.n; i++) {
		if (target.p[i] != '?' && target.p[i] != '&')
			continue;
		struct str value = str_from(target, i + 1);
		if (!str_starts(value, key))
			continue;
		value = str_from(value, key.n);
		size_t n = 0;
		while (n < value.n && value.p[n] != '&' && value.p[n] != '>')
			n++;
		value.n = n;
		for (size_t k = 0; k < value.n; k++)
			if (!name_ok(str_slice(value, k, 1)) && value.p[k] != '.' &&
			    value.p[k] != '%' && value.p[k] != '=')
				return STR("");
		return value.n <= CURSOR_MAX ? value : STR("");
	}
	return STR("");
}

struct str github_next_cursor(struct str link)
{
	struct str one;
	while (str_next(&link, ',', &one))
		if (str_contains(one, STR("rel=\"next\"")))
			return cursor_of(one);
	return STR("");
}

int github_hook_find(struct str body, struct str url, int64_t *ret_id, struct err *e)
{
	CLEANUP_JSON json_t *list = json_read(body, e);
	if (!json_is_array(list))
		return err_set(e, ERR_INVALID, "GitHub's list of hooks is malformed");
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *one = json_array_get(list, i);
		struct str at;
		if (json_get_str(json_object_get(one, "config"), "url", &at, e) == 1 &&
		    str_eq(at, url))
			return json_get_i64(one, "id", 1, INT64_MAX, ret_id, e) == 1
				   ? 1
				   : err_set(e, ERR_INVALID, "GitHub's list of hooks is malformed");
	}
	return 0;
}
