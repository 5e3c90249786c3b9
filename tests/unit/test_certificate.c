/* rooms: base crypto */
/* Certificates: what is made is judged good, what does not belong together is refused. */
#include "crypto/certificate.h"

#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/pem.h>

#define DAY_MS (24 * 3600 * (int64_t)1000)

static const struct str names[] = {STR("shop.localhost"), STR("shop.example.org")};

static struct certificate made(int64_t now_ms)
{
	struct certificate c;
	struct err e;
	certificate_init(&c);
	assert_int_equal(certificate_self_signed(names, 2, now_ms, &c, &e), 0);
	return c;
}

static struct str part(const struct certificate *c, const char *from)
{
	const char *at = strstr(c->pem.p, from);
	assert_non_null(at);
	const char *end = strstr(at, "-----END ");
	assert_non_null(end);
	end = strchr(end, '\n') + 1;
	return (struct str){at, (size_t)(end - at)};
}
#define CHAIN(c) part((c), "-----BEGIN CERTIFICATE")
#define KEY(c) part((c), "-----BEGIN PRIVATE KEY")

static void test_self_signed(void **state)
{
	(void)state;
	int64_t now = clock_wall_ms();
	struct certificate c = made(now), again;
	struct err e;
	certificate_init(&again);
	assert_true(str_eq(buf_view(&c.names), STR("shop.localhost shop.example.org")));
	assert_true(c.not_before_ms <= now && c.not_after_ms > now + 3000 * DAY_MS);
	assert_string_equal(c.issuer, "Slipway (self-signed)");
	assert_true(strlen(c.serial) == 32);
	assert_int_equal(certificate_pair(CHAIN(&c), KEY(&c), now, &again, &e), 0);
	assert_true(str_eq(buf_view(&c.pem), buf_view(&again.pem)));
	certificate_fini(&again);
	certificate_init(&again);
	assert_int_equal(certificate_read(CHAIN(&c), now, &again, &e), 0);
	assert_null(strstr(again.pem.p, "PRIVATE"));
	assert_string_equal(again.serial, c.serial);
	certificate_fini(&again);
	certificate_fini(&c);
}

static void refused(
    struct str chain, struct str key, int64_t now_ms, const char *pointer, const char *word)
{
	struct certificate c;
	struct err e;
	certificate_init(&c);
	assert_int_equal(certificate_pair(chain, key, now_ms, &c, &e), -1);
	assert_int_equal(e.code, ERR_INVALID);
	assert_string_equal(e.pointer, pointer);
	if (!strstr(e.msg, word))
		print_error("%s\n", e.msg);
	assert_non_null(strstr(e.msg, word));
	certificate_fini(&c);
}

static void test_what_does_not_belong_together(void **state)
{
	(void)state;
	int64_t now = clock_wall_ms();
	struct certificate a = made(now), b = made(now);
	char text[8192];
	refused(CHAIN(&a), KEY(&b), now, "/key", "does not belong");
	refused(CHAIN(&a), KEY(&a), now + 4000 * DAY_MS, "/chain", "expired");
	refused(CHAIN(&a), KEY(&a), now - 4000 * DAY_MS, "/chain", "not valid yet");
	refused(KEY(&a), KEY(&a), now, "/chain", "not of certificates");
	refused(CHAIN(&a), CHAIN(&a), now, "/key", "not a private key");
	refused(CHAIN(&a), STR(""), now, "/key", "not a private key");
	refused(STR(""), KEY(&a), now, "/chain", "not of certificates");
	(void)snprintf(text, sizeof(text), "%.*s%.*s", STR_ARG(CHAIN(&a)), STR_ARG(CHAIN(&b)));
	refused(str_c(text), KEY(&a), now, "/chain", "out of order");
	/* a body cut short, a letter changed */
	(void)snprintf(text, sizeof(text), "%.*s", STR_ARG(CHAIN(&a)));
	memcpy(text + 100, "!!", 2);
	refused(str_c(text), KEY(&a), now, "/chain", "not of certificates");
	certificate_fini(&a);
	certificate_fini(&b);
}

/* A key that only a passphrase opens; a curve that no browser has. */
static void test_keys(void **state)
{
	(void)state;
	int64_t now = clock_wall_ms();
	struct certificate a = made(now);
	char *p;
	BIO *out = BIO_new(BIO_s_mem());
	EVP_PKEY *key = EVP_EC_gen("P-256");
	assert_int_equal(
	    PEM_write_bio_PKCS8PrivateKey(out, key, EVP_aes_128_cbc(), "x", 1, NULL, NULL), 1);
	long n = BIO_get_mem_data(out, &p);
	refused(CHAIN(&a), (struct str){p, (size_t)n}, now, "/key", "passphrase");
	BIO_free(out);
	EVP_PKEY_free(key);
	out = BIO_new(BIO_s_mem());
	key = EVP_EC_gen("secp256k1");
	assert_int_equal(PEM_write_bio_PKCS8PrivateKey(out, key, NULL, NULL, 0, NULL, NULL), 1);
	n = BIO_get_mem_data(out, &p);
	refused(CHAIN(&a), (struct str){p, (size_t)n}, now, "/key", "browsers do not take");
	BIO_free(out);
	EVP_PKEY_free(key);
	certificate_fini(&a);
}

static void test_names(void **state)
{
	(void)state;
	static const char *const hostile[] = {"", " ", "a", "*.example.org", "a.b,DNS:evil.test",
	    "a.b\n", "a..b", "email:x", "-a.b", "A.b", "a b.c", "@alt", "IP:1.2.3.4"};
	struct certificate c;
	struct err e;
	certificate_init(&c);
	for (size_t i = 0; i < sizeof(hostile) / sizeof(*hostile); i++) {
		struct str s = str_c(hostile[i]);
		assert_int_equal(certificate_self_signed(&s, 1, clock_wall_ms(), &c, &e), -1);
		assert_int_equal(c.pem.n, 0);
	}
	assert_int_equal(certificate_self_signed(names, 0, clock_wall_ms(), &c, &e), -1);
	certificate_fini(&c);
}

static void test_covers(void **state)
{
	(void)state;
	struct str all = STR("shop.test *.example.org");
	assert_true(name_covered(STR("shop.test"), all));
	assert_true(name_covered(STR("a.example.org"), all));
	assert_false(name_covered(STR("example.org"), all));
	assert_false(name_covered(STR("a.b.example.org"), all));
	assert_false(name_covered(STR("shop.tes"), all));
	assert_false(name_covered(STR("xshop.test"), all));
	assert_false(name_covered(STR(""), STR("")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_self_signed),
	    cmocka_unit_test(test_what_does_not_belong_together),
	    cmocka_unit_test(test_keys),
	    cmocka_unit_test(test_names),
	    cmocka_unit_test(test_covers),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
