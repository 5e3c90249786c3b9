#include "helper/instances.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "helper/instances_state.h"
#include "helper/output.h"
#include "helper/ports.h"
#include "helper/units.h"
#include "launch/guest.h"
#include "launch/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define TICK_OUTPUT_MS 250
#define TICK_GROUP_MS 50
#define STEADY_MS 10000
#define STARTS_PER_TICK 1u

struct instances *instances_open(const struct instances_options *o)
{
	bool adopted;
	struct instances *t = instances_table(&adopted);
	uint64_t incarnation = adopted ? t->o.incarnation : o->incarnation;
	t->o = *o;
	t->o.incarnation = incarnation;
	t->began_ms = clock_mono_ms();
	t->output_ms = 0;
	t->knocks = epoll_create1(EPOLL_CLOEXEC); /* -1: then nobody can sleep */
	t->notices = epoll_create1(EPOLL_CLOEXEC);
	instances_cpus_open(t);
	if (o->units) {
		t->groups = (struct cgroup_base){.v2 = -1, .memory = -1, .cpu = -1, .pids = -1, .cpuset = -1};
		if (adopted)
			instances_adopt(t);
		else
			units_clear();
	} else {
		cgroup_open(&t->groups, o->label);
		if (!cgroup_has_memory(&t->groups))
			log_event(LOG_WARN, "keeper", "no_memory_groups",
			    F_C("hint",
				"no writable control groups: memory, processor and task limits "
				"fall back to process limits"));
	}
	if (!adopted) {
		t->next_serial = 1;
		instances_ready(t);
	}
	return t;
}

uint64_t instances_incarnation(const struct instances *t)
{
	return t->o.incarnation;
}

void instances_close(struct instances *t, bool stay)
{
	fs_close_fd(&t->knocks);
	fs_close_fd(&t->notices);
	if (stay)
		return;
	if (t->o.units)
		units_clear();
	else
		cgroup_close(&t->groups);
}

/* ---- records ---- */

/* An id carries its slot, so that finding is one look. */
struct instance *instances_find(struct instances *t, uint64_t id)
{
	struct instance *in = &t->v[id % INSTANCES_MAX];
	return id != 0 && in->st.id == id ? in : NULL;
}

struct instance *instances_next(struct instances *t, size_t *at)
{
	while (*at < t->used_end) {
		struct instance *in = &t->v[(*at)++];
		if (in->st.id != 0)
			return in;
	}
	return NULL;
}

size_t instances_count(const struct instances *t)
{
	return t->count;
}

size_t instances_alive(const struct instances *t)
{
	size_t n = 0;
	for (size_t i = 0; i < t->used_end; i++)
		n += t->v[i].st.id != 0 && t->v[i].st.state != PRIV_ENDED;
	return n;
}

void instance_close_kept(struct instance *in)
{
	for (int i = 0; i < INSTANCE_FD_COUNT; i++)
		instance_close(in, &in->fd[i]);
	fs_close_fd(&in->out_write);
}

void instance_group_name(const struct instance *in, char out[24])
{
	snprintf(out, 24, "%llx", (unsigned long long)in->st.id);
}

static void free_record(struct instances *t, struct instance *in)
{
	instance_notice_close(t, in);
	instance_close_kept(in);
	instance_close(in, &in->out_read);
	if (in->group_left) { /* what still dies there is swept at the next start at the latest */
		char name[24];
		instance_group_name(in, name);
		(void)cgroup_remove(&t->groups, name);
	}
	memset(in, 0, sizeof(*in));
	t->count--;
	while (t->used_end > 0 && t->v[t->used_end - 1].st.id == 0)
		t->used_end--;
}

/* A free slot; when all are used, the record that ended first goes. */
static struct instance *take_slot(struct instances *t, struct err *e)
{
	struct instance *oldest = NULL;
	for (size_t i = 0; i < INSTANCES_MAX; i++) {
		struct instance *in = &t->v[i];
		if (in->st.id == 0) {
			if (i >= t->used_end)
				t->used_end = i + 1;
			t->count++;
			return in;
		}
		if (in->st.state == PRIV_ENDED &&
		    (!oldest || in->st.ended_mono_ms < oldest->st.ended_mono_ms))
			oldest = in;
	}
	if (!oldest) {
		(void)err_set(e, ERR_UNAVAILABLE, "%u instances run already", INSTANCES_MAX);
		return NULL;
	}
	free_record(t, oldest);
	return take_slot(t, e);
}

void instance_set_state(struct instance *in, enum priv_state state)
{
	in->st.state = (uint8_t)state;
	in->changed = true;
}

/* ---- starting ---- */

