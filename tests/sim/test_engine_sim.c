/* rooms: base loop crypto text store model queue access source priv render launch run edge observe
 * kinds deploy */
/* The engine's table, the queue's units and the model over a store in memory, driven by chance:
 * pushes, repeats, orders, cancels, actions that end well or badly, answers that come twice, and
 * the death of the daemon between any two commits. Beside the store stands a small reality (links,
 * processes, trees) that only actions change.
 *
 * Invariants, looked at after every event:
 *   SERVES    what the link of a running project names runs and has its tree
 *   ONE       one task of a project runs
 *   SWITCH    a task switches at most once, and only to a release that was verified, and never
 * after a cancel was heard ONCE      the release command of a release runs at most once BEFORE an
 * action's phase was durable before the action had an effect LEASE     an earlier life's lease ends
 * nothing and when everything has come to rest: ENDS      every accepted event has an outcome, and
 * nothing waits or runs NEWEST    an event that counts as served was served by a head at least as
 * new as its own CLEAN     store and link agree, and nothing runs or lies about but what should
 *   REPLAY    an event told again after it was served, up to date or superseded starts nothing */
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
	bool on, busy, applied, verified, cancel_heard, was_running;
	struct model_task t;
	struct queue_lease lease;
	struct deploy_state st;
	struct deploy_action act;
	int64_t release, from, head;
	int switches;
};

