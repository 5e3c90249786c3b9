/* Answers about one user, kept as the bytes that are sent, for as long as the board says that they
 * are true and the memory set aside for them lasts (the least recently used go first). Loop thread
 * only. */
#pragma once

#include "minitwit/board.h"

struct pages;
/* max_bytes 0 keeps nothing. */
struct pages *pages_new(const struct board *b, size_t max_bytes);
void pages_free(struct pages *p); /* NULL is fine */
/* The answer, valid until the next call; STR_NONE when there is none that is still true. */
struct str pages_get(struct pages *p, enum board_kind kind, struct str user, int64_t count);
/* `stamp` was taken before the answer's snapshot; last_id is the highest id among its rows, 0 when
 * there are none. */
struct pages_answer {
	struct board_stamp stamp;
	int64_t last_id;
	int64_t rows;
	struct str bytes;
};
void pages_put(struct pages *p, enum board_kind kind, struct str user, int64_t count,
    const struct pages_answer *a);
/* A row of our own that has been committed, after the board was told (`before`: the user's number
 * until then): an answer kept under that number gets the row and stays true. A message goes to the
 * front, a name to the end. `row` is JSON. */
void pages_add(struct pages *p, enum board_kind kind, struct str user, int64_t count,
    uint32_t before, int64_t id, struct str row);
size_t pages_bytes(const struct pages *p);
