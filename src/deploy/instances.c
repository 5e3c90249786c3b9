/* Instances of a release's processes: which run, starting and stopping them. */
#include "deploy/work.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fs.h"

#define READY_MAX_MS 3600000u /* the helper takes no more */

bool instance_listens(const struct plan_process *p)
{
	return p->listen == MANIFEST_LISTEN_SOCKET || p->listen == MANIFEST_LISTEN_PORT ||
	       (p->listen == MANIFEST_LISTEN_UNSET && str_eq(p->name, STR("web")));
}

const struct plan_process *plan_find(const struct plan *p, struct str name)
{
	for (size_t i = 0; i < p->process_count; i++)
		if (str_eq(p->processes[i].name, name))
			return &p->processes[i];
	return NULL;
}

bool plan_has_web(const struct plan *p)
{
	return plan_find(p, STR("web")) != NULL;
}

const char *instance_limit_words(const struct priv_status *s)
{
	static const char *const words[PRIV_LIMIT_COUNT] = {
	    [PRIV_LIMIT_MEMORY] = "ran out of memory",
	    [PRIV_LIMIT_READY] =
		"did not say in time that it is ready (READY=1 to $NOTIFY_SOCKET)",
	    [PRIV_LIMIT_WATCHDOG] =
		"did not say that it is alive (WATCHDOG=1 to $NOTIFY_SOCKET)",
	};
	return s->limit_hit < PRIV_LIMIT_COUNT ? words[s->limit_hit] : NULL;
}

/* One that fails is started again. PRIV_ENDED is one that somebody stopped, perhaps a moment ago in
 * an earlier task of the same release. */
bool instance_has_died(const struct priv_status *s)
{
	return s->state == PRIV_BACKOFF || (s->state != PRIV_ENDED && s->starts > 1);
}

void instance_death(const struct priv_status *s, struct err *ret)
{
	const char *limit = instance_limit_words(s);
	int status = s->wait_status;
	if (limit)
		(void)err_set(ret, ERR_FAILED, "%s.%u %s", s->process, s->instance, limit);
	else if (WIFSIGNALED(status))
		(void)err_set(ret, ERR_FAILED,
		    "%s.%u was ended by signal %d (%s) before it was healthy", s->process,
		    s->instance, WTERMSIG(status), strsignal(WTERMSIG(status)));
	else
		(void)err_set(ret, ERR_FAILED, "%s.%u ended with status %d before it was healthy",
		    s->process, s->instance, WEXITSTATUS(status));
}

bool instance_is_over(const struct priv_status *s)
{
	return s->state == PRIV_ENDED;
}

bool instance_of(const struct work *w, const struct priv_status *s)
{
	return s->class == PRIV_SERVICE && !instance_is_over(s) &&
	       str_eq_c(w->project.name, s->project);
}

const struct priv_status *instance_find(struct work *w, uint32_t release, struct str process,
    uint16_t instance, enum priv_program program)
{
	const struct priv_status *const *all;
	size_t n = run_statuses(w->d->o.run, &all);
	for (size_t i = 0; i < n; i++)
		if (instance_of(w, all[i]) && all[i]->release == release &&
		    all[i]->instance == instance && all[i]->program == program &&
		    all[i]->state != PRIV_STOPPING && str_eq_c(process, all[i]->process))
			return all[i];
	return NULL;
}

const struct priv_status *instance_find_if(
    struct work *w, instance_pick *which, enum priv_program program)
{
	const struct priv_status *const *all;
	size_t n = run_statuses(w->d->o.run, &all);
	for (size_t i = 0; i < n; i++)
		if (instance_of(w, all[i]) && all[i]->program == program && which(w, all[i]))
			return all[i];
	return NULL;
}

void instance_socket_path(const struct deploy *d, struct str project, uint32_t release,
    struct str process, uint16_t instance, char out[WORK_PATH_SIZE])
{
	struct rundir_place p = {d->o.run_dir, project, release, process, instance};
	(void)rundir_socket_path(&p, RUNDIR_SERVES, out, WORK_PATH_SIZE);
}

