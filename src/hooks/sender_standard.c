/* Standard Webhooks 1.0.0 (https://www.standardwebhooks.com), and Stripe's own scheme
 * (https://docs.stripe.com/webhooks/signature): there the whole text "whsec_…" is the key. */
#include "hooks/sender_parts.h"
#include "hooks/sender_rows.h"

#include "base/hex.h"

#include <stdio.h>

enum { SIGNATURES_MAX = 8 };

/* The kind is the body's "type", or "event". A push speaks as GitHub's. */
static int read_typed(struct http_request *r, struct sender_event *ret, struct err *e)
{
	struct skim_member type = {.key = "type"};
	if (sender_read_json(r, &type, 1, ret, e) != 0)
		return -1;
	ret->kind = sender_is_key(type.value) ? type.value : STR("event");
	return sender_read_hub(r, ret, e);
}

static int standard_read(struct http_request *r, struct sender_event *ret, struct err *e)
{
	ret->key = http_header_get(r, "webhook-id");
	return read_typed(r, ret, e);
}

const struct sender sender_standard = {
    .name = "standard",
    .title = "Standard Webhooks",
    .content_type_hint = "application/json",
    .steps = "add the address as an endpoint; where the sender makes the secret, or "
	     "signs with a key of its own (whpk_…): slipway hooks rotate --secret-stdin",
    .ping = "{\"type\":\"ping\"}",
    .signature_header = "webhook-signature",
    .whsec = true,
    .commits_at = "/commits",
    .pushes = true,
    .verify = sender_verify_standard,
    .read = standard_read,
    .sign = sender_sign_standard,
};

/* "t=TIME,v1=HEX,v1=HEX,v0=…" */
static size_t stripe_parts(struct str sent, struct str *ret_time, uint8_t got[][HMAC_SHA256_BYTES])
{
	size_t n = 0;
	struct str part;
	*ret_time = STR_NONE;
	while (str_next(&sent, ',', &part)) {
		part = str_trim(part);
		if (str_starts(part, STR("t=")) && !ret_time->p)
			*ret_time = str_from(part, 2);
		else if (n < SIGNATURES_MAX && str_starts(part, STR("v1=")) &&
			 hex_decode(str_from(part, 3), got[n], HMAC_SHA256_BYTES))
			n++;
	}
	return n;
}

static enum sender_verdict stripe_verify(
    const struct http_request *r, const struct sender_proof *p, struct err *e)
{
	static const char header[] = "Stripe-Signature";
	uint8_t got[SIGNATURES_MAX][HMAC_SHA256_BYTES];
	char prefix[32];
	struct str at, sent = http_header_get(r, header);
	size_t n = stripe_parts(sent, &at, got);
	int cut = snprintf(prefix, sizeof(prefix), "%.*s.", STR_ARG(str_slice(at, 0, 21)));
	bool fits = sender_fits(p, (struct str){prefix, (size_t)cut}, r->body,
	    (const uint8_t(*)[HMAC_SHA256_BYTES])got, n);
	if (!sent.n)
		return sender_refuse(e, SENDER_MISSING, header, "");
	if (!n || !at.n)
		return sender_refuse(e, SENDER_MALFORMED, header, "t= and v1=");
	enum sender_verdict timely = sender_check_time(at, p->now_ms, header, e);
	if (!fits)
		return sender_refuse(e, SENDER_WRONG, header, "signature");
	return timely;
}

static int stripe_read(struct http_request *r, struct sender_event *ret, struct err *e)
{
	if (read_typed(r, ret, e) != 0)
		return -1;
	struct str id = sender_text(ret->json, "/id", r->arena);
	if (sender_is_key(id))
		ret->key = id;
	return 0;
}

static void stripe_sign(
    struct str secret, struct str id, struct str body, int64_t now_ms, struct buf *out)
{
	uint8_t mac[HMAC_SHA256_BYTES];
	char prefix[32], hex[2 * HMAC_SHA256_BYTES + 1];
	(void)id;
	int n = snprintf(prefix, sizeof(prefix), "%lld.", (long long)(now_ms / 1000));
	struct hmac_key *key = hmac_key_new(secret);
	hmac_sha256_2(key, (struct str){prefix, (size_t)n}, body, mac);
	hmac_key_free(key);
	hex_encode(mac, sizeof(mac), hex);
	buf_printf(out, "Stripe-Signature: t=%lld,v1=%s\r\n", (long long)(now_ms / 1000), hex);
}

const struct sender sender_stripe = {
    .name = "stripe",
    .title = "Stripe",
    .content_type_hint = "application/json",
    .steps = "Developers > Webhooks > Add endpoint; then its signing secret: slipway hooks rotate "
	     "--secret-stdin",
    .ping = "{\"type\":\"ping\"}",
    .signature_header = "Stripe-Signature",
    .verify = stripe_verify,
    .read = stripe_read,
    .sign = stripe_sign,
};
