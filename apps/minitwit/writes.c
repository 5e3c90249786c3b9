#include "minitwit/writes.h"

#include "base/mem.h"

#include <pthread.h>
#include <stdlib.h>

struct writes {
	struct loop *loop;
	struct store *store;
	pthread_mutex_t lock;
	struct write *first, **last; /* committed, in that order */
};

struct writes *writes_new(struct loop *l, struct store *s)
{
	struct writes *w = mem_alloc(sizeof(*w));
	w->loop = l;
	w->store = s;
	w->last = &w->first;
	pthread_mutex_init(&w->lock, NULL);
	return w;
}

void writes_free(struct writes *w)
{
	if (!w)
		return;
	pthread_mutex_destroy(&w->lock);
	free(w);
}

static void on_batch(void *ctx)
{
	struct writes *ws = ctx;
	pthread_mutex_lock(&ws->lock);
	struct write *w = ws->first;
	ws->first = NULL;
	ws->last = &ws->first;
	pthread_mutex_unlock(&ws->lock);
	while (w) {
		struct write *next = w->next; /* done ends w's life */
		w->done(w);
		w = next;
	}
}

/* Writer thread. One wake-up for a batch: whoever finds the list empty posts. */
static void on_committed(void *ctx, int rc, const struct err *e)
{
	struct write *w = ctx;
	struct writes *ws = w->owner;
	w->rc = rc;
	if (rc < 0)
		w->err = *e;
	w->next = NULL;
	pthread_mutex_lock(&ws->lock);
	bool first = !ws->first;
	*ws->last = w;
	ws->last = &w->next;
	pthread_mutex_unlock(&ws->lock);
	if (first)
		loop_post(ws->loop, on_batch, ws);
}

static int run_unit(void *ctx, struct store_db *db, struct err *e)
{
	struct write *w = ctx;
	return w->unit(w->ctx, db, e);
}

int writes_submit(struct writes *ws, struct write *w, struct err *e)
{
	w->owner = ws;
	return store_submit(ws->store, run_unit, on_committed, w, e);
}