bool instance_has_socket(const struct deploy *d, const struct priv_status *s)
{
	char path[WORK_PATH_SIZE];
	instance_socket_path(
	    d, str_c(s->project), s->release, str_c(s->process), s->instance, path);
	return access(path, F_OK) == 0;
}

/* Which of the project's ten no instance of it has; LIMIT_PORTS_PER_PROJECT: none. */
static uint16_t free_port(struct work *w)
{
	const struct priv_status *const *all;
	size_t n = run_statuses(w->d->o.run, &all);
	uint16_t i = w->project.first_port == 0 ? LIMIT_PORTS_PER_PROJECT : 0;
	for (; i < LIMIT_PORTS_PER_PROJECT; i++) {
		bool taken = (w->ports_taken & (1u << i)) != 0;
		for (size_t k = 0; k < n && !taken; k++)
			taken = !instance_is_over(all[k]) &&
				all[k]->port == w->project.first_port + i &&
				str_eq_c(w->project.name, all[k]->project);
		if (!taken)
			break;
	}
	return i;
}

bool instance_port_is_left(struct work *w)
{
	return free_port(w) < LIMIT_PORTS_PER_PROJECT;
}

static int pick_port(struct work *w, uint16_t *ret, struct err *e)
{
	if (w->project.first_port == 0)
		return err_set(e, ERR_UNAVAILABLE, "no block of ports is left for '%.*s'",
		    STR_ARG(w->project.name));
	static_assert(LIMIT_PORTS_PER_PROJECT <= 16, "one bit each");
	uint16_t i = free_port(w);
	if (i < LIMIT_PORTS_PER_PROJECT) {
		/* Starts of one group do not see each other's records yet. */
		w->ports_taken |= 1u << i;
		*ret = (uint16_t)(w->project.first_port + i);
		return 0;
	}
	(void)err_set(e, ERR_UNAVAILABLE, "all %u ports of '%.*s' are in use",
	    LIMIT_PORTS_PER_PROJECT, STR_ARG(w->project.name));
	return err_hint(e, "scale down, or let the program take its socket (LISTEN_FDS)");
}

static uint32_t stop_timeout(const struct plan_process *p)
{
	return p->stop_timeout_ms > 0 && p->stop_timeout_ms < UINT32_MAX
		   ? (uint32_t)p->stop_timeout_ms
		   : WORK_STOP_TIMEOUT_MS;
}

static uint32_t ready_limit(const struct work *w, const struct plan_process *p)
{
	int64_t ms = w->plan.health.timeout_ms > 0 ? w->plan.health.timeout_ms : WORK_HEALTH_MS;
	return !p->notify ? 0 : ms < READY_MAX_MS ? (uint32_t)ms : READY_MAX_MS;
}

static void op_fail(struct work *w, const struct err *e)
{
	work_op_add(w);
	work_op_back(w, e);
}

/* argv as it is; environment with the expand mark when the line has variables. */
static int process_env(
    struct work *w, const struct plan_process *p, struct args *ret, struct err *e)
{
	size_t n = p->run.env_count + 1;
	struct manifest_pair *own = arena_array(&w->a, n, sizeof(*own));
	if (!own)
		return err_set(e, ERR_TOO_LARGE, "the task's memory is full");
	if (p->run.env_count > 0)
		memcpy(own, p->run.env, p->run.env_count * sizeof(*own));
	size_t count = p->run.env_count;
	if (p->run.expand)
		own[count++] = (struct manifest_pair){STR("SLIPWAY_EXPAND"), STR("1")};
	return env_list(w, ENV_RUN, own, count, STR_NONE, ret, e);
}

static void start_relay(struct work *w, const struct run_spec *program, int listen_fd)
{
	static const struct args none = {0};
	struct run_spec relay = *program;
	relay.program = PRIV_PROGRAM_RELAY;
	relay.argv = &none;
	relay.env = &none;
	relay.listen_fd = listen_fd;
	relay.ready_ms = 0;
	relay.watchdog_ms = 0;
	work_op_add(w);
	run_start(w->d->o.run, &relay, work_op_done, w);
}

