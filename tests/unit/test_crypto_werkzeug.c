/* rooms: base crypto */
/* Werkzeug's hashes, made by Python's hashlib as werkzeug.security does it; MD5 against RFC 1321.
 */
#include "crypto/hash.h"
#include "crypto/password.h"
#include "crypto/werkzeug.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static const char *const good[] = {
    "pbkdf2:sha256:1000$saltsalt$8a7fee7a2fff3802e9f7b899276b421312645329f497c0da267869559610aaad",
    "pbkdf2:sha1:1000$saltsalt$b9043ff6e93dc2ccc03e4132a8267782ee68ece1",
    "pbkdf2:sha512:1000$saltsalt$"
    "a2c5da4a709d939ef9f85c53e8a3e1be2430ffbb795efdc7e26a47d0fceac8e94deb3d2bcba8072e2d91438898eaf9"
    "5c3a44390415de53529d2f555b087af282",
    "scrypt:1024:8:1$saltsalt$"
    "09fbce224b9e6c5565e030809fcdda6782edada9b9006efd956bb09d8d0067a84d680fc2ae1fda3b950788b2cb5243"
    "848cbb43b93aad7c8a10b855723680ebeb",
};

static void test_good(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		struct str h = str_c(good[i]);
		assert_true(werkzeug_is(h));
		assert_true(werkzeug_verify(STR("default"), h));
		assert_false(werkzeug_verify(STR("Default"), h));
		assert_false(werkzeug_verify(STR(""), h));
		/* one digit less, one more, one other */
		assert_false(werkzeug_verify(STR("default"), str_slice(h, 0, h.n - 1)));
		assert_false(werkzeug_verify(STR("default"), str_slice(h, 0, h.n - 2)));
		char other[256];
		assert_true(str_copy(h, other, sizeof(other)));
		other[h.n - 1] = other[h.n - 1] == '0' ? '1' : '0';
		assert_false(werkzeug_verify(STR("default"), str_c(other)));
	}
}

static void test_bad(void **state)
{
	static const char *const bad[] = {"", "$", "$$", "pbkdf2:", "pbkdf2:sha256:1000",
	    "pbkdf2:sha256:1000$a", "pbkdf2:sha256:1000$a$", "pbkdf2:sha256:1000$$00",
	    "pbkdf2:sha256:0$a$00", "pbkdf2:sha256:99999999999$a$00", "pbkdf2:md4:1$a$00",
	    "pbkdf2:sha256:1:2$a$00", "pbkdf2:sha256:1:2:3:4$a$00", "scrypt:1048576:64:64$a$00",
	    "scrypt:3:8:1$a$00", "scrypt:-1:8:1$a$00", "scrypt:1024:8$a$00", "pbkdf2:sha256:1$a$zz",
	    "$argon2id$v=19$x"};
	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(werkzeug_verify(STR("default"), str_c(bad[i])));
	assert_false(werkzeug_is(STR("$argon2id$v=19$x")));
}

static void test_costs(void **state)
{
	char hash[PASSWORD_HASH_SIZE];
	struct err e;
	(void)state;
	assert_int_equal(password_hash_at(PASSWORD_USER, STR("x"), hash, &e), 0);
	assert_non_null(strstr(hash, "m=19456,t=2,p=1"));
	assert_true(password_verify(STR("x"), hash));
}

static void test_md5(void **state)
{
	char out[33];
	(void)state;
	hash_md5_hex(STR(""), out);
	assert_string_equal(out, "d41d8cd98f00b204e9800998ecf8427e");
	hash_md5_hex(STR("message digest"), out);
	assert_string_equal(out, "f96b697d7cb7938d525a2f31aaf161d0");
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_good), cmocka_unit_test(test_bad),
	    cmocka_unit_test(test_costs), cmocka_unit_test(test_md5)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
