#include "minitwit/ring.h"

#include "base/buf.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#define ANSWER_MAX_BYTES (16u << 20)

struct entry {
	int64_t id, pub_date;
	char *json;
	size_t bytes;
};

struct ring {
	struct board *board;
	struct ring_stamp seen;
	int64_t read_to; /* the highest id that a read under this epoch has shown */
	bool cut;	 /* older messages exist that are not here */
	struct entry entries[RING_SIZE];
	size_t count;
	struct buf row;
	struct buf answer; /* of the last count asked for */
	size_t answer_count;
	bool answer_true;
};

struct ring *ring_new(struct board *b)
{
	struct ring *r = mem_alloc(sizeof(*r));
	r->board = b;
	r->seen.epoch = board_epoch(b) - 1; /* nothing was read yet */
	buf_init(&r->row, TIMELINE_ROW_MAX_BYTES);
	buf_init(&r->answer, ANSWER_MAX_BYTES);
	return r;
}

static void clear(struct ring *r)
{
	for (size_t i = 0; i < r->count; i++)
		free(r->entries[i].json);
	r->count = 0;
	r->read_to = 0;
	r->cut = false;
	r->answer_true = false;
}

void ring_free(struct ring *r)
{
	if (!r)
		return;
	clear(r);
	buf_fini(&r->row);
	buf_fini(&r->answer);
	free(r);
}

int ring_stale(const struct ring *r, struct ring_stamp *ret_stamp, int64_t *ret_after)
{
	*ret_stamp = (struct ring_stamp){board_epoch(r->board), board_public(r->board)};
	if (ret_stamp->epoch != r->seen.epoch) {
		*ret_after = 0;
		return 1;
	}
	*ret_after = r->read_to;
	return ret_stamp->public_count != r->seen.public_count;
}

/* Where it belongs by (pub_date, id), newest first; RING_SIZE when it is too old, SIZE_MAX when it
 * is there. */
static size_t place_of(const struct ring *r, const struct timeline_row *row)
{
	size_t at = 0;
	while (at < r->count &&
	       (r->entries[at].pub_date > row->pub_date ||
		   (r->entries[at].pub_date == row->pub_date && r->entries[at].id > row->id)))
		at++;
	return at < r->count && r->entries[at].id == row->id ? SIZE_MAX : at;
}

static void insert(struct ring *r, const struct timeline_row *row, struct str json)
{
	size_t at = place_of(r, row);
	if (at == SIZE_MAX)
		return;
	if (at == RING_SIZE) {
		r->cut = true;
		return;
	}
	if (r->count == RING_SIZE) {
		free(r->entries[--r->count].json);
		r->cut = true;
	}
	memmove(&r->entries[at + 1], &r->entries[at], (r->count - at) * sizeof(r->entries[0]));
	r->count++;
	r->entries[at] = (struct entry){
	    .id = row->id, .pub_date = row->pub_date, .json = mem_dup(json), .bytes = json.n};
	r->answer_true = false;
}

void ring_fill(struct ring *r, struct ring_stamp stamp, int64_t after,
    const struct timeline_row *rows, size_t count)
{
	/* Reads overlap on the pool, and end in any order. Of one epoch they add up; one of an
	 * epoch that is over has nothing to say to a ring that was read since. */
	if (stamp.epoch != r->seen.epoch) {
		if (after != 0 || (int64_t)(stamp.epoch - r->seen.epoch) < 0)
			return;
		clear(r);
		r->seen = stamp;
	}
	if (count == RING_SIZE)
		r->cut = true;
	for (size_t i = 0; i < count; i++) {
		if (rows[i].id > r->read_to)
			r->read_to = rows[i].id;
		buf_clear(&r->row);
		timeline_json(&r->row, &rows[i]);
		insert(r, &rows[i], buf_view(&r->row));
	}
	if (stamp.public_count > r->seen.public_count)
		r->seen.public_count = stamp.public_count;
}

void ring_add(struct ring *r, const struct timeline_row *row, struct str json)
{
	uint64_t before = board_public_changed(r->board);
	insert(r, row, json);
	/* Otherwise somebody else's is still to be read. */
	if (before == r->seen.public_count)
		r->seen.public_count = before + 1;
}

struct str ring_json(struct ring *r, size_t count)
{
	if (count > r->count && r->cut)
		return STR_NONE;
	if (count > r->count)
		count = r->count;
	if (r->answer_true && r->answer_count == count)
		return buf_view(&r->answer);
	buf_clear(&r->answer);
	buf_char(&r->answer, '[');
	for (size_t i = 0; i < count; i++) {
		if (i > 0)
			buf_char(&r->answer, ',');
		buf_put(&r->answer, r->entries[i].json, r->entries[i].bytes);
	}
	buf_char(&r->answer, ']');
	r->answer_count = count;
	r->answer_true = true;
	return r->answer.full ? STR_NONE : buf_view(&r->answer);
}
