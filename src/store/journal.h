/* The journal: what must be durable before somebody is answered, in front of the store.
 *
 * Entries of many callers are written behind each other into a preallocated segment and share one
 * fdatasync(2); only then each is answered. Somebody else reads them again in order and puts them
 * into the store (*draining*), in one transaction with the mark that says how far that went; so
 * each is applied exactly once. The format is store/record.h's. Bodies stay in the segments until
 * journal_forget.
 *
 * A key names an entry. One whose key waits to be drained, or is known to the store
 * (journal_options.known), is a repeat: nothing is written, and it is answered with the first one's
 * id once that is durable.
 *
 * Threads: the journal's own writes and answers; its maker prepares the next segment and removes
 * old ones. journal_append from any thread; a reader by one at a time; the rest as said. Where
 * entries come one at a time, waking the journal's thread and being woken by it costs as much as a
 * sync: journal_go_here writes such a one on the caller's thread. Only one thread writes at a time,
 * so order and failures are the same.
 *
 * Failure. A failing write or fdatasync ends the process with 75: nothing of that group was
 * acknowledged, and what an fdatasync could not do is not asked of it twice. A full disk is an
 * error of the entries at hand, which is got over; their numbers are not used again, nor the rest
 * of that segment. What of such a group is on the disk whole is not read in this life; the next may
 * deliver it, like anything whole, and its sender's retry folds by its key. On opening, whatever
 * passes its checksum is delivered, behind a damaged place too; a damaged place is never written
 * over, said in the log, and delivers nothing. */
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "base/sip.h"
#include "base/str.h"

#include <stdint.h>

struct journal;

/* Where a record is. */
struct journal_place {
	uint32_t segment;
	uint64_t at_bytes;
};
/* How far draining has come; the store keeps it. All 0: nothing was ever drained. */
struct journal_mark {
	struct journal_place next; /* where reading goes on */
	uint64_t sequence;	   /* of the last that was drained */
	uint32_t oldest;	   /* the lowest segment that is still there; 0 stands for 1 */
};

enum journal_verdict {
	JOURNAL_NEW,	/* an entry of its own; its id is its sequence */
	JOURNAL_AGAIN,	/* another attempt at `id`, which the store has */
	JOURNAL_REPEAT, /* nothing was written; `id` is the first one's */
	JOURNAL_VERDICT_COUNT
};

/* One entry on its way; the caller's storage, left alone until done has run. */
struct journal_entry {
	struct str key, meta, body; /* at most RECORD_…_MAX bytes each; the key not empty */
	/* On the thread that writes. 0: durable, id and verdict hold. */
	void (*done)(struct journal_entry *en, int rc, const struct err *e);
	uint64_t id;
	enum journal_verdict verdict;
	int64_t other; /* for `known` to tell `done` */
	/* the journal's own */
	struct journal_entry *next;
	struct sip_hash hash;
	uint32_t length;
	uint64_t sequence, at_bytes; /* where it was written */
};

struct journal_options {
	const char *path;	      /* a directory; made 0700 when it is not there */
	uint64_t undrained_bytes_max; /* beyond it journal_append is ERR_UNAVAILABLE; 0: 1 GiB */
	uint32_t undrained_count_max; /* 0: 196,608 */
	uint64_t segment_least_bytes, segment_most_bytes; /* 0: 4 and 64 MiB */
	/* On the thread that writes, for a list of entries: what does the store know of their keys?
	 * Sets verdict and id of those it knows; 0, -1. 1: it would have to wait and may not; it is
	 * called again on the journal's thread. NULL: nothing. */
	int (*known)(void *ctx, struct journal_entry *first, bool may_wait, struct err *e);
	/* Something durable waits to be drained. On the thread that wrote, after each group, and on
	 * the journal's when journal_wake's time has come, perhaps on both at once. Must not block. */
	void (*drain)(void *ctx);
	void *ctx;
};

/* Opens or makes the directory, finds the entries behind the mark, makes them durable. Sequences go
 * on above the last one and above sequence_least. Starts the threads. What is left of segments below
 * the mark's oldest is removed in the background. Blocks. NULL on error. */
struct journal *journal_open(const struct journal_options *o, const struct journal_mark *mark,
    uint64_t sequence_least, struct err *e);
/* Writes what waits, answers it, ends the threads. What is not drained stays for the next opening.
 */
void journal_close(struct journal *j);

/* Queues an entry, which is written at the latest with the next journal_go; never blocks. -1
 * (ERR_UNAVAILABLE) when too much waits to be drained, ERR_TOO_LARGE; done is not called then. */
int journal_append(struct journal *j, struct journal_entry *en, struct err *e) WARN_UNUSED;

/* Writes what was queued; from any thread. So a turn of a loop can queue many for one group. */
void journal_go(struct journal *j);
/* The same from a thread that waits for the answer anyway. Where one entry alone is queued, as so
 * often before, nothing is being written and syncs were fast lately, it is written, synced and
 * answered before this returns: so it blocks for about as long as a sync takes, and `known`, `done`
 * and `drain` run on this thread. By one thread, and not beside journal_close. */
void journal_go_here(struct journal *j);

struct journal_level {
	uint64_t bytes, bytes_max;
	uint32_t count, count_max;
	bool busy;	  /* entries wait to be written at this moment */
	uint64_t last_us; /* when the last one came, monotonic; 0: never */
};
/* What is durable, or about to be, and not drained. From any thread. */
struct journal_level journal_level(struct journal *j);
/* Calls `drain` on the journal's thread at that monotonic time in µs. From any thread; the earliest
 * wish holds. */
void journal_wake(struct journal *j, int64_t mono_us);

/* Reading in order what is durable. */
struct journal_record {
	uint64_t sequence, id;
	struct journal_place place, next;
	struct str key, meta; /* until the next call */
	uint32_t length_bytes;
	struct sip_hash hash;
};
struct journal_reader;
/* Goes on at the mark that journal_open was given. One at a time. */
struct journal_reader *journal_reader_new(struct journal *j);
void journal_reader_free(struct journal_reader *r); /* NULL is fine */
/* 1: the next one; 0: nothing more is durable; -1. One of the last few thousand comes from memory, any other from the disk,
 * whole by its checksum. */
int journal_read(struct journal_reader *r, struct journal_record *ret, struct err *e) WARN_UNUSED;
/* Back to a place, when what was read could not be applied; `sequence` is of the last that was. */
void journal_reader_seek(struct journal_reader *r, struct journal_place to, uint64_t sequence);
/* These n in order were applied, durably, and the mark with them: their keys are the store's to know from now on. */
void journal_drained(struct journal *j, const struct journal_record *r, size_t n);

/* The body of the record at a place, whole by its checksum; in the arena. 1, 0: the segment is
 * gone, -1 (ERR_INVALID: it is damaged). Any thread; reads the disk. */
int journal_body(struct journal *j, struct journal_place p, struct arena *a, struct str *ret,
    struct err *e) WARN_UNUSED;
/* Removes the segments from `oldest` up to, not including, `below`, in the background; never one
 * that is not wholly drained. What the journal does not come to, or cannot remove, is left to the
 * next opening with a mark whose oldest is above it. */
void journal_forget(struct journal *j, uint32_t oldest, uint32_t below);
