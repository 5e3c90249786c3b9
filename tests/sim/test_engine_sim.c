/* rooms: base loop crypto text store model queue access source priv render launch run outbound
 * notify edge observe kinds deploy */
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
#include "engine_world.h"

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
	print_message("%d histories, trace %016llx, %u keepers lost in a switch, %.1f s\n", n,
	    (unsigned long long)trace, keepers_lost, (double)(clock() - from) / CLOCKS_PER_SEC);
	assert_true(keepers_lost > 0 || n < 100);
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
