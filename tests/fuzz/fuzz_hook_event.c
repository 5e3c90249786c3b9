/* rooms: base loop crypto text http hooks store model queue */
/* covers: hooks/sender.c hooks/sender_read.c hooks/sender_hub.c hooks/sender_gitlab.c
 * hooks/sender_bitbucket.c hooks/sender_particle.c hooks/sender_standard.c hooks/sender_generic.c
 * hooks/sender_huggingface.c hooks/policy.c */
/* What stands behind the signature: the input is header lines, an empty line and a body; this file
 * signs it, so that every input gets past the check. Whatever a sender then reads must be what the
 * rest of the platform may take for granted. */
#include "base/hex.h"
#include "base/name.h"
#include "hooks/policy.h"
#include "hooks/sender.h"
#include "text/json.h"
#include "text/skim.h"

#include <stdlib.h>
#include <string.h>

#define HEADERS_MAX 16u
#define NOW_MS 1614265330000

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

static void check_push(const struct sender_event *ev)
{
	must(ev->before.n == 0 || name_commit(ev->before, NULL) == 0);
	must(ev->after.n == 0 || name_commit(ev->after, NULL) == 0);
	if (ev->ignored == NULL)
		must(ev->ref.n > 0 && name_ref(ev->ref, NULL) == 0);
}

/* GitHub's shape against jansson's reading. */
static void check_ref(const struct sender_event *ev)
{
	static const struct str heads = STR("refs/heads/");
	json_error_t why;
	CLEANUP_JSON json_t *j = json_loadb(ev->json.p, ev->json.n, JSON_ALLOW_NUL, &why);
	if (j == NULL) {
		must(held_by_nothing(&why));
		return;
	}
	const json_t *ref = json_object_get(j, "ref");
	must(json_is_string(ref));
	struct str whole = {json_string_value(ref), json_string_length(ref)};
	if (ev->ref.n > 0)
		must(str_starts(whole, heads) && str_eq(str_from(whole, heads.n), ev->ref));
}

/* Whatever a body holds, filters answer one way or the other. */
static void check_policy(const struct sender *s, const struct sender_event *ev, struct arena *a)
{
	struct err e;
	struct policy p;
	CLEANUP_JSON json_t *o =
	    json_pack("{s:[s],s:{s:s}}", "events", "p*", "fields", "/ref", "refs/*/**");
	if (s->commits_at)
		json_object_set_new(o, "paths", json_pack("[ss]", "src/**/*.c", "?*"));
	must(policy_init(&p, o, s, &e) == 0);
	size_t steps = 0;
	(void)policy_leaves_out(&p, s, ev, &steps, a);
	policy_fini(&p);
}

/* The body as a hook's settings, and as its secret: taken or refused with a reason. */
static void check_settings(const struct sender *s, struct str body, struct arena *a)
{
	struct sender_event ev = {
	    .kind = STR("push"), .json = STR("{\"ref\":\"refs/heads/a\"}"), .push = true};
	struct cidr_address from;
	struct policy p;
	struct err e = {.code = ERR_NONE};
	CLEANUP_JSON json_t *o = json_loadb(body.p, body.n, 0, NULL);
	must(cidr_address_parse(STR("192.30.252.1"), &from));
	if (!json_is_object(o))
		return;
	if (policy_init(&p, o, s, &e) != 0) {
		must(e.code == ERR_INVALID && str_utf8_ok(str_c(e.msg)));
		return;
	}
	must(!p.github || policy_admits(&p, NULL, &from));
	must(p.narrowed == !policy_admits(&p, NULL, NULL));
	size_t steps = 0;
	(void)policy_leaves_out(&p, s, &ev, &steps, a);
	policy_fini(&p);
}

static void check_secret(const struct sender *s, struct str secret)
{
	struct sender_credential c;
	char made[SENDER_SECRET_SIZE];
	struct err e = {.code = ERR_NONE};
	must(sender_find(str_c(s->name)) == s);
	sender_make_secret(s, made);
	must(sender_check_secret(s, str_c(made), &e) == 0);
	bool ok = sender_check_secret(s, secret, &e) == 0;
	must((sender_credential_init(&c, s, secret, 0, &e) == 0) == ok);
	if (ok)
		sender_credential_fini(&c);
}

