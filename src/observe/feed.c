#include "observe/feed.h"

#include "base/clock.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

/* Topics live in a small chained table; a message is one allocation. Everything but the hop in
 * feed_publish happens on the loop thread, so nothing here is locked. */

enum { RING = 256, TABLE = 256, IDLE_MS = 10 * 60 * 1000, ENDED_MS = 5000 };

struct message {
	uint64_t id;
	struct str event, data; /* point behind the struct */
};

struct topic {
	struct topic *next;
	char *name;
	struct message *ring[RING];
	uint64_t last_id; /* the newest message has this id; 0: none yet */
	int64_t used_ms;
	bool ended; /* nothing more comes: kept only for who was about to watch */
	struct feed_watch *watches;
};

struct feed_watch {
	struct feed_watch *next;
	struct topic *topic;
	struct feed *feed;
	feed_fn *fn;
	void *ctx;
	bool dead; /* freed while its topic is being delivered */
};

struct feed {
	struct loop *loop;
	struct topic *table[TABLE];
	struct loop_timer *sweep;
	unsigned delivering;
	bool has_dead;
};

struct posted {
	struct feed *feed;
	struct str topic, event, data;
};

static void topic_sweep(void *ctx);

static unsigned topic_slot(struct str name)
{
	uint32_t h = 2166136261u;
	for (size_t i = 0; i < name.n; i++)
		h = (h ^ (uint8_t)name.p[i]) * 16777619u;
	return h % TABLE;
}

static struct topic *topic_of(struct feed *f, struct str name)
{
	struct topic **at = &f->table[topic_slot(name)];
	for (struct topic *t = *at; t; t = t->next)
		if (str_eq_c(name, t->name)) {
			t->used_ms = clock_mono_ms();
			return t;
		}
	struct topic *t = mem_alloc(sizeof(*t));
	t->name = mem_dup(name);
	t->used_ms = clock_mono_ms();
	t->next = *at;
	*at = t;
	return t;
}

static void topic_free(struct topic *t)
{
	for (int i = 0; i < RING; i++)
		free(t->ring[i]);
	free(t->name);
	free(t);
}

struct feed *feed_new(struct loop *l)
{
	struct feed *f = mem_alloc(sizeof(*f));
	f->loop = l;
	f->sweep = loop_timer_new(l, topic_sweep, f);
	loop_timer_at(f->sweep, clock_mono_ms() + IDLE_MS);
	return f;
}

void feed_free(struct feed *f)
{
	if (!f)
		return;
	loop_timer_free(f->sweep);
	for (int i = 0; i < TABLE; i++)
		while (f->table[i]) {
			struct topic *t = f->table[i];
			f->table[i] = t->next;
			while (t->watches) {
				struct feed_watch *w = t->watches;
				t->watches = w->next;
				free(w);
			}
			topic_free(t);
		}
	free(f);
}

static void topic_sweep(void *ctx)
{
	struct feed *f = ctx;
	int64_t now = clock_mono_ms(), next = IDLE_MS;
	for (int i = 0; i < TABLE; i++)
		for (struct topic **at = &f->table[i]; *at;) {
			struct topic *t = *at;
			if (t->watches || now - t->used_ms < (t->ended ? ENDED_MS : IDLE_MS)) {
				next = t->ended ? ENDED_MS : next;
				at = &t->next;
				continue;
			}
			*at = t->next;
			topic_free(t);
		}
	loop_timer_at(f->sweep, now + next);
}

static void watches_bury(struct topic *t)
{
	for (struct feed_watch **at = &t->watches; *at;) {
		struct feed_watch *w = *at;
		if (!w->dead) {
			at = &w->next;
			continue;
		}
		*at = w->next;
		free(w);
	}
}

static void message_deliver(struct feed *f, struct str topic, struct str event, struct str data)
{
	struct topic *t = topic_of(f, topic);
	struct message *m = mem_alloc(sizeof(*m) + event.n + data.n + 2);
	char *p = (char *)(m + 1);
	memcpy(p, event.p, event.n);
	m->event = (struct str){p, event.n};
	p += event.n + 1;
	memcpy(p, data.p, data.n);
	m->data = (struct str){p, data.n};
	m->id = ++t->last_id;
	free(t->ring[m->id % RING]);
	t->ring[m->id % RING] = m;
	if (str_eq(event, STR("end"))) {
		t->ended = true;
		loop_timer_at(f->sweep, clock_mono_ms() + ENDED_MS);
	} else {
		t->ended = false;
	}
	f->delivering++;
	for (struct feed_watch *w = t->watches; w; w = w->next)
		if (!w->dead)
			w->fn(w->ctx, m->id, m->event, m->data);
	if (--f->delivering == 0 && f->has_dead) {
		f->has_dead = false;
		for (int i = 0; i < TABLE; i++)
			for (struct topic *o = f->table[i]; o; o = o->next)
				watches_bury(o);
	}
}

static void posted_deliver(void *ctx)
{
	struct posted *p = ctx;
	message_deliver(p->feed, p->topic, p->event, p->data);
	free(p);
}

void feed_publish(struct feed *f, struct str topic, struct str event, struct str data)
{
	if (loop_on_thread(f->loop)) {
		message_deliver(f, topic, event, data);
		return;
	}
	struct posted *p = mem_alloc(sizeof(*p) + topic.n + event.n + data.n + 3);
	char *at = (char *)(p + 1);
	p->feed = f;
	struct str *to[] = {&p->topic, &p->event, &p->data};
	struct str from[] = {topic, event, data};
	for (int i = 0; i < 3; i++) {
		memcpy(at, from[i].p, from[i].n);
		*to[i] = (struct str){at, from[i].n};
		at += from[i].n + 1;
	}
	loop_post(f->loop, posted_deliver, p);
}

void feed_forget(struct feed *f, struct str topic)
{
	for (struct topic *t = f->table[topic_slot(topic)]; t; t = t->next)
		for (int i = 0; i < RING && str_eq_c(topic, t->name); i++) {
			free(t->ring[i]);
			t->ring[i] = NULL;
		}
}

struct feed_watch *feed_watch_new(
    struct feed *f, struct str topic, uint64_t after, feed_fn *fn, void *ctx)
{
	struct topic *t = topic_of(f, topic);
	struct feed_watch *w = mem_alloc(sizeof(*w));
	*w = (struct feed_watch){.topic = t, .feed = f, .fn = fn, .ctx = ctx};
	uint64_t oldest = t->last_id > RING ? t->last_id - RING + 1 : 1;
	for (uint64_t id = after + 1 > oldest ? after + 1 : oldest; id <= t->last_id; id++) {
		const struct message *m = t->ring[id % RING];
		if (m) /* not forgotten */
			fn(ctx, m->id, m->event, m->data);
	}
	w->next = t->watches;
	t->watches = w;
	return w;
}

void feed_watch_free(struct feed_watch *w)
{
	if (!w)
		return;
	w->dead = true;
	if (w->feed->delivering == 0)
		watches_bury(w->topic);
	else
		w->feed->has_dead = true;
}
