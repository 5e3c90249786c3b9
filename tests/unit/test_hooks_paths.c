/* rooms: base loop crypto text store model http queue hooks */
/* Which hook a secret in an address means: the same as by walking all of them. */
#include "hooks/hooks_parts.h"

#include "base/rand.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { HOOKS = 500 };

static void test_as_by_walking(void **state)
{
	(void)state;
	struct table t = {.v = calloc(HOOKS, sizeof(*t.v)), .n = HOOKS};
	struct hooks_paths p = {0};
	uint8_t none[HMAC_SHA256_BYTES];
	hooks_paths_make(&p, &t);
	assert_int_equal(p.n, 0);
	assert_int_equal(hooks_paths_find(&p, none), 0);
	for (size_t i = 0; i < HOOKS; i++) {
		t.v[i].path_count = i % (HOOK_SECRETS_MAX + 1);
		for (size_t k = 0; k < t.v[i].path_count; k++)
			rand_bytes(t.v[i].paths[k].of, HMAC_SHA256_BYTES);
	}
	memcpy(t.v[300].paths[0].of, t.v[40].paths[0].of, HMAC_SHA256_BYTES); /* two have one secret */
	t.v[300].path_count = 1;
	hooks_paths_make(&p, &t);
	assert_true(p.current);
	for (size_t i = 0; i < HOOKS; i++)
		for (size_t k = 0; k < t.v[i].path_count; k++) {
			size_t at = hooks_paths_find(&p, t.v[i].paths[k].of);
			assert_true(at < p.n);
			if (i == 300) {
				assert_int_equal(p.v[at].hook, 40);
				at++;
			}
			assert_int_equal(p.v[at].hook, i);
			assert_int_equal(p.v[at].secret, k);
		}
	for (int i = 0; i < 1000; i++) {
		rand_bytes(none, sizeof(none));
		size_t at = hooks_paths_find(&p, none);
		assert_true(at == p.n || memcmp(p.v[at].of, none, sizeof(none)) > 0);
		assert_true(at == 0 || memcmp(p.v[at - 1].of, none, sizeof(none)) < 0);
	}
	hooks_paths_fini(&p);
	free(t.v);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_as_by_walking)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
