/* The edge of embedded mode as a state machine: phases of the master, jobs on vhosts. A job goes
 *   QUEUED -> TESTING -> TESTED -> RELOADING -> done
 * one test at a time, one reload at a time; a reload takes along every tested job. Jobs of one
 * project run in the order they came. When a reload is refused, its batch is put back and tried
 * again one by one. */
#include "helper/edge_state.h"
#include "helper/edge_unit.h"

#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define PORT_WAIT_MS 8000 /* the server of a killed helper needs a moment to go */
#define START_LIMIT_MS 10000
#define RELOAD_LIMIT_MS 15000
#define RELOAD_EVERY_MS 200
#define STOP_LIMIT_MS 10000
#define POLL_MS 10
#define ROTATE_EVERY_MS 10000
#define BACKOFF_FIRST_MS 250
#define BACKOFF_MAX_MS 10000
#define STEADY_MS 30000

static struct edge the_edge = {.dir = -1,
    .vhosts = -1,
    .undo = -1,
    .test = -1,
    .run = -1,
    .certs = -1,
    .self = -1,
    .test_certs = -1,
    .sites = -1,
    .staged = -1,
    .site_certs = -1,
    .whole = -1,
    .whole_sites = -1,
    .gate = {-1, -1},
    .maker_answer = -1};

struct edge *edge_open(const struct edge_options *o)
{
	struct edge *g = &the_edge;
	g->o = *o;
	if (!g->o.nginx)
		g->o.nginx = "/usr/sbin/nginx";
	if (!g->o.apache)
		g->o.apache = "/usr/sbin/apache2";
	g->server = g->o.kind == EDGE_APACHE ? &edge_apache : &edge_nginx;
	return g;
}

/* ---- jobs ---- */

static void job_done(struct edge *g, unsigned slot, const struct err *e)
{
	struct edge_job *j = &g->jobs[slot];
	uint64_t seq = j->seq;
	j->failed = e != NULL;
	edge_files_settle(g, slot);
	for (unsigned i = 0; i < 3 && j->pair; i++)
		fs_close_fd(&j->in[i]);
	if (j->remove && !e)
		edge_cert_forget(g, j->project);
	if (j->remove && !e)
		edge_sites_forget(g, j->project);
	*j = (struct edge_job){.state = EDGE_JOB_FREE};
	g->o.done(g->o.ctx, seq, e);
}

bool edge_busy(const struct edge *g, const char *project, uint64_t before)
{
	for (unsigned i = 0; i < EDGE_JOBS_MAX; i++)
		if (g->jobs[i].state != EDGE_JOB_FREE && g->jobs[i].order < before &&
		    strcmp(g->jobs[i].project, project) == 0)
			return true;
	return false;
}

/* A test that reads certificates comes after they are made, another beside that. */
static bool waits_for_self(const struct edge *g, enum edge_job_state state)
{
	return state == EDGE_JOB_TESTED || (state == EDGE_JOB_QUEUED && g->server->master_reads);
}

/* The oldest job in this state that no older job of its project holds up; -1 none. */
static int oldest(const struct edge *g, enum edge_job_state state)
{
	int best = -1;
	for (unsigned i = 0; i < EDGE_JOBS_MAX; i++)
		if (g->jobs[i].state == state &&
		    !(g->jobs[i].needs_self && waits_for_self(g, state)) && !g->jobs[i].pair &&
		    (best < 0 || g->jobs[i].order < g->jobs[best].order) &&
		    !edge_busy(g, g->jobs[i].project, g->jobs[i].order))
			best = (int)i;
	return best;
}

int edge_job_new(struct edge *g, uint64_t seq, const char *project, bool remove, struct err *e)
{
	for (unsigned i = 0; i < EDGE_JOBS_MAX; i++) {
		if (g->jobs[i].state != EDGE_JOB_FREE)
			continue;
		g->jobs[i] = (struct edge_job){.state = EDGE_JOB_QUEUED,
		    .seq = seq,
		    .order = ++g->next_order,
		    .remove = remove};
		(void)snprintf(g->jobs[i].project, sizeof(g->jobs[i].project), "%s", project);
		return (int)i;
	}
	return err_set(
	    e, ERR_UNAVAILABLE, "the edge has %u changes waiting already", EDGE_JOBS_MAX);
}

