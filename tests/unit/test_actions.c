/* rooms: base loop crypto text store model http queue launch outbound notify hooks */
/* What follows from events: which actions are taken, which events they leave out, and how they
 * stand in the store until the event has its outcome. */
#include "model_fixture.h"

#include "base/clock.h"
#include "base/crc32c.h"
#include "base/fs.h"
#include "base/io.h"
#include "base/mem.h"
#include "hooks/action.h"
#include "hooks/advance.h"
#include "model/channel.h"
#include "model/delivery.h"
#include "model/event.h"
#include "model/task.h"
#include "queue/intake.h"
#include "queue/units.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define HEAD "1111111111111111111111111111111111111111"

/* Settings. */

static int check(const char *text, const char *sender, struct actions *ret)
{
	struct err e = {0};
	return actions_read(str_c(text), sender_find(str_c(sender)), ret, &e);
}

static void what_is_taken(void **state)
{
	static const char *const bad[] = {"[]", "{}", "[1]", "[{}]", "[{\"type\":\"sing\"}]",
	    "[{\"type\":\"deploy\",\"channel\":\"x\"}]", "[{\"type\":\"check\",\"forks\":1}]",
	    "[{\"type\":\"forward\"}]", "[{\"type\":\"forward\",\"channel\":\"\"}]",
	    "[{\"type\":\"notify\",\"channels\":[]}]", "[{\"type\":\"run\"}]",
	    "[{\"type\":\"run\",\"argv\":[]}]", "[{\"type\":\"run\",\"argv\":[\"\"]}]",
	    "[{\"type\":\"run\",\"argv\":[\"a\\u0000b\"]}]",
	    "[{\"type\":\"run\",\"argv\":[\"a\"],\"timeout_ms\":1}]",
	    "[{\"type\":\"deploy\"},{\"type\":\"deploy\"},{\"type\":\"deploy\"},{\"type\":"
	    "\"deploy\"},"
	    "{\"type\":\"deploy\"},{\"type\":\"deploy\"},{\"type\":\"deploy\"},{\"type\":"
	    "\"deploy\"},"
	    "{\"type\":\"deploy\"}]"};
	struct actions a;
	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_int_equal(check(bad[i], "github", &a), -1);
	assert_int_equal(check("", "particle", &a), 0);
	assert_false(a.own);
	assert_int_equal(check("[{\"type\":\"deploy\"}]", "github", &a), 0);
	assert_false(a.own);
	assert_int_equal(check("[{\"type\":\"deploy\"}]", "particle", &a), -1);
	assert_int_equal(check("[{\"type\":\"check\",\"forks\":true},{\"type\":\"run\",\"argv\":"
			       "[\"a\",\"\"]}]",
			     "github", &a),
	    0);
	assert_true(a.own && a.forks);
	assert_int_equal(a.kinds, ACTION_BIT(MODEL_ACTION_CHECK) | ACTION_BIT(MODEL_ACTION_RUN));
}

/* [{"type":"run","argv":["x","\u0001…"]}, …]: every byte of the words takes six. */
static char *escaped(size_t bytes)
{
	static const char head[] = "[{\"type\":\"run\",\"argv\":[\"x\",\"", one[] = "\\u0001",
			  tail[] = "\"]}]";
	char *text = mem_alloc(sizeof(head) + 6 * bytes + sizeof(tail)), *at = text;
	memcpy(at, head, sizeof(head) - 1);
	at += sizeof(head) - 1;
	for (size_t i = 0; i < bytes; i++, at += 6)
		memcpy(at, one, 6);
	memcpy(at, tail, sizeof(tail));
	return text;
}

