/* The web server that faces the world, asked to read everything anew. */
#include "api/routes.h"
#include "api/wait.h"

#include "base/clock.h"

/* The helper answers within less, however many vhosts there are. */
enum { RELOAD_MS = 900000 };

static int reloaded_unit(struct api_call *c, struct store_db *db, void *ctx, struct err *e)
{
	const int64_t *ms = ctx;
	if (api_audit(c, db, STR("edge"), STR_NONE, e) < 0)
		return -1;
	json_open_object(&c->w, NULL);
	json_put_i64(&c->w, "duration_ms", *ms);
	json_close_object(&c->w);
	return 0;
}

int api_edge_reload(struct api_call *c, struct err *e)
{
	const struct priv_request q = {.op = PRIV_EDGE_RELOAD};
	if (!c->cx->run)
		return err_set(e, ERR_UNSUPPORTED, "this platform has no web server");
	int64_t begun = clock_mono_ms();
	if (api_ask_helper(c, &q, RELOAD_MS, e) != 0)
		return -1;
	int64_t ms = clock_mono_ms() - begun;
	return api_write(c, reloaded_unit, &ms, e);
}
