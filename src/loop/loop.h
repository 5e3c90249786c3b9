/* The loop thread: one libuv loop that owns HTTP, the engine's state and timers, plus a bounded pool
 * for work that blocks (reads of the store, Argon2, large JSON). Nothing else runs on it.
 *
 * Only loop_post and loop_stop may be called from other threads; everything else on the loop thread. */
#pragma once

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

struct loop;
struct loop_timer;
struct uv_loop_s;

typedef void loop_fn(void *ctx);

struct loop *loop_new(unsigned pool_threads); /* 1..64 */
/* After loop_run has returned, no other thread posts any more, and timers and watches were freed. */
void loop_free(struct loop *l);
/* Until loop_stop was called, everything posted and worked is done, and no handle made on loop_uv is
 * left. Timers and watches alone do not keep it running. */
void loop_run(struct loop *l);
void loop_stop(struct loop *l); /* also before loop_run */
struct uv_loop_s *loop_uv(struct loop *l);
bool loop_on_thread(const struct loop *l);

/* Runs fn(ctx) on the loop thread, in the order posted, soon. From any thread. Unbounded by itself:
 * each caller has a bound of its own. */
void loop_post(struct loop *l, loop_fn *fn, void *ctx);

/* Runs work(ctx) on a pool thread, then done(ctx) on the loop thread. -1 with ERR_UNAVAILABLE when
 * 1,024 wait already. done may be NULL. From the loop thread. */
int loop_work(struct loop *l, loop_fn *work, loop_fn *done, void *ctx, struct err *e) WARN_UNUSED;
/* The same for work that only computes and never waits for anything: on a thread of its own, so never behind work that
 * does. */
int loop_compute(struct loop *l, loop_fn *work, loop_fn *done, void *ctx, struct err *e) WARN_UNUSED;

/* A one-shot timer at an absolute monotonic time in ms; fn runs once on the loop thread. */
struct loop_timer *loop_timer_new(struct loop *l, loop_fn *fn, void *ctx);
/* Sets or moves it; a time that is past: in the next turn; DEADLINE_NEVER cancels. Never early. */
void loop_timer_at(struct loop_timer *t, int64_t mono_ms);
void loop_timer_cancel(struct loop_timer *t);
void loop_timer_free(struct loop_timer *t); /* cancels; NULL is fine; also inside its own callback */

/* Calls fn(ctx) in each turn of the loop, after what was ready has been seen to and before it waits again: for what is
 * better done once for many. Does not keep the loop running. */
struct loop_turn;
struct loop_turn *loop_turn_new(struct loop *l, loop_fn *fn, void *ctx);
void loop_turn_free(struct loop_turn *t); /* NULL is fine */

/* Calls fn(ctx) whenever fd is readable (level-triggered), until freed; end of file and
 * errors count as readable. The fd stays the caller's and becomes non-blocking. NULL when it cannot be
 * polled (a regular file) or is watched already. */
struct loop_watch;
struct loop_watch *loop_watch_new(struct loop *l, int fd, loop_fn *fn, void *ctx);
void loop_watch_free(struct loop_watch *w); /* before the fd is closed; NULL is fine; also inside its callback */
