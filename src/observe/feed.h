/* What is happening now, for whoever watches: a fan-out of small messages by topic, on the loop
 * thread. Topics: "task/12" (step changes, output lines), "logs/shop" (a project's output). A ring
 * of the last 256 messages per topic serves Last-Event-ID; topics without watchers or news for 10
 * minutes, or for 5 s after an "end", are dropped. */
#pragma once

#include "base/err.h"
#include "base/str.h"
#include "loop/loop.h"

#include <stdint.h>

struct feed;
struct feed_watch;

struct feed *feed_new(struct loop *l);
void feed_free(struct feed *f);
/* From any thread. `event` names the kind ("step", "line", "end"); data is one line of JSON. Both
 * copied. */
void feed_publish(struct feed *f, struct str topic, struct str event, struct str data);
/* Loop thread. What the topic's ring holds goes, so that no later watch hears of it; ids go on. */
void feed_forget(struct feed *f, struct str topic);
/* Loop thread. Messages with an id above `after` that the ring still has come first, then news as
 * it happens. */
/* The watch may be freed inside fn, but only after feed_watch_new has returned it. */
typedef void feed_fn(void *ctx, uint64_t id, struct str event, struct str data);
struct feed_watch *feed_watch_new(
    struct feed *f, struct str topic, uint64_t after, feed_fn *fn, void *ctx);
void feed_watch_free(struct feed_watch *w); /* also inside fn */
