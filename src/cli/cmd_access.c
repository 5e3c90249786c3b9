/* Tokens, operators, grants. */
#include "cli/commands.h"

#include "base/clock.h"
#include "base/num.h"

#define EXPIRES_MAX_MS (3650LL * 86400000)
#define LIST_MAX 10000

static void token_row(struct cli *c, struct out_table *t, const json_t *x)
{
	const char *row[] = {cli_num(c, x, "id"), cli_text(c, x, "label"),
	    cli_text(c, x, "operator"), cli_ago(c, x, "created_at"), cli_ago(c, x, "expires_at"),
	    cli_ago(c, x, "last_used_at")};
	out_table_row(t, row);
}

int cmd_tokens_list(struct cli *c)
{
	static const char *const heads[] = {
	    ">TOKEN", "LABEL", "OPERATOR", "MADE", "EXPIRES", "USED"};
	struct err e = {0};
	CLEANUP_BUF struct buf path;
	CLEANUP_JSON json_t *all = NULL;
	buf_init(&path, 1024);
	buf_c(&path, "/api/v1/tokens");
	cli_query(&path, "operator", cli_flag(c, "operator"));
	if (cli_call(c, "GET", path.p, NULL, &all, &e) < 0)
		return cli_fail(c, &e);
	return cli_table(c, all, 6, heads, token_row);
}

int cmd_tokens_create(struct cli *c)
{
	struct err e = {0};
	int64_t ms;
	char at[32];
	const char *expires = cli_flag(c, "expires"), *label = cli_flag(c, "label"),
		   *who = cli_flag(c, "operator");
	CLEANUP_JSON json_t *token = NULL;
	if (expires && !num_duration(str_c(expires), EXPIRES_MAX_MS, &ms))
		return cli_usage(c, "--expires takes a duration: 12h, 30d");
	json_t *body = json_object();
	if (expires) {
		clock_format(clock_wall_ms() + ms, at);
		(void)json_object_set_new(body, "expires_at", json_string(at));
	}
	if (label)
		(void)json_object_set_new(body, "label", json_string(label));
	if (who)
		(void)json_object_set_new(body, "operator", json_string(who));
	if (cli_call(c, "POST", "/api/v1/tokens", body, &token, &e) < 0)
		return cli_fail(c, &e);
	if (c->json)
		cli_print_json(token);
	else /* alone on standard output, so that it can go into a file */
		(void)printf("%s\n", cli_text(c, token, "token"));
	if (!c->json)
		(void)fprintf(stderr, "token %s of %s, shown once\n", cli_num(c, token, "id"),
		    cli_text(c, token, "operator"));
	return 0;
}

static int remove_one(struct cli *c, const char *path, const char *what)
{
	struct err e = {0};
	CLEANUP_JSON json_t *answer = NULL;
	if (cli_call(c, "DELETE", path, NULL, &answer, &e) < 0)
		return cli_fail(c, &e);
	if (c->json)
		cli_print_json(answer);
	else
		(void)printf(
		    "%s %s was taken away\n", what, out_safe(&c->a, str_c(c->args.words[0])));
	return 0;
}

int cmd_tokens_revoke(struct cli *c)
{
	return remove_one(c, cli_path(c, "tokens/{}", c->args.words[0], NULL), "token");
}

static void operator_row(struct cli *c, struct out_table *t, const json_t *x)
{
	const char *row[] = {cli_text(c, x, "name"), cli_text(c, x, "role"),
	    cli_true(x, "disabled") ? "disabled" : "", cli_ago(c, x, "created_at")};
	out_table_row(t, row);
}

int cmd_operators_list(struct cli *c)
{
	static const char *const heads[] = {"OPERATOR", "ROLE", "STATE", "MADE"};
	struct err e = {0};
	CLEANUP_JSON json_t *all = NULL;
	if (cli_list(c, "/api/v1/operators", LIST_MAX, &all, &e) < 0)
		return cli_fail(c, &e);
	return cli_table(c, all, 4, heads, operator_row);
}

int cmd_operators_create(struct cli *c)
{
	struct err e = {0};
	const char *role = cli_flag(c, "role"), *name = c->args.words[0];
	CLEANUP_JSON json_t *answer = NULL;
	json_t *body = json_object();
	(void)json_object_set_new(body, "name", json_string(name));
	if (role)
		(void)json_object_set_new(body, "role", json_string(role));
	if (cli_call(c, "POST", "/api/v1/operators", body, &answer, &e) < 0)
		return cli_fail(c, &e);
	if (c->json)
		cli_print_json(answer);
	else
		(void)printf("%s was made, role %s\nnext: slipway tokens create --operator %s\n",
		    cli_text(c, answer, "name"), cli_text(c, answer, "role"),
		    cli_text(c, answer, "name"));
	return 0;
}

int cmd_operators_delete(struct cli *c)
{
	struct err e = {0};
	const char *name = c->args.words[0];
	if (!cli_has(c, "yes")) {
		int sure =
		    cli_ask("This takes the operator away, with tokens and grants. Type the name "
			    "to go on: ",
			name, &e);
		if (sure < 0)
			err_hint(&e, "say --yes");
		else if (sure == 0)
			err_set(&e, ERR_CANCELLED, "nothing was done: that was not the name");
		if (sure <= 0)
			return cli_fail(c, &e);
	}
	return remove_one(c, cli_path(c, "operators/{}", name, NULL), "operator");
}

static void grant_row(struct cli *c, struct out_table *t, const json_t *x)
{
	const char *row[] = {
	    cli_text(c, x, "operator"), cli_text(c, x, "project"), cli_text(c, x, "role")};
	out_table_row(t, row);
}

int cmd_grants_list(struct cli *c)
{
	static const char *const heads[] = {"OPERATOR", "PROJECT", "ROLE"};
	struct err e = {0};
	CLEANUP_JSON json_t *all = NULL;
	if (cli_call(c, "GET", "/api/v1/grants", NULL, &all, &e) < 0)
		return cli_fail(c, &e);
	return cli_is_empty(
		   c, all, "no grants yet. Give one: slipway grants set OPERATOR PROJECT ROLE")
		   ? 0
		   : cli_table(c, all, 3, heads, grant_row);
}

int cmd_grants_set(struct cli *c)
{
	struct err e = {0};
	CLEANUP_JSON json_t *answer = NULL;
	json_t *body = json_pack("{s:s, s:s, s:s}", "operator", c->args.words[0], "project",
	    c->args.words[1], "role", c->args.words[2]);
	if (!body)
		return cli_usage(c, "a name is not UTF-8");
	if (cli_call(c, "POST", "/api/v1/grants", body, &answer, &e) < 0)
		return cli_fail(c, &e);
	if (c->json)
		cli_print_json(answer);
	else
		(void)printf("%s is %s of %s\n", cli_text(c, answer, "operator"),
		    cli_text(c, answer, "role"), cli_text(c, answer, "project"));
	return 0;
}

int cmd_grants_remove(struct cli *c)
{
	return remove_one(
	    c, cli_path(c, "grants/{}/{}", c->args.words[0], c->args.words[1], NULL), "grant of");
}