static void what_is_too_large(void **state)
{
	struct actions a;
	struct err e = {0};
	(void)state;
	for (size_t bytes = 2000; bytes <= 4000; bytes += 2000) {
		char *text = escaped(bytes);
		json_t *list = json_read(str_c(text), &e);
		assert_int_equal(
		    actions_check(list, sender_find(STR("github")), &a, &e), bytes > 2000 ? -1 : 0);
		/* what is stored already is used */
		assert_int_equal(check(text, "github", &a), 0);
		json_decref(list);
		free(text);
	}
	assert_string_equal(e.pointer, "/actions/0");
	/* each is small enough, all of them are not */
	char *text = escaped(2000);
	json_t *list = json_read(str_c(text), &e);
	while (json_array_size(list) < 5)
		json_array_append(list, json_array_get(list, 0));
	assert_int_equal(actions_check(list, sender_find(STR("github")), &a, &e), 0);
	json_array_append(list, json_array_get(list, 0));
	assert_int_equal(actions_check(list, sender_find(STR("github")), &a, &e), -1);
	assert_string_equal(e.pointer, "/actions");
	json_decref(list);
	free(text);
}

static const char *left_out(const char *actions, const char *branch, struct sender_event ev)
{
	struct actions a;
	struct arena room;
	const struct sender *s = sender_find(STR("github"));
	arena_init(&room, 1 << 16);
	assert_int_equal(check(actions, "github", &a), 0);
	ev.json = STR("{}");
	const char *why = actions_leave_out(&a, s, str_c(branch), branch[0] != '\0', &ev, &room);
	arena_fini(&room);
	return why;
}

static void what_is_left_out(void **state)
{
#define DEPLOY "[{\"type\":\"deploy\"}]"
#define CHECKS "[{\"type\":\"check\"}]"
#define FORKS "[{\"type\":\"check\",\"forks\":true}]"
#define TELL "[{\"type\":\"notify\"}]"
	struct sender_event push = {.kind = STR("push"), .push = true, .ref = STR("main")},
			    issue = {.kind = STR("issues"), .ignored = "not a push"},
			    ping = {.kind = STR("ping"), .ping = true, .ignored = "a ping"},
			    pull = {.kind = STR("pull_request"),
				.pull = true,
				.ignored = "not a push",
				.ref = STR("refs/pull/1/head"),
				.base = STR("main")};
	struct sender_event theirs = pull, gone = push;
	theirs.stranger = true;
	gone.ignored = "the branch was deleted";
	(void)state;
	assert_null(left_out(DEPLOY, "main", push));
	assert_non_null(left_out(DEPLOY, "other", push));
	assert_non_null(left_out(DEPLOY, "", push)); /* nobody says which branch it is */
	assert_non_null(left_out(DEPLOY, "main", issue));
	assert_non_null(left_out(DEPLOY, "main", pull));
	assert_null(left_out(CHECKS, "main", pull));
	assert_non_null(left_out(CHECKS, "other", pull));
	assert_non_null(left_out(CHECKS, "main", theirs));
	assert_null(left_out(FORKS, "main", theirs));
	assert_null(left_out(TELL, "", push));
	assert_null(left_out(TELL, "", gone));
	assert_non_null(left_out(TELL, "other", push));
	assert_null(left_out(TELL, "main", issue));
	assert_non_null(left_out(TELL, "", ping));
	assert_non_null(left_out("[{\"type\":\"check\"},{\"type\":\"notify\"}]", "main", gone));
}

/* In the store. */

static int64_t the_hook(struct store_db *db, int64_t project, const char *actions, struct err *e)
{
	struct model_hook h = {.name = STR("h"),
	    .project_id = project,
	    .sender = STR("github"),
	    .secret = STR("x"),
	    .branch = STR("main"),
	    .actions = str_c(actions),
	    .created_ms = 1};
	int64_t id;
	return model_hook_add(db, &h, &id, e) < 0 ? -1 : id;
}

static int64_t an_event(struct store_db *db, int64_t hook, const char *key, struct err *e)
{
	struct model_event ev = {.hook_id = hook,
	    .delivery_key = str_c(key),
	    .received_ms = 5,
	    .kind = STR("push"),
	    .ref = STR("main"),
	    .after = STR(HEAD),
	    .body = STR("{}"),
	    .outcome = MODEL_OUTCOME_WAITING};
	int64_t id;
	return model_event_add(db, &ev, &id, e) < 0 ? -1 : id;
}