const char *instance_key(
    const struct instances *t, const struct instance *in, char out[GUEST_KEY_MAX + 1])
{
	snprintf(out, GUEST_KEY_MAX + 1, "%016llx-%llx", (unsigned long long)t->o.incarnation,
	    (unsigned long long)in->st.id);
	return out;
}

static void tmp_name(const struct instance *in, char out[GUEST_TMP_MAX])
{
	snprintf(out, GUEST_TMP_MAX, "%s.%u-%llx", in->st.process, in->st.instance,
	    (unsigned long long)in->st.id);
}

struct disk_place instance_place(
    const struct instances *t, const struct instance *in, char tmp[GUEST_TMP_MAX])
{
	tmp_name(in, tmp);
	return (struct disk_place){t->o.roots, in->st.project, in->user_number, in->st.release,
	    in->spec.sandbox == PRIV_SANDBOX_BUILD, tmp};
}

int instance_fill_guest(
    const struct instances *t, const struct instance *in, struct guest *g, struct err *e)
{
	static const enum guest_sandbox sandboxes[PRIV_SANDBOX_COUNT] = {
	    [PRIV_SANDBOX_RUN] = GUEST_RUN,
	    [PRIV_SANDBOX_BUILD] = GUEST_BUILD,
	    [PRIV_SANDBOX_FETCH] = GUEST_FETCH,
	    [PRIV_SANDBOX_STRANGER] = GUEST_STRANGER,
	};
	const struct priv_start *s = &in->spec;
	*g = (struct guest){.sandbox = sandboxes[s->sandbox],
	    .release = s->release,
	    .instance = s->instance,
	    .port = s->port,
	    .watchdog_ms = s->watchdog_ms,
	    .devices = s->limits.devices,
	    .relay = s->program == PRIV_PROGRAM_RELAY,
	    .listen = in->fd[INSTANCE_LISTEN] >= 0,
	    .argv = in->fd[INSTANCE_ARGV] >= 0,
	    .env = in->fd[INSTANCE_ENV] >= 0,
	    .secret = in->fd[INSTANCE_SECRET] >= 0};
	int n = snprintf(
	    g->project_dir, sizeof(g->project_dir), "%s/%s", t->o.roots->projects, in->st.project);
	if (n < 0 || (size_t)n >= sizeof(g->project_dir))
		return err_set(e, ERR_SETTINGS, "the path of the projects is too long");
	if (s->program == PRIV_PROGRAM_TREE &&
	    !str_copy(str_c(t->o.tree), g->program, sizeof(g->program)))
		return err_set(e, ERR_SETTINGS, "the path of slipway-tree is too long");
	memcpy(g->process, in->st.process, sizeof(g->process));
	memcpy(g->subdir, s->subdir, sizeof(g->subdir));
	g->own_tmp = in->unit;
	tmp_name(in, g->tmp);
	(void)instance_key(t, in, g->key);
	return instance_notice_name(t, in, g->notify, e);
}

int instance_nodes(const struct instances_options *o, const struct instance *in,
    struct device_node *out, size_t *ret_count, struct err *e)
{
	*ret_count = nodes_find(o->devices, in->spec.limits.devices, out);
	if (*ret_count > 0 || in->spec.limits.devices == 0)
		return 0;
	(void)err_set(e, ERR_UNAVAILABLE, "'%s' may open a device that this server does not have",
	    in->st.project);
	return err_hint(e, "is its driver loaded? a gpu is /dev/nvidia0, /dev/kfd or "
			   "/dev/dri/renderD128, and the like");
}

/* Who became a tenant has no group but his own and those that nodes need. */
static int give_groups(
    const struct instances *t, const struct instance *in, struct launch_spec *l, struct err *e)
{
	struct device_node nodes[DEVICE_NODES_MAX];
	size_t n;
	if (instance_nodes(&t->o, in, nodes, &n, e) != 0)
		return -1;
	for (size_t i = 0; i < n; i++)
		if (nodes[i].group)
			l->groups[l->group_count++] = nodes[i].group;
	return 0;
}

