/* One run for each hook whose deliveries are looked at: find the hook, list, claim, ask, note. Pool
 * threads read what is due (that needs the sealing key), the loop asks, the writer thread notes. */
#include "github/catchup.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "github/answer.h"
#include "model/audit.h"
#include "model/catchup.h"
#include "model/place.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	READ_WAIT_MS = 5000,
	AGAIN_MS = 5000, /* after a look that failed */
	FAR_MS = 3600000,
	FIRST_WAIT_MS = 30000, /* before the second try; then twice as long each time */
	BETWEEN_MS = 1000,     /* https://docs.github.com/rest: one change a second */
	ARENA_BYTES = 2 << 20,
	PATH_SIZE = 512,
	TRUSTED_TRIES = 3,
};

/* Where a run is; what has ended says how it goes on. */
enum phase { PHASE_FIND, PHASE_LIST, PHASE_CLAIM, PHASE_ASK, PHASE_END, PHASE_COUNT };

struct run {
	struct catchup *c;
	struct run *next;
	struct arena a, page; /* page: of one request */
	struct model_catchup row;
	struct str token, cursor;
	struct loop_timer *pace;
	enum phase phase;
	bool storing;  /* the writer thread has it; else the loop or outbound/ */
	bool unstored; /* … and could not do it */
	int64_t begun_ms, from_ms;
	unsigned pages, asked;
	struct github_delivery
	    found[CATCHUP_FOUND_MAX]; /* the newest first; later, those claimed */
	size_t count, left;	      /* left: not asked for yet, from the front */
	bool more;		      /* there were more than that */
	bool searched;		      /* for the hook, by its address */
	unsigned failed;	      /* asked for, and refused */
	enum github_verdict verdict;
	int64_t wait_ms;
	struct err why;
	char said[sizeof(((struct err *)0)->msg) + sizeof(((struct err *)0)->hint) + 2];
};

struct look {
	struct catchup *c;
	struct run *found;
	int64_t busy[CATCHUP_AT_ONCE]; /* hooks that are looked at */
	size_t busy_count;
	int64_t next_ms;
	bool failed;
};

struct catchup {
	struct catchup_options o;
	struct loop_timer *timer;
	struct run *runs;
	size_t count;
	bool looking, again, closing;
	atomic_uint held; /* whoever may still call back, and the owner */
	atomic_bool kicked;
};

static void look_start(struct catchup *c);
static void ask(struct run *r);
static void end(struct run *r);

static void release(struct catchup *c)
{
	if (atomic_fetch_sub(&c->held, 1) == 1)
		free(c);
}

static void run_free(struct run *r)
{
	loop_timer_free(r->pace);
	arena_wipe(&r->a); /* it holds the token */
	arena_wipe(&r->page);
	free(r);
}

static void run_leave(struct run *r)
{
	struct catchup *c = r->c;
	for (struct run **at = &c->runs; *at; at = &(*at)->next)
		if (*at == r) {
			*at = r->next;
			c->count--;
			break;
		}
	run_free(r);
}

/* --- asking --- */

static void on_answer(void *ctx, const struct outbound_answer *a);

static void send_request(struct run *r, const char *path, enum outbound_method method)
{
	struct outbound_request q;
	if (github_request(&r->page, r->row.api, path, r->token, method, &q, &r->why) != 0) {
		r->verdict = GITHUB_NEVER;
		end(r);
	} else if (outbound_ask(r->c->o.outbound, &q, on_answer, r, &r->why) != 0) {
		r->verdict = GITHUB_LATER;
		end(r);
	}
}

static void list_page(struct run *r)
{
	char path[PATH_SIZE];
	(void)snprintf(path, sizeof(path),
	    "/repos/%.*s/hooks/%" PRId64 "/deliveries?per_page=%u&status=failure%s%.*s",
	    STR_ARG(r->row.repository), r->row.remote_id, GITHUB_PAGE,
	    r->cursor.n ? "&cursor=" : "", STR_ARG(r->cursor));
	r->phase = PHASE_LIST;
	send_request(r, path, OUTBOUND_GET);
}