/* "done running later" and the event's outcome. */
static int stands(struct store_db *db, struct arena *a, int64_t event, char out[160], struct err *e)
{
	struct model_actions l;
	struct model_event ev;
	size_t n = 0;
	if (model_action_list(db, a, event, &l, e) < 0 ||
	    model_event_get(db, a, event, MODEL_EVERYTHING, &ev, e) != 1)
		return -1;
	for (size_t i = 0; i < l.n; i++)
		n += (size_t)snprintf(
		    out + n, 160 - n, "%s ", model_action_state_name(l.v[i].state));
	(void)snprintf(out + n, 160 - n, "%s", model_outcome_name(ev.outcome));
	return 0;
}
#define STANDS(text)                                                                               \
	do {                                                                                       \
		CHECK(stands(db, a, event, said, e) == 0);                                         \
		if (strcmp(said, text) != 0)                                                       \
			return err_set(e, ERR_FAILED, "%d: %s", __LINE__, said);                   \
	} while (0)

static const struct model_action_of push_of = {.branch = true};

static int end_task(struct store_db *db, struct arena *a, enum model_task_state how, struct err *e)
{
	struct model_task t;
	CHECK(model_task_claim(db, a, STR("x/1"), 1000, 64, &t, e) == 1);
	struct model_lease l = model_task_lease(&t);
	CHECK(
	    model_task_finish(db, &l, how, MODEL_OUTCOME_SERVED, STR("{}"), STR("{}"), 9, e) == 1);
	return 0;
}

static struct intake *in; /* NULL but where bodies are read */

static int advance(struct store_db *db, struct err *e)
{
	bool more = true, told = false;
	for (int i = 0; more && i < 10; i++)
		CHECK(advance_unit(in, db, 20, &more, &told, e) == 0);
	return 0;
}

static int64_t count(struct store_db *db, const char *sql, struct err *e)
{
	struct store_stmt *q = store_prepare(db, sql, e);
	int64_t n = q && store_step(q, e) == 1 ? store_col_i64(q, 0) : -1;
	if (q)
		store_reset(q);
	return n;
}
/* What each round would look for a task among. */
#define WITHOUT_TASK "SELECT count(*) FROM event WHERE outcome = 'waiting' AND task_id IS NULL"

UNIT(one_after_the_other)
{
	char said[160];
	int64_t
	    p = fixture_project(db, "shop", e),
	    hook = the_hook(db, p,
		"[{\"type\":\"check\"},{\"type\":\"deploy\"},{\"type\":\"run\",\"argv\":[\"x\"]}]",
		e),
	    event = an_event(db, hook, "d-1", e);
	CHECK(p > 0 && hook > 0 && event > 0);
	CHECK(model_action_open(db, event, push_of, e) == 1);
	STANDS("waiting later later waiting");
	CHECK(advance(db, e) == 0);
	CHECK(advance(db, e) == 0); /* what has begun is not begun again */
	STANDS("running later later waiting");
	struct model_event ev;
	CHECK(model_event_get(db, a, event, MODEL_EVERYTHING, &ev, e) == 1 && ev.task_id > 0);
	CHECK(end_task(db, a, MODEL_TASK_DONE, e) == 0);
	CHECK(advance(db, e) == 0);
	STANDS("done running later waiting");
	CHECK(end_task(db, a, MODEL_TASK_DONE, e) == 0);
	CHECK(advance(db, e) == 0);
	STANDS("done done running waiting");
	CHECK(end_task(db, a, MODEL_TASK_FAILED, e) == 0);
	CHECK(advance(db, e) == 0);
	STANDS("done done failed failed");
	/* the sender's repeat goes on behind what is done, and never runs a command again */
	CHECK(an_event(db, hook, "d-1", e) == event);
	CHECK(model_action_open(db, event, push_of, e) == 0);
	STANDS("done done failed failed");
	CHECK(store_script(db, "UPDATE event SET task_id = NULL", e) == 0);
	CHECK(model_action_restart(db, event, 6, e) == 1);
	STANDS("waiting later later waiting");
	CHECK(count(db, WITHOUT_TASK, e) == 0);
	struct model_tasks t;
	CHECK(model_task_list(db, a, (struct model_task_filter){0},
		  (struct model_page){.limit = 50}, MODEL_EVERYTHING, &t, e) == 0);
	CHECK(t.n == 3 && t.v[2].kind == MODEL_TASK_CHECK && t.v[1].kind == MODEL_TASK_DEPLOY &&
	      t.v[0].kind == MODEL_TASK_RUN);
	return 0;
}
TEST_OF(one_after_the_other)

