/* rooms: base loop crypto text store model queue access source priv render launch run outbound
 * notify edge observe kinds deploy */
/* The engine's table: every way forward, every way back, and what must never change anything. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "deploy/machine.h"

static struct deploy_actions acts;

static struct deploy_state begin(enum deploy_flow f)
{
	struct deploy_state s = {.flow = f};
	struct deploy_event ev = {.kind = DEPLOY_EV_BEGIN};
	deploy_next(&s, &ev, &s, &acts);
	return s;
}

static void answer(struct deploy_state *s, enum deploy_event_kind k)
{
	struct deploy_event ev = {.kind = k, .phase = s->phase, .attempt = s->attempt};
	deploy_next(s, &ev, s, &acts);
}

static void other(struct deploy_state *s, enum deploy_event_kind k)
{
	struct deploy_event ev = {.kind = k};
	deploy_next(s, &ev, s, &acts);
}

/* Walks forward to `p`, every action answering `done`. */
static struct deploy_state walk(enum deploy_flow f, enum deploy_phase p)
{
	struct deploy_state s = begin(f);
	for (int i = 0; i < 40 && s.phase != p; i++)
		answer(&s, DEPLOY_EV_DONE);
	assert_int_equal(s.phase, p);
	return s;
}

#define PATH_MAX_LEN 14
static const enum deploy_phase forward[DEPLOY_FLOW_COUNT][PATH_MAX_LEN] = {
    [DEPLOY_FLOW_DEPLOY] = {DEPLOY_FETCH, DEPLOY_PLAN, DEPLOY_BUILD, DEPLOY_CHECK, DEPLOY_PROVISION,
	DEPLOY_RELEASE, DEPLOY_START, DEPLOY_VERIFY, DEPLOY_SWITCH, DEPLOY_HANDOVER, DEPLOY_DRAIN,
	DEPLOY_FINISH, DEPLOY_ENDED},
    [DEPLOY_FLOW_ROLLBACK] = {DEPLOY_PROVISION, DEPLOY_START, DEPLOY_VERIFY, DEPLOY_SWITCH,
	DEPLOY_HANDOVER, DEPLOY_DRAIN, DEPLOY_FINISH, DEPLOY_ENDED},
    [DEPLOY_FLOW_START] = {DEPLOY_PROVISION, DEPLOY_START, DEPLOY_VERIFY, DEPLOY_HANDOVER,
	DEPLOY_OPEN, DEPLOY_FINISH, DEPLOY_ENDED},
    [DEPLOY_FLOW_STOP] = {DEPLOY_CLOSE, DEPLOY_HALT, DEPLOY_FINISH, DEPLOY_ENDED},
    [DEPLOY_FLOW_RESTART] = {DEPLOY_ROLL, DEPLOY_FINISH, DEPLOY_ENDED},
    [DEPLOY_FLOW_SCALE] = {DEPLOY_PROVISION, DEPLOY_START, DEPLOY_VERIFY, DEPLOY_OPEN,
	DEPLOY_SHRINK, DEPLOY_FINISH, DEPLOY_ENDED},
    [DEPLOY_FLOW_DESTROY] = {DEPLOY_CLOSE, DEPLOY_HALT, DEPLOY_PACK, DEPLOY_KEEP, DEPLOY_ERASE,
	DEPLOY_FINISH, DEPLOY_ENDED},
    [DEPLOY_FLOW_BACKUP] = {DEPLOY_PACK, DEPLOY_KEEP, DEPLOY_FINISH, DEPLOY_ENDED},
    [DEPLOY_FLOW_RESTORE] = {DEPLOY_READ, DEPLOY_UNPACK, DEPLOY_CLOSE, DEPLOY_HALT, DEPLOY_SWAP,
	DEPLOY_SETTLE, DEPLOY_START, DEPLOY_VERIFY, DEPLOY_HANDOVER, DEPLOY_OPEN, DEPLOY_DROP,
	DEPLOY_FINISH, DEPLOY_ENDED},
    [DEPLOY_FLOW_CHECK] = {DEPLOY_FETCH, DEPLOY_PLAN, DEPLOY_BUILD, DEPLOY_CHECK,
	DEPLOY_UNDO_RELEASE, DEPLOY_FINISH, DEPLOY_ENDED},
    [DEPLOY_FLOW_RUN] = {DEPLOY_COMMAND, DEPLOY_FINISH, DEPLOY_ENDED},
    [DEPLOY_FLOW_CERTIFICATE] = {DEPLOY_PROVE, DEPLOY_ORDER, DEPLOY_INSTALL, DEPLOY_FINISH,
	DEPLOY_ENDED},
};