int edge_reload(struct edge *g, uint64_t seq, struct err *e)
{
	int slot = edge_must_run(g, e) < 0 ? -1 : edge_job_new(g, seq, "", false, e);
	if (slot < 0)
		return -1;
	g->jobs[slot].anew = true;
	return 1;
}

/* ---- test ---- */

/* A pair's candidate has the project's name: not while an older job of that project has one there.
 */
static bool may_make(const struct edge *g, const struct edge_job *j)
{
	if (j->state == EDGE_JOB_FREE)
		return false;
	return j->pair ? !edge_busy(g, j->project, j->order) : j->needs_self;
}

/* Beside its test, which does not need it. */
static void start_making(struct edge *g)
{
	struct err e;
	int slot = -1;
	for (unsigned i = 0; i < EDGE_JOBS_MAX && g->maker == 0; i++)
		if (may_make(g, &g->jobs[i]) &&
		    (slot < 0 || g->jobs[i].order < g->jobs[slot].order))
			slot = (int)i;
	if (slot < 0)
		return;
	g->maker = edge_cert_start(g, (unsigned)slot, &e);
	if (g->maker > 0)
		return;
	g->maker = 0;
	if (g->jobs[slot].state != EDGE_JOB_TESTING)
		job_done(g, (unsigned)slot, &e); /* else once more when that has ended */
}

static void making_ended(struct edge *g, int wait_status)
{
	struct edge_job *j = &g->jobs[g->maker_job];
	struct err e;
	bool wanted = j->state != EDGE_JOB_FREE && j->order == g->maker_order;
	bool pair = wanted && j->pair;
	int rc = pair	  ? edge_pair_take(g, g->maker_job, wait_status, &e)
		 : wanted ? edge_cert_take(g, j->project, wait_status, &e)
			  : 0;
	fs_close_fd(&g->maker_answer);
	g->maker = 0;
	if (wanted && !pair)
		j->needs_self = false;
	if (rc == 0)
		return;
	if (!pair)
		err_prefix(&e, "could not make a certificate for '%s'", j->project);
	job_done(g, g->maker_job, &e);
}

static void start_test(struct edge *g)
{
	struct err e;
	int slot = oldest(g, EDGE_JOB_QUEUED);
	if (slot < 0 || g->tester > 0)
		return;
	struct edge_job *j = &g->jobs[slot];
	if (j->remove || j->anew || j->site[0] || j->own) { /* slipway-cert judged those two */
		j->state = EDGE_JOB_TESTED;
		return;
	}
	g->tester = edge_files_try(g, (unsigned)slot, &e) < 0
			? -1
			: edge_server_test(g, j->sites ? EDGE_TEST_SITES : EDGE_TEST_ONE, &e);
	if (g->tester < 0) {
		g->tester = 0;
		job_done(g, (unsigned)slot, &e);
		return;
	}
	g->tester_job = (unsigned)slot;
	j->state = EDGE_JOB_TESTING;
}

/* ---- reload ---- */

/* Installs every tested job, or one alone. True when anything changed. */
static bool install_batch(struct edge *g)
{
	bool any = false;
	for (int slot; (slot = oldest(g, EDGE_JOB_TESTED)) >= 0;) {
		struct edge_job *j = &g->jobs[slot];
		struct err e;
		if (j->alone && any)
			break;
		if (edge_files_install(g, (unsigned)slot, &e) < 0) {
			job_done(g, (unsigned)slot, &e);
			continue;
		}
		j->state = EDGE_JOB_RELOADING;
		any = true;
		if (j->alone)
			break;
	}
	return any;
}