UNIT(what_fails_stops_the_rest)
{
	char said[160];
	int64_t p = fixture_project(db, "shop", e),
		hook = the_hook(db, p, "[{\"type\":\"check\"},{\"type\":\"deploy\"}]", e),
		event = an_event(db, hook, "d-1", e);
	CHECK(model_action_open(db, event, push_of, e) == 1 && advance(db, e) == 0);
	CHECK(end_task(db, a, MODEL_TASK_FAILED, e) == 0 && advance(db, e) == 0);
	STANDS("failed skipped failed");
	CHECK(an_event(db, hook, "d-1", e) == event);
	CHECK(model_action_open(db, event, push_of, e) == 1);
	STANDS("waiting later waiting");
	CHECK(advance(db, e) == 0 && end_task(db, a, MODEL_TASK_DONE, e) == 0);
	/* a rollback that was asked for in between is not undone */
	struct model_task back = {.project_id = p,
	    .kind = MODEL_TASK_ROLLBACK,
	    .created_ms = 7,
	    .requested_by = STR("anna")};
	struct model_task_added added;
	CHECK(model_task_add(db, &back, &added, e) == 0 && advance(db, e) == 0);
	STANDS("done skipped superseded");
	/* but a person who wants all of it once more has decided later */
	CHECK(end_task(db, a, MODEL_TASK_DONE, e) == 0);
	CHECK(model_action_restart(db, event, 8, e) == 1 && advance(db, e) == 0);
	CHECK(end_task(db, a, MODEL_TASK_DONE, e) == 0 && advance(db, e) == 0);
	STANDS("done running waiting");
	return 0;
}
TEST_OF(what_fails_stops_the_rest)

UNIT(what_fits)
{
	char said[160];
	int64_t p = fixture_project(db, "shop", e),
		hook = the_hook(db, p,
		    "[{\"type\":\"deploy\"},{\"type\":\"check\"},{\"type\":\"notify\"},"
		    "{\"type\":\"forward\",\"channel\":\"gone\"}]",
		    e),
		event = an_event(db, hook, "d-1", e);
	CHECK(model_action_open(
		  db, event, (struct model_action_of){.pull = true, .stranger = true}, e) == 1);
	STANDS("waiting later waiting"); /* notify and forward only */
	event = an_event(db, hook, "d-2", e);
	CHECK(model_action_open(db, event, (struct model_action_of){.pull = true}, e) == 1);
	STANDS("waiting later later waiting");
	struct model_events orphans;
	CHECK(count(db, WITHOUT_TASK, e) == 0);
	CHECK(model_event_orphans(db, a, 10, &orphans, e) == 0 && orphans.n == 0);
	/* as an older version left them */
	CHECK(store_script(db, "UPDATE event SET task_id = NULL", e) == 0);
	CHECK(model_event_orphans(db, a, 10, &orphans, e) == 0 && orphans.n == 0);
	CHECK(model_hook_update(db, hook, STR_NONE, STR_NONE, STR("[{\"type\":\"deploy\"}]"), e) ==
	      1);
	event = an_event(db, hook, "d-3", e);
	CHECK(model_action_open(db, event, (struct model_action_of){0}, e) == 0);
	STANDS("ignored");
	return 0;
}
TEST_OF(what_fits)

/* What an older version let a hook have, and what nobody could: neither holds anybody else up. */
UNIT(what_is_large_is_opened)
{
	char said[160], *text = escaped(4000);
	int64_t p = fixture_project(db, "shop", e), hook = the_hook(db, p, text, e),
		event = an_event(db, hook, "d-1", e);
	free(text);
	CHECK(model_action_open(db, event, push_of, e) == 1 && advance(db, e) == 0);
	STANDS("running waiting");
	return 0;
}
TEST_OF(what_is_large_is_opened)