static void every_flow_walks_its_way(void **state)
{
	(void)state;
	for (unsigned f = 0; f < DEPLOY_FLOW_COUNT; f++) {
		struct deploy_state s = begin((enum deploy_flow)f);
		for (size_t i = 0; i < PATH_MAX_LEN && s.phase != DEPLOY_ENDED; i++) {
			assert_int_equal(s.phase, forward[f][i]);
			assert_int_equal(acts.count, 1);
			assert_int_equal(acts.v[0].kind, DEPLOY_DO);
			assert_int_equal(acts.v[0].attempt, s.attempt);
			assert_true(acts.v[0].limit_ms > 0);
			answer(&s, DEPLOY_EV_DONE);
		}
		assert_int_equal(s.phase, DEPLOY_ENDED);
		assert_int_equal(s.outcome, DEPLOY_OUT_DONE);
		assert_int_equal(acts.count, 0);
	}
}

/* The phases that follow a failure at `at`, every undo action answering `done`. */
static void expect_back(enum deploy_flow f, enum deploy_phase at, enum deploy_event_kind k,
    enum deploy_outcome out, const enum deploy_phase *way, size_t n)
{
	struct deploy_state s = walk(f, at);
	answer(&s, k);
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(s.phase, way[i]);
		assert_int_equal(s.outcome, out);
		assert_int_equal(s.failed_at, at);
		answer(&s, DEPLOY_EV_DONE);
	}
	assert_int_equal(s.phase, DEPLOY_FINISH);
	assert_int_equal(s.outcome, out);
	answer(&s, DEPLOY_EV_DONE);
	assert_int_equal(s.phase, DEPLOY_ENDED);
}
#define BACK(f, at, k, out, ...)                                                                   \
	expect_back(f, at, k, out, (const enum deploy_phase[]){__VA_ARGS__},                       \
	    sizeof((const enum deploy_phase[]){__VA_ARGS__}) / sizeof(enum deploy_phase))

static void failures_before_start_undo_the_release(void **state)
{
	(void)state;
	for (enum deploy_phase p = DEPLOY_FETCH; p <= DEPLOY_RELEASE; p++) {
		BACK(DEPLOY_FLOW_DEPLOY, p, DEPLOY_EV_FAILED, DEPLOY_OUT_FAILED,
		    DEPLOY_UNDO_RELEASE);
		BACK(DEPLOY_FLOW_DEPLOY, p, DEPLOY_EV_TIMED_OUT, DEPLOY_OUT_FAILED,
		    DEPLOY_UNDO_RELEASE);
	}
	BACK(DEPLOY_FLOW_DEPLOY, DEPLOY_FETCH, DEPLOY_EV_RETRY, DEPLOY_OUT_RETRY,
	    DEPLOY_UNDO_RELEASE);
	BACK(DEPLOY_FLOW_DEPLOY, DEPLOY_FETCH, DEPLOY_EV_UP_TO_DATE, DEPLOY_OUT_UP_TO_DATE,
	    DEPLOY_UNDO_RELEASE);
}

