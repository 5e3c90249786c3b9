/* Anything that can compute an HMAC. Headers:
 *   X-Slipway-Signature-256  sha256= and the hexadecimal HMAC-SHA-256 of the body under the hook's
 * secret (required) X-Slipway-Delivery       an identifier, 1 to 128 printable characters
 * (optional: else the body's own hash, for 10 minutes) X-Slipway-Event          push (default) or
 * ping Body of a push: {"ref": "refs/heads/main"}, optionally "before", "after", "deleted". Other
 * members are not looked at. */
#include "hooks/sender.h"

static int generic_verify(const struct http_request *r, struct hmac_key *key, struct err *e)
{
	return sender_check_sha256(r, "X-Slipway-Signature-256", key, e);
}

static int generic_read(const struct http_request *r, struct sender_event *ret, struct err *e)
{
	if (sender_read_key(r, "X-Slipway-Delivery", &ret->key, e) < 0)
		return -1;
	int found = sender_read_key(r, "X-Slipway-Event", &ret->kind, e);
	if (found < 0)
		return -1;
	if (!found)
		ret->kind = STR("push");
	if (str_eq_c(ret->kind, "push"))
		return sender_read_push(r, ret, e);
	ret->ignored = str_eq_c(ret->kind, "ping") ? "a ping" : "not a push";
	return 0;
}

const struct sender sender_generic = {
    .name = "generic",
    .content_type_hint = "application/json",
    .signature_header = "X-Slipway-Signature-256",
    .verify = generic_verify,
    .read = generic_read,
};
