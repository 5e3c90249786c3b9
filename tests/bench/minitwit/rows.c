#include "rows.h"

#include "load.h"

#include <stdlib.h>
#include <string.h>

enum { ROWS = 1 << 17, BYTES_MAX = 400 };

/* Every program writes this first; one that does not is read in full each time. */
static const char begin[] = "{\"content\":\"";

static struct kept {
	struct row row;
	char bytes[BYTES_MAX];
} * table; /* by number, the last of those that share a place */

void rows_open(void)
{
	table = calloc(ROWS, sizeof(*table));
	if (!table)
		die("memory");
}

static struct kept *place(const char *p, const char *end, struct say *ret)
{
	size_t n = sizeof(begin) - 1;
	if ((size_t)(end - p) < n || memcmp(p, begin, n) != 0)
		return NULL;
	p += n;
	return say_read(p, (size_t)(end - p), ret) ? &table[ret->number % ROWS] : NULL;
}

const struct row *rows_find(const char *p, const char *end)
{
	struct say say;
	const struct kept *k = place(p, end, &say);
	if (!k || k->row.n == 0 || (size_t)(end - p) < k->row.n ||
	    memcmp(p, k->bytes, k->row.n) != 0)
		return NULL;
	return &k->row;
}

void rows_keep(const char *p, size_t n, struct say say, int64_t pub_date)
{
	struct say read;
	struct kept *k = n <= BYTES_MAX ? place(p, p + n, &read) : NULL;
	if (!k)
		return;
	k->row = (struct row){.say = say, .pub_date = pub_date, .n = n};
	memcpy(k->bytes, p, n);
}
