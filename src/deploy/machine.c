/* The engine's table and the one function that reads it. */
#include "deploy/machine.h"

#include <string.h>

/* Shorthand for the table below; columns in the order of enum deploy_event_kind:
 *   begin, recover, cancel, done, up to date, retry, failed, timed out, cancelled */
#define NO DEPLOY_IGNORE
#define ABORT DEPLOY_ABORTS
#define AGAIN DEPLOY_AGAIN
#define TO(p) DEPLOY_##p
#define START_WITH(first)                                                                          \
	{                                                                                          \
		.move = { TO(first), TO(first), NO, NO, NO, NO, NO, NO, NO }                       \
	}
/* Can be cancelled; anything but `done` walks back. */
#define OPEN_STEP(recover, done, back, limit)                                                      \
	{                                                                                          \
		.move = {NO, recover, ABORT, done, back, back, back, back, back},                  \
		.limit_s = (limit)                                                                 \
	}
/* Completes: cancel is not heard; a failure walks back. */
#define FIRM_STEP(done, back, limit)                                                               \
	{                                                                                          \
		.move = {NO, AGAIN, NO, done, back, back, back, back, back}, .limit_s = (limit)    \
	}
/* The same; recovery begins with an earlier phase. */
#define ONCE_MORE(first, done, back, limit)                                                        \
	{                                                                                          \
		.move = {NO, TO(first), NO, done, back, back, back, back, back},                   \
		.limit_s = (limit)                                                                 \
	}
/* An archive of a project that had no release: nothing to start. */
#define SETTLE_STEP                                                                                \
	{                                                                                          \
		.move = {NO, AGAIN, NO, TO(START), TO(FINISH), TO(UNSWAP), TO(UNSWAP), TO(UNSWAP), \
		    TO(UNSWAP)},                                                                   \
		.limit_s = 900                                                                     \
	}
/* The same as a firm step; and where nothing has moved and what it was to switch to went with its keeper, that is
 * started again. */
#define SWITCH_STEP                                                                                \
	{                                                                                          \
		.move = {NO, AGAIN, NO, TO(HANDOVER), TO(UNDO_START), TO(START), TO(UNDO_START),   \
		    TO(UNDO_START), TO(UNDO_START)},                                               \
		.limit_s = 120                                                                     \
	}
/* Completes and goes on whatever happens. */
#define BEST_STEP(next, limit)                                                                     \
	{                                                                                          \
		.move = {NO, AGAIN, NO, next, next, next, next, next, next}, .tolerant = true,     \
		.limit_s = (limit)                                                                 \
	}
#define FINISH_STEP                                                                                \
	{                                                                                          \
		.move = {NO, AGAIN, NO, TO(ENDED), TO(ENDED), AGAIN, AGAIN, AGAIN, AGAIN},         \
		.tolerant = true, .limit_s = 600                                                   \
	}

