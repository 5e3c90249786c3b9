/* rooms: base loop crypto text store model queue */
/* From a delivery to its event: once, whatever kills the process in between; folded; within bounds.
 */
#include "model_fixture.h"

#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/rand.h"
#include "model/hook.h"
#include "model/task.h"
#include "queue/delivery.h"
#include "queue/intake.h"
#include "queue/keys.h"

#include <fcntl.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define COMMIT "1111111111111111111111111111111111111111"
#define NUMBERS 20000

static char dir[64], db_path[96], journal_path[96];
static struct shared {
	atomic_bool acked[NUMBERS], repeated[NUMBERS];
	int64_t id[NUMBERS];
} * sh;
static int64_t project, hook;
static struct store *store;

UNIT(make)
{
	(void)a;
	project = fixture_project(db, "site", e);
	struct model_hook h = {.project_id = project,
	    .name = STR("push"),
	    .sender = STR("github"),
	    .secret = STR("x"),
	    .branch = STR("main"),
	    .created_ms = 1};
	return project > 0 && model_hook_add(db, &h, &hook, e) == 0 ? 0 : -1;
}

static int begin(void **state)
{
	(void)state;
	struct err e = {0};
	(void)snprintf(dir, sizeof(dir), "/tmp/slipway-intake-XXXXXX");
	assert_non_null(mkdtemp(dir));
	(void)snprintf(db_path, sizeof(db_path), "%s/x.db", dir);
	(void)snprintf(journal_path, sizeof(journal_path), "%s/journal", dir);
	memset(sh, 0, sizeof(*sh));
	store = store_open(&(struct store_options){.path = db_path, .readers = 2}, &e);
	assert_non_null(store);
	assert_int_equal(model_migrate(store, &e), 0);
	fixture_run(store, make);
	return 0;
}

static int end(void **state)
{
	(void)state;
	store_close(store);
	int tmp = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(fs_remove_tree(tmp, strrchr(dir, '/') + 1, NULL), 0);
	close(tmp);
	return 0;
}

static struct intake *open_intake(uint32_t count_max)
{
	struct err e = {0};
	struct intake *in = intake_open(&(struct intake_options){.store = store,
					    .journal = journal_path,
					    .limits = {.undrained_count_max = count_max}},
	    &e);
	if (!in)
		fail_msg("%s", e.msg);
	return in;
}

struct sent {
	struct intake_ask ask;
	struct arena a;
	unsigned n;
	int rc;
	sem_t *told;
	char key[24], body[64];
};

static void on_done(struct intake_ask *ask, int rc, const struct err *e)
{
	(void)e;
	struct sent *s = ask->ctx;
	s->rc = rc;
	if (rc == 0) {
		sh->id[s->n] = ask->got.event_id;
		atomic_store(&sh->repeated[s->n], ask->got.repeated);
		atomic_store(&sh->acked[s->n], true);
	}
	sem_post(s->told);
}

static bool triggering = true, acting; /* what the next deliveries say */
static const char *ref = "main";

static int send(
    struct intake *in, struct sent *s, unsigned n, int64_t received_ms, sem_t *told, struct err *e)
{
	*s = (struct sent){.n = n, .told = told};
	arena_init(&s->a, 1 << 16);
	(void)snprintf(s->key, sizeof(s->key), "d-%u", n);
	(void)snprintf(s->body, sizeof(s->body), "body of %u", n);
	s->ask.done = on_done;
	s->ask.ctx = s;
	s->ask.d = (struct queue_delivery){.hook_id = hook,
	    .project_id = project,
	    .key = str_c(s->key),
	    .kind = STR("push"),
	    .ref = str_c(ref),
	    .after = STR(COMMIT),
	    .body = str_c(s->body),
	    .received_ms = received_ms,
	    .triggers = triggering,
	    .acts = acting};
	return intake_accept(in, &s->ask, &s->a, e);
}

