/* Walking over the records of segments. A place that is no record is passed over: zeros block by
 * block, anything else eight bytes at a time, since every record begins at a multiple of eight;
 * what passes its checksum, which is seeded with the segment's secret salt, is a record. */
#include "store/segment.h"

#include "base/crc32c.h"
#include "base/io.h"
#include "base/mem.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define WINDOW_BYTES (512u << 10)

void walk_init(struct walk *w, int dir, struct journal_place from, uint64_t sequence)
{
	void *window = NULL;
	if (posix_memalign(&window, RECORD_BLOCK_BYTES, WINDOW_BYTES) != 0)
		abort();
	*w = (struct walk){.dir = dir, .fd = -1, .window = window};
	walk_seek(w, from, sequence);
}

static void segment_close(struct walk *w)
{
	if (w->fd >= 0)
		(void)io_get()->close(w->fd);
	w->fd = -1;
	w->window_bytes = 0;
	w->bad_at = 0;
}

void walk_fini(struct walk *w)
{
	segment_close(w);
	free(w->window);
	w->window = NULL;
}

void walk_seek(struct walk *w, struct journal_place to, uint64_t sequence)
{
	if (to.segment == 0)
		to = (struct journal_place){1, 0};
	if (to.at_bytes < SEGMENT_RECORDS_AT)
		to.at_bytes = SEGMENT_RECORDS_AT;
	if (to.segment != w->at.segment)
		segment_close(w);
	w->at = to;
	w->bad_at = 0;
	w->sequence = sequence;
	w->damage = (struct journal_place){0};
	w->damage_bytes = 0;
}

/* Reads the window from `from` on: less than `want` where the file ends, or where reading fails with *ret_sys. What cannot be read
 * at once is read block by block, up to the one that cannot. */
static size_t read_window(struct walk *w, uint64_t from, size_t want, int *ret_sys)
{
	size_t got = 0, most = want;
	*ret_sys = 0;
	while (got < want && got % RECORD_BLOCK_BYTES == 0) {
		size_t n = want - got < most ? want - got : most;
		ssize_t r = io_get()->pread(w->fd, w->window + got, n, (off_t)(from + got));
		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0 && errno == EIO && n > RECORD_BLOCK_BYTES) {
			most = RECORD_BLOCK_BYTES;
			continue;
		}
		if (r < 0)
			*ret_sys = errno;
		if (r <= 0)
			break;
		got += (size_t)r;
	}
	return got;
}

/* Why the window does not hold what it should. */
static const char *missing(struct walk *w, uint64_t from, size_t got, int sys, struct err *e)
{
	uint64_t end = from + (got & ~(size_t)(RECORD_BLOCK_BYTES - 1));
	if (sys == EIO) {
		w->unreadable = true;
		w->bad_at = end;
	} else if (sys == 0) {
		w->cut = true;
		w->head.size_bytes = end;
	}
	if (sys != 0)
		err_sys(e, ERR_IO, sys, "could not read segment %u of the journal at %llu",
		    w->at.segment, (unsigned long long)end);
	return NULL;
}

/* At least n bytes from `at`, or NULL; n is at most WINDOW_BYTES less a block, and they lie in the
 * file. */
static const char *look(struct walk *w, uint64_t at, size_t n, struct err *e)
{
	if (w->bad_at && at < w->bad_at + RECORD_BLOCK_BYTES && at + n > w->bad_at)
		return missing(w, w->bad_at, 0, EIO, e);
	if (at < w->window_at || at + n > w->window_at + w->window_bytes) {
		uint64_t from = at - at % RECORD_BLOCK_BYTES, left = w->head.size_bytes - from;
		size_t want = left < WINDOW_BYTES ? (size_t)left : WINDOW_BYTES;
		int sys;
		/* Nothing behind the end is durable, or even ours to read while it is written. */
		if (w->end.segment == w->at.segment && from + want > w->end.at_bytes &&
		    w->end.at_bytes >= at + n)
			want = (size_t)(w->end.at_bytes - from);
		want = (size_t)record_round(want, RECORD_BLOCK_BYTES); /* O_DIRECT */
		w->window_bytes = 0;
		size_t got = read_window(w, from, want, &sys);
		if (got < at - from + n)
			return missing(w, from, got, sys, e);
		w->window_at = from;
		w->window_bytes = got;
	}
	return w->window + (at - w->window_at);
}

/* 1 when the record's bytes fit its checksum, 0, -1. */
static int whole(struct walk *w, const struct record_head *h, uint32_t crc, struct err *e)
{
	uint64_t at = w->at.at_bytes + RECORD_HEAD_BYTES, end = w->at.at_bytes + h->length;
	while (at < end) {
		size_t n = end - at < WINDOW_BYTES / 2 ? (size_t)(end - at) : WINDOW_BYTES / 2;
		const char *p = look(w, at, n, e);
		if (!p)
			return -1;
		crc = crc32c(crc, (struct str){p, n});
		at += n;
	}
	return crc == h->crc;
}

/* Is there a record at w->at? */
static int record_here(struct walk *w, struct record_head *h, struct err *e)
{
	uint64_t room = w->head.size_bytes - w->at.at_bytes;
	const char *p = look(w, w->at.at_bytes, RECORD_HEAD_BYTES, e);
	if (!p)
		return -1;
	const uint8_t *head = (const uint8_t *)p;
	if (!record_unpack(head, room, h) || h->sequence <= w->sequence)
		return 0;
	if (w->end.segment == w->at.segment && w->at.at_bytes + h->length > w->end.at_bytes)
		return 0;
	return whole(w, h, record_crc_begin(w->head.salt, head), e);
}

