/* rooms: base loop crypto text store http minitwit */
/* MiniTwit's ring while reads overlap: own and others' messages, messages that are hidden, and reads
 * that end in any order, against the list of what was committed. Whatever the ring answers must be
 * as new as the moment it was asked at. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <unistd.h>

#include "base/buf.h"
#include "minitwit/ring.h"

#define HISTORIES 400
#define STEPS 600
#define MESSAGES_MAX 2000
#define READS 6 /* at once */

/* What a client may count on: messages that were told, hidings that were told. */
struct moment {
	int64_t told;
	unsigned hidings;
};

/* A read on its way: what it saw, and what was asked for. */
struct reading {
	bool open, seen; /* asked for; its snapshot taken */
	struct moment asked;
	struct ring_stamp stamp;
	int64_t after;
	struct timeline_row rows[RING_SIZE];
	size_t count;
};

struct world {
	uint64_t rng;
	struct board *board;
	struct ring *ring;
	struct reading reads[READS];
	int64_t committed; /* messages 1 to this one */
	int64_t told;	   /* and those of them that the board was told of */
	bool own[MESSAGES_MAX + 1];
	unsigned hidden[MESSAGES_MAX + 1]; /* by which hiding; 0 by none */
	unsigned hidings;
	char text[MESSAGES_MAX + 1][8];
	size_t answers, overlaps;
};

static unsigned roll(struct world *w, unsigned below)
{
	w->rng = w->rng * 6364136223846793005u + 1442695040888963407u;
	return (unsigned)(w->rng >> 33) % below;
}

static struct timeline_row row_of(struct world *w, int64_t id)
{
	snprintf(w->text[id], sizeof(w->text[id]), "%d", (int)id);
	/* Several share a second, as messages do. */
	return (struct timeline_row){
	    .id = id, .pub_date = 1000 + id / 8, .user = STR("u"), .text = str_c(w->text[id])};
}

static void commit(struct world *w)
{
	if (w->committed < MESSAGES_MAX)
		w->own[++w->committed] = roll(w, 4) != 0;
}

/* In the order of commits; ours reach the ring, another process's only the board. */
static void tell(struct world *w)
{
	if (w->told == w->committed)
		return;
	int64_t id = ++w->told;
	if (!w->own[id]) {
		(void)board_public_changed(w->board);
		return;
	}
	struct timeline_row row = row_of(w, id);
	char text[RING_SIZE];
	struct buf b;
	buf_init(&b, sizeof(text));
	timeline_json(&b, &row);
	ring_add(w->ring, &row, buf_view(&b));
	buf_fini(&b);
}

static void hide(struct world *w)
{
	if (w->told == 0)
		return;
	int64_t id = 1 + roll(w, (unsigned)w->told);
	if (w->hidden[id])
		return;
	w->hidden[id] = ++w->hidings;
	board_all_changed(w->board);
}

static struct moment now(const struct world *w)
{
	return (struct moment){w->told, w->hidings};
}

static void begin(struct world *w)
{
	size_t i = 0;
	while (i < READS && w->reads[i].open)
		i++;
	struct reading *x = &w->reads[i];
	if (i == READS || !ring_stale(w->ring, &x->stamp, &x->after))
		return;
	x->open = true;
	x->seen = false;
	x->asked = now(w);
	w->overlaps += i > 0;
}

static void look(struct world *w, struct reading *x)
{
	x->seen = true;
	x->count = 0;
	for (int64_t id = w->committed; id > x->after && x->count < RING_SIZE; id--)
		if (!w->hidden[id])
			x->rows[x->count++] = row_of(w, id);
}

/* The ring answers with all that was told at the moment, in order, and with nothing that was hidden
 * then. What came since may be there. */
static void check(struct world *w, struct moment at)
{
	struct str all = ring_json(w->ring, RING_SIZE);
	if (!all.p)
		return; /* read from the store, then */
	w->answers++;
	struct buf row_json;
	buf_init(&row_json, 256);
	size_t shown = 0, byte = 1;
	for (int64_t id = w->committed; id > 0 && shown < RING_SIZE; id--) {
		struct timeline_row row = row_of(w, id);
		buf_clear(&row_json);
		timeline_json(&row_json, &row);
		struct str one = buf_view(&row_json);
		bool there = str_starts(str_from(all, byte), one);
		bool gone = w->hidden[id] && w->hidden[id] <= at.hidings;
		if (there && gone)
			fail_msg("message %d is hidden", (int)id);
		if (!there && !w->hidden[id] && id <= at.told)
			fail_msg("message %d of %d is not there", (int)id, (int)at.told);
		byte += there ? one.n + 1 : 0;
		shown += there;
	}
	assert_true(byte == all.n || (shown == 0 && all.n == 2)); /* and nothing else */
	buf_fini(&row_json);
}

/* One of the reads gets on: its snapshot some time after its stamp, its end some time after that. */
static void go_on(struct world *w)
{
	struct reading *x = &w->reads[roll(w, READS)];
	if (!x->open)
		return;
	if (!x->seen) {
		look(w, x);
		return;
	}
	ring_fill(w->ring, x->stamp, x->after, x->rows, x->count);
	x->open = false;
	check(w, x->asked);
}

static void ask(struct world *w)
{
	struct ring_stamp stamp;
	int64_t after;
	if (!ring_stale(w->ring, &stamp, &after))
		check(w, now(w));
}

static void step(struct world *w)
{
	switch (roll(w, 16)) {
	case 0:
		if (roll(w, 8) == 0)
			hide(w);
		break;
	case 1:
	case 2:
	case 3:
	case 4:
		commit(w);
		break;
	case 5:
	case 6:
	case 7:
	case 8:
		tell(w);
		break;
	case 9:
	case 10:
	case 11:
		begin(w);
		break;
	case 12:
	case 13:
	case 14:
		go_on(w);
		break;
	default:
		ask(w);
	}
}

static void history(struct world *w, const char *path)
{
	bool fresh;
	struct err e = {0};
	w->board = board_open(path, &fresh, &e);
	assert_non_null(w->board);
	w->ring = ring_new(w->board);
	for (unsigned i = roll(w, 300); i > 0; i--) {
		commit(w); /* before the first read */
		w->told = w->committed;
	}
	for (size_t i = 0; i < STEPS; i++)
		step(w);
	ring_free(w->ring);
	board_close(w->board);
}

static void test_overlapping_reads(void **state)
{
	(void)state;
	char path[] = "/tmp/slipway-ring-XXXXXX";
	int fd = mkstemp(path);
	assert_true(fd >= 0);
	close(fd);
	struct world *w = calloc(1, sizeof(*w));
	assert_non_null(w);
	size_t answers = 0, overlaps = 0;
	for (uint64_t seed = 1; seed <= HISTORIES; seed++) {
		memset(w, 0, sizeof(*w));
		w->rng = seed;
		history(w, path);
		answers += w->answers;
		overlaps += w->overlaps;
	}
	print_message(
	    "%d histories, %zu overlapping reads, %zu answers\n", HISTORIES, overlaps, answers);
	assert_true(answers > HISTORIES && overlaps > HISTORIES);
	free(w);
	unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_overlapping_reads)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
