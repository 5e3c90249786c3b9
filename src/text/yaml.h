/* A YAML document as a small tree with positions, read through libyaml's event parser into an arena. One document;
 * no aliases, anchors or tags (a manifest needs none, and aliases are how small texts grow huge); at most 16 levels
 * and 8,192 nodes. Keys are plain or quoted scalars; a key that comes twice is an error. */
#pragma once

#include "base/arena.h"
#include "base/err.h"

#include <stdbool.h>

enum yaml_type { YAML_SCALAR, YAML_LIST, YAML_MAP };

struct yaml_node {
	enum yaml_type type;
	bool plain;		/* scalar without quotes: null, true and numbers are read only here */
	unsigned line, column;	/* of its first character, from 1 */
	struct str key;		/* when the parent is a map */
	unsigned key_line, key_column;
	struct str text;	/* of a scalar */
	struct yaml_node *first; /* children, in the order written */
	struct yaml_node *next;
	size_t count;
};

/* `file` names the text in messages. An empty text gives an empty map. */
int yaml_read(struct str text, const char *file, struct arena *a, struct yaml_node **ret, struct err *e) WARN_UNUSED;
/* An absent value: `key:`, `key: null`, `key: ~`. */
bool yaml_is_null(const struct yaml_node *n);
const char *yaml_type_name(const struct yaml_node *n); /* "a list" */
