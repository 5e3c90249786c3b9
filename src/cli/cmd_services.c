/* `slipway services`: databases and brokers made for a project. */
#include "cli/commands.h"

#include "cli/follow.h"

#include <string.h>

static void row(struct cli *c, struct out_table *t, const json_t *o)
{
	const char *cells[] = {cli_text(c, o, "name"), cli_text(c, o, "type"),
	    cli_text(c, o, "called"), cli_true(o, "made") ? "made" : "wanted",
	    cli_words(c, json_object_get(o, "variables"))};
	out_table_row(t, cells);
}

int cmd_services_list(struct cli *c)
{
	static const char *const heads[] = {"SERVICE", "TYPE", "CALLED", "STATE", "VARIABLES"};
	struct err e = {0};
	size_t at = 0;
	CLEANUP_JSON json_t *all = NULL;
	const char *name = cli_project(c, &at, &e);
	if (!name ||
	    cli_call(c, "GET", cli_path(c, "projects/{}/services", name, NULL), NULL, &all, &e) < 0)
		return cli_fail(c, &e);
	return cli_is_empty(c, all,
		   "no services. Have one made: slipway services add NAME postgres, or rabbitmq")
		   ? 0
		   : cli_table(c, all, 5, heads, row);
}

int cmd_services_add(struct cli *c)
{
	struct err e = {0};
	CLEANUP_JSON json_t *o = NULL;
	const char *type, *name = cli_project_thing(c, &type, &e), *called = cli_flag(c, "name");
	if (!name)
		return cli_fail(c, &e);
	json_t *body = json_pack("{s:s}", "type", type);
	if (called)
		(void)json_object_set_new(body, "name", json_string(called));
	if (cli_call(c, "POST", cli_path(c, "projects/{}/services", name, NULL), body, &o, &e) < 0)
		return cli_fail(c, &e);
	if (c->json) {
		cli_print_json(o);
		return 0;
	}
	out_pair("service", cli_text(c, o, "name"));
	out_pair("called", cli_text(c, o, "called"));
	out_pair("variables", cli_words(c, json_object_get(o, "variables")));
	(void)printf("\nnext: slipway deploy %s --force\n", name);
	return 0;
}

int cmd_services_credentials(struct cli *c)
{
	struct err e = {0};
	CLEANUP_JSON json_t *o = NULL;
	const char *service, *name = cli_project_thing(c, &service, &e);
	if (!name || cli_call(c, "POST",
			 cli_path(c, "projects/{}/services/{}/credentials", name, service, NULL),
			 json_object(), &o, &e) < 0)
		return cli_fail(c, &e);
	if (c->json)
		cli_print_json(o);
	else
		(void)printf("%s\n", cli_text(c, o, "url"));
	return 0;
}

/* What is lost depends on what it is: a database may be in an archive. One that is not there is nobody's loss. */
static int sure(struct cli *c, const char *name, const char *service, struct err *e)
{
	CLEANUP_JSON json_t *all = NULL;
	size_t i;
	json_t *o;
	bool broker = false;
	if (cli_has(c, "yes"))
		return 0;
	if (cli_call(c, "GET", cli_path(c, "projects/{}/services", name, NULL), NULL, &all, e) < 0)
		return -1;
	json_array_foreach(json_object_get(all, "items"), i,
	    o) if (strcmp(cli_text(c, o, "name"), service) == 0) broker =
	    strcmp(cli_text(c, o, "type"), "rabbitmq") == 0;
	return cli_sure(c, name,
	    broker
		? "This deletes the broker of %s with all that waits in its queues; no archive has "
		  "a copy. Type the project's name to go on: "
		: "This drops the database of %s with all that is in it; 'slipway backup' keeps a "
		  "copy. Type the project's name to go on: ",
	    e);
}

int cmd_services_remove(struct cli *c)
{
	struct err e = {0};
	CLEANUP_JSON json_t *o = NULL;
	const char *service, *name = cli_project_thing(c, &service, &e);
	if (!name || sure(c, name, service, &e) != 0 ||
	    cli_call(c, "DELETE",
		cli_path(c,
		    cli_has(c, "purge") ? "projects/{}/services/{}?purge=true"
					: "projects/{}/services/{}",
		    name, service, NULL),
		NULL, &o, &e) < 0)
		return cli_fail(c, &e);
	if (c->json)
		cli_print_json(o);
	else
		(void)printf("%s is gone\n", out_safe(&c->a, str_c(service)));
	return 0;
}
