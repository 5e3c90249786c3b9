/* rooms: base loop text store model queue */
/* covers: store/record.c queue/delivery.c */
/* Any bytes as a segment's head, as a record and as a delivery: what is accepted is packed again to
 * the same bytes, and lies within what was given. */
#include "queue/delivery.h"
#include "store/record.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(int ok)
{
	if (!ok)
		abort();
}

static void as_segment(const uint8_t *data)
{
	struct segment_head h;
	uint8_t again[SEGMENT_HEAD_BYTES];
	struct err e;
	if (segment_unpack(data, &h, &e) != 0)
		return;
	segment_pack(&h, again);
	must(memcmp(again, data, sizeof(again)) == 0);
}

static void as_delivery(struct str key, struct str meta)
{
	struct queue_delivery d, back;
	struct delivery_packed p;
	struct arena a;
	struct err e;
	if (delivery_unpack(key, meta, &d, &e) != 0)
		return;
	must(str_eq(delivery_event(&d).delivery_key, d.key));
	arena_init(&a, 1 << 16);
	if (delivery_pack(&d, &a, &p, &e) == 0) {
		must(str_eq(p.key, key) && str_eq(p.meta, meta));
		must(delivery_unpack(p.key, p.meta, &back, &e) == 0);
	}
	arena_fini(&a);
}

static void as_record(const uint8_t *data, size_t size)
{
	struct record_head h;
	uint8_t again[RECORD_HEAD_BYTES];
	if (!record_unpack(data, size, &h))
		return;
	record_pack(&h, again);
	must(memcmp(again, data, sizeof(again)) == 0);
	must(
	    h.length <= size && RECORD_HEAD_BYTES + (size_t)h.key_bytes + h.meta_bytes <= h.length);
	const char *p = (const char *)data + RECORD_HEAD_BYTES;
	struct str key = {p, h.key_bytes}, meta = {p + h.key_bytes, h.meta_bytes};
	size_t parts = RECORD_HEAD_BYTES + key.n + meta.n;
	struct str body = {(const char *)data + parts, h.length - parts};
	/* what the platform makes of the same parts is the same but for the checksum, and fits */
	struct record_head own = record_make(h.crc, h.sequence, h.id, key, meta, body);
	own.crc = h.crc;
	record_pack(&own, again);
	must(memcmp(again, data, sizeof(again)) == 0);
	must(record_round(h.length, 8) >= h.length && record_round(h.length, 8) % 8 == 0);
	as_delivery(key, meta);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size >= SEGMENT_HEAD_BYTES)
		as_segment(data);
	if (size >= RECORD_HEAD_BYTES)
		as_record(data, size);
	return 0;
}