/* clang-format off */
const struct deploy_table deploy_table = {.row = {
	/* What was fetched lives in this process's memory until the plan is stored, and a half-built tree is worth
	 * nothing: up to the seal, recovery starts over from the fetch, with the same release number. */
	[DEPLOY_FLOW_DEPLOY] = {
		[DEPLOY_NEW] = START_WITH(FETCH),
		[DEPLOY_FETCH] = OPEN_STEP(TO(FETCH), TO(PLAN), TO(UNDO_RELEASE), 1800),
		[DEPLOY_PLAN] = OPEN_STEP(TO(FETCH), TO(BUILD), TO(UNDO_RELEASE), 60),
		[DEPLOY_BUILD] = OPEN_STEP(TO(FETCH), TO(CHECK), TO(UNDO_RELEASE), 7200),
		[DEPLOY_CHECK] = OPEN_STEP(AGAIN, TO(PROVISION), TO(UNDO_RELEASE), 14400),
		[DEPLOY_PROVISION] = OPEN_STEP(AGAIN, TO(RELEASE), TO(UNDO_RELEASE), 60),
		/* At most once: found open after a crash it has failed. */
		[DEPLOY_RELEASE] = OPEN_STEP(TO(UNDO_RELEASE), TO(START), TO(UNDO_RELEASE), 7200),
		[DEPLOY_START] = OPEN_STEP(AGAIN, TO(VERIFY), TO(UNDO_START), 300),
		[DEPLOY_VERIFY] = OPEN_STEP(TO(START), TO(SWITCH), TO(UNDO_START), 900),
		[DEPLOY_SWITCH] = SWITCH_STEP,
		[DEPLOY_HANDOVER] = FIRM_STEP(TO(DRAIN), TO(UNSWITCH), 900),
		[DEPLOY_DRAIN] = BEST_STEP(TO(FINISH), 7200),
		[DEPLOY_UNSWITCH] = BEST_STEP(TO(UNDO_START), 900),
		[DEPLOY_UNDO_START] = BEST_STEP(TO(UNDO_RELEASE), 900),
		[DEPLOY_UNDO_RELEASE] = BEST_STEP(TO(FINISH), 900),
		[DEPLOY_FINISH] = FINISH_STEP,
	},
	[DEPLOY_FLOW_ROLLBACK] = {
		[DEPLOY_NEW] = START_WITH(PROVISION),
		[DEPLOY_PROVISION] = OPEN_STEP(AGAIN, TO(START), TO(FINISH), 60),
		[DEPLOY_START] = OPEN_STEP(AGAIN, TO(VERIFY), TO(UNDO_START), 300),
		[DEPLOY_VERIFY] = OPEN_STEP(TO(START), TO(SWITCH), TO(UNDO_START), 900),
		[DEPLOY_SWITCH] = SWITCH_STEP,
		[DEPLOY_HANDOVER] = FIRM_STEP(TO(DRAIN), TO(UNSWITCH), 900),
		[DEPLOY_DRAIN] = BEST_STEP(TO(FINISH), 7200),
		[DEPLOY_UNSWITCH] = BEST_STEP(TO(UNDO_START), 900),
		[DEPLOY_UNDO_START] = BEST_STEP(TO(FINISH), 900),
		[DEPLOY_FINISH] = FINISH_STEP,
	},
	[DEPLOY_FLOW_START] = {
		[DEPLOY_NEW] = START_WITH(PROVISION),
		[DEPLOY_PROVISION] = OPEN_STEP(AGAIN, TO(START), TO(FINISH), 60),
		[DEPLOY_START] = OPEN_STEP(AGAIN, TO(VERIFY), TO(UNDO_START), 300),
		[DEPLOY_VERIFY] = OPEN_STEP(TO(START), TO(HANDOVER), TO(UNDO_START), 900),
		[DEPLOY_HANDOVER] = OPEN_STEP(AGAIN, TO(OPEN), TO(UNDO_START), 900),
		[DEPLOY_OPEN] = FIRM_STEP(TO(FINISH), TO(UNDO_START), 120),
		[DEPLOY_UNDO_START] = BEST_STEP(TO(FINISH), 900),
		[DEPLOY_FINISH] = FINISH_STEP,
	},
	[DEPLOY_FLOW_STOP] = {
		[DEPLOY_NEW] = START_WITH(CLOSE),
		[DEPLOY_CLOSE] = FIRM_STEP(TO(HALT), TO(FINISH), 120),
		[DEPLOY_HALT] = FIRM_STEP(TO(FINISH), TO(FINISH), 900),
		[DEPLOY_FINISH] = FINISH_STEP,
	},
	[DEPLOY_FLOW_RESTART] = {
		[DEPLOY_NEW] = START_WITH(ROLL),
		[DEPLOY_ROLL] = OPEN_STEP(AGAIN, TO(FINISH), TO(FINISH), 7200),
		[DEPLOY_FINISH] = FINISH_STEP,
	},
	[DEPLOY_FLOW_SCALE] = {
		[DEPLOY_NEW] = START_WITH(PROVISION),
		[DEPLOY_PROVISION] = OPEN_STEP(AGAIN, TO(START), TO(FINISH), 60),
		[DEPLOY_START] = OPEN_STEP(AGAIN, TO(VERIFY), TO(UNDO_START), 300),
		[DEPLOY_VERIFY] = OPEN_STEP(TO(START), TO(OPEN), TO(UNDO_START), 900),
		[DEPLOY_OPEN] = FIRM_STEP(TO(SHRINK), TO(UNDO_START), 120),
		[DEPLOY_SHRINK] = BEST_STEP(TO(FINISH), 7200),
		[DEPLOY_UNDO_START] = BEST_STEP(TO(FINISH), 900),
		[DEPLOY_FINISH] = FINISH_STEP,
	},
	[DEPLOY_FLOW_DESTROY] = {
		[DEPLOY_NEW] = START_WITH(CLOSE),
		[DEPLOY_CLOSE] = BEST_STEP(TO(HALT), 120),
		[DEPLOY_HALT] = FIRM_STEP(TO(PACK), TO(FINISH), 900),
		[DEPLOY_PACK] = FIRM_STEP(TO(KEEP), TO(FINISH), 14400),
		[DEPLOY_KEEP] = ONCE_MORE(PACK, TO(ERASE), TO(FINISH), 14400),
		[DEPLOY_ERASE] = FIRM_STEP(TO(FINISH), TO(FINISH), 900),
		[DEPLOY_FINISH] = FINISH_STEP,
	},
	[DEPLOY_FLOW_CHECK] = {
		[DEPLOY_NEW] = START_WITH(FETCH),
		[DEPLOY_FETCH] = OPEN_STEP(TO(FETCH), TO(PLAN), TO(UNDO_RELEASE), 1800),
		[DEPLOY_PLAN] = OPEN_STEP(TO(FETCH), TO(BUILD), TO(UNDO_RELEASE), 60),
		[DEPLOY_BUILD] = OPEN_STEP(TO(FETCH), TO(CHECK), TO(UNDO_RELEASE), 7200),
		[DEPLOY_CHECK] = OPEN_STEP(TO(FETCH), TO(UNDO_RELEASE), TO(UNDO_RELEASE), 14400),
		[DEPLOY_UNDO_RELEASE] = BEST_STEP(TO(FINISH), 900),
		[DEPLOY_FINISH] = FINISH_STEP,
	},
	/* At most once: found open after a crash it has failed, and what still runs of it is stopped. */
	[DEPLOY_FLOW_RUN] = {
		[DEPLOY_NEW] = START_WITH(COMMAND),
		[DEPLOY_COMMAND] = OPEN_STEP(TO(UNDO_RELEASE), TO(FINISH), TO(FINISH), 7200),
		[DEPLOY_UNDO_RELEASE] = BEST_STEP(TO(FINISH), 900),
		[DEPLOY_FINISH] = FINISH_STEP,
	},
	/* What the authority gave lies in files of its client; asking it again after a crash gives the same or another. */
	[DEPLOY_FLOW_CERTIFICATE] = {
		[DEPLOY_NEW] = START_WITH(PROVE),
		[DEPLOY_PROVE] = OPEN_STEP(AGAIN, TO(ORDER), TO(FINISH), 120),
		[DEPLOY_ORDER] = OPEN_STEP(AGAIN, TO(INSTALL), TO(FINISH), 900),
		[DEPLOY_INSTALL] = FIRM_STEP(TO(FINISH), TO(FINISH), 120),
		[DEPLOY_FINISH] = FINISH_STEP,
	},
	/* What was packed has no name in the spool, so it ends with the process. */
	[DEPLOY_FLOW_BACKUP] = {
		[DEPLOY_NEW] = START_WITH(PACK),
		[DEPLOY_PACK] = OPEN_STEP(AGAIN, TO(KEEP), TO(FINISH), 14400),
		[DEPLOY_KEEP] = OPEN_STEP(TO(PACK), TO(FINISH), TO(FINISH), 14400),
		[DEPLOY_FINISH] = FINISH_STEP,
	},
	[DEPLOY_FLOW_RESTORE] = {
		[DEPLOY_NEW] = START_WITH(READ),
		[DEPLOY_READ] = OPEN_STEP(AGAIN, TO(UNPACK), TO(UNDO_RELEASE), 14400),
		[DEPLOY_UNPACK] = OPEN_STEP(TO(READ), TO(CLOSE), TO(UNSWAP), 14400),
		[DEPLOY_CLOSE] = FIRM_STEP(TO(HALT), TO(UNSWAP), 120),
		[DEPLOY_HALT] = FIRM_STEP(TO(SWAP), TO(UNSWAP), 900),
		[DEPLOY_SWAP] = FIRM_STEP(TO(SETTLE), TO(UNSWAP), 900),
		[DEPLOY_SETTLE] = SETTLE_STEP,
		[DEPLOY_START] = FIRM_STEP(TO(VERIFY), TO(UNDO_START), 300),
		[DEPLOY_VERIFY] = ONCE_MORE(START, TO(HANDOVER), TO(UNDO_START), 900),
		[DEPLOY_HANDOVER] = FIRM_STEP(TO(OPEN), TO(UNDO_START), 900),
		[DEPLOY_OPEN] = FIRM_STEP(TO(DROP), TO(UNDO_START), 120),
		[DEPLOY_DROP] = BEST_STEP(TO(FINISH), 900),
		[DEPLOY_UNDO_START] = BEST_STEP(TO(UNSWAP), 900),
		[DEPLOY_UNSWAP] = BEST_STEP(TO(UNDO_RELEASE), 900),
		[DEPLOY_UNDO_RELEASE] = BEST_STEP(TO(FINISH), 900),
		[DEPLOY_FINISH] = FINISH_STEP,
	},
}};
/* clang-format on */

