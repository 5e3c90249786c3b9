/* Bitbucket Cloud (https://support.atlassian.com/bitbucket-cloud/docs/event-payloads/) and Data
 * Center (https://confluence.atlassian.com/bitbucketserver/event-payload-938025882.html). Both put
 * a SHA-256 into the header that GitHub uses for SHA-1. One push may move several branches. */
#include "hooks/sender_parts.h"
#include "hooks/sender_rows.h"

static enum sender_verdict cloud_verify(
    const struct http_request *r, const struct sender_proof *p, struct err *e)
{
	return sender_verify_hex(r, p, "X-Hub-Signature", "sha256=", e);
}

/* A signature that was sent must fit, whatever password comes along. */
static enum sender_verdict server_verify(
    const struct http_request *r, const struct sender_proof *p, struct err *e)
{
	struct str password = sender_basic_password(r);
	if (!http_header_get(r, "X-Hub-Signature").p && password.p)
		return sender_verify_token(password, p, "Authorization", e);
	return cloud_verify(r, p, e);
}

/* The ref in full of {"type": "branch", "name": …}. */
static struct str cloud_ref(struct str change, const char *side, struct arena *a)
{
	struct str type = sender_text(change, side, a);
	const char *at = str_eq_c(str_c(side), "/new/type") ? "/new/name" : "/old/name";
	struct str name = sender_text(change, at, a);
	const char *full = arena_printf(
	    a, "refs/%s/%.*s", str_eq_c(type, "branch") ? "heads" : "other", STR_ARG(name));
	return str_c(full);
}

static int cloud_change(struct str change, struct sender_event *ev, struct arena *a, struct err *e)
{
	struct skim_member new;
	if (skim_at(change, STR("/new"), a, &new, e) != 0)
		return -1;
	bool gone = new.type != SKIM_OTHER;
	struct str ref = cloud_ref(change, gone ? "/old/type" : "/new/type", a);
	if (sender_read_ref(ref, sender_text(change, "/old/target/hash", a),
		sender_text(change, "/new/target/hash", a), ev, e) != 0)
		return -1;
	if (gone && !ev->ignored)
		ev->ignored = "the branch was deleted";
	return 0;
}

static int server_change(struct str change, struct sender_event *ev, struct arena *a, struct err *e)
{
	if (sender_read_ref(sender_text(change, "/ref/id", a), sender_text(change, "/fromHash", a),
		sender_text(change, "/toHash", a), ev, e) != 0)
		return -1;
	if (str_eq_c(sender_text(change, "/type", a), "DELETE") && !ev->ignored)
		ev->ignored = "the branch was deleted";
	return 0;
}

typedef int change_fn(struct str change, struct sender_event *ev, struct arena *a, struct err *e);

static int read_changes(struct http_request *r, const char *pointer, change_fn *fn,
    struct sender_event *ret, struct err *e)
{
	struct skim_member list;
	struct str change;
	size_t count = 0;
	if (skim_at(ret->json, str_c(pointer), r->arena, &list, e) != 0)
		return -1;
	while (list.type == SKIM_OTHER && skim_each(&list.value, &change)) {
		struct sender_event *ev = sender_more(ret, &count, r->arena, e);
		if (!ev || fn(change, ev, r->arena, e) != 0)
			return -1;
	}
	if (count)
		return 0;
	err_set(e, ERR_INVALID, "the push does not say its changes");
	return err_at(e, "%s", pointer);
}

static int cloud_read(struct http_request *r, struct sender_event *ret, struct err *e)
{
	if (sender_read_keys(r, "X-Request-UUID", "X-Event-Key", ret, e) != 0 ||
	    sender_read_json(r, NULL, 0, ret, e) != 0)
		return -1;
	if (str_eq_c(ret->kind, "repo:push"))
		return read_changes(r, "/push/changes", cloud_change, ret, e);
	ret->ignored = "not a push";
	return 0;
}

static int server_read(struct http_request *r, struct sender_event *ret, struct err *e)
{
	if (sender_read_keys(r, "X-Request-Id", "X-Event-Key", ret, e) != 0 ||
	    sender_read_json(r, NULL, 0, ret, e) != 0)
		return -1;
	if (str_eq_c(ret->kind, "repo:refs_changed"))
		return read_changes(r, "/changes", server_change, ret, e);
	ret->ping = str_eq_c(ret->kind, "diagnostics:ping");
	ret->ignored = ret->ping ? "a ping" : "not a push";
	return 0;
}

static void cloud_sign(
    struct str secret, struct str id, struct str body, int64_t now_ms, struct buf *out)
{
	(void)now_ms;
	buf_printf(out, "X-Request-UUID: %.*s\r\nX-Event-Key: diagnostics:ping\r\n", STR_ARG(id));
	sender_sign_hex(secret, body, "X-Hub-Signature", "sha256=", out);
}

static void server_sign(
    struct str secret, struct str id, struct str body, int64_t now_ms, struct buf *out)
{
	(void)now_ms;
	buf_printf(out, "X-Request-Id: %.*s\r\nX-Event-Key: diagnostics:ping\r\n", STR_ARG(id));
	sender_sign_hex(secret, body, "X-Hub-Signature", "sha256=", out);
}

const struct sender sender_bitbucket = {
    .name = "bitbucket",
    .title = "Bitbucket Cloud",
    .content_type_hint = "application/json",
    .steps = "Repository settings > Webhooks > Add webhook: URL, Secret, Repository push",
    .ping = "{\"zen\":\"Keep it logically awesome.\"}",
    .signature_header = "X-Hub-Signature",
    .pushes = true,
    .verify = cloud_verify,
    .read = cloud_read,
    .sign = cloud_sign,
};

const struct sender sender_bitbucket_server = {
    .name = "bitbucket-server",
    .title = "Bitbucket Data Center",
    .content_type_hint = "application/json",
    .steps = "Repository settings > Webhooks > Create webhook: URL, Secret, Repository: Push",
    .ping = "{\"zen\":\"Keep it logically awesome.\"}",
    .signature_header = "X-Hub-Signature",
    .pushes = true,
    .verify = server_verify,
    .read = server_read,
    .sign = server_sign,
};
