#include "check.h"

#include "model.h"
#include "rows.h"
#include "scan.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *const wrong_names[WRONG_COUNT] = {
    "status", "shape", "content", "missing", "stale", "order", "date", "follows", "latest"};
uint64_t wrongs[WRONG_COUNT];
char wrong_examples[EXAMPLES_MAX][EXAMPLE_SIZE];

uint64_t wrong_all(void)
{
	uint64_t all = 0;
	for (int i = 0; i < WRONG_COUNT; i++)
		all += wrongs[i];
	return all;
}

static __attribute__((format(printf, 3, 4))) bool is_wrong(
    const struct request *r, enum wrong what, const char *text, ...)
{
	uint64_t n = wrong_all();
	wrongs[what]++;
	if (n >= EXAMPLES_MAX)
		return false;
	char *out = wrong_examples[n];
	int at =
	    snprintf(out, EXAMPLE_SIZE, "%s: request %llu, %s of person %u: ", wrong_names[what],
		(unsigned long long)r->number, kind_names[r->kind], r->person);
	va_list v;
	va_start(v, text);
	vsnprintf(out + at, EXAMPLE_SIZE - (size_t)at, text, v);
	va_end(v);
	return false;
}

/* --- one message --- */

struct seen {
	struct say say;
	int64_t pub_date;
	bool foreign; /* was there before this run */
};

static bool date_right(const struct request *r, const struct seen *x)
{
	const struct said *said = &m.persons[x->say.person].said[x->say.nth];
	if (x->pub_date >= said->begun_s && x->pub_date <= said->ended_s && x->pub_date <= wall_s())
		return true;
	return is_wrong(r, WRONG_DATE, "message %u of %u to %u is dated %lld", x->say.number,
	    said->begun_s, said->ended_s, (long long)x->pub_date);
}

/* The row is exactly what its numbers say, and said by whom they say. */
static bool message_right(
    const struct request *r, const struct scan_message *x, const struct say *s)
{
	char text[SAY_TEXT_SIZE];
	const struct person *p = &m.persons[s->person < PERSONS_MAX ? s->person : 0];
	if (s->person >= m.person_count || s->nth >= p->said_count ||
	    p->said[s->nth].number != s->number)
		return is_wrong(r, WRONG_CONTENT, "nobody said '%.80s'", x->content.bytes);
	size_t n = say_text(*s, text);
	if (n != x->content.n || memcmp(text, x->content.bytes, n) != 0)
		return is_wrong(r, WRONG_CONTENT, "'%.*s' instead of '%.*s'",
		    (int)(x->content.n % 120), x->content.bytes, (int)(n % 120), text);
	if (x->user.n != p->name_n || memcmp(p->name, x->user.bytes, p->name_n) != 0)
		return is_wrong(r, WRONG_CONTENT, "message %u is said to be %.*s's", s->number,
		    (int)(x->user.n % 120), x->user.bytes);
	return true;
}

/* Reads a row and judges it; what was right once is right by its bytes, all but its date. */
static bool row_right(const struct request *r, struct scan *s, struct seen *ret)
{
	static struct scan_message x;
	const struct row *known = rows_find(s->p, s->end);
	if (known) {
		*ret = (struct seen){.say = known->say, .pub_date = known->pub_date};
		s->p += known->n;
		return date_right(r, ret);
	}
	const char *from = s->p;
	if (!scan_message(s, &x))
		return is_wrong(r, WRONG_SHAPE, "a row is no message");
	ret->pub_date = x.pub_date;
	ret->foreign = !say_read(x.content.bytes, x.content.n, &ret->say);
	if (ret->foreign)
		return true;
	if (!message_right(r, &x, &ret->say))
		return false;
	rows_keep(from, (size_t)(s->p - from), ret->say, ret->pub_date);
	return date_right(r, ret);
}

/* --- what one person said --- */

/* The newest `count` of them, newest first, none left out: it begins with one that was the newest
 * at some moment of the request. */
