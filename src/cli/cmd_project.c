/* Projects: create, list, info, open, status, destroy. */
#include "cli/commands.h"
#include "cli/follow.h"
#include "cli/project.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define LIST_MAX 10000
#define TOKEN_MAX 4096

extern char **environ;

static json_t *create_body(struct cli *c, const char *name, struct err *e)
{
	json_t *body = json_object(), *domains = json_array(), *source = source_of_flags(c, e);
	const char *domain;
	if (!source) {
		json_decref(body);
		json_decref(domains);
		return NULL;
	}
	(void)json_object_set_new(body, "name", json_string(name));
	(void)json_object_set_new(body, "source", source);
	for (size_t i = 0; (domain = args_value_at(&c->args, "domain", i)); i++)
		(void)json_array_append_new(domains, json_string(domain));
	if (json_array_size(domains))
		(void)json_object_set(body, "domains", domains);
	json_decref(domains);
	source_put_flag(c, body, "kind", "kind");
	source_put_flag(c, body, "root", "root");
	if (source_put_poll(c, body, e) < 0) {
		json_decref(body);
		return NULL;
	}
	if (cli_has(c, "token-stdin")) {
		const char *token = cli_stdin(c, TOKEN_MAX, e);
		if (!token) {
			json_decref(body);
			return NULL;
		}
		(void)json_object_set_new(body, "https_token", json_string(token));
	}
	return body;
}

/* The current directory is the project's when its code comes from here, and a person made it: a
 * script that makes projects leaves no files behind. */
static bool is_here(const struct cli *c)
{
	if (cli_has(c, "here"))
		return true;
	if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))
		return false;
	const char *git = cli_flag(c, "git"), *path = cli_flag(c, "path");
	char here[PATH_MAX], there[PATH_MAX];
	if (git)
		return project_is_remote(git);
	return !path ||
	       (getcwd(here, sizeof(here)) && realpath(path, there) && strcmp(here, there) == 0);
}

static void print_created(struct cli *c, const json_t *project, const char *name)
{
	const char *key = cli_text(c, project, "deploy_key"),
		   *page = cli_text(c, project, "deploy_key_page");
	const char *type = cli_raw(json_object_get(project, "source"), "type");
	(void)printf("%s was made\n", name);
	if (key[0]) {
		(void)printf(
		    "\nIf the repository is private, give it this deploy key (read only):\n\n"
		    "  %s\n",
		    key);
		if (page[0])
			(void)printf("\n  paste it on %s\n", page);
	}
	if (cli_has(c, "hook"))
		return;
	if (type && strcmp(type, "archive") == 0)
		(void)printf("\nnext: slipway deploy %s DIRECTORY\n", name);
	else
		(void)printf("\nnext: slipway deploy %s\n", name);
}

int cmd_create(struct cli *c)
{
	struct err e = {0};
	const char *name = c->args.words[0], *sender = cli_flag(c, "hook");
	json_t *project = NULL, *hook = NULL, *body = create_body(c, name, &e);
	if (!body || cli_call(c, "POST", "/api/v1/projects", body, &project, &e) < 0)
		return cli_fail(c, &e);
	if (!c->json)
		print_created(c, project, name);
	int code = 0;
	if (sender && cli_call(c, "POST", cli_path(c, "projects/{}/hooks", name, NULL),
			  json_pack("{s:s}", "sender", sender), &hook, &e) < 0) {
		err_prefix(&e, "the project was made, but not its hook");
		code = cli_fail(c, &e);
	}
	if (hook)
		(void)json_object_set(project, "hook", hook);
	if (c->json)
		cli_print_json(project);
	else if (hook)
		hook_print(c, hook);
	int wrote = is_here(c) ? project_remember(name, &e) : 0;
	if (wrote > 0 && !c->json)
		(void)printf("\nwrote .slipway: in this directory the name can be left out\n");
	json_decref(hook);
	json_decref(project);
	return code;
}

static const char *state_of(const json_t *p)
{
	if (!cli_true(p, "running"))
		return "stopped";
	return cli_int(p, "live") ? "live" : "empty";
}

/* "django", or "django (detected)" when it was not set. */
static const char *kind_of(struct cli *c, const json_t *p)
{
	const char *kind = cli_text(c, p, "kind"), *found = cli_text(c, p, "detected_kind");
	if (!found[0] || strcmp(kind, "auto") != 0)
		return kind;
	const char *both = arena_printf(&c->a, "%s (detected)", found);
	return both ? both : found;
}

