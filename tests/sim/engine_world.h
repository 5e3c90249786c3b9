/* The simulator's world: a small reality beside the store (links, processes, trees) and the
 * executor in small, which commits a state and then acts. What chance does with it, and the
 * invariants, is test_engine_sim.c's. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "deploy/machine.h"
#include "model/hook.h"
#include "model/project.h"
#include "model/release.h"
#include "model/release_made.h"
#include "model/schema.h"
#include "model/step.h"
#include "queue/units.h"

#define PROJECTS 2
#define RELEASES 64
#define EVENTS 64
#define STEPS 90
#ifdef __SANITIZE_ADDRESS__ /* eight times slower: the full count is the plain build's */
#define HISTORIES 2000
#else
#define HISTORIES 10000
#endif
#define MUTANT_HISTORIES 1000
#define STORE_HISTORIES 250

enum mutant {
	CLEAN_RUN,
	RELEASE_TWICE,	   /* recovery runs the release command again */
	SWITCH_UNVERIFIED, /* a failed verify goes on */
	CANCEL_IN_SWITCH,  /* the switch can be cancelled */
	LEAVE_TREE,	   /* a failed fetch leaves its tree */
	DRAIN_FIRST,	   /* the old release is stopped before the switch */
	NO_UNSWITCH,	   /* a dead worker does not switch back */
	ASSUME_SWITCHED,   /* recovery takes an open switch for done */
	STALE_ANSWER,	   /* an old answer counts */
	ACT_FIRST,	   /* actions before the commit */
	LOST_FOLD,	   /* a push folds into the task that runs */
	STALE_LEASE,	   /* a dead life's lease still counts */
	NO_RECOVERY,	   /* running tasks are left where they were */
	MUTANT_COUNT
};
static const char *const mutant_names[MUTANT_COUNT] = {"none", "release twice", "switch unverified",
    "cancel in switch", "leave tree", "drain first", "no unswitch", "assume switched",
    "stale answer", "act first", "lost fold", "stale lease", "no recovery"};

struct sim_work {
	bool on, busy, applied, verified, cancel_heard, was_running, packed;
	struct model_task t;
	struct queue_lease lease;
	struct deploy_state st;
	struct deploy_action act;
	int64_t release, from, head;
	int switches;
};

struct sim_project {
	int64_t id, hook;
	bool gone, desired, kept;
	int64_t head, link; /* newest commit; what the link names */
	bool runs[RELEASES], tree[RELEASES];
	int commands[RELEASES];
	int64_t event_head[EVENTS], event_id[EVENTS];
	int events;
};

struct sim {
	struct store_db *db;
	struct arena a;
	const struct deploy_table *table;
	enum mutant mutant;
	uint64_t rng, life, trace;
	int64_t now, serial;
	struct sim_project p[PROJECTS];
	struct sim_work w[PROJECTS];
	int64_t served[4096]; /* head that a task went for, by task id modulo */
	const char *broken;
	bool quiet; /* no more faults: coming to rest */
	bool show;  /* SIM_SHOW=history prints it */
};

static uint64_t chance(struct sim *s, uint64_t below)
{
	s->rng += UINT64_C(0x9e3779b97f4a7c15);
	uint64_t z = s->rng;
	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return (z ^ (z >> 31)) % below;
}

static void note(struct sim *s, uint64_t what)
{
	s->trace = (s->trace ^ what) * UINT64_C(0x100000001b3);
}

static void breaks(struct sim *s, const char *invariant)
{
	if (!s->broken)
		s->broken = invariant;
}

/* An error of the store is a fault of the simulator, never of chance. */
static void must(int rc, const struct err *e)
{
	if (rc < 0)
		fail_msg("%s", e->msg);
}

static struct str commit_text(int64_t head, char out[48])
{
	(void)snprintf(out, 48, "%040lld", (long long)head);
	return (struct str){out, 40};
}

static struct sim_project *project_of(struct sim *s, const struct sim_work *w)
{
	return &s->p[w - s->w];
}

