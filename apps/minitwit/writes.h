/* Writes on behalf of requests that wait on the loop thread: queued to the store's writer, which
 * commits many at once; then, back on the loop thread in one batch, each is told to memory and
 * board and answered. */
#pragma once

#include "loop/loop.h"
#include "store/store.h"

struct writes;
struct write;
typedef void write_done_fn(struct write *w);

/* Lives as long as the call it belongs to. */
struct write {
	store_unit_fn *unit; /* is given the write's ctx */
	write_done_fn *done; /* loop thread; rc and err are set; 0: durable */
	void *ctx;
	int rc;
	struct err err;
	struct writes *owner;
	struct write *next;
};

struct writes *writes_new(struct loop *l, struct store *s);
void writes_free(struct writes *w); /* once nothing is under way; NULL is fine */
/* Any thread. -1: done is not called. */
int writes_submit(struct writes *ws, struct write *w, struct err *e) WARN_UNUSED;
