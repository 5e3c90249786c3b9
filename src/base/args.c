#include "base/args.h"

#include <stdint.h>

void args_pack(struct buf *b, struct str s)
{
	if (str_find(s, '\0', 0) != SIZE_MAX) {
		b->full = true;
		return;
	}
	buf_str(b, s);
	buf_char(b, '\0');
}

void args_pack_all(struct buf *b, const struct args *list)
{
	for (size_t i = 0; i < list->n; i++)
		args_pack(b, list->v[i]);
}

static size_t count_ends(struct str s)
{
	size_t count = 0;
	for (size_t at = str_find(s, '\0', 0); at != SIZE_MAX; at = str_find(s, '\0', at + 1))
		count++;
	return count;
}

int args_unpack(
    struct str packed, size_t count_max, struct arena *a, struct args *ret, struct err *e)
{
	*ret = (struct args){0};
	if (packed.n == 0)
		return 0;
	if (packed.p[packed.n - 1] != '\0')
		return err_set(e, ERR_INVALID, "the last string of the list is not ended");
	size_t count = count_ends(packed);
	if (count > count_max)
		return err_set(
		    e, ERR_TOO_LARGE, "the list has %zu strings, more than %zu", count, count_max);
	struct str *v = arena_array(a, count, sizeof(*v));
	if (!v)
		return err_set(e, ERR_TOO_LARGE, "the list of %zu strings does not fit", count);
	for (size_t i = 0; i < count; i++)
		(void)str_next(&packed, '\0', &v[i]);
	*ret = (struct args){v, count};
	return 0;
}