static void send_all(struct intake *in, unsigned from, unsigned to, int64_t received_ms)
{
	enum { AT_ONCE = 50 };
	static struct sent s[AT_ONCE];
	struct err e;
	sem_t told;
	sem_init(&told, 0, 0);
	for (unsigned n = from; n < to; n += AT_ONCE) {
		unsigned many = to - n < AT_ONCE ? to - n : AT_ONCE;
		for (unsigned i = 0; i < many; i++)
			assert_int_equal(send(in, &s[i], n + i, received_ms, &told, &e), 0);
		for (unsigned i = 0; i < many; i++)
			sem_wait(&told);
		for (unsigned i = 0; i < many; i++)
			arena_fini(&s[i].a);
	}
	sem_destroy(&told);
}

static int64_t events, tasks, superseded, failed_events, waiting_events, head_tasks;

UNIT(count)
{
	(void)a;
	struct store_stmt *q = store_prepare(db,
	    "SELECT (SELECT count(*) FROM event), (SELECT count(*) FROM task),"
	    " (SELECT count(*) FROM event WHERE outcome = 'superseded'),"
	    " (SELECT count(*) FROM event WHERE outcome = 'failed'),"
	    " (SELECT count(*) FROM event v JOIN task t ON t.id = v.task_id WHERE outcome ="
	    " 'waiting' AND t.kind = 'deploy'), (SELECT count(*) FROM task WHERE ref = '')",
	    e);
	CHECK(store_step(q, e) == 1);
	events = store_col_i64(q, 0);
	tasks = store_col_i64(q, 1);
	superseded = store_col_i64(q, 2);
	failed_events = store_col_i64(q, 3);
	waiting_events = store_col_i64(q, 4);
	head_tasks = store_col_i64(q, 5);
	return 0;
}

static void test_a_branch_is_one_task(void **state)
{
	(void)state;
	struct intake *in = open_intake(0);
	send_all(in, 0, 5000, 1000);
	intake_settle(in, clock_mono_ms() + 30000);
	fixture_run(store, count);
	assert_int_equal(events, 5000);
	assert_int_equal(tasks, 1);
	intake_close(in);
}

/* The journal forgets a key with the batch that took it along; the store knows it from then on. */
static void test_a_repeat_of_what_is_stored(void **state)
{
	(void)state;
	enum { SENT = 300 };
	int64_t first[SENT];
	struct intake *in = open_intake(0);
	send_all(in, 0, SENT, 1000);
	intake_settle(in, clock_mono_ms() + 30000);
	for (unsigned n = 0; n < SENT; n++) {
		assert_true(sh->acked[n] && !sh->repeated[n]);
		first[n] = sh->id[n];
	}
	send_all(in, 0, SENT, 2000);
	for (unsigned n = 0; n < SENT; n++)
		assert_true(sh->repeated[n] && sh->id[n] == first[n]);
	assert_int_equal(intake_level(in).count, 0);
	intake_close(in);
}

static int64_t decided_ms;

UNIT(decide)
{
	(void)a;
	int64_t task;
	struct queue_order o = {.project_id = project,
	    .kind = MODEL_TASK_ROLLBACK,
	    .now_ms = decided_ms,
	    .requested_by = STR("ann")};
	return queue_unit_order(db, &o, &task, e);
}

/* A push that was acknowledged before a rollback was asked for and drained after it does not undo
 * it. */
static void test_a_rollback_supersedes_what_waits(void **state)
{
	(void)state;
	decided_ms = 5000;
	fixture_run(store, decide);
	struct intake *in = open_intake(0);
	send_all(in, 0, 10, 4999);
	intake_settle(in, clock_mono_ms() + 30000);
	fixture_run(store, count);
	assert_int_equal(superseded, 10);
	assert_int_equal(tasks, 1);
	send_all(in, 10, 20, 5001);
	intake_settle(in, clock_mono_ms() + 30000);
	fixture_run(store, count);
	assert_int_equal(superseded, 10);
	assert_int_equal(tasks, 2);
	intake_close(in);
}

/* A batch: deliveries of that hook's, and of one beside it whose actions cannot be read. */
static int64_t spoilt;

