/* One running task, inside the engine. The loop thread owns it, except while a unit of it is under
 * way: then the writer thread reads and fills the fields that the unit names, and the loop leaves
 * it alone.
 *
 * An action (a phase's `start`) ends with exactly one work_answer. What it has under way at once is
 * counted with the work_ops functions, so that it never answers while something of it can still
 * call back. */
#pragma once

#include "base/args.h"
#include "base/arena.h"
#include "deploy/deploy.h"
#include "deploy/machine.h"
#include "kinds/kinds.h"
#include "launch/rundir.h"
#include "model/certificate.h"
#include "model/domain.h"
#include "model/env.h"
#include "model/event.h"
#include "model/project.h"
#include "model/release.h"
#include "model/service.h"
#include "model/step.h"
#include "notify/notify.h"
#include "run/drain.h"
#include "run/health.h"
#include "services/services.h"
#include "source/source.h"

#define WORK_LINES 10u /* of a program's last output that a message shows */
#define WORK_LINE_BYTES 500u
#define WORK_ARENA_BYTES (96u << 20)
#define WORK_STOP_TIMEOUT_MS 10000u /* a process that does not say */
#define WORK_DEATH_WATCH_MS 10000   /* a worker that dies earlier undoes the switch */
#define WORK_HEALTH_MS 60000	    /* until when a release that does not say must be well */
#define WORK_PATH_SIZE 512
#define WORK_VERIFY_MAX LIMIT_INSTANCES

struct work;
struct keep;
typedef bool instance_pick(const struct work *w, const struct priv_status *s);

/* A restart under way (roll.c). */
enum roll_step {
	ROLL_NONE,
	ROLL_IN_PLACE, /* asked to end */
	ROLL_BEGINS,   /* the helper is asked for a second one */
	ROLL_STARTS,   /* that is to be ready */
	ROLL_ASKED,    /* whether it is well */
	ROLL_DRAINS,
	ROLL_ENDS,
	ROLL_UNDONE,
};
struct roll {
	enum roll_step step;
	bool beside, others; /* than those that listen */
	size_t count;	     /* restarted */
	uint64_t newest;     /* of all instances when it began */
	uint64_t id, last;   /* under way; up to which all had their turn */
	uint64_t kept[2];    /* from which to which it is not left over from an earlier life */
	uint32_t starts;     /* of that one, then */
	int64_t began_ms;
	uint16_t instance;
	char process[NAME_PROCESS_MAX + 1];
	bool failed;
	struct err err;
};
struct reconcile;
struct sleeper;

struct deploy {
	struct deploy_options o;
	struct queue *queue;
	struct work *works;
	struct reconcile
	    *reconcile; /* under way; what is left of it at the end goes with the process */
	struct sleeper *sleepers;	/* projects that sleep when nobody asks */
	struct loop_timer *sleep_timer; /* NULL until there is one */
	unsigned keeping;		/* archives that a pool thread works on: deploy/keep.h */
	bool ready;			/* reconciled: tasks may go on */
	bool quiet;			/* the daemon ends: no task takes another step */
	bool closing; /* works are freed as soon as nothing of theirs can call back */
};

struct work_input {
	struct str ref, url, archive, process, action, site;
	struct str backup, key, slot;
	bool admin; /* of the platform asks */
	bool force, plan_only, staging, look, purge, data_only;
	bool stranger; /* nothing of it is trusted: no secrets, no cache */
	int64_t release;
	struct args argv; /* of a command */
	int64_t timeout_ms, event;
};

typedef int work_unit_fn(struct work *w, struct store_db *db, struct err *e);
/* A release with what is needed to run it; swapped in to start processes of the old one. */
struct work_release {
	struct model_release row;
	struct plan plan;
	struct model_envs envs;
	bool has_plan;
};

typedef void work_then_fn(struct work *w);

struct work {
	struct deploy *d;
	struct work *next;
	struct arena a;
	struct model_task task;
	struct queue_lease lease;
	struct deploy_state st;
	struct work_input in;

	/* Facts, from the store; facts_load fills them anew. */
	struct model_project project;
	struct model_release release; /* the one made or started; number 0: none yet */
	struct model_domains domains;
	struct model_scales scales;
	struct model_services services;
	uint32_t devices;	/* base/device.h: that were granted */
	struct model_envs envs; /* of the release's version */
	struct plan plan;	/* of the release */
	bool has_plan;
	struct str first_domain;
	struct args claimed; /* domains that came with this task, and go with it when it fails */