static const struct {
	const char *name, *step;
} phases[DEPLOY_PHASE_COUNT] = {
    [DEPLOY_NEW] = {"new", NULL},
    [DEPLOY_FETCH] = {"fetch", "fetch"},
    [DEPLOY_PLAN] = {"plan", "plan"},
    [DEPLOY_BUILD] = {"build", "build"},
    [DEPLOY_CHECK] = {"check", "check"},
    [DEPLOY_PROVISION] = {"provision", "provision"},
    [DEPLOY_RELEASE] = {"release", "release"},
    [DEPLOY_START] = {"start", "start"},
    [DEPLOY_VERIFY] = {"verify", "verify"},
    [DEPLOY_SWITCH] = {"switch", "switch"},
    [DEPLOY_HANDOVER] = {"handover", "drain"},
    [DEPLOY_DRAIN] = {"drain", "drain"},
    [DEPLOY_OPEN] = {"open", "open"},
    [DEPLOY_SHRINK] = {"shrink", "drain"},
    [DEPLOY_ROLL] = {"roll", "restart"},
    [DEPLOY_CLOSE] = {"close", "close"},
    [DEPLOY_HALT] = {"halt", "stop"},
    [DEPLOY_ERASE] = {"erase", "remove"},
    [DEPLOY_COMMAND] = {"command", "run"},
    [DEPLOY_PROVE] = {"prove", "prove"},
    [DEPLOY_ORDER] = {"order", "order"},
    [DEPLOY_INSTALL] = {"install", "install"},
    [DEPLOY_PACK] = {"pack", "pack"},
    [DEPLOY_KEEP] = {"keep", "keep"},
    [DEPLOY_READ] = {"read", "read"},
    [DEPLOY_UNPACK] = {"unpack", "unpack"},
    [DEPLOY_SWAP] = {"swap", "restore"},
    [DEPLOY_SETTLE] = {"settle", "restore"},
    [DEPLOY_DROP] = {"drop", "tidy"},
    [DEPLOY_UNSWITCH] = {"unswitch", "undo"},
    [DEPLOY_UNDO_START] = {"undo-start", "undo"},
    [DEPLOY_UNSWAP] = {"unswap", "undo"},
    [DEPLOY_UNDO_RELEASE] = {"undo-release", "undo"},
    [DEPLOY_FINISH] = {"finish", NULL},
    [DEPLOY_ENDED] = {"ended", NULL},
};

