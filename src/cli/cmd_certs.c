/* `slipway certs`: certificates of projects. */
#include "cli/commands.h"

#include "base/fs.h"
#include "cli/follow.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define PEM_MAX (64u << 10)

static void row(struct cli *c, struct out_table *t, const json_t *o)
{
	const char *platform = cli_text(c, o, "platform");
	const char *whose = !platform[0]		    ? cli_text(c, o, "project")
			    : strcmp(platform, "host") == 0 ? "(platform)"
							    : "(wildcard)";
	const char *cells[] = {whose, cli_text(c, o, "origin"),
	    cli_words(c, json_object_get(o, "names")), cli_text(c, o, "not_after"),
	    cli_text(c, o, "next_try_at")};
	out_table_row(t, cells);
}

int cmd_certs_list(struct cli *c)
{
	static const char *const heads[] = {"PROJECT", "FROM", "NAMES", "UNTIL", "NEXT TRY"};
	struct err e = {0};
	CLEANUP_JSON json_t *all = NULL;
	if (cli_call(c, "GET", cli_path(c, "certificates", NULL), NULL, &all, &e) < 0)
		return cli_fail(c, &e);
	return cli_is_empty(c, all,
		   "none from outside: certificates sign themselves. Order one: slipway certs "
		   "issue NAME")
		   ? 0
		   : cli_table(c, all, 5, heads, row);
}

/* "host", "wildcard", or NULL: a project's is meant. */
static const char *own(const struct cli *c)
{
	return cli_has(c, "platform") ? "host" : cli_has(c, "wildcard") ? "wildcard" : NULL;
}

#define OWN_PATH "platform/certificates/{}"

static int print_shown(struct cli *c, const json_t *o)
{
	if (c->json) {
		cli_print_json(o);
		return 0;
	}
	out_pair("certificate", cli_text(c, o, "origin"));
	out_pair("for", cli_words(c, json_object_get(o, "names")));
	out_pair("issuer", cli_text(c, o, "issuer"));
	out_pair("serial", cli_text(c, o, "serial"));
	out_pair("from", cli_text(c, o, "not_before"));
	out_pair("until", cli_text(c, o, "not_after"));
	out_pair("next try", cli_text(c, o, "next_try_at"));
	out_pair("limited until", cli_text(c, o, "limited_until"));
	if (cli_int(o, "failures") > 0)
		(void)printf("%lld tries failed since; the last one: %s\n",
		    (long long)cli_int(o, "failures"), cli_text(c, o, "error"));
	if (cli_text(c, o, "under_way")[0])
		out_pair("under way", cli_text(c, o, "under_way"));
	return 0;
}

int cmd_certs_show(struct cli *c)
{
	struct err e = {0};
	size_t at = 0;
	CLEANUP_JSON json_t *o = NULL;
	const char *which = own(c), *name = which ? which : cli_project(c, &at, &e);
	if (!name || cli_call(c, "GET",
			 cli_path(c, which ? OWN_PATH : "projects/{}/certificate", name, NULL),
			 NULL, &o, &e) < 0)
		return cli_fail(c, &e);
	return print_shown(c, o);
}

/* ---- the platform's own: asked for, then looked at until it has ended ---- */

static int own_ended(struct cli *c, const json_t *o)
{
	bool failed = cli_int(o, "failures") > 0;
	struct str rest = str_c(cli_raw(o, "output")), line;
	while (!c->json && failed && rest.n > 0 && str_next(&rest, '\n', &line))
		(void)printf("  | %s\n", out_safe(&c->a, line));
	if (failed && !c->json)
		(void)fprintf(stderr, "slipway: %s\n", cli_text(c, o, "error"));
	int rc = print_shown(c, o);
	return failed ? CLI_EXIT_FAILED : rc;
}

static int own_order(struct cli *c, const char *method, const char *pattern, json_t *body)
{
	struct err e = {0};
	const char *which = own(c);
	json_t *o = NULL;
	int rc = cli_call(c, method, cli_path(c, pattern, which, NULL), body, &o, &e);
	while (rc == 0 && !cli_has(c, "no-wait") && cli_raw(o, "under_way")) {
		json_decref(o);
		o = NULL;
		(void)usleep(300000);
		rc = cli_call(c, "GET", cli_path(c, OWN_PATH, which, NULL), NULL, &o, &e);
	}
	rc = rc < 0 ? cli_fail(c, &e) : cli_has(c, "no-wait") ? print_shown(c, o) : own_ended(c, o);
	json_decref(o);
	return rc;
}