/* 1: the first action of the event has failed, and says so with that word. */
static int failed_saying(
    struct store_db *db, struct arena *a, int64_t event, const char *word, struct err *e)
{
	struct model_actions l;
	if (model_action_list(db, a, event, &l, e) < 0)
		return -1;
	return l.v[0].state == MODEL_ACTION_FAILED && str_contains(l.v[0].detail, str_c(word));
}

UNIT(a_channel_that_is_off)
{
	char said[160];
	struct model_channel c = {.name = STR("crm"),
	    .type = MODEL_CHANNEL_WEBHOOK,
	    .target = STR("https://crm.example/"),
	    .events = STR("*"),
	    .created_ms = 1};
	struct model_deliveries d;
	struct model_page all = {.limit = 9};
	int64_t channel, p = fixture_project(db, "shop", e),
			 hook = the_hook(db, p, "[{\"type\":\"forward\",\"channel\":\"crm\"}]", e),
			 event = an_event(db, hook, "d-1", e);
	c.project_id = p;
	CHECK(model_channel_add(db, &c, &channel, e) >= 0);
	CHECK(model_channel_disable(db, channel, STR("the receiver answered 410"), 5, e) == 1);
	CHECK(model_action_open(db, event, push_of, e) == 1 && advance(db, e) == 0);
	STANDS("failed failed");
	CHECK(failed_saying(db, a, event, "'crm' was switched off: the receiver answered 410", e) ==
	      1);
	CHECK(model_delivery_list(db, a, channel, all, &d, e) == 0 && d.n == 0);
	/* a repeat goes on there once the channel does */
	CHECK(model_channel_set_paused(db, channel, false, e) == 1);
	CHECK(an_event(db, hook, "d-1", e) == event);
	CHECK(model_action_open(db, event, push_of, e) == 1 && advance(db, e) == 0);
	STANDS("done served");
	CHECK(model_delivery_list(db, a, channel, all, &d, e) == 0 && d.n == 1);
	return 0;
}
TEST_OF(a_channel_that_is_off)

/* Bodies. */

enum { NO_FILE = 901, IS_NEWER = 902, IS_GONE = 903 };

/* An event whose body is said to be in that segment; a notify waits for it. */
static int64_t told_of(
    struct store_db *db, int64_t hook, const char *key, int64_t segment, struct err *e)
{
	int64_t id = an_event(db, hook, key, e);
	struct store_stmt *q = store_prepare(
	    db, "UPDATE event SET body_segment = $segment, body_at = 8192 WHERE id = $id", e);
	if (!q)
		return -1;
	store_bind_i64(q, "$segment", segment);
	store_bind_i64(q, "$id", id);
	return store_exec(q, e) < 0 || model_action_open(db, id, push_of, e) != 1 ? -1 : id;
}

UNIT(lost_bodies)
{
	int64_t p = fixture_project(db, "shop", e),
		hook = the_hook(db, p, "[{\"type\":\"notify\"}]", e),
		broken = told_of(db, hook, "d-1", NO_FILE, e),
		newer = told_of(db, hook, "d-2", IS_NEWER, e),
		gone = told_of(db, hook, "d-3", IS_GONE, e);
	char said[160];
	CHECK(broken > 0 && newer > 0 && gone > 0);
	int64_t event = told_of(db, hook, "d-4", 0, e);
	CHECK(event > 0 && advance(db, e) == 0);
	STANDS("done served"); /* whatever stood before it */
	CHECK(failed_saying(db, a, broken, "the event's body: could not open", e) == 1);
	CHECK(failed_saying(db, a, newer, "version 2", e) == 1);
	event = newer;
	STANDS("failed failed");
	event = gone; /* as after 90 days: there is nothing to be said of the body */
	STANDS("done served");
	/* without a journal (a store that was moved to another server) */
	struct intake *was = in;
	in = NULL;
	event = told_of(db, hook, "d-5", NO_FILE, e);
	int rc = event > 0 ? advance(db, e) : -1;
	in = was;
	CHECK(rc == 0 && failed_saying(db, a, event, "is not open", e) == 1);
	return 0;
}