/* --- reality: what actions do --- */

static void only_runs(struct sim_project *p, int64_t release)
{
	for (int64_t r = 1; r < RELEASES; r++)
		p->runs[r] = p->runs[r] && r == release;
}

static void fetch(struct sim *s, struct sim_work *w, struct sim_project *p)
{
	struct err e = {0};
	struct model_release r = {.project_id = p->id,
	    .ref = STR("main"),
	    .commit = STR(""),
	    .subject = STR(""),
	    .author = STR(""),
	    .task_id = w->t.id,
	    .attempt = w->t.attempt,
	    .created_ms = s->now};
	must(model_release_begin(s->db, &r, &w->release, &e), &e);
	w->head = p->head;
	p->tree[w->release] = true;
}

static void switch_link(struct sim *s, struct sim_work *w, struct sim_project *p)
{
	if (w->switches++ > 0 && p->link != w->release)
		breaks(s, "SWITCH twice");
	if (!w->verified)
		breaks(s, "SWITCH unverified");
	if (w->cancel_heard)
		breaks(s, "SWITCH after cancel");
	p->link = w->release;
}

static void take_back(struct sim_work *w, struct sim_project *p)
{
	if (w->st.flow == DEPLOY_FLOW_START)
		only_runs(p, 0);
	else if (w->st.flow != DEPLOY_FLOW_SCALE)
		p->runs[w->release] = false;
}

static void erase(struct sim *s, struct sim_project *p)
{
	struct err e = {0};
	if (!p->kept)
		breaks(s, "ERASE without an archive");
	must(model_project_remove(s->db, p->id, s->now, &e), &e);
	p->gone = true;
	p->link = 0;
	memset(p->tree, 0, sizeof(p->tree));
}

static void apply(struct sim *s, struct sim_work *w)
{
	struct sim_project *p = project_of(s, w);
	switch (w->act.phase) {
	case DEPLOY_FETCH:
		fetch(s, w, p);
		break;
	case DEPLOY_RELEASE:
		if (++p->commands[w->release] > 1)
			breaks(s, "ONCE");
		break;
	case DEPLOY_START:
		p->runs[w->release] |= w->st.flow != DEPLOY_FLOW_SCALE || p->desired;
		break;
	case DEPLOY_SWITCH:
		switch_link(s, w, p);
		break;
	case DEPLOY_DRAIN:
		only_runs(p, w->release);
		break;
	case DEPLOY_HALT:
		only_runs(p, 0);
		break;
	case DEPLOY_UNSWITCH:
		p->link = w->from;
		break;
	case DEPLOY_UNDO_START:
		take_back(w, p);
		break;
	case DEPLOY_UNDO_RELEASE:
		p->tree[w->release] = false;
		break;
	case DEPLOY_PACK:
		w->packed = true;
		break;
	case DEPLOY_KEEP:
		if (!w->packed) /* it has no name, and went with the life that made it */
			breaks(s, "KEEPS what is gone");
		p->kept = true;
		break;
	case DEPLOY_ERASE:
		erase(s, p);
		break;
	case DEPLOY_READ:
	case DEPLOY_UNPACK:
	case DEPLOY_SWAP:
	case DEPLOY_SETTLE:
	case DEPLOY_DROP:
	case DEPLOY_UNSWAP:
	case DEPLOY_PROVE:
	case DEPLOY_ORDER:
	case DEPLOY_INSTALL:
	case DEPLOY_NEW:
	case DEPLOY_PLAN:
	case DEPLOY_BUILD:
	case DEPLOY_CHECK:
	case DEPLOY_PROVISION:
	case DEPLOY_VERIFY:
	case DEPLOY_HANDOVER:
	case DEPLOY_OPEN:
	case DEPLOY_SHRINK:
	case DEPLOY_ROLL:
	case DEPLOY_CLOSE:
	case DEPLOY_COMMAND:
	case DEPLOY_FINISH:
	case DEPLOY_ENDED:
	case DEPLOY_PHASE_COUNT:
		break;
	}
}

