#include "queue/delivery.h"

#include <string.h>

#define META_HEAD 18u
#define VERSION 1u
enum { TRIGGERS = 1, ACTS = 2, PULL = 4, STRANGER = 8, FLAGS = 15 };
#define PARTS 4

static void put(char *p, size_t bytes, uint64_t v)
{
	for (size_t i = 0; i < bytes; i++)
		p[i] = (char)(uint8_t)(v >> (8 * i));
}

static uint64_t get(const char *p, size_t bytes)
{
	uint64_t v = 0;
	for (size_t i = 0; i < bytes; i++)
		v |= (uint64_t)(uint8_t)p[i] << (8 * i);
	return v;
}

struct model_event delivery_event(const struct queue_delivery *d)
{
	return (struct model_event){.hook_id = d->hook_id,
	    .project_id = d->project_id,
	    .delivery_key = d->key,
	    .received_ms = d->received_ms,
	    .kind = d->kind,
	    .ref = d->ref,
	    .before = d->before,
	    .after = d->after};
}

struct str delivery_key(
    int64_t hook_id, struct str key, char to[DELIVERY_KEY_HEAD + DELIVERY_KEY_MAX])
{
	put(to, DELIVERY_KEY_HEAD, (uint64_t)hook_id);
	memcpy(to + DELIVERY_KEY_HEAD, key.p, key.n);
	return (struct str){to, DELIVERY_KEY_HEAD + key.n};
}

int delivery_pack(
    const struct queue_delivery *d, struct arena *a, struct delivery_packed *ret, struct err *e)
{
	const struct str parts[PARTS] = {d->kind, d->ref, d->before, d->after};
	size_t n = META_HEAD;
	for (int i = 0; i < PARTS; i++)
		n += 2 + parts[i].n;
	char *to = n <= 4096 && d->key.n <= DELIVERY_KEY_MAX
		       ? arena_alloc(a, n + DELIVERY_KEY_HEAD + d->key.n)
		       : NULL;
	if (!to)
		return err_set(
		    e, ERR_TOO_LARGE, "the delivery says more of itself than can be kept");
	ret->key = delivery_key(d->hook_id, d->key, to);
	to += ret->key.n;
	ret->meta = (struct str){to, n};
	put(to, 1, VERSION);
	put(to + 1, 1,
	    (d->triggers ? TRIGGERS : 0u) | (d->acts ? ACTS : 0u) | (d->pull ? PULL : 0u) |
		(d->stranger ? STRANGER : 0u));
	put(to + 2, 8, (uint64_t)d->project_id);
	put(to + 10, 8, (uint64_t)d->received_ms);
	to += META_HEAD;
	for (int i = 0; i < PARTS; i++) {
		put(to, 2, parts[i].n);
		if (parts[i].n)
			memcpy(to + 2, parts[i].p, parts[i].n);
		to += 2 + parts[i].n;
	}
	return 0;
}

static bool take(struct str *left, struct str *ret)
{
	size_t n = left->n >= 2 ? (size_t)get(left->p, 2) : SIZE_MAX;
	if (n > left->n - 2 || left->n < 2)
		return false;
	*ret = str_slice(*left, 2, n);
	*left = (struct str){left->p + 2 + n, left->n - 2 - n};
	return true;
}

int delivery_unpack(struct str key, struct str meta, struct queue_delivery *ret, struct err *e)
{
	*ret = (struct queue_delivery){0};
	struct str *parts[PARTS] = {&ret->kind, &ret->ref, &ret->before, &ret->after};
	bool ok = key.n > DELIVERY_KEY_HEAD && meta.n >= META_HEAD && get(meta.p, 1) == VERSION &&
		  (get(meta.p + 1, 1) & ~(uint64_t)FLAGS) == 0;
	if (!ok)
		return err_set(e, ERR_INVALID, "a record of the journal holds no delivery");
	ret->hook_id = (int64_t)get(key.p, 8);
	ret->key = (struct str){key.p + DELIVERY_KEY_HEAD, key.n - DELIVERY_KEY_HEAD};
	uint64_t flags = get(meta.p + 1, 1);
	ret->triggers = flags & TRIGGERS;
	ret->acts = flags & ACTS;
	ret->pull = flags & PULL;
	ret->stranger = flags & STRANGER;
	ret->project_id = (int64_t)get(meta.p + 2, 8);
	ret->received_ms = (int64_t)get(meta.p + 10, 8);
	struct str left = {meta.p + META_HEAD, meta.n - META_HEAD};
	for (int i = 0; ok && i < PARTS; i++)
		ok = take(&left, parts[i]);
	return ok && left.n == 0
		   ? 0
		   : err_set(e, ERR_INVALID, "a record of the journal holds no whole delivery");
}
