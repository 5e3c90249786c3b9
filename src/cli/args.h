/* A command line by the table: positional words, flags, and what stands behind "--". Strings are
 * argv's own. */
#pragma once

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>

#define ARGS_FLAGS_MAX 256
#define ARGS_WORDS_MAX 512

/* One flag of a command; a list ends with name NULL. */
struct cli_flag {
	const char *name;  /* without the dashes */
	const char *value; /* what its value is called in help; NULL: it takes none */
	const char *help;
	char letter; /* 0: none */
};

struct cli_args {
	const char *words[ARGS_WORDS_MAX];
	size_t word_count;
	const struct cli_flag *flags[ARGS_FLAGS_MAX];
	const char *values[ARGS_FLAGS_MAX]; /* NULL for a flag without a value */
	size_t flag_count;
	char *const *rest; /* behind "--"; NULL: there was none */
	size_t rest_count;
};

/* Reads argv[0..argc): `--name value`, `--name=value`, `-x value`, `-x`; flags may stand between
 * words. `own` and `global` are lists of flags. -1 with ERR_USAGE, with the nearest flag as the
 * hint. */
int args_parse(int argc, char *const *argv, const struct cli_flag *own,
    const struct cli_flag *global, struct cli_args *ret, struct err *e) WARN_UNUSED;
bool args_has(const struct cli_args *a, const char *name);
/* The last value given, or NULL. */
const char *args_value(const struct cli_args *a, const char *name);
/* The value of the n-th occurrence from 0, or NULL. */
const char *args_value_at(const struct cli_args *a, const char *name, size_t n);

/* Levenshtein's distance of two short words; a word of 40 bytes or more is far from everything. */
size_t args_distance(const char *a, const char *b);
/* Whether `guess` is near enough to `word` to be what was meant. */
bool args_near(const char *word, const char *guess);
