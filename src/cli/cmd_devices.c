/* `slipway devices`: which devices of the server a project's programs may open. */
#include "cli/commands.h"
#include "cli/follow.h"

static void row(struct cli *c, struct out_table *t, const json_t *o)
{
	const char *cells[] = {
	    cli_text(c, o, "device"), cli_text(c, o, "granted_by"), cli_ago(c, o, "granted_at")};
	out_table_row(t, cells);
}

int cmd_devices_list(struct cli *c)
{
	static const char *const heads[] = {"DEVICE", "GRANTED BY", "SINCE"};
	struct err e = {0};
	size_t at = 0;
	CLEANUP_JSON json_t *all = NULL;
	const char *name = cli_project(c, &at, &e);
	if (!name ||
	    cli_call(c, "GET", cli_path(c, "projects/{}/devices", name, NULL), NULL, &all, &e) < 0)
		return cli_fail(c, &e);
	return cli_is_empty(c, all, "no devices. Grant one: slipway devices grant NAME gpu")
		   ? 0
		   : cli_table(c, all, 3, heads, row);
}

int cmd_devices_grant(struct cli *c)
{
	struct err e = {0};
	CLEANUP_JSON json_t *all = NULL;
	const char *device, *name = cli_project_thing(c, &device, &e);
	if (!name || cli_call(c, "PUT", cli_path(c, "projects/{}/devices/{}", name, device, NULL),
			 json_object(), &all, &e) < 0)
		return cli_fail(c, &e);
	if (c->json)
		cli_print_json(all);
	else
		(void)printf("%s may use %s. Its slipway.yaml says so, too:\n\n  devices: [%s]\n\n"
			     "next: slipway deploy %s --force\n",
		    name, device, device, name);
	return 0;
}

int cmd_devices_revoke(struct cli *c)
{
	struct err e = {0};
	json_t *answer = NULL;
	const char *device, *name = cli_project_thing(c, &device, &e);
	if (!name ||
	    cli_call(c, "DELETE", cli_path(c, "projects/{}/devices/{}", name, device, NULL), NULL,
		&answer, &e) < 0)
		return cli_fail(c, &e);
	if (!c->json)
		(void)printf("%s may not use %s any more%s\n", name, device,
		    cli_int(answer, "task") ? "; it starts anew, without" : "");
	struct follow_options o = {.quiet = !c->json};
	if (cli_int(answer, "task"))
		return follow_answer(c, answer, &o);
	if (c->json)
		cli_print_json(answer);
	json_decref(answer);
	return 0;
}
