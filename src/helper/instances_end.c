/* How an instance ends: killed, reaped, started again after a pause, or for good, and what limit it met. */
#include "base/log.h"
#include "helper/instances_state.h"
#include "helper/leftovers.h"
#include "helper/units.h"

#include <signal.h>
#include <sys/wait.h>

void instance_kill(struct instances *t, struct instance *in)
{
	char name[24], key[GUEST_KEY_MAX + 1];
	pid_t pid = in->st.pid;
	if (in->unit) {
		units_kill(in);
		return;
	}
	if (pid > 0)
		(void)kill(-pid, SIGKILL);
	if (in->group) {
		instance_group_name(in, name);
		(void)cgroup_kill(&t->groups, name);
	} else if (pid > 0) {
		(void)leftovers_kill(pid, instance_key(t, in, key));
	}
}

static struct cgroup_events read_events(const struct instances *t, const struct instance *in)
{
	struct cgroup_events now = in->seen;
	char name[24];
	instance_group_name(in, name);
	if (in->group)
		cgroup_read_events(&t->groups, name, &now);
	return now;
}

static enum priv_limit_hit which_limit(struct instance *in, int status, struct cgroup_events now)
{
	if (in->st.limit_hit != PRIV_LIMIT_NONE || in->disk.over)
		return in->disk.over ? PRIV_LIMIT_DISK : (enum priv_limit_hit)in->st.limit_hit;
	bool memory = now.oom_kills > in->seen.oom_kills,
	     tasks = now.tasks_refused > in->seen.tasks_refused;
	in->seen = now;
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGXFSZ)
		return PRIV_LIMIT_DISK;
	if (status == 0)
		return PRIV_LIMIT_NONE;
	if (memory)
		return PRIV_LIMIT_MEMORY;
	return tasks ? PRIV_LIMIT_TASKS : PRIV_LIMIT_NONE;
}

void instance_finish(struct instances *t, struct instance *in)
{
	char name[24], tmp[GUEST_TMP_MAX];
	instance_group_name(in, name);
	instance_forget_knock(t, in);
	instance_notice_close(t, in);
	instance_cpus_end(t, in);
	instance_close_kept(in);
	if (in->group)
		in->group_left = !cgroup_remove(&t->groups, name);
	const struct disk_place place = instance_place(t, in, tmp);
	(void)disk_remove_tmp(&place); /* reaped like any child */
	in->restart_ms = in->kill_ms = in->term_ms = 0;
	instance_set_state(in, PRIV_ENDED);
	instance_keep_quota(t, in);
}

void instance_finish_job(struct instances *t, struct instance *in, int64_t now_ms)
{
	char tmp[GUEST_TMP_MAX];
	const struct disk_place place = instance_place(t, in, tmp);
	bool well = in->st.wait_status == 0 && !in->stopping;
	in->disk.over = in->disk.over || in->st.limit_hit == PRIV_LIMIT_DISK;
	if (!disk_settle(&in->disk, &place, well, now_ms))
		instance_finish(t, in);
}

static void disk_known(struct instances *t, struct instance *in, int status, int64_t now_ms)
{
	disk_answered(&in->disk, status, now_ms);
	if (in->st.state == PRIV_ENDED)
		return;
	if (in->disk.over)
		in->st.limit_hit = PRIV_LIMIT_DISK;
	if (in->st.pid == 0)
		instance_finish_job(t, in, now_ms);
	else if (in->disk.over)
		instance_kill(t, in);
}

void instance_back_off(struct instance *in, int64_t now_ms)
{
	if (now_ms - (int64_t)in->st.started_mono_ms >= INSTANCES_STEADY_MS)
		in->failures = 0;
	int64_t pause = INSTANCES_BACKOFF_MAX_MS;
	if (in->failures < 9)
		pause = (int64_t)INSTANCES_BACKOFF_FIRST_MS << in->failures;
	if (pause > INSTANCES_BACKOFF_MAX_MS)
		pause = INSTANCES_BACKOFF_MAX_MS;
	in->failures++;
	in->restart_ms = now_ms + pause;
	instance_set_state(in, PRIV_BACKOFF);
}

static void log_end(const struct instance *in, int status)
{
	log_event(LOG_INFO, "keeper", "ended", F_C("project", in->st.project),
	    F_C("process", in->st.process), F_I64("instance", in->st.instance),
	    F_I64("release", in->st.release), F_I64("pid", in->st.pid),
	    F_I64(WIFSIGNALED(status) ? "signal" : "exit",
		WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status)),
	    F_I64("limit", in->st.limit_hit));
}

void instance_ended(
    struct instances *t, struct instance *in, int status, struct cgroup_events now, int64_t now_ms)
{
	in->st.limit_hit = (uint8_t)which_limit(in, status, now);
	if (in->st.limit_hit == PRIV_LIMIT_NONE && instance_met_quota(t, in, status))
		in->st.limit_hit = PRIV_LIMIT_DISK;
	in->st.wait_status = status;
	in->st.ended_mono_ms = (uint64_t)now_ms;
	log_end(in, status);
	in->st.pid = 0;
	in->unit = false;
	in->supply_ms = in->gone_ms = 0;
	if (in->st.class == PRIV_SERVICE && in->sleeping && !in->stopping)
		instance_fall_asleep(t, in);
	else if (in->st.class == PRIV_SERVICE && !in->stopping)
		instance_back_off(in, now_ms);
	else
		instance_finish_job(t, in, now_ms);
}

bool instances_reaped(struct instances *t, pid_t pid, int status, int64_t now_ms)
{
	size_t at = 0;
	for (struct instance *in; (in = instances_next(t, &at));) {
		if (in->disk.pid == pid) {
			disk_known(t, in, status, now_ms);
			return true;
		}
		if (in->st.pid != pid || in->unit)
			continue;
		struct cgroup_events now = read_events(t, in);
		instance_kill(t, in);
		instance_ended(t, in, status, now, now_ms);
		return true;
	}
	return false;
}