static void run(const struct sender *sender, const struct sender_proof *p, struct http_request *r)
{
	struct err e = {.code = ERR_NONE};
	struct sender_event ev = {0};
	must(sender->verify(r, p, &e) == SENDER_FITS);
	if (sender->read(r, &ev, &e) != 0) {
		must((e.code == ERR_INVALID || e.code == ERR_TOO_LARGE) &&
		     str_utf8_ok(str_c(e.msg)));
		return;
	}
	must(ev.json.p != NULL && skim_object(ev.json, NULL, 0, r->arena, &e) == 0);
	for (const struct sender_event *one = &ev; one; one = one->next) {
		check_key(one->key);
		check_key(one->kind);
		must(one->kind.n > 0 && (one->ignored != NULL || one->push));
		if (one->push)
			check_push(one);
	}
	if (ev.push && str_eq_c(ev.kind, "push"))
		check_ref(&ev);
	check_policy(sender, &ev, r->arena);
}

static bool is_proof(struct str name)
{
	static const struct str free[] = {
	    STR("-Event"), STR("-Event-Key"), STR("-Delivery"), STR("Idempotency-Key")};
	bool proof = true;
	for (size_t i = 0; i < sizeof(free) / sizeof(*free); i++)
		proof = proof && !str_ends(name, free[i]);
	return proof;
}

/* What is no part of the proof is the input's to say; "-" takes it away. */
static void take_over(struct http_header *h, size_t own, size_t n)
{
	for (size_t i = 0; i < own; i++)
		for (size_t k = own; k < n; k++)
			if (!is_proof(h[i].name) && str_eq_nocase(h[i].name, h[k].name))
				h[i].value = h[k].value;
	for (size_t i = 0; i < n; i++)
		if (str_eq_c(h[i].value, "-"))
			h[i].name = STR("X");
}

/* The headers that the sender signs with stand before those of the input. */
static void run_signed(
    const struct sender *s, const char *secret, struct str input, struct str headers)
{
	struct http_header h[HEADERS_MAX + 8];
	struct sender_credential c;
	struct err e;
	CLEANUP_BUF struct buf lines, body;
	struct arena a CLEANUP_ARENA;
	arena_init(&a, 1 << 20);
	buf_init(&lines, 4096);
	buf_init(&body, input.n + 1);
	buf_str(&body, input); /* may be used up */
	must(sender_credential_init(&c, s, str_c(secret), 0, &e) == 0);
	s->sign(str_c(secret), STR("id-1"), input, NOW_MS, &lines);
	struct str signature = buf_view(&lines), line;
	size_t n = 0;
	while (str_next(&signature, '\n', &line))
		if (line.n > 0)
			n += take_headers(&line, h + n);
	size_t own = n;
	n += take_headers(&headers, h + n);
	take_over(h, own, n);
	struct http_request r = {
	    .headers = h, .header_count = n, .body = buf_view(&body), .arena = &a};
	struct sender_proof p = {.v = &c, .n = 1, .now_ms = NOW_MS};
	run(s, &p, &r);
	sender_credential_fini(&c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct http_header h[HEADERS_MAX];
	struct str in = {(const char *)data, size}, headers = in;
	take_headers(&in, h);
	headers.n = size - in.n;
	struct arena a CLEANUP_ARENA;
	arena_init(&a, 1 << 20);
	must(sender_find(in) == NULL || in.n < 20);
	for (size_t i = 0; sender_at(i); i++) {
		run_signed(sender_at(i), "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", in, headers);
		if (!sender_at(i)->whsec)
			run_signed(sender_at(i), "correct horse", in, headers);
		check_settings(sender_at(i), in, &a);
		check_secret(sender_at(i), in);
	}
	return 0;
}
