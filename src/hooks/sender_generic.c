/* Anybody who can compute an HMAC-SHA-256, or at least send a header:
 *   X-Slipway-Signature-256: sha256=<hex of HMAC(secret, body)>   generic
 *   Authorization: Bearer <secret>                                bearer
 *   X-Slipway-Event: push        (absent: push)
 *   X-Slipway-Delivery: <id>     (absent: the body itself is the key, for ten minutes)
 * A push body has the members ref, before, after and deleted of GitHub's. */
#include "hooks/sender_parts.h"
#include "hooks/sender_rows.h"

static enum sender_verdict generic_verify(
    const struct http_request *r, const struct sender_proof *p, struct err *e)
{
	return sender_verify_hex(r, p, "X-Slipway-Signature-256", "sha256=", e);
}

static int generic_read(struct http_request *r, struct sender_event *ret, struct err *e)
{
	if (sender_read_key(r, "X-Slipway-Delivery", &ret->key, e) < 0)
		return -1;
	int found = sender_read_key(r, "X-Slipway-Event", &ret->kind, e);
	if (found < 0)
		return -1;
	if (!found)
		ret->kind = STR("push");
	return sender_read_hub(r, ret, e);
}

static void slipway_headers(struct str id, struct buf *out)
{
	buf_printf(out, "X-Slipway-Event: ping\r\nX-Slipway-Delivery: %.*s\r\n", STR_ARG(id));
}

static void generic_sign(
    struct str secret, struct str id, struct str body, int64_t now_ms, struct buf *out)
{
	(void)now_ms;
	slipway_headers(id, out);
	sender_sign_hex(secret, body, "X-Slipway-Signature-256", "sha256=", out);
}

static void bearer_sign(
    struct str secret, struct str id, struct str body, int64_t now_ms, struct buf *out)
{
	slipway_headers(id, out);
	sender_sign_bearer(secret, id, body, now_ms, out);
}

const struct sender sender_generic = {
    .name = "generic",
    .title = "anybody who signs with HMAC-SHA-256",
    .content_type_hint = "application/json",
    .steps = "POST JSON with X-Slipway-Signature-256: sha256= and the body's HMAC-SHA-256 in "
	     "hexadecimal digits",
    .ping = "{\"zen\":\"Keep it logically awesome.\"}",
    .signature_header = "X-Slipway-Signature-256",
    .commits_at = "/commits",
    .pushes = true,
    .verify = generic_verify,
    .read = generic_read,
    .sign = generic_sign,
};

const struct sender sender_bearer = {
    .name = "bearer",
    .title = "anybody who sends a token",
    .content_type_hint = "application/json",
    .steps = "POST JSON with Authorization: Bearer and the secret",
    .ping = "{\"zen\":\"Keep it logically awesome.\"}",
    .signature_header = "Authorization",
    .commits_at = "/commits",
    .pushes = true,
    .verify = sender_verify_bearer,
    .read = generic_read,
    .sign = bearer_sign,
};
