/* The web server that faces the world, asked to read everything anew. */
#include "api/routes.h"
#include "api/wait.h"

#include "base/clock.h"
#include "base/mem.h"
#include "edge/edge.h"

/* The helper answers within less, however many vhosts there are. */
enum { RELOAD_MS = 900000 };

struct reload {
	struct api_wait wait;
	struct run *run;
	bool failed;
	struct err why;
};

static void reload_answered(void *ctx, uint64_t value, const struct err *e)
{
	(void)value;
	struct reload *r = ctx;
	r->failed = e != NULL;
	if (e)
		r->why = *e;
	api_wait_answer(&r->wait);
}

static void reload_ask(void *ctx)
{
	struct reload *r = ctx;
	edge_reload(r->run, reload_answered, r);
}

static int reload(const struct api_call *c, struct err *e)
{
	struct reload *r = mem_alloc(sizeof(*r));
	*r = (struct reload){.run = c->cx->run};
	api_wait_init(&r->wait);
	loop_post(c->cx->loop, reload_ask, r);
	int rc = 0;
	if (!api_wait_for(&r->wait, RELOAD_MS)) {
		rc = err_set(e, ERR_UNAVAILABLE, "the web server did not answer");
	} else if (r->failed) {
		*e = r->why;
		rc = -1;
	}
	api_wait_release(&r->wait);
	return rc;
}

struct reloaded {
	int64_t ms;
};

static int reloaded_unit(struct api_call *c, struct store_db *db, void *ctx, struct err *e)
{
	const struct reloaded *o = ctx;
	if (api_audit(c, db, STR("edge"), STR_NONE, e) < 0)
		return -1;
	json_open_object(&c->w, NULL);
	json_put_i64(&c->w, "duration_ms", o->ms);
	json_close_object(&c->w);
	return 0;
}

int api_edge_reload(struct api_call *c, struct err *e)
{
	if (!c->cx->run)
		return err_set(e, ERR_UNSUPPORTED, "this platform has no web server");
	int64_t begun = clock_mono_ms();
	if (reload(c, e) != 0)
		return -1;
	struct reloaded o = {.ms = clock_mono_ms() - begun};
	return api_write(c, reloaded_unit, &o, e);
}
