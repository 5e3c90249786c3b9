/* The engine's decisions: a pure table, state × event → state and actions. No I/O, no clock, no
 * allocation.
 *
 * One action of a task is under way at a time. It carries (phase, attempt) and a limit, and answers
 * with exactly one event: done, up to date, retry, failed, timed out or cancelled. An answer that
 * carries another phase or attempt than the state's is stale and changes nothing. Whoever runs the
 * machine commits the new state durably *before* it issues the actions; after a crash it feeds
 * `recover`, which re-issues what was open (or, for the once-per-release command, fails it).
 *
 * The way forward of a deploy is FETCH … FINISH; what went wrong before the switch walks back over
 * UNDO_START and UNDO_RELEASE, after it over UNSWITCH. Until SWITCH a task can be cancelled; from
 * SWITCH on it completes. A restore can be cancelled until it stops what serves. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum deploy_flow {
	DEPLOY_FLOW_DEPLOY,
	DEPLOY_FLOW_ROLLBACK,
	DEPLOY_FLOW_START,
	DEPLOY_FLOW_STOP,
	DEPLOY_FLOW_RESTART,
	DEPLOY_FLOW_SCALE,
	DEPLOY_FLOW_DESTROY,
	DEPLOY_FLOW_CHECK, /* a deploy up to its checks; then nothing is left of it */
	DEPLOY_FLOW_RUN,   /* one command in the live release */
	DEPLOY_FLOW_CERTIFICATE,
	DEPLOY_FLOW_BACKUP,
	DEPLOY_FLOW_RESTORE,
	DEPLOY_FLOW_COUNT
};

enum deploy_phase {
	DEPLOY_NEW, /* claimed, nothing issued yet */
	/* forward */
	DEPLOY_FETCH,
	DEPLOY_PLAN,
	DEPLOY_BUILD, /* and seal */
	DEPLOY_CHECK,
	DEPLOY_PROVISION,
	DEPLOY_RELEASE, /* the command that runs at most once per release */
	DEPLOY_START,	/* listening processes, beside the old ones */
	DEPLOY_VERIFY,
	DEPLOY_SWITCH,
	DEPLOY_HANDOVER, /* processes that do not listen: old ones stopped, new ones started */
	DEPLOY_DRAIN,
	DEPLOY_OPEN,	/* the vhost sends traffic to the wanted instances */
	DEPLOY_SHRINK,	/* surplus instances drained and stopped */
	DEPLOY_ROLL,	/* instances restarted one by one on their own sockets */
	DEPLOY_CLOSE,	/* the vhost answers "stopped" */
	DEPLOY_HALT,	/* everything of the project stopped */
	DEPLOY_ERASE,	/* what the project has on this machine and in the store */
	DEPLOY_COMMAND, /* a hook's command, at most once */
	DEPLOY_PROVE,	/* the names lead here, and port 80 answers */
	DEPLOY_ORDER,	/* the authority is asked */
	DEPLOY_INSTALL, /* the edge has it, or has it no more */
	DEPLOY_PACK,	/* settings, data and the live release, as one stream in the spool */
	DEPLOY_KEEP,	/* that becomes an archive, sealed, under its name */
	DEPLOY_READ,	/* an archive is proved to its end, its stream in the spool */
	DEPLOY_UNPACK,	/* its release sealed, its data beside what serves */
	DEPLOY_SWAP,	/* data/ is what the archive has, what was there lies beside */
	DEPLOY_SETTLE,	/* settings, environment, live release in the store */
	DEPLOY_DROP,	/* what lay beside data/ is gone */
	/* back */
	DEPLOY_UNSWITCH,
	DEPLOY_UNDO_START,
	DEPLOY_UNSWAP, /* data/ and the release of before, running again */
	DEPLOY_UNDO_RELEASE,
	/* the end */
	DEPLOY_FINISH, /* the queue is told */
	DEPLOY_ENDED,
	DEPLOY_PHASE_COUNT
};