static void fill_launch(const struct instances *t, const struct instance *in, struct launch_spec *l)
{
	const struct priv_start *s = &in->spec;
	const struct tenant_roots *roots = t->o.roots;
	*l = (struct launch_spec){.path = t->o.exec,
	    .drop = roots->root,
	    .uid = tenant_uid(roots, in->user_number),
	    .gid = tenant_gid(roots, in->user_number),
	    .terminal = s->terminal != 0,
	    .data_bytes = cgroup_has_memory(&t->groups) ? 0 : s->limits.memory_bytes,
	    .file_bytes = s->limits.disk_bytes,
	    .files = s->limits.files,
	    .private_tmp = t->o.private_tmp && roots->root};
	l->fds[0] = in->fd[INSTANCE_STDIN];
	l->fds[1] = in->fd[INSTANCE_STDOUT] >= 0 ? in->fd[INSTANCE_STDOUT] : in->out_write;
	l->fds[2] = in->out_write;
	l->fds[GUEST_FD_LISTEN] = in->fd[INSTANCE_LISTEN];
	l->fds[GUEST_FD_ARGV] = in->fd[INSTANCE_ARGV];
	l->fds[GUEST_FD_ENV] = in->fd[INSTANCE_ENV];
	l->fds[GUEST_FD_SECRET] = in->fd[INSTANCE_SECRET];
}

static int make_group(struct instances *t, struct instance *in, struct launch_spec *l,
    int joins[CGROUP_FDS_MAX], struct err *e)
{
	char name[24];
	const struct priv_limits *limits = &in->spec.limits;
	const struct cgroup_limits cl = {.memory_bytes = limits->memory_bytes,
	    .cpu_milli = limits->cpu_milli,
	    .tasks = limits->tasks,
	    .cpu_share = in->spec.class == PRIV_JOB ? PRIV_JOB_CPU_PERCENT : 0,
	    .cpus = instance_cpus(in)};
	if (!cgroup_has_kill(&t->groups))
		return 0;
	instance_group_name(in, name);
	in->group = in->group_left = true;
	if (cgroup_make(&t->groups, name, &cl, e) != 0)
		return -1;
	cgroup_read_events(&t->groups, name, &in->seen);
	l->join_count = cgroup_join_fds(&t->groups, name, joins);
	l->join = joins;
	return 0;
}

void instance_count_start(struct instance *in, pid_t pid)
{
	in->st.pid = pid;
	in->st.starts++;
	in->st.limit_hit = PRIV_LIMIT_NONE;
	in->st.started_mono_ms = (uint64_t)clock_mono_ms();
	instance_set_state(in, in->spec.ready_ms ? PRIV_STARTING : PRIV_RUNNING);
}

