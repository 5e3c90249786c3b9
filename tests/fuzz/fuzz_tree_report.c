/* rooms: base loop text crypto priv launch source kinds */
/* covers: source/tree.c */
/* Any bytes as the report of a fetch, and whatever tree it tells of as the ground of a plan:
 * nothing a tenant writes may harm the daemon that reads it, and a plan that is made survives being
 * packed. */
#include "kinds/kinds.h"
#include "source/source.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void plan(const struct tree *t, struct arena *a)
{
	struct plan p, again;
	struct err e = {.code = ERR_NONE};
	const struct kinds_input in = {.tree = t, .project = STR("x")};
	if (kinds_plan(&in, a, &p, &e)) {
		if (e.code == ERR_NONE || e.msg[0] == '\0')
			abort();
		return;
	}
	struct buf b;
	buf_init(&b, 16u << 20);
	if (plan_pack(&p, &b, &e) || plan_unpack(buf_view(&b), a, &again, &e))
		if (e.code != ERR_TOO_LARGE)
			abort();
	buf_fini(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena a;
	struct source_result r;
	struct err e = {.code = ERR_NONE};
	struct str in = {(const char *)data, size};
	arena_init(&a, 16u << 20);
	if (source_read(in, &a, &r, &e) == 0)
		plan(&r.tree, &a);
	else if (e.code == ERR_NONE)
		abort();
	const struct source_spec spec = {.type = SOURCE_GIT, .url = STR("git@h:o/r")};
	source_explain(&spec, 0x100, in, &e);
	arena_fini(&a);
	return 0;
}
