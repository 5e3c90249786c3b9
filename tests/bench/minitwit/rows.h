/* Rows of answers that were judged right, by the bytes they came as: the same bytes need not be read
 * again, and most rows are shown hundreds of times. */
#pragma once

#include "say.h"

struct row {
	struct say say;
	int64_t pub_date;
	size_t n;
};

void rows_open(void);
/* The row that begins at `p`, when it is byte for byte one that was kept. */
const struct row *rows_find(const char *p, const char *end);
/* `n` bytes at `p` are right. A row that is too long, or not written as rows mostly are, is not kept. */
void rows_keep(const char *p, size_t n, struct say say, int64_t pub_date);
