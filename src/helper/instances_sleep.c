/* Services that sleep until somebody knocks at a listening socket, which stays here. */
#include "base/clock.h"
#include "helper/instances_state.h"

#include <string.h>
#include <sys/epoll.h>

#define KNOCKS_MAX 16

static bool of_one_release(const struct instance *a, const struct instance *b)
{
	return a->st.release == b->st.release && strcmp(a->st.project, b->st.project) == 0;
}

/* b is the program behind the relay a. */
static bool is_behind(const struct instance *a, const struct instance *b)
{
	return a->st.program == PRIV_PROGRAM_RELAY && b->st.program == PRIV_PROGRAM_TENANT &&
	       b->st.class == PRIV_SERVICE && a->st.instance == b->st.instance &&
	       of_one_release(a, b) && strcmp(a->st.process, b->st.process) == 0;
}

static void lie_down(struct instances *t, struct instance *in)
{
	bool runs = (in->st.state == PRIV_RUNNING || in->st.state == PRIV_STARTING) &&
		    (in->st.pid != 0 || in->unit);
	uint32_t patience =
	    in->spec.stop_timeout_ms ? in->spec.stop_timeout_ms : INSTANCES_STOP_DEFAULT_MS;
	in->sleeping = true;
	if (runs)
		instance_ask_end(in, clock_mono_ms() + patience);
	else if (in->st.state == PRIV_BACKOFF)
		instance_fall_asleep(t, in);
}

int instances_sleep(struct instances *t, struct instance *in, struct err *e)
{
	if (in->st.state == PRIV_ASLEEP || in->sleeping)
		return 0;
	if (in->st.class != PRIV_SERVICE || in->fd[INSTANCE_LISTEN] < 0 || in->stopping ||
	    t->knocks < 0)
		return err_set(e, ERR_CONFLICT, "'%s.%u' of '%s' cannot sleep: it %s",
		    in->st.process, in->st.instance, in->st.project,
		    in->stopping ? "is being stopped" : "does not listen");
	lie_down(t, in);
	return 0;
}

int instance_hear_knock(struct instances *t, const struct instance *in)
{
	struct epoll_event ev = {.events = EPOLLIN, .data.u64 = in->st.id};
	return in->fd[INSTANCE_LISTEN] < 0
		   ? 0
		   : epoll_ctl(t->knocks, EPOLL_CTL_ADD, in->fd[INSTANCE_LISTEN], &ev);
}

void instance_fall_asleep(struct instances *t, struct instance *in)
{
	in->sleeping = false;
	in->restart_ms = in->kill_ms = 0;
	in->failures = 0;
	instance_set_state(in, PRIV_ASLEEP);
	/* Somebody who cannot be heard must not sleep. */
	if (instance_hear_knock(t, in) != 0) {
		instance_restart(t, in, clock_mono_ms());
		return;
	}
	size_t at = 0;
	for (struct instance *other; (other = instances_next(t, &at));)
		if (is_behind(in, other) && !other->stopping)
			lie_down(t, other);
}

void instance_forget_knock(struct instances *t, const struct instance *in)
{
	if (in->st.state == PRIV_ASLEEP && in->fd[INSTANCE_LISTEN] >= 0)
		(void)epoll_ctl(t->knocks, EPOLL_CTL_DEL, in->fd[INSTANCE_LISTEN], NULL);
}

int instances_knock_fd(const struct instances *t)
{
	return t->knocks;
}

/* One that is still ending starts again by itself when it is no longer to sleep. */
static void wake(struct instances *t, struct instance *in)
{
	in->sleeping = false;
	if (in->st.state != PRIV_ASLEEP)
		return;
	instance_forget_knock(t, in);
	in->st.starts--; /* a rest is no restart */
	instance_restart(t, in, clock_mono_ms());
}

void instances_knocked(struct instances *t)
{
	struct epoll_event events[KNOCKS_MAX];
	int n = epoll_wait(t->knocks, events, KNOCKS_MAX, 0);
	for (int i = 0; i < n; i++) {
		struct instance *in = instances_find(t, events[i].data.u64), *other;
		size_t at = 0;
		while (in && (other = instances_next(t, &at)))
			if (of_one_release(in, other) && other->st.class == PRIV_SERVICE)
				wake(t, other);
	}
}