static void a_restore_that_fails_brings_back_what_was(void **state)
{
	(void)state;
	static const enum deploy_phase early[] = {DEPLOY_UNPACK, DEPLOY_CLOSE, DEPLOY_HALT,
	    DEPLOY_SWAP, DEPLOY_SETTLE};
	static const enum deploy_phase late[] = {
	    DEPLOY_START, DEPLOY_VERIFY, DEPLOY_HANDOVER, DEPLOY_OPEN};
	BACK(DEPLOY_FLOW_RESTORE, DEPLOY_READ, DEPLOY_EV_FAILED, DEPLOY_OUT_FAILED,
	    DEPLOY_UNDO_RELEASE);
	for (size_t i = 0; i < sizeof(early) / sizeof(early[0]); i++)
		BACK(DEPLOY_FLOW_RESTORE, early[i], DEPLOY_EV_FAILED, DEPLOY_OUT_FAILED,
		    DEPLOY_UNSWAP, DEPLOY_UNDO_RELEASE);
	for (size_t i = 0; i < sizeof(late) / sizeof(late[0]); i++)
		BACK(DEPLOY_FLOW_RESTORE, late[i], DEPLOY_EV_FAILED, DEPLOY_OUT_FAILED,
		    DEPLOY_UNDO_START, DEPLOY_UNSWAP, DEPLOY_UNDO_RELEASE);
	/* Heard until something is stopped, not from then on. */
	assert_true(deploy_cancellable(DEPLOY_FLOW_RESTORE, DEPLOY_UNPACK));
	for (size_t i = 1; i < sizeof(early) / sizeof(early[0]); i++)
		assert_false(deploy_cancellable(DEPLOY_FLOW_RESTORE, early[i]));
	/* What was packed has no name and is lost with the process. */
	struct deploy_state s = walk(DEPLOY_FLOW_DESTROY, DEPLOY_KEEP);
	other(&s, DEPLOY_EV_RECOVER);
	assert_int_equal(s.phase, DEPLOY_PACK);
	/* Without an archive nothing is erased. */
	answer(&s, DEPLOY_EV_FAILED);
	assert_int_equal(s.phase, DEPLOY_FINISH);
	s = walk(DEPLOY_FLOW_DESTROY, DEPLOY_KEEP);
	answer(&s, DEPLOY_EV_FAILED);
	assert_int_equal(s.phase, DEPLOY_FINISH);
	assert_int_equal(s.outcome, DEPLOY_OUT_FAILED);
	s = walk(DEPLOY_FLOW_RESTORE, DEPLOY_UNPACK);
	other(&s, DEPLOY_EV_RECOVER);
	assert_int_equal(s.phase, DEPLOY_READ);
}

static void failures_of_the_new_processes_stop_them(void **state)
{
	(void)state;
	for (enum deploy_phase p = DEPLOY_START; p <= DEPLOY_SWITCH; p++) {
		BACK(DEPLOY_FLOW_DEPLOY, p, DEPLOY_EV_FAILED, DEPLOY_OUT_FAILED, DEPLOY_UNDO_START,
		    DEPLOY_UNDO_RELEASE);
		BACK(DEPLOY_FLOW_ROLLBACK, p, DEPLOY_EV_FAILED, DEPLOY_OUT_FAILED,
		    DEPLOY_UNDO_START);
	}
	BACK(DEPLOY_FLOW_START, DEPLOY_VERIFY, DEPLOY_EV_FAILED, DEPLOY_OUT_FAILED,
	    DEPLOY_UNDO_START);
	BACK(DEPLOY_FLOW_SCALE, DEPLOY_VERIFY, DEPLOY_EV_TIMED_OUT, DEPLOY_OUT_FAILED,
	    DEPLOY_UNDO_START);
}

/* A keeper that is lost between verify and the rename takes them along. */
static void a_switch_to_what_is_gone_starts_it_again(void **state)
{
	(void)state;
	static const enum deploy_flow flows[] = {DEPLOY_FLOW_DEPLOY, DEPLOY_FLOW_ROLLBACK};
	static const enum deploy_phase way[] = {DEPLOY_START, DEPLOY_VERIFY, DEPLOY_SWITCH,
	    DEPLOY_HANDOVER, DEPLOY_DRAIN, DEPLOY_FINISH, DEPLOY_ENDED};
	for (size_t f = 0; f < 2; f++) {
		struct deploy_state s = walk(flows[f], DEPLOY_SWITCH);
		answer(&s, DEPLOY_EV_RETRY);
		for (size_t i = 0; i < sizeof(way) / sizeof(*way); i++) {
			assert_int_equal(s.phase, way[i]);
			answer(&s, DEPLOY_EV_DONE);
		}
		assert_int_equal(s.outcome, DEPLOY_OUT_DONE);
	}
}

static void a_worker_that_dies_after_the_switch_switches_back(void **state)
{
	(void)state;
	BACK(DEPLOY_FLOW_DEPLOY, DEPLOY_HANDOVER, DEPLOY_EV_FAILED, DEPLOY_OUT_FAILED,
	    DEPLOY_UNSWITCH, DEPLOY_UNDO_START, DEPLOY_UNDO_RELEASE);
	BACK(DEPLOY_FLOW_ROLLBACK, DEPLOY_HANDOVER, DEPLOY_EV_FAILED, DEPLOY_OUT_FAILED,
	    DEPLOY_UNSWITCH, DEPLOY_UNDO_START);
}

static void a_drain_that_fails_is_still_a_deploy(void **state)
{
	(void)state;
	struct deploy_state s = walk(DEPLOY_FLOW_DEPLOY, DEPLOY_DRAIN);
	answer(&s, DEPLOY_EV_FAILED);
	assert_int_equal(s.phase, DEPLOY_FINISH);
	assert_int_equal(s.outcome, DEPLOY_OUT_DONE);
}

