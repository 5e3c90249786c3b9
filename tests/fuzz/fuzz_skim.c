/* rooms: base text */
/* covers: text/skim.c */
/* skim_object against jansson: both take the same texts and read the same values; only a number
 * that nothing holds and a NUL in a key (jansson minds), a wanted key that comes twice and depth
 * (we mind) may part them.
 */
#include "text/json.h"
#include "text/skim.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool b)
{
	if (!b)
		abort();
}

/* jansson alone minds a number that neither an int64_t nor a double can hold, and \u0000 in a key.
 */
static bool held_by_nothing(const json_error_t *why)
{
	return strstr(why->text, "overflow") != NULL || strstr(why->text, "too big") != NULL ||
	       strstr(why->text, "NUL byte in object key") != NULL;
}

static void check_member(const struct skim_member *m, const json_t *object)
{
	const json_t *v = json_object_get(object, m->key);
	must((v == NULL) == (m->type == SKIM_ABSENT));
	must(json_is_string(v) == (m->type == SKIM_STRING));
	must(json_is_true(v) == (m->type == SKIM_TRUE));
	must(json_is_false(v) == (m->type == SKIM_FALSE));
	must(json_is_null(v) == (m->type == SKIM_NULL));
	must(json_is_number(v) == (m->type == SKIM_NUMBER));
	if (m->type == SKIM_STRING)
		must(str_eq(m->value, (struct str){json_string_value(v), json_string_length(v)}));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size > 65536)
		return 0;
	bool nul = size > 0 && memchr(data, 0, size) != NULL; /* jansson passes over some */
	struct str in = {(const char *)data, size};
	struct arena a CLEANUP_ARENA;
	arena_init(&a, 1 << 20);
	struct err e = {.code = ERR_NONE};
	json_error_t why;
	struct skim_member m[] = {{.key = "ref"}, {.key = "after"}, {.key = "deleted"}};
	int rc = skim_object(in, m, 3, &a, &e);
	must((rc == 0) == (e.code == ERR_NONE));
	CLEANUP_JSON json_t *j = json_loadb(in.p, in.n, JSON_ALLOW_NUL, &why);
	must(!nul || rc != 0);
	if (nul)
		return 0;
	if ((rc == 0) != json_is_object(j)) {
		must(rc == 0 ? held_by_nothing(&why)
			     : strstr(e.msg, "comes twice") != NULL ||
				   strstr(e.msg, "128 levels") != NULL);
		return 0;
	}
	for (size_t i = 0; rc == 0 && i < 3; i++)
		check_member(&m[i], j);
	return 0;
}
