#include "tree/options.h"
#include "base/limits.h"
#include "base/name.h"
#include "base/num.h"
#include "tree/say.h"

#include <stddef.h>

enum type { FLAG, TEXT, LIST, U32, U64 };

static const struct option_row {
	const char *name;
	enum type type;
	size_t at, count_at;
} rows[] = {
    {"--release", U32, offsetof(struct options, release), 0},
    {"--bytes-max", U64, offsetof(struct options, bytes_max), 0},
    {"--files-max", U64, offsetof(struct options, files_max), 0},
    {"--url", TEXT, offsetof(struct options, url), 0},
    {"--ref", TEXT, offsetof(struct options, ref), 0},
    {"--unless", TEXT, offsetof(struct options, unless), 0},
    {"--retry-while", TEXT, offsetof(struct options, retry_while), 0},
    {"--user", TEXT, offsetof(struct options, user), 0},
    {"--known-hosts", TEXT, offsetof(struct options, known_hosts), 0},
    {"--submodules", FLAG, offsetof(struct options, submodules), 0},
    {"--allow-private", FLAG, offsetof(struct options, allow_private), 0},
    {"--path", TEXT, offsetof(struct options, path), 0},
    {"--top", TEXT, offsetof(struct options, top), 0},
    {"--python", TEXT, offsetof(struct options, python), 0},
    {"--project", TEXT, offsetof(struct options, project_file), 0},
    {"--lock", TEXT, offsetof(struct options, lock), 0},
    {"--dev", FLAG, offsetof(struct options, dev), 0},
    {"--requirements", LIST, offsetof(struct options, requirements),
	offsetof(struct options, requirements_count)},
    {"--also", LIST, offsetof(struct options, also), offsetof(struct options, also_count)},
    {"--service", LIST, offsetof(struct options, services), offsetof(struct options, services_count)},
    {"--system", FLAG, offsetof(struct options, system), 0},
};

static int store(const struct option_row *row, struct str value, struct options *ret, struct err *e)
{
	char *at = (char *)ret + row->at;
	uint64_t n = 0;
	switch (row->type) {
	case FLAG:
		*(bool *)(void *)at = true;
		return 0;
	case TEXT:
		*(struct str *)(void *)at = value;
		return 0;
	case LIST: {
		size_t *count = (size_t *)(void *)((char *)ret + row->count_at);
		if (*count == OPTIONS_EXTRA_MAX)
			return say_fail(SAY_SETTINGS, e, "too many '%s'", row->name);
		((struct str *)(void *)at)[(*count)++] = value;
		return 0;
	}
	case U32:
		if (!num_u64(value, 1, UINT32_MAX, &n))
			return say_fail(SAY_SETTINGS, e, "'%s' needs a number", row->name);
		*(uint32_t *)(void *)at = (uint32_t)n;
		return 0;
	case U64:
		if (!num_u64(value, 1, UINT64_MAX, (uint64_t *)(void *)at))
			return say_fail(SAY_SETTINGS, e, "'%s' needs a number", row->name);
		return 0;
	}
	return -1;
}

int options_read(int argc, char *const *argv, struct options *ret, struct err *e)
{
	*ret = (struct options){.bytes_max = LIMIT_TREE_BYTES, .files_max = LIMIT_TREE_FILES};
	for (int i = 0; i < argc; i++) {
		const struct option_row *row = NULL;
		for (size_t k = 0; k < sizeof(rows) / sizeof(*rows); k++)
			if (str_eq_c(str_c(argv[i]), rows[k].name))
				row = &rows[k];
		if (!row)
			return say_fail(SAY_SETTINGS, e, "unknown argument '%s'", argv[i]);
		if (row->type != FLAG && ++i == argc)
			return say_fail(SAY_SETTINGS, e, "'%s' needs a value", row->name);
		if (store(row, str_c(argv[i]), ret, e))
			return -1;
	}
	return 0;
}