/* cancel: told once; whatever the action answers then, `done` included, counts as cancelled. */
static void cancel_before_the_switch_walks_back(void **state)
{
	(void)state;
	static const enum deploy_event_kind answers[] = {DEPLOY_EV_DONE, DEPLOY_EV_FAILED,
	    DEPLOY_EV_TIMED_OUT, DEPLOY_EV_CANCELLED, DEPLOY_EV_RETRY};
	for (enum deploy_phase p = DEPLOY_FETCH; p <= DEPLOY_VERIFY; p++)
		for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
			struct deploy_state s = walk(DEPLOY_FLOW_DEPLOY, p);
			other(&s, DEPLOY_EV_CANCEL);
			assert_int_equal(s.phase, p);
			assert_int_equal(acts.count, 1);
			assert_int_equal(acts.v[0].kind, DEPLOY_ABORT);
			other(&s, DEPLOY_EV_CANCEL);
			assert_int_equal(acts.count, 0);
			answer(&s, answers[i]);
			assert_int_equal(s.outcome, DEPLOY_OUT_CANCELLED);
			assert_int_equal(
			    s.phase, p >= DEPLOY_START ? DEPLOY_UNDO_START : DEPLOY_UNDO_RELEASE);
		}
}

static void from_the_switch_on_it_completes(void **state)
{
	(void)state;
	for (enum deploy_phase p = DEPLOY_SWITCH; p <= DEPLOY_DRAIN; p++) {
		struct deploy_state s = walk(DEPLOY_FLOW_DEPLOY, p);
		other(&s, DEPLOY_EV_CANCEL);
		assert_int_equal(acts.count, 0);
		assert_false(deploy_cancellable(DEPLOY_FLOW_DEPLOY, p));
		while (s.phase != DEPLOY_ENDED)
			answer(&s, DEPLOY_EV_DONE);
		assert_int_equal(s.outcome, DEPLOY_OUT_DONE);
	}
}

static void recovery_takes_up_where_it_was(void **state)
{
	(void)state;
	static const struct {
		enum deploy_phase at, then;
	} c[] = {{DEPLOY_FETCH, DEPLOY_FETCH}, {DEPLOY_PLAN, DEPLOY_FETCH},
	    {DEPLOY_BUILD, DEPLOY_FETCH}, {DEPLOY_CHECK, DEPLOY_CHECK},
	    {DEPLOY_PROVISION, DEPLOY_PROVISION}, {DEPLOY_RELEASE, DEPLOY_UNDO_RELEASE},
	    {DEPLOY_START, DEPLOY_START}, {DEPLOY_VERIFY, DEPLOY_START},
	    {DEPLOY_SWITCH, DEPLOY_SWITCH}, {DEPLOY_HANDOVER, DEPLOY_HANDOVER},
	    {DEPLOY_DRAIN, DEPLOY_DRAIN}, {DEPLOY_FINISH, DEPLOY_FINISH}};
	for (size_t i = 0; i < sizeof(c) / sizeof(c[0]); i++) {
		struct deploy_state s = walk(DEPLOY_FLOW_DEPLOY, c[i].at);
		uint32_t before = s.attempt;
		other(&s, DEPLOY_EV_RECOVER);
		assert_int_equal(s.phase, c[i].then);
		assert_true(s.attempt > before);
		assert_int_equal(acts.count, 1);
		assert_int_equal(s.outcome, c[i].at == DEPLOY_RELEASE  ? DEPLOY_OUT_FAILED
					    : c[i].at == DEPLOY_FINISH ? DEPLOY_OUT_DONE
								       : DEPLOY_OUT_NONE);
	}
}

static void recovery_with_a_cancel_waiting_does_not_start_again(void **state)
{
	(void)state;
	struct deploy_state s = walk(DEPLOY_FLOW_DEPLOY, DEPLOY_CHECK);
	s.cancel_asked = true;
	other(&s, DEPLOY_EV_RECOVER);
	assert_int_equal(s.phase, DEPLOY_UNDO_RELEASE);
	assert_int_equal(s.outcome, DEPLOY_OUT_CANCELLED);
}

