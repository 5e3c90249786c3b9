/* rooms: base crypto */
/* SHA-256 and HMAC against published vectors. */
#include "base/hex.h"
#include "crypto/hash.h"
#include "crypto/hmac.h"
#include "crypto/signature.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

static void assert_hex(const uint8_t bytes[32], const char *want)
{
	char text[65];
	hex_encode(bytes, 32, text);
	assert_string_equal(text, want);
}

/* FIPS 180-4 examples */
static void sha256_vectors(void **state)
{
	(void)state;
	static const struct {
		struct str s;
		const char *hex;
	} table[] = {
	    {STR(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
	    {STR("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
	    {STR("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
		"248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
	};
	for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
		char text[65];
		uint8_t out[32];
		hash_sha256_hex(table[i].s, text);
		assert_string_equal(text, table[i].hex);
		for (size_t cut = 0; cut <= table[i].s.n; cut++) {
			struct hash *h = hash_new();
			hash_update(h, str_slice(table[i].s, 0, cut));
			hash_update(h, str_from(table[i].s, cut));
			hash_finish(h, out);
			assert_hex(out, table[i].hex);
			hash_free(h);
		}
	}
	char text[65];
	hash_sha256_hex(STR_NONE, text);
	assert_string_equal(text, table[0].hex);
	struct hash *unused = hash_new();
	hash_update(unused, STR_NONE);
	hash_free(unused);
	hash_free(NULL);
}

/* RFC 4231, cases 1 to 4, 6 and 7 */
static void hmac_vectors(void **state)
{
	(void)state;
	static char aa131[131], dd50[50], cd50[50];
	memset(aa131, 0xaa, sizeof(aa131));
	memset(dd50, 0xdd, sizeof(dd50));
	memset(cd50, 0xcd, sizeof(cd50));
	const struct {
		struct str key, message;
		const char *hex;
	} table[] = {
	    {STR("\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b"
		 "\x0b"),
		STR("Hi There"),
		"b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"},
	    {STR("Jefe"), STR("what do ya want for nothing?"),
		"5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
	    {STR("\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa"
		 "\xaa"),
		{dd50, 50}, "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"},
	    {STR("\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\x10\x11\x12\x13\x14"
		 "\x15\x16\x17\x18\x19"),
		{cd50, 50}, "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b"},
	    {{aa131, 131}, STR("Test Using Larger Than Block-Size Key - Hash Key First"),
		"60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"},
	    {{aa131, 131},
		STR("This is a test using a larger than block-size key and a larger than "
		    "block-size data. "
		    "The key needs to be hashed before being used by the HMAC algorithm."),
		"9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2"},
	};
	for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
		struct hmac_key *k = hmac_key_new(table[i].key);
		uint8_t out[32];
		for (int again = 0; again < 3; again++) {
			hmac_sha256(k, table[i].message, out);
			assert_hex(out, table[i].hex);
		}
		for (size_t cut = 0; cut <= table[i].message.n; cut++) {
			hmac_sha256_2(k, str_slice(table[i].message, 0, cut),
			    str_from(table[i].message, cut), out);
			assert_hex(out, table[i].hex);
		}
		hmac_key_free(k);
	}
	hmac_key_free(NULL);
}

/* https://docs.github.com/webhooks/using-webhooks/validating-webhook-deliveries */
static void github_example(void **state)
{
	(void)state;
	uint8_t out[32];
	struct hmac_key *k = hmac_key_new(STR("It's a Secret to Everybody"));
	hmac_sha256(k, STR("Hello, World!"), out);
	assert_hex(out, "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17");
	hmac_sha256(k, STR_NONE, out);
	hmac_key_free(k);
}

/* RFC 8032, 7.1: TEST 1 to 3 */
static void ed25519_vectors(void **state)
{
	(void)state;
	static const struct {
		const char *key, *signature;
		struct str prefix, message;
	} table[] = {
	    {"d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
		"e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc6"
		"1e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
		STR(""), STR("")},
	    {"3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
		"92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e45"
		"8f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
		STR(""), STR("\x72")},
	    {"fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
		"6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae"
		"67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
		STR("\xaf"), STR("\x82")},
	};
	uint8_t key[SIGNATURE_KEY_BYTES], signature[SIGNATURE_BYTES];
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		assert_true(hex_decode(str_c(table[i].key), key, sizeof(key)));
		assert_true(hex_decode(str_c(table[i].signature), signature, sizeof(signature)));
		assert_true(signature_key_ok(key));
		assert_true(signature_fits(signature, table[i].prefix, table[i].message, key));
		assert_false(signature_fits(signature, STR("x"), table[i].message, key));
		for (size_t k = 0; k < SIGNATURE_BYTES; k++) {
			signature[k] ^= 1;
			assert_false(
			    signature_fits(signature, table[i].prefix, table[i].message, key));
			signature[k] ^= 1;
		}
	}
	/* points of small order, under which a made-up signature fits anything; and no point */
	static const char *const bad[] = {
	    "0000000000000000000000000000000000000000000000000000000000000000",
	    "0100000000000000000000000000000000000000000000000000000000000000",
	    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
	    "0200000000000000000000000000000000000000000000000000000000000000"};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_true(hex_decode(str_c(bad[i]), key, sizeof(key)));
		assert_false(signature_key_ok(key));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(ed25519_vectors),
	    cmocka_unit_test(sha256_vectors),
	    cmocka_unit_test(hmac_vectors),
	    cmocka_unit_test(github_example),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
