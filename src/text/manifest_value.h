/* The values a manifest is made of: one reader per form, all of one shape, so that the schema tables of manifest.c
 * can name them. A reader checks the node, stores at `at`, or fails with "FILE:LINE:COLUMN: KEY …". */
#pragma once

#include "text/manifest.h"
#include "text/yaml.h"

struct manifest_field;

struct manifest_reader {
	const char *file;
	struct arena *a;
	struct err *e;
};

typedef int manifest_value_fn(struct manifest_reader *r, const struct manifest_field *f,
    const struct yaml_node *n, void *at);

/* One row of a schema table; a table ends with a row without key. */
struct manifest_field {
	const char *key;
	manifest_value_fn *read;
	size_t offset; /* of the value in the table's struct */
	const struct manifest_field *sub; /* manifest_value_map: the table of the keys below */
	int64_t min, max; /* of numbers; ms for durations, bytes for sizes */
};

/* Fails at the node's position. */
int manifest_value_fault(struct manifest_reader *r, const struct yaml_node *n, const char *fmt, ...) PRINTF_LIKE(3, 4);
int manifest_value_no_room(struct manifest_reader *r);
/* Reads a mapping by a table into the struct at `base`: unknown keys fail with the nearest known key. */
int manifest_value_table(struct manifest_reader *r, const struct manifest_field *table, const char *what,
    const struct yaml_node *n, void *base) WARN_UNUSED;
int manifest_value_is(struct manifest_reader *r, const char *key, const struct yaml_node *n, enum yaml_type type,
    const char *example) WARN_UNUSED;
/* The children of a list or map as an array of `size` bytes each: NULL-safe for none. */
int manifest_value_array(struct manifest_reader *r, const char *key, const struct yaml_node *n, size_t max, size_t size,
    void **ret, size_t *ret_count) WARN_UNUSED;
/* Checks with a name_* function; its message is given the position. */
int manifest_value_named(struct manifest_reader *r, const struct yaml_node *n, struct str value, bool at_key,
    int (*check)(struct str, struct err *)) WARN_UNUSED;

manifest_value_fn manifest_value_map;	   /* by f->sub, into the same struct */
manifest_value_fn manifest_value_bool;	   /* bool */
manifest_value_fn manifest_value_duration; /* int64_t ms */
manifest_value_fn manifest_value_size;	   /* uint64_t bytes */
manifest_value_fn manifest_value_u32;
manifest_value_fn manifest_value_u16;
manifest_value_fn manifest_value_milli;	   /* uint32_t thousandths */
manifest_value_fn manifest_value_word;	   /* struct str: one line of printable text */
manifest_value_fn manifest_value_subpath;  /* struct str; "." is empty */
manifest_value_fn manifest_value_argv;	   /* struct args */