static void find_hook(struct run *r)
{
	char path[PATH_SIZE];
	(void)snprintf(path, sizeof(path), "/repos/%.*s/hooks?per_page=%u",
	    STR_ARG(r->row.repository), GITHUB_PAGE);
	r->phase = PHASE_FIND;
	r->searched = true;
	send_request(r, path, OUTBOUND_GET);
}

/* No hook has this number any more; it may have been made again, at the same address. */
static void find_again(struct run *r)
{
	r->cursor = STR("");
	r->count = 0;
	r->pages = 0;
	r->more = false;
	find_hook(r);
}

/* The oldest of what is left. */
static void ask(struct run *r)
{
	char path[PATH_SIZE];
	if (r->left == 0) {
		end(r);
		return;
	}
	(void)snprintf(path, sizeof(path),
	    "/repos/%.*s/hooks/%" PRId64 "/deliveries/%" PRId64 "/attempts",
	    STR_ARG(r->row.repository), r->row.remote_id, r->found[r->left - 1].id);
	r->phase = PHASE_ASK;
	send_request(r, path, OUTBOUND_POST);
}

static void on_pace(void *ctx)
{
	ask(ctx);
}

/* --- what was claimed, and how it ended; on the writer thread --- */

static int claim_unit(void *ctx, struct store_db *db, struct err *e)
{
	struct run *r = ctx;
	size_t kept = 0;
	int64_t now = clock_wall_ms();
	for (size_t i = 0; i < r->count; i++) {
		int rc = model_catchup_claim(db, &r->row, r->found[i].guid, now, e);
		if (rc < 0)
			return -1;
		if (rc > 0)
			r->found[kept++] = r->found[i];
	}
	r->count = r->left = kept;
	return 0;
}

static int note_audit(const struct run *r, struct store_db *db, struct err *e)
{
	char detail[sizeof(r->said) + 64];
	if (r->row.found == 0 && r->verdict == GITHUB_OK)
		return 0;
	(void)snprintf(detail, sizeof(detail), "%" PRId64 " of %" PRId64 " asked for again%s%s",
	    r->row.asked, r->row.found, r->said[0] ? "; " : "", r->said);
	const struct model_audit row = {.at_ms = r->row.ended_ms,
	    .project_id = r->row.project_id,
	    .operator_name = STR("schedule"),
	    .action = STR("hook.catch_up"),
	    .target = r->row.hook,
	    .outcome = r->verdict == GITHUB_OK ? STR("ok") : STR("failed"),
	    .detail = str_c(detail)};
	return model_audit_append(db, &row, e);
}

static int end_unit(void *ctx, struct store_db *db, struct err *e)
{
	struct run *r = ctx;
	for (size_t i = 0; i < r->left; i++)
		if (model_catchup_unclaim(db, &r->row, r->found[i].guid, e) < 0)
			return -1;
	int rc = model_catchup_ended(db, &r->row, r->begun_ms - 2 * CATCHUP_KEPT_MS, e);
	/* what is tried again is no news yet */
	return rc < 0 ? -1 : rc > 0 && r->row.due_ms == 0 ? note_audit(r, db, e) : 0;
}

static void on_stored_back(void *ctx)
{
	struct run *r = ctx;
	struct catchup *c = r->c;
	r->storing = false;
	if (c->closing) {
		run_free(r);
	} else if (r->phase == PHASE_CLAIM && r->verdict == GITHUB_OK) {
		r->row.found += (int64_t)r->count;
		ask(r);
	} else if (r->phase == PHASE_CLAIM) {
		r->left = 0;
		end(r);
	} else {
		bool unstored = r->unstored;
		run_leave(r);
		if (unstored)
			loop_timer_at(c->timer, clock_mono_ms() + AGAIN_MS);
		else
			look_start(c);
	}
	release(c);
}

static void on_stored(void *ctx, int rc, const struct err *e)
{
	struct run *r = ctx;
	r->unstored = rc != 0;
	if (rc != 0) {
		log_event(LOG_ERROR, "github", "not_noted", F_STR("hook", r->row.hook), F_ERR(e));
		r->verdict = GITHUB_LATER;
		r->why = *e;
	}
	loop_post(r->c->o.loop, on_stored_back, r);
}

