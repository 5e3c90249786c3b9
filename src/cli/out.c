/* Marks, safe text and tables. */
#include "cli/out.h"

#include "base/log.h"
#include "base/mem.h"

#include <langinfo.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define CELL_COLUMNS_MAX 120

void out_init(struct out *o)
{
	const char *no_colour = getenv("NO_COLOR"), *term = getenv("TERM");
	bool dumb = term && strcmp(term, "dumb") == 0;
	(void)setlocale(LC_CTYPE, "");
	o->tty = isatty(STDOUT_FILENO) && !dumb;
	o->colour = o->tty && !(no_colour && no_colour[0]);
	o->utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
}

const char *out_mark(const struct out *o, enum out_mark m)
{
	static const char *const marks[OUT_MARK_COUNT][3] = {
	    [OUT_DONE] = {"ok", "✓", "\x1b[32m✓\x1b[0m"},
	    [OUT_FAILED] = {"!!", "✗", "\x1b[31m✗\x1b[0m"},
	    [OUT_RUNNING] = {"..", "·", "\x1b[36m·\x1b[0m"},
	    [OUT_SKIPPED] = {"--", "–", "\x1b[2m–\x1b[0m"},
	};
	return marks[m][!o->utf8 ? 0 : o->colour ? 2 : 1];
}

unsigned out_width(void)
{
	struct winsize w;
	return ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_col > 0 ? w.ws_col : 80;
}

const char *out_safe(struct arena *a, struct str s)
{
	size_t room = s.n * 8 + 1; /* the longest escape of a byte is \xHH, of a point \u{…} */
	char *text = s.n < (1u << 24) ? malloc(room) : NULL;
	if (!text)
		return "…";
	size_t n = log_escape_text(s, text, room);
	const char *kept = arena_cstr(a, (struct str){text, n});
	free(text);
	return kept ? kept : "…";
}

size_t out_columns(const char *text)
{
	size_t n = 0;
	for (; *text; text++)
		n += ((unsigned char)*text & 0xc0) != 0x80;
	return n;
}

const char *out_cut(struct arena *a, const char *text, size_t columns)
{
	if (out_columns(text) <= columns || columns < 2)
		return text;
	size_t bytes = 0;
	for (size_t n = 0; n < columns; bytes++)
		if (((unsigned char)text[bytes + 1] & 0xc0) != 0x80)
			n++;
	while (bytes > 0 && ((unsigned char)text[bytes - 1] & 0xc0) == 0x80)
		bytes--; /* back over the last one, for the mark */
	bytes -= bytes > 0;
	const char *cut = arena_printf(a, "%.*s…", (int)bytes, text);
	return cut ? cut : "…";
}

void out_table_init(struct out_table *t, struct arena *a, size_t columns, const char *const *heads)
{
	*t = (struct out_table){.a = a, .columns = columns};
	out_table_row(t, heads);
}

void out_table_row(struct out_table *t, const char *const *cells)
{
	if (t->rows == t->cap) {
		size_t cap = t->cap ? t->cap * 2 : 32;
		t->cells =
		    mem_grow(t->cells, t->cap * t->columns, cap * t->columns, sizeof(*t->cells));
		t->cap = cap;
	}
	for (size_t i = 0; i < t->columns; i++)
		t->cells[t->rows * t->columns + i] =
		    out_cut(t->a, cells[i] ? cells[i] : "", CELL_COLUMNS_MAX);
	t->rows++;
}

static void print_cell(const char *text, bool right, bool last, size_t width, FILE *f)
{
	size_t n = out_columns(text);
	int pad = (int)(width > n ? width - n : 0);
	if (right)
		(void)fprintf(f, "%*s%s", pad, "", text);
	else
		(void)fprintf(f, "%s%*s", text, last ? 0 : pad, "");
	(void)fputs(last ? "\n" : "  ", f);
}

void out_table_print(const struct out_table *t, FILE *f)
{
	size_t width[OUT_TABLE_COLUMNS] = {0};
	bool right[OUT_TABLE_COLUMNS] = {false};
	if (t->columns == 0)
		return;
	for (size_t i = 0; i < t->rows * t->columns; i++) {
		size_t column = i % t->columns;
		const char *text = t->cells[i];
		if (i < t->columns && text[0] == '>') {
			right[column] = true;
			text++;
		}
		size_t n = out_columns(text);
		if (n > width[column])
			width[column] = n;
	}
	for (size_t i = 0; i < t->rows * t->columns; i++) {
		size_t column = i % t->columns;
		const char *text = t->cells[i] + (i < t->columns && right[column] ? 1 : 0);
		print_cell(text, right[column], column + 1 == t->columns, width[column], f);
	}
}

void out_table_fini(struct out_table *t)
{
	free(t->cells);
	*t = (struct out_table){0};
}

void out_pair(const char *key, const char *value)
{
	if (value[0])
		(void)printf("%-12s %s\n", key, value);
}
