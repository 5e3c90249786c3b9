#include "tree/node.h"
#include "base/clock.h"
#include "tree/child.h"
#include "tree/say.h"

#include <sys/wait.h>

#define DEADLINE_MS 30000

int node_need(const struct options *o, struct buf *report, struct err *e)
{
	struct child_words argv = {0}, env = {0};
	struct buf out CLEANUP_BUF;
	int status;
	(void)report;
	buf_init(&out, 4096);
	child_add(&argv, "node");
	child_add(&argv, "--version");
	child_add(&env, "PATH=/usr/local/bin:/usr/bin:/bin");
	struct child_spec s = {&argv, &env, NULL, clock_mono_ms() + DEADLINE_MS, false, false};
	if (child_run(&s, &out, NULL, &status, e))
		return -1;
	struct str have = str_trim(buf_view(&out)), want = o->also[0];
	if (str_starts(have, STR("v")))
		have = str_from(have, 1);
	bool same =
	    o->also_count && str_starts(have, want) && (have.n == want.n || have.p[want.n] == '.');
	if (same)
		return 0;
	return say_fail(SAY_SETTINGS, e, "Node %.*s is asked for; on this machine is %.*s",
	    STR_ARG(want), STR_ARG(have));
}