static int order(struct cli *c, const char *method, const char *path, json_t *body)
{
	struct err e = {0};
	json_t *answer = NULL;
	if (cli_call(c, method, path, body, &answer, &e) < 0)
		return cli_fail(c, &e);
	struct follow_options o = {.headline = "certificate"};
	return follow_answer(c, answer, &o);
}

static int sure(struct cli *c, const char *name, struct err *e)
{
	return cli_sure(c, name,
	    "This takes the certificate of %s away; browsers will warn of the one that signs "
	    "itself. Type the project's name to go on: ",
	    e);
}

static int simple(struct cli *c, const char *pattern, const char *own_pattern, bool asks)
{
	struct err e = {0};
	size_t at = 0;
	const char *name = own(c) ? "the platform" : cli_project(c, &at, &e);
	if (!name || (asks && sure(c, name, &e) != 0))
		return cli_fail(c, &e);
	json_t *body = json_object();
	if (cli_has(c, "staging"))
		(void)json_object_set_new(body, "staging", json_true());
	const char *site = args_value(&c->args, "site");
	if (site)
		(void)json_object_set_new(body, "site", json_string(site));
	if (own(c))
		return own_order(c, "POST", own_pattern, body);
	return order(c, "POST", cli_path(c, pattern, name, NULL), body);
}

int cmd_certs_issue(struct cli *c)
{
	return simple(c, "projects/{}/certificate", OWN_PATH, false);
}

int cmd_certs_renew(struct cli *c)
{
	return simple(c, "projects/{}/certificate/renew", OWN_PATH "/renew", false);
}

int cmd_certs_revoke(struct cli *c)
{
	return simple(c, "projects/{}/certificate/revoke", OWN_PATH "/revoke", true);
}

int cmd_certs_delete(struct cli *c)
{
	struct err e = {0};
	size_t at = 0;
	const char *name = own(c) ? "the platform" : cli_project(c, &at, &e);
	if (!name || sure(c, name, &e) != 0)
		return cli_fail(c, &e);
	if (own(c))
		return own_order(c, "DELETE", OWN_PATH, NULL);
	return order(c, "DELETE", cli_path(c, "projects/{}/certificate", name, NULL), NULL);
}

/* "-": standard input. In the arena of the command, which ends with it. */
static const char *read_pem(struct cli *c, const char *path, struct err *e)
{
	char *text = arena_alloc(&c->a, PEM_MAX + 1);
	if (strcmp(path, "-") == 0)
		return cli_stdin(c, PEM_MAX, e);
	CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = 0, got = 1;
	for (; text && fd >= 0 && got > 0 && n <= (ssize_t)PEM_MAX; n += got)
		got = read(fd, text + n, PEM_MAX + 1 - (size_t)n);
	if (!text || fd < 0 || got < 0 || n > (ssize_t)PEM_MAX) {
		err_set(e, ERR_USAGE, "could not read '%s', or it is longer than 64 KiB", path);
		return NULL;
	}
	text[n] = '\0';
	return text;
}

int cmd_certs_import(struct cli *c)
{
	struct err e = {0};
	size_t at = 0;
	const char *name = own(c) ? "the platform" : cli_project(c, &at, &e),
		   *chain = cli_flag(c, "chain"), *key = cli_flag(c, "key");
	if (name && (!chain || !key))
		(void)err_set(&e, ERR_USAGE, "say --chain FILE and --key FILE");
	const char *chain_text = name && chain && key ? read_pem(c, chain, &e) : NULL;
	const char *key_text = chain_text ? read_pem(c, key, &e) : NULL;
	if (!key_text)
		return cli_fail(c, &e);
	json_t *body = json_pack("{s:s, s:s}", "chain", chain_text, "key", key_text);
	if (own(c))
		return own_order(c, "PUT", OWN_PATH, body);
	return order(c, "PUT", cli_path(c, "projects/{}/certificate", name, NULL), body);
}