static void finish_batch(struct edge *g, const struct err *e)
{
	for (unsigned i = 0; i < EDGE_JOBS_MAX; i++)
		if (g->jobs[i].state == EDGE_JOB_RELOADING)
			job_done(g, i, e);
}

/* What was installed is taken out again; a lone job has failed, several are tried one by one. */
static void refuse_batch(struct edge *g, const struct err *e)
{
	unsigned count = 0;
	for (unsigned i = 0; i < EDGE_JOBS_MAX; i++)
		count += g->jobs[i].state == EDGE_JOB_RELOADING;
	for (unsigned i = 0; i < EDGE_JOBS_MAX; i++) {
		if (g->jobs[i].state != EDGE_JOB_RELOADING)
			continue;
		edge_files_put_back(g, i);
		g->jobs[i].alone = true;
		g->jobs[i].state = EDGE_JOB_TESTED;
		if (count == 1)
			job_done(g, i, e);
	}
}

static off_t log_end(const struct edge *g)
{
	struct stat st;
	return fstatat(g->dir, "log/error.log", &st, 0) == 0 ? st.st_size : 0;
}

static void end_reload(struct edge *g)
{
	g->reloading = false;
	g->server->forget_old(g);
}

static void tell_master(struct edge *g, int64_t now_ms)
{
	struct err e;
	if (edge_server_signal(g, g->server->reload, &e) < 0) {
		end_reload(g);
		refuse_batch(g, &e);
		return;
	}
	g->reloading = true;
	g->reload_at = now_ms + RELOAD_EVERY_MS;
	g->reload_deadline = now_ms + edge_files_patience_ms(g, RELOAD_LIMIT_MS);
}

static bool may_reload(const struct edge *g)
{
	return !g->reloading && !(g->server->tests_all && g->tester > 0);
}

static void start_reload(struct edge *g, int64_t now_ms)
{
	struct err e;
	if (!may_reload(g) || now_ms < g->reload_at || oldest(g, EDGE_JOB_TESTED) < 0 ||
	    !install_batch(g))
		return;
	g->log_offset = log_end(g);
	int rc = g->server->keep_old(g, &e) < 0 ? -1 : edge_files_generation(g, &e);
	if (rc == 0 && g->server->tests_all) {
		g->tester = edge_server_test(g, EDGE_TEST_ALL, &e);
		rc = g->tester < 0 ? -1 : 0;
		g->tester = rc < 0 ? 0 : g->tester;
		g->testing_all = rc == 0;
	}
	if (rc < 0) {
		err_prefix(&e, "could not reload the edge");
		end_reload(g);
		refuse_batch(g, &e);
	} else if (!g->testing_all) {
		tell_master(g, now_ms);
	}
}

/* Of a master that would not outlive a configuration that it cannot read. */
static void all_tested(struct edge *g, int wait_status)
{
	struct err e;
	char said[400];
	g->tester = 0;
	g->testing_all = false;
	if (g->phase != EDGE_UP)
		return; /* its start reads what is installed */
	bool fits = WIFEXITED(wait_status) && WEXITSTATUS(wait_status) == 0;
	if (fits) {
		tell_master(g, clock_mono_ms());
		return;
	}
	if (!edge_files_complaint(g, true, said, sizeof(said)))
		(void)snprintf(said, sizeof(said), "its test ended without a message");
	err_set(&e, ERR_FAILED, "%s refused to reload: %s", g->server->name, said);
	g->server->drop_new(g);
	end_reload(g);
	refuse_batch(g, &e);
}

