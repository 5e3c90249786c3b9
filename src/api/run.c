/* POST /projects/{project}/run: checks, writes the audit record, hands the connection to a session.
 */
#include "api/routes.h"
#include "text/run_frame.h"
#include "api/session.h"

#include "base/limits.h"
#include "base/mem.h"
#include "model/release.h"

#include <stdio.h>
#include <stdlib.h>

static int argv_read(struct api_call *c, struct session_order *o, struct err *e)
{
	const json_t *argv = json_object_get(c->body, "argv");
	if (json_array_size(argv) == 0) {
		err_set(e, ERR_INVALID, "argv is empty");
		return err_at(e, "/argv");
	}
	for (size_t i = 0; i < json_array_size(argv); i++) {
		const json_t *v = json_array_get(argv, i);
		args_pack(&o->packed, (struct str){json_string_value(v), json_string_length(v)});
	}
	const json_t *terminal = json_object_get(c->body, "terminal");
	o->terminal = json_is_object(terminal);
	o->rows = (uint16_t)api_int(terminal, "rows", 24);
	o->cols = (uint16_t)api_int(terminal, "cols", 80);
	return buf_check(&o->packed, "argv", e);
}

/* What ran is named, its arguments are not: they may hold secrets. */
static int run_unit(struct api_call *c, struct store_db *db, void *ctx, struct err *e)
{
	int64_t live = 0, previous = 0;
	struct str program = str_c(((struct session_order *)ctx)->packed.p);
	int rc = model_live_get(db, c->who->project_id, &live, &previous, e);
	if (rc < 0)
		return -1;
	if (rc == 0 || live == 0) {
		err_set(e, ERR_CONFLICT, "nothing of '%.*s' was deployed yet",
		    STR_ARG(c->who->project));
		return err_hint(e, "slipway deploy %.*s", STR_ARG(c->who->project));
	}
	return api_audit(c, db, c->who->project, program, e);
}

static int run_check(struct api_call *c, struct session_order *o, struct err *e)
{
	if (http_header_get(c->r, "Idempotency-Key").p)
		return err_set(e, ERR_INVALID, "a run cannot be repeated by its Idempotency-Key");
	if (argv_read(c, o, e) < 0)
		return -1;
	if (!c->cx->deploy)
		return err_set(e, ERR_UNAVAILABLE, "commands cannot be run here");
	return api_write(c, run_unit, o, e);
}

int api_run_create(struct api_call *c, struct err *e)
{
	struct session_order *o = mem_alloc(sizeof(*o));
	o->cx = c->cx;
	buf_init(&o->packed, LIMIT_ARGV_BYTES);
	if (!str_copy(c->who->project, o->project, sizeof(o->project)) || run_check(c, o, e) < 0) {
		session_order_free(o);
		return -1;
	}
	c->answered = true;
	http_hijack(c->http, RUN_FRAME_PROTOCOL, session_begin, o);
	return 0;
}
