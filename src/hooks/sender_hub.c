/* GitHub and those who speak as it does.
 *
 * GitHub: https://docs.github.com/webhooks ("Validating webhook deliveries", "Webhook events and
 * payloads"). Gitea, Forgejo, Gogs: "Webhooks" of their documentation; each also sends the headers
 * of its ancestors, so each hook looks at those of its own sender only. Their forms are signed over
 * the JSON inside and not over what is sent, so only JSON is taken from them. */
#include "hooks/sender_parts.h"
#include "hooks/sender_rows.h"

#define HUB(lower, Title, signature, prefix, delivery, event, json, takes_forms, clicks)           \
	static enum sender_verdict lower##_verify(                                                 \
	    const struct http_request *r, const struct sender_proof *p, struct err *e)             \
	{                                                                                          \
		return sender_verify_hex(r, p, signature, prefix, e);                              \
	}                                                                                          \
	static int lower##_read(struct http_request *r, struct sender_event *ret, struct err *e)   \
	{                                                                                          \
		if (sender_read_keys(r, delivery, event, ret, e) != 0)                             \
			return -1;                                                                 \
		return sender_read_hub(r, ret, e);                                                 \
	}                                                                                          \
	static void lower##_sign(                                                                  \
	    struct str secret, struct str id, struct str body, int64_t now_ms, struct buf *out)    \
	{                                                                                          \
		(void)now_ms;                                                                      \
		buf_printf(out, delivery ": %.*s\r\n" event ": ping\r\n", STR_ARG(id));            \
		sender_sign_hex(secret, body, signature, prefix, out);                             \
	}                                                                                          \
	const struct sender sender_##lower = {                                                     \
	    .name = #lower,                                                                        \
	    .title = (Title),                                                                      \
	    .content_type_hint = (json),                                                           \
	    .steps = (clicks),                                                                     \
	    .ping = "{\"zen\":\"Keep it logically awesome.\"}",                                    \
	    .signature_header = (signature),                                                       \
	    .head_at = "/repository/default_branch",                                               \
	    .commits_at = "/commits",                                                              \
	    .pushes = true,                                                                        \
	    .forms = (takes_forms),                                                                \
	    .verify = lower##_verify,                                                              \
	    .read = lower##_read,                                                                  \
	    .sign = lower##_sign,                                                                  \
	}

HUB(github, "GitHub", "X-Hub-Signature-256", "sha256=", "X-GitHub-Delivery", "X-GitHub-Event",
    "application/json", true,
    "Settings > Webhooks > Add webhook: Payload URL, Content type, Secret, Just the push event");
HUB(gitea, "Gitea", "X-Gitea-Signature", "", "X-Gitea-Delivery", "X-Gitea-Event",
    "application/json", false,
    "Settings > Webhooks > Add webhook > Gitea: Target URL, POST, POST content type, Secret, Push "
    "events");
HUB(forgejo, "Forgejo", "X-Forgejo-Signature", "", "X-Forgejo-Delivery", "X-Forgejo-Event",
    "application/json", false,
    "Settings > Webhooks > Add webhook > Forgejo: Target URL, POST, POST content type, Secret, "
    "Push events");
HUB(gogs, "Gogs", "X-Gogs-Signature", "", "X-Gogs-Delivery", "X-Gogs-Event", "application/json",
    false,
    "Settings > Webhooks > Add webhook > Gogs: Payload URL, Content type, Secret, Just the push "
    "event");