static bool is_answer(enum deploy_event_kind k)
{
	return k >= DEPLOY_EV_DONE;
}

static enum deploy_outcome outcome_of(enum deploy_event_kind k)
{
	static const enum deploy_outcome of[DEPLOY_EVENT_COUNT] = {
	    [DEPLOY_EV_RECOVER] = DEPLOY_OUT_FAILED,
	    [DEPLOY_EV_UP_TO_DATE] = DEPLOY_OUT_UP_TO_DATE,
	    [DEPLOY_EV_RETRY] = DEPLOY_OUT_RETRY,
	    [DEPLOY_EV_FAILED] = DEPLOY_OUT_FAILED,
	    [DEPLOY_EV_TIMED_OUT] = DEPLOY_OUT_FAILED,
	    [DEPLOY_EV_CANCELLED] = DEPLOY_OUT_CANCELLED,
	};
	return of[k];
}

/* Once somebody asked, whatever a cancellable phase hears next counts as `cancelled`. */
static enum deploy_event_kind heard_as(
    const struct deploy_state *s, const struct deploy_row *row, enum deploy_event_kind k)
{
	bool cancellable = row->move[DEPLOY_EV_CANCEL] == DEPLOY_ABORTS;
	if (s->cancel_asked && cancellable && (is_answer(k) || k == DEPLOY_EV_RECOVER))
		return DEPLOY_EV_CANCELLED;
	return k;
}

