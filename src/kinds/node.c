#include "kinds/kind.h"
#include "text/json.h"
#include "text/procfile.h"

#include <string.h>

#define INSTALL_TIMEOUT_MS (30 * 60 * 1000)

static const char *const mains[] = {"server.js", "index.js", "app.js", "server.mjs", "index.mjs"};

/* package.json, or NULL when absent; broken JSON fails the plan. */
static json_t *package(struct kind_work *w)
{
	struct err why;
	if (!kind_has(w, "package.json"))
		return NULL;
	json_t *j = json_read(kind_content(w, "package.json"), &why);
	if (!j)
		kind_fail(w, ERR_INVALID, "mend package.json", "package.json: %s", why.msg);
	return j;
}

static struct str script(const json_t *package_json, const char *name)
{
	struct str s;
	const json_t *scripts = json_object_get(package_json, "scripts");
	return json_is_object(scripts) && json_get_str(scripts, name, &s, NULL) > 0 ? s : STR("");
}

static const char *main_file(struct kind_work *w)
{
	for (size_t i = 0; i < sizeof(mains) / sizeof(*mains); i++)
		if (kind_has(w, mains[i]))
			return mains[i];
	return NULL;
}

static bool detect(struct kind_work *w)
{
	json_t *j CLEANUP_JSON = package(w);
	const char *file = main_file(w);
	if (j && script(j, "start").n)
		kind_reason(w, "package.json with a start script");
	else if (file && (j || strcmp(file, "server.js") == 0))
		kind_reason(w, "%s%s", j ? "package.json, " : "", file);
	else
		return false;
	return true;
}

static bool has_dependencies(const json_t *j)
{
	return json_object_size(json_object_get(j, "dependencies")) > 0 ||
	       json_object_size(json_object_get(j, "devDependencies")) > 0;
}

static void npm(struct kind_work *w, const char *label, struct args argv)
{
	struct plan_command *c = kind_build(w, label, argv);
	c->timeout_ms = INSTALL_TIMEOUT_MS;
	c->env = arena_array(w->a, 4, sizeof(*c->env));
	if (!c->env)
		return;
	c->env_count = 4;
	c->env[0] =
	    (struct manifest_pair){STR("npm_config_cache"), kind_text(w, "%s/cache/npm", w->up)};
	c->env[1] = (struct manifest_pair){STR("npm_config_update_notifier"), STR("false")};
	c->env[2] = (struct manifest_pair){STR("npm_config_fund"), STR("false")};
	c->env[3] = (struct manifest_pair){STR("npm_config_audit"), STR("false")};
}

/* Lock files, in the order in which they win when package.json does not name a tool
 * (packageManager: pnpm@9.1.0). */
static const struct lock {
	const char *file, *tool;
} locks[] = {
    {"package-lock.json", "npm"},
    {"npm-shrinkwrap.json", "npm"},
    {"pnpm-lock.yaml", "pnpm"},
    {"yarn.lock", "yarn"},
};
#define LOCKS (sizeof(locks) / sizeof(*locks))

/* The tool that package.json names; empty when none. */
static struct str named_tool(const json_t *j)
{
	struct str s;
	if (json_get_str(j, "packageManager", &s, NULL) <= 0)
		return STR("");
	return str_slice(s, 0, str_find(s, '@', 0));
}

static const struct lock *find_lock(struct kind_work *w, const json_t *j)
{
	const struct lock *found = NULL;
	struct str tool = named_tool(j);
	for (size_t i = 0; tool.n && !found && i < LOCKS; i++)
		if (str_eq_c(tool, locks[i].tool) && kind_has(w, locks[i].file))
			found = &locks[i];
	bool by_name = found != NULL;
	for (size_t i = 0; !found && i < LOCKS; i++)
		if (kind_has(w, locks[i].file))
			found = &locks[i];
	for (size_t i = 0; found && i < LOCKS; i++)
		if (&locks[i] != found && kind_has(w, locks[i].file))
			kind_note(w,
			    by_name ? "%s is not read beside %s: package.json names its tool"
				    : "%s is not read beside %s; packageManager in package.json "
				      "chooses another",
			    locks[i].file, found->file);
	return found;
}

static void locked(struct kind_work *w, const struct lock *lock, bool with_dev)
{
	if (strcmp(lock->tool, "npm") == 0) {
		npm(w, "npm ci",
		    KIND_ARGV(w, "npm", "ci", with_dev ? "--include=dev" : "--omit=dev",
			"--prefer-offline"));
		return;
	}
	kind_build(w, lock->tool[0] == 'y' ? "yarn install" : "pnpm install",
	    KIND_ARGV(w, "slipway-tree", "node-install", "--top", w->up, "--lock", lock->file,
		with_dev ? "--dev" : NULL))
	    ->timeout_ms = INSTALL_TIMEOUT_MS;
}

void kind_node_install(struct kind_work *w, bool with_dev)
{
	json_t *j CLEANUP_JSON = package(w);
	if (!j || w->node_installed)
		return;
	const struct lock *lock = find_lock(w, j);
	if (!lock && !has_dependencies(j))
		return;
	if (lock)
		locked(w, lock, with_dev);
	else
		npm(w, "npm install",
		    KIND_ARGV(w, "npm", "install", "--no-save", "--no-package-lock",
			with_dev ? "--include=dev" : "--omit=dev"));
	if (lock)
		kind_note(w, "Node packages from %s", lock->file);
	else
		kind_note(w, "Node packages without a lock file: commit package-lock.json for "
			     "builds that repeat");
	w->node_installed = true;
}

/* `node …` itself instead of npm in front of it: signals and the exit status reach the program. */
static struct args start_argv(struct kind_work *w, struct str start)
{
	struct manifest_command c;
	struct err why;
	if (procfile_split(start, 1, w->a, &c, &why) == 0 && !c.expand && c.env_count == 0 &&
	    str_eq_c(c.argv.v[0], "node"))
		return c.argv;
	return KIND_ARGV(w, "npm", "start");
}

static void check_version(struct kind_work *w)
{
	if (w->m.node_version.n == 0)
		return;
	const char *version = arena_cstr(w->a, w->m.node_version);
	kind_build(w, "look for Node",
	    KIND_ARGV(w, "slipway-tree", "need-node", "--also", version ? version : ""))
	    ->timeout_ms = 60000;
}

static void plan(struct kind_work *w)
{
	json_t *j CLEANUP_JSON = package(w);
	struct str start = j ? script(j, "start") : STR("");
	bool build = j && script(j, "build").n;
	const char *file = main_file(w);
	check_version(w);
	kind_env(w, "NODE_ENV", STR("production"));
	if (w->m.build_count == 0) {
		kind_node_install(w, build);
		if (build)
			npm(w, "npm run build", KIND_ARGV(w, "npm", "run", "build"));
	}
	w->node_installed = w->node_installed || w->m.build_count > 0;
	if (start.n)
		kind_web(w, start_argv(w, start), MANIFEST_LISTEN_PORT, 0);
	else if (file)
		kind_web(w, KIND_ARGV(w, "node", file), MANIFEST_LISTEN_PORT, 0);
}

const struct kind kind_node = {MANIFEST_KIND_NODE, detect, plan};