static void store(struct run *r, enum phase phase, store_unit_fn *unit)
{
	struct err e;
	r->phase = phase;
	r->storing = true;
	atomic_fetch_add(&r->c->held, 1);
	if (store_submit(r->c->o.store, unit, on_stored, r, &e) != 0)
		on_stored(r, -1, &e);
}

/* When it is tried again; 0: not by itself. */
static int64_t next_try_ms(const struct run *r, int64_t now_ms)
{
	if (r->verdict != GITHUB_LATER || r->row.tries >= CATCHUP_TRIES_MAX)
		return 0;
	int64_t own = (int64_t)FIRST_WAIT_MS << (r->row.tries > 0 ? r->row.tries - 1 : 0);
	own = own > FAR_MS ? FAR_MS : own;
	/* what it asks for is believed, but not for ever */
	bool believed = r->wait_ms > own || (r->wait_ms > 0 && r->row.tries < TRUSTED_TRIES);
	return now_ms + (believed ? r->wait_ms : own);
}

static void say(struct run *r)
{
	r->said[0] = '\0';
	if (r->verdict != GITHUB_OK)
		(void)snprintf(r->said, sizeof(r->said), "%s%s%s", r->why.msg,
		    r->why.hint[0] ? "; " : "", r->why.hint);
	else if (r->failed)
		(void)snprintf(
		    r->said, sizeof(r->said), "%u were not sent again: %s", r->failed, r->why.msg);
	else if (r->more)
		(void)snprintf(r->said, sizeof(r->said),
		    "more than %u deliveries failed: only the newest were asked for again",
		    CATCHUP_FOUND_MAX);
}

/* Whatever happened: it is noted, and the hook is looked at again when that is due. */
static void end(struct run *r)
{
	int64_t now = clock_wall_ms();
	r->row.found -= (int64_t)r->left;
	/* who gets on has not failed */
	r->row.tries = r->verdict == GITHUB_OK || r->asked > 0 ? 0 : r->row.tries + 1;
	r->row.due_ms = next_try_ms(r, now);
	if (r->verdict == GITHUB_OK)
		r->row.since_ms = r->begun_ms - CATCHUP_MARGIN_MS;
	r->row.ended_ms = now;
	say(r);
	r->row.error = str_c(r->said);
	log_event(r->verdict == GITHUB_OK ? LOG_INFO : LOG_WARN, "github", "caught_up",
	    F_STR("hook", r->row.hook), F_I64("found", r->row.found), F_I64("asked", r->row.asked),
	    F_I64("again_in_ms", r->row.due_ms ? r->row.due_ms - now : 0), F_C("error", r->said));
	store(r, PHASE_END, end_unit);
}

/* --- what GitHub said --- */

static void fail(struct run *r, enum github_verdict verdict)
{
	r->verdict = verdict;
	end(r);
}

static void hook_found(struct run *r, const struct outbound_answer *a)
{
	char url[512];
	(void)snprintf(url, sizeof(url), "%s/hooks/%.*s", r->c->o.public_url, STR_ARG(r->row.hook));
	int64_t gone = r->row.remote_id; /* 0: none was known */
	int found = github_hook_find(a->body, str_c(url), &r->row.remote_id, &r->why);
	if (found == 0) {
		(void)err_set(&r->why, ERR_NOT_FOUND, "no hook of %.*s sends to %s",
		    STR_ARG(r->row.repository), url);
		err_hint(&r->why, "enter the address there, or say the number of another hook with "
				  "--github-hook");
	}
	if (found <= 0 || r->row.remote_id == gone) /* then `why` is still that of the list */
		fail(r, GITHUB_NEVER);
	else
		list_page(r);
}

/* False when the list goes no further: what is older is of no interest. */
static bool take(struct run *r, const struct github_deliveries *list)
{
	for (size_t i = 0; i < list->n; i++) {
		const struct github_delivery *d = &list->v[i];
		if (d->at_ms < r->from_ms)
			return false;
		if (!github_delivery_missed(d, r->row.refused))
			continue;
		r->more = r->count == CATCHUP_FOUND_MAX;
		if (r->more)
			return false;
		r->found[r->count] = *d;
		r->found[r->count++].guid = arena_str(&r->a, d->guid);
	}
	return true;
}

