#include "api/schema_fields.h"

#include "base/clock.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { STRING_MAX = 1024, LIST_MAX = 500, MAP_MAX = 512, FIELDS_MAX = 40, POINTER_BYTES = 160 };

static int value_check(
    const struct api_field *f, const json_t *v, const char *pointer, struct err *e);

const struct api_schema *api_schema_at(size_t i)
{
	static const struct api_schema_part *const parts[] = {
	    &api_schemas_projects, &api_schemas_hooks, &api_schemas_platform};
	for (size_t k = 0; k < sizeof(parts) / sizeof(*parts); i -= parts[k++]->n)
		if (i < parts[k]->n)
			return &parts[k]->v[i];
	return NULL;
}

const struct api_schema *api_schema_find(const char *name)
{
	const struct api_schema *s;
	for (size_t i = 0; (s = api_schema_at(i)); i++)
		if (strcmp(s->name, name) == 0)
			return s;
	return NULL;
}

static int wrong_type(const char *pointer, const char *want, struct err *e)
{
	err_set(e, ERR_INVALID, "'%s' must be %s", pointer[0] ? pointer : "/", want);
	return err_at(e, "%s", pointer);
}

/* Appends a member's name to a pointer (RFC 6901: ~ and / are escaped). */
static void pointer_to(const char *pointer, const char *name, char out[POINTER_BYTES])
{
	size_t n = (size_t)snprintf(out, POINTER_BYTES, "%s/", pointer);
	for (; *name && n + 3 < POINTER_BYTES; name++) {
		if (*name == '~' || *name == '/') {
			out[n++] = '~';
			out[n++] = *name == '~' ? '0' : '1';
		} else {
			out[n++] = *name;
		}
	}
	if (n < POINTER_BYTES)
		out[n] = 0;
}

static int string_check(
    const struct api_field *f, const json_t *v, const char *pointer, struct err *e)
{
	if (!json_is_string(v))
		return wrong_type(pointer, "a string", e);
	struct str s = {json_string_value(v), json_string_length(v)};
	size_t max = f->max ? (size_t)f->max : STRING_MAX;
	if (s.n > max) {
		err_set(e, ERR_INVALID, "'%s' is longer than %zu bytes", pointer, max);
		return err_at(e, "%s", pointer);
	}
	if (s.n < (size_t)f->min) {
		err_set(e, ERR_INVALID, "'%s' is shorter than %" PRId64 " bytes", pointer, f->min);
		return err_at(e, "%s", pointer);
	}
	int64_t at;
	if (f->type == API_TIME && !clock_parse(s, &at))
		return wrong_type(pointer, "a time such as 2026-11-20T11:09:59Z", e);
	return 0;
}

static int integer_check(
    const struct api_field *f, const json_t *v, const char *pointer, struct err *e)
{
	if (!json_is_integer(v))
		return wrong_type(pointer, "a whole number", e);
	int64_t n = json_integer_value(v);
	if ((f->min || f->max) && (n < f->min || n > f->max)) {
		err_set(e, ERR_INVALID, "'%s' must be from %" PRId64 " to %" PRId64, pointer,
		    f->min, f->max);
		return err_at(e, "%s", pointer);
	}
	return 0;
}

/* The type of a list's or map's values, as a field of its own. */
static struct api_field element_of(const struct api_field *f)
{
	if (strcmp(f->of, "string") == 0)
		return (struct api_field){.type = API_STRING, .min = 1, .max = 8192};
	if (strcmp(f->of, "any") == 0)
		return (struct api_field){.type = API_ANY};
	return (struct api_field){.type = API_OBJECT, .of = f->of};
}

static int list_check(
    const struct api_field *f, const json_t *v, const char *pointer, struct err *e)
{
	if (!json_is_array(v))
		return wrong_type(pointer, "a list", e);
	size_t max = f->max ? (size_t)f->max : LIST_MAX;
	if (json_array_size(v) > max) {
		err_set(e, ERR_INVALID, "'%s' has more than %zu items", pointer, max);
		return err_at(e, "%s", pointer);
	}
	struct api_field element = element_of(f);
	for (size_t i = 0; i < json_array_size(v); i++) {
		char at[POINTER_BYTES], name[24];
		snprintf(name, sizeof(name), "%zu", i);
		pointer_to(pointer, name, at);
		if (value_check(&element, json_array_get(v, i), at, e) < 0)
			return -1;
	}
	return 0;
}

static int map_check(const struct api_field *f, const json_t *v, const char *pointer, struct err *e)
{
	if (!json_is_object(v))
		return wrong_type(pointer, "an object", e);
	size_t max = f->max ? (size_t)f->max : MAP_MAX;
	if (json_object_size(v) > max) {
		err_set(e, ERR_INVALID, "'%s' has more than %zu members", pointer, max);
		return err_at(e, "%s", pointer);
	}
	struct api_field element = element_of(f);
	json_t *o = json_incref((json_t *)(uintptr_t)v); /* jansson's iterators take no const */
	int rc = 0;
	for (void *i = json_object_iter(o); i && rc == 0; i = json_object_iter_next(o, i)) {
		char at[POINTER_BYTES];
		pointer_to(pointer, json_object_iter_key(i), at);
		rc = value_check(&element, json_object_iter_value(i), at, e);
	}
	json_decref(o);
	return rc;
}

static int known_check(
    const struct api_schema *s, const json_t *v, const char *pointer, struct err *e)
{
	const char *keys[FIELDS_MAX + 1] = {0};
	assert(s->field_count <= FIELDS_MAX);
	for (size_t i = 0; i < s->field_count; i++)
		keys[i] = s->fields[i].name;
	struct err inner;
	if (json_known_keys(v, keys, &inner) == 0)
		return 0;
	*e = inner;
	return err_at(e, "%s%s", pointer, inner.pointer);
}

static int object_check(
    const struct api_schema *s, const json_t *v, const char *pointer, struct err *e)
{
	if (!json_is_object(v))
		return wrong_type(pointer, "an object", e);
	if (s->map)
		return map_check(&s->fields[0], v, pointer, e);
	if (known_check(s, v, pointer, e) < 0)
		return -1;
	for (size_t i = 0; i < s->field_count; i++) {
		const struct api_field *f = &s->fields[i];
		const json_t *member = json_object_get(v, f->name);
		char at[POINTER_BYTES];
		pointer_to(pointer, f->name, at);
		if (!member && (f->flags & API_REQUIRED)) {
			err_set(e, ERR_INVALID, "'%s' is missing", at);
			err_hint(e, "%s", f->about);
			return err_at(e, "%s", at);
		}
		if (member && value_check(f, member, at, e) < 0)
			return -1;
	}
	return 0;
}

static int value_check(
    const struct api_field *f, const json_t *v, const char *pointer, struct err *e)
{
	if (json_is_null(v) && (f->flags & API_NULL))
		return 0;
	switch (f->type) {
	case API_STRING:
	case API_TIME:
		return string_check(f, v, pointer, e);
	case API_INTEGER:
		return integer_check(f, v, pointer, e);
	case API_BOOLEAN:
		return json_is_boolean(v) ? 0 : wrong_type(pointer, "true or false", e);
	case API_OBJECT:
		return object_check(api_schema_find(f->of), v, pointer, e);
	case API_LIST:
		return list_check(f, v, pointer, e);
	case API_MAP:
		return map_check(f, v, pointer, e);
	case API_ANY:
	case API_TYPE_COUNT:
		break;
	}
	return 0;
}

int api_schema_check(const struct api_schema *s, const json_t *v, struct err *e)
{
	return object_check(s, v, "", e);
}