/* What did not go forward decides the outcome, the first time only. */
static void judge(struct deploy_state *s, const struct deploy_row *row, enum deploy_event_kind k,
    enum deploy_phase next)
{
	bool back = deploy_phase_is_back(next);
	bool anew = k == DEPLOY_EV_RETRY && next < s->phase;
	bool bad =
	    (is_answer(k) && k != DEPLOY_EV_DONE && !anew) || (k == DEPLOY_EV_RECOVER && back);
	if (bad && !row->tolerant && s->outcome == DEPLOY_OUT_NONE) {
		s->outcome = outcome_of(k);
		s->failed_at = s->phase;
	}
	if (next == DEPLOY_FINISH && s->outcome == DEPLOY_OUT_NONE)
		s->outcome = DEPLOY_OUT_DONE;
}

void deploy_next_in(const struct deploy_table *t, const struct deploy_state *s,
    const struct deploy_event *ev, struct deploy_state *ret, struct deploy_actions *ret_actions)
{
	const struct deploy_row *row = &t->row[s->flow][s->phase];
	struct deploy_state n = *s;
	*ret_actions = (struct deploy_actions){0};
	*ret = n;
	if (is_answer(ev->kind) && (ev->phase != s->phase || ev->attempt != s->attempt))
		return;
	enum deploy_event_kind k = heard_as(s, row, ev->kind);
	uint8_t move = row->move[k];
	if (move == DEPLOY_IGNORE)
		return;
	if (move == DEPLOY_ABORTS) {
		if (n.cancel_asked)
			return;
		ret->cancel_asked = true;
		ret_actions->v[ret_actions->count++] = (struct deploy_action){
		    .kind = DEPLOY_ABORT, .phase = s->phase, .attempt = s->attempt};
		return;
	}
	enum deploy_phase next = move == DEPLOY_AGAIN ? s->phase : (enum deploy_phase)move;
	judge(&n, row, k, next);
	n.phase = next;
	*ret = n;
	if (next == DEPLOY_ENDED)
		return;
	ret->attempt = ++n.attempt;
	ret_actions->v[ret_actions->count++] = (struct deploy_action){.kind = DEPLOY_DO,
	    .phase = next,
	    .attempt = n.attempt,
	    .limit_ms = (int64_t)t->row[s->flow][next].limit_s * 1000};
}

void deploy_next(const struct deploy_state *s, const struct deploy_event *ev,
    struct deploy_state *ret, struct deploy_actions *ret_actions)
{
	deploy_next_in(&deploy_table, s, ev, ret, ret_actions);
}

const char *deploy_phase_name(enum deploy_phase p)
{
	return p < DEPLOY_PHASE_COUNT ? phases[p].name : "unknown";
}

const char *deploy_phase_step(enum deploy_phase p)
{
	return p < DEPLOY_PHASE_COUNT ? phases[p].step : NULL;
}

bool deploy_phase_parse(const char *name, enum deploy_phase *ret)
{
	for (unsigned p = 0; p < DEPLOY_PHASE_COUNT; p++)
		if (strcmp(phases[p].name, name) == 0) {
			*ret = (enum deploy_phase)p;
			return true;
		}
	return false;
}

const char *deploy_outcome_name(enum deploy_outcome o)
{
	static const char *const names[DEPLOY_OUTCOME_COUNT] = {
	    [DEPLOY_OUT_NONE] = "none",
	    [DEPLOY_OUT_DONE] = "done",
	    [DEPLOY_OUT_UP_TO_DATE] = "up-to-date",
	    [DEPLOY_OUT_RETRY] = "retry",
	    [DEPLOY_OUT_FAILED] = "failed",
	    [DEPLOY_OUT_CANCELLED] = "cancelled",
	};
	return o < DEPLOY_OUTCOME_COUNT ? names[o] : "none";
}

bool deploy_phase_is_back(enum deploy_phase p)
{
	return p >= DEPLOY_UNSWITCH && p <= DEPLOY_UNDO_RELEASE;
}

bool deploy_cancellable(enum deploy_flow f, enum deploy_phase p)
{
	return deploy_table.row[f][p].move[DEPLOY_EV_CANCEL] == DEPLOY_ABORTS;
}
