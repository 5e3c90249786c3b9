/* The journal's format: segments of records. Pure functions over bytes. All numbers little-endian.
 *
 * A segment is a file, `%08u` of its number from 1, of a fixed size that is a multiple of 4,096
 * bytes. It is made of zeros and synced before it gets its name, so writing into it changes no
 * metadata. Its first block:
 *
 *   offset size
 *        0    8  "SLIPJRN1"
 *        8    4  version: 1
 *       12    4  number of the segment
 *       16    8  size of the file in bytes
 *       24    8  salt: random; seeds every checksum of the segment, so that nobody who sends
 *                 bodies can make bytes that pass as a record, and what a block held
 *                 before never does
 *       32    4  CRC-32C of the 32 bytes before
 *
 * Its second block is a copy of the first. Records follow from offset 8,192. Those of one group
 * stand behind each other, each at a multiple of 8; a group begins at a multiple of 4,096 and is
 * padded with zeros up to the next. So a group that was synced is never written over, whatever the
 * device's sector.
 *
 *        0    4  CRC-32C of the salt (8 bytes), then of all that follows up to `length`
 *        4    4  length: of the whole record in bytes, padding not counted; at least 32
 *        8    8  sequence: from 1, rising within and over segments, never used twice
 *       16    8  id: of the event; the sequence, or that of the event whose further attempt this is
 *       24    2  key bytes
 *       26    2  meta bytes
 *       28    4  zero
 *       32       key, meta, body
 */
#pragma once

#include "base/err.h"
#include "base/str.h"

#define RECORD_BLOCK_BYTES 4096u
#define RECORD_HEAD_BYTES 32u
#define RECORD_KEY_MAX 512u
#define RECORD_META_MAX 8192u
#define RECORD_BODY_MAX (25u << 20)
#define RECORD_LENGTH_MAX (RECORD_HEAD_BYTES + RECORD_KEY_MAX + RECORD_META_MAX + RECORD_BODY_MAX)
#define SEGMENT_HEAD_BYTES 36u
#define SEGMENT_RECORDS_AT (2 * RECORD_BLOCK_BYTES)
#define SEGMENT_SIZE_MAX (1u << 30)

struct segment_head {
	uint32_t number;
	uint64_t size_bytes, salt;
};
void segment_pack(const struct segment_head *h, uint8_t out[SEGMENT_HEAD_BYTES]);
/* 0, or -1 with ERR_INVALID: not a segment, of another version, damaged, or sizes that cannot be.
 */
int segment_unpack(
    const uint8_t in[SEGMENT_HEAD_BYTES], struct segment_head *ret, struct err *e) WARN_UNUSED;

struct record_head {
	uint32_t crc, length;
	uint64_t sequence, id;
	uint16_t key_bytes, meta_bytes;
};
/* The head of a record with these parts; its checksum covers them. */
struct record_head record_make(uint64_t salt, uint64_t sequence, uint64_t id, struct str key,
    struct str meta, struct str body);
void record_pack(const struct record_head *h, uint8_t out[RECORD_HEAD_BYTES]);
/* True when the head can be one: its lengths are possible and fit into `room_bytes`, sequence and
 * id are not 0. Says nothing of the checksum. */
bool record_unpack(
    const uint8_t in[RECORD_HEAD_BYTES], uint64_t room_bytes, struct record_head *ret);
/* The checksum of a record, in pieces: begin with its packed head, go on with what follows it. */
uint32_t record_crc_begin(uint64_t salt, const uint8_t head[RECORD_HEAD_BYTES]);
uint64_t record_round(uint64_t n, uint64_t to); /* up; `to` is a power of two */
