/* rooms: base text */
/* text/skim.h against jansson: random damage to small texts; both must accept the same ones and
 * read the same value. */
#include "text/json.h"
#include "text/skim.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static const char *const seeds[] = {
    "{\"ref\":\"a\\u00e9\\ud83d\\ude00b\",\"x\":[1,2,{\"y\":null}],\"after\":true}", "{}",
    "{\"a\":[[],{}],\"b\":{\"c\":-1.5e+10}}", "{\"ref\":[]}", "[1]", "{\"a\":01}", "{\"a\":1,}",
    "{\"ref\":{\"ref\":1},\"z\":\"\xc3\xa9\"}",
    "{\"z\":[\"more than any step of 16 bytes\"],\"ref\":\"refs/heads/a-branch-with-a-long-name\"}"};
static const char bytes[] = "{}[]\",:\\0129truefalsn-.eE \n\x01\xff\xc3";

static size_t damage(char *b, const char *seed, unsigned *rng)
{
	size_t n = strlen(seed);
	memcpy(b, seed, n);
	for (unsigned k = (unsigned)rand_r(rng) % 3u; k > 0; k--) {
		size_t i = (size_t)rand_r(rng) % n;
		if (rand_r(rng) % 2) {
			b[i] = bytes[(size_t)rand_r(rng) % (sizeof(bytes) - 1)];
		} else if (n > 1) {
			memmove(b + i, b + i + 1, n - i - 1);
			n--;
		}
	}
	return n;
}

static void test_agrees_with_jansson(void **state)
{
	(void)state;
	unsigned rng = 1, accepted = 0, differed = 0;
	for (int i = 0; i < 300000; i++) {
		char text[128];
		size_t n = damage(
		    text, seeds[(size_t)rand_r(&rng) % (sizeof(seeds) / sizeof(seeds[0]))], &rng);
		struct arena a CLEANUP_ARENA;
		arena_init(&a, 1 << 16);
		struct err e;
		json_error_t why;
		struct skim_member m[] = {{.key = "ref"}, {.key = "after"}};
		int rc = skim_object((struct str){text, n}, m, 2, &a, &e);
		json_t *j CLEANUP_JSON = json_loadb(text, n, JSON_ALLOW_NUL, &why);
		bool theirs = json_is_object(j);
		if ((rc == 0) != theirs) {
			/* jansson alone minds a number that a double cannot hold; we alone mind a
			 * wanted key twice */
			assert_true(strstr(why.text, "overflow") || strstr(e.msg, "comes twice"));
			differed++;
			continue;
		}
		accepted += rc == 0;
		const json_t *ref = theirs ? json_object_get(j, "ref") : NULL;
		if (json_is_string(ref)) {
			assert_int_equal(m[0].type, SKIM_STRING);
			assert_int_equal(m[0].value.n, json_string_length(ref));
			assert_memory_equal(m[0].value.p, json_string_value(ref), m[0].value.n);
		} else if (rc == 0) {
			assert_int_not_equal(m[0].type, SKIM_STRING);
		}
	}
	printf("300000 texts, %u accepted by both, %u differ as described\n", accepted, differed);
	assert_true(accepted > 50000 && differed < 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_agrees_with_jansson)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
