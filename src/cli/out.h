/* What people see: what a stream can show, safe text, tables. */
#pragma once

#include "base/arena.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct out {
	bool tty;    /* standard output is a terminal that can go back to the line's beginning */
	bool colour; /* a terminal, and no NO_COLOR */
	bool utf8;   /* the locale's characters are UTF-8 */
};
enum out_mark { OUT_DONE, OUT_FAILED, OUT_RUNNING, OUT_SKIPPED, OUT_MARK_COUNT };

/* Looks at standard output and the environment. */
void out_init(struct out *o);
/* The mark, coloured when that is wanted. */
const char *out_mark(const struct out *o, enum out_mark m);
unsigned out_width(void); /* columns of the terminal; 80 when unknown */

/* log_escape_text of s: for a terminal, on one line. Of the arena; "…" when that is full. */
const char *out_safe(struct arena *a, struct str s);
size_t out_columns(const char *text);					/* code points */
const char *out_cut(struct arena *a, const char *text, size_t columns); /* ends in … when cut */

/* A table for people: heads, then rows; widths come from the contents. A head that begins with '>'
 * is aligned to the right. */
#define OUT_TABLE_COLUMNS 8
struct out_table {
	struct arena *a;
	size_t columns, rows, cap;
	const char **cells; /* the heads are row 0 */
};
void out_table_init(struct out_table *t, struct arena *a, size_t columns, const char *const *heads);
/* Cells are borrowed until the table is printed and must be safe already. */
void out_table_row(struct out_table *t, const char *const *cells);
void out_table_print(const struct out_table *t, FILE *f);
void out_table_fini(struct out_table *t);

/* "key          value" on a line of its own; nothing when the value is empty. The value is safe
 * already. */
void out_pair(const char *key, const char *value);