struct sim_project {
	int64_t id, hook;
	bool gone, desired;
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

static void apply(struct sim *s, struct sim_work *w)
{
	struct sim_project *p = project_of(s, w);
	struct err e = {0};
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
	case DEPLOY_ERASE:
		must(model_project_remove(s->db, p->id, s->now, &e), &e);
		p->gone = true;
		p->link = 0;
		memset(p->tree, 0, sizeof(p->tree));
		break;
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

static enum deploy_event_kind outcome(struct sim *s, struct sim_work *w)
{
	static const enum deploy_event_kind bad[] = {DEPLOY_EV_FAILED, DEPLOY_EV_TIMED_OUT};
	bool back = deploy_phase_is_back(w->act.phase) || w->act.phase == DEPLOY_FINISH ||
		    w->act.phase == DEPLOY_ERASE || w->act.phase == DEPLOY_HALT ||
		    w->act.phase == DEPLOY_CLOSE || w->act.phase == DEPLOY_OPEN ||
		    w->act.phase == DEPLOY_DRAIN;
	if (w->st.cancel_asked && w->st.phase < DEPLOY_SWITCH && chance(s, 2) == 0)
		return DEPLOY_EV_CANCELLED;
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
	if (w->act.phase == DEPLOY_SWITCH && !p->runs[w->release])
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

/* --- the daemon's life --- */

static void take(struct sim *s, const struct model_task *t, bool recovered)
{
	static const enum deploy_flow flows[MODEL_TASK_KIND_COUNT] = {
	    [MODEL_TASK_DEPLOY] = DEPLOY_FLOW_DEPLOY,
	    [MODEL_TASK_ROLLBACK] = DEPLOY_FLOW_ROLLBACK,
	    [MODEL_TASK_STOP] = DEPLOY_FLOW_STOP,
	    [MODEL_TASK_START] = DEPLOY_FLOW_START,
	    [MODEL_TASK_RESTART] = DEPLOY_FLOW_RESTART,
	    [MODEL_TASK_SCALE] = DEPLOY_FLOW_SCALE,
	    [MODEL_TASK_DESTROY] = DEPLOY_FLOW_DESTROY};
	int i = s->p[0].id == t->project_id ? 0 : 1;
	struct sim_work *w = &s->w[i];
	if (w->on && s->mutant != STALE_LEASE)
		breaks(s, "ONE");
	*w = (struct sim_work){.on = true,
	    .t = *t,
	    .st = {.flow = flows[t->kind], .cancel_asked = t->cancel_requested},
	    .lease = {.task_id = t->id, .counter = t->lease_counter, .incarnation = s->life}};
	w->cancel_heard = t->cancel_requested && !recovered;
	int phase = 0, out = 0, at = 0, verified = 0, was = 0;
	long long release = 0, from = 0, head = 0;
	char text[200];
	if (recovered && str_copy(t->progress, text, sizeof(text)) &&
	    sscanf(text, "{\"s\":[%d,%d,%d,%u,%lld,%lld,%lld,%d,%d,%d]}", &phase, &out, &at,
		&w->st.attempt, &release, &from, &head, &w->switches, &verified, &was) == 10) {
		w->st.phase = (enum deploy_phase)phase;
		w->st.outcome = (enum deploy_outcome)out;
		w->st.failed_at = (enum deploy_phase)at;
		w->release = release;
		w->from = from;
		w->head = head;
		w->verified = verified;
		w->was_running = was;
	}
	struct err e = {0};
	if (recovered && w->release == 0 && w->st.flow == DEPLOY_FLOW_DEPLOY)
		must(
		    model_release_made_by(s->db, t->project_id, t->id, t->attempt, &w->release, &e),
		    &e);
	if (s->p[i].gone && w->st.phase == DEPLOY_NEW) { /* the executor finds no project */
		w->st.phase = DEPLOY_FINISH;
		w->st.outcome = DEPLOY_OUT_FAILED;
		finish(s, w);
		w->on = false;
		return;
	}
	feed(s, w, w->st.phase == DEPLOY_NEW ? DEPLOY_EV_BEGIN : DEPLOY_EV_RECOVER, 0, DEPLOY_NEW);
}

static void pump(struct sim *s)
{
	struct err e = {0};
	struct model_task t[PROJECTS];
	size_t n = 0;
	for (int i = 0; i < PROJECTS; i++) {
		struct sim_work *w = &s->w[i];
		int wanted = w->on ? queue_unit_cancel_wanted(s->db, w->lease, &e) : 0;
		must(wanted, &e);
		if (wanted == 1 && !w->st.cancel_asked && w->busy)
			feed(s, w, DEPLOY_EV_CANCEL, 0, DEPLOY_NEW);
	}
	must(queue_unit_claim(s->db, &s->a, s->life, s->now, PROJECTS, t, PROJECTS, &n, &e), &e);
	for (size_t i = 0; i < n; i++)
		take(s, &t[i], false);
}

static void crash(struct sim *s)
{
	struct err e = {0};
	struct model_task t[PROJECTS];
	struct sim_work old[PROJECTS];
	size_t n = 0;
	for (int i = 0; i < PROJECTS; i++) {
		struct sim_work *w = &s->w[i];
		bool half = w->on && w->busy && !w->applied && w->act.phase != DEPLOY_FINISH;
		if (half && chance(s, 2) == 0) {
			durable_before(s, w);
			apply(s, w); /* it had happened, and nobody heard */
		}
	}
	memcpy(old, s->w, sizeof(old));
	memset(s->w, 0, sizeof(s->w));
	s->life++;
	if (s->show)
		print_message("crash\n");
	if (s->mutant != NO_RECOVERY)
		must(queue_unit_recover(s->db, &s->a, s->life, s->now, t, PROJECTS, &n, &e), &e);
	for (size_t i = 0; i < n; i++)
		take(s, &t[i], true);
	for (int i = 0; i < PROJECTS; i++) {
		bool dead;
		if (!old[i].on)
			continue;
		struct queue_ending f = {.lease = old[i].lease,
		    .how = QUEUE_DONE,
		    .result_json = STR("{}"),
		    .error_json = STR("{}"),
		    .now_ms = s->now};
		if (s->mutant == STALE_LEASE)
			f.lease = s->w[i].lease;
		int ended = s->mutant == NO_RECOVERY ? 0 : queue_unit_finish(s->db, &f, &dead, &e);
		must(ended, &e);
		if (ended == 1)
			breaks(s, "LEASE");
	}
}

/* --- the world outside --- */

/* Delivers event i. The mutant puts a new one into the task that runs already. */
static void deliver(struct sim *s, struct sim_project *p, int i)
{
	struct err e = {0};
	struct queue_accepted got;
	char key[32], after[48], before[48];
	(void)snprintf(key, sizeof(key), "k%lld-%d", (long long)p->id, i);
	struct queue_delivery d = {.hook_id = p->hook,
	    .project_id = p->id,
	    .key = str_c(key),
	    .kind = STR("push"),
	    .ref = STR("main"),
	    .before = commit_text(p->event_head[i] - 1, before),
	    .after = commit_text(p->event_head[i], after),
	    .body = STR("{}"),
	    .received_ms = s->now,
	    .triggers = true};
	const struct sim_work *w = &s->w[p - s->p];
	must(queue_unit_accept(s->db, &d, &got, &e), &e);
	p->event_id[i] = got.event_id;
	if (s->mutant == LOST_FOLD && w->on && w->st.flow == DEPLOY_FLOW_DEPLOY && !got.repeated &&
	    got.task_id != w->t.id) {
		enum model_task_state st;
		must(model_event_set(s->db, got.event_id, MODEL_OUTCOME_WAITING, w->t.id, &e), &e);
		must(model_task_cancel(s->db, got.task_id, MODEL_EVERYTHING, s->now, &st, &e), &e);
	}
	note(s, (uint64_t)got.task_id);
}

static void push(struct sim *s, struct sim_project *p, bool again)
{
	if (p->gone || (!again && p->events >= EVENTS) || (again && p->events == 0))
		return;
	int i = again ? (int)chance(s, (uint64_t)p->events) : p->events;
	if (!again) {
		p->event_head[i] = ++p->head;
		p->events++;
	}
	deliver(s, p, i);
}

static void order(struct sim *s, struct sim_project *p)
{
	static const enum model_task_kind kinds[] = {MODEL_TASK_ROLLBACK, MODEL_TASK_ROLLBACK,
	    MODEL_TASK_STOP, MODEL_TASK_START, MODEL_TASK_RESTART, MODEL_TASK_SCALE,
	    MODEL_TASK_DEPLOY, MODEL_TASK_DESTROY};
	struct err e = {0};
	int64_t id;
	enum model_task_kind k = kinds[chance(s, 8)];
	if (p->gone || (k == MODEL_TASK_DESTROY && chance(s, 4) != 0))
		return;
	struct queue_order o = {.project_id = p->id,
	    .kind = k,
	    .ref = STR("main"),
	    .requested_by = STR("sim"),
	    .now_ms = s->now};
	must(queue_unit_order(s->db, &o, &id, &e), &e);
}

static void cancel(struct sim *s, const struct sim_work *w)
{
	struct err e = {0};
	enum model_task_state st;
	if (w->on)
		must(model_task_cancel(s->db, w->t.id, MODEL_EVERYTHING, s->now, &st, &e), &e);
}

static void look(struct sim *s)
{
	for (int i = 0; i < PROJECTS; i++) {
		const struct sim_project *p = &s->p[i];
		bool halting = s->w[i].on && s->w[i].st.flow >= DEPLOY_FLOW_START;
		if (p->link > 0 && p->desired && !halting &&
		    (!p->runs[p->link] || !p->tree[p->link]))
			breaks(s, "SERVES");
	}
}

static void rest_project(struct sim *s, struct sim_project *p)
{
	struct err e = {0};
	int64_t live = 0, previous = 0;
	struct model_event ev;
	for (int i = 0; i < p->events && !p->gone; i++) {
		if (model_event_get(s->db, &s->a, p->event_id[i], MODEL_EVERYTHING, &ev, &e) != 1 ||
		    ev.outcome == MODEL_OUTCOME_WAITING)
			breaks(s, "ENDS");
		else if ((ev.outcome == MODEL_OUTCOME_SERVED ||
			     ev.outcome == MODEL_OUTCOME_UPTODATE) &&
			 s->served[ev.task_id % 4096] < p->event_head[i])
			breaks(s, "NEWEST");
	}
	must(model_live_get(s->db, p->id, &live, &previous, &e), &e);
	if (!p->gone && live != p->link)
		breaks(s, "CLEAN link");
	for (int64_t r = 1; r < RELEASES; r++) {
		struct model_release row;
		int rc =
		    p->gone ? 0
			    : model_release_get(s->db, &s->a, p->id, r, MODEL_EVERYTHING, &row, &e);
		if (p->runs[r] && (r != p->link || !p->desired))
			breaks(s, "CLEAN processes");
		if (p->tree[r] && (rc != 1 || row.state != MODEL_RELEASE_SEALED))
			breaks(s, "CLEAN tree");
	}
}

static void replay(struct sim *s, struct sim_project *p)
{
	struct err e = {0};
	struct model_event ev;
	int64_t due;
	for (int i = 0; i < p->events && !p->gone; i++) {
		must(model_event_get(s->db, &s->a, p->event_id[i], MODEL_EVERYTHING, &ev, &e), &e);
		if (ev.outcome == MODEL_OUTCOME_FAILED)
			continue;
		deliver(s, p, i);
		if (model_task_next_due(s->db, &due, &e) != 0)
			breaks(s, "REPLAY");
	}
}

static void come_to_rest(struct sim *s)
{
	struct err e = {0};
	struct model_tasks left;
	int64_t due;
	s->quiet = true;
	for (int i = 0; i < 2000 && !s->broken; i++) {
		s->now += 400000;
		pump(s);
		for (int k = 0; k < PROJECTS; k++)
			if (s->w[k].on)
				act(s, &s->w[k]);
		look(s);
		if (!s->w[0].on && !s->w[1].on && model_task_next_due(s->db, &due, &e) == 0)
			break;
	}
	must(model_task_running(s->db, &s->a, &left, &e), &e);
	if (left.n > 0 || model_task_next_due(s->db, &due, &e) != 0)
		breaks(s, "ENDS tasks");
	for (int i = 0; i < PROJECTS; i++)
		rest_project(s, &s->p[i]);
	for (int i = 0; i < PROJECTS && !s->broken; i++)
		replay(s, &s->p[i]);
}

static void one_event(struct sim *s)
{
	uint64_t what = chance(s, 100), i = chance(s, PROJECTS);
	note(s, what);
	s->now += (int64_t)chance(s, 3000);
	if (what < 10)
		push(s, &s->p[i], false);
	else if (what < 13)
		push(s, &s->p[i], true);
	else if (what < 17)
		order(s, &s->p[i]);
	else if (what < 20)
		cancel(s, &s->w[i]);
	else if (what < 25)
		crash(s);
	else if (what < 45)
		pump(s);
	else if (s->w[i].on)
		act(s, &s->w[i]);
	look(s);
}

static int make_world(struct sim *s, struct err *e)
{
	for (int i = 0; i < PROJECTS; i++) {
		char name[24];
		(void)snprintf(name, sizeof(name), "p%lld", (long long)++s->serial);
		struct model_project p = {.name = str_c(name),
		    .kind = STR("auto"),
		    .source = MODEL_SOURCE_GIT,
		    .source_url = STR("https://x.example/r"),
		    .source_ref = STR("main"),
		    .root = STR(""),
		    .desired_running = true,
		    .created_ms = 1};
		s->p[i] = (struct sim_project){.desired = true};
		if (model_project_add(s->db, &p, &s->p[i].id, e) != 0)
			return -1;
		struct model_hook h = {.project_id = s->p[i].id,
		    .name = str_c(name),
		    .sender = STR("github"),
		    .secret = STR("x"),
		    .branch = STR("main"),
		    .created_ms = 1};
		if (model_hook_add(s->db, &h, &s->p[i].hook, e) != 0)
			return -1;
	}
	return 0;
}

static int history(void *ctx, struct store_db *db, struct err *e)
{
	struct sim *s = ctx;
	s->db = db;
	arena_init(&s->a, 64u << 20);
	memset(s->w, 0, sizeof(s->w));
	s->broken = NULL;
	s->quiet = false;
	s->now = 1000;
	s->life = 1;
	int rc = make_world(s, e);
	for (int i = 0; rc == 0 && i < STEPS && !s->broken; i++)
		one_event(s);
	if (rc == 0 && !s->broken)
		come_to_rest(s);
	arena_fini(&s->a);
	return rc;
}

static void mutate(struct deploy_table *t, enum mutant m)
{
	struct deploy_row *d = t->row[DEPLOY_FLOW_DEPLOY];
	if (m == RELEASE_TWICE)
		d[DEPLOY_RELEASE].move[DEPLOY_EV_RECOVER] = DEPLOY_AGAIN;
	else if (m == SWITCH_UNVERIFIED)
		d[DEPLOY_VERIFY].move[DEPLOY_EV_FAILED] = DEPLOY_SWITCH;
	else if (m == CANCEL_IN_SWITCH)
		d[DEPLOY_SWITCH].move[DEPLOY_EV_CANCEL] = DEPLOY_ABORTS;
	else if (m == LEAVE_TREE)
		d[DEPLOY_FETCH].move[DEPLOY_EV_FAILED] = DEPLOY_FINISH;
	else if (m == DRAIN_FIRST)
		d[DEPLOY_VERIFY].move[DEPLOY_EV_DONE] = DEPLOY_DRAIN;
	else if (m == NO_UNSWITCH)
		d[DEPLOY_HANDOVER].move[DEPLOY_EV_FAILED] = DEPLOY_UNDO_START;
	else if (m == ASSUME_SWITCHED)
		d[DEPLOY_SWITCH].move[DEPLOY_EV_RECOVER] = DEPLOY_HANDOVER;
}

static struct store *new_store(void)
{
	struct err e = {0};
	struct store_options o = {.readers = 1};
	struct store *st = store_open(&o, &e);
	if (!st || model_migrate(st, &e) != 0)
		fail_msg("%s", e.msg);
	return st;
}

/* Runs up to `count` histories; returns how many went by before one broke, its invariant in
 * *ret_broken. */
static int run(
    enum mutant m, uint64_t seed, int count, const char **ret_broken, uint64_t *ret_trace)
{
	struct deploy_table t = deploy_table;
	struct err e = {0};
	struct store *st = NULL;
	struct sim *s = calloc(1, sizeof(*s));
	int i = 0;
	mutate(&t, m);
	s->table = &t;
	s->mutant = m;
	for (; i < count && !s->broken; i++) {
		if (i % STORE_HISTORIES == 0) {
			store_close(st);
			st = new_store();
		}
		s->show = getenv("SIM_SHOW") && m == CLEAN_RUN &&
			  strtol(getenv("SIM_SHOW"), NULL, 10) == i;
		s->rng = seed + (uint64_t)i * UINT64_C(1000003);
		if (store_write(st, history, s, &e) != 0)
			fail_msg("%s", e.msg);
	}
	*ret_broken = s->broken;
	*ret_trace = s->trace;
	store_close(st);
	free(s);
	return i;
}

static uint64_t seed_of_run(void)
{
	const char *v = getenv("SIM_SEED");
	return v ? strtoull(v, NULL, 10) : 42;
}

static int histories(void)
{
	const char *v = getenv("SIM_HISTORIES");
	return v ? (int)strtol(v, NULL, 10) : HISTORIES;
}

static void clean_histories_hold(void **state)
{
	(void)state;
	const char *broken;
	uint64_t trace;
	clock_t from = clock();
	int n = run(CLEAN_RUN, seed_of_run(), histories(), &broken, &trace);
	if (broken)
		fail_msg("history %d of seed %llu broke %s", n - 1,
		    (unsigned long long)seed_of_run(), broken);
	print_message("%d histories, trace %016llx, %.1f s\n", n, (unsigned long long)trace,
	    (double)(clock() - from) / CLOCKS_PER_SEC);
}

static void the_same_seed_gives_the_same_trace(void **state)
{
	(void)state;
	const char *broken;
	uint64_t a, b, c;
	(void)run(CLEAN_RUN, 7, 60, &broken, &a);
	(void)run(CLEAN_RUN, 7, 60, &broken, &b);
	(void)run(CLEAN_RUN, 8, 60, &broken, &c);
	assert_true(a == b);
	assert_true(a != c);
}

static void every_mutant_is_found(void **state)
{
	(void)state;
	for (unsigned m = CLEAN_RUN + 1; m < MUTANT_COUNT; m++) {
		const char *broken;
		uint64_t trace;
		int n = run((enum mutant)m, seed_of_run(), MUTANT_HISTORIES, &broken, &trace);
		if (!broken)
			fail_msg("mutant '%s' lived through %d histories", mutant_names[m], n);
		print_message("mutant '%s' broke %s in history %d\n", mutant_names[m], broken, n);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_mutant_is_found),
	    cmocka_unit_test(the_same_seed_gives_the_same_trace),
	    cmocka_unit_test(clean_histories_hold),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
