/* rooms: base text */
/* covers: text/skim.c */
/* skim_object against jansson: both take the same texts and read the same values; only a number
 * that nothing holds and a NUL in a key (jansson minds), a wanted key that comes twice and depth
 * (we mind) may part them.
 */
#include "text/json.h"
#include "text/skim.h"

#include <stdio.h>
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

static enum skim_type type_of(const json_t *v)
{
	if (json_is_string(v))
		return SKIM_STRING;
	if (json_is_number(v))
		return SKIM_NUMBER;
	if (json_is_boolean(v))
		return json_is_true(v) ? SKIM_TRUE : SKIM_FALSE;
	return json_is_null(v) ? SKIM_NULL : SKIM_OTHER;
}

/* A part of a JSON Pointer, as RFC 6901 has it escaped. */
static void put_part(struct buf *pointer, struct str key)
{
	buf_char(pointer, '/');
	for (size_t i = 0; i < key.n; i++)
		if (key.p[i] == '~' || key.p[i] == '/')
			buf_str(pointer, key.p[i] == '~' ? STR("~0") : STR("~1"));
		else
			buf_char(pointer, key.p[i]);
}

#define FEW 8 /* levels, and members of each, that are asked for */

static void check_at(struct str in, struct buf *pointer, const json_t *v, unsigned level);

static void check_part(
    struct str in, struct buf *pointer, struct str part, const json_t *v, unsigned level)
{
	size_t n = pointer->n;
	put_part(pointer, part);
	check_at(in, pointer, v, level + 1);
	pointer->n = n;
}

static void check_elements(
    struct str in, struct str list, struct buf *pointer, const json_t *v, unsigned level)
{
	struct str element;
	char number[24];
	size_t n = 0;
	for (; skim_each(&list, &element) == 1; n++) {
		must(element.n > 0 && n < json_array_size(v));
		(void)snprintf(number, sizeof(number), "%zu", n);
		if (n < FEW && level < FEW)
			check_part(in, pointer, str_c(number), json_array_get(v, n), level);
	}
	must(n == json_array_size(v));
	if (level < FEW)
		check_part(in, pointer, STR("99999"), json_array_get(v, 99999), level);
}

/* What skim_at finds at the pointer is what jansson has there; v NULL: nothing. */
static void check_at(struct str in, struct buf *pointer, const json_t *v, unsigned level)
{
	struct arena a CLEANUP_ARENA;
	struct skim_member m;
	struct err e;
	const char *key;
	json_t *member;
	unsigned n = 0;
	arena_init(&a, 1 << 20);
	must(skim_at(in, buf_view(pointer), &a, &m, &e) == 0);
	must(m.type == (v ? type_of(v) : SKIM_ABSENT));
	if (m.type == SKIM_STRING)
		must(str_eq(m.value, (struct str){json_string_value(v), json_string_length(v)}));
	if (json_is_array(v))
		check_elements(in, m.value, pointer, v, level);
	if (!json_is_object(v) || level >= FEW)
		return;
	json_object_foreach((json_t *)(uintptr_t)v, key, member)
	{
		if (n++ < FEW)
			check_part(in, pointer, str_c(key), member, level);
	}
	check_part(in, pointer, STR("~/no"), json_object_get(v, "~/no"), level);
}

static void check_pointers(struct str in)
{
	CLEANUP_BUF struct buf pointer;
	buf_init(&pointer, 1 << 20);
	CLEANUP_JSON json_t *once =
	    json_loadb(in.p, in.n, JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES, NULL);
	if (!once)
		return; /* of two the first, and jansson would have the last */
	check_at(in, &pointer, once, 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size > 65536)
		return 0;
	struct str in = {(const char *)data, size};
	struct arena a CLEANUP_ARENA;
	arena_init(&a, 1 << 20);
	struct err e = {.code = ERR_NONE};
	struct skim_member any;
	/* whatever the text is */
	must(skim_at(in, STR("/commits/1/added"), &a, &any, &e) == 0 || e.code != ERR_NONE);
	err_clear(&e);
	bool nul = size > 0 && memchr(data, 0, size) != NULL; /* jansson passes over some */
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
	if (rc == 0)
		check_pointers(in);
	return 0;
}