static int fill(
    struct walk *w, const struct record_head *h, struct journal_record *ret, struct err *e)
{
	const char *p =
	    look(w, w->at.at_bytes, RECORD_HEAD_BYTES + (size_t)h->key_bytes + h->meta_bytes, e);
	if (!p)
		return -1;
	p += RECORD_HEAD_BYTES;
	*ret = (struct journal_record){.sequence = h->sequence,
	    .id = h->id,
	    .place = w->at,
	    .key = {p, h->key_bytes},
	    .meta = {p + h->key_bytes, h->meta_bytes},
	    .length_bytes = h->length};
	if (w->damage.segment && w->on_damage)
		w->on_damage(w->ctx, w->damage, w->damage_bytes);
	w->damage = (struct journal_place){0};
	w->damage_bytes = 0;
	w->sequence = h->sequence;
	w->at.at_bytes = record_round(w->at.at_bytes + h->length, 8);
	ret->next = w->at;
	return 1;
}

static bool all_zero(const char *p, size_t n)
{
	return n == 0 || (p[0] == 0 && memcmp(p, p + 1, n - 1) == 0);
}

static void note_damage(struct walk *w, uint64_t bytes)
{
	if (!w->damage.segment)
		w->damage = w->at;
	w->damage_bytes += bytes;
}

/* No record here: past the zeros of this block, or eight bytes. */
static int pass_over(struct walk *w, struct err *e)
{
	size_t left = RECORD_BLOCK_BYTES - w->at.at_bytes % RECORD_BLOCK_BYTES;
	const char *p = look(w, w->at.at_bytes, left, e);
	if (!p)
		return -1;
	if (all_zero(p, left)) {
		w->at.at_bytes += left;
		return 0;
	}
	if (!all_zero(p, 8))
		note_damage(w, 8);
	w->at.at_bytes += 8;
	return 0;
}

/* What could be here reaches into a block that cannot be read: past that block, or what stands before it. */
static int pass_unreadable(struct walk *w, struct err *e)
{
	uint64_t left = RECORD_BLOCK_BYTES - w->at.at_bytes % RECORD_BLOCK_BYTES;
	if (w->at.at_bytes + left <= w->bad_at)
		return pass_over(w, e);
	note_damage(w, left);
	w->at.at_bytes += left;
	return 0;
}

/* 1: w->fd is the segment of w->at; 0: there is none. */
static int enter(struct walk *w, struct err *e)
{
	if (w->fd >= 0)
		return 1;
	struct err why;
	w->fd = segment_open(w->dir, w->at.segment, &w->head, &why);
	if (w->fd >= 0)
		return 1;
	if (why.code == ERR_NOT_FOUND)
		return 0;
	if (why.code == ERR_INVALID) { /* without its salt nothing in it can be told from noise */
		note_damage(w, SEGMENT_RECORDS_AT);
		w->at = (struct journal_place){w->at.segment + 1, SEGMENT_RECORDS_AT};
		return enter(w, e);
	}
	if (e)
		*e = why;
	return -1;
}

bool walk_at_end(const struct walk *w)
{
	return w->end.segment && (w->at.segment > w->end.segment ||
				     (w->at.segment == w->end.segment &&
					 w->at.at_bytes + RECORD_HEAD_BYTES > w->end.at_bytes));
}

int walk_next(struct walk *w, struct journal_record *ret, struct err *e)
{
	struct record_head h;
	for (;;) {
		w->unreadable = false;
		int rc = walk_at_end(w) ? 0 : enter(w, e);
		if (rc <= 0)
			return rc;
		if (w->at.at_bytes + RECORD_HEAD_BYTES > w->head.size_bytes) {
			segment_close(w);
			w->at = (struct journal_place){w->at.segment + 1, SEGMENT_RECORDS_AT};
			continue;
		}
		rc = record_here(w, &h, e);
		if (rc > 0)
			rc = fill(w, &h, ret, e);
		else if (rc == 0)
			rc = pass_over(w, e);
		if (rc < 0 && w->unreadable)
			rc = pass_unreadable(w, e);
		if (rc > 0 || (rc < 0 && !w->cut && !w->unreadable))
			return rc;
		if (w->cut) {
			note_damage(w, 1);
			w->cut = false;
		}
	}
}

int walk_body(struct walk *w, struct arena *a, struct str *ret, struct err *e)
{
	struct record_head h;
	uint32_t segment = w->at.segment;
	int rc = enter(w, e);
	if (rc <= 0 || w->at.segment != segment)
		return rc < 0 ? rc : 0;
	if (w->at.at_bytes + RECORD_HEAD_BYTES > w->head.size_bytes)
		return 0;
	rc = record_here(w, &h, e);
	if (rc <= 0)
		return w->cut || w->unreadable ? 0 : rc;
	uint64_t at = w->at.at_bytes + RECORD_HEAD_BYTES + h.key_bytes + h.meta_bytes;
	size_t n = (size_t)(w->at.at_bytes + h.length - at), done = 0;
	char *to = arena_alloc(a, n + 1);
	if (!to)
		return err_set(e, ERR_TOO_LARGE, "the event's body does not fit into memory");
	while (done < n) {
		size_t piece = n - done < WINDOW_BYTES / 2 ? n - done : WINDOW_BYTES / 2;
		const char *p = look(w, at + done, piece, e);
		if (!p)
			return w->cut || w->unreadable ? 0 : -1;
		memcpy(to + done, p, piece);
		done += piece;
	}
	*ret = (struct str){to, n};
	return 1;
}
