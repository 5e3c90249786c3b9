/* One request at a time: a pool thread reads whether it is due, the loop asks, the writer thread
 * keeps what was said. */
#include "github/ranges.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"
#include "github/answer.h"
#include "model/github.h"

#include <stdatomic.h>
#include <stdlib.h>

enum { READ_WAIT_MS = 5000, FIRST_MS = 1000, LOOK_MS = 3600000, ARENA_BYTES = 256 << 10 };

struct ranges {
	struct ranges_options o;
	struct github_list list, given; /* given: by the answer that is being kept */
	struct arena a;			/* of the row */
	struct model_github row;
	struct loop_timer *timer;
	bool busy, again, closing, asking; /* asking: outbound/ has it */
	bool wanted, failed;
	struct err why;
	atomic_uint held;
	atomic_bool kicked;
};

static void look(void *ctx);

static void release(struct ranges *r, unsigned holds)
{
	if (atomic_fetch_sub(&r->held, holds) > holds)
		return;
	arena_fini(&r->a);
	free(r);
}

const struct github_list *ranges_list(const struct ranges *r)
{
	return &r->list;
}

/* --- keeping --- */

static int keep_unit(void *ctx, struct store_db *db, struct err *e)
{
	return model_github_set(db, &((struct ranges *)ctx)->row, e);
}

static void ended(struct ranges *r)
{
	r->busy = false;
	if (r->closing)
		return;
	loop_timer_at(r->timer, clock_mono_ms() + LOOK_MS);
	if (r->again)
		look(r);
}

static void kept_back(void *ctx)
{
	struct ranges *r = ctx;
	ended(r);
	release(r, 1);
}

static void kept(void *ctx, int rc, const struct err *e)
{
	struct ranges *r = ctx;
	if (rc != 0)
		log_event(LOG_WARN, "github", "list_not_kept", F_ERR(e));
	loop_post(r->o.loop, kept_back, r);
}

static void keep(struct ranges *r)
{
	struct err e;
	if (store_submit(r->o.store, keep_unit, kept, r, &e) != 0)
		kept(r, -1, &e);
}

/* --- what GitHub said --- */

/* "public, max-age=60" */
static int64_t max_age_ms(struct str cache_control)
{
	struct str one;
	int64_t s;
	while (str_next(&cache_control, ',', &one)) {
		one = str_trim(one);
		if (str_starts(one, STR("max-age=")) &&
		    num_i64(str_from(one, 8), 0, RANGES_EVERY_MAX_MS / 1000, &s))
			return s * 1000;
	}
	return 0;
}

static void take(struct ranges *r, const struct outbound_answer *a)
{
	struct buf text CLEANUP_BUF;
	buf_init(&text, GITHUB_LIST_MAX * CIDR_TEXT_SIZE);
	github_list_write(&r->given, &text);
	r->list = r->given;
	r->row.ranges = arena_str(&r->a, buf_view(&text));
	r->row.etag = arena_str(&r->a, str_slice(outbound_header(a, "etag"), 0, 200));
}

static int judge(struct ranges *r, const struct outbound_answer *a)
{
	int64_t ignored;
	if (a->outcome == OUTBOUND_ANSWERED && a->status == 304)
		return 0;
	if (github_judge(a, clock_wall_ms(), &ignored, &r->why) != GITHUB_OK ||
	    github_list_read(a->body, &r->given, &r->why) != 0)
		return -1;
	take(r, a);
	return 0;
}

static void on_answer(void *ctx, const struct outbound_answer *a)
{
	struct ranges *r = ctx;
	int64_t now = clock_wall_ms(), age = max_age_ms(outbound_header(a, "cache-control"));
	r->asking = false;
	bool good = judge(r, a) == 0;
	if (good)
		r->row.fetched_ms = now;
	r->row.due_ms = now + (!good			  ? RANGES_AGAIN_MS
				  : age > RANGES_EVERY_MS ? age
							  : RANGES_EVERY_MS);
	r->row.error = good ? STR("") : arena_str(&r->a, str_c(r->why.msg));
	log_event(good ? LOG_INFO : LOG_WARN, "github", "list_asked_for",
	    F_I64("status", a->status), F_I64("ranges", r->list.n), F_STR("error", r->row.error));
	keep(r);
}