/* --- the executor in small: commit, then act --- */

/* What joins the commit that follows an action's `done`, as in the real executor. */
static void also(struct sim *s, struct sim_work *w, enum deploy_phase was)
{
	struct sim_project *p = project_of(s, w);
	struct err e = {0};
	char text[48];
	struct model_branch_head h = {.commit = commit_text(w->head, text), .task_id = w->t.id};
	struct model_release r = {.project_id = p->id,
	    .number = w->release,
	    .commit = h.commit,
	    .ref = STR("main"),
	    .subject = STR(""),
	    .author = STR("")};
	if (was == DEPLOY_FETCH) {
		must(model_release_describe(s->db, &r, &e), &e);
		must(model_branch_head_set(s->db, p->id, STR("main"), &h, &e), &e);
	} else if (was == DEPLOY_BUILD)
		must(model_release_seal(s->db, p->id, w->release, 1, s->now, &e), &e);
	else if (was == DEPLOY_SWITCH) {
		must(model_live_set(s->db, p->id, w->release, s->now, &e), &e);
		p->desired = true;
	} else if (was == DEPLOY_UNSWITCH) {
		must(model_live_correct(s->db, p->id, w->from, 0, s->now, &e), &e);
		p->desired = w->was_running;
	} else if (was == DEPLOY_PROVISION)
		w->was_running = p->desired;
	else if (was == DEPLOY_CLOSE)
		p->desired = false;
	else if (was == DEPLOY_OPEN && w->st.flow == DEPLOY_FLOW_START)
		p->desired = true;
	else if (was == DEPLOY_UNDO_RELEASE && w->release > 0) {
		bool nothing =
		    w->st.outcome == DEPLOY_OUT_UP_TO_DATE || w->st.outcome == DEPLOY_OUT_RETRY;
		must(nothing ? model_release_discard(s->db, p->id, w->release, &e)
			     : model_release_fail(s->db, p->id, w->release, &e),
		    &e);
	}
}

static bool commit(struct sim *s, struct sim_work *w, const struct deploy_state *next, bool good)
{
	struct err e = {0};
	struct model_lease l = {
	    .task_id = w->t.id, .owner = w->t.lease_owner, .counter = w->lease.counter};
	char progress[160];
	int held = queue_unit_fence(s->db, w->lease, &e);
	must(held, &e);
	if (held == 0)
		return false;
	if (good)
		also(s, w, w->st.phase);
	(void)snprintf(progress, sizeof(progress), "{\"s\":[%d,%d,%d,%u,%lld,%lld,%lld,%d,%d,%d]}",
	    (int)next->phase, (int)next->outcome, (int)next->failed_at, next->attempt,
	    (long long)w->release, (long long)w->from, (long long)w->head, w->switches, w->verified,
	    w->was_running);
	must(model_task_save(s->db, &l, str_c(deploy_phase_name(next->phase)), str_c(progress), &e),
	    &e);
	return true;
}

static void feed(struct sim *s, struct sim_work *w, enum deploy_event_kind k, uint32_t attempt,
    enum deploy_phase phase)
{
	struct deploy_event ev = {.kind = k, .phase = phase, .attempt = attempt};
	if (s->mutant == STALE_ANSWER) {
		ev.attempt = w->st.attempt;
		ev.phase = w->st.phase;
	}
	struct deploy_state next;
	struct deploy_actions acts;
	deploy_next_in(s->table, &w->st, &ev, &next, &acts);
	note(s, (uint64_t)k * 1000 + next.phase * 10 + acts.count);
	if (s->show)
		print_message("task %lld %s event %u -> %s, outcome %s, release %lld, link %lld\n",
		    (long long)w->t.id, deploy_phase_name(w->st.phase), (unsigned)k,
		    deploy_phase_name(next.phase), deploy_outcome_name(next.outcome),
		    (long long)w->release, (long long)project_of(s, w)->link);
	if (next.phase == DEPLOY_ENDED) {
		w->on = false;
		return;
	}
	if (acts.count == 0)
		return;
	if (acts.v[0].kind == DEPLOY_ABORT) {
		w->st = next;
		w->cancel_heard = true;
		return;
	}
	bool good = k == DEPLOY_EV_DONE || w->st.phase == DEPLOY_UNDO_RELEASE ||
		    w->st.phase == DEPLOY_UNSWITCH;
	if (w->st.phase == DEPLOY_VERIFY && k == DEPLOY_EV_DONE && w->busy && w->applied)
		w->verified = true;
	if (s->mutant == ACT_FIRST && chance(s, 8) == 0) {
		w->st = next;
		w->act = acts.v[0];
	} else if (!commit(s, w, &next, good)) {
		w->on = false;
		return;
	}
	w->st = next;
	w->act = acts.v[0];
	w->busy = true;
	w->applied = false;
}