static void page_read(struct run *r, const struct outbound_answer *a)
{
	struct github_deliveries list;
	if (github_deliveries_read(a->body, &r->page, &list, &r->why) != 0) {
		fail(r, GITHUB_LATER);
		return;
	}
	r->cursor = arena_str(&r->a, github_next_cursor(a->link));
	bool further = take(r, &list) && list.n > 0 && r->cursor.n;
	r->more |= further && ++r->pages >= CATCHUP_PAGES_MAX;
	if (further && !r->more)
		list_page(r);
	else
		store(r, PHASE_CLAIM, claim_unit);
}

/* One delivery's answer: what is too old or gone is no reason to leave the others. */
static void asked(struct run *r, const struct outbound_answer *a)
{
	bool ours = a->outcome == OUTBOUND_ANSWERED &&
		    (a->status == 400 || a->status == 404 || a->status == 422);
	if (r->verdict != GITHUB_OK && !ours) {
		end(r);
		return;
	}
	if (r->verdict != GITHUB_OK)
		r->failed++;
	else
		r->row.asked++;
	r->verdict = GITHUB_OK;
	r->wait_ms = r->left > 1 ? github_pause_ms(a, clock_wall_ms()) : 0;
	r->left--;
	if (r->wait_ms) {
		(void)err_set(
		    &r->why, ERR_RATE, "GitHub takes no more requests of this token for now");
		fail(r, GITHUB_LATER);
	} else if (++r->asked < CATCHUP_QUICK) {
		ask(r);
	} else {
		loop_timer_at(r->pace, clock_mono_ms() + BETWEEN_MS);
	}
}

static bool is_gone(const struct outbound_answer *a)
{
	return a->outcome == OUTBOUND_ANSWERED && a->status == 404;
}

static void on_answer(void *ctx, const struct outbound_answer *a)
{
	struct run *r = ctx;
	arena_clear(&r->page);
	r->verdict = github_judge(a, clock_wall_ms(), &r->wait_ms, &r->why);
	if (r->phase == PHASE_ASK)
		asked(r, a);
	else if (r->phase == PHASE_LIST && is_gone(a) && !r->searched)
		find_again(r);
	else if (r->verdict != GITHUB_OK)
		end(r);
	else if (r->phase == PHASE_FIND)
		hook_found(r, a);
	else
		page_read(r, a);
}

/* --- a look at what is due; on the pool --- */

static bool is_busy(const struct look *k, int64_t hook_id)
{
	for (size_t i = 0; i < k->busy_count; i++)
		if (k->busy[i] == hook_id)
			return true;
	return false;
}

static void take_row(struct look *k, const struct model_catchup *row)
{
	char place[MODEL_PLACE_SIZE];
	struct buf token CLEANUP_BUF;
	buf_init(&token, 4096);
	struct run *r = mem_alloc(sizeof(*r));
	*r = (struct run){.c = k->c, .next = k->found, .row = *row, .begun_ms = clock_wall_ms()};
	arena_init(&r->a, ARENA_BYTES);
	arena_init(&r->page, ARENA_BYTES);
	r->row.hook = arena_str(&r->a, row->hook);
	r->row.api = arena_str(&r->a, row->api);
	r->row.repository = arena_str(&r->a, row->repository);
	r->row.error = STR("");
	r->row.token = STR_NONE;
	r->from_ms = r->begun_ms - CATCHUP_KEPT_MS;
	/* a later one is of a clock that was ahead */
	if (row->since_ms > r->from_ms && row->since_ms <= r->begun_ms)
		r->from_ms = row->since_ms;
	if (seal_open(k->c->o.seal, model_place_hook_token(row->hook, place), row->token, &token,
		&r->why) != 0)
		r->verdict = GITHUB_NEVER;
	else
		r->token = arena_str(&r->a, buf_view(&token));
	buf_wipe(&token);
	k->found = r;
}

static int look_read(struct look *k, struct store_db *db, struct arena *a, struct err *e)
{
	struct model_catchups due;
	if (model_catchup_due(db, a, clock_wall_ms(), 2 * CATCHUP_AT_ONCE, &due, &k->next_ms, e) <
	    0)
		return -1;
	size_t room = CATCHUP_AT_ONCE - k->busy_count;
	for (size_t i = 0; i < due.n && room > 0; i++) {
		if (is_busy(k, due.v[i].hook_id))
			continue;
		take_row(k, &due.v[i]);
		room--;
	}
	return 0;
}

