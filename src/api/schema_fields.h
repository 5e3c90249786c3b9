/* How the shapes of requests and answers are written down; for schema_*.c alone. Each of them holds those of some
 * resources and ends in one of the lists below. */
#pragma once

#include "api/schema.h"

#include "base/limits.h"

#define REQ API_REQUIRED
#define NUL API_NULL
#define STRING(n, flags, max, about)                                                               \
	{                                                                                          \
		n, API_STRING, flags, NULL, 0, max, about                                          \
	}
#define TEXT(n, flags, about)                                                                      \
	{                                                                                          \
		n, API_STRING, flags, NULL, 0, 0, about                                            \
	}
#define INT(n, flags, min, max, about)                                                             \
	{                                                                                          \
		n, API_INTEGER, flags, NULL, min, max, about                                       \
	}
#define NUMBER(n, flags, about)                                                                    \
	{                                                                                          \
		n, API_INTEGER, flags, NULL, 0, 0, about                                           \
	}
#define BOOL(n, flags, about)                                                                      \
	{                                                                                          \
		n, API_BOOLEAN, flags, NULL, 0, 0, about                                           \
	}
#define TIME(n, flags, about)                                                                      \
	{                                                                                          \
		n, API_TIME, flags, NULL, 0, 0, about                                              \
	}
#define OBJECT(n, flags, of, about)                                                                \
	{                                                                                          \
		n, API_OBJECT, flags, of, 0, 0, about                                              \
	}
#define LIST(n, flags, of, max, about)                                                             \
	{                                                                                          \
		n, API_LIST, flags, of, 0, max, about                                              \
	}
#define MAP(n, flags, of, about)                                                                   \
	{                                                                                          \
		n, API_MAP, flags, of, 0, 0, about                                                 \
	}
#define ANY(n, flags, about)                                                                       \
	{                                                                                          \
		n, API_ANY, flags, NULL, 0, 0, about                                               \
	}
#define LIST_OF(of)                                                                                \
	LIST("items", REQ, of, 0, "one page"),                                                     \
	    TEXT(                                                                                  \
		"next", REQ | NUL, "to give as ?after= for the next page; null: this is the last")

#define SCHEMA(n, array, about)                                                                    \
	{                                                                                          \
		n, about, array, sizeof(array) / sizeof(*(array)), false                           \
	}

#define SCHEMA_PART(array)                                                                         \
	{                                                                                          \
		(array), sizeof(array) / sizeof(*(array))                                          \
	}

struct api_schema_part {
	const struct api_schema *v;
	size_t n;
};
extern const struct api_schema_part api_schemas_projects, api_schemas_hooks, api_schemas_platform;
