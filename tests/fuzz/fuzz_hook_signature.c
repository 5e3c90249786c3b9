/* rooms: base loop crypto text http hooks store model queue */
/* covers: hooks/sender.c */
/* The signature header as it comes: the input is its value, a line feed and the body. It may verify
 * only when it is "sha256=" and the digits of the body's HMAC, and then it must. */
#include "base/hex.h"
#include "hooks/sender.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool b)
{
	if (!b)
		abort();
}

static bool is_right(struct str value, struct hmac_key *key, struct str body)
{
	uint8_t mac[HMAC_SHA256_BYTES];
	char want[2 * HMAC_SHA256_BYTES + 1];
	hmac_sha256(key, body, mac);
	hex_encode(mac, sizeof mac, want);
	return value.n == 7 + 2 * sizeof mac && memcmp(value.p, "sha256=", 7) == 0 &&
	       str_eq_nocase(str_from(value, 7), str_c(want));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct hmac_key *key;
	static const char *const senders[] = {"github", "generic"};
	if (key == NULL)
		key = hmac_key_new(STR("It's a Secret to Everybody"));
	struct str body = {(const char *)data, size}, value;
	if (!str_next(&body, '\n', &value))
		return 0;
	bool right = is_right(value, key, body);
	for (size_t i = 0; i < 2; i++) {
		const struct sender *s = sender_find(str_c(senders[i]));
		struct http_header h = {str_c(s->signature_header), value};
		struct http_request r = {.headers = &h, .header_count = 1, .body = body};
		struct err e = {.code = ERR_NONE};
		int rc = s->verify(&r, key, &e);
		must((rc == 0) == right && (rc == 0 || e.code == ERR_UNAUTHORIZED));
		r.header_count = 0;
		must(s->verify(&r, key, &e) != 0);
		h.name = STR("X-Hub-Signature"); /* GitHub's older header, SHA-1: never enough */
		r.header_count = 1;
		must(s->verify(&r, key, &e) != 0);
	}
	return 0;
}
