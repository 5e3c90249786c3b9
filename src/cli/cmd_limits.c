/* `slipway limits`: what a project may use at most, whatever its manifest asks for. */
#include "cli/commands.h"

#include "base/limits.h"
#include "base/num.h"

#include <string.h>

#define BYTES_MIN (1u << 20)

enum unit { BYTES, MILLI, COUNT, TIME };

struct limit {
	const char *name, *member;
	enum unit unit;
	const char *example, *what;
};

static const struct limit limits[] = {
    {"memory", "memory_bytes", BYTES, "512M", "of all processes of one instance"},
    {"cpu", "cpu_milli", MILLI, "1.5", "cores, of one instance"},
    {"tasks", "tasks", COUNT, "128", "processes and threads, of one instance"},
    {"files", "files", COUNT, "1024", "open files of a process"},
    {"disk", "disk_bytes", BYTES, "2G", "of the project's tree"},
    {"build-memory", "build_memory_bytes", BYTES, "1G", "while building"},
    {"build-time", "build_time_ms", TIME, "10m", "of one build command"},
};
#define COUNT_OF (sizeof(limits) / sizeof(*limits))

static int read_value(const struct limit *l, struct str text, int64_t *ret, struct err *e)
{
	uint64_t bytes = 0;
	bool good = l->unit == BYTES   ? num_size(text, 1ull << 50, &bytes) && bytes >= BYTES_MIN
		    : l->unit == MILLI ? num_milli(text, LIMIT_CPU_MILLI, ret)
		    : l->unit == COUNT ? num_i64(text, 1, 1048576, ret)
				       : num_duration(text, 86400000, ret);
	if (l->unit == BYTES)
		*ret = (int64_t)bytes;
	return good ? 0
		    : err_set(e, ERR_INVALID, "'%.*s' is no value of '%s': one is %s%s", STR_ARG(text),
			  l->name, l->example, l->unit == BYTES ? ", the least 1M" : "");
}

/* "memory=512M", or "memory=none". */
static int set_one(json_t *all, const char *word, struct err *e)
{
	struct str rest = str_c(word), name;
	int64_t value = 0;
	if (str_next(&rest, '=', &name) != 1 || rest.p == NULL)
		return err_set(e, ERR_INVALID, "'%s' is not LIMIT=VALUE", word);
	for (size_t i = 0; i < COUNT_OF; i++) {
		if (!str_eq_c(name, limits[i].name))
			continue;
		if (str_eq(rest, STR("none"))) {
			(void)json_object_del(all, limits[i].member); /* it may not be set */
			return 0;
		}
		if (read_value(&limits[i], rest, &value, e) < 0)
			return -1;
		return json_object_set_new(all, limits[i].member, json_integer(value));
	}
	(void)err_set(e, ERR_INVALID, "there is no limit '%.*s'", STR_ARG(name));
	return err_hint(e, "known: memory, cpu, tasks, files, disk, build-memory, build-time");
}

static void print_all(const json_t *all)
{
	for (size_t i = 0; i < COUNT_OF; i++) {
		const struct limit *l = &limits[i];
		const json_t *v = json_object_get(all, l->member);
		int64_t n = json_integer_value(v);
		char text[32] = "-";
		if (v && l->unit == BYTES)
			num_size_text((uint64_t)n, text);
		else if (v && l->unit == TIME)
			num_duration_text(n, text);
		else if (v && l->unit == MILLI)
			(void)snprintf(text, sizeof(text), "%g", (double)n / 1000);
		else if (v)
			(void)snprintf(text, sizeof(text), "%lld", (long long)n);
		(void)printf("%-14s%-12s%s\n", l->name, text, l->what);
	}
}

int cmd_limits(struct cli *c)
{
	struct err e = {0};
	bool named = c->args.word_count > 0 && !strchr(c->args.words[0], '=');
	size_t at = named ? 0 : c->args.word_count, first = named && !cli_flag(c, "project");
	CLEANUP_JSON json_t *project = NULL, *answer = NULL;
	const char *name = cli_project(c, &at, &e);
	if (!name || cli_call(c, "GET", cli_path(c, "projects/{}", name, NULL), NULL, &project, &e) < 0)
		return cli_fail(c, &e);
	json_t *all = json_object_get(project, "limits");
	for (size_t i = first; i < c->args.word_count; i++)
		if (set_one(all, c->args.words[i], &e) < 0)
			return cli_fail(c, &e);
	bool set = first < c->args.word_count;
	if (set && cli_call(c, "PATCH", cli_path(c, "projects/{}", name, NULL),
		       json_pack("{sO}", "limits", all), &answer, &e) < 0)
		return cli_fail(c, &e);
	if (c->json)
		cli_print_json(all);
	else
		print_all(all);
	if (set && !c->json)
		(void)printf("\nthey hold from its next deploy on: slipway deploy %s --force\n", name);
	return 0;
}