UNIT(make_spoilt)
{
	(void)a;
	struct model_hook h = {.project_id = project,
	    .name = STR("spoilt"),
	    .sender = STR("github"),
	    .secret = STR("x"),
	    .branch = STR("main"),
	    .actions = STR("[{\"type\":\"notify\"},"),
	    .created_ms = 1};
	return model_hook_add(db, &h, &spoilt, e);
}

/* What one hook's settings cannot be followed for fails that event; everybody else's go on. */
static void test_a_hooks_fault_is_its_own(void **state)
{
	(void)state;
	enum { SENT = 20 };
	fixture_run(store, make_spoilt);
	struct intake *in = open_intake(0);
	int64_t sound = hook;
	send_all(in, 0, SENT, 1000);
	hook = spoilt;
	acting = true;
	send_all(in, SENT, SENT + 3, 1000);
	acting = false;
	hook = sound;
	send_all(in, SENT + 3, 2 * SENT, 1000);
	intake_settle(in, clock_mono_ms() + 5000);
	assert_int_equal(intake_level(in).count, 0);
	fixture_run(store, count);
	assert_int_equal(events, 2 * SENT);
	assert_int_equal(failed_events, 3);
	intake_close(in);
}

UNIT(any_branch)
{
	(void)a;
	return model_hook_update(db, hook, STR(""), STR_NONE, STR_NONE, e) == 1 ? 0 : -1;
}

/* Acknowledged while the hook had actions of its own, drained when it has none any more. */
static void test_actions_that_were_set_back_deploy(void **state)
{
	(void)state;
	struct intake *in = open_intake(0);
	acting = true;
	send_all(in, 0, 3, 1000);
	ref = "feature/x"; /* which a notify lets through */
	send_all(in, 3, 5, 1000);
	intake_settle(in, clock_mono_ms() + 30000);
	fixture_run(store, count);
	assert_int_equal(events, 5);
	assert_int_equal(waiting_events, 3);
	assert_int_equal(tasks, 1);
	/* where neither hook nor project says a branch, what the project follows is looked at */
	fixture_run(store, any_branch);
	send_all(in, 5, 7, 1000);
	acting = false;
	ref = "main";
	intake_settle(in, clock_mono_ms() + 30000);
	fixture_run(store, count);
	assert_int_equal(waiting_events, 5);
	assert_int_equal(tasks, 2);
	assert_int_equal(head_tasks, 1);
	intake_close(in);
}

/* What was decided while the clock was ahead does not supersede until that time is there. */
static void test_a_rollback_of_a_time_to_come_supersedes_nothing(void **state)
{
	(void)state;
	decided_ms = clock_wall_ms() + 3600000;
	fixture_run(store, decide);
	struct intake *in = open_intake(0);
	send_all(in, 0, 10, clock_wall_ms());
	intake_settle(in, clock_mono_ms() + 30000);
	fixture_run(store, count);
	assert_int_equal(superseded, 0);
	assert_int_equal(tasks, 2);
	intake_close(in);
}

static sem_t hold, held;

static int wait_held(void *ctx, struct store_db *db, struct err *e)
{
	(void)ctx, (void)db, (void)e;
	sem_post(&held);
	sem_wait(&hold);
	return 0;
}

/* With a store that stands still until `hold` is posted. */
static struct intake *open_held(void)
{
	struct err e;
	sem_init(&hold, 0, 0);
	sem_init(&held, 0, 0);
	struct intake *in = open_intake(0);
	assert_int_equal(store_submit(store, wait_held, NULL, NULL, &e), 0);
	sem_wait(&held);
	return in;
}

UNIT(end_tasks)
{
	(void)a;
	struct store_stmt *q = store_prepare(db, "UPDATE task SET state = 'done'", e);
	return q ? store_exec(q, e) : -1;
}

static unsigned below;
static struct intake *looking;

