/* rooms: base loop crypto text store model http queue hooks */
/* Every sender by itself: published vectors, what it signs it accepts, and nothing else. */
#include "model_fixture.h"

#include "base/ct.h"
#include "base/hex.h"
#include "hooks/recent.h"
#include "hooks/sender.h"
#include "text/skim.h"

#define NOW 1614265330000
#define HEADERS_MAX 12
#define COMMIT "1111111111111111111111111111111111111111"
#define BEFORE "2222222222222222222222222222222222222222"
#define ZEROS "0000000000000000000000000000000000000000"
#define JSON "Content-Type: application/json\n"

/* One delivery: header lines parted by line feeds, and a body of our own that may be used up. */
static struct delivery {
	struct http_request r;
	struct http_header h[HEADERS_MAX];
	struct arena a;
	char lines[2048], body[4096];
} d;

static void deliver(const char *lines, const char *body)
{
	struct str rest, line;
	arena_fini(&d.a);
	arena_init(&d.a, 1 << 20);
	assert_true(str_copy(str_c(lines), d.lines, sizeof d.lines));
	assert_true(str_copy(str_c(body), d.body, sizeof d.body));
	d.r = (struct http_request){
	    .headers = d.h, .body = str_c(d.body), .arena = &d.a, .path = STR("/hooks/x")};
	rest = str_c(d.lines);
	while (str_next(&rest, '\n', &line) && line.n > 0) {
		size_t colon = str_find(line, ':', 0);
		assert_true(d.r.header_count < HEADERS_MAX && colon != SIZE_MAX);
		d.h[d.r.header_count++] = (struct http_header){
		    str_slice(line, 0, colon), str_trim(str_from(line, colon + 1))};
	}
}

static const struct sender *the(const char *name)
{
	const struct sender *s = sender_find(str_c(name));
	assert_non_null(s);
	return s;
}

static enum sender_verdict judged_by(
    const char *sender, const char *const *secrets, const int64_t *until, size_t n, int64_t now_ms)
{
	struct sender_credential c[4];
	struct err e = {.code = ERR_NONE};
	const struct sender *s = the(sender);
	assert_true(n <= 4);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(
		    sender_credential_init(&c[i], s, str_c(secrets[i]), until ? until[i] : 0, &e),
		    0);
	struct sender_proof p = {.v = c, .n = n, .now_ms = now_ms};
	enum sender_verdict v = s->verify(&d.r, &p, &e);
	assert_true(v == SENDER_FITS || e.code == ERR_UNAUTHORIZED);
	for (size_t i = 0; i < n; i++)
		sender_credential_fini(&c[i]);
	return v;
}

static enum sender_verdict judged(const char *sender, const char *secret)
{
	return judged_by(sender, &secret, NULL, 1, NOW);
}

/* docs.github.com "Validating webhook deliveries"; support.atlassian.com "Secure webhooks";
 * standard-webhooks.com and Svix's documentation of its library; the others were computed with
 * openssl dgst -hmac by somebody else. */