static void poll_reload(struct edge *g, int64_t now_ms)
{
	struct err e;
	char said[400];
	bool is_new = g->server->is_new(g);
	if (is_new && (!g->server->is_old(g) || now_ms >= g->reload_deadline)) {
		g->active = g->generation;
		end_reload(g);
		finish_batch(g, NULL);
		return;
	}
	bool refused = !is_new && edge_files_complaint(g, false, said, sizeof(said));
	if (!refused && now_ms < g->reload_deadline)
		return;
	if (!refused)
		(void)snprintf(said, sizeof(said), "it did not take effect in %lld s",
		    (long long)(edge_files_patience_ms(g, RELOAD_LIMIT_MS) / 1000));
	err_set(&e, ERR_FAILED, "%s refused to reload: %s", g->server->name, said);
	g->server->drop_new(g);
	end_reload(g);
	refuse_batch(g, &e);
}

static void test_ended(struct edge *g, int wait_status)
{
	if (g->testing_all) {
		all_tested(g, wait_status);
		return;
	}
	unsigned slot = g->tester_job;
	struct edge_job *j = &g->jobs[slot];
	struct err e;
	char said[400];
	g->tester = 0;
	if (j->state != EDGE_JOB_TESTING)
		return;
	if (WIFEXITED(wait_status) && WEXITSTATUS(wait_status) == 0) {
		j->state = EDGE_JOB_TESTED;
		return;
	}
	if (!edge_files_complaint(g, true, said, sizeof(said)))
		(void)snprintf(said, sizeof(said), "its test ended without a message");
	if (j->sites)
		err_set(&e, ERR_FAILED, "nginx refuses it: %s", said);
	else
		err_set(&e, ERR_FAILED, "%s refused the vhost of '%s': %s", g->server->name,
		    j->project, said);
	job_done(g, slot, &e);
}

/* ---- the master ---- */

static void answer_waiters(struct edge *g, const struct err *e)
{
	uint64_t seqs[EDGE_WAITERS_MAX];
	unsigned n = g->waiter_count;
	memcpy(seqs, g->waiters, n * sizeof(*seqs));
	g->waiter_count = 0;
	for (unsigned i = 0; i < n; i++)
		g->o.done(g->o.ctx, seqs[i], e);
}

static void back_off(struct edge *g, int64_t now_ms)
{
	int64_t pause = BACKOFF_FIRST_MS << (g->failures < 6 ? g->failures : 6);
	g->failures++;
	g->phase = EDGE_BACKOFF;
	g->retry_at = now_ms + (pause > BACKOFF_MAX_MS ? BACKOFF_MAX_MS : pause);
}

/* Could not be started: whoever waits hears it; once it has run it is tried again. */
static void start_failed(struct edge *g, const struct err *e, int64_t now_ms)
{
	if (g->waiter_count > 0 && g->active == 0) {
		g->phase = EDGE_DOWN;
		for (unsigned i = 0; i < EDGE_JOBS_MAX; i++)
			if (g->jobs[i].state != EDGE_JOB_FREE &&
			    g->jobs[i].state != EDGE_JOB_TESTING)
				job_done(g, i, e);
	} else {
		back_off(g, now_ms);
	}
	answer_waiters(g, e);
}

/* A unit that runs already is told to read everything again. */
static pid_t start_or_adopt(struct edge *g, struct err *e)
{
	pid_t pid = g->master > 0 ? g->master : edge_server_start(g, e);
	if (pid > 0 && g->adopting && edge_server_signal(g, g->server->reload, e) < 0) {
		(void)kill(pid, SIGTERM);
		return -1;
	}
	return pid;
}

static void try_port(struct edge *g, int64_t now_ms)
{
	struct err e;
	g->adopting = g->o.units && edge_unit_runs(g);
	if (!g->adopting && edge_port_free(g, &e) < 0) {
		if (now_ms >= g->phase_deadline || e.code != ERR_CONFLICT)
			start_failed(g, &e, now_ms);
		return;
	}
	g->log_offset = log_end(g);
	pid_t pid = edge_files_prepare(g, &e) < 0 ? -1 : start_or_adopt(g, &e);
	if (pid < 0) {
		start_failed(g, &e, now_ms);
		return;
	}
	g->master = pid;
	g->phase = EDGE_STARTING;
	g->phase_deadline = now_ms + edge_files_patience_ms(g, START_LIMIT_MS);
}

