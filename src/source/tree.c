#include "source/tree.h"
#include "base/name.h"
#include "base/num.h"

#include <stdlib.h>

#define ENTRIES_MAX 4096u
#define SIZE_LIMIT (UINT64_C(1) << 62)

/* Cuts one line off `rest`; false when there is none. */
static bool take_line(struct str *rest, struct str *ret)
{
	size_t end = str_find(*rest, '\n', 0);
	if (end == SIZE_MAX)
		return false;
	*ret = str_slice(*rest, 0, end);
	*rest = str_from(*rest, end + 1);
	return true;
}

static bool take_bytes(struct str *rest, uint64_t n, struct str *ret)
{
	if (n > rest->n)
		return false;
	*ret = str_slice(*rest, 0, (size_t)n);
	*rest = str_from(*rest, (size_t)n);
	return true;
}

static int broken(const char *what, struct err *e)
{
	return err_set(e, ERR_INVALID, "the tree report is broken: %s", what);
}

static int take_path(struct str *rest, struct str length, struct str *ret, struct err *e)
{
	uint64_t n;
	if (!num_u64(length, 1, 1024, &n) || !take_bytes(rest, n, ret))
		return broken("the length of a path", e);
	return name_subpath(*ret, e) ? err_prefix(e, "the tree report is broken") : 0;
}

static int take_end(struct str *rest, struct err *e)
{
	struct str end;
	if (!take_bytes(rest, 1, &end) || end.p[0] != '\n')
		return broken("a record has no end", e);
	return 0;
}

/* `line` is what stands behind "F ". */
static int read_file(struct str line, struct str *rest, struct tree_entry *ret, struct err *e)
{
	struct str field[3] = {STR_NONE, STR_NONE, STR_NONE};
	for (size_t i = 0; i < 3; i++)
		if (!str_next(&line, ' ', &field[i]))
			return broken("a file's fields", e);
	int64_t length;
	if (line.p || !num_i64(field[1], -1, INT64_C(1) << 30, &length) ||
	    !num_u64(field[2], 0, SIZE_LIMIT, &ret->size))
		return broken("a file's numbers", e);
	if (take_path(rest, field[0], &ret->path, e))
		return -1;
	ret->has_content = length >= 0;
	if (ret->has_content && !take_bytes(rest, (uint64_t)length, &ret->content))
		return broken("a file's content", e);
	return take_end(rest, e);
}

static int read_directory(struct str line, struct str *rest, struct tree_entry *ret, struct err *e)
{
	ret->directory = true;
	return take_path(rest, line, &ret->path, e) ? -1 : take_end(rest, e);
}

static int read_end(struct str line, struct tree *ret, struct err *e)
{
	struct str files = STR_NONE, bytes = STR_NONE;
	if (!str_next(&line, ' ', &files) || !str_next(&line, ' ', &bytes) ||
	    (line.p && !num_u64(line, 1, SIZE_LIMIT, &ret->dropped)) ||
	    !num_u64(files, 0, SIZE_LIMIT, &ret->files) ||
	    !num_u64(bytes, 0, SIZE_LIMIT, &ret->bytes))
		return broken("the totals", e);
	return 0;
}

static int by_path(const void *a, const void *b)
{
	const struct tree_entry *x = a, *y = b;
	return str_cmp(x->path, y->path);
}

static int finish(struct tree *t, struct err *e)
{
	qsort(t->entries, t->count, sizeof(*t->entries), by_path);
	for (size_t i = 1; i < t->count; i++)
		if (str_eq(t->entries[i - 1].path, t->entries[i].path))
			return broken("a path comes twice", e);
	return 0;
}

int tree_read(struct str report, struct arena *a, struct tree *ret, struct err *e)
{
	struct str line;
	size_t room = 64;
	*ret = (struct tree){.entries = arena_array(a, room, sizeof(struct tree_entry))};
	while (ret->entries && take_line(&report, &line)) {
		struct str behind = str_from(line, 2);
		if (str_starts(line, STR("E "))) {
			if (report.n)
				return broken("something follows its end", e);
			return read_end(behind, ret, e) ? -1 : finish(ret, e);
		}
		if (ret->count == ENTRIES_MAX)
			return broken("more than 4096 names", e);
		if (ret->count == room) {
			struct tree_entry *old = ret->entries;
			ret->entries = arena_array(a, room * 4, sizeof(*old));
			for (size_t i = 0; ret->entries && i < room; i++)
				ret->entries[i] = old[i];
			room *= 4;
			if (!ret->entries)
				break;
		}
		struct tree_entry *into = &ret->entries[ret->count++];
		int rc = str_starts(line, STR("F "))   ? read_file(behind, &report, into, e)
			 : str_starts(line, STR("D ")) ? read_directory(behind, &report, into, e)
						       : broken("an unknown record", e);
		if (rc)
			return -1;
	}
	if (!ret->entries)
		return err_set(e, ERR_TOO_LARGE, "the tree report is too large to be read");
	return broken("it has no end", e);
}

static int path_against(const void *key, const void *entry)
{
	const struct str *k = key;
	const struct tree_entry *t = entry;
	return str_cmp(*k, t->path);
}

const struct tree_entry *tree_find(const struct tree *t, struct str path)
{
	if (t->count == 0)
		return NULL;
	return bsearch(&path, t->entries, t->count, sizeof(*t->entries), path_against);
}
