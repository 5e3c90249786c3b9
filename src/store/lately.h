/* The heads of the records that became durable last, in memory: who drains soon after need not read
 * them, and the bodies between them, from the disk again. Not for other rooms. */
#pragma once

#include "store/journal.h"

#define LATELY_RECORDS 8192u   /* the last so many */
#define LATELY_TEXT_BYTES 192u /* of key and meta together; a longer record is not kept */

struct lately;

struct lately *lately_new(void);
void lately_free(struct lately *l); /* NULL is fine */
/* The entries up to, not including, `end` that were written to that segment, durable now; repeats were not. Copies keys and
 * metas. */
void lately_put(struct lately *l, uint32_t segment, const struct journal_entry *first,
    const struct journal_entry *end);
/* The record of that sequence: its strings go to `text`. False: it is not among the last, or was not
 * kept. Any thread. */
bool lately_get(
    struct lately *l, uint64_t sequence, char text[LATELY_TEXT_BYTES], struct journal_record *ret);