static const char *first_url(struct cli *c, const json_t *p)
{
	const char *url = json_string_value(json_array_get(json_object_get(p, "urls"), 0));
	return url ? out_safe(&c->a, str_c(url)) : "";
}

static void project_row(struct cli *c, struct out_table *t, const json_t *p)
{
	const char *row[] = {cli_text(c, p, "name"), kind_of(c, p), state_of(p),
	    cli_num(c, p, "live"), first_url(c, p)};
	out_table_row(t, row);
}

int cmd_list(struct cli *c)
{
	static const char *const heads[] = {"NAME", "KIND", "STATE", ">RELEASE", "ADDRESS"};
	struct err e = {0};
	CLEANUP_JSON json_t *all = NULL;
	if (cli_list(c, "/api/v1/projects", LIST_MAX, &all, &e) < 0)
		return cli_fail(c, &e);
	return cli_is_empty(c, all, "no projects yet. Make one: slipway create NAME --git URL")
		   ? 0
		   : cli_table(c, all, 5, heads, project_row);
}

/* The project, read: its name in *ret_name; NULL after failing with *ret_code. */
static json_t *read_project(struct cli *c, const char **ret_name, int *ret_code)
{
	struct err e = {0};
	size_t at = 0;
	json_t *p = NULL;
	*ret_name = cli_project(c, &at, &e);
	if (!*ret_name ||
	    cli_call(c, "GET", cli_path(c, "projects/{}", *ret_name, NULL), NULL, &p, &e) < 0) {
		*ret_code = cli_fail(c, &e);
		return NULL;
	}
	return p;
}

int cmd_info(struct cli *c)
{
	int code = 0;
	const char *name, *limit;
	json_t *value;
	CLEANUP_JSON json_t *p = read_project(c, &name, &code);
	if (!p)
		return code;
	if (c->json) {
		cli_print_json(p);
		return 0;
	}
	const json_t *source = json_object_get(p, "source");
	out_pair("name", cli_text(c, p, "name"));
	out_pair("kind", kind_of(c, p));
	out_pair("source", cli_text(c, source, "type"));
	out_pair("  from", cli_text(c, source, "url"));
	out_pair("  from", cli_text(c, source, "path"));
	out_pair("  ref", cli_text(c, source, "ref"));
	out_pair("root", cli_text(c, p, "root"));
	out_pair("state", state_of(p));
	out_pair("release", cli_num(c, p, "live"));
	out_pair("previous", cli_num(c, p, "previous"));
	const json_t *urls = json_object_get(p, "urls");
	for (size_t i = 0; i < json_array_size(urls); i++) {
		const char *url = json_string_value(json_array_get(urls, i));
		out_pair(i ? "" : "address", url ? out_safe(&c->a, str_c(url)) : "");
	}
	out_pair("ports from", cli_num(c, p, "first_port"));
	out_pair("deploy key", cli_text(c, p, "deploy_key"));
	out_pair("https token", cli_true(p, "https_token") ? "set" : "");
	source_print_poll(p);
	const char *disk = cli_true(p, "disk_quota") ? " (quota)" : " (measured while building)";
	json_object_foreach(json_object_get(p, "limits"), limit, value)(void)
	    printf("%-12s %s %lld%s\n", "limit", out_safe(&c->a, str_c(limit)),
		(long long)json_integer_value(value), strcmp(limit, "disk_bytes") ? "" : disk);
	out_pair("made", cli_ago(c, p, "created_at"));
	out_pair("your role", cli_text(c, p, "role"));
	return 0;
}

/* Starts xdg-open and does not wait for more than its start. */
static void show_in_browser(const char *url)
{
	char *argv[] = {(char[]){"xdg-open"}, strdup(url), NULL};
	pid_t pid;
	if (argv[1] && posix_spawnp(&pid, "xdg-open", NULL, NULL, argv, environ) == 0)
		(void)waitpid(pid, NULL, 0);
	free(argv[1]);
}

int cmd_open(struct cli *c)
{
	int code = 0;
	const char *name;
	CLEANUP_JSON json_t *p = read_project(c, &name, &code);
	if (!p)
		return code;
	const json_t *urls = json_object_get(p, "urls");
	const char *url = json_string_value(json_array_get(urls, 0));
	if (!url) {
		struct err e;
		err_set(&e, ERR_NOT_FOUND, "'%s' has no address", name);
		err_hint(&e, "slipway domains add %s DOMAIN", name);
		return cli_fail(c, &e);
	}
	if (c->json)
		cli_print_json(urls);
	else
		(void)printf("%s\n", out_safe(&c->a, str_c(url)));
	bool display = getenv("DISPLAY") || getenv("WAYLAND_DISPLAY");
	bool web = strncmp(url, "http://", 7) == 0 || strncmp(url, "https://", 8) == 0;
	if (c->out.tty && !c->json && display && web)
		show_in_browser(url);
	return 0;
}

