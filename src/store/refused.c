#include "store/refused.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

void refused_fini(struct refused *f)
{
	free(f->v);
	*f = (struct refused){0};
}

void refused_add(struct refused *f, uint64_t first, uint64_t last)
{
	if (f->n > 0 && f->v[f->n - 1].last + 1 == first) {
		f->v[f->n - 1].last = last;
		return;
	}
	if (f->n == f->room) {
		size_t room = f->room ? 2 * f->room : 4;
		f->v = mem_grow(f->v, f->room, room, sizeof(*f->v));
		f->room = room;
	}
	f->v[f->n++] = (struct refused_range){first, last};
}

bool refused_has(const struct refused *f, uint64_t sequence)
{
	for (size_t i = 0; i < f->n && f->v[i].first <= sequence; i++)
		if (sequence <= f->v[i].last)
			return true;
	return false;
}

void refused_forget(struct refused *f, uint64_t until)
{
	size_t gone = 0;
	while (gone < f->n && f->v[gone].last <= until)
		gone++;
	if (gone == 0)
		return;
	f->n -= gone;
	memmove(f->v, f->v + gone, f->n * sizeof(*f->v));
}
