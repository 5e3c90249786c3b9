#include "tree/node.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/num.h"
#include "tree/child.h"
#include "tree/say.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define DEADLINE_MS 30000
#define INSTALL_MS (28 * 60 * 1000)
#define HEAD_MAX_BYTES 4096u

extern char **environ;

int node_need(const struct options *o, struct buf *report, struct err *e)
{
	struct child_words argv = {0}, env = {0};
	struct buf out CLEANUP_BUF;
	int status;
	(void)report;
	buf_init(&out, 4096);
	child_add(&argv, "node");
	child_add(&argv, "--version");
	child_add(&env, "PATH=/usr/local/bin:/usr/bin:/bin");
	struct child_spec s = {&argv, &env, NULL, clock_mono_ms() + DEADLINE_MS, false, false};
	if (child_run(&s, &out, NULL, &status, e))
		return -1;
	struct str have = str_trim(buf_view(&out)), want = o->also[0];
	if (str_starts(have, STR("v")))
		have = str_from(have, 1);
	bool same =
	    o->also_count && str_starts(have, want) && (have.n == want.n || have.p[want.n] == '.');
	if (same)
		return 0;
	return say_fail(SAY_SETTINGS, e, "Node %.*s is asked for; on this machine is %.*s",
	    STR_ARG(want), STR_ARG(have));
}

/* What each generation of a tool is told. Yarn 1 and the later ones share a name and a lock file's
 * name, and nothing else. */
static const struct generation {
	const char *lock, *name;
	uint64_t from, below;	       /* versions of the tool */
	const char *const commands[2]; /* how it is called, the distribution's name last */
	const char *const words[8], *const dev, *const no_dev;
	const char *const env[6]; /* %s: the project's cache */
	const char *missing;
} generations[] = {
    {"yarn.lock", "Yarn 1", 1, 2, {"yarn", "yarnpkg"},
	{"install", "--frozen-lockfile", "--non-interactive", "--no-progress"},
	"--production=false", "--production=true", {"YARN_CACHE_FOLDER=%s/yarn"},
	"install the package yarnpkg, or say npm install --global yarn, or commit "
	"package-lock.json"},
    {"yarn.lock", "Yarn 2 or later", 2, 100, {"yarn", "yarnpkg"}, {"install", "--immutable"}, NULL,
	NULL,
	{"YARN_CACHE_FOLDER=%s/yarn", "YARN_ENABLE_GLOBAL_CACHE=false", "YARN_ENABLE_TELEMETRY=0",
	    "YARN_NODE_LINKER=node-modules", "YARN_NM_MODE=classic"},
	"install Yarn 2 or later (corepack enable), or commit package-lock.json"},
    {"pnpm-lock.yaml", "pnpm", 7, 100, {"pnpm"},
	{"install", "--frozen-lockfile", "--package-import-method=copy", "--reporter=append-only"},
	NULL, "--prod",
	{"npm_config_store_dir=%s/pnpm", "npm_config_update_notifier=false", "CI=true"},
	"say npm install --global pnpm, or commit package-lock.json"},
};

/* Yarn's lock files tell their generation in their first lines. */
static const struct generation *generation_of(struct str lock, struct err *e)
{
	char name[1100], head[HEAD_MAX_BYTES];
	if (!str_copy(lock, name, sizeof(name)))
		return NULL;
	int fd CLEANUP_FD = open(name, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, head, sizeof(head));
	if (n < 0) {
		(void)err_sys(e, ERR_IO, errno, "could not read '%s'", name);
		return NULL;
	}
	bool modern = str_contains((struct str){head, (size_t)n}, STR("__metadata:"));
	for (size_t i = 0; i < sizeof(generations) / sizeof(*generations); i++)
		if (str_eq_c(lock, generations[i].lock) && (!modern || generations[i].from > 1))
			return &generations[i];
	(void)say_fail(SAY_SETTINGS, e, "'%s' is no lock file that is known here", name);
	return NULL;
}

/* The first of the tool's names that runs, and its major version; NULL when none does. */
static const char *find_tool(
    const struct generation *g, const struct child_words *env, uint64_t *ret_major)
{
	for (size_t i = 0; i < 2 && g->commands[i]; i++) {
		struct child_words argv = {0};
		struct buf out CLEANUP_BUF;
		struct err ignored;
		int status;
		buf_init(&out, 4096);
		child_add(&argv, g->commands[i]);
		child_add(&argv, "--version");
		struct child_spec s = {
		    &argv, env, NULL, clock_mono_ms() + DEADLINE_MS, true, false};
		if (child_run(&s, &out, NULL, &status, &ignored) || !WIFEXITED(status) ||
		    WEXITSTATUS(status) != 0)
			continue;
		struct str version = str_trim(buf_view(&out));
		if (num_u64(str_slice(version, 0, str_find(version, '.', 0)), 0, 999, ret_major))
			return g->commands[i];
	}
	return NULL;
}