UNIT(check)
{
	struct str body;
	for (unsigned n = 0; n < below; n++) {
		struct model_event ev;
		char key[24], want[64];
		if (!sh->acked[n])
			continue;
		arena_fini(a);
		arena_init(a, 1 << 20);
		(void)snprintf(key, sizeof(key), "d-%u", n);
		(void)snprintf(want, sizeof(want), "body of %u", n);
		CHECK(model_event_known(db, hook, str_c(key), &ev, e) == 1);
		CHECK(ev.id == sh->id[n]);
		CHECK(model_event_get(db, a, sh->id[n], MODEL_EVERYTHING, &ev, e) == 1);
		CHECK(str_eq_c(ev.delivery_key, key));
		CHECK(intake_body(looking, &ev, a, &body, e) == 1 && str_eq_c(body, want));
	}
	return 0;
}

/* All of it is one batch, since the store stood still while it came. What was made of it is over
 * before the journal is opened again: a push that were drained a second time would be another task.
 */
static void test_a_batch_is_applied_once(void **state)
{
	(void)state;
	enum { SENT = 400 };
	struct intake *in = open_held();
	send_all(in, 0, SENT, 1000);
	sem_post(&hold);
	intake_settle(in, clock_mono_ms() + 30000);
	fixture_run(store, end_tasks);
	intake_close(in);
	looking = open_intake(0);
	intake_settle(looking, clock_mono_ms() + 30000);
	fixture_run(store, count);
	assert_int_equal(events, SENT);
	assert_int_equal(tasks, 1);
	below = SENT;
	fixture_run(store, check);
	intake_close(looking);
}

/* A commit of 1.2 s is no reason to rest for 2.4 when nothing comes any more. */
static void test_a_slow_commit_is_no_long_rest(void **state)
{
	(void)state;
	struct err e;
	struct intake *in = open_held();
	send_all(in, 0, 10, 1000);
	usleep(100000); /* its batch is queued, and so is what holds up their commit */
	assert_int_equal(store_submit(store, wait_held, NULL, NULL, &e), 0);
	sem_post(&hold);
	sem_wait(&held);
	usleep(1200000);
	send_all(in, 10, 20, 1000);
	sem_post(&hold);
	int64_t released_ms = clock_mono_ms();
	intake_settle(in, clock_mono_ms() + 30000);
	fixture_run(store, count);
	assert_int_equal(events, 20);
	assert_in_range(clock_mono_ms() - released_ms, 0, 900);
	intake_close(in);
}

enum { OLD = 9000, YOUNG = 5 };

UNIT(make_old)
{
	(void)a;
	struct store_stmt *q = store_prepare(db,
	    "INSERT INTO event(hook_id, project_id, delivery_key, received_ms, kind, ref,"
	    " before_commit, after_commit, outcome) WITH RECURSIVE c(n) AS"
	    " (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < $all) SELECT $hook, $project,"
	    " 'old-' || n, CASE WHEN n <= $old THEN n ELSE $now END, 'push', 'main', '', '',"
	    " 'uptodate' FROM c",
	    e);
	CHECK(q);
	store_bind_i64(q, "$all", OLD + YOUNG);
	store_bind_i64(q, "$old", OLD);
	store_bind_i64(q, "$hook", hook);
	store_bind_i64(q, "$project", project);
	store_bind_i64(q, "$now", clock_wall_ms());
	return store_exec(q, e);
}

static struct {
	struct loop *loop;
	struct loop_timer *timer;
	unsigned looks;
} sweeping;

static void end_when_swept(void *ctx)
{
	(void)ctx;
	fixture_run(store, count);
	if (events <= YOUNG || ++sweeping.looks > 500)
		loop_stop(sweeping.loop);
	else
		loop_timer_at(sweeping.timer, clock_mono_ms() + 20);
}

/* More than go at once: until nothing old is left, not one lot an hour. */
static void test_what_is_old_goes(void **state)
{
	(void)state;
	struct err e;
	fixture_run(store, make_old);
	sweeping.loop = loop_new(1);
	sweeping.timer = loop_timer_new(sweeping.loop, end_when_swept, NULL);
	sweeping.looks = 0;
	struct intake *in = intake_open(&(struct intake_options){.store = store,
					    .loop = sweeping.loop,
					    .journal = journal_path,
					    .sweep_look_ms = 10},
	    &e);
	assert_non_null(in);
	loop_timer_at(sweeping.timer, clock_mono_ms());
	loop_run(sweeping.loop);
	assert_int_equal(events, YOUNG);
	intake_close(in);
	loop_timer_free(sweeping.timer);
	loop_free(sweeping.loop);
}

