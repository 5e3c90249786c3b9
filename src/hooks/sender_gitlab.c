/* GitLab: https://docs.gitlab.com/user/project/integrations/webhooks/ and …/webhook_events/.
 *
 * It proves itself with a token that it sends along, or signs as Standard Webhooks say. Which of
 * the two is told by the secret's form, so that nobody who knows neither can choose the weaker one.
 */
#include "hooks/sender_parts.h"
#include "hooks/sender_rows.h"

#include "crypto/hash.h"

static enum sender_verdict gitlab_verify(
    const struct http_request *r, const struct sender_proof *p, struct err *e)
{
	/* While a secret is rotated both forms may be good, each for its own secrets. */
	enum sender_verdict best = SENDER_MISSING;
	bool fits = false;
	for (size_t i = 0; i < p->n; i++) {
		struct sender_proof one = {.v = &p->v[i], .n = 1, .now_ms = p->now_ms};
		struct err why;
		enum sender_verdict v =
		    p->v[i].signs ? sender_verify_standard(r, &one, &why)
				  : sender_verify_token(http_header_get(r, "X-Gitlab-Token"), &one,
					"X-Gitlab-Token", &why);
		fits |= v == SENDER_FITS;
		if (v != SENDER_FITS && v >= best) {
			best = v;
			*e = why;
		}
	}
	return fits ? SENDER_FITS : best;
}

/* Of older versions that send no Idempotency-Key: their UUID, which hooks that set off each other
 * share, and a part of the body's hash. */
static int gitlab_key(const struct http_request *r, struct sender_event *ret, struct err *e)
{
	char hex[65];
	struct str uuid;
	int found = sender_read_key(r, "Idempotency-Key", &ret->key, e);
	if (found == 0)
		found = sender_read_key(r, "webhook-id", &ret->key, e);
	if (found != 0)
		return found;
	found = sender_read_key(r, "X-Gitlab-Event-UUID", &uuid, e);
	if (found <= 0)
		return found;
	hash_sha256_hex(r->body, hex);
	ret->key =
	    str_c(arena_printf(r->arena, "%.*s-%.16s", STR_ARG(str_slice(uuid, 0, 100)), hex));
	return 1;
}

static int gitlab_read(struct http_request *r, struct sender_event *ret, struct err *e)
{
	enum { KIND, NAME, REF, BEFORE, AFTER, MEMBERS };
	struct skim_member m[MEMBERS] = {{.key = "object_kind"}, {.key = "event_name"},
	    {.key = "ref"}, {.key = "before"}, {.key = "after"}};
	if (gitlab_key(r, ret, e) < 0 || sender_read_json(r, m, MEMBERS, ret, e) != 0)
		return -1;
	ret->kind = m[KIND].type == SKIM_STRING ? m[KIND].value : m[NAME].value;
	if (!sender_is_key(ret->kind)) {
		err_set(e, ERR_INVALID, "the event does not say its 'object_kind'");
		return err_at(e, "/object_kind");
	}
	if (str_eq_c(ret->kind, "push"))
		return sender_read_ref(m[REF].value, m[BEFORE].value, m[AFTER].value, ret, e);
	ret->ignored = "not a push";
	return 0;
}

static void gitlab_sign(
    struct str secret, struct str id, struct str body, int64_t now_ms, struct buf *out)
{
	buf_printf(out, "X-Gitlab-Event: System Hook\r\nIdempotency-Key: %.*s\r\n", STR_ARG(id));
	if (str_starts(secret, STR("whsec_")))
		sender_sign_standard(secret, id, body, now_ms, out);
	else
		buf_printf(out, "X-Gitlab-Token: %.*s\r\n", STR_ARG(secret));
}

const struct sender sender_gitlab = {
    .name = "gitlab",
    .title = "GitLab",
    .content_type_hint = "application/json",
    .steps = "Settings > Webhooks > Add new webhook: URL, Secret token, Push events",
    .ping = "{\"object_kind\":\"ping\"}",
    .signature_header = "X-Gitlab-Token",
    .signs_whsec = true,
    .head_at = "/project/default_branch",
    .commits_at = "/commits",
    .pushes = true,
    .verify = gitlab_verify,
    .read = gitlab_read,
    .sign = gitlab_sign,
};
