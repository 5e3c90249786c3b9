/* The schemes of proof. Whatever was sent, as many MACs are made: a missing header takes as long as
 * a wrong one, a first secret that fits as long as a last. */
#include "hooks/sender_parts.h"

#include "base/ct.h"
#include "base/hex.h"
#include "base/num.h"

#include <stdio.h>

/* That one delivery may carry; later ones are not looked at. */
enum { SIGNATURES_MAX = 8, FOREIGN_MAX = 2 };

enum sender_verdict sender_refuse(
    struct err *e, enum sender_verdict v, const char *header, const char *what)
{
	if (v == SENDER_MISSING) {
		err_set(e, ERR_UNAUTHORIZED, "the request has no %s header", header);
		err_hint(e, "set the hook's secret at the sender");
	} else if (v == SENDER_MALFORMED) {
		err_set(e, ERR_UNAUTHORIZED, "the %s header is not %s", header, what);
	} else if (v == SENDER_STALE) {
		err_set(e, ERR_UNAUTHORIZED, "the %s header is more than 5 minutes off", header);
		err_hint(e, "set the clocks of both machines");
	} else {
		err_set(e, ERR_UNAUTHORIZED, "the %s does not fit", what);
		err_hint(e, "the secret at the sender is not the hook's");
	}
	return v;
}

static bool is_in_time(const struct sender_credential *c, int64_t now_ms)
{
	return c->until_ms == 0 || c->until_ms > now_ms;
}

/* What everybody may know is no secret to sign or to be named with. */
static bool is_good(const struct sender_credential *c, int64_t now_ms)
{
	return !c->foreign && is_in_time(c, now_ms);
}

static struct str bytes(const uint8_t mac[HMAC_SHA256_BYTES])
{
	return (struct str){(const char *)mac, HMAC_SHA256_BYTES};
}

bool sender_fits(const struct sender_proof *p, struct str prefix, struct str message,
    const uint8_t (*got)[HMAC_SHA256_BYTES], size_t got_count)
{
	unsigned fits = 0;
	for (size_t i = 0; i < p->n; i++) {
		uint8_t want[HMAC_SHA256_BYTES];
		unsigned good = is_good(&p->v[i], p->now_ms);
		hmac_sha256_2(p->v[i].key, prefix, message, want);
		for (size_t k = 0; k < got_count; k++)
			fits |= good & (unsigned)ct_eq(bytes(want), bytes(got[k]));
	}
	return fits != 0;
}

enum sender_verdict sender_verify_hex(const struct http_request *r, const struct sender_proof *p,
    const char *header, const char *prefix, struct err *e)
{
	uint8_t got[1][HMAC_SHA256_BYTES] = {{0}};
	struct str sent = http_header_get(r, header), start = str_c(prefix);
	bool formed = str_starts(sent, start) && sent.n == start.n + 2 * sizeof(got[0]) &&
		      hex_decode(str_from(sent, start.n), got[0], sizeof(got[0]));
	bool fits = sender_fits(p, STR_NONE, r->body, (const uint8_t(*)[HMAC_SHA256_BYTES])got, 1);
	if (!sent.n)
		return sender_refuse(e, SENDER_MISSING, header, "");
	if (!formed)
		return sender_refuse(e, SENDER_MALFORMED, header,
		    start.n ? "sha256= and 64 hexadecimal digits" : "64 hexadecimal digits");
	return fits ? SENDER_FITS : sender_refuse(e, SENDER_WRONG, header, "signature");
}

enum sender_verdict sender_verify_token(
    struct str sent, const struct sender_proof *p, const char *header, struct err *e)
{
	unsigned fits = 0;
	for (size_t i = 0; i < p->n; i++) {
		uint8_t got[HMAC_SHA256_BYTES];
		unsigned good = is_good(&p->v[i], p->now_ms);
		hmac_sha256(p->v[i].key, sent, got);
		fits |= good & (unsigned)ct_eq(bytes(got), bytes(p->v[i].token));
	}
	if (!sent.n)
		return sender_refuse(e, SENDER_MISSING, header, "");
	return fits ? SENDER_FITS : sender_refuse(e, SENDER_WRONG, header, "secret");
}

struct str sender_bearer_token(const struct http_request *r)
{
	struct str sent = http_header_get(r, "Authorization");
	bool bearer = str_eq_nocase(str_slice(sent, 0, 7), STR("Bearer "));
	return bearer ? str_trim(str_from(sent, 7)) : STR_NONE;
}

struct str sender_basic_password(const struct http_request *r)
{
	struct str sent = http_header_get(r, "Authorization"), pair = STR_NONE;
	CLEANUP_BUF struct buf clear;
	buf_init(&clear, 1024);
	if (str_eq_nocase(str_slice(sent, 0, 6), STR("Basic ")) &&
	    base64_decode(str_trim(str_from(sent, 6)), &clear))
		pair = arena_str(r->arena, buf_view(&clear));
	buf_wipe(&clear);
	size_t colon = str_find(pair, ':', 0);
	return colon == SIZE_MAX ? STR_NONE : str_from(pair, colon + 1);
}

enum sender_verdict sender_verify_bearer(
    const struct http_request *r, const struct sender_proof *p, struct err *e)
{
	return sender_verify_token(sender_bearer_token(r), p, "Authorization", e);
}

void sender_sign_bearer(
    struct str secret, struct str id, struct str body, int64_t now_ms, struct buf *out)
{
	(void)id, (void)body, (void)now_ms;
	buf_printf(out, "Authorization: Bearer %.*s\r\n", STR_ARG(secret));
}