	/* The action under way. */
	struct deploy_action act;
	bool act_open, expired, aborting, held;
	unsigned in_flight; /* units and endings under way */
	bool cancel_waiting, committing;
	int64_t act_mono_ms, step_mono_ms, begun_wall_ms;
	struct reconcile *reconcile; /* a work of the reconciliation */
	struct loop_timer *deadline, *timer;
	struct buf detail;  /* of the step, for people */
	bool skipped;	    /* the step had nothing to do */
	work_unit_fn *also; /* joins the next commit */

	/* Several things under way at once. */
	unsigned ops;
	struct err op_err;
	bool op_failed;
	work_then_fn *ops_then;

	/* A job under way. */
	struct run_job *job;
	size_t job_at; /* which build command, check … */
	int job_status;
	enum priv_limit_hit job_limit;
	struct str job_report;
	struct err job_err;
	bool job_failed_to_run;
	work_then_fn *job_then;
	int64_t job_limit_ms;
	struct priv_limits job_limits;
	char *lines[WORK_LINES]; /* a ring of the last output */
	size_t line_count;

	/* a certificate */
	struct acme_run *acme;
	char *token; /* of this proof; NULL */
	size_t prove_at;
	int64_t limited_ms;
	struct model_certificate certificate, fresh; /* as the store has it; as it will be */
	struct buf chain, key;			     /* the key is wiped */

	struct provide *provide; /* deploy/provide.c; in the arena */
	bool erased;		 /* destroy: an earlier life took the project's rows away */
	bool services_left;	 /* destroy: some were added meanwhile */
	work_then_fn *provide_then;

	struct keep *keep;    /* of a backup or restore: deploy/keep.h */
	struct str backup_id; /* that was made */

	bool more_events; /* of the project that goes */
	bool upload_over; /* nobody else needs the archive that was deployed */

	struct source_spec source;
	struct source_result fetched;

	struct model_event event; /* that a command is about; id 0: none */
	struct str event_body;

	uint64_t *gone; /* instances that were over, or ending, when this start began */
	size_t gone_count;
	struct health *health[WORK_VERIFY_MAX];
	size_t health_count;
	unsigned health_tries;
	bool waits_ready; /* all is well but that some program has not said yet that it is ready */
	struct drain *drain;
	instance_pick *stop_which; /* instance_stop_drained's */
	work_then_fn *stop_then;
	uint32_t ports_taken; /* by this group of starts, bit per port */
	struct roll roll;

	/* What the end tells. */
	struct err failure; /* the first */
	bool failed;
	char *failure_lines; /* joined with \n; NULL: none */
	struct buf warning, receipt, plan_json;
	int64_t switch_us;
	struct requests_sum asked; /* by visitors, before it began */
	bool counts_asked;
	uint64_t site_changes; /* helper/sites.h's, once the edge has them */
	bool sites_told;
	uint32_t from_release; /* what was live before */
	bool was_running;  /* then; a project that was stopped is stopped again by switching back */
	int64_t had_count; /* scale: instances before; -1 unknown */
	struct work_release old; /* of from_release, once loaded */
	struct model_releases prunable;
	work_then_fn *prune_then;
};

/* executor.c */
/* Ends the action under way; only its first call counts. */
void work_answer(struct work *w, enum deploy_event_kind k);
void work_done(struct work *w);			     /* DONE */
void work_fail(struct work *w, const struct err *e); /* FAILED, with the reason */
void work_skip(struct work *w, const char *why);     /* DONE, nothing to do */
/* Keeps the reason for the end's message (the first one given wins). */
void work_blame(struct work *w, const struct err *e);
/* What the operator set for the project; 0: nothing. */
int work_own_limits(const struct work *w, struct manifest_limits *ret, struct err *e) WARN_UNUSED;
/* PRIV_PROJECT_ENSURE for its project. */
int work_ensure_request(const struct work *w, struct priv_request *ret, struct err *e) WARN_UNUSED;
bool work_stopping(const struct work *w); /* cancelled or past its deadline: start nothing more */
/* Runs `unit` on the writer thread behind the lease's fence, then `then` on the loop with op_failed
 * and op_err set. */
void work_unit(struct work *w, work_unit_fn *unit, work_then_fn *then);
/* A group of asynchronous operations: begin, any number of `add`s each answered by work_op_done (a
 * run_done_fn), end. `then` runs once all are back, with op_failed and op_err of the first that
 * failed. */
void work_ops_begin(struct work *w, work_then_fn *then);
void work_op_add(struct work *w);
void work_op_done(void *work, uint64_t value, const struct err *e);
void work_op_back(struct work *w, const struct err *e);
void work_ops_end(struct work *w);
void work_timer(struct work *w, int64_t after_ms); /* the phase's `tick` */

