/* Hugging Face: https://huggingface.co/docs/hub/webhooks. The secret is sent as a header;
 * deliveries have no id. A change of a repository's content lists the refs that moved. */
#include "hooks/sender_parts.h"
#include "hooks/sender_rows.h"

static enum sender_verdict huggingface_verify(
    const struct http_request *r, const struct sender_proof *p, struct err *e)
{
	static const char header[] = "X-Webhook-Secret";
	return sender_verify_token(http_header_get(r, header), p, header, e);
}

static int read_refs(struct http_request *r, struct sender_event *ret, struct err *e)
{
	struct skim_member list;
	struct str one;
	size_t count = 0;
	struct arena *a = r->arena;
	if (skim_at(ret->json, STR("/updatedRefs"), a, &list, e) != 0)
		return -1;
	while (list.type == SKIM_OTHER && skim_each(&list.value, &one)) {
		struct sender_event *ev = sender_more(ret, &count, a, e);
		if (!ev ||
		    sender_read_ref(sender_text(one, "/ref", a), sender_text(one, "/oldSha", a),
			sender_text(one, "/newSha", a), ev, e) != 0)
			return -1;
		struct skim_member new;
		if (skim_at(one, STR("/newSha"), a, &new, e) != 0)
			return -1;
		if (new.type != SKIM_STRING && !ev->ignored)
			ev->ignored = "the branch was deleted";
	}
	return 0;
}

static int huggingface_read(struct http_request *r, struct sender_event *ret, struct err *e)
{
	if (sender_read_json(r, NULL, 0, ret, e) != 0)
		return -1;
	struct str scope = sender_text(ret->json, "/event/scope", r->arena),
		   action = sender_text(ret->json, "/event/action", r->arena);
	ret->kind = str_c(arena_printf(r->arena, "%.*s.%.*s", STR_ARG(str_slice(scope, 0, 60)),
	    STR_ARG(str_slice(action, 0, 60))));
	if (!scope.n || !action.n || !sender_is_key(ret->kind)) {
		err_set(e, ERR_INVALID, "the event does not say its scope and action");
		return err_at(e, "/event");
	}
	ret->ping = str_eq_c(action, "ping");
	ret->ignored = ret->ping ? "a ping" : "not a push";
	return str_eq_c(scope, "repo.content") ? read_refs(r, ret, e) : 0;
}

static void huggingface_sign(
    struct str secret, struct str id, struct str body, int64_t now_ms, struct buf *out)
{
	(void)id, (void)body, (void)now_ms;
	buf_printf(out, "X-Webhook-Secret: %.*s\r\n", STR_ARG(secret));
}

const struct sender sender_huggingface = {
    .name = "huggingface",
    .title = "Hugging Face",
    .content_type_hint = "application/json",
    .steps = "Settings > Webhooks > Add a new webhook: Target URL, Secret, Repo update",
    .ping = "{\"event\":{\"action\":\"ping\",\"scope\":\"webhook\"}}",
    .signature_header = "X-Webhook-Secret",
    .head_at = "main",
    .pushes = true,
    .verify = huggingface_verify,
    .read = huggingface_read,
    .sign = huggingface_sign,
};
