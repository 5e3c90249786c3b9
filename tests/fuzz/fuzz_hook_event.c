/* rooms: base loop crypto text http hooks store model queue */
/* covers: hooks/sender.c hooks/sender_github.c hooks/sender_generic.c */
/* What stands behind the signature: the input is header lines, an empty line and a body; this file
 * signs it, so that every input gets past the check. Whatever a sender then reads must be what the
 * rest of the platform may take for granted. */
#include "base/hex.h"
#include "base/name.h"
#include "hooks/sender.h"
#include "text/json.h"

#include <stdlib.h>
#include <string.h>

#define HEADERS_MAX 16u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool b)
{
	if (!b)
		abort();
}

static size_t take_headers(struct str *in, struct http_header *h)
{
	size_t n = 0;
	struct str line;
	while (str_next(in, '\n', &line) && line.n > 0) {
		size_t colon = 0;
		while (colon < line.n && line.p[colon] != ':')
			colon++;
		if (n < HEADERS_MAX && colon < line.n)
			h[n++] = (struct http_header){
			    str_slice(line, 0, colon), str_trim(str_from(line, colon + 1))};
	}
	return n;
}

static void check_key(struct str key)
{
	must(key.n <= 128);
	for (size_t i = 0; i < key.n; i++)
		must(key.p[i] > ' ' && key.p[i] < 127);
}

/* jansson alone minds a number that neither an int64_t nor a double can hold, and \u0000 in a key.
 */
static bool held_by_nothing(const json_error_t *why)
{
	return strstr(why->text, "overflow") != NULL || strstr(why->text, "too big") != NULL ||
	       strstr(why->text, "NUL byte in object key") != NULL;
}

static void check_push(const struct sender_event *ev, struct str body)
{
	static const struct str heads = STR("refs/heads/");
	json_error_t why;
	CLEANUP_JSON json_t *j = json_loadb(body.p, body.n, JSON_ALLOW_NUL, &why);
	if (j == NULL) {
		must(held_by_nothing(&why));
		return;
	}
	const json_t *ref = json_object_get(j, "ref");
	must(json_is_string(ref));
	struct str whole = {json_string_value(ref), json_string_length(ref)};
	if (ev->ref.n > 0)
		must(str_starts(whole, heads) && str_eq(str_from(whole, heads.n), ev->ref));
	must(ev->before.n == 0 || name_commit(ev->before, NULL) == 0);
	must(ev->after.n == 0 || name_commit(ev->after, NULL) == 0);
	if (ev->ignored == NULL)
		must(ev->ref.n > 0 && name_ref(ev->ref, NULL) == 0);
}

static void run(const struct sender *sender, struct hmac_key *key, struct http_request *r)
{
	struct err e = {.code = ERR_NONE};
	struct sender_event ev = {0};
	must(sender->verify(r, key, &e) == 0);
	if (sender->read(r, &ev, &e) != 0) {
		must(e.code == ERR_INVALID && str_utf8_ok(str_c(e.msg)));
		return;
	}
	check_key(ev.key);
	check_key(ev.kind);
	must(ev.kind.n > 0 && (ev.ignored != NULL || ev.push));
	if (ev.push)
		check_push(&ev, r->body);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct hmac_key *key;
	static const char *const senders[] = {"github", "generic"};
	if (key == NULL)
		key = hmac_key_new(STR("the hook's secret"));
	struct http_header h[HEADERS_MAX + 1];
	struct str in = {(const char *)data, size};
	size_t n = take_headers(&in, h + 1);
	uint8_t mac[HMAC_SHA256_BYTES];
	char value[7 + 2 * HMAC_SHA256_BYTES + 1] = "sha256=";
	hmac_sha256(key, in, mac);
	hex_encode(mac, sizeof mac, value + 7);
	for (size_t i = 0; i < 2; i++) {
		const struct sender *s = sender_find(str_c(senders[i]));
		struct arena a CLEANUP_ARENA;
		arena_init(&a, 1 << 20);
		h[0] = (struct http_header){str_c(s->signature_header), str_c(value)};
		struct http_request r = {
		    .headers = h, .header_count = n + 1, .body = in, .arena = &a};
		run(s, key, &r);
	}
	return 0;
}
