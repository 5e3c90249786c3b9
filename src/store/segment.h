/* The journal's files: making, opening, scanning. Not for other rooms. */
#pragma once

#include "base/err.h"
#include "store/journal.h"
#include "store/record.h"

#define SEGMENT_NAME_SIZE 16

void segment_name(uint32_t number, char out[SEGMENT_NAME_SIZE]);
/* The descriptor, without the page cache where the file system lets us; *ret is its first block. -1
 * with e; e->code ERR_NOT_FOUND: there is none of that number. */
int segment_open(int dir, uint32_t number, struct segment_head *ret, struct err *e);
/* Makes it, durable with all its zeros, unless it is there. ERR_NO_SPACE when the disk is full, or would have less than
 * spare_bytes left: then nothing was written. */
int segment_make(
    int dir, uint32_t number, uint64_t size_bytes, uint64_t spare_bytes, struct err *e) WARN_UNUSED;
/* The lowest number there is a segment of; 0: of none, or the folder cannot be listed. */
uint32_t segment_lowest(int dir);
int segment_remove(int dir, uint32_t number, struct err *e) WARN_UNUSED; /* absent is fine */

/* A walk over records in order, by one thread. */
struct walk {
	int dir, fd;		  /* dir is borrowed */
	struct segment_head head; /* of the segment that fd is open on */
	struct journal_place at;  /* where the next record may begin */
	uint64_t sequence;	  /* of the last record */
	struct journal_place
	    end; /* segment 0: walk to the last segment's end, whatever stands there */
	char *window;
	uint64_t window_at, window_bytes;
	bool cut;	 /* the file is shorter than it says */
	bool unreadable; /* looking ended at bad_at */
	uint64_t
	    bad_at; /* a block of this segment that the disk cannot read (EIO); 0: none is known */
	/* What was passed over: bytes that are not zero and no record, or cannot be read. */
	struct journal_place
	    damage; /* the first such place since the last record; segment 0: none */
	uint64_t damage_bytes;
	/* Called when records follow behind a damaged place. */
	void (*on_damage)(void *ctx, struct journal_place p, uint64_t bytes);
	void *ctx;
};
void walk_init(struct walk *w, int dir, struct journal_place from, uint64_t sequence);
void walk_fini(struct walk *w);
int walk_next(struct walk *w, struct journal_record *ret, struct err *e) WARN_UNUSED; /* 1, 0, -1 */
bool walk_at_end(const struct walk *w); /* of what w->end bounds */
void walk_seek(struct walk *w, struct journal_place to, uint64_t sequence);
/* Reads one record whole: its body into the arena. 1; 0 when what is there is no whole record. */
int walk_body(struct walk *w, struct arena *a, struct str *ret, struct err *e) WARN_UNUSED;
