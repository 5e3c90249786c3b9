#include "minitwit/pages.h"

#include "base/mem.h"
#include "base/rand.h"

#include <stdlib.h>
#include <string.h>

#define TABLE_SIZE (1u << 14)
#define ANSWER_MAX_BYTES (256u << 10)

struct entry {
	struct entry *chain;
	struct entry *newer, *older;
	uint64_t hash;
	struct board_stamp stamp;
	enum pages_kind kind;
	int64_t count;
	size_t user_bytes, answer_bytes;
	char bytes[]; /* the user, then the answer */
};

struct pages {
	const struct board *board;
	size_t bytes, max_bytes;
	uint64_t seed[2];
	struct entry *newest, *oldest;
	struct entry *table[TABLE_SIZE];
};

struct pages *pages_new(const struct board *b, size_t max_bytes)
{
	struct pages *p = mem_alloc(sizeof(*p));
	p->board = b;
	p->max_bytes = max_bytes;
	rand_bytes(p->seed, sizeof(p->seed));
	p->seed[1] |= 1;
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
static uint64_t hash_of(const struct pages *p, enum pages_kind kind, struct str user, int64_t count)
{
	uint64_t h = p->seed[0] ^ ((uint64_t)count << 8) ^ (uint64_t)kind;
	for (size_t i = 0; i < user.n; i++) {
		h = (h ^ (unsigned char)user.p[i]) * p->seed[1];
		h ^= h >> 29;
	}
	return h;
}

static struct entry **find(
    struct pages *p, uint64_t h, enum pages_kind kind, struct str user, int64_t count)
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
	*at = x->chain;
	unlink_age(p, x);
	p->bytes -= cost_of(x);
	free(x);
}

static void drop_oldest(struct pages *p)
{
	struct entry *x = p->oldest;
	drop(p, find(p, x->hash, x->kind, user_of(x), x->count));
}

void pages_free(struct pages *p)
{
	if (!p)
		return;
	while (p->oldest)
		drop_oldest(p);
	free(p);
}

struct str pages_get(struct pages *p, enum pages_kind kind, struct str user, int64_t count)
{
	struct entry **at = find(p, hash_of(p, kind, user, count), kind, user, count);
	struct entry *x = *at;
	if (!x)
		return STR_NONE;
	if (!board_holds(p->board, user, x->stamp)) {
		drop(p, at);
		return STR_NONE;
	}
	if (p->newest != x) {
		unlink_age(p, x);
		link_newest(p, x);
	}
	return (struct str){x->bytes + x->user_bytes, x->answer_bytes};
}

void pages_put(struct pages *p, enum pages_kind kind, struct str user, int64_t count,
    struct board_stamp stamp, struct str answer)
{
	uint64_t h = hash_of(p, kind, user, count);
	struct entry **at = find(p, h, kind, user, count);
	if (*at)
		drop(p, at);
	size_t cost = sizeof(struct entry) + user.n + answer.n;
	if (answer.n > ANSWER_MAX_BYTES || cost > p->max_bytes)
		return;
	while (p->bytes + cost > p->max_bytes)
		drop_oldest(p);
	struct entry *x = mem_alloc(cost);
	*x = (struct entry){.hash = h,
	    .stamp = stamp,
	    .kind = kind,
	    .count = count,
	    .user_bytes = user.n,
	    .answer_bytes = answer.n};
	memcpy(x->bytes, user.p, user.n);
	memcpy(x->bytes + user.n, answer.p, answer.n);
	struct entry **head = &p->table[h & (TABLE_SIZE - 1)];
	x->chain = *head;
	*head = x;
	link_newest(p, x);
	p->bytes += cost;
}

size_t pages_bytes(const struct pages *p)
{
	return p->bytes;
}