static void look_work(void *ctx)
{
	struct look *k = ctx;
	struct err e = {0};
	CLEANUP_ARENA struct arena a;
	arena_init(&a, ARENA_BYTES);
	struct store_db *db = store_read_begin(k->c->o.store, clock_mono_ms() + READ_WAIT_MS, &e);
	k->failed = !db || look_read(k, db, &a, &e) < 0;
	if (db)
		store_read_end(k->c->o.store, db);
	if (k->failed)
		log_event(LOG_WARN, "github", "cannot_look", F_ERR(&e));
}

static void run_begin(struct catchup *c, struct run *r)
{
	r->next = c->runs;
	c->runs = r;
	c->count++;
	r->pace = loop_timer_new(c->o.loop, on_pace, r);
	if (r->verdict != GITHUB_OK)
		end(r);
	else if (r->row.remote_id)
		list_page(r);
	else
		find_hook(r);
}

static void look_done(void *ctx)
{
	struct look *k = ctx;
	struct catchup *c = k->c;
	c->looking = false;
	while (k->found) {
		struct run *r = k->found;
		k->found = r->next;
		if (c->closing)
			run_free(r);
		else
			run_begin(c, r);
	}
	if (!c->closing) {
		int64_t wait = k->failed    ? AGAIN_MS
			       : k->next_ms ? k->next_ms - clock_wall_ms()
					    : FAR_MS;
		loop_timer_at(c->timer, clock_mono_ms() + (wait < 0	      ? 0
							      : wait > FAR_MS ? FAR_MS
									      : wait));
		if (c->again)
			look_start(c);
	}
	free(k);
	release(c);
}

static void look_start(struct catchup *c)
{
	struct err e;
	c->again = c->looking;
	if (c->looking || c->count >= CATCHUP_AT_ONCE)
		return;
	struct look *k = mem_alloc(sizeof(*k));
	*k = (struct look){.c = c};
	for (const struct run *r = c->runs; r; r = r->next)
		k->busy[k->busy_count++] = r->row.hook_id;
	c->looking = true;
	atomic_fetch_add(&c->held, 1);
	if (loop_work(c->o.loop, look_work, look_done, k, &e) == 0)
		return;
	c->looking = false;
	atomic_fetch_sub(&c->held, 1);
	free(k);
	loop_timer_at(c->timer, clock_mono_ms() + AGAIN_MS);
}

static void on_timer(void *ctx)
{
	look_start(ctx);
}

static void on_kick(void *ctx)
{
	struct catchup *c = ctx;
	atomic_store(&c->kicked, false);
	if (!c->closing)
		look_start(c);
	release(c);
}

void catchup_kick(struct catchup *c)
{
	if (!c || atomic_exchange(&c->kicked, true))
		return;
	atomic_fetch_add(&c->held, 1);
	loop_post(c->o.loop, on_kick, c);
}

static int begin_unit(void *ctx, struct store_db *db, struct err *e)
{
	(void)ctx;
	return model_catchup_begin_all(db, clock_wall_ms(), CATCHUP_PAUSE_MS, e);
}

static void begun(void *ctx, int rc, const struct err *e)
{
	struct catchup *c = ctx;
	if (rc != 0)
		log_event(LOG_WARN, "github", "gap_not_noted", F_ERR(e));
	catchup_kick(c);
	release(c);
}

void catchup_begin(struct catchup *c)
{
	struct err e;
	atomic_fetch_add(&c->held, 1);
	if (store_submit(c->o.store, begin_unit, begun, c, &e) != 0)
		begun(c, -1, &e);
}

struct catchup *catchup_new(const struct catchup_options *o)
{
	struct catchup *c = mem_alloc(sizeof(*c));
	*c = (struct catchup){.o = *o};
	atomic_store(&c->held, 1);
	c->timer = loop_timer_new(o->loop, on_timer, c);
	return c;
}

void catchup_free(struct catchup *c)
{
	if (!c)
		return;
	c->closing = true;
	loop_timer_free(c->timer);
	while (c->runs) {
		struct run *r = c->runs;
		c->runs = r->next;
		if (!r->storing)
			run_free(r);
	}
	release(c);
}
