/* One libuv loop, a queue of posted calls that any thread may add to, and two pools. Lock order: there
 * is none to keep; `post_lock` and a pool's are never held together. */
#include "loop/loop.h"
#include "base/clock.h"
#include "base/mem.h"

#include <assert.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <uv.h>

#define POOL_THREADS_MAX 64
#define WORK_WAITING_MAX 1024u

/* A posted call (work is NULL), or work that becomes one when it was done. */
struct item {
	struct item *next;
	loop_fn *work, *fn;
	void *ctx;
};

struct fifo {
	struct item *first, **end;
	size_t count;
};

struct pool {
	struct loop *loop;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	struct fifo waiting;
	bool ends;
	unsigned count;
	pthread_t threads[POOL_THREADS_MAX];
};

struct loop {
	uv_loop_t uv;
	uv_async_t wake;
	_Atomic pthread_t thread;
	atomic_bool stopping;
	size_t works; /* handed to a pool and not yet done; loop thread only */

	pthread_mutex_t post_lock;
	struct fifo posted;

	struct pool pool, computing;
};

struct loop_timer {
	uv_timer_t uv;
	loop_fn *fn;
	void *ctx;
};

struct loop_watch {
	uv_poll_t uv;
	loop_fn *fn; /* NULL when freed */
	void *ctx;
};

static void on_wake(uv_async_t *wake);
static void *pool_main(void *arg);

static void must(int rc)
{
	if (rc != 0)
		abort();
}

static void fifo_init(struct fifo *f)
{
	*f = (struct fifo){.end = &f->first};
}

static void fifo_add(struct fifo *f, struct item *it)
{
	it->next = NULL;
	*f->end = it;
	f->end = &it->next;
	f->count++;
}

static struct item *fifo_take(struct fifo *f)
{
	struct item *it = f->first;
	if (!it)
		return NULL;
	f->first = it->next;
	f->count--;
	if (!f->first)
		f->end = &f->first;
	return it;
}

static void fifo_drop(struct fifo *f)
{
	for (struct item *it; (it = fifo_take(f)) != NULL;)
		free(it);
}

/* Signals belong to the loop thread: a pool is born with all of them blocked. */
static void pool_start(struct pool *p, struct loop *l, unsigned threads)
{
	sigset_t all, before;
	p->loop = l;
	must(pthread_mutex_init(&p->lock, NULL));
	must(pthread_cond_init(&p->wake, NULL));
	fifo_init(&p->waiting);
	sigfillset(&all);
	must(pthread_sigmask(SIG_SETMASK, &all, &before));
	for (; p->count < threads; p->count++)
		must(pthread_create(&p->threads[p->count], NULL, pool_main, p));
	must(pthread_sigmask(SIG_SETMASK, &before, NULL));
}

static void pool_end(struct pool *p)
{
	pthread_mutex_lock(&p->lock);
	p->ends = true;
	pthread_cond_broadcast(&p->wake);
	pthread_mutex_unlock(&p->lock);
	for (unsigned i = 0; i < p->count; i++)
		must(pthread_join(p->threads[i], NULL));
}

static void pool_fini(struct pool *p)
{
	fifo_drop(&p->waiting);
	pthread_cond_destroy(&p->wake);
	pthread_mutex_destroy(&p->lock);
}

struct loop *loop_new(unsigned pool_threads)
{
	assert(pool_threads >= 1 && pool_threads <= POOL_THREADS_MAX);
	struct loop *l = mem_alloc(sizeof(*l));
	must(uv_loop_init(&l->uv));
	must(uv_async_init(&l->uv, &l->wake, on_wake));
	l->wake.data = l;
	atomic_init(&l->thread, pthread_self());
	atomic_init(&l->stopping, false);
	must(pthread_mutex_init(&l->post_lock, NULL));
	fifo_init(&l->posted);
	pool_start(&l->pool, l, pool_threads);
	pool_start(&l->computing, l, 1);
	return l;
}