static int spawn(struct instances *t, struct instance *in, struct err *e)
{
	instance_notice_begin(in);
	if (t->o.units)
		return instance_start_unit(t, in, e);
	struct guest g;
	struct guest_line line;
	struct launch_spec l;
	int joins[CGROUP_FDS_MAX];
	fill_launch(t, in, &l);
	if (instance_fill_guest(t, in, &g, e) != 0 || guest_line(&g, &line, e) != 0 ||
	    give_groups(t, in, &l, e) != 0)
		return -1;
	CLEANUP_FD int dir = open(g.project_dir, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	CLEANUP_FD int tmp = fs_open_beneath(dir, "tmp", O_PATH | O_DIRECTORY | O_NOFOLLOW, 0);
	if (tmp < 0)
		return err_sys(
		    e, ERR_NOT_FOUND, errno, "could not open the folder of '%s'", in->st.project);
	l.tmp_parent = tmp;
	l.tmp_name = g.tmp;
	l.argv = line.v;
	int rc = make_group(t, in, &l, joins, e);
	pid_t pid = rc == 0 ? launch_spawn(&l, e) : -1;
	for (size_t i = 0; i < l.join_count; i++)
		close(joins[i]);
	if (pid < 0)
		return -1;
	instance_count_start(in, pid);
	return 0;
}

static void fill_record(
    struct instances *t, struct instance *in, struct str project, const struct priv_start *s)
{
	size_t slot = (size_t)(in - t->v);
	in->spec = *s;
	in->st = (struct priv_status){.id = t->next_serial++ * INSTANCES_MAX + slot,
	    .class = s->class,
	    .program = s->program,
	    .instance = s->instance,
	    .port = s->port,
	    .release = s->release};
	memcpy(in->st.project, project.p, project.n); /* validated, at most NAME_PROJECT_MAX */
	memcpy(in->st.process, s->process, sizeof(in->st.process));
	in->out_read = in->out_write = -1;
	for (int i = 0; i < INSTANCE_FD_COUNT; i++)
		in->fd[i] = -1;
}

/* What was begun for an instance that could not be started; its descriptors are still the caller's.
 */
static void abandon(struct instances *t, struct instance *in)
{
	instance_notice_close(t, in);
	instance_forget_kept(in);
	free_record(t, in);
}

/* Its record with all that is kept for it, not started; NULL. */
static struct instance *add(struct instances *t, struct str project, const struct priv_start *s,
    const int *fds, struct err *e)
{
	uint32_t user = 0;
	if (tenant_number(t->o.roots, project, &user, e) != 0 ||
	    ports_claim(tenant_uid(t->o.roots, user), s->port, clock_mono_ms(), e) != 0)
		return NULL;
	struct instance *in = take_slot(t, e);
	if (!in)
		return NULL;
	fill_record(t, in, project, s);
	in->user_number = user;
	const int8_t index[INSTANCE_FD_COUNT] = {
	    s->fd_argv, s->fd_env, s->fd_listen, s->fd_secret, s->fd_stdin, s->fd_stdout, -1};
	for (int i = 0; i < INSTANCE_FD_COUNT; i++)
		in->fd[i] = index[i] < 0 ? -1 : fds[index[i]];
	instance_keep_quota(t, in);
	if (output_open(t->o.roots, in, e) != 0 || instance_notice_open(t, in, e) != 0) {
		abandon(t, in);
		return NULL;
	}
	instance_keep(in);
	return in;
}

int instances_start(struct instances *t, struct str project, const struct priv_start *s,
    const int *fds, uint64_t *ret_id, struct err *e)
{
	struct instance *in = add(t, project, s, fds, e);
	if (!in)
		return -1;
	if (spawn(t, in, e) != 0) {
		abandon(t, in);
		return -1;
	}
	if (s->time_limit_ms > 0)
		in->term_ms = (int64_t)in->st.started_mono_ms + s->time_limit_ms;
	if (s->class == PRIV_JOB) {
		/* A job runs once: the end of its output is the end of its processes. */
		if (!in->unit)
			instance_close_kept(in);
		if (s->sandbox != PRIV_SANDBOX_RUN)
			in->disk.bytes_max = s->limits.disk_bytes;
	}
	instance_boot_put(in);
	*ret_id = in->st.id;
	return 0;
}

int instances_start_soon(struct instances *t, struct str project, const struct priv_start *s,
    const int *fds, uint64_t *ret_id, struct err *e)
{
	struct instance *in = add(t, project, s, fds, e);
	if (!in)
		return -1;
	in->restart_ms = clock_mono_ms();
	in->st.started_mono_ms = (uint64_t)in->restart_ms;
	instance_set_state(in, PRIV_BACKOFF);
	*ret_id = in->st.id;
	return 0;
}

/* ---- stopping ---- */

void instance_ask_end(struct instance *in, int64_t kill_ms)
{
	in->kill_ms = kill_ms;
	if (in->st.pid == 0)
		units_stop(in);
	else if (in->unit)
		units_end(in);
	else
		(void)kill(-in->st.pid, SIGTERM);
	instance_set_state(in, PRIV_STOPPING);
}

void instances_stop(struct instances *t, struct instance *in, uint32_t timeout_ms)
{
	if (in->st.state == PRIV_ENDED)
		return;
	in->stopping = true;
	instance_boot_drop(t, in);
	if (in->st.pid == 0 && !in->unit) {
		instance_finish(t, in);
		return;
	}
	if (timeout_ms == 0)
		timeout_ms =
		    in->spec.stop_timeout_ms ? in->spec.stop_timeout_ms : INSTANCES_STOP_DEFAULT_MS;
	int64_t kill_ms = clock_mono_ms() + timeout_ms;
	if (in->st.state != PRIV_STOPPING || kill_ms < in->kill_ms)
		in->kill_ms = kill_ms;
	if (in->st.state != PRIV_STOPPING)
		instance_ask_end(in, in->kill_ms);
}

void instances_narrow(struct instance *in, uint32_t devices)
{
	in->spec.limits.devices &= devices;
	if (!in->stopping)
		instance_boot_put(in);
}

int instances_signal(struct instances *t, struct instance *in, int signal, struct err *e)
{
	(void)t;
	if (in->st.pid == 0)
		return err_set(e, ERR_CONFLICT, "'%s.%u' of '%s' does not run", in->st.process,
		    in->st.instance, in->st.project);
	if (in->unit) /* another user's processes are systemd's to signal */
		return units_signal(in, signal, e);
	/* its session's first group, as a terminal's key would */
	return kill(-in->st.pid, signal) == 0 ? 0 : err_sys(e, ERR_IO, errno, "could not signal");
}

int instances_forget(struct instances *t, struct instance *in, struct err *e)
{
	if (in->st.state != PRIV_ENDED)
		return err_set(e, ERR_CONFLICT, "'%s.%u' of '%s' has not ended", in->st.process,
		    in->st.instance, in->st.project);
	free_record(t, in);
	return 0;
}

void instances_told(struct instances *t, struct instance *in)
{
	in->changed = false;
	if (in->purged && in->st.state == PRIV_ENDED)
		free_record(t, in);
}

void instances_purge(struct instances *t, struct str project)
{
	size_t at = 0;
	uint32_t user;
	struct err ignored;
	if (tenant_number(t->o.roots, project, &user, &ignored) == 0)
		ports_forget(tenant_uid(t->o.roots, user));
	for (struct instance *in; (in = instances_next(t, &at));) {
		if (!str_eq_c(project, in->st.project))
			continue;
		in->purged = true;
		in->changed = true; /* also one that has ended: it goes when that is told */
		if (in->st.pid != 0 || in->unit)
			instance_kill(t, in);
		instances_stop(t, in, 1);
	}
}

/* ---- what is due ---- */

void instance_restart(struct instances *t, struct instance *in, int64_t now_ms)
{
	struct err e = {0};
	if (spawn(t, in, &e) == 0) {
		if (in->st.starts == 1) /* not before: one that ends this process is not tried again */
			instance_boot_put(in);
		return;
	}
	log_event(LOG_WARN, "keeper", "restart_failed", F_C("project", in->st.project),
	    F_C("process", in->st.process), F_ERR(&e));
	in->st.started_mono_ms = (uint64_t)now_ms;
	instance_back_off(in, now_ms);
}

static void time_is_up(struct instances *t, struct instance *in)
{
	in->term_ms = 0;
	in->st.limit_hit = PRIV_LIMIT_TIME;
	instances_stop(t, in, in->spec.stop_timeout_ms ? in->spec.stop_timeout_ms : 5000);
}

static void sooner(int64_t *due, int64_t at)
{
	if (at != 0 && at < *due)
		*due = at;
}

/* starts: how many may still be started now; one takes a while, and the daemon is not to wait for all of them. */
static int64_t tick_one(struct instances *t, struct instance *in, int64_t now_ms, unsigned *starts)
{
	int64_t due = DEADLINE_NEVER;
	if (in->unit)
		instance_look_after_unit(t, in, now_ms);
	if (in->st.state == PRIV_BACKOFF && now_ms >= in->restart_ms && *starts > 0) {
		--*starts;
		in->restart_ms = 0;
		instance_restart(t, in, now_ms);
	}
	if (in->st.state == PRIV_RUNNING && in->term_ms != 0 && now_ms >= in->term_ms)
		time_is_up(t, in);
	if (in->st.state == PRIV_RUNNING && in->st.pid != 0 && in->disk.bytes_max != 0) {
		char tmp[GUEST_TMP_MAX];
		const struct disk_place place = instance_place(t, in, tmp);
		due = disk_tick(&in->disk, &place, now_ms);
	}
	if (in->st.state == PRIV_STOPPING && in->kill_ms != 0 && now_ms >= in->kill_ms) {
		instance_kill(t, in);
		in->kill_ms = now_ms + 1000; /* whoever cannot die now is tried again */
	}
	if (in->st.state == PRIV_ENDED && in->group_left) {
		char name[24];
		instance_group_name(in, name);
		(void)cgroup_kill(&t->groups, name);
		in->group_left = !cgroup_remove(&t->groups, name);
		if (in->group_left)
			sooner(&due, now_ms + TICK_GROUP_MS);
	}
	sooner(&due, instance_notice_tick(t, in, now_ms));
	sooner(&due, in->supply_ms);
	sooner(&due, in->gone_ms);
	if (in->st.state == PRIV_BACKOFF)
		sooner(&due, in->restart_ms);
	if (in->st.state == PRIV_RUNNING)
		sooner(&due, in->term_ms);
	if (in->st.state == PRIV_STOPPING)
		sooner(&due, in->kill_ms);
	return due;
}

int64_t instances_tick(struct instances *t, int64_t now_ms, bool daemon_reads)
{
	int64_t due = DEADLINE_NEVER;
	unsigned starts = STARTS_PER_TICK;
	bool look = now_ms >= t->output_ms, unread = false;
	if (now_ms - t->began_ms > STEADY_MS)
		instances_steady(t);
	if (look)
		t->output_ms = now_ms + TICK_OUTPUT_MS;
	size_t at = 0;
	for (struct instance *in; (in = instances_next(t, &at));) {
		sooner(&due, tick_one(t, in, now_ms, &starts));
		bool mine = !(daemon_reads && in->output_taken) && in->out_read >= 0 &&
			    in->st.state != PRIV_ENDED;
		unread = unread || mine;
		if (mine && look)
			output_drop_old(in);
	}
	if (unread)
		sooner(&due, t->output_ms);
	sooner(&due, instances_cpus_tick(t, now_ms));
	sooner(&due, ports_tick(now_ms));
	return due;
}