/* An older server does not count them. */
static void print_requests(struct cli *c, const json_t *r)
{
	if (cli_int(r, "total") > 0)
		(void)printf("%-12s %s since the platform started, %s failed, the last %s\n",
		    "requests", cli_num(c, r, "total"), cli_num(c, r, "failed"),
		    cli_ago(c, r, "last_at"));
}

static void print_task(struct cli *c, const json_t *t)
{
	if (!json_is_object(t))
		return;
	const char *step = cli_text(c, t, "current_step"), *state = cli_text(c, t, "state");
	bool running = strcmp(state, "running") == 0;
	const char *message = cli_text(c, json_object_get(t, "error"), "message");
	(void)printf("%-12s %s, %s%s%s%s%s, %s, by %s\n", "last task", cli_num(c, t, "id"),
	    cli_text(c, t, "kind"), " ", state, running && step[0] ? " at " : "",
	    running ? step : "", cli_ago(c, t, "created_at"), cli_text(c, t, "requested_by"));
	if (message[0])
		(void)printf("%-12s %s\n", "", message);
}

static size_t in_state(const json_t *instances, const char *state)
{
	size_t n = 0;
	for (size_t i = 0; i < json_array_size(instances); i++) {
		const char *s = cli_raw(json_array_get(instances, i), "state");
		n += s && strcmp(s, state) == 0;
	}
	return n;
}

int cmd_status(struct cli *c)
{
	int code = 0;
	const char *name;
	struct err e = {0};
	CLEANUP_JSON json_t *ps = NULL;
	CLEANUP_JSON json_t *p = read_project(c, &name, &code);
	if (!p)
		return code;
	if (cli_call(c, "GET", cli_path(c, "projects/{}/processes", name, NULL), NULL, &ps, &e) < 0)
		return cli_fail(c, &e);
	const json_t *items = json_object_get(ps, "items");
	if (c->json) {
		(void)json_object_set(p, "processes", json_object_get(ps, "items"));
		cli_print_json(p);
		return 0;
	}
	(void)printf("%-12s %s%s%s\n", cli_text(c, p, "name"), state_of(p),
	    cli_int(p, "live") ? ", release " : "", cli_num(c, p, "live"));
	out_pair("address", first_url(c, p));
	print_requests(c, json_object_get(p, "requests"));
	for (size_t i = 0; i < json_array_size(items); i++) {
		const json_t *x = json_array_get(items, i), *list = json_object_get(x, "instances");
		size_t running = in_state(list, "running"), asleep = in_state(list, "asleep");
		(void)printf("%-12s %zu of %s running%s\n", cli_text(c, x, "name"), running,
		    cli_num(c, x, "count"), asleep > 0 ? ", asleep until the next request" : "");
	}
	print_task(c, json_object_get(p, "task"));
	return 0;
}

int cmd_destroy(struct cli *c)
{
	struct err e = {0};
	size_t at = 0;
	json_t *answer = NULL;
	const char *name = cli_project(c, &at, &e);
	if (!name)
		return cli_fail(c, &e);
	if (!cli_has(c, "yes")) {
		const char *question = arena_printf(&c->a,
		    "This takes %s away: releases, data, environment, hooks, backups. %s\n"
		    "Type the project's name to go on: ",
		    name,
		    cli_has(c, "purge") ? "It cannot be undone."
					: "A sealed archive is kept for 7 days.");
		int sure = cli_ask(question ? question : "sure? ", name, &e);
		if (sure < 0)
			err_hint(&e, "slipway destroy %s --yes", name);
		else if (sure == 0)
			err_set(&e, ERR_CANCELLED, "nothing was done: that was not '%s'", name);
		if (sure <= 0)
			return cli_fail(c, &e);
	}
	const char *path =
	    cli_path(c, cli_has(c, "purge") ? "projects/{}?purge=true" : "projects/{}", name, NULL);
	if (cli_call(c, "DELETE", path, NULL, &answer, &e) < 0)
		return cli_fail(c, &e);
	struct follow_options o = {.headline = "destroy"};
	return follow_answer(c, answer, &o);
}