/* What each phase does. `abort` (may be NULL: it ends soon by itself) makes `start`'s answer come
 * early. */
struct work_phase {
	work_then_fn *start, *abort, *tick;
	void (*on_status)(struct work *w, const struct priv_status *s);
};
extern const struct work_phase work_phases[DEPLOY_PHASE_COUNT];

/* A work without a task, for what the daemon does by itself (reconciling): the group operations
 * only. */
struct work *work_new(struct deploy *d);
void work_free(struct work *w);
void deploy_ready(struct deploy *d); /* reconciled: what was handed out meanwhile begins */
void work_back(struct work *w);	     /* one of in_flight is back; may free */

/* commit.c */
void commit_transition(struct work *w, const struct deploy_state *next,
    const struct deploy_actions *acts, enum deploy_event_kind k);
void work_action_start(struct work *w, const struct deploy_action *a);
int work_fence(
    const struct work *w, struct store_db *db, struct err *e) WARN_UNUSED; /* in a unit */

/* In a unit of the forward action under way, with what it changes: the next life is to know of that. */
int work_remember(struct work *w, struct store_db *db, struct err *e) WARN_UNUSED;

/* For commit.c only. */
void work_feed(struct work *w, enum deploy_event_kind k);
bool work_bury(struct work *w); /* true: the engine is closing and w was freed */
void work_tick(void *work);

/* facts.c: what the store knows of the task's project. In a unit. */
int facts_load(struct work *w, struct store_db *db, struct err *e) WARN_UNUSED;
/* Of these, domains and first_domain alone. */
int facts_domains(struct work *w, struct store_db *db, struct err *e) WARN_UNUSED;
int facts_input(struct work *w, struct err *e) WARN_UNUSED;
/* Under which the head of what the release was fetched from is kept. */
int facts_head_ref(
    const struct work *w, struct store_db *db, struct str *ret, struct err *e) WARN_UNUSED;
int64_t facts_count(const struct work *w, struct str process); /* wanted instances */
/* The progress column: the machine's state and what the end's message needs. */
void facts_progress_write(const struct work *w, const struct deploy_state *st, struct buf *out);
void facts_progress_read(struct work *w);
/* Of a life that was cut, once the facts are known. True: the action that was open is done, or had nothing to do. */
bool facts_was_done(struct work *w);

/* env.c: environments as lists KEY=value in the arena. */
enum env_for { ENV_RUN, ENV_BUILD };
int env_list(struct work *w, enum env_for why, const struct manifest_pair *own, size_t own_count,
    struct str cache_key, struct args *ret, struct err *e) WARN_UNUSED;

/* report.c: what people see. */
void report_step(
    struct work *w, const char *step, const char *state, int64_t ms, struct str detail);
void report_line(struct work *w, const char *step, struct str line);
void report_end(struct work *w, const char *state, struct str result, struct str error);
void report_lines_clear(struct work *w);
void report_lines_add(struct work *w, struct str line);
/* Keeps the job's or the process's last lines for the failure's message. */
void report_lines_keep(struct work *w);
void report_lines_of_release(struct work *w);
/* The same of one of its processes (empty: all), written since then. */
void report_lines_of(struct work *w, struct str process, int64_t since_ms);
/* Where the project answers; empty: nowhere. Of the arena. */
struct str report_url(const struct work *w, struct arena *a);
void report_result(struct work *w, struct buf *out);
void report_error(struct work *w, struct buf *out);
/* destroy: the rows are gone, with which all is. */
void erase_tell(struct work *w);
void report_receipt(struct work *w, const char *what, const char *outcome, const char *why);

/* news.c: in the unit of what is told; notify_kick follows. */
int news_started(struct work *w, struct store_db *db, struct err *e) WARN_UNUSED;
int news_ended(struct work *w, struct store_db *db, struct err *e) WARN_UNUSED;

/* job.c: one command, or our own slipway-tree, to its end. */
struct job {
	const char *name; /* "fetch", "build", "check", "release", "hook" */
	enum priv_sandbox sandbox;
	enum priv_program program;
	const struct args *argv, *env;
	struct str secret, subdir;
	struct priv_limits limits;
	int64_t time_limit_ms;
	size_t report_max;
	int stdin_fd;
	bool expand;
};
void job_start(struct work *w, const struct job *j, work_then_fn *then);
void job_abort(struct work *w);
/* True when the job ended with status 0; else fills e: "'npm ci' ended with status 1". */
bool job_ok(struct work *w, const char *what, struct err *e);
struct priv_limits job_limits(const struct work *w, bool build);
/* The same for a release's own programs, with the devices that it uses and was granted. */
struct priv_limits run_limits(const struct work *w);
/* PRIV_RELEASE_SEAL of the release with its plan's static paths, then `then`; made already, it is success. */
void seal_request(struct work *w, work_then_fn *then);
/* Jobs of this release that an earlier life left running are ended. */
void job_stop_strays(struct work *w);

