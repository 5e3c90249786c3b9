/* rooms: base crypto */
/* Sealing and passwords. */
#include "base/fs.h"
#include "crypto/password.h"
#include "crypto/seal.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

static char top_path[64];
static int top = -1;
static struct err e;

static int setup(void **state)
{
	(void)state;
	snprintf(top_path, sizeof(top_path), "/tmp/slipway-seal-XXXXXX");
	if (!mkdtemp(top_path))
		return -1;
	top = open(top_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return top < 0 ? -1 : 0;
}

static int teardown(void **state)
{
	(void)state;
	fs_close_fd(&top);
	int tmp = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int rc = fs_remove_tree(tmp, top_path + 5, &e);
	fs_close_fd(&tmp);
	return rc;
}

static void opens_only_where_it_belongs(void **state)
{
	(void)state;
	struct seal_key *k = seal_key_load(top, "key", &e),
			*other = seal_key_load(top, "other", &e);
	struct buf sealed CLEANUP_BUF, twice CLEANUP_BUF, clear CLEANUP_BUF;
	struct stat st;
	assert_non_null(k);
	assert_int_equal(fstatat(top, "key", &st, 0), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(st.st_size, 32);
	buf_init(&sealed, 1000);
	buf_init(&twice, 1000);
	buf_init(&clear, 1000);
	struct str place = STR("env/42/DATABASE_URL"), secret = STR("postgres://\0x");
	seal(k, place, secret, &sealed);
	seal(k, place, secret, &twice);
	assert_int_equal(sealed.n, 1 + 24 + secret.n + 16);
	assert_int_equal(sealed.p[0], 1);
	assert_false(str_eq(buf_view(&sealed), buf_view(&twice)));
	assert_false(str_contains(buf_view(&sealed), STR("postgres")));

	struct seal_key *again = seal_key_load(top, "key", &e);
	assert_int_equal(seal_open(again, place, buf_view(&sealed), &clear, &e), 0);
	assert_true(str_eq(buf_view(&clear), secret));
	buf_clear(&clear);
	assert_int_equal(
	    seal_open(k, STR("env/43/DATABASE_URL"), buf_view(&sealed), &clear, &e), -1);
	assert_int_equal(e.code, ERR_INVALID);
	assert_int_equal(seal_open(other, place, buf_view(&sealed), &clear, &e), -1);
	assert_int_equal(clear.n, 0);
	seal_key_free(k);
	seal_key_free(again);
	seal_key_free(other);
	seal_key_free(NULL);
}

static void every_changed_bit_and_length_is_noticed(void **state)
{
	(void)state;
	struct seal_key *k = seal_key_load(top, "key", &e);
	struct buf sealed CLEANUP_BUF, clear CLEANUP_BUF;
	buf_init(&sealed, 1000);
	buf_init(&clear, 1000);
	seal(k, STR("p"), STR("secret"), &sealed);
	for (size_t bit = 0; bit < sealed.n * 8; bit++) {
		sealed.p[bit / 8] = (char)(sealed.p[bit / 8] ^ (1 << bit % 8));
		assert_int_equal(seal_open(k, STR("p"), buf_view(&sealed), &clear, &e), -1);
		sealed.p[bit / 8] = (char)(sealed.p[bit / 8] ^ (1 << bit % 8));
	}
	for (size_t n = 0; n < sealed.n; n++)
		assert_int_equal(
		    seal_open(k, STR("p"), str_slice(buf_view(&sealed), 0, n), &clear, &e), -1);
	assert_int_equal(clear.n, 0);
	assert_int_equal(seal_open(k, STR("p"), buf_view(&sealed), &clear, &e), 0);
	buf_fini(&clear);
	buf_init(&clear, 5);
	assert_int_equal(seal_open(k, STR("p"), buf_view(&sealed), &clear, &e), -1);
	assert_int_equal(e.code, ERR_TOO_LARGE);
	buf_clear(&sealed);
	seal(k, STR_NONE, STR_NONE, &sealed);
	assert_int_equal(sealed.n, 41);
	buf_clear(&clear);
	assert_int_equal(seal_open(k, STR_NONE, buf_view(&sealed), &clear, &e), 0);
	struct buf small CLEANUP_BUF;
	buf_init(&small, 41);
	seal(k, STR("p"), STR("x"), &small);
	assert_true(small.full);
	assert_int_equal(small.n, 0);
	seal_key_free(k);
}

static void refuses_bad_keys(void **state)
{
	(void)state;
	assert_int_equal(fs_write_atomic(top, "short", "x", 1, 0600, &e), 0);
	assert_null(seal_key_load(top, "short", &e));
	assert_int_equal(e.code, ERR_SETTINGS);
	char long_key[33] = "";
	assert_int_equal(fs_write_atomic(top, "long", long_key, 33, 0600, &e), 0);
	assert_null(seal_key_load(top, "long", &e));
	assert_int_equal(e.code, ERR_SETTINGS);
	assert_int_equal(fs_write_atomic(top, "open", long_key, 32, 0644, &e), 0);
	assert_null(seal_key_load(top, "open", &e));
	assert_int_equal(e.code, ERR_SETTINGS);
	assert_string_not_equal(e.hint, "");
	assert_int_equal(symlinkat("open", top, "link"), 0);
	assert_null(seal_key_load(top, "link", NULL));
	assert_null(seal_key_load(top, "no/such", &e));
}

static void passwords(void **state)
{
	(void)state;
	char a[PASSWORD_HASH_SIZE], b[PASSWORD_HASH_SIZE];
	static char longest[PASSWORD_MAX_BYTES + 1];
	memset(longest, 'x', sizeof(longest));
	assert_int_equal(password_hash(STR("correct\0horse"), a, &e), 0);
	assert_int_equal(password_hash(STR("correct\0horse"), b, &e), 0);
	assert_string_not_equal(a, b);
	assert_true(str_starts(str_c(a), STR("$argon2id$v=19$m=65536,t=2,p=1$")));
	assert_true(password_verify(STR("correct\0horse"), a));
	assert_false(password_verify(STR("correct"), a));
	assert_false(password_verify(STR("correct\0Horse"), a));
	assert_false(password_verify(STR(""), a));
	assert_false(password_verify(STR("correct"), ""));
	assert_false(password_verify(STR("correct"), "$argon2id$v=19$m=65536"));
	assert_int_equal(password_hash(STR(""), a, &e), -1);
	assert_int_equal(e.code, ERR_INVALID);
	assert_int_equal(password_hash((struct str){longest, sizeof(longest)}, a, &e), -1);
	assert_false(password_verify((struct str){longest, sizeof(longest)}, b));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(opens_only_where_it_belongs, setup, teardown),
	    cmocka_unit_test_setup_teardown(
		every_changed_bit_and_length_is_noticed, setup, teardown),
	    cmocka_unit_test_setup_teardown(refuses_bad_keys, setup, teardown),
	    cmocka_unit_test(passwords),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
