/* `slipway edge`: the web server that faces the world. */
#include "cli/commands.h"

int cmd_edge_reload(struct cli *c)
{
	struct err e = {0};
	CLEANUP_JSON json_t *o = NULL;
	if (cli_call(c, "POST", cli_path(c, "platform/edge/reload", NULL), json_object(), &o, &e) <
	    0)
		return cli_fail(c, &e);
	if (c->json)
		cli_print_json(o);
	else
		(void)printf("read anew in %lld ms\n", (long long)cli_int(o, "duration_ms"));
	return 0;
}
