/* rooms: base loop crypto text http hooks store model queue */
/* covers: hooks/sender_verify.c hooks/sender_standard.c hooks/sender_gitlab.c */
/* Proofs as they come: the input is the value of the header that carries the proof, a line feed and
 * the body. It may pass only when the sender itself would have written it so, and then it must. */
#include "hooks/sender.h"

#include "base/hex.h"

#include <stdlib.h>
#include <string.h>

#define NOW_MS 1614265330000
#define SECRET "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool b)
{
	if (!b)
		abort();
}

/* What the sender writes into that header, STR_NONE when it is not a MAC in hexadecimal digits. */
static struct str hex_wanted(const struct sender *s, struct str body, struct buf *lines)
{
	struct str name = str_c(s->signature_header), rest, line;
	s->sign(STR(SECRET), STR("id-1"), body, NOW_MS, lines);
	rest = buf_view(lines);
	while (str_next(&rest, '\n', &line))
		if (str_starts(line, name)) {
			struct str value = str_trim(str_from(line, name.n + 2));
			return value.n == 64 || value.n == 71 ? value : STR_NONE;
		}
	return STR_NONE;
}

/* The digits may be capitals, what stands before them may not. */
static bool is_same(struct str value, struct str want)
{
	size_t before = want.n - 64;
	return str_eq(str_slice(value, 0, before), str_slice(want, 0, before)) &&
	       str_eq_nocase(value, want);
}

static void run(const struct sender *s, struct str value, struct str body)
{
	struct sender_credential c;
	struct arena a CLEANUP_ARENA;
	CLEANUP_BUF struct buf lines;
	struct err e = {.code = ERR_NONE};
	arena_init(&a, 1 << 16);
	buf_init(&lines, 4096);
	must(sender_credential_init(&c, s, STR(SECRET), 0, &e) == 0);
	struct http_header h[] = {{str_c(s->signature_header), value},
	    {STR("webhook-id"), STR("id-1")}, {STR("webhook-timestamp"), STR("1614265330")}};
	struct http_request r = {.headers = h, .header_count = 3, .body = body, .arena = &a};
	struct sender_proof p = {.v = &c, .n = 1, .now_ms = NOW_MS};
	enum sender_verdict v = s->verify(&r, &p, &e);
	must(v == SENDER_FITS || e.code == ERR_UNAUTHORIZED);
	struct str want = hex_wanted(s, body, &lines);
	if (want.p)
		must((v == SENDER_FITS) == is_same(value, want));
	h[0].name = STR("X-Hub-Signature-1"); /* nothing where the proof should be */
	must(s->verify(&r, &p, &e) != SENDER_FITS);
	sender_credential_fini(&c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str body = {(const char *)data, size}, value;
	if (!str_next(&body, '\n', &value))
		return 0;
	for (size_t i = 0; sender_at(i); i++)
		run(sender_at(i), value, body);
	return 0;
}