static void start(
    struct work *w, const struct plan_process *p, uint16_t i, enum rundir_socket where)
{
	struct err e;
	struct args env;
	uint32_t release = (uint32_t)w->release.number;
	struct run_spec s = {.project = w->project.name,
	    .release = release,
	    .process = p->name,
	    .instance = i,
	    .class = PRIV_SERVICE,
	    .sandbox = PRIV_SANDBOX_RUN,
	    .program = PRIV_PROGRAM_TENANT,
	    .subdir = w->plan.root,
	    .argv = &p->run.argv,
	    .env = &env,
	    .limits = run_limits(w),
	    .stop_timeout_ms = stop_timeout(p),
	    .ready_ms = ready_limit(w, p),
	    .watchdog_ms = (uint32_t)p->watchdog_ms,
	    .listen_fd = -1,
	    .terminal_fd = -1,
	    .stdin_fd = -1};
	if (process_env(w, p, &env, &e) != 0) {
		op_fail(w, &e);
		return;
	}
	CLEANUP_FD int fd = -1;
	if (instance_listens(p)) {
		struct rundir_place at = {w->d->o.run_dir, w->project.name, release, p->name, i};
		fd = rundir_listen(&at, where, &e);
		if (fd < 0) {
			op_fail(w, &e);
			return;
		}
	}
	bool by_port = instance_listens(p) && p->listen != MANIFEST_LISTEN_SOCKET;
	if (by_port && pick_port(w, &s.port, &e) != 0) {
		op_fail(w, &e);
		return;
	}
	if (!by_port)
		s.listen_fd = fd;
	work_op_add(w);
	run_start(w->d->o.run, &s, work_op_done, w);
	if (by_port)
		start_relay(w, &s, fd);
}

void instance_start(struct work *w, const struct plan_process *p, uint16_t i)
{
	if (!instance_find(w, (uint32_t)w->release.number, p->name, i, PRIV_PROGRAM_TENANT))
		start(w, p, i, RUNDIR_SERVES);
}

void instance_start_beside(struct work *w, const struct plan_process *p, uint16_t i)
{
	start(w, p, i, RUNDIR_BESIDE);
}

size_t instance_stop(struct work *w, instance_pick *which)
{
	const struct priv_status *const *all;
	uint64_t ids[256];
	uint32_t timeouts[256];
	size_t count = 0, n = run_statuses(w->d->o.run, &all);
	for (size_t i = 0; i < n && count < 256; i++) {
		if (!instance_of(w, all[i]) || !which(w, all[i]))
			continue;
		const struct plan_process *p =
		    w->has_plan ? plan_find(&w->plan, str_c(all[i]->process)) : NULL;
		timeouts[count] = p ? stop_timeout(p) : WORK_STOP_TIMEOUT_MS;
		ids[count++] = all[i]->id;
	}
	for (size_t i = 0; i < count; i++) {
		work_op_add(w);
		run_stop(w->d->o.run, ids[i], timeouts[i], work_op_done, w);
	}
	return count;
}

static bool is_picked_relay(const struct work *w, const struct priv_status *s)
{
	return s->program == PRIV_PROGRAM_RELAY && w->stop_which(w, s);
}

static void relays_stopped(struct work *w)
{
	work_ops_begin(w, w->stop_then);
	(void)instance_stop(w, w->stop_which);
	work_ops_end(w);
}

void instance_stop_drained(struct work *w, instance_pick *which, work_then_fn *then)
{
	w->stop_which = which;
	w->stop_then = then;
	work_ops_begin(w, relays_stopped);
	(void)instance_stop(w, is_picked_relay);
	work_ops_end(w);
}

void helper_request(struct work *w, enum priv_op op, uint32_t release, int fd)
{
	struct priv_request q = {.op = op, .release = release};
	if (!str_copy(w->project.name, q.project, sizeof(q.project)))
		return;
	work_op_add(w);
	run_request(w->d->o.run, &q, fd >= 0 ? &fd : NULL, fd >= 0 ? 1 : 0, work_op_done, w);
}
