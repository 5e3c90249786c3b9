#include "kinds/kind.h"

static bool detect(struct kind_work *w)
{
	if (kind_has(w, "Procfile"))
		kind_reason(w, "Procfile");
	else if (w->m.process_count)
		kind_reason(w, "processes in slipway.yaml");
	else
		return false;
	return true;
}

/* The processes themselves are merged in for every kind; here only what they need installed. */
static void plan(struct kind_work *w)
{
	kind_python_install(w, NULL);
	if (w->m.build_count == 0)
		kind_node_install(w, false);
}

const struct kind kind_command = {MANIFEST_KIND_COMMAND, detect, plan};