static bool person_row(const struct request *r, const struct seen *x, size_t at, uint32_t *next)
{
	const struct person *p = &m.persons[r->person];
	if (x->foreign || x->say.person != r->person)
		return is_wrong(r, WRONG_CONTENT, "row %zu is not theirs", at);
	if (at > 0 && x->say.nth != *next)
		return is_wrong(r,
		    *next == UINT32_MAX || x->say.nth > *next ? WRONG_ORDER : WRONG_MISSING,
		    "row %zu is their message %u instead of %u (of %u)", at, x->say.nth, *next,
		    p->said_count);
	*next = x->say.nth - 1;
	return true;
}

static bool person_right(const struct request *r, struct scan *s)
{
	struct seen seen = {0};
	size_t n = 0;
	uint32_t next = 0, newest = 0;
	if (!scan_take(s, '['))
		return is_wrong(r, WRONG_SHAPE, "no array");
	for (; scan_more(s, n); n++) {
		if (!row_right(r, s, &seen) || !person_row(r, &seen, n, &next))
			return false;
		newest = n == 0 ? seen.say.nth + 1 : newest;
	}
	if (!scan_over(s))
		return is_wrong(r, WRONG_SHAPE, "row %zu is none", n);
	if (newest < r->acked)
		return is_wrong(r, WRONG_STALE, "the newest is number %u of %u", newest, r->acked);
	size_t wanted = r->count < 0 || newest < r->count ? newest : (size_t)r->count;
	if (n != wanted)
		return is_wrong(r, WRONG_MISSING, "%zu messages instead of %zu", n, wanted);
	return true;
}

/* --- what everybody said --- */

struct public
{
	const struct request *r;
	size_t rows, own;
	uint64_t first_end; /* the lowest tick at which one of the rows had been acknowledged */
	int64_t date;
};

static bool public_row(struct public *x, const struct seen *row)
{
	const struct request *r = x->r;
	if (row->pub_date > x->date)
		return is_wrong(
		    r, WRONG_ORDER, "row %zu is younger by its date than the one above", x->rows);
	x->date = row->pub_date;
	if (row->foreign)
		return true;
	if (x->own != x->rows)
		return is_wrong(
		    r, WRONG_ORDER, "row %zu is below one that was there before this run", x->rows);
	x->own++;
	struct post *p = model_post(row->say.number);
	if (!p)
		return is_wrong(r, WRONG_STALE, "message %u is long past, there are %u",
		    row->say.number, m.post_count);
	if (p->mark == r->begun)
		return is_wrong(r, WRONG_ORDER, "message %u is shown twice", row->say.number);
	/* One above it had been acknowledged before this one was begun. */
	if (x->first_end < p->begun)
		return is_wrong(
		    r, WRONG_ORDER, "message %u is below an older one", row->say.number);
	p->mark = r->begun;
	x->first_end = p->ended < x->first_end ? p->ended : x->first_end;
	return true;
}

/* Nothing is left out that had been acknowledged before the request, and is newer for certain than
 * a row that is shown; or, with fewer rows than asked for, nothing at all. */
static bool public_whole(const struct public *x)
{
	const struct request *r = x->r;
	bool full = r->count >= 0 && x->rows >= (size_t)r->count;
	uint64_t from = full && x->own == x->rows ? x->first_end : 0;
	for (uint32_t n = m.post_count; n-- > 0;) {
		const struct post *p = model_post(n);
		if (!p || p->begun <= from)
			return true;
		if (p->ended < r->begun && p->mark != r->begun)
			return is_wrong(
			    r, WRONG_STALE, "message %u of person %u is not there", n, p->person);
	}
	return true;
}

static bool public_right(const struct request *r, struct scan *s)
{
	struct public all = {.r = r, .first_end = NEVER, .date = INT64_MAX};
	struct seen seen = {0};
	if (!scan_take(s, '['))
		return is_wrong(r, WRONG_SHAPE, "no array");
	for (; scan_more(s, all.rows); all.rows++)
		if (!row_right(r, s, &seen) || !public_row(&all, &seen))
			return false;
	if (!scan_over(s))
		return is_wrong(r, WRONG_SHAPE, "row %zu is none", all.rows);
	if (r->count >= 0 && all.rows > (size_t)r->count)
		return is_wrong(r, WRONG_SHAPE, "%zu rows where %lld were asked for", all.rows,
		    (long long)r->count);
	return public_whole(&all);
}

