#include "deploy/tidy.h"

#include "backup/shelf.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "deploy/uploads.h"
#include "store/reserve.h"

struct tidy {
	struct tidy_options o;
	struct loop_timer *timer;
	bool under_way, closing;
	size_t removed, uploads;
	int rc, uploads_rc;
	struct err e, uploads_e;
};

static void look(void *ctx)
{
	struct tidy *t = ctx;
	t->rc = shelf_tidy(t->o.backups_dir, clock_wall_ms(), false, &t->removed, &t->e);
	size_t left;
	t->uploads_rc = uploads_tidy(
	    t->o.spool_dir, clock_wall_ms(), false, 0, &t->uploads, &left, &t->uploads_e);
	(void)reserve_make(t->o.reserve); /* after what makes room */
}

static void looked(void *ctx)
{
	struct tidy *t = ctx;
	t->under_way = false;
	if (t->rc != 0)
		log_event(LOG_WARN, "deploy", "tidy_failed", F_ERR(&t->e));
	else if (t->removed > 0)
		log_event(
		    LOG_INFO, "deploy", "backups_removed", F_I64("count", (int64_t)t->removed));
	if (t->uploads_rc != 0)
		log_event(LOG_WARN, "deploy", "tidy_failed", F_ERR(&t->uploads_e));
	else if (t->uploads > 0)
		log_event(
		    LOG_INFO, "deploy", "uploads_removed", F_I64("count", (int64_t)t->uploads));
	if (t->closing)
		mem_free_ptr(&t);
	else
		loop_timer_at(t->timer, clock_mono_ms() + TIDY_EVERY_MS);
}

static void due(void *ctx)
{
	struct tidy *t = ctx;
	t->under_way = loop_work(t->o.loop, look, looked, t, &t->e) == 0;
	if (!t->under_way)
		loop_timer_at(t->timer, clock_mono_ms() + TIDY_EVERY_MS);
}

struct tidy *tidy_open(const struct tidy_options *o)
{
	struct tidy *t = mem_alloc(sizeof(*t));
	*t = (struct tidy){.o = *o};
	t->timer = loop_timer_new(o->loop, due, t);
	loop_timer_at(t->timer, clock_mono_ms());
	return t;
}

void tidy_close(struct tidy *t)
{
	if (!t)
		return;
	loop_timer_free(t->timer);
	t->closing = true;
	if (!t->under_way)
		mem_free_ptr(&t);
}
