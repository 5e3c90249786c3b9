#include "hooks/paths.h"

#include "base/mem.h"
#include "hooks/hooks_parts.h"

#include <stdlib.h>
#include <string.h>

static int compare(const void *a, const void *b)
{
	const struct hooks_path *x = a, *y = b;
	int order = memcmp(x->of, y->of, sizeof(x->of));
	return order ? order : (x->hook > y->hook) - (x->hook < y->hook);
}

void hooks_paths_make(struct hooks_paths *p, const struct table *t)
{
	size_t n = 0;
	for (size_t i = 0; i < t->n; i++)
		n += t->v[i].path_count;
	hooks_paths_fini(p);
	p->current = true;
	if (n == 0)
		return;
	p->v = mem_array(n, sizeof(*p->v));
	for (size_t i = 0; i < t->n; i++)
		for (size_t k = 0; k < t->v[i].path_count; k++) {
			struct hooks_path *one = &p->v[p->n++];
			*one = (struct hooks_path){.hook = i, .secret = k};
			memcpy(one->of, t->v[i].paths[k].of, sizeof(one->of));
		}
	qsort(p->v, n, sizeof(*p->v), compare);
}

size_t hooks_paths_find(const struct hooks_paths *p, const uint8_t of[HMAC_SHA256_BYTES])
{
	size_t low = 0, high = p->n;
	while (low < high) {
		size_t mid = (low + high) / 2;
		if (memcmp(p->v[mid].of, of, HMAC_SHA256_BYTES) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

void hooks_paths_fini(struct hooks_paths *p)
{
	free(p->v);
	*p = (struct hooks_paths){0};
}