/* --- actions' answers --- */

static void finish(struct sim *s, struct sim_work *w)
{
	static const enum queue_end ends[DEPLOY_OUTCOME_COUNT] = {[DEPLOY_OUT_NONE] = QUEUE_FAILED,
	    [DEPLOY_OUT_DONE] = QUEUE_DONE,
	    [DEPLOY_OUT_UP_TO_DATE] = QUEUE_UP_TO_DATE,
	    [DEPLOY_OUT_RETRY] = QUEUE_RETRY,
	    [DEPLOY_OUT_FAILED] = QUEUE_FAILED,
	    [DEPLOY_OUT_CANCELLED] = QUEUE_CANCELLED};
	struct err e = {0};
	char text[48];
	bool dead, seen = w->st.outcome == DEPLOY_OUT_DONE || w->st.outcome == DEPLOY_OUT_CANCELLED;
	if (w->st.flow == DEPLOY_FLOW_DEPLOY && seen && w->head > 0) {
		struct model_branch_head h = {
		    .commit = commit_text(w->head, text), .ok = true, .task_id = w->t.id};
		must(model_branch_head_set(s->db, project_of(s, w)->id, STR("main"), &h, &e), &e);
	}
	struct queue_ending f = {.lease = w->lease,
	    .how = ends[w->st.outcome],
	    .result_json = STR("{}"),
	    .error_json = STR("{}"),
	    .now_ms = s->now,
	    .due_ms = s->now + queue_backoff_ms(w->t.attempt, 0)};
	s->served[w->t.id % 4096] = w->head;
	must(queue_unit_finish(s->db, &f, &dead, &e), &e);
}

static enum deploy_event_kind fetch_answer(struct sim *s, struct sim_work *w)
{
	struct err e = {0};
	struct model_branch_head h;
	char text[48];
	int rc = model_branch_head_get(s->db, &s->a, project_of(s, w)->id, STR("main"), &h, &e);
	must(rc, &e);
	if (rc == 1 && h.ok && project_of(s, w)->link > 0 &&
	    str_eq(h.commit, commit_text(w->head, text)))
		return DEPLOY_EV_UP_TO_DATE;
	return chance(s, 12) == 0 && !s->quiet ? DEPLOY_EV_RETRY : DEPLOY_EV_DONE;
}

/* provision of what is not a deploy: picks the release. */
static enum deploy_event_kind provision_answer(struct sim *s, struct sim_work *w)
{
	struct err e = {0};
	struct model_release r;
	int64_t live = 0, previous = 0;
	must(model_live_get(s->db, project_of(s, w)->id, &live, &previous, &e), &e);
	if (w->st.flow == DEPLOY_FLOW_ROLLBACK) {
		int rc = model_release_before(
		    s->db, &s->a, project_of(s, w)->id, live > 0 ? live : 1, &r, &e);
		must(rc, &e);
		w->release = rc == 1 ? r.number : 0;
	} else if (w->st.flow != DEPLOY_FLOW_DEPLOY)
		w->release = live;
	w->from = live;
	if (w->st.flow == DEPLOY_FLOW_START && live > 0 && project_of(s, w)->desired)
		return DEPLOY_EV_UP_TO_DATE; /* it runs already */
	return w->release > 0 ? DEPLOY_EV_DONE : DEPLOY_EV_FAILED;
}

