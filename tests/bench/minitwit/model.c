#include "model.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

struct model m;

int64_t wall_s(void)
{
	struct timespec t;
	clock_gettime(CLOCK_REALTIME, &t);
	return t.tv_sec;
}

void model_open(void)
{
	m.persons = calloc(PERSONS_MAX, sizeof(*m.persons));
	m.known = calloc(PERSONS_MAX, sizeof(*m.known));
	m.posts = calloc(RECENT, sizeof(*m.posts));
	m.latest = calloc(RECENT, sizeof(*m.latest));
	if (!m.persons || !m.known || !m.posts || !m.latest)
		die("memory");
}

uint32_t model_person_new(void)
{
	uint32_t n = m.person_count++;
	m.persons[n].name_n = say_name(n, m.persons[n].name);
	return n;
}

struct post *model_post(uint32_t number)
{
	if (number >= m.post_count || m.post_count - number > RECENT)
		return NULL;
	return &m.posts[number % RECENT];
}

static void post_begin(struct request *r)
{
	struct person *p = &m.persons[r->person];
	if (p->said_count == p->said_room) {
		p->said_room = p->said_room ? p->said_room * 2 : 16;
		p->said = realloc(p->said, p->said_room * sizeof(*p->said));
		if (!p->said)
			die("memory");
	}
	p->posting = true;
	r->nth = p->said_count++;
	p->said[r->nth] = (struct said){m.post_count, (uint32_t)wall_s(), UINT32_MAX};
	m.posts[m.post_count++ % RECENT] =
	    (struct post){.person = r->person, .nth = r->nth, .begun = m.tick, .ended = NEVER};
}

void model_begin(struct request *r)
{
	struct person *p = &m.persons[r->person];
	r->begun = ++m.tick;
	r->floor = m.latest_floor;
	r->acked = p->acked;
	r->acked_all = m.acked_all;
	if (r->number) {
		r->number = ++m.requests;
		m.latest[r->number % RECENT].begun = m.tick;
		m.latest[r->number % RECENT].ended = NEVER;
	}
	if (r->kind == KIND_POST)
		post_begin(r);
	else if (r->kind == KIND_FOLLOW || r->kind == KIND_UNFOLLOW)
		p->moving = true;
	else if (r->kind == KIND_FOLLOWS)
		p->reading++;
}

static void post_done(const struct request *r, struct person *p)
{
	struct post *post = model_post(p->said[r->nth].number);
	p->said[r->nth].ended_s = (uint32_t)wall_s();
	p->acked = r->nth + 1;
	m.acked_all++;
	if (post)
		post->ended = m.tick;
}

static void unfollow_done(const struct request *r, struct person *p)
{
	uint32_t i = 0;
	while (i < p->follow_count && p->follows[i] != r->whom)
		i++;
	if (i == p->follow_count)
		return;
	p->follow_count--;
	memmove(p->follows + i, p->follows + i + 1, (p->follow_count - i) * sizeof(p->follows[0]));
}

static void release(const struct request *r, struct person *p)
{
	if (r->kind == KIND_POST)
		p->posting = false;
	else if (r->kind == KIND_FOLLOW || r->kind == KIND_UNFOLLOW)
		p->moving = false;
	else if (r->kind == KIND_FOLLOWS)
		p->reading--;
}

void model_done(const struct request *r)
{
	struct person *p = &m.persons[r->person];
	release(r, p);
	if (r->number) {
		m.latest[r->number % RECENT].ended = m.tick;
		if (r->begun > m.latest_floor)
			m.latest_floor = r->begun;
	}
	if (r->kind == KIND_REGISTER)
		m.known[m.known_count++] = r->person;
	else if (r->kind == KIND_POST)
		post_done(r, p);
	else if (r->kind == KIND_FOLLOW)
		p->follows[p->follow_count++] = r->whom;
	else if (r->kind == KIND_UNFOLLOW)
		unfollow_done(r, p);
}

void model_failed(const struct request *r)
{
	struct person *p = &m.persons[r->person];
	release(r, p);
	if (r->kind != KIND_POST && r->kind != KIND_FOLLOW && r->kind != KIND_UNFOLLOW)
		return;
	p->unsure = true;
	for (uint32_t i = 0; i < m.known_count; i++)
		if (m.known[i] == r->person)
			m.known[i--] = m.known[--m.known_count];
}
