#include "minitwit/pages.h"

#include "base/buf.h"
#include "base/mem.h"
#include "base/rand.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define TABLE_SIZE (1u << 14)
#define ANSWER_MAX_BYTES (256u << 10)

struct entry {
	struct entry *chain;
	struct entry *newer, *older;
	uint64_t hash;
	struct board_stamp stamp;
	enum board_kind kind;
	int64_t count, last_id, rows;
	size_t user_bytes, answer_bytes;
	char bytes[]; /* the user, then the answer */
};

struct pages {
	const struct board *board;
	size_t bytes, max_bytes;
	uint64_t seed[2];
	struct entry *newest, *oldest;
	struct buf longer;
	struct entry *table[TABLE_SIZE];
};

struct pages *pages_new(const struct board *b, size_t max_bytes)
{
	struct pages *p = mem_alloc(sizeof(*p));
	p->board = b;
	p->max_bytes = max_bytes;
	rand_bytes(p->seed, sizeof(p->seed));
	p->seed[1] |= 1;
	buf_init(&p->longer, 2 * ANSWER_MAX_BYTES);
	return p;
}

static struct str user_of(const struct entry *x)
{
	return (struct str){x->bytes, x->user_bytes};
}

static size_t cost_of(const struct entry *x)
{
	return sizeof(*x) + x->user_bytes + x->answer_bytes;
}

/* Seeded, so that nobody can choose names that meet in one chain. */
static uint64_t hash_of(const struct pages *p, enum board_kind kind, struct str user, int64_t count)
{
	uint64_t h = p->seed[0] ^ ((uint64_t)count << 8) ^ (uint64_t)kind;
	for (size_t i = 0; i < user.n; i++) {
		h = (h ^ (unsigned char)user.p[i]) * p->seed[1];
		h ^= h >> 29;
	}
	return h;
}

static struct entry **find(
    struct pages *p, uint64_t h, enum board_kind kind, struct str user, int64_t count)
{
	struct entry **at = &p->table[h & (TABLE_SIZE - 1)];
	while (*at && !((*at)->hash == h && (*at)->kind == kind && (*at)->count == count &&
			  str_eq(user_of(*at), user)))
		at = &(*at)->chain;
	return at;
}

static void unlink_age(struct pages *p, struct entry *x)
{
	*(x->newer ? &x->newer->older : &p->newest) = x->older;
	*(x->older ? &x->older->newer : &p->oldest) = x->newer;
}

static void link_newest(struct pages *p, struct entry *x)
{
	x->newer = NULL;
	x->older = p->newest;
	*(p->newest ? &p->newest->newer : &p->oldest) = x;
	p->newest = x;
}

static void drop(struct pages *p, struct entry **at)
{
	struct entry *x = *at;
	assert(x);
	*at = x->chain;
	unlink_age(p, x);
	p->bytes -= cost_of(x);
	free(x);
}

static void drop_oldest(struct pages *p)
{
	struct entry *x = p->oldest;
	assert(x); /* whoever makes room knows that something is there */
	drop(p, find(p, x->hash, x->kind, user_of(x), x->count));
}

void pages_free(struct pages *p)
{
	if (!p)
		return;
	while (p->oldest)
		drop_oldest(p);
	buf_fini(&p->longer);
	free(p);
}

struct str pages_get(struct pages *p, enum board_kind kind, struct str user, int64_t count)
{
	struct entry **at = find(p, hash_of(p, kind, user, count), kind, user, count);
	struct entry *x = *at;
	if (!x)
		return STR_NONE;
	if (!board_holds(p->board, kind, user, x->stamp)) {
		drop(p, at);
		return STR_NONE;
	}
	if (p->newest != x) {
		unlink_age(p, x);
		link_newest(p, x);
	}
	return (struct str){x->bytes + x->user_bytes, x->answer_bytes};
}

void pages_put(struct pages *p, enum board_kind kind, struct str user, int64_t count,
    const struct pages_answer *a)
{
	uint64_t h = hash_of(p, kind, user, count);
	struct entry **at = find(p, h, kind, user, count);
	if (*at)
		drop(p, at);
	size_t cost = sizeof(struct entry) + user.n + a->bytes.n;
	if (a->bytes.n > ANSWER_MAX_BYTES || cost > p->max_bytes)
		return;
	while (p->bytes + cost > p->max_bytes)
		drop_oldest(p);
	struct entry *x = mem_alloc(cost);
	*x = (struct entry){.hash = h,
	    .stamp = a->stamp,
	    .kind = kind,
	    .count = count,
	    .last_id = a->last_id,
	    .rows = a->rows,
	    .user_bytes = user.n,
	    .answer_bytes = a->bytes.n};
	memcpy(x->bytes, user.p, user.n);
	memcpy(x->bytes + user.n, a->bytes.p, a->bytes.n);
	struct entry **head = &p->table[h & (TABLE_SIZE - 1)];
	x->chain = *head;
	*head = x;
	link_newest(p, x);
	p->bytes += cost;
}

/* "[A,B]" and C become "[C,A,B]", or "[C,A]" when there may be only as many as before. A row begins
 * with {"content":", which no text can contain: its quotes are escaped. */
static void put_front(struct buf *out, struct str answer, struct str row, bool cut)
{
	static const struct str begin = STR(",{\"content\":\"");
	size_t end = answer.n - 1; /* of the last row that stays */
	while (cut && end > begin.n && !str_starts(str_from(answer, end), begin))
		end--;
	buf_char(out, '[');
	buf_str(out, row);
	if (answer.n > 2 && end > begin.n) {
		buf_char(out, ',');
		buf_str(out, str_slice(answer, 1, end - 1));
	}
	buf_char(out, ']');
}

/* {"follows":[A,B]} and C become {"follows":[A,B,C]}. */
static void put_end(struct buf *out, struct str answer, struct str row, bool first)
{
	buf_str(out, str_slice(answer, 0, answer.n - 2));
	if (!first)
		buf_char(out, ',');
	buf_str(out, row);
	buf_str(out, STR("]}"));
}

void pages_add(struct pages *p, enum board_kind kind, struct str user, int64_t count,
    uint32_t before, int64_t id, struct str row)
{
	struct entry *x = *find(p, hash_of(p, kind, user, count), kind, user, count);
	if (!x || x->stamp.user != before)
		return;
	x->stamp.user = before + 1;
	/* The answer's snapshot may have shown it already. */
	bool full = x->rows >= count;
	if (id <= x->last_id || (full && kind == BOARD_FOLLOWS))
		return;
	struct str answer = {x->bytes + x->user_bytes, x->answer_bytes};
	buf_clear(&p->longer);
	if (kind == BOARD_MSGS)
		put_front(&p->longer, answer, row, full);
	else
		put_end(&p->longer, answer, row, x->rows == 0);
	const struct pages_answer longer = {.stamp = x->stamp,
	    .last_id = id,
	    .rows = x->rows + !full,
	    .bytes = buf_view(&p->longer)};
	pages_put(p, kind, user, count, &longer);
}

size_t pages_bytes(const struct pages *p)
{
	return p->bytes;
}
