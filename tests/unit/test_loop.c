/* rooms: base loop */
#include "loop/loop.h"
#include "base/clock.h"

#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>
#include <cmocka.h>

#define THREADS 4
#define POSTS 5000

struct order {
	struct loop *l;
	int next[THREADS];
	int total;
};
struct post {
	struct order *o;
	int thread, number;
};
static struct post posts[THREADS][POSTS];

static void on_post(void *ctx)
{
	struct post *p = ctx;
	assert_true(loop_on_thread(p->o->l));
	assert_int_equal(p->number, p->o->next[p->thread]++);
	if (++p->o->total == THREADS * POSTS)
		loop_stop(p->o->l);
}

static void *poster(void *arg)
{
	struct post *mine = arg;
	assert_false(loop_on_thread(mine->o->l));
	for (int i = 0; i < POSTS; i++)
		loop_post(mine[i].o->l, on_post, &mine[i]);
	return NULL;
}

static void posts_keep_their_order(void **state)
{
	(void)state;
	struct order o = {.l = loop_new(1)};
	pthread_t threads[THREADS];
	for (int t = 0; t < THREADS; t++)
		for (int i = 0; i < POSTS; i++)
			posts[t][i] = (struct post){&o, t, i};
	for (int t = 0; t < THREADS; t++)
		assert_int_equal(pthread_create(&threads[t], NULL, poster, posts[t]), 0);
	loop_run(o.l);
	for (int t = 0; t < THREADS; t++)
		pthread_join(threads[t], NULL);
	assert_int_equal(o.total, THREADS * POSTS);
	loop_free(o.l);
}

struct work {
	struct loop *l;
	atomic_int worked;
	int done;
	pthread_mutex_t gate;
};

static void do_work(void *ctx)
{
	struct work *w = ctx;
	assert_false(loop_on_thread(w->l));
	pthread_mutex_lock(&w->gate);
	pthread_mutex_unlock(&w->gate);
	atomic_fetch_add(&w->worked, 1);
}

static void work_done(void *ctx)
{
	struct work *w = ctx;
	assert_true(loop_on_thread(w->l));
	w->done++;
}

static void pool_is_bounded_and_finished(void **state)
{
	(void)state;
	struct work w = {.l = loop_new(3), .gate = PTHREAD_MUTEX_INITIALIZER};
	struct err e;
	int taken = 0;
	pthread_mutex_lock(&w.gate);
	while (loop_work(w.l, do_work, work_done, &w, &e) == 0)
		taken++;
	/* up to one for each thread may have been fetched meanwhile */
	assert_in_range(taken, 1024, 1027);
	assert_int_equal(e.code, ERR_UNAVAILABLE);
	loop_stop(w.l); /* what was taken is still done */
	pthread_mutex_unlock(&w.gate);
	loop_run(w.l);
	assert_int_equal(atomic_load(&w.worked), taken);
	assert_int_equal(w.done, taken);
	loop_free(w.l);
}

static void stop_by(void *ctx)
{
	struct work *w = ctx;
	work_done(w);
	pthread_mutex_unlock(&w->gate);
	loop_stop(w->l);
}

static void no_work(void *ctx)
{
	assert_false(loop_on_thread(((struct work *)ctx)->l));
}

/* What computes only is done although all that waits has taken the pool. */
static void computing_waits_for_nobody(void **state)
{
	(void)state;
	struct work w = {.l = loop_new(2), .gate = PTHREAD_MUTEX_INITIALIZER};
	struct err e;
	pthread_mutex_lock(&w.gate);
	for (int i = 0; i < 8; i++)
		assert_int_equal(loop_work(w.l, do_work, work_done, &w, &e), 0);
	assert_int_equal(loop_compute(w.l, no_work, stop_by, &w, &e), 0);
	loop_run(w.l);
	assert_int_equal(w.done, 9);
	loop_free(w.l);
}

struct ticks {
	struct loop *l;
	struct loop_timer *a, *b, *c;
	int64_t due_ms;
	int a_fired, b_fired, c_fired;
};

static void on_a(void *ctx)
{
	struct ticks *t = ctx;
	assert_true(clock_mono_ms() >= t->due_ms);
	if (++t->a_fired == 1) {
		t->due_ms = clock_mono_ms() + 5;
		loop_timer_at(t->a, t->due_ms);
		loop_timer_cancel(t->b);
		return;
	}
	loop_timer_free(t->a);
	loop_timer_free(t->b);
	loop_stop(t->l);
}