/* instances.c */
struct instance_key {
	struct str process;
	uint16_t instance;
};
bool instance_listens(const struct plan_process *p);
const struct plan_process *plan_find(const struct plan *p, struct str name);
bool plan_has_web(const struct plan *p);
/* The record of a service's instance that is not over; NULL. */
const struct priv_status *instance_find(struct work *w, uint32_t release, struct str process,
    uint16_t instance, enum priv_program program);
/* Starts instance `i` of p unless it runs, as one or two operations of the group. */
void instance_start(struct work *w, const struct plan_process *p, uint16_t i);
/* A second one of an instance that listens, at RUNDIR_BESIDE. */
void instance_start_beside(struct work *w, const struct plan_process *p, uint16_t i);
bool instance_port_is_left(struct work *w);
/* The first of the project's for which `which` says so; NULL. */
const struct priv_status *instance_find_if(
    struct work *w, instance_pick *which, enum priv_program program);
/* Stops, as operations of the group, those services of the project for which `which` says so. */
size_t instance_stop(struct work *w, instance_pick *which);
/* The same of those that are drained, as two groups, then `then`: a relay ends after its last connection, so its program must
 * outlive it. */
void instance_stop_drained(struct work *w, instance_pick *which, work_then_fn *then);
void instance_socket_path(const struct deploy *d, struct str project, uint32_t release,
    struct str process, uint16_t instance, char out[WORK_PATH_SIZE]);
bool instance_has_socket(const struct deploy *d, const struct priv_status *s);
bool instance_is_over(const struct priv_status *s);
/* What is to be said of a program that a limit ended, behind its name; NULL: none did. */
const char *instance_limit_words(const struct priv_status *s);
bool instance_of(const struct work *w, const struct priv_status *s); /* a service of this project */
/* A service that failed at least once since it was made; and how: "web.1 ended with status 1 before it was healthy". */
bool instance_has_died(const struct priv_status *s);
void instance_death(const struct priv_status *s, struct err *ret);

/* vhost.c: the project's vhost from facts and a plan. As an operation of the group. */
void vhost_set(struct work *w, const struct plan *p, bool maintenance);
/* Inside a unit: that it ends soon (days > 0), was installed, or could not be had. */
/* The same of a row as it is read. */
int news_certificate_of(struct store_db *db, const struct model_certificate *c, const char *event,
    int64_t now_ms, struct err *e) WARN_UNUSED;
int news_certificate(
    struct work *w, struct store_db *db, const char *event, struct err *e) WARN_UNUSED;
int vhost_fill(const struct work *w, const struct plan *p, bool maintenance,
    struct render_vhost *ret, struct err *e) WARN_UNUSED;
/* sites.c: the same for kind nginx-site. */
void sites_set(struct work *w, const struct plan *p, uint32_t release, bool closed);
/* By name; NULL. Its names that an authority can know, into names[] of SITE_DOMAINS_MAX. */
const struct plan_site *sites_find(const struct plan *p, struct str name);
size_t sites_public_names(const struct plan_site *s, struct str *names);
/* In the unit of the switch: sites that need a certificate have it ordered, those that are gone lose
 * their rows; and, from then on, certbot's files. */
int sites_certificates(struct work *w, struct store_db *db, struct err *e) WARN_UNUSED;
void sites_forget_gone(struct work *w);
/* What the platform has for itself, so that no project may. */
struct name_platform work_platform(const struct work *w);
/* What this task claimed is free again. In a unit, where it is undone; behind it domains_given_back. */
int domains_give_back(struct work *w, struct store_db *db, struct err *e) WARN_UNUSED;
void domains_given_back(struct work *w);
/* Which of its names belong to another project, by what the store knows. */
int sites_check_names(struct work *w, struct store_db *db, struct err *e) WARN_UNUSED;
/* "2 sites: 1 file changed; reloaded, " into the step's detail. */
void sites_tell(struct work *w);
bool plan_is_sites(const struct plan *p);

/* The links `live` and `previous`, as edge_switch has it, on a pool thread because it syncs; as an
 * operation of the group. Leaves in switch_us how long it took. */
void work_switch(struct work *w, uint32_t release, uint32_t previous);

/* provide.c: what the plan needs, wanted; in the unit of provision. */
int provide_want(struct work *w, struct store_db *db, struct err *e) WARN_UNUSED;
/* The same for those of an archive, by name and type. */
int provide_want_all(struct work *w, struct store_db *db, const struct model_services *all,
    struct err *e) WARN_UNUSED;