/* A segment of a version that is not known. */
static void write_newer(const char *path)
{
	static uint8_t block[8192] = "SLIPJRN1\2";
	uint32_t crc = crc32c(0, (struct str){(char *)block, 32});
	for (size_t copy = 0; copy < 8192; copy += 4096) {
		memcpy(block + copy, block, 32);
		for (unsigned i = 0; i < 4; i++)
			block[copy + 32 + i] = (uint8_t)(crc >> (8 * i));
	}
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	assert_true(fd >= 0 && write(fd, block, sizeof(block)) == (ssize_t)sizeof(block));
	close(fd);
}

static void a_body_that_cannot_be_read_fails_alone(void **state)
{
	char dir[64] = "/tmp/slipway-actions-XXXXXX", path[96];
	struct err e = {0};
	struct store *s = fixture_open();
	(void)state;
	assert_non_null(mkdtemp(dir));
	in = intake_open(&(struct intake_options){.store = s, .journal = dir}, &e);
	if (!in)
		fail_msg("%s", e.msg);
	(void)snprintf(path, sizeof(path), "%s/%08u", dir, NO_FILE);
	assert_int_equal(mkdir(path, 0700), 0);
	(void)snprintf(path, sizeof(path), "%s/%08u", dir, IS_NEWER);
	write_newer(path);
	fixture_run(s, lost_bodies);
	intake_close(in);
	in = NULL;
	store_close(s);
	int tmp = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(fs_remove_tree(tmp, strrchr(dir, '/') + 1, NULL), 0);
	close(tmp);
}

enum { ALERTS = 10, STEP_US = 8000 };

static _Atomic int64_t step_us, stepped_us;

/* Each look at the clock may take some time itself. */
static int64_t mono_in_steps(void)
{
	return io_real.mono_us() + atomic_fetch_add(&stepped_us, step_us);
}

UNIT(much_is_told_in_turns)
{
	bool more = true, told;
	int turns = 0;
	int64_t p = fixture_project(db, "shop", e),
		hook = the_hook(db, p, "[{\"type\":\"notify\"}]", e);
	struct model_event ev = {
	    .hook_id = hook, .kind = STR("alert.firing"), .outcome = MODEL_OUTCOME_WAITING};
	ev.body = STR("{}");
	for (int64_t i = 0, id; i < ALERTS; i++) {
		ev.delivery_key = str_c(arena_printf(a, "d-%d", (int)i));
		CHECK(model_event_add(db, &ev, &id, e) == 1);
		CHECK(model_action_open(db, id, (struct model_action_of){0}, e) == 1);
	}
	struct model_actions l;
	step_us = STEP_US;
	for (size_t left = ALERTS; more; left = l.n) {
		CHECK(turns++ <= ALERTS && advance_unit(NULL, db, 20, &more, &told, e) == 0);
		CHECK(model_action_ready(db, a, ALERTS, &l, e) == 0);
		CHECK(l.n < left || l.n == 0); /* each goes on, however long one takes */
		CHECK(l.n == 0 || more);
	}
	step_us = 0;
	CHECK(l.n == 0 && turns > 2); /* others' units come in between */
	return 0;
}
TEST_OF(much_is_told_in_turns)

/* Many that run. */

/* Copies of the event, of its action that runs, and of its task. */
static int many_more(struct store_db *db, int64_t like, int64_t n, struct err *e)
{
#define EACH "WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < $n)"
	static const char *const copies[] = {EACH
	    " INSERT INTO event(id, hook_id, project_id, delivery_key, received_ms, kind, ref,"
	    " before_commit, after_commit, outcome) SELECT 1000 + i, hook_id, project_id,"
	    " 'copy-' || i, received_ms, kind, ref, before_commit, after_commit, outcome"
	    " FROM c, event WHERE id = $like",
	    EACH
	    " INSERT INTO task(id, project_id, kind, state, ref, head_commit, before_commit,"
	    " from_push, priority, attempts_max, due_ms, created_ms, requested_by, input)"
	    " SELECT 1000 + i, project_id, kind, state, ref, head_commit, before_commit,"
	    " from_push, priority, attempts_max, due_ms, created_ms, requested_by, input"
	    " FROM c, task WHERE id = (SELECT task_id FROM event_action WHERE event_id = $like)",
	    EACH
	    " INSERT INTO event_action(event_id, position, kind, spec, state, task_id, attempt)"
	    " SELECT 1000 + i, position, kind, spec, state, 1000 + i, attempt"
	    " FROM c, event_action WHERE event_id = $like"};
	for (size_t i = 0; i < sizeof(copies) / sizeof(*copies); i++) {
		struct store_stmt *q = store_prepare(db, copies[i], e);
		if (!q)
			return -1;
		store_bind_i64(q, "$n", n);
		store_bind_i64(q, "$like", like);
		if (store_exec(q, e) < 0)
			return -1;
	}
	return 0;
}

