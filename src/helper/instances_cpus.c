/* On which processors instances run: jobs leave the first one alone; a service that uses up its processor limit gets no more of them than
 * it can use, until it has been calm for a while (launch/processors.h has why). Nothing here fails: where the kernel or systemd
 * cannot do it, everybody runs everywhere. */
#include "base/clock.h"
#include "base/log.h"
#include "helper/instances_state.h"
#include "helper/units.h"

#include <string.h>

#define LOOK_MS 200
#define LOOKS_PER_TICK 5u /* instances; the next tick goes on with those after them */
#define THROTTLED_MIN 2u  /* periods, of a tenth of a second: who was stopped in fewer is no loop */
#define CALM_MS 10000
#define AGAIN_MS 10000 /* where there was no room for it, or systemd refused */

static struct processors ours;

void instances_cpus_open(struct instances *t)
{
	processors_find(&ours);
	t->cpus_ms = 0;
}

struct processors_range instance_cpus(const struct instance *in)
{
	return in->spec.class == PRIV_JOB ? processors_for_jobs(&ours) : in->cpus.range;
}

static bool is_confined(const struct instance *in)
{
	return in->cpus.range.last != 0;
}

/* A service that runs and has a limit. */
static bool counts(const struct instance *in)
{
	return in->spec.class == PRIV_SERVICE && in->spec.limits.cpu_milli != 0 &&
	       (in->st.pid != 0 || in->st.throttled) && in->st.state != PRIV_ENDED;
}

static bool place(struct instances *t, struct instance *in, struct processors_range r)
{
	char name[24];
	struct err e = {0};
	instance_group_name(in, name);
	if (!t->o.units)
		return in->group && cgroup_set_cpus(&t->groups, name, r);
	bool done = units_set_cpus(in, r, &e) == 0;
	if (!done)
		log_event(LOG_WARN, "keeper", "confine_failed", F_C("project", in->st.project),
		    F_ERR(&e));
	return done;
}

static void confine(struct instances *t, struct instance *in)
{
	static struct processors_load load;
	char text[PROCESSORS_TEXT_SIZE];
	size_t at = 0;
	memset(&load, 0, sizeof(load));
	for (const struct instance *other; (other = instances_next(t, &at));)
		if (is_confined(other))
			processors_add(
			    &ours, &load, other->cpus.range, other->spec.limits.cpu_milli);
	struct processors_range r = processors_for_limit(&ours, &load, in->spec.limits.cpu_milli);
	if (r.last == 0 || !place(t, in, r))
		return;
	in->cpus.range = r;
	processors_text(r, text);
	log_event(LOG_INFO, "keeper", "confined", F_C("project", in->st.project),
	    F_C("process", in->st.process), F_I64("instance", in->st.instance),
	    F_C("processors", text));
}

static void release(struct instances *t, struct instance *in)
{
	in->cpus.range = (struct processors_range){0, 0};
	if (place(t, in, in->cpus.range))
		log_event(LOG_INFO, "keeper", "released", F_C("project", in->st.project),
		    F_C("process", in->st.process), F_I64("instance", in->st.instance));
}

static void look(struct instances *t, struct instance *in, int64_t now_ms)
{
	struct cgroup_turns now = {0}, was = in->cpus.seen;
	char name[24];
	instance_group_name(in, name);
	if (t->o.units)
		units_read_turns(in, &now);
	else if (in->group)
		cgroup_read_turns(&t->groups, name, &now);
	in->cpus.seen = now;
	if (now.periods < was.periods || now.throttled < was.throttled)
		return; /* another start's */
	uint64_t periods = now.periods - was.periods, throttled = now.throttled - was.throttled;
	bool greedy = throttled >= THROTTLED_MIN && 2 * throttled >= periods;
	if (greedy)
		in->cpus.greedy_ms = now_ms;
	bool shown = greedy || (in->st.throttled && now_ms - in->cpus.greedy_ms < CALM_MS);
	if (greedy && !is_confined(in) && now_ms >= in->cpus.again_ms) {
		in->cpus.again_ms = now_ms + AGAIN_MS;
		confine(t, in);
	} else if (!shown && is_confined(in)) {
		release(t, in);
	}
	in->changed = in->changed || shown != in->st.throttled;
	in->st.throttled = shown;
}

void instance_cpus_end(const struct instances *t, struct instance *in)
{
	in->st.throttled = false;
	if (t->o.units)
		units_forget_cpus(in);
}

int64_t instances_cpus_tick(struct instances *t, int64_t now_ms)
{
	size_t at = 0, n = 0, next = t->cpus_next;
	if (now_ms < t->cpus_ms)
		return t->cpus_ms;
	t->cpus_ms = now_ms + LOOK_MS;
	for (struct instance *in; (in = instances_next(t, &at));) {
		if (!counts(in))
			continue;
		if (n >= next && n < next + LOOKS_PER_TICK)
			look(t, in, now_ms);
		n++;
	}
	t->cpus_next = next + LOOKS_PER_TICK < n ? next + LOOKS_PER_TICK : 0;
	return n > 0 ? t->cpus_ms : DEADLINE_NEVER;
}
