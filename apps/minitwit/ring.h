/* The newest messages of everybody, each already as JSON, newest first: what GET /msgs answers
 * from. Own commits are put in one by one; what other threads and processes committed is read from
 * the store when the board's number says so. Loop thread only. */
#pragma once

#include "minitwit/board.h"
#include "minitwit/timeline.h"

#define RING_SIZE 128

struct ring;
struct ring *ring_new(struct board *b);
void ring_free(struct ring *r); /* NULL is fine */

/* What has to be read before the ring may be asked: 1 rows beyond id `ret_after` (0: all), under
 * the stamp; 0 nothing. */
struct ring_stamp {
	uint64_t epoch, public_count;
};
int ring_stale(const struct ring *r, struct ring_stamp *ret_stamp, int64_t *ret_after);
/* The newest RING_SIZE visible rows beyond `after`, the highest id first, read after the stamp was
 * taken. */
void ring_fill(struct ring *r, struct ring_stamp stamp, int64_t after,
    const struct timeline_row *rows, size_t count);
/* A message of our own that has been committed: tells the board, too. `json` is the row's. */
void ring_add(struct ring *r, const struct timeline_row *row, struct str json);
/* The newest `count` as a JSON array, at most RING_SIZE; STR_NONE when the ring does not go back
 * that far. Valid until the next call. */
struct str ring_json(struct ring *r, size_t count);