static void ask(struct ranges *r)
{
	struct outbound_request q;
	CLEANUP_ARENA struct arena a;
	arena_init(&a, ARENA_BYTES);
	int rc = github_request(&a, str_c(r->o.api), "/meta", STR(""), OUTBOUND_GET, &q, &r->why);
	q.body_max = RANGES_ANSWER_MAX;
	const char *known = r->row.ranges.n && r->row.etag.n
				? arena_printf(&a, "If-None-Match: %.*s", STR_ARG(r->row.etag))
				: NULL;
	if (known)
		q.headers[q.header_count++] = str_c(known);
	r->asking = true;
	if (rc == 0 && outbound_ask(r->o.outbound, &q, on_answer, r, &r->why) == 0)
		return;
	const struct outbound_answer none = {
	    .outcome = OUTBOUND_UNREACHABLE, .text = str_c(r->why.msg)};
	on_answer(r, &none);
}

/* --- a look at whether it is due; on the pool --- */

static int row_read(struct ranges *r, struct store_db *db, struct err *e)
{
	arena_clear(&r->a);
	r->row = (struct model_github){.etag = STR(""), .ranges = STR(""), .error = STR("")};
	int wanted = model_github_wanted(db, e);
	r->wanted = wanted > 0;
	return wanted < 0 || model_github_get(db, &r->a, &r->row, e) < 0 ? -1 : 0;
}

static void look_work(void *ctx)
{
	struct ranges *r = ctx;
	struct err e = {0};
	struct store_db *db = store_read_begin(r->o.store, clock_mono_ms() + READ_WAIT_MS, &e);
	r->failed = !db || row_read(r, db, &e) < 0;
	if (db)
		store_read_end(r->o.store, db);
	if (r->failed)
		log_event(LOG_WARN, "github", "cannot_look", F_ERR(&e));
}

static void look_done(void *ctx)
{
	struct ranges *r = ctx;
	int64_t now = clock_wall_ms();
	if (r->closing) {
		release(r, 1);
		return;
	}
	/* a clock that was set back must not make it wait for its old time */
	bool due = r->row.due_ms <= now || r->row.due_ms > now + RANGES_EVERY_MAX_MS;
	if (!r->failed && r->wanted && due) {
		ask(r);
		return;
	}
	ended(r);
	release(r, 1);
}

static void look(void *ctx)
{
	struct ranges *r = ctx;
	struct err e;
	r->again = r->busy;
	if (r->busy)
		return;
	r->busy = true;
	atomic_fetch_add(&r->held, 1);
	if (loop_work(r->o.loop, look_work, look_done, r, &e) == 0)
		return;
	atomic_fetch_sub(&r->held, 1);
	r->busy = false;
	loop_timer_at(r->timer, clock_mono_ms() + LOOK_MS);
}

static void on_kick(void *ctx)
{
	struct ranges *r = ctx;
	atomic_store(&r->kicked, false);
	if (!r->closing)
		look(r);
	release(r, 1);
}

void ranges_kick(struct ranges *r)
{
	if (!r || atomic_exchange(&r->kicked, true))
		return;
	atomic_fetch_add(&r->held, 1);
	loop_post(r->o.loop, on_kick, r);
}

void ranges_begin(struct ranges *r)
{
	loop_timer_at(r->timer, clock_mono_ms() + FIRST_MS);
}

struct ranges *ranges_open(const struct ranges_options *o, struct err *e)
{
	struct err why;
	struct store_db *db = store_read_begin(o->store, clock_mono_ms() + READ_WAIT_MS, e);
	if (!db)
		return NULL;
	struct ranges *r = mem_alloc(sizeof(*r));
	*r = (struct ranges){.o = *o, .list = github_list_built_in};
	arena_init(&r->a, ARENA_BYTES);
	atomic_store(&r->held, 1);
	r->timer = loop_timer_new(o->loop, look, r);
	int rc = row_read(r, db, e);
	store_read_end(o->store, db);
	if (rc == 0 && r->row.ranges.n && github_list_parse(r->row.ranges, &r->given, &why) == 0)
		r->list = r->given;
	if (rc == 0)
		return r;
	ranges_free(r);
	return NULL;
}

void ranges_free(struct ranges *r)
{
	if (!r)
		return;
	r->closing = true;
	loop_timer_free(r->timer);
	release(r, r->asking ? 2 : 1); /* nobody answers any more */
}
