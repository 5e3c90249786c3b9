/* GitHub: https://docs.github.com/webhooks ("Validating webhook deliveries", "Webhook events and
 * payloads"). */
#include "hooks/sender.h"

static int github_verify(const struct http_request *r, struct hmac_key *key, struct err *e)
{
	return sender_check_sha256(r, "X-Hub-Signature-256", key, e);
}

static int github_read(const struct http_request *r, struct sender_event *ret, struct err *e)
{
	int found = sender_read_key(r, "X-GitHub-Delivery", &ret->key, e);
	if (found < 0)
		return -1;
	if (!found)
		return err_set(e, ERR_INVALID, "the request has no X-GitHub-Delivery header");
	found = sender_read_key(r, "X-GitHub-Event", &ret->kind, e);
	if (found < 0)
		return -1;
	if (!found)
		return err_set(e, ERR_INVALID, "the request has no X-GitHub-Event header");
	if (str_eq_c(ret->kind, "push"))
		return sender_read_push(r, ret, e);
	ret->ignored = str_eq_c(ret->kind, "ping") ? "a ping" : "not a push";
	return 0;
}

const struct sender sender_github = {
    .name = "github",
    .content_type_hint = "application/json",
    .signature_header = "X-Hub-Signature-256",
    .verify = github_verify,
    .read = github_read,
};