static void close_left(uv_handle_t *handle, void *ctx)
{
	(void)ctx;
	if (!uv_is_closing(handle))
		uv_close(handle, NULL);
}

void loop_free(struct loop *l)
{
	if (!l)
		return;
	pool_end(&l->pool);
	pool_end(&l->computing);
	uv_walk(&l->uv, close_left, NULL);
	uv_run(&l->uv, UV_RUN_DEFAULT);
	must(uv_loop_close(&l->uv));
	pool_fini(&l->pool);
	pool_fini(&l->computing);
	fifo_drop(&l->posted);
	pthread_mutex_destroy(&l->post_lock);
	free(l);
}

/* The wake-up handle alone keeps the loop running, until it is to stop and the pool owes nothing.
 */
static void hold(struct loop *l)
{
	uv_handle_t *wake = (uv_handle_t *)&l->wake;
	if (atomic_load(&l->stopping) && l->works == 0)
		uv_unref(wake);
	else
		uv_ref(wake);
}

/* Runs what was posted up to now; what that posts waits for the next turn, so sockets get theirs.
 */
static bool run_posted(struct loop *l)
{
	pthread_mutex_lock(&l->post_lock);
	struct item *it = l->posted.first;
	fifo_init(&l->posted);
	pthread_mutex_unlock(&l->post_lock);
	bool any = it != NULL;
	while (it) {
		struct item *next = it->next;
		if (it->work)
			l->works--;
		if (it->fn)
			it->fn(it->ctx);
		free(it);
		it = next;
	}
	hold(l);
	return any;
}

static void on_wake(uv_async_t *wake)
{
	(void)run_posted(wake->data);
}

void loop_run(struct loop *l)
{
	atomic_store(&l->thread, pthread_self());
	do
		uv_run(&l->uv, UV_RUN_DEFAULT);
	while (run_posted(l) || uv_loop_alive(&l->uv));
}

void loop_stop(struct loop *l)
{
	atomic_store(&l->stopping, true);
	must(uv_async_send(&l->wake));
}

struct uv_loop_s *loop_uv(struct loop *l)
{
	return &l->uv;
}

bool loop_on_thread(const struct loop *l)
{
	return pthread_equal(atomic_load(&l->thread), pthread_self()) != 0;
}

static void post_item(struct loop *l, struct item *it)
{
	pthread_mutex_lock(&l->post_lock);
	bool first = l->posted.count == 0;
	fifo_add(&l->posted, it);
	/* Only the first needs a wake-up; sent under the lock, so that it cannot meet a freed loop.
	 */
	if (first)
		must(uv_async_send(&l->wake));
	pthread_mutex_unlock(&l->post_lock);
}

void loop_post(struct loop *l, loop_fn *fn, void *ctx)
{
	struct item *it = mem_alloc(sizeof(*it));
	it->fn = fn;
	it->ctx = ctx;
	post_item(l, it);
}

static int work_on(struct pool *p, loop_fn *work, loop_fn *done, void *ctx, struct err *e)
{
	assert(work);
	struct item *it = mem_alloc(sizeof(*it));
	*it = (struct item){.work = work, .fn = done, .ctx = ctx};
	pthread_mutex_lock(&p->lock);
	bool room = p->waiting.count < WORK_WAITING_MAX;
	if (room) {
		fifo_add(&p->waiting, it);
		pthread_cond_signal(&p->wake);
	}
	pthread_mutex_unlock(&p->lock);
	if (!room) {
		free(it);
		return err_set(e, ERR_UNAVAILABLE,
		    "could not start: %u pieces of work wait already", WORK_WAITING_MAX);
	}
	p->loop->works++;
	hold(p->loop);
	return 0;
}

int loop_work(struct loop *l, loop_fn *work, loop_fn *done, void *ctx, struct err *e)
{
	return work_on(&l->pool, work, done, ctx, e);
}

int loop_compute(struct loop *l, loop_fn *work, loop_fn *done, void *ctx, struct err *e)
{
	return work_on(&l->computing, work, done, ctx, e);
}

