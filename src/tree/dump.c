#include "tree/dump.h"
#include "base/clock.h"
#include "base/name.h"
#include "base/num.h"
#include "tree/child.h"
#include "tree/say.h"

#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#define LIMIT_MS (4 * 3600 * 1000ll)
#define VALUE_MAX 512
#define WORDS_MAX 1024

static const char *const variables[] = {
    "PGHOST", "PGPORT", "PGUSER", "PGPASSWORD", "PGDATABASE", "PGSSLMODE"};
#define VARIABLES (sizeof(variables) / sizeof(*variables))

struct access {
	char v[VARIABLES][VALUE_MAX];
	struct child_words env;
	const char *database;
};

static int access_read(struct str service, struct access *ret, struct err *e)
{
	if (name_service(service, e) != 0)
		return -1;
	ret->env = (struct child_words){0};
	for (size_t i = 0; i < VARIABLES; i++) {
		char key[64];
		(void)snprintf(key, sizeof(key), "%s_%.*s", variables[i], STR_ARG(service));
		const char *value = getenv(key);
		int n = snprintf(ret->v[i], VALUE_MAX, "%s=%s", variables[i], value ? value : "");
		if (!value || n >= VALUE_MAX)
			return say_fail(SAY_SETTINGS, e, "%s is missing", key);
		child_add(&ret->env, ret->v[i]);
		if (strcmp(variables[i], "PGDATABASE") == 0)
			ret->database = strchr(ret->v[i], '=') + 1;
	}
	child_add(&ret->env, "LANG=C.UTF-8");
	child_add(&ret->env, "PATH=/usr/bin:/bin");
	return 0;
}

static int64_t version_of(const char *path)
{
	static const char folder[] = "/usr/lib/postgresql/";
	int64_t n = 0;
	struct str rest = str_from(str_c(path), sizeof(folder) - 1);
	size_t end = str_find(rest, '/', 0);
	return end != SIZE_MAX && num_i64(str_slice(rest, 0, end), 1, 1000, &n) ? n : 0;
}

/* Debian has a program per version, and one in front that is a script; the newest one reads older servers. */
static void find_program(const char *name, char *out, size_t size)
{
	char pattern[96];
	glob_t found = {0};
	int64_t best = 0;
	(void)snprintf(out, size, "/usr/bin/%s", name);
	(void)snprintf(pattern, sizeof(pattern), "/usr/lib/postgresql/*/bin/%s", name);
	if (glob(pattern, 0, NULL, &found) != 0)
		return;
	for (size_t i = 0; i < found.gl_pathc; i++)
		if (version_of(found.gl_pathv[i]) > best) {
			best = version_of(found.gl_pathv[i]);
			(void)snprintf(out, size, "%s", found.gl_pathv[i]);
		}
	globfree(&found);
}

static int run(const char *program, struct child_words *argv, const struct access *a,
    const char *what, struct str service, struct err *e)
{
	CLEANUP_BUF struct buf words;
	int status = 0;
	const struct child_spec s = {
	    .argv = argv, .env = &a->env, .deadline_ms = clock_mono_ms() + LIMIT_MS, .quiet = true};
	buf_init(&words, WORDS_MAX);
	if (child_run(&s, NULL, &words, &status, e) != 0)
		return err_hint(e, "install the package postgresql-client");
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	struct str said = str_trim(buf_view(&words));
	size_t line = str_find(said, '\n', 0);
	return say_fail(SAY_ARCHIVE, e, "the database of '%.*s' could not be %s: %s: %.*s",
	    STR_ARG(service), what, program, (int)(line == SIZE_MAX ? said.n : line),
	    said.p ? said.p : "");
}

static void add_all(struct child_words *argv, const char *const *words, size_t n)
{
	for (size_t i = 0; i < n; i++)
		child_add(argv, words[i]);
}

int dump_take(struct str service, const char *to, struct err *e)
{
	struct access a;
	char program[256], file[VALUE_MAX];
	struct child_words argv = {0};
	if (access_read(service, &a, e) != 0)
		return -1;
	find_program("pg_dump", program, sizeof(program));
	(void)snprintf(file, sizeof(file), "--file=%s", to);
	const char *const words[] = {program, "--format=custom", "--compress=1", "--no-owner",
	    "--no-privileges", "--no-password", file};
	add_all(&argv, words, sizeof(words) / sizeof(*words));
	return run("pg_dump", &argv, &a, "dumped", service, e);
}

int dump_load(struct str service, const char *from, struct err *e)
{
	struct access a;
	char program[256], database[VALUE_MAX];
	struct child_words argv = {0};
	if (access_read(service, &a, e) != 0)
		return -1;
	find_program("pg_restore", program, sizeof(program));
	(void)snprintf(database, sizeof(database), "--dbname=%s", a.database);
	const char *const words[] = {program, "--no-owner", "--no-privileges", "--exit-on-error",
	    "--single-transaction", "--no-password", database, "--", from};
	add_all(&argv, words, sizeof(words) / sizeof(*words));
	return run("pg_restore", &argv, &a, "brought back", service, e);
}