enum deploy_event_kind {
	DEPLOY_EV_BEGIN,
	DEPLOY_EV_RECOVER, /* a new life of the daemon found the task in this state */
	DEPLOY_EV_CANCEL,  /* somebody asks */
	/* answers of the action under way */
	DEPLOY_EV_DONE,
	DEPLOY_EV_UP_TO_DATE, /* fetch: the head is the one seen last */
	DEPLOY_EV_RETRY,      /* may go better later: network */
	DEPLOY_EV_FAILED,
	DEPLOY_EV_TIMED_OUT,
	DEPLOY_EV_CANCELLED,
	DEPLOY_EVENT_COUNT
};

enum deploy_outcome {
	DEPLOY_OUT_NONE,
	DEPLOY_OUT_DONE,
	DEPLOY_OUT_UP_TO_DATE,
	DEPLOY_OUT_RETRY,
	DEPLOY_OUT_FAILED,
	DEPLOY_OUT_CANCELLED,
	DEPLOY_OUTCOME_COUNT
};

struct deploy_state {
	enum deploy_flow flow;
	enum deploy_phase phase;
	uint32_t attempt; /* of the action under way; grows with each action of the task */
	enum deploy_outcome outcome;
	enum deploy_phase failed_at; /* DEPLOY_NEW while nothing failed */
	bool cancel_asked;
};

struct deploy_event {
	enum deploy_event_kind kind;
	enum deploy_phase phase; /* answers only: which action answers */
	uint32_t attempt;
};

enum deploy_action_kind {
	DEPLOY_DO = 1,
	DEPLOY_ABORT /* the action under way: stop early, still answer */
};
struct deploy_action {
	enum deploy_action_kind kind;
	enum deploy_phase phase;
	uint32_t attempt;
	int64_t limit_ms; /* DO: answers timed_out at the latest then; the executor may know a
			     nearer limit */
};
#define DEPLOY_ACTIONS_MAX 1
struct deploy_actions {
	struct deploy_action v[DEPLOY_ACTIONS_MAX];
	size_t count;
};

/* What a phase does with an event. Values below DEPLOY_PHASE_COUNT are the phase that follows, its
 * action issued. */
enum deploy_move {
	DEPLOY_IGNORE = 0,		   /* nothing changes (DEPLOY_NEW is never a target) */
	DEPLOY_AGAIN = DEPLOY_PHASE_COUNT, /* the same phase's action once more */
	DEPLOY_ABORTS, /* the action under way is told to stop; its answer decides */
};
struct deploy_row {
	uint8_t move[DEPLOY_EVENT_COUNT];
	bool tolerant; /* a failure here is noted and does not change the outcome */
	uint32_t limit_s;
};
struct deploy_table {
	struct deploy_row row[DEPLOY_FLOW_COUNT][DEPLOY_PHASE_COUNT];
};
extern const struct deploy_table deploy_table;

/* Pure. *ret may be *s. An event that does not fit changes nothing and asks for nothing. */
void deploy_next(const struct deploy_state *s, const struct deploy_event *ev,
    struct deploy_state *ret, struct deploy_actions *ret_actions);
/* The same over another table: for the simulator's mutants. */
void deploy_next_in(const struct deploy_table *t, const struct deploy_state *s,
    const struct deploy_event *ev, struct deploy_state *ret, struct deploy_actions *ret_actions);

const char *deploy_phase_name(enum deploy_phase p); /* "fetch"; what task.current_step holds */
/* The step under which a phase is shown: "handover" is part of "drain"; NULL: not shown. */
const char *deploy_phase_step(enum deploy_phase p);
bool deploy_phase_parse(const char *name, enum deploy_phase *ret);
const char *deploy_outcome_name(enum deploy_outcome o);
bool deploy_phase_is_back(enum deploy_phase p); /* UNSWITCH … UNDO_RELEASE */
/* True when a task of this flow in this phase can still be cancelled. */
bool deploy_cancellable(enum deploy_flow f, enum deploy_phase p);