static void on_b(void *ctx)
{
	((struct ticks *)ctx)->b_fired++;
}

static void on_c(void *ctx)
{
	((struct ticks *)ctx)->c_fired++;
}

static void timers_fire_once_and_never_early(void **state)
{
	(void)state;
	struct ticks t = {.l = loop_new(1)};
	t.a = loop_timer_new(t.l, on_a, &t);
	t.b = loop_timer_new(t.l, on_b, &t);
	t.c = loop_timer_new(t.l, on_c, &t);
	int64_t now = clock_mono_ms();
	t.due_ms = now + 20;
	loop_timer_at(t.a, now + 5000);
	loop_timer_at(t.a, t.due_ms); /* moved */
	loop_timer_at(t.b, now + 22);
	loop_timer_at(t.c, now - 1000);
	loop_timer_free(NULL);
	struct loop_timer *never = loop_timer_new(t.l, on_c, &t);
	loop_timer_at(never, DEADLINE_NEVER);
	loop_run(t.l);
	assert_int_equal(t.a_fired, 2);
	assert_in_range(t.b_fired, 0, 1); /* a and b may have been late together */
	assert_int_equal(t.c_fired, 1);
	loop_timer_free(t.c);
	loop_timer_free(never);
	loop_free(t.l);
}

struct ear {
	struct loop *l;
	struct loop_watch *w;
	int fd, heard;
};

static void on_ear(void *ctx)
{
	struct ear *ear = ctx;
	char c;
	ear->heard++;
	if (ear->heard == 1)
		return; /* level-triggered: called again for the same byte */
	if (read(ear->fd, &c, 1) == 1)
		return;
	loop_watch_free(ear->w); /* end of file */
	loop_stop(ear->l);
}

static void watches_see_bytes_and_the_end(void **state)
{
	(void)state;
	int ends[2];
	struct ear ear = {.l = loop_new(1)};
	assert_int_equal(pipe(ends), 0);
	ear.fd = ends[0];
	ear.w = loop_watch_new(ear.l, ends[0], on_ear, &ear);
	assert_non_null(ear.w);
	assert_int_equal(write(ends[1], "ab", 2), 2);
	close(ends[1]);
	loop_run(ear.l);
	assert_int_equal(ear.heard, 4);
	loop_watch_free(NULL);
	int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	assert_null(loop_watch_new(ear.l, file, on_ear, &ear));
	close(file);
	loop_free(ear.l);
	close(ends[0]);
}

/* The writing end of a pipe without reader is in error: libuv would stop watching it by itself. */
static void on_error(void *ctx)
{
	struct ear *ear = ctx;
	if (++ear->heard < 3)
		return;
	loop_watch_free(ear->w);
	loop_stop(ear->l);
}

static void watches_go_on_after_an_error(void **state)
{
	(void)state;
	int ends[2];
	struct ear ear = {.l = loop_new(1)};
	assert_int_equal(pipe(ends), 0);
	close(ends[0]);
	ear.w = loop_watch_new(ear.l, ends[1], on_error, &ear);
	loop_run(ear.l);
	assert_int_equal(ear.heard, 3);
	loop_free(ear.l);
	close(ends[1]);
}

static void count(void *ctx)
{
	++*(int *)ctx;
}

static void stop_before_run_still_runs_what_was_posted(void **state)
{
	(void)state;
	int n = 0;
	struct loop *l = loop_new(64);
	assert_non_null(loop_uv(l));
	assert_true(loop_on_thread(l));
	loop_stop(l);
	loop_post(l, count, &n);
	loop_run(l);
	assert_int_equal(n, 1);
	loop_post(l, count, &n); /* too late: dropped, not leaked */
	loop_free(l);
	assert_int_equal(n, 1);
	loop_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(posts_keep_their_order),
	    cmocka_unit_test(pool_is_bounded_and_finished),
	    cmocka_unit_test(computing_waits_for_nobody),
	    cmocka_unit_test(timers_fire_once_and_never_early),
	    cmocka_unit_test(watches_see_bytes_and_the_end),
	    cmocka_unit_test(watches_go_on_after_an_error),
	    cmocka_unit_test(stop_before_run_still_runs_what_was_posted),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