/* A hook of that number that is another project's: what was sent to it is nobody's. */
static void test_a_hook_of_another_is_left_alone(void **state)
{
	(void)state;
	struct intake *in = open_intake(0);
	send_all(in, 0, 10, 1000);
	project += 7;
	send_all(in, 10, 20, 1000);
	project -= 7;
	hook += 7; /* and one that is not there */
	send_all(in, 20, 30, 1000);
	hook -= 7;
	send_all(in, 30, 40, 1000);
	intake_settle(in, clock_mono_ms() + 30000);
	fixture_run(store, count);
	assert_int_equal(events, 20);
	intake_close(in);
}

/* The store stands still: what fits is acknowledged, the rest refused, and it is got over. */
static void test_a_full_journal_refuses(void **state)
{
	(void)state;
	enum { ROOM = 8, SENT = 20 };
	static struct sent s[SENT];
	struct err e;
	sem_t told;
	sem_init(&told, 0, 0);
	sem_init(&hold, 0, 0);
	sem_init(&held, 0, 0);
	struct intake *in = open_intake(ROOM);
	assert_int_equal(store_submit(store, wait_held, NULL, NULL, &e), 0);
	sem_wait(&held);
	int refused = 0;
	for (unsigned n = 0; n < SENT; n++) {
		if (send(in, &s[n], n, 1, &told, &e) == 0)
			continue;
		assert_int_equal(e.code, ERR_UNAVAILABLE);
		refused++;
	}
	assert_int_equal(refused, SENT - ROOM);
	for (int i = 0; i < ROOM; i++)
		sem_wait(&told);
	sem_post(&hold);
	intake_settle(in, clock_mono_ms() + 30000);
	fixture_run(store, count);
	assert_int_equal(events, ROOM);
	for (unsigned n = 0; n < SENT; n++)
		arena_fini(&s[n].a);
	send_all(in, 100, 105, 1);
	intake_settle(in, clock_mono_ms() + 30000);
	intake_close(in);
}

static _Noreturn void child(unsigned from)
{
	struct err e = {0};
	store = store_open(&(struct store_options){.path = db_path, .readers = 2}, &e);
	if (!store)
		_exit(9);
	send_all(open_intake(0), from, from + 4000, 1000);
	_exit(7);
}

/* Every acknowledged event is in the store under the id that was told, with its body, and none
 * twice (its key is unique); the same whichever moment of writing, draining or committing the kill
 * meets. */
static void test_kills(void **state)
{
	(void)state;
	struct err e = {0};
	store_close(store);
	unsigned acked = 0;
	for (unsigned life = 0; life < 5; life++) {
		unsigned from = life * 4000;
		int status;
		pid_t pid = fork();
		if (pid == 0)
			child(from);
		while (!sh->acked[from] && waitpid(pid, &status, WNOHANG) == 0)
			usleep(200);
		usleep((useconds_t)rand_below(120000));
		kill(pid, SIGKILL);
		(void)waitpid(pid, &status, 0);
	}
	store = store_open(&(struct store_options){.path = db_path, .readers = 2}, &e);
	assert_non_null(store);
	looking = open_intake(0);
	intake_settle(looking, clock_mono_ms() + 30000);
	below = NUMBERS;
	fixture_run(store, check);
	for (unsigned n = 0; n < NUMBERS; n++)
		acked += sh->acked[n];
	fixture_run(store, count);
	assert_true(events >= acked && acked > 100);
	print_message("5 kills, %u acknowledged, none lost, none twice\n", acked);
	intake_close(looking);
}

/* A filter of keys, asked as the journal's thread does: no is an answer only when it has all that is
 * stored, and never one for what is. */
