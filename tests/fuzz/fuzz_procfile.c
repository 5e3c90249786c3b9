/* rooms: base text */
/* covers: text/procfile.c */
/* Any text as a Procfile: marks in what is accepted always match, so that expanding them cannot
 * fail. */
#include "base/name.h"
#include "text/procfile.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_marks(struct str s)
{
	int inside = 0;
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == PROCFILE_MARK_OPEN && inside++)
			abort();
		if (s.p[i] == PROCFILE_MARK_DEFAULT && !inside)
			abort();
		if (s.p[i] == PROCFILE_MARK_CLOSE && inside-- != 1)
			abort();
	}
	if (inside)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena a;
	struct manifest_process *p;
	size_t count;
	struct err e = {.code = ERR_NONE};
	arena_init(&a, 4u << 20);
	int rc =
	    procfile_read((struct str){(const char *)data, size}, "Procfile", &a, &p, &count, &e);
	for (size_t i = 0; rc == 0 && i < count; i++) {
		if (name_process(p[i].name, &e) || p[i].run.argv.n == 0 ||
		    p[i].run.argv.v[0].n == 0)
			abort();
		for (size_t k = 0; k < p[i].run.argv.n; k++)
			check_marks(p[i].run.argv.v[k]);
		for (size_t k = 0; k < p[i].run.env_count; k++)
			check_marks(p[i].run.env[k].value);
	}
	if (rc && (e.code == ERR_NONE || e.msg[0] == '\0'))
		abort();
	arena_fini(&a);
	return 0;
}