static unsigned keepers_lost; /* in all histories */

/* The keeper died after the check and before the move: what was verified runs no more. */
static bool keeper_lost(struct sim *s, struct sim_work *w)
{
	struct sim_project *p = project_of(s, w);
	uint8_t move = s->table->row[w->st.flow][DEPLOY_SWITCH].move[DEPLOY_EV_RETRY];
	if (w->act.phase != DEPLOY_SWITCH || move != DEPLOY_START || s->quiet ||
	    p->link == w->release || chance(s, 10) != 0)
		return false;
	p->runs[w->release] = false;
	w->verified = false;
	keepers_lost++;
	return true;
}

static enum deploy_event_kind outcome(struct sim *s, struct sim_work *w)
{
	static const enum deploy_event_kind bad[] = {DEPLOY_EV_FAILED, DEPLOY_EV_TIMED_OUT};
	bool back = deploy_phase_is_back(w->act.phase) || w->act.phase == DEPLOY_FINISH ||
		    w->act.phase == DEPLOY_ERASE || w->act.phase == DEPLOY_HALT ||
		    w->act.phase == DEPLOY_CLOSE || w->act.phase == DEPLOY_OPEN ||
		    w->act.phase == DEPLOY_DRAIN;
	if (w->st.cancel_asked && w->st.phase < DEPLOY_SWITCH && chance(s, 2) == 0)
		return DEPLOY_EV_CANCELLED;
	if (keeper_lost(s, w))
		return DEPLOY_EV_RETRY;
	if (!back && chance(s, s->quiet ? 40 : 9) == 0)
		return bad[chance(s, 2)];
	if (w->act.phase == DEPLOY_FETCH)
		return fetch_answer(s, w);
	return w->act.phase == DEPLOY_PROVISION ? provision_answer(s, w) : DEPLOY_EV_DONE;
}

/* A failed switch did not change the link; a recovered one that finds it changed is done. */
static bool fails_before_effect(
    const struct sim_work *w, const struct sim_project *p, enum deploy_event_kind k)
{
	return w->act.phase == DEPLOY_SWITCH && k != DEPLOY_EV_DONE && p->link != w->release;
}

static void durable_before(struct sim *s, const struct sim_work *w)
{
	struct err e = {0};
	struct model_task t;
	if (model_task_get(s->db, &s->a, w->t.id, MODEL_EVERYTHING, &t, &e) != 1 ||
	    !str_eq_c(t.current_step, deploy_phase_name(w->act.phase)))
		breaks(s, "BEFORE");
}

static void act(struct sim *s, struct sim_work *w)
{
	if (!w->busy)
		return;
	enum deploy_event_kind k = outcome(s, w);
	struct sim_project *p = project_of(s, w);
	if (w->act.phase == DEPLOY_SWITCH && p->link == w->release)
		k = DEPLOY_EV_DONE;
	if (w->act.phase == DEPLOY_SWITCH && !p->runs[w->release] && k != DEPLOY_EV_RETRY)
		k = DEPLOY_EV_FAILED;
	if (!w->applied && !fails_before_effect(w, p, k)) {
		durable_before(s, w);
		apply(s, w);
		w->applied = true;
		if (w->act.phase == DEPLOY_FETCH && k != DEPLOY_EV_FAILED &&
		    k != DEPLOY_EV_TIMED_OUT && k != DEPLOY_EV_CANCELLED)
			k = fetch_answer(s, w);
		if (!s->quiet && chance(s, 5) == 0)
			return; /* it has happened, and the answer is still on its way */
	}
	struct deploy_action was = w->act;
	if (was.phase == DEPLOY_FINISH)
		finish(s, w);
	feed(s, w, k, was.attempt, was.phase);
	if (w->on && chance(s, 6) == 0)
		feed(s, w, DEPLOY_EV_DONE, was.attempt, was.phase); /* the same answer once more */
}
