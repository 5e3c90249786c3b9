/* What bodies look like: one table for checking requests and for the OpenAPI document. */
#pragma once

#include "base/err.h"
#include "text/json.h"

#include <stddef.h>
#include <stdint.h>

enum api_type {
	API_STRING = 1, /* min..max bytes of UTF-8; max 0: 1024 */
	API_INTEGER,	/* min..max; both 0: any */
	API_BOOLEAN,
	API_TIME,   /* RFC 3339 */
	API_OBJECT, /* the schema named by `of` */
	API_LIST,   /* of `of`: a schema or "string"; at most max items, max 0: 500 */
	API_MAP,    /* names to values of `of`; at most max, max 0: 512 */
	API_ANY,
	API_TYPE_COUNT
};
enum {
	API_REQUIRED = 1, /* absent is an error; in answers: always there */
	API_NULL = 2,	  /* may be null */
};

struct api_field {
	const char *name;
	enum api_type type;
	unsigned flags;
	const char *of;
	int64_t min, max;
	const char *about;
};
struct api_schema {
	const char *name;
	const char *about;
	const struct api_field *fields;
	size_t field_count;
	bool map; /* instead: names to values of the first field's type */
};

/* All of them, one after the other from 0; NULL behind the last. */
const struct api_schema *api_schema_at(size_t i);
/* NULL when there is none of that name. */
const struct api_schema *api_schema_find(const char *name);
/* Checks a value: types, limits, required members, no unknown ones. -1 with ERR_INVALID, the JSON
 * pointer of the field and, for an unknown member, the nearest known one. */
int api_schema_check(const struct api_schema *s, const json_t *v, struct err *e) WARN_UNUSED;