static void recovery_on_the_way_back_stays_there(void **state)
{
	(void)state;
	struct deploy_state s = walk(DEPLOY_FLOW_DEPLOY, DEPLOY_VERIFY);
	answer(&s, DEPLOY_EV_FAILED);
	for (int i = 0; i < 5; i++) {
		other(&s, DEPLOY_EV_RECOVER);
		assert_int_equal(s.phase, DEPLOY_UNDO_START);
		assert_int_equal(s.outcome, DEPLOY_OUT_FAILED);
	}
	answer(&s, DEPLOY_EV_FAILED);
	assert_int_equal(s.phase, DEPLOY_UNDO_RELEASE);
	assert_int_equal(s.outcome, DEPLOY_OUT_FAILED);
	assert_int_equal(s.failed_at, DEPLOY_VERIFY);
}

static void stale_answers_change_nothing(void **state)
{
	(void)state;
	for (unsigned f = 0; f < DEPLOY_FLOW_COUNT; f++)
		for (size_t i = 0; i < PATH_MAX_LEN && forward[f][i] != DEPLOY_ENDED; i++)
			for (unsigned k = DEPLOY_EV_DONE; k < DEPLOY_EVENT_COUNT; k++) {
				struct deploy_state s = walk((enum deploy_flow)f, forward[f][i]);
				struct deploy_state was = s;
				struct deploy_event old = {.kind = (enum deploy_event_kind)k,
				    .phase = s.phase,
				    .attempt = s.attempt - 1};
				deploy_next(&s, &old, &s, &acts);
				assert_memory_equal(&s, &was, sizeof(s));
				assert_int_equal(acts.count, 0);
				struct deploy_event wrong = {.kind = (enum deploy_event_kind)k,
				    .phase = DEPLOY_NEW,
				    .attempt = s.attempt};
				deploy_next(&s, &wrong, &s, &acts);
				assert_memory_equal(&s, &was, sizeof(s));
			}
}

/* Every state of every flow × every event: the target has a row in that flow, and there is a way to
 * the end. */
static void the_table_is_closed(void **state)
{
	(void)state;
	for (unsigned f = 0; f < DEPLOY_FLOW_COUNT; f++)
		for (unsigned p = 0; p < DEPLOY_PHASE_COUNT; p++)
			for (unsigned k = 0; k < DEPLOY_EVENT_COUNT; k++) {
				const struct deploy_row *r = &deploy_table.row[f][p];
				unsigned to = r->move[k];
				if (to == DEPLOY_IGNORE || to >= DEPLOY_PHASE_COUNT ||
				    to == DEPLOY_ENDED)
					continue;
				const struct deploy_row *next = &deploy_table.row[f][to];
				assert_true(next->limit_s > 0);
				assert_true(next->move[DEPLOY_EV_DONE] != DEPLOY_IGNORE);
				assert_true(next->move[DEPLOY_EV_RECOVER] != DEPLOY_IGNORE);
				for (unsigned a = DEPLOY_EV_DONE; a < DEPLOY_EVENT_COUNT; a++)
					assert_true(next->move[a] != DEPLOY_IGNORE);
			}
}

static void names_read_back(void **state)
{
	(void)state;
	for (unsigned p = 0; p < DEPLOY_PHASE_COUNT; p++) {
		enum deploy_phase q;
		assert_true(deploy_phase_parse(deploy_phase_name((enum deploy_phase)p), &q));
		assert_int_equal(p, q);
	}
	enum deploy_phase q;
	assert_false(deploy_phase_parse("nonsense", &q));
	assert_string_equal(deploy_phase_step(DEPLOY_HANDOVER), "drain");
	assert_null(deploy_phase_step(DEPLOY_FINISH));
	assert_string_equal(deploy_outcome_name(DEPLOY_OUT_UP_TO_DATE), "up-to-date");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_flow_walks_its_way),
	    cmocka_unit_test(failures_before_start_undo_the_release),
	    cmocka_unit_test(a_restore_that_fails_brings_back_what_was),
	    cmocka_unit_test(failures_of_the_new_processes_stop_them),
	    cmocka_unit_test(a_switch_to_what_is_gone_starts_it_again),
	    cmocka_unit_test(a_worker_that_dies_after_the_switch_switches_back),
	    cmocka_unit_test(a_drain_that_fails_is_still_a_deploy),
	    cmocka_unit_test(cancel_before_the_switch_walks_back),
	    cmocka_unit_test(from_the_switch_on_it_completes),
	    cmocka_unit_test(recovery_takes_up_where_it_was),
	    cmocka_unit_test(recovery_with_a_cancel_waiting_does_not_start_again),
	    cmocka_unit_test(recovery_on_the_way_back_stays_there),
	    cmocka_unit_test(stale_answers_change_nothing),
	    cmocka_unit_test(the_table_is_closed),
	    cmocka_unit_test(names_read_back),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