/* What it served before it serves on. */
static void adoption_refused(struct edge *g, const char *said, int64_t now_ms)
{
	struct err e;
	err_set(&e, ERR_FAILED, "%s refused to reload: %s", g->server->name, said);
	g->server->drop_new(g);
	refuse_batch(g, &e);
	if (edge_files_set_aside(g, said) || edge_sites_set_aside(g, said)) {
		g->phase = EDGE_PORT;
		g->phase_deadline = now_ms + PORT_WAIT_MS;
		return;
	}
	start_failed(g, &e, now_ms);
}

static void kill_master(const struct edge *g)
{
	struct err e;
	if (!g->o.units)
		(void)kill(-g->master, SIGKILL);
	else if (edge_unit_signal(g, SIGKILL, &e) < 0)
		log_event(LOG_WARN, "helper", "edge_kill", F_ERR(&e));
}

static void poll_start(struct edge *g, int64_t now_ms)
{
	char said[400];
	if (g->server->is_new(g)) {
		g->phase = EDGE_UP;
		g->active = g->generation;
		g->up_since = now_ms;
		finish_batch(g, NULL); /* of a reload that the end of the master before cut short */
		answer_waiters(g, NULL);
	} else if (g->adopting && edge_files_complaint(g, false, said, sizeof(said))) {
		adoption_refused(g, said, now_ms);
	} else if (now_ms >= g->phase_deadline) {
		kill_master(g); /* edge_reaped goes on from there */
		g->phase_deadline = now_ms + START_LIMIT_MS;
	}
}

int edge_start(struct edge *g, uint64_t seq, struct err *e)
{
	if (g->phase == EDGE_UP)
		return 0;
	if (g->waiter_count == EDGE_WAITERS_MAX)
		return err_set(e, ERR_UNAVAILABLE, "too many wait for the edge to start already");
	if (edge_program_check(g, e) < 0)
		return -1;
	if (g->phase == EDGE_STOPPING)
		return err_set(e, ERR_UNAVAILABLE, "the edge is being stopped");
	if (g->o.units && g->phase == EDGE_DOWN) {
		edge_unit_stop_other(g);
		g->adopting = edge_unit_runs(g);
	}
	/* bad settings are told at once, not when the port turns out to be free */
	if (g->phase == EDGE_DOWN && edge_files_prepare(g, e) < 0)
		return -1;
	g->waiters[g->waiter_count++] = seq;
	if (g->phase == EDGE_DOWN || g->phase == EDGE_BACKOFF) {
		g->phase = EDGE_PORT;
		g->phase_deadline = clock_mono_ms() + PORT_WAIT_MS;
	}
	return 1;
}

static void master_ended(struct edge *g, pid_t pid, int64_t now_ms)
{
	struct err e;
	char said[400];
	enum edge_phase was = g->phase;
	/* workers of a killed master would go on holding the port; systemd ends a unit's */
	if (!g->o.units)
		(void)kill(-pid, g->server->orphans);
	g->master = 0;
	bool reloading = g->reloading && g->server->tests_all;
	if (g->reloading || g->testing_all)
		end_reload(g);
	if (was == EDGE_STOPPING) {
		g->phase = EDGE_DOWN;
		if (!g->o.units)
			edge_files_clean_sockets(g);
		return;
	}
	if (reloading && edge_files_complaint(g, false, said, sizeof(said))) {
		/* what its test could not see: as it was before, at once */
		err_set(&e, ERR_FAILED, "%s refused to reload: %s", g->server->name, said);
		refuse_batch(g, &e);
	}
	if (was == EDGE_UP) {
		if (now_ms - g->up_since > STEADY_MS)
			g->failures = 0;
		back_off(g, now_ms);
		return;
	}
	if (!edge_files_complaint(g, false, said, sizeof(said)))
		(void)snprintf(said, sizeof(said), "it ended at once without a message");
	err_set(&e, ERR_FAILED, "%s did not start: %s", g->server->name, said);
	refuse_batch(g, &e);
	if (edge_files_set_aside(g, said) || edge_own_set_aside(g, said) ||
	    edge_sites_set_aside(g, said)) {
		g->phase = EDGE_PORT;
		g->phase_deadline = now_ms + PORT_WAIT_MS;
		return;
	}
	start_failed(g, &e, now_ms);
}

