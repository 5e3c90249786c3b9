/* Answers about one user, kept as the bytes that are sent, for as long as the board says that they
 * are true and the memory set aside for them lasts (the least recently used go first). Loop thread
 * only. */
#pragma once

#include "minitwit/board.h"

enum pages_kind { PAGES_MSGS, PAGES_FOLLOWS, PAGES_KIND_COUNT };

struct pages;
/* max_bytes 0 keeps nothing. */
struct pages *pages_new(const struct board *b, size_t max_bytes);
void pages_free(struct pages *p); /* NULL is fine */
/* The answer, valid until the next call; STR_NONE when there is none that is still true. */
struct str pages_get(struct pages *p, enum pages_kind kind, struct str user, int64_t count);
/* `stamp` was taken before the answer's snapshot. */
void pages_put(struct pages *p, enum pages_kind kind, struct str user, int64_t count,
    struct board_stamp stamp, struct str answer);
size_t pages_bytes(const struct pages *p);
