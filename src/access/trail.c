#include "access/trail.h"

#include "access/access.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

#include <stdlib.h>

#define GATHER_MS 1000

struct trail {
	struct store *store;
	struct loop_timer *timer;
	struct buf gathered;
	bool armed;
};

static int record_unit(void *ctx, struct store_db *db, struct err *e)
{
	const struct buf *b = ctx;
	return access_unit_audit(db, NULL, "helper.performed", STR(""), "ok", buf_view(b), e);
}

static void record_done(void *ctx, int rc, const struct err *e)
{
	struct buf *b = ctx;
	if (rc < 0)
		log_event(LOG_ERROR, "access", "operations_lost", F_STR("operations", buf_view(b)),
		    F_ERR(e));
	buf_fini(b);
	free(b);
}

static void write_down(struct trail *t)
{
	struct err e;
	if (t->gathered.n == 0)
		return;
	struct buf *b = mem_alloc(sizeof(*b));
	*b = t->gathered;
	buf_init(&t->gathered, TRAIL_RECORD_BYTES);
	if (store_submit(t->store, record_unit, record_done, b, &e) != 0)
		record_done(b, -1, &e);
}

static void on_timer(void *ctx)
{
	struct trail *t = ctx;
	t->armed = false;
	write_down(t);
}

struct trail *trail_open(struct store *s, struct loop *l)
{
	struct trail *t = mem_alloc(sizeof(*t));
	*t = (struct trail){.store = s};
	buf_init(&t->gathered, TRAIL_RECORD_BYTES);
	t->timer = loop_timer_new(l, on_timer, t);
	return t;
}

void trail_add(struct trail *t, struct str operation)
{
	char shown[TRAIL_RECORD_BYTES / 4];
	size_t n = log_escape(operation, shown, sizeof(shown));
	if (t->gathered.n + n + 2 > TRAIL_RECORD_BYTES)
		write_down(t);
	buf_printf(&t->gathered, "%s%s", t->gathered.n ? "; " : "", shown);
	if (!t->armed)
		loop_timer_at(t->timer, clock_mono_ms() + GATHER_MS);
	t->armed = true;
}

void trail_close(struct trail *t)
{
	if (!t)
		return;
	write_down(t);
	loop_timer_free(t->timer);
	buf_fini(&t->gathered);
	free(t);
}
