/* Hooks at GitHub: where it is asked for what it could not deliver. */
#include "cli/commands.h"

#include "base/num.h"

#include <string.h>
#include <time.h>

#define GITHUB_TOKEN_MAX 1024
#define CATCH_UP_PAUSE_MS 100
#define CATCH_UP_TRIES 600

/* "anna/shop, 2 of 2 asked for again 3 minutes ago" */
void hook_github_print(struct cli *c, const json_t *github)
{
	const char *error = cli_text(c, github, "error"), *due = cli_text(c, github, "due_at");
	if (!github || json_is_null(github))
		return;
	(void)printf("  github   %s", cli_text(c, github, "repository"));
	if (cli_text(c, github, "ended_at")[0])
		(void)printf(": %s of %s failed deliveries asked for again, %s",
		    cli_num(c, github, "asked"), cli_num(c, github, "found"),
		    cli_ago(c, github, "ended_at"));
	(void)printf("\n");
	if (error[0])
		(void)printf("           %s\n", error);
	if (due[0])
		(void)printf("           asked next at %s\n", due);
}

void hook_addresses_print(struct cli *c, const json_t *known)
{
	const char *error = cli_text(c, known, "error");
	if (!known)
		return;
	(void)printf("           github: %s ranges, %s", cli_num(c, known, "ranges"),
	    cli_text(c, known, "fetched_at")[0] ? "as GitHub said" : "those built in");
	if (cli_text(c, known, "fetched_at")[0])
		(void)printf(" %s", cli_ago(c, known, "fetched_at"));
	(void)printf("%s%s\n", error[0] ? "; the last try changed nothing: " : "", error);
}

int hook_github_put(struct cli *c, json_t *body, struct err *e)
{
	const char *repository = cli_flag(c, "github"), *hook = cli_flag(c, "github-hook"),
		   *api = cli_flag(c, "github-api");
	bool token = cli_has(c, "github-token-stdin");
	int64_t n;
	if (!repository && !hook && !api && !token)
		return 0;
	if (repository && strcmp(repository, "none") == 0)
		return json_object_set_new(body, "github", json_null());
	if (token && cli_has(c, "secret-stdin"))
		return err_set(e, ERR_USAGE,
		    "standard input holds one secret: --secret-stdin or "
		    "--github-token-stdin");
	json_t *o = json_object();
	(void)json_object_set_new(body, "github", o);
	if (repository)
		(void)json_object_set_new(o, "repository", json_string(repository));
	if (api)
		(void)json_object_set_new(o, "api", json_string(api));
	if (hook && cli_number(hook, "--github-hook", 1, INT64_MAX, &n, e) < 0)
		return -1;
	if (hook)
		(void)json_object_set_new(o, "hook_id", json_integer(n));
	const char *said = token ? cli_stdin(c, GITHUB_TOKEN_MAX, e) : NULL;
	if (said)
		(void)json_object_set_new(o, "token", json_string(said));
	return token && !said ? -1 : 0;
}

/* Until it has ended, or for a minute: it goes on without us. */
static int catch_up_follow(struct cli *c, const char *path, json_t **hook, struct err *e)
{
	const struct timespec pause = {.tv_nsec = CATCH_UP_PAUSE_MS * 1000000L};
	for (size_t i = 0; i < CATCH_UP_TRIES; i++) {
		const json_t *github = json_object_get(*hook, "github");
		/* an error with a time: it waits for its next try */
		if (!cli_text(c, github, "due_at")[0] || cli_text(c, github, "error")[0])
			return 0;
		(void)nanosleep(&pause, NULL);
		json_decref(*hook);
		*hook = NULL;
		if (cli_call(c, "GET", path, NULL, hook, e) < 0)
			return -1;
	}
	return 0;
}

int cmd_hooks_catch_up(struct cli *c)
{
	struct err e = {0};
	CLEANUP_JSON json_t *hook = NULL;
	int64_t ms;
	json_t *body = json_object();
	const char *thing, *name = cli_project_thing(c, &thing, &e), *since = cli_flag(c, "since");
	if (since && !num_duration(str_c(since), 259200000, &ms)) {
		err_set(&e, ERR_USAGE, "--since wants a duration up to 3d");
		name = NULL;
	} else if (since) {
		(void)json_object_set_new(body, "since_ms", json_integer(ms));
	}
	if (cli_has(c, "refused"))
		(void)json_object_set_new(body, "refused", json_true());
	if (!name) {
		json_decref(body);
		return cli_fail(c, &e);
	}
	const char *path = cli_path(c, "projects/{}/hooks/{}", name, thing, NULL);
	if (cli_call(c, "POST", cli_path(c, "projects/{}/hooks/{}/catch-up", name, thing, NULL),
		body, &hook, &e) < 0 ||
	    (!cli_has(c, "no-wait") && catch_up_follow(c, path, &hook, &e) < 0))
		return cli_fail(c, &e);
	const json_t *github = json_object_get(hook, "github");
	bool failed = strcmp(cli_text(c, github, "state"), "failed") == 0;
	if (c->json)
		cli_print_json(hook);
	else
		hook_github_print(c, github);
	return failed ? 1 : 0;
}