enum sender_verdict sender_check_time(
    struct str seconds, int64_t now_ms, const char *header, struct err *e)
{
	int64_t at;
	if (!seconds.n)
		return sender_refuse(e, SENDER_MISSING, header, "");
	if (!num_i64(seconds, 0, INT64_MAX / 1000, &at))
		return sender_refuse(e, SENDER_MALFORMED, header, "a time in seconds");
	int64_t off = now_ms - at * 1000;
	if (off > SENDER_TOLERANCE_MS || off < -SENDER_TOLERANCE_MS)
		return sender_refuse(e, SENDER_STALE, header, "");
	return SENDER_FITS;
}

/* "v1,BASE64 v1,BASE64 …"; parts of another version are passed over. */
static size_t standard_signatures(struct str sent, uint8_t got[][HMAC_SHA256_BYTES])
{
	size_t n = 0;
	struct str part;
	while (n < SIGNATURES_MAX && str_next(&sent, ' ', &part)) {
		CLEANUP_BUF struct buf mac;
		buf_init(&mac, 64);
		if (!str_starts(part, STR("v1,")) || !base64_decode(str_from(part, 3), &mac) ||
		    mac.n != HMAC_SHA256_BYTES)
			continue;
		for (size_t i = 0; i < HMAC_SHA256_BYTES; i++)
			got[n][i] = (uint8_t)mac.p[i];
		n++;
	}
	return n;
}

/* "v1a,BASE64 …": Ed25519 by the sender's own key. Only the first few are looked at: each costs what
 * a hundred MACs do. *ret_seen: there was one. */
static bool standard_foreign_fits(const struct sender_proof *p, struct str prefix, struct str body,
    struct str sent, bool *ret_seen)
{
	bool fits = false;
	struct str part;
	*ret_seen = false;
	for (size_t n = 0; n < FOREIGN_MAX && str_next(&sent, ' ', &part);) {
		CLEANUP_BUF struct buf one;
		buf_init(&one, SIGNATURE_BYTES + 3);
		if (!str_starts(part, STR("v1a,")) || !base64_decode(str_from(part, 4), &one) ||
		    one.n != SIGNATURE_BYTES)
			continue;
		n++;
		*ret_seen = true;
		for (size_t i = 0; i < p->n; i++)
			fits |= p->v[i].foreign && is_in_time(&p->v[i], p->now_ms) &&
				signature_fits(
				    (const uint8_t *)one.p, prefix, body, p->v[i].public_key);
	}
	return fits;
}

enum sender_verdict sender_verify_standard(
    const struct http_request *r, const struct sender_proof *p, struct err *e)
{
	static const char signature[] = "webhook-signature", time[] = "webhook-timestamp";
	uint8_t got[SIGNATURES_MAX][HMAC_SHA256_BYTES];
	char prefix[200] = "";
	struct str id = http_header_get(r, "webhook-id"), at = http_header_get(r, time),
		   sent = http_header_get(r, signature);
	size_t n = standard_signatures(sent, got);
	int cut = snprintf(prefix, sizeof(prefix), "%.*s.%.*s.", STR_ARG(str_slice(id, 0, 129)),
	    STR_ARG(str_slice(at, 0, 21)));
	struct str before = {prefix, (size_t)cut};
	bool foreign,
	    fits = sender_fits(p, before, r->body, (const uint8_t(*)[HMAC_SHA256_BYTES])got, n);
	fits |= standard_foreign_fits(p, before, r->body, sent, &foreign);
	if (!id.n)
		return sender_refuse(e, SENDER_MISSING, "webhook-id", "");
	if (!sender_is_key(id))
		return sender_refuse(
		    e, SENDER_MALFORMED, "webhook-id", "1 to 128 printable characters");
	if (!sent.n)
		return sender_refuse(e, SENDER_MISSING, signature, "");
	if (!n && !foreign)
		return sender_refuse(e, SENDER_MALFORMED, signature, "v1, or v1a, and base64");
	enum sender_verdict timely = sender_check_time(at, p->now_ms, time, e);
	if (!fits)
		return sender_refuse(e, SENDER_WRONG, signature, "signature");
	return timely;
}

/* Signing, as the sender does it. */

void sender_sign_hex(
    struct str secret, struct str body, const char *header, const char *prefix, struct buf *out)
{
	uint8_t mac[HMAC_SHA256_BYTES];
	char hex[2 * HMAC_SHA256_BYTES + 1];
	struct hmac_key *key = hmac_key_new(secret);
	hmac_sha256(key, body, mac);
	hmac_key_free(key);
	hex_encode(mac, sizeof(mac), hex);
	buf_printf(out, "%s: %s%s\r\n", header, prefix, hex);
}

void sender_sign_standard(
    struct str secret, struct str id, struct str body, int64_t now_ms, struct buf *out)
{
	static const struct sender signs = {.whsec = true};
	struct sender_credential c;
	uint8_t mac[HMAC_SHA256_BYTES];
	char prefix[200];
	int n = snprintf(prefix, sizeof(prefix), "%.*s.%lld.", STR_ARG(str_slice(id, 0, 128)),
	    (long long)(now_ms / 1000));
	if (sender_credential_init(&c, &signs, secret, 0, NULL) != 0)
		return;
	hmac_sha256_2(c.key, (struct str){prefix, (size_t)n}, body, mac);
	sender_credential_fini(&c);
	buf_printf(out, "webhook-id: %.*s\r\nwebhook-timestamp: %lld\r\nwebhook-signature: v1,",
	    STR_ARG(id), (long long)(now_ms / 1000));
	base64_encode(mac, sizeof(mac), out);
	buf_c(out, "\r\n");
}