/* The environment we were given, with the tool's own settings in it instead of others of the same
 * name. */
static int tool_env(const struct generation *g, const char *cache, struct buf texts[6],
    struct child_words *env, struct err *e)
{
	for (size_t i = 0; i < 6 && g->env[i]; i++) {
		const char *mark = strstr(g->env[i], "%s");
		struct str before =
		    str_slice(str_c(g->env[i]), 0, mark ? (size_t)(mark - g->env[i]) : SIZE_MAX);
		buf_str(&texts[i], before);
		if (mark)
			buf_printf(&texts[i], "%s%s", cache, mark + 2);
		buf_char(&texts[i], '\0');
		if (buf_check(&texts[i], "the path of the cache", e))
			return -1;
		child_add(env, texts[i].p);
	}
	size_t own = env->n;
	for (char **v = environ; *v && env->n < CHILD_WORDS_MAX; v++) {
		bool ours = false;
		size_t key = strcspn(*v, "=") + 1;
		for (size_t i = 0; i < own; i++)
			ours = ours || strncmp(env->v[i], *v, key) == 0;
		if (!ours)
			child_add(env, *v);
	}
	return 0;
}

/* The tool's own last complaint. */
static int install_failed(const char *tool, const struct buf *messages, struct err *e)
{
	static const char *const signs[] = {"error ", "ERR_PNPM", "YN0"};
	struct str rest = buf_view(messages), line, last = STR("see the lines above");
	while (str_next(&rest, '\n', &line))
		for (size_t i = 0; i < sizeof(signs) / sizeof(*signs); i++)
			if (str_contains(line, str_c(signs[i])) &&
			    !str_contains(line, STR("YN0000")))
				last = str_trim(line);
	return say_fail(SAY_NODE, e, "%s could not install: %.*s", tool,
	    (int)(last.n < 300 ? last.n : 300), last.p);
}

static int no_tool(const struct generation *g, const char *tool, uint64_t major, struct err *e)
{
	if (tool)
		(void)say_fail(SAY_SETTINGS, e,
		    "%s is a lock file of %s, and on this machine is %s %llu", g->lock, g->name,
		    tool, (unsigned long long)major);
	else
		(void)say_fail(SAY_SETTINGS, e,
		    "%s is a lock file of %s, which is not on this machine", g->lock, g->name);
	return err_hint(e, "%s", g->missing);
}

static int install(const struct options *o, const struct generation *g, const char *cache,
    struct buf texts[6], struct err *e)
{
	struct child_words argv = {0}, env = {0};
	struct buf messages CLEANUP_BUF;
	uint64_t major = 0;
	int status;
	buf_init(&messages, 65536);
	if (tool_env(g, cache, texts, &env, e))
		return -1;
	const char *tool = find_tool(g, &env, &major);
	if (!tool || major < g->from || major >= g->below)
		return no_tool(g, tool, major, e);
	child_add(&argv, tool);
	for (size_t i = 0; g->words[i]; i++)
		child_add(&argv, g->words[i]);
	if (o->dev ? g->dev : g->no_dev)
		child_add(&argv, o->dev ? g->dev : g->no_dev);
	struct child_spec s = {&argv, &env, NULL, clock_mono_ms() + INSTALL_MS, false, true};
	if (child_run(&s, NULL, &messages, &status, e))
		return -1;
	bool well = WIFEXITED(status) && WEXITSTATUS(status) == 0;
	return well ? 0 : install_failed(tool, &messages, e);
}

int node_install(const struct options *o, struct buf *report, struct err *e)
{
	char top[4096], cache[4200];
	struct buf texts[6];
	(void)report;
	const struct generation *g = generation_of(o->lock, e);
	if (!g)
		return -1;
	if (o->top.n == 0 || !realpath(o->top.p, top))
		return say_fail(SAY_SETTINGS, e, "node-install needs --top");
	snprintf(cache, sizeof(cache), "%s/cache", top);
	if (fs_mkdirs(cache, 0700, e))
		return -1;
	for (size_t i = 0; i < 6; i++)
		buf_init(&texts[i], 4300);
	int rc = install(o, g, cache, texts, e);
	for (size_t i = 0; i < 6; i++)
		buf_fini(&texts[i]);
	return rc;
}