static void test_published_vectors(void **state)
{
	(void)state;
	static const char everybody[] = "It's a Secret to Everybody";
	static const struct {
		const char *sender, *secret, *headers, *body;
	} rows[] = {
	    {"github", everybody,
		"X-Hub-Signature-256: "
		"sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17\n",
		"Hello, World!"},
	    {"bitbucket", everybody,
		"X-Hub-Signature: "
		"sha256=a4771c39fbe90f317c7824e83ddef3caae9cb3d976c214ace1f2937e133263c9\n",
		"Hello World!"},
	    {"bitbucket-server", everybody,
		"X-Hub-Signature: "
		"sha256=a4771c39fbe90f317c7824e83ddef3caae9cb3d976c214ace1f2937e133263c9\n",
		"Hello World!"},
	    {"standard", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
		"webhook-id: msg_p5jXN8AQM9LWM0D4loKWxJek\nwebhook-timestamp: 1614265330\n"
		"webhook-signature: v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=\n",
		"{\"test\": 2432232314}"},
	    {"standard", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
		"webhook-id: msg_p5jXN8AQM9LWM0D4loKWxJek\nwebhook-timestamp: 1614265330\n"
		"webhook-signature: v1,Ceo5qEr07ixe2NLpvHk3FH9bwy/WavXrAFQ/9tdO6mc= "
		"v2,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE= "
		"v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=\n",
		"{\"test\": 2432232314}"},
	    {"gitlab", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
		"webhook-id: msg_p5jXN8AQM9LWM0D4loKWxJek\nwebhook-timestamp: 1614265330\n"
		"webhook-signature: v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=\n",
		"{\"test\": 2432232314}"},
	    {"stripe", "whsec_test_secret",
		"Stripe-Signature: "
		"t=1614265330,v1="
		"e135cdbed3dda004bf8a2fb350f2541d299393c770e0b9e6e319dc595e9072aa\n",
		"{\"id\":\"evt_1\"}"},
	    {"gitlab", "a token of GitLab's", "X-Gitlab-Token: a token of GitLab's\n", "{}"},
	    {"particle", "open sesame, please", "Authorization: Bearer open sesame, please\n",
		"{}"},
	    /* Aladdin:open sesame, RFC 7617 */
	    {"particle", "open sesame", "Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\n",
		"{}"},
	    {"bitbucket-server", "open sesame",
		"Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\n", "{}"},
	    {"bearer", "mF_9.B5f-4.1JqM", "Authorization: Bearer mF_9.B5f-4.1JqM\n", "{}"},
	    {"alertmanager", "mF_9.B5f-4.1JqM", "Authorization: Bearer mF_9.B5f-4.1JqM\n", "{}"},
	    {"huggingface", "a secret of Hugging Face's",
		"X-Webhook-Secret: a secret of Hugging Face's\n", "{}"},
	};
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		deliver(rows[i].headers, rows[i].body);
		assert_int_equal(judged(rows[i].sender, rows[i].secret), SENDER_FITS);
		assert_int_not_equal(
		    judged(rows[i].sender, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSx"), SENDER_FITS);
	}
}

/* What a sender signs as it would, with headers that end in \r\n, as lines for deliver. */
static const char *signed_by(const char *sender, const char *secret, const char *body)
{
	static char lines[1024];
	CLEANUP_BUF struct buf b;
	size_t n = 0;
	buf_init(&b, 900);
	the(sender)->sign(str_c(secret), STR("id-1"), str_c(body), NOW, &b);
	assert_false(b.full);
	for (size_t i = 0; i < b.n; i++)
		if (b.p[i] != '\r')
			lines[n++] = b.p[i];
	(void)snprintf(lines + n, sizeof lines - n, JSON);
	return lines;
}

static void flip_each(struct str s, const char *sender, const char *secret)
{
	for (size_t i = 0; i < s.n; i++) {
		char *at = (char *)(uintptr_t)&s.p[i];
		*at = (char)(*at ^ 2);
		assert_int_not_equal(judged(sender, secret), SENDER_FITS);
		*at = (char)(*at ^ 2);
	}
	assert_int_equal(judged(sender, secret), SENDER_FITS);
}

static void test_each_accepts_its_own_and_no_other(void **state)
{
	(void)state;
	for (size_t i = 0; sender_at(i); i++) {
		const struct sender *s = sender_at(i);
		char secret[SENDER_SECRET_SIZE], other[SENDER_SECRET_SIZE];
		struct err e;
		sender_make_secret(s, secret);
		sender_make_secret(s, other);
		assert_int_equal(sender_check_secret(s, str_c(secret), &e), 0);
		assert_true(str_contains(str_c(sender_names()), str_c(s->name)));
		const char *body = "{\"zen\":\"Keep it logically awesome.\",\"id\":\"id-1\"}";
		deliver(signed_by(s->name, secret, body), body);
		assert_int_equal(judged(s->name, secret), SENDER_FITS);
		assert_int_equal(judged(s->name, other), SENDER_WRONG);
		struct str proof = http_header_get(&d.r, s->signature_header);
		assert_true(proof.n > 0);
		if (s->whsec || str_contains(proof, STR("=")) || proof.n == 64)
			flip_each(d.r.body, s->name, secret);
		/* base64's last character may stand for two more bits than there are */
		flip_each(str_slice(proof, 0, proof.n - 2), s->name, secret);
		/* headers of none of the others do */
		for (size_t k = 0; sender_at(k); k++) {
			deliver(signed_by(s->name, secret, body), body);
			const struct sender *o = sender_at(k);
			bool alike = strcmp(o->signature_header, s->signature_header) == 0;
			struct sender_credential c;
			/* GitLab signs as Standard Webhooks say */
			alike |= s->whsec && o->signs_whsec;
			if (alike || sender_check_secret(o, str_c(secret), &e) != 0)
				continue;
			assert_int_equal(sender_credential_init(&c, o, str_c(secret), 0, &e), 0);
			struct sender_proof p = {.v = &c, .n = 1, .now_ms = NOW};
			assert_int_not_equal(o->verify(&d.r, &p, &e), SENDER_FITS);
			sender_credential_fini(&c);
		}
	}
}

static void test_nothing_is_no_proof(void **state)
{
	(void)state;
	char empty_mac[96];
	uint8_t mac[HMAC_SHA256_BYTES];
	struct hmac_key *k = hmac_key_new(STR("\0")); /* HMAC pads with zeros: the empty key */
	hmac_sha256(k, STR("{}"), mac);
	hmac_key_free(k);
	hex_encode(mac, sizeof mac, empty_mac);
	for (size_t i = 0; sender_at(i); i++) {
		const struct sender *s = sender_at(i);
		char secret[SENDER_SECRET_SIZE], lines[512];
		struct sender_credential c;
		struct err e;
		assert_int_equal(sender_check_secret(s, STR(""), &e), -1);
		assert_int_equal(sender_credential_init(&c, s, STR(""), 0, &e), -1);
		sender_make_secret(s, secret);
		deliver(JSON, "{}");
		assert_int_equal(judged(s->name, secret), SENDER_MISSING);
		const char *const nothing[] = {"", "sha256=", "v1,", "t=,v1=", "Bearer ", "Bearer",
		    "Basic ", "Basic Og==", "Basic !", ":", "v1, v1,", "t=1614265330,v1="};
		for (size_t n = 0; n < sizeof nothing / sizeof nothing[0]; n++) {
			(void)snprintf(lines, sizeof lines,
			    "%s: %s\nwebhook-id: 1\nwebhook-timestamp: 1614265330\n",
			    s->signature_header, nothing[n]);
			deliver(lines, "{}");
			assert_int_not_equal(judged(s->name, secret), SENDER_FITS);
		}
		(void)snprintf(
		    lines, sizeof lines, "%s: sha256=%s\n", s->signature_header, empty_mac);
		deliver(lines, "{}");
		assert_int_not_equal(judged(s->name, secret), SENDER_FITS);
		/* no credential is no door */
		deliver(signed_by(s->name, secret, "{}"), "{}");
		struct sender_proof none = {.now_ms = NOW};
		assert_int_not_equal(s->verify(&d.r, &none, &e), SENDER_FITS);
	}
}

/* Standard Webhooks' v1a. The key is RFC 8032's TEST 1; OpenSSL signed. */
#define WHPK "whpk_11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="
#define V1A                                                                                        \
	"v1a,"                                                                                     \
	"fldxM4gAKugP6nnt1hdz3sgGfZ6d99nzrMFnZOELIxbzEHoVmAb2ADpkJK7zgPePmPsle0zV9jSeGlHFG2NVAw=="

static enum sender_verdict asymmetric(const char *secret, const char *signature, const char *body)
{
	char lines[1024];
	(void)snprintf(lines, sizeof lines,
	    "webhook-id: msg_p5jXN8AQM9LWM0D4loKWxJek\nwebhook-timestamp: 1614265330\n"
	    "webhook-signature: %s\n",
	    signature);
	deliver(lines, body);
	return judged("standard", secret);
}

static void test_signed_by_the_senders_own_key(void **state)
{
	(void)state;
	static const char body[] = "{\"test\": 2432232314}",
			  whsec[] = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
			  hmac[] = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
	const char *both[] = {whsec, WHPK};
	const int64_t until[] = {0, NOW - 1};
	struct err e;
	assert_int_equal(asymmetric(WHPK, V1A, body), SENDER_FITS);
	assert_int_equal(asymmetric(WHPK, "v2,x v1,x " V1A, body), SENDER_FITS);
	assert_int_equal(asymmetric(WHPK, V1A, "{\"test\": 2432232315}"), SENDER_WRONG);
	assert_int_equal(judged_by("standard", both, NULL, 2, NOW), SENDER_WRONG);
	(void)asymmetric(WHPK, V1A, body); /* rotated: either */
	assert_int_equal(judged_by("standard", both, NULL, 2, NOW), SENDER_FITS);
	assert_int_equal(judged_by("standard", both, until, 2, NOW), SENDER_WRONG);
	assert_int_equal(judged_by("standard", both, NULL, 2, NOW + 300001), SENDER_STALE);
	/* the public key is no secret: what was made with it as one proves nothing */
	assert_int_equal(asymmetric(WHPK, "v1,ov8VOluDXY2Wo3ZUbIxuUYntREBz2le8wFFDvkWpPIY=", body),
	    SENDER_WRONG);
	assert_int_equal(asymmetric(WHPK, "v1,wDEakbG4o4gLyXGLqxLQZoy/W15C9sCNwRBGMYahrI8=", body),
	    SENDER_WRONG);
	assert_int_equal(asymmetric(WHPK, hmac, body), SENDER_WRONG);
	assert_int_equal(asymmetric(whsec, V1A, body), SENDER_WRONG);
	assert_int_equal(asymmetric(WHPK, "v1a,AAAA", body), SENDER_MALFORMED);
	assert_int_equal(asymmetric(WHPK, "", body), SENDER_MISSING);
	/* only the first two are looked at */
	static const char other[] =
	    "v1a,AldxM4gAKugP6nnt1hdz3sgGfZ6d99nzrMFnZOELIxbzEHoVmAb2ADpkJK7zgPePmPsle0zV9jSeGlHF"
	    "G2NVAw== ";
	char many[600];
	(void)snprintf(many, sizeof many, "%s%s", other, V1A);
	assert_int_equal(asymmetric(WHPK, many, body), SENDER_FITS);
	(void)snprintf(many, sizeof many, "%s%s%s", other, other, V1A);
	assert_int_equal(asymmetric(WHPK, many, body), SENDER_WRONG);
	static const char *const bad[] = {"whpk_", "whpk_AAAA",
	    "whpk_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", "whpk_" V1A,
	    "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_int_equal(sender_check_secret(the("standard"), str_c(bad[i]), &e), -1);
}

static void test_times_are_checked(void **state)
{
	(void)state;
	static const char whsec[] = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
	static const char *const senders[] = {"standard", "stripe", "gitlab"};
	const char *secret = whsec;
	for (size_t i = 0; i < 3; i++) {
		deliver(signed_by(senders[i], whsec, "{}"), "{}");
		assert_int_equal(
		    judged_by(senders[i], &secret, NULL, 1, NOW + 300000), SENDER_FITS);
		assert_int_equal(
		    judged_by(senders[i], &secret, NULL, 1, NOW - 300000), SENDER_FITS);
		assert_int_equal(
		    judged_by(senders[i], &secret, NULL, 1, NOW + 300001), SENDER_STALE);
		assert_int_equal(
		    judged_by(senders[i], &secret, NULL, 1, NOW - 300001), SENDER_STALE);
	}
	static const char *const times[] = {
	    "", "-1", "1e9", "01614265330", "99999999999999999999", "1614265330.0", " "};
	for (size_t i = 0; i < sizeof times / sizeof times[0]; i++) {
		char lines[300];
		(void)snprintf(lines, sizeof lines,
		    "webhook-id: 1\nwebhook-timestamp: %s\nwebhook-signature: "
		    "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=\n",
		    times[i]);
		deliver(lines, "{}");
		assert_int_not_equal(judged("standard", whsec), SENDER_FITS);
	}
}

/* The first that fits and the last take part alike, one that has run out does not. */
static void test_several_secrets(void **state)
{
	(void)state;
	for (size_t i = 0; sender_at(i); i++) {
		const struct sender *s = sender_at(i);
		char old[SENDER_SECRET_SIZE], new[SENDER_SECRET_SIZE];
		sender_make_secret(s, old);
		sender_make_secret(s, new);
		const char *const both[] = {new, old};
		const int64_t good[] = {0, NOW + 1}, over[] = {0, NOW};
		deliver(signed_by(s->name, old, "{}"), "{}");
		assert_int_equal(judged_by(s->name, both, good, 2, NOW), SENDER_FITS);
		assert_int_equal(judged_by(s->name, both, over, 2, NOW), SENDER_WRONG);
		deliver(signed_by(s->name, new, "{}"), "{}");
		assert_int_equal(judged_by(s->name, both, good, 2, NOW), SENDER_FITS);
		assert_int_equal(judged_by(s->name, both, over, 2, NOW), SENDER_FITS);
	}
	/* a signature that was sent must fit, whatever password comes along */
	deliver("Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\nX-Hub-Signature: sha256=00\n",
	    "{}");
	assert_int_not_equal(judged("bitbucket-server", "open sesame"), SENDER_FITS);
	/* GitLab's two forms: a secret that signs is never taken as a token, nor the other way */
	static const char whsec[] = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
	deliver("X-Gitlab-Token: whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n", "{}");
	assert_int_not_equal(judged("gitlab", whsec), SENDER_FITS);
	deliver(signed_by("gitlab", whsec, "{}"), "{}");
	assert_int_not_equal(judged("gitlab", "a token of GitLab's"), SENDER_FITS);
}

static void test_secrets_of_each_form(void **state)
{
	(void)state;
	struct err e;
	static const char *const bad[] = {"whsec_", "whsec_!!!!", "whsec_QUJD", "secret", "whsec_a",
	    "Whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n"};
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		assert_int_equal(sender_check_secret(the("standard"), str_c(bad[i]), &e), -1);
	/* 17 bytes, padded or not */
	assert_int_equal(
	    sender_check_secret(the("standard"), STR("whsec_QUJDREVGR0hJSktMTU5PUFE="), &e), 0);
	assert_int_equal(
	    sender_check_secret(the("standard"), STR("whsec_QUJDREVGR0hJSktMTU5PUFE"), &e), 0);
	assert_int_equal(sender_check_secret(the("github"), STR("a\r\nb"), &e), -1);
	assert_int_equal(sender_check_secret(the("gitlab"), STR("whsec_QUJD"), &e), -1);
	assert_null(sender_find(STR("GitHub")));
	assert_null(sender_find(STR("")));
}

/* Reading. */

static const struct reading {
	const char *sender, *headers, *body;
	int rc;
	const char *key, *kind, *ref, *after, *ignored;
} readings[] = {
    {"github", JSON "X-GitHub-Delivery: d\nX-GitHub-Event: push\n",
	"{\"ref\":\"refs/heads/feature/x\",\"before\":\"" BEFORE "\",\"after\":\"" COMMIT "\"}", 0,
	"d", "push", "feature/x", COMMIT, NULL},
    {"github",
	"Content-Type: application/x-www-form-urlencoded\nX-GitHub-Delivery: d\nX-GitHub-Event: "
	"push\n",
	"x=1&payload=%7B%22ref%22%3A%22refs%2Fheads%2Fmain%22%2C+%22after%22%3A%22" COMMIT "%22%7D",
	0, "d", "push", "main", COMMIT, NULL},
    {"github",
	"Content-Type: application/x-www-form-urlencoded\nX-GitHub-Delivery: d\nX-GitHub-Event: "
	"ping\n",
	"paylod=%7B%7D", -1, "", "", "", "", NULL},
    {"github",
	"Content-Type: application/x-www-form-urlencoded\nX-GitHub-Delivery: d\nX-GitHub-Event: "
	"ping\n",
	"payload=%7B%7", -1, "", "", "", "", NULL},
    {"github", JSON "X-GitHub-Delivery: d\nX-GitHub-Event: pull_request\n", "{}", 0, "d",
	"pull_request", "", "", "not a push"},
    {"github", JSON "X-GitHub-Delivery: d\nX-GitHub-Event: release\n", "{}", 0, "d", "release", "",
	"", "not a push"},
    {"github", JSON "X-GitHub-Delivery: d\nX-GitHub-Event: ping\n", "{", -1, "", "", "", "", NULL},
    {"gitea", JSON "X-Gitea-Delivery: d\nX-Gitea-Event: push\nX-GitHub-Event: ping\n",
	"{\"ref\":\"refs/heads/main\",\"after\":\"" COMMIT "\"}", 0, "d", "push", "main", COMMIT,
	NULL},
    {"forgejo", JSON "X-GitHub-Delivery: d\nX-GitHub-Event: push\n", "{}", -1, "", "", "", "",
	NULL},
    {"gogs", JSON "X-Gogs-Delivery: d\nX-Gogs-Event: push\n",
	"{\"ref\":\"refs/tags/v1\",\"after\":\"" COMMIT "\"}", 0, "d", "push", "", COMMIT,
	"not a branch"},
    {"gitlab", JSON "Idempotency-Key: k-1\nX-Gitlab-Event-UUID: u\n",
	"{\"object_kind\":\"push\",\"ref\":\"refs/heads/main\",\"before\":\"" BEFORE
	"\",\"after\":\"" COMMIT "\"}",
	0, "k-1", "push", "main", COMMIT, NULL},
    {"gitlab", JSON "X-Gitlab-Event-UUID: u\n",
	"{\"object_kind\":\"push\",\"ref\":\"refs/heads/main\",\"after\":\"" ZEROS "\"}", 0,
	"u-50a23e26101b1167", "push", "main", ZEROS, "the branch was deleted"},
    {"gitlab", JSON, "{\"object_kind\":\"tag_push\",\"ref\":\"refs/tags/v1\"}", 0, "", "tag_push",
	"", "", "not a push"},
    {"gitlab", JSON, "{\"object_kind\":\"push\"}", -1, "", "", "", "", NULL},
    {"gitlab", JSON, "{}", -1, "", "", "", "", NULL},
    {"bitbucket", JSON "X-Request-UUID: {r}\nX-Event-Key: repo:push\n",
	"{\"push\":{\"changes\":[{\"new\":{\"type\":\"branch\",\"name\":\"main\",\"target\":{"
	"\"hash\":\"" COMMIT "\"}},\"old\":{\"type\":\"branch\",\"name\":\"main\",\"target\":{"
	"\"hash\":\"" BEFORE "\"}}}]}}",
	0, "{r}", "repo:push", "main", COMMIT, NULL},
    {"bitbucket", JSON "X-Request-UUID: r\nX-Event-Key: repo:push\n",
	"{\"push\":{\"changes\":[{\"new\":null,\"old\":{\"type\":\"branch\",\"name\":\"main\"}}]}}",
	0, "r", "repo:push", "main", "", "the branch was deleted"},
    {"bitbucket", JSON "X-Request-UUID: r\nX-Event-Key: repo:push\n",
	"{\"push\":{\"changes\":[{\"new\":{\"type\":\"tag\",\"name\":\"v1\"}}]}}", 0, "r",
	"repo:push", "", "", "not a branch"},
    {"bitbucket", JSON "X-Request-UUID: r\nX-Event-Key: repo:push\n", "{\"push\":{\"changes\":[]}}",
	-1, "", "", "", "", NULL},
    {"bitbucket", JSON "X-Request-UUID: r\nX-Event-Key: issue:created\n", "{}", 0, "r",
	"issue:created", "", "", "not a push"},
    {"bitbucket-server", JSON "X-Request-Id: r\nX-Event-Key: repo:refs_changed\n",
	"{\"changes\":[{\"ref\":{\"id\":\"refs/heads/main\",\"displayId\":\"main\"},\"fromHash\":"
	"\"" BEFORE "\",\"toHash\":\"" COMMIT "\",\"type\":\"UPDATE\"}]}",
	0, "r", "repo:refs_changed", "main", COMMIT, NULL},
    {"bitbucket-server", JSON "X-Request-Id: r\nX-Event-Key: diagnostics:ping\n", "{\"test\":true}",
	0, "r", "diagnostics:ping", "", "", "a ping"},
    {"particle", "Content-Type: application/x-www-form-urlencoded\n",
	"event=temperature&data=21.5&coreid=abc&published_at=2026-01-01T00%3A00%3A00Z", 0, "",
	"temperature", "", "", "not a push"},
    {"particle", JSON, "{\"event\":\"a b\",\"data\":\"1\"}", 0, "", "event", "", "", "not a push"},
    {"particle", "Content-Type: application/x-www-form-urlencoded\n", "event=%FF", -1, "", "", "",
	"", NULL},
    {"standard", JSON "webhook-id: msg_1\n", "{\"type\":\"user.created\"}", 0, "msg_1",
	"user.created", "", "", "not a push"},
    {"standard", JSON "webhook-id: msg_1\n", "{\"type\":\"push\",\"ref\":\"refs/heads/main\"}", 0,
	"msg_1", "push", "main", "", NULL},
    {"stripe", JSON, "{\"id\":\"evt_1\",\"type\":\"charge.succeeded\"}", 0, "evt_1",
	"charge.succeeded", "", "", "not a push"},
    {"stripe", JSON, "{}", 0, "", "event", "", "", "not a push"},
    {"bearer", JSON, "{\"ref\":\"refs/heads/main\"}", 0, "", "push", "main", "", NULL},
    {"huggingface", JSON,
	"{\"event\":{\"action\":\"update\",\"scope\":\"repo.content\"},\"updatedRefs\":[{\"ref\":"
	"\"refs/heads/main\",\"oldSha\":\"" BEFORE "\",\"newSha\":\"" COMMIT "\"}]}",
	0, "", "repo.content.update", "main", COMMIT, NULL},
    {"huggingface", JSON, "{\"event\":{\"action\":\"create\",\"scope\":\"discussion\"}}", 0, "",
	"discussion.create", "", "", "not a push"},
    {"huggingface", JSON, "{\"event\":{}}", -1, "", "", "", "", NULL},
    {"alertmanager", JSON, "{\"version\":\"4\",\"status\":\"firing\",\"alerts\":[]}", 0, "",
	"alert.firing", "", "", "not a push"},
    {"alertmanager", JSON, "{\"status\":\"resolved\"}", 0, "", "alert.resolved", "", "", "not a push"},
    {"alertmanager", JSON, "{\"status\":\"ping\"}", 0, "", "ping", "", "", "not a push"},
    {"alertmanager", JSON, "{\"status\":\"push\",\"ref\":\"refs/heads/main\"}", -1, "", "", "", "", NULL},
};

static void assert_text(struct str got, const char *want)
{
	if (!str_eq_c(got, want))
		print_error("'%.*s' is not '%s'\n", STR_ARG(got), want);
	assert_true(str_eq_c(got, want));
}

static void test_what_each_says(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof readings / sizeof readings[0]; i++) {
		const struct reading *want = &readings[i];
		struct sender_event ev = {0};
		struct err e = {.code = ERR_NONE};
		deliver(want->headers, want->body);
		int rc = the(want->sender)->read(&d.r, &ev, &e);
		if (rc != want->rc)
			print_error("%s %s: %d, %s\n", want->sender, want->body, rc, e.msg);
		assert_int_equal(rc, want->rc);
		if (rc != 0) {
			assert_int_equal(e.code, ERR_INVALID);
			continue;
		}
		assert_text(ev.key, want->key);
		assert_text(ev.kind, want->kind);
		assert_text(ev.ref, want->ref);
		assert_text(ev.after, want->after);
		assert_string_equal(
		    ev.ignored ? ev.ignored : "", want->ignored ? want->ignored : "");
		assert_int_equal(skim_object(ev.json, NULL, 0, &d.a, &e), 0);
	}
}

static void test_one_push_of_several_branches(void **state)
{
	(void)state;
	struct sender_event ev = {0};
	struct err e;
	deliver(JSON "X-Request-Id: r\nX-Event-Key: repo:refs_changed\n",
	    "{\"changes\":[{\"ref\":{\"id\":\"refs/tags/v1\"}},{\"ref\":{\"id\":\"refs/heads/a\"}},"
	    "{\"ref\":{\"id\":\"refs/heads/b\"},\"type\":\"DELETE\"}]}");
	assert_int_equal(the("bitbucket-server")->read(&d.r, &ev, &e), 0);
	assert_string_equal(ev.ignored, "not a branch");
	assert_text(ev.next->ref, "a");
	assert_null(ev.next->ignored);
	assert_text(ev.next->key, "r");
	assert_text(ev.next->next->ref, "b");
	assert_string_equal(ev.next->next->ignored, "the branch was deleted");
	assert_null(ev.next->next->next);
}

static void test_a_form_becomes_json(void **state)
{
	(void)state;
	struct sender_event ev = {0};
	struct err e;
	deliver("Content-Type: application/x-www-form-urlencoded; charset=utf-8\n",
	    "event=t&data=%7B%22a%22%3A1%7D&&core%22id=a%2Bb+c");
	assert_int_equal(the("particle")->read(&d.r, &ev, &e), 0);
	assert_text(
	    ev.json, "{\"event\":\"t\",\"data\":\"{\\\"a\\\":1}\",\"core\\\"id\":\"a+b c\"}");
}

/* Keys made of bodies. */

static struct str key_at(struct recent *r, const char *path, const char *body, int64_t now_ms)
{
	uint8_t hash[HASH_SHA256_BYTES];
	recent_hash(STR("particle"), str_c(path), str_c(body), hash);
	return recent_key(r, hash, now_ms, &d.a);
}

static void test_a_body_is_its_key_for_ten_minutes(void **state)
{
	(void)state;
	arena_fini(&d.a);
	arena_init(&d.a, 8 << 20);
	struct recent *r = recent_new();
	struct str first = key_at(r, "/hooks/a", "x", 1000);
	assert_true(str_eq(key_at(r, "/hooks/a", "x", 1000), first));
	assert_false(str_eq(key_at(r, "/hooks/b", "x", 1000), first));
	assert_false(str_eq(key_at(r, "/hooks/a", "y", 1000), first));
	/* sliding: each time it is seen counts anew */
	assert_true(str_eq(key_at(r, "/hooks/a", "x", 1000 + 599999), first));
	assert_true(str_eq(key_at(r, "/hooks/a", "x", 1000 + 2 * 599999), first));
	struct str later = key_at(r, "/hooks/a", "x", 1000 + 2 * 599999 + 600000);
	assert_false(str_eq(later, first));
	/* the next life goes on where this one ended */
	struct recent *next = recent_new();
	recent_remember(next, first, 1000);
	recent_remember(next, later, 1200000);
	recent_remember(next, STR("body-"), 1);
	recent_remember(next, STR("body-zz"), 1);
	recent_remember(next, STR("d-1"), 1);
	assert_true(str_eq(key_at(next, "/hooks/a", "x", 1200001), later));
	/* many others push the longest unseen out, and nothing grows */
	for (int i = 0; i < 40000; i++) {
		char body[16];
		uint8_t hash[HASH_SHA256_BYTES];
		struct arena a CLEANUP_ARENA;
		(void)snprintf(body, sizeof body, "%d", i);
		arena_init(&a, 4096);
		recent_hash(STR("particle"), STR("/"), str_c(body), hash);
		assert_non_null(recent_key(r, hash, 1900000 + i, &a).p);
	}
	assert_false(str_eq(key_at(r, "/hooks/a", "x", 1950000), later));
	recent_free(next);
	recent_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_published_vectors),
	    cmocka_unit_test(test_each_accepts_its_own_and_no_other),
	    cmocka_unit_test(test_nothing_is_no_proof),
	    cmocka_unit_test(test_signed_by_the_senders_own_key),
	    cmocka_unit_test(test_times_are_checked),
	    cmocka_unit_test(test_several_secrets),
	    cmocka_unit_test(test_secrets_of_each_form),
	    cmocka_unit_test(test_what_each_says),
	    cmocka_unit_test(test_one_push_of_several_branches),
	    cmocka_unit_test(test_a_form_becomes_json),
	    cmocka_unit_test(test_a_body_is_its_key_for_ten_minutes),
	};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	arena_fini(&d.a);
	return failed;
}
