/* Instances that systemd runs: started by name, supplied when they ask, ended when they say so. */
#include "base/clock.h"
#include "helper/instances_state.h"
#include "helper/units.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

#define SUPPLY_MS 30000 /* a unit that has not asked by then is stopped */
#define GONE_MS 15000	/* a unit whose process has gone and that tells no end has ended */

int instance_start_unit(struct instances *t, struct instance *in, struct err *e)
{
	in->supplied = false;
	in->gone_ms = 0;
	in->seen = (struct cgroup_events){0};
	struct device_node nodes[DEVICE_NODES_MAX];
	size_t node_count;
	if (instance_nodes(&t->o, in, nodes, &node_count, e) != 0)
		return -1;
	in->unit = true; /* before it is: a helper that comes after us must know of it */
	if (units_start(&t->o, in, nodes, node_count, e) != 0) {
		in->unit = false;
		return -1;
	}
	instance_count_start(in, 0); /* who it is we hear when it asks */
	in->supply_ms = (int64_t)in->st.started_mono_ms + SUPPLY_MS;
	return 0;
}

static int supply(struct instances *t, struct instance *in, pid_t pid, int conn, struct err *e)
{
	struct guest g;
	struct supply s = {.terminal = in->spec.terminal != 0};
	const bool terminal = s.terminal;
	const int fds[SUPPLY_FD_COUNT] = {
	    [SUPPLY_STDIN] = in->fd[INSTANCE_STDIN],
	    [SUPPLY_STDOUT] = terminal			     ? in->fd[INSTANCE_STDIN]
			      : in->fd[INSTANCE_STDOUT] >= 0 ? in->fd[INSTANCE_STDOUT]
							     : in->out_write,
	    [SUPPLY_STDERR] = terminal ? in->fd[INSTANCE_STDIN] : in->out_write,
	    [SUPPLY_LISTEN] = in->fd[INSTANCE_LISTEN],
	    [SUPPLY_ARGV] = in->fd[INSTANCE_ARGV],
	    [SUPPLY_ENV] = in->fd[INSTANCE_ENV],
	    [SUPPLY_SECRET] = in->fd[INSTANCE_SECRET],
	};
	memcpy(s.fds, fds, sizeof(fds));
	if (instance_fill_guest(t, in, &g, e) != 0 || supply_give(conn, &g, &s, e) != 0)
		return -1;
	in->supplied = true;
	in->supply_ms = 0;
	in->st.pid = pid;
	in->changed = true;
	if (in->st.class == PRIV_JOB)
		instance_close_kept(in);
	return 0;
}

int instances_asked(struct instances *t, const struct supply_question *q, uid_t uid, pid_t pid,
    int conn, struct err *e)
{
	struct instance *in = instances_find(t, q->key);
	if (!in || !in->unit)
		return err_set(e, ERR_NOT_FOUND, "there is no such unit");
	if (q->op == SUPPLY_ENDED && uid == 0) {
		instance_ended(t, in, q->wait_status, q->events, clock_mono_ms());
		return 0;
	}
	if (q->op != SUPPLY_TAKE || in->supplied ||
	    uid != tenant_uid(t->o.roots, in->user_number) || !units_owns(in, pid))
		return err_set(e, ERR_FORBIDDEN, "that is not for whoever asks");
	return supply(t, in, pid, conn, e);
}

void instance_look_after_unit(struct instances *t, struct instance *in, int64_t now_ms)
{
	if (in->supply_ms != 0 && now_ms >= in->supply_ms) {
		in->supply_ms = now_ms + SUPPLY_MS;
		units_kill(in);
		units_stop(in);
	}
	if (in->st.pid == 0 || kill(in->st.pid, 0) == 0 || errno == EPERM)
		return;
	if (in->gone_ms == 0)
		in->gone_ms = now_ms + in->spec.stop_timeout_ms + GONE_MS;
	else if (now_ms >= in->gone_ms)
		instance_ended(t, in, SIGKILL, in->seen, now_ms);
}
