#include "store/record.h"

#include "base/crc32c.h"

#include <string.h>

#define VERSION 1u
#define SEGMENT_CRC_AT 32u

static const char magic[8] = "SLIPJRN1";

static void put(uint8_t *p, size_t bytes, uint64_t v)
{
	for (size_t i = 0; i < bytes; i++)
		p[i] = (uint8_t)(v >> (8 * i));
}

static uint64_t get(const uint8_t *p, size_t bytes)
{
	uint64_t v = 0;
	for (size_t i = 0; i < bytes; i++)
		v |= (uint64_t)p[i] << (8 * i);
	return v;
}

static struct str bytes_of(const uint8_t *p, size_t n)
{
	return (struct str){(const char *)p, n};
}

uint64_t record_round(uint64_t n, uint64_t to)
{
	return (n + to - 1) & ~(to - 1);
}

void segment_pack(const struct segment_head *h, uint8_t out[SEGMENT_HEAD_BYTES])
{
	memcpy(out, magic, sizeof(magic));
	put(out + 8, 4, VERSION);
	put(out + 12, 4, h->number);
	put(out + 16, 8, h->size_bytes);
	put(out + 24, 8, h->salt);
	put(out + SEGMENT_CRC_AT, 4, crc32c(0, bytes_of(out, SEGMENT_CRC_AT)));
}

int segment_unpack(const uint8_t in[SEGMENT_HEAD_BYTES], struct segment_head *ret, struct err *e)
{
	if (memcmp(in, magic, sizeof(magic)) != 0)
		return err_set(e, ERR_INVALID, "it is not a segment of the journal");
	if (get(in + SEGMENT_CRC_AT, 4) != crc32c(0, bytes_of(in, SEGMENT_CRC_AT)))
		return err_set(e, ERR_INVALID, "its first block is damaged");
	if (get(in + 8, 4) != VERSION)
		return err_set(e, ERR_UNSUPPORTED, "it is of version %u, which is not known",
		    (unsigned)get(in + 8, 4));
	ret->number = (uint32_t)get(in + 12, 4);
	ret->size_bytes = get(in + 16, 8);
	ret->salt = get(in + 24, 8);
	if (ret->number == 0 || ret->size_bytes < SEGMENT_RECORDS_AT + RECORD_BLOCK_BYTES ||
	    ret->size_bytes > SEGMENT_SIZE_MAX || ret->size_bytes % RECORD_BLOCK_BYTES != 0)
		return err_set(e, ERR_INVALID, "its number or size cannot be");
	return 0;
}

static void pack_rest(const struct record_head *h, uint8_t out[RECORD_HEAD_BYTES])
{
	put(out + 4, 4, h->length);
	put(out + 8, 8, h->sequence);
	put(out + 16, 8, h->id);
	put(out + 24, 2, h->key_bytes);
	put(out + 26, 2, h->meta_bytes);
	put(out + 28, 4, 0);
}

uint32_t record_crc_begin(uint64_t salt, const uint8_t head[RECORD_HEAD_BYTES])
{
	uint8_t seed[8];
	put(seed, sizeof(seed), salt);
	return crc32c(
	    crc32c(0, bytes_of(seed, sizeof(seed))), bytes_of(head + 4, RECORD_HEAD_BYTES - 4));
}

struct record_head record_make(
    uint64_t salt, uint64_t sequence, uint64_t id, struct str key, struct str meta, struct str body)
{
	struct record_head h = {.length = (uint32_t)(RECORD_HEAD_BYTES + key.n + meta.n + body.n),
	    .sequence = sequence,
	    .id = id,
	    .key_bytes = (uint16_t)key.n,
	    .meta_bytes = (uint16_t)meta.n};
	uint8_t packed[RECORD_HEAD_BYTES];
	pack_rest(&h, packed);
	h.crc = crc32c(crc32c(crc32c(record_crc_begin(salt, packed), key), meta), body);
	return h;
}

void record_pack(const struct record_head *h, uint8_t out[RECORD_HEAD_BYTES])
{
	put(out, 4, h->crc);
	pack_rest(h, out);
}

bool record_unpack(
    const uint8_t in[RECORD_HEAD_BYTES], uint64_t room_bytes, struct record_head *ret)
{
	*ret = (struct record_head){
	    .crc = (uint32_t)get(in, 4),
	    .length = (uint32_t)get(in + 4, 4),
	    .sequence = get(in + 8, 8),
	    .id = get(in + 16, 8),
	    .key_bytes = (uint16_t)get(in + 24, 2),
	    .meta_bytes = (uint16_t)get(in + 26, 2),
	};
	uint32_t parts = RECORD_HEAD_BYTES + (uint32_t)ret->key_bytes + ret->meta_bytes;
	return ret->length >= parts && ret->length - parts <= RECORD_BODY_MAX &&
	       ret->length <= room_bytes && ret->key_bytes <= RECORD_KEY_MAX &&
	       ret->meta_bytes <= RECORD_META_MAX && ret->sequence > 0 && ret->id > 0 &&
	       ret->sequence <= INT64_MAX && ret->id <= ret->sequence && get(in + 28, 4) == 0;
}