bool edge_reaped(struct edge *g, pid_t pid, int wait_status)
{
	if (pid <= 0)
		return false;
	if (pid == g->maker) {
		making_ended(g, wait_status);
		return true;
	}
	if (pid == g->tester) {
		test_ended(g, wait_status);
		return true;
	}
	if (pid != g->master)
		return false;
	master_ended(g, pid, clock_mono_ms());
	return true;
}

void edge_stop(struct edge *g, bool graceful)
{
	struct err e;
	if (g->tester > 0)
		(void)kill(g->tester, SIGKILL);
	if (g->maker > 0)
		edge_cert_kill(g->maker);
	g->phase = g->master > 0 ? EDGE_STOPPING : EDGE_DOWN;
	g->phase_deadline = clock_mono_ms() + STOP_LIMIT_MS;
	g->active = 0;
	if (g->master > 0)
		(void)kill(g->master, graceful && !g->o.units ? g->server->quit : SIGTERM);
	err_set(&e, ERR_CANCELLED, "the edge was stopped");
	answer_waiters(g, &e);
	for (unsigned i = 0; i < EDGE_JOBS_MAX; i++)
		if (g->jobs[i].state != EDGE_JOB_FREE)
			job_done(g, i, &e);
}

bool edge_running(const struct edge *g)
{
	return g->master > 0 || g->tester > 0 || g->maker > 0;
}

static void tick_up(struct edge *g, int64_t now_ms)
{
	start_making(g);
	if (g->reloading)
		poll_reload(g, now_ms);
	start_reload(g, now_ms); /* before a test that would hold its own up */
	start_test(g);
	if (may_reload(g) && now_ms >= g->rotate_at) {
		edge_files_rotate(g);
		g->rotate_at = now_ms + ROTATE_EVERY_MS;
	}
}

static void tick_phase(struct edge *g, int64_t now_ms)
{
	switch (g->phase) {
	case EDGE_PORT:
		try_port(g, now_ms);
		break;
	case EDGE_STARTING:
		poll_start(g, now_ms);
		break;
	case EDGE_UP:
		tick_up(g, now_ms);
		break;
	case EDGE_BACKOFF:
		if (now_ms >= g->retry_at) {
			g->phase = EDGE_PORT;
			g->phase_deadline = now_ms + PORT_WAIT_MS;
			try_port(g, now_ms);
		}
		break;
	case EDGE_STOPPING:
		if (now_ms >= g->phase_deadline && g->master > 0)
			(void)kill(-g->master, SIGKILL);
		break;
	case EDGE_DOWN:
	case EDGE_PHASE_COUNT:
		break;
	}
}

int64_t edge_tick(struct edge *g, int64_t now_ms)
{
	tick_phase(g, now_ms);
	switch (g->phase) {
	case EDGE_PORT:
	case EDGE_STARTING:
		return now_ms + POLL_MS;
	case EDGE_BACKOFF:
		return g->retry_at;
	case EDGE_STOPPING:
		return g->phase_deadline > now_ms ? g->phase_deadline : now_ms + POLL_MS;
	case EDGE_UP:
		if (g->reloading || (oldest(g, EDGE_JOB_QUEUED) >= 0 && g->tester == 0))
			return now_ms + POLL_MS;
		if (may_reload(g) && oldest(g, EDGE_JOB_TESTED) >= 0)
			return g->reload_at > now_ms ? g->reload_at : now_ms;
		return g->rotate_at;
	case EDGE_DOWN:
	case EDGE_PHASE_COUNT:
		break;
	}
	return DEADLINE_NEVER;
}