static void *pool_main(void *arg)
{
	struct pool *p = arg;
	pthread_mutex_lock(&p->lock);
	while (!p->ends) {
		struct item *it = fifo_take(&p->waiting);
		if (!it) {
			pthread_cond_wait(&p->wake, &p->lock);
			continue;
		}
		pthread_mutex_unlock(&p->lock);
		it->work(it->ctx);
		post_item(p->loop, it);
		pthread_mutex_lock(&p->lock);
	}
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

struct loop_timer *loop_timer_new(struct loop *l, loop_fn *fn, void *ctx)
{
	struct loop_timer *t = mem_alloc(sizeof(*t));
	t->fn = fn;
	t->ctx = ctx;
	must(uv_timer_init(&l->uv, &t->uv));
	uv_unref((uv_handle_t *)&t->uv);
	t->uv.data = t;
	return t;
}

static void on_timer(uv_timer_t *handle)
{
	struct loop_timer *t = handle->data;
	t->fn(t->ctx);
}

void loop_timer_at(struct loop_timer *t, int64_t mono_ms)
{
	if (mono_ms == DEADLINE_NEVER) {
		loop_timer_cancel(t);
		return;
	}
	int64_t now_ms = clock_mono_ms();
	/* After the clock was read: so it never fires early. */
	uv_update_time(t->uv.loop);
	uint64_t delay_ms = mono_ms > now_ms ? (uint64_t)mono_ms - (uint64_t)now_ms : 0;
	must(uv_timer_start(&t->uv, on_timer, delay_ms, 0));
}

void loop_timer_cancel(struct loop_timer *t)
{
	must(uv_timer_stop(&t->uv));
}

static void on_timer_closed(uv_handle_t *handle)
{
	free(handle->data);
}

void loop_timer_free(struct loop_timer *t)
{
	if (t)
		uv_close((uv_handle_t *)&t->uv, on_timer_closed);
}

struct loop_turn {
	uv_prepare_t uv;
	loop_fn *fn;
	void *ctx;
};

static void on_turn(uv_prepare_t *handle)
{
	struct loop_turn *t = handle->data;
	t->fn(t->ctx);
}

struct loop_turn *loop_turn_new(struct loop *l, loop_fn *fn, void *ctx)
{
	struct loop_turn *t = mem_alloc(sizeof(*t));
	t->fn = fn;
	t->ctx = ctx;
	must(uv_prepare_init(&l->uv, &t->uv));
	must(uv_prepare_start(&t->uv, on_turn));
	uv_unref((uv_handle_t *)&t->uv);
	t->uv.data = t;
	return t;
}

void loop_turn_free(struct loop_turn *t)
{
	if (t)
		uv_close((uv_handle_t *)&t->uv, on_timer_closed);
}

/* libuv stops a watch on POLLERR; level-triggered means that we go on until the owner frees it. */
static void on_readable(uv_poll_t *handle, int status, int events)
{
	struct loop_watch *w = handle->data;
	(void)events;
	w->fn(w->ctx);
	if (status < 0 && w->fn)
		must(uv_poll_start(&w->uv, UV_READABLE, on_readable));
}

struct loop_watch *loop_watch_new(struct loop *l, int fd, loop_fn *fn, void *ctx)
{
	struct loop_watch *w = mem_alloc(sizeof(*w));
	w->fn = fn;
	w->ctx = ctx;
	if (uv_poll_init(&l->uv, &w->uv, fd) != 0) {
		free(w);
		return NULL;
	}
	uv_unref((uv_handle_t *)&w->uv);
	w->uv.data = w;
	must(uv_poll_start(&w->uv, UV_READABLE, on_readable));
	return w;
}

static void on_watch_closed(uv_handle_t *handle)
{
	free(handle->data);
}

void loop_watch_free(struct loop_watch *w)
{
	if (!w)
		return;
	w->fn = NULL;
	uv_close((uv_handle_t *)&w->uv, on_watch_closed);
}