/* --- the rest --- */

static bool follows_right(const struct request *r, struct scan *s)
{
	static struct scan_text name;
	const struct person *p = &m.persons[r->person];
	size_t n = 0;
	if (!scan_take(s, '{') || !scan_string(s, &name) || name.n != 7 ||
	    memcmp(name.bytes, "follows", 7) != 0 || !scan_take(s, ':') || !scan_take(s, '['))
		return is_wrong(r, WRONG_SHAPE, "no object of follows");
	for (; scan_more(s, n) && scan_string(s, &name); n++) {
		const struct person *whom = n < p->follow_count ? &m.persons[p->follows[n]] : NULL;
		if (!whom || whom->name_n != name.n || memcmp(whom->name, name.bytes, name.n) != 0)
			return is_wrong(r, WRONG_FOLLOWS, "%zu of %u is '%.*s' instead of '%s'", n,
			    p->follow_count, (int)(name.n % 120), name.bytes,
			    whom ? whom->name : "nobody");
	}
	if (!scan_take(s, '}') || !scan_over(s))
		return is_wrong(r, WRONG_SHAPE, "name %zu is none", n);
	if (n != p->follow_count)
		return is_wrong(r, WRONG_FOLLOWS, "%zu instead of %u", n, p->follow_count);
	return true;
}

/* The number of a request after which no other had come for certain when this one was begun. */
static bool latest_right(const struct request *r, struct scan *s)
{
	static struct scan_text name;
	int64_t v = 0;
	if (!scan_take(s, '{') || !scan_string(s, &name) || name.n != 6 ||
	    memcmp(name.bytes, "latest", 6) != 0 || !scan_take(s, ':') || !scan_i64(s, &v) ||
	    !scan_take(s, '}') || !scan_over(s))
		return is_wrong(r, WRONG_SHAPE, "no object of latest");
	if (v < 1 || (uint64_t)v > m.requests)
		return is_wrong(
		    r, WRONG_LATEST, "%lld of %llu", (long long)v, (unsigned long long)m.requests);
	if (m.requests - (uint64_t)v >= RECENT || m.latest[v % RECENT].ended < r->floor)
		return is_wrong(r, WRONG_LATEST, "%lld is not the last of %llu", (long long)v,
		    (unsigned long long)m.requests);
	return true;
}

static bool has(const struct answer *a, const char *text)
{
	return memmem(a->body, a->body_n, text, strlen(text)) != NULL;
}

static bool refused_right(const struct request *r, const struct answer *a)
{
	if (r->refusal == REFUSE_STRANGER &&
	    !has(a, "You are not authorized to use this resource!"))
		return is_wrong(r, WRONG_SHAPE, "a 403 without its text");
	if (r->refusal == REFUSE_TAKEN && !has(a, "The username is already taken"))
		return is_wrong(r, WRONG_SHAPE, "a 400 without its text");
	return true;
}

bool check(const struct request *r, const struct answer *a)
{
	struct scan s = {.p = a->body, .end = a->body + a->body_n};
	if (a->status != r->status)
		return is_wrong(r, WRONG_STATUS, "%d instead of %d: %.*s", a->status, r->status,
		    (int)(a->body_n < 200 ? a->body_n : 200), a->body);
	switch (r->kind) {
	case KIND_USER:
		return person_right(r, &s);
	case KIND_PUBLIC:
		return public_right(r, &s);
	case KIND_FOLLOWS:
		return follows_right(r, &s);
	case KIND_LATEST:
		return latest_right(r, &s);
	case KIND_REFUSED:
		return refused_right(r, a);
	case KIND_REGISTER:
	case KIND_POST:
	case KIND_FOLLOW:
	case KIND_UNFOLLOW:
	case KIND_COUNT:
	default:
		return a->body_n == 0 ? true : is_wrong(r, WRONG_SHAPE, "a 204 with a body");
	}
}
