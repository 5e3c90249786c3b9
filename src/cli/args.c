/* Splits a command line by a table of flags, and guesses what a misspelt word meant. */
#include "cli/args.h"

#include <string.h>

#define WORD_MAX 40

size_t args_distance(const char *a, const char *b)
{
	size_t n = strlen(a), m = strlen(b), row[WORD_MAX + 1];
	if (n >= WORD_MAX || m >= WORD_MAX)
		return WORD_MAX;
	for (size_t j = 0; j <= m; j++)
		row[j] = j;
	for (size_t i = 1; i <= n; i++) {
		size_t corner = row[0];
		row[0] = i;
		for (size_t j = 1; j <= m; j++) {
			size_t swap = corner + (a[i - 1] != b[j - 1]);
			size_t best = row[j] + 1 < row[j - 1] + 1 ? row[j] + 1 : row[j - 1] + 1;
			corner = row[j];
			row[j] = swap < best ? swap : best;
		}
	}
	return row[m];
}

bool args_near(const char *word, const char *guess)
{
	size_t n = strlen(word), d = args_distance(word, guess);
	return d <= (n < 5 ? 1 : n < 8 ? 2 : 3) || (n >= 3 && strncmp(word, guess, n) == 0);
}

static const struct cli_flag *find(
    const struct cli_flag *list, const char *name, size_t n, char letter)
{
	for (; list && list->name; list++) {
		if (letter ? list->letter == letter
			   : strlen(list->name) == n && memcmp(list->name, name, n) == 0)
			return list;
	}
	return NULL;
}

static void nearest(
    const struct cli_flag *list, const char *word, const char **best, size_t *distance)
{
	for (; list && list->name; list++) {
		size_t d = args_distance(word, list->name);
		if (d < *distance && args_near(word, list->name)) {
			*distance = d;
			*best = list->name;
		}
	}
}

static int unknown(
    const char *arg, const struct cli_flag *own, const struct cli_flag *global, struct err *e)
{
	const char *best = NULL;
	size_t distance = WORD_MAX;
	char word[WORD_MAX] = "";
	const char *name = arg + (arg[1] == '-' ? 2 : 1);
	size_t n = strcspn(name, "=");
	if (n < sizeof(word))
		memcpy(word, name, n);
	nearest(own, word, &best, &distance);
	nearest(global, word, &best, &distance);
	err_set(e, ERR_USAGE, "there is no flag '%.60s' here", arg);
	return best ? err_hint(e, "did you mean '--%s'?", best) : -1;
}

static int keep(struct cli_args *a, const struct cli_flag *f, const char *value, struct err *e)
{
	if (a->flag_count == ARGS_FLAGS_MAX)
		return err_set(e, ERR_USAGE, "there are more than %d flags", ARGS_FLAGS_MAX);
	a->flags[a->flag_count] = f;
	a->values[a->flag_count++] = value;
	return 0;
}

/* One flag at argv[*i]; *i moves on over its value. */
static int read_flag(int argc, char *const *argv, int *i, const struct cli_flag *own,
    const struct cli_flag *global, struct cli_args *a, struct err *e)
{
	const char *arg = argv[*i], *value = NULL;
	bool is_long = arg[1] == '-';
	const char *name = arg + (is_long ? 2 : 1);
	size_t n = strcspn(name, "=");
	char letter = is_long ? '\0' : name[0];
	const struct cli_flag *f = NULL;
	if (is_long || name[1] == '\0')
		f = find(own, name, n, letter);
	if (!f && (is_long || name[1] == '\0'))
		f = find(global, name, n, letter);
	if (!f)
		return unknown(arg, own, global, e);
	if (is_long && name[n] == '=')
		value = name + n + 1;
	if (!f->value && value)
		return err_set(e, ERR_USAGE, "the flag '--%s' takes no value", f->name);
	if (f->value && !value) {
		if (*i + 1 >= argc)
			return err_set(
			    e, ERR_USAGE, "the flag '--%s' needs a value: %s", f->name, f->value);
		value = argv[++*i];
	}
	return keep(a, f, value, e);
}

int args_parse(int argc, char *const *argv, const struct cli_flag *own,
    const struct cli_flag *global, struct cli_args *ret, struct err *e)
{
	*ret = (struct cli_args){0};
	for (int i = 0; i < argc; i++) {
		const char *arg = argv[i];
		if (strcmp(arg, "--") == 0) {
			ret->rest = argv + i + 1;
			ret->rest_count = (size_t)(argc - i - 1);
			return 0;
		}
		if (arg[0] == '-' && arg[1] != '\0') {
			if (read_flag(argc, argv, &i, own, global, ret, e) < 0)
				return -1;
		} else if (ret->word_count == ARGS_WORDS_MAX) {
			return err_set(
			    e, ERR_USAGE, "there are more than %d words", ARGS_WORDS_MAX);
		} else {
			ret->words[ret->word_count++] = arg;
		}
	}
	return 0;
}

const char *args_value_at(const struct cli_args *a, const char *name, size_t n)
{
	for (size_t i = 0; i < a->flag_count; i++) {
		if (strcmp(a->flags[i]->name, name) == 0 && n-- == 0)
			return a->values[i];
	}
	return NULL;
}

bool args_has(const struct cli_args *a, const char *name)
{
	for (size_t i = 0; i < a->flag_count; i++)
		if (strcmp(a->flags[i]->name, name) == 0)
			return true;
	return false;
}

const char *args_value(const struct cli_args *a, const char *name)
{
	const char *last = NULL;
	for (size_t i = 0; i < a->flag_count; i++)
		if (strcmp(a->flags[i]->name, name) == 0)
			last = a->values[i];
	return last;
}
