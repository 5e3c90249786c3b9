/* The environment and the host names of a project. */
#include "cli/commands.h"
#include "cli/follow.h"

#include "base/name.h"

#include <ctype.h>
#include <string.h>

#define VALUE_MAX 65536

static void variable_row(struct cli *c, struct out_table *t, const json_t *v)
{
	const char *row[] = {cli_text(c, v, "key"),
	    cli_true(v, "secret") ? "(secret)" : cli_text(c, v, "value"),
	    cli_true(v, "build") ? "yes" : "", cli_ago(c, v, "set_at")};
	out_table_row(t, row);
}

int cmd_env_list(struct cli *c)
{
	static const char *const heads[] = {"KEY", "VALUE", "BUILD", "SET"};
	struct err e = {0};
	size_t at = 0;
	CLEANUP_JSON json_t *all = NULL;
	const char *name = cli_project(c, &at, &e);
	if (!name ||
	    cli_call(c, "GET", cli_path(c, "projects/{}/env", name, NULL), NULL, &all, &e) < 0)
		return cli_fail(c, &e);
	return cli_is_empty(c, all, "no variables yet. Set one: slipway env set NAME KEY=VALUE")
		   ? 0
		   : cli_table(c, all, 4, heads, variable_row);
}

static int changed(struct cli *c, const json_t *answer, const char *name)
{
	if (c->json)
		cli_print_json(answer);
	else
		(void)printf(
		    "environment of %s is version %s; the next release has it: slipway deploy %s "
		    "--force\n",
		    name, cli_num(c, answer, "version"), name);
	return 0;
}

/* KEY=VALUE into the body; KEY=- takes standard input, once. */
static int add_variable(
    struct cli *c, json_t *body, const char *word, bool *stdin_used, struct err *e)
{
	char key[160];
	const char *equals = strchr(word, '='), *value = equals ? equals + 1 : NULL;
	if (!equals)
		return err_set(e, ERR_USAGE, "'%.60s' is not KEY=VALUE", word);
	struct str name = {word, (size_t)(equals - word)};
	if (name_env_key(name, e) < 0 || !str_copy(name, key, sizeof(key)))
		return -1;
	if (strcmp(value, "-") == 0) {
		if (*stdin_used)
			return err_set(
			    e, ERR_USAGE, "only one variable can come from standard input");
		*stdin_used = true;
		value = cli_stdin(c, VALUE_MAX, e);
		if (!value)
			return -1;
	}
	json_t *text = json_string(value);
	if (!text)
		return err_set(e, ERR_INVALID, "the value of '%s' is not UTF-8", key);
	json_t *v = json_object();
	(void)json_object_set_new(v, "value", text);
	(void)json_object_set_new(v, "secret", json_boolean(!cli_has(c, "plain")));
	if (cli_has(c, "build"))
		(void)json_object_set_new(v, "build", json_true());
	return json_object_set_new(body, key, v) < 0 ? err_set(e, ERR_INVALID, "a key is not UTF-8")
						     : 0;
}

int cmd_env_set(struct cli *c)
{
	struct err e = {0};
	bool stdin_used = false;
	size_t at = strchr(c->args.words[0], '=') ? c->args.word_count : 0;
	size_t first = at || cli_flag(c, "project") ? 0 : 1;
	const char *name = cli_project(c, &at, &e);
	if (!name)
		return cli_fail(c, &e);
	if (first == c->args.word_count)
		return cli_usage(c, "something is missing: KEY=VALUE");
	json_t *body = json_object(), *answer = NULL;
	for (size_t i = first; i < c->args.word_count; i++)
		if (add_variable(c, body, c->args.words[i], &stdin_used, &e) < 0) {
			json_decref(body);
			return cli_fail(c, &e);
		}
	if (cli_call(c, "PUT", cli_path(c, "projects/{}/env", name, NULL), body, &answer, &e) < 0)
		return cli_fail(c, &e);
	int code = changed(c, answer, name);
	json_decref(answer);
	return code;
}

/* With two words or more, a first one that could be a project's name is one. */
static bool names_project(const struct cli *c)
{
	return !cli_flag(c, "project") && c->args.word_count > 1 &&
	       name_project(str_c(c->args.words[0]), NULL) == 0;
}

int cmd_env_unset(struct cli *c)
{
	struct err e = {0};
	bool named = names_project(c);
	size_t at = named ? 0 : c->args.word_count;
	const char *name = cli_project(c, &at, &e);
	json_t *body = json_object(), *answer = NULL;
	for (size_t i = named ? 1 : 0; i < c->args.word_count; i++) {
		json_t *v = json_object();
		(void)json_object_set_new(v, "value", json_null());
		(void)json_object_set_new(body, c->args.words[i], v);
	}
	if (!name) {
		json_decref(body);
		return cli_fail(c, &e);
	}
	if (cli_call(c, "PUT", cli_path(c, "projects/{}/env", name, NULL), body, &answer, &e) < 0)
		return cli_fail(c, &e);
	int code = changed(c, answer, name);
	json_decref(answer);
	return code;
}

static void domain_row(struct cli *c, struct out_table *t, const json_t *d)
{
	const char *row[] = {cli_text(c, d, "domain"), cli_ago(c, d, "created_at")};
	out_table_row(t, row);
}

int cmd_domains_list(struct cli *c)
{
	static const char *const heads[] = {"DOMAIN", "SINCE"};
	struct err e = {0};
	size_t at = 0;
	CLEANUP_JSON json_t *all = NULL;
	const char *name = cli_project(c, &at, &e);
	if (!name ||
	    cli_call(c, "GET", cli_path(c, "projects/{}/domains", name, NULL), NULL, &all, &e) < 0)
		return cli_fail(c, &e);
	return cli_is_empty(c, all,
		   "no domains beyond its own. Claim one: slipway domains add NAME "
		   "shop.example.org")
		   ? 0
		   : cli_table(c, all, 2, heads, domain_row);
}

int cmd_domains_add(struct cli *c)
{
	struct err e = {0};
	json_t *answer = NULL;
	const char *domain, *name = cli_project_thing(c, &domain, &e);
	if (!name || cli_call(c, "POST", cli_path(c, "projects/{}/domains", name, NULL),
			 json_pack("{s:s}", "domain", domain), &answer, &e) < 0)
		return cli_fail(c, &e);
	if (!c->json)
		(void)printf("%s belongs to %s\n", cli_text(c, answer, "domain"), name);
	if (!cli_int(answer, "task")) {
		if (c->json)
			cli_print_json(answer);
		json_decref(answer);
		return 0;
	}
	struct follow_options o = {.quiet = !c->json};
	return follow_answer(c, answer, &o);
}

int cmd_domains_remove(struct cli *c)
{
	struct err e = {0};
	json_t *answer = NULL;
	const char *domain, *name = cli_project_thing(c, &domain, &e);
	if (!name ||
	    cli_call(c, "DELETE", cli_path(c, "projects/{}/domains/{}", name, domain, NULL), NULL,
		&answer, &e) < 0)
		return cli_fail(c, &e);
	if (!c->json)
		(void)printf("%s was given up\n", out_safe(&c->a, str_c(domain)));
	if (!cli_int(answer, "task")) {
		if (c->json)
			cli_print_json(answer);
		json_decref(answer);
		return 0;
	}
	struct follow_options o = {.quiet = !c->json};
	return follow_answer(c, answer, &o);
}