/* The shortest of ten rounds. */
static int64_t round_us(struct store_db *db, struct err *e)
{
	bool more, told;
	int64_t best = INT64_MAX;
	for (int i = 0; i < 10; i++) {
		int64_t began = clock_mono_us();
		if (advance_unit(NULL, db, 20, &more, &told, e) != 0)
			return -1;
		int64_t took = clock_mono_us() - began;
		best = took < best ? took : best;
	}
	return best;
}

#define RUNNING "SELECT count(*) FROM event_action WHERE state = 'running'"

UNIT(what_runs_costs_nothing)
{
	bool more = true, told;
	char said[160];
	int64_t p = fixture_project(db, "shop", e),
		hook = the_hook(db, p, "[{\"type\":\"check\"}]", e),
		event = an_event(db, hook, "d-1", e);
	CHECK(model_action_open(db, event, push_of, e) == 1 && advance(db, e) == 0);
	STANDS("running waiting");
	int64_t few_us = round_us(db, e);
	CHECK(many_more(db, event, 20000, e) == 0);
	CHECK(count(db, RUNNING, e) == 20001);
	int64_t many_us = round_us(db, e);
	print_message("a round: %d us; over 20,000 that run: %d us\n", (int)few_us, (int)many_us);
	CHECK(few_us >= 0 && many_us >= 0 && many_us < 5 * few_us + 500);
	/* as an older version left them: a start finds them, and each is ended, though many end */
	CHECK(store_script(
		  db, "UPDATE task SET state = 'done', finished_ms = 9 WHERE id > 1000", e) == 0);
	size_t recovered;
	CHECK(queue_unit_recover(db, a, 7, 20, NULL, 0, &recovered, e) == 0);
	for (int i = 0; more && i < 1000; i++)
		CHECK(advance_unit(NULL, db, 20, &more, &told, e) == 0);
	CHECK(count(db, RUNNING, e) == 1);
	STANDS("running waiting");
	/* what is folded into a task ends with it as well */
	int64_t other = an_event(db, hook, "d-2", e);
	CHECK(model_action_open(db, other, push_of, e) == 1 && advance(db, e) == 0);
	CHECK(count(db, RUNNING, e) == 2 && end_task(db, a, MODEL_TASK_DONE, e) == 0);
	/* however old it is, it stays until that is done */
	int64_t gone;
	CHECK(model_task_prune(db, 1000, 30000, &gone, e) == 0 && gone == 20000);
	CHECK(advance(db, e) == 0 && count(db, RUNNING, e) == 0);
	STANDS("done served");
	return 0;
}
TEST_OF(what_runs_costs_nothing)

int main(void)
{
	struct io io = io_real;
	io.mono_us = mono_in_steps;
	io_set(&io);
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_is_taken),
	    cmocka_unit_test(what_is_too_large),
	    cmocka_unit_test(what_is_left_out),
	    cmocka_unit_test(test_one_after_the_other),
	    cmocka_unit_test(test_what_fails_stops_the_rest),
	    cmocka_unit_test(test_what_fits),
	    cmocka_unit_test(test_what_is_large_is_opened),
	    cmocka_unit_test(test_a_channel_that_is_off),
	    cmocka_unit_test(a_body_that_cannot_be_read_fails_alone),
	    cmocka_unit_test(test_much_is_told_in_turns),
	    cmocka_unit_test(test_what_runs_costs_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