static void test_which_keys_are_known(void **state)
{
	(void)state;
	enum { STORED = 3000, NEW = 2000 };
	char key[32], to[DELIVERY_KEY_HEAD + DELIVERY_KEY_MAX];
	struct intake *in = open_intake(0);
	send_all(in, 0, STORED, 1000);
	intake_settle(in, clock_mono_ms() + 30000);
	intake_close(in);
	struct keys *k = keys_new(store);
#define MAY(...)                                                                                   \
	((void)snprintf(key, sizeof(key), __VA_ARGS__),                                            \
	    keys_may_have(k, delivery_key(hook, str_c(key), to)))
	keys_go_on(k, KEYS_BUSY - 1, 5, 5); /* not busy */
	assert_true(MAY("new-0") && MAY("new-0"));
	keys_go_on(k, KEYS_BUSY, 0, 0); /* nothing was written: an earlier life's may wait */
	keys_go_on(k, KEYS_BUSY, 5, 4);
	for (int i = 0; i < 5; i++)
		keys_go_on(k, KEYS_BUSY, 9, 4); /* one may be on its way into the store */
	assert_false(keys_ready(k));
	assert_true(MAY("late"));
	keys_go_on(k, 1, 9, 5);
	assert_false(keys_ready(k)); /* a slice, and there are more */
	assert_true(MAY("later"));
	keys_go_on(k, 1, 9, 5);
	assert_true(keys_ready(k));
	for (int i = 0; i < STORED; i++)
		assert_true(MAY("d-%d", i));
	assert_true(MAY("late") && MAY("later"));
	unsigned wrong = 0;
	for (int i = 0; i < NEW; i++)
		wrong += MAY("new-%d", i);
	assert_in_range(wrong, 0, 3);
	for (int i = 0; i < NEW; i++)
		assert_true(MAY("new-%d", i));
#undef MAY
	keys_free(k);
}

static void test_packing(void **state)
{
	(void)state;
	struct err e;
	struct arena a;
	struct delivery_packed p;
	struct queue_delivery d = {.hook_id = 3,
				  .project_id = 4,
				  .key = STR("k"),
				  .kind = STR("push"),
				  .ref = STR("main"),
				  .before = STR(""),
				  .after = STR(COMMIT),
				  .received_ms = 5,
				  .triggers = true},
			      q;
	arena_init(&a, 1 << 16);
	assert_int_equal(delivery_pack(&d, &a, &p, &e), 0);
	assert_int_equal(delivery_unpack(p.key, p.meta, &q, &e), 0);
	assert_true(q.hook_id == 3 && q.project_id == 4 && q.received_ms == 5 && q.triggers);
	assert_true(str_eq(q.key, d.key) && str_eq(q.kind, d.kind) && str_eq(q.ref, d.ref) &&
		    str_eq(q.after, d.after) && q.before.n == 0);
	for (size_t n = 0; n < p.meta.n; n++) /* cut anywhere it is none */
		assert_int_equal(delivery_unpack(p.key, str_slice(p.meta, 0, n), &q, &e), -1);
	assert_int_equal(delivery_unpack(str_slice(p.key, 0, 8), p.meta, &q, &e), -1);
	arena_fini(&a);
}

#define WITH(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
	log_open(LOG_LEVEL_COUNT, 2);
	sh = mmap(NULL, sizeof(*sh), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(sh != MAP_FAILED);
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_packing),
	    WITH(test_a_branch_is_one_task),
	    WITH(test_which_keys_are_known),
	    WITH(test_a_repeat_of_what_is_stored),
	    WITH(test_a_batch_is_applied_once),
	    WITH(test_a_slow_commit_is_no_long_rest),
	    WITH(test_what_is_old_goes),
	    WITH(test_a_hook_of_another_is_left_alone),
	    WITH(test_a_hooks_fault_is_its_own),
	    WITH(test_actions_that_were_set_back_deploy),
	    WITH(test_a_rollback_supersedes_what_waits),
	    WITH(test_a_rollback_of_a_time_to_come_supersedes_nothing),
	    WITH(test_a_full_journal_refuses),
	    WITH(test_kills),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