/* All that is wanted is made and stored, then `then`, with op_failed and op_err. */
void provide_start(struct work *w, work_then_fn *then);
/* The same, and an empty one beside each: for a restore. */
void provide_fresh(struct work *w, work_then_fn *then);
/* One act on each of them; then `then`, with op_failed and op_err. */
void provide_act(struct work *w, enum services_act act, work_then_fn *then);
/* What slipway-tree needs to dump or to fill them: those of the project that `which` names. */
int provide_tool(struct work *w, const struct model_services *which, bool fresh,
    struct args *ret_env, struct err *e) WARN_UNUSED;
/* Lists those that there are now. 1: some were added since the last of the calls here; 0/-1. In a unit. */
int provide_left(struct work *w, struct store_db *db, struct err *e) WARN_UNUSED;
/* All that was made goes, a line of the receipt each. */
void provide_drop(struct work *w, work_then_fn *then);
/* A warning for what the release's plan needs and the project does not have. */
void provide_check(struct work *w);

/* sleep.c: a project is open to visitors and sleeps after so long without any; 0: it does not, or is
 * closed. */
void sleep_note(struct deploy *d, struct str project, int64_t sleep_ms);
void sleep_close(struct deploy *d);

/* A request to the helper for this project, as an operation of the group. */
void helper_request(struct work *w, enum priv_op op, uint32_t release, int fd);

/* The phases. */
void fetch_start(struct work *w);
void plan_start(struct work *w);
void build_start(struct work *w);
void check_start(struct work *w);
void provision_start(struct work *w);
void release_start(struct work *w);
void start_start(struct work *w);
void start_on_status(struct work *w, const struct priv_status *s);
/* Some program of the release that says when it is ready has not yet. */
bool start_waits(struct work *w);
void verify_start(struct work *w);
/* How the release's health is asked for at this socket, so many times in a row. False: the task's memory is full. */
bool health_options_of(
    struct work *w, const char *socket_path, unsigned need, struct health_options *ret);
void verify_abort(struct work *w);
void switch_start(struct work *w);
void handover_start(struct work *w);
void handover_tick(struct work *w);
void handover_abort(struct work *w);
void handover_on_status(struct work *w, const struct priv_status *s);
void drain_phase_start(struct work *w);
void drain_phase_abort(struct work *w);
void open_start(struct work *w);
void shrink_start(struct work *w);
void roll_start(struct work *w);
void roll_abort(struct work *w);
void roll_tick(struct work *w);
void roll_on_status(struct work *w, const struct priv_status *s);
void close_start(struct work *w);
void halt_start(struct work *w);
void erase_start(struct work *w);
void command_phase_start(struct work *w);
void prove_start(struct work *w);
void order_start(struct work *w);
void order_abort(struct work *w);
void order_tick(struct work *w);
void install_start(struct work *w);
void pack_start(struct work *w);
void keep_start(struct work *w);
void keep_abort(struct work *w);
void keep_tick(struct work *w);
void keep_stop(struct keep *k); /* what a pool thread does for it ends soon; NULL is fine */
void keep_free(struct keep *k);
void read_start(struct work *w);
void unpack_start(struct work *w);
void swap_start(struct work *w);
void settle_start(struct work *w);
void drop_start(struct work *w);
void unswap_start(struct work *w);
void unswitch_start(struct work *w);
void undo_start_start(struct work *w);
void undo_release_start(struct work *w);
void finish_start(struct work *w);

/* Starts those instances of the old release that run and do not listen (after switching back). As
 * operations. */
void old_workers_start(struct work *w);
int old_release_load(struct work *w, struct store_db *db, struct err *e) WARN_UNUSED;
/* The sockets of services picked by `which`, or at these paths, are drained as long as the release allows, then `then`. */
void drain_sockets(struct work *w, instance_pick *which, work_then_fn *then);
void drain_paths(struct work *w, const char *const *paths, size_t count, work_then_fn *then);
/* ", 240 requests meanwhile, 0 failed" into the step's detail: what visitors noticed since the task began. */
void work_tell_requests(struct work *w);
/* The socket files of one release's run directory go; its `public` link stays, for pages loaded
 * before. */
void sockets_remove(struct work *w, uint32_t release);
/* Other numbers than live and previous lose their run directories. */
void run_dirs_prune(const struct deploy *d, struct str project, uint32_t live, uint32_t previous);

/* prune.c: trees beyond keep_releases go. Always ends in `then`. */
void prune_start(struct work *w, work_then_fn *then);
