/* rooms: base text render */
/* covers: text/nginx.c */
/* Any text as a site: the places that are found hold what they must, in order; so what is rendered
 * is the text with them alone replaced. */
#include "render/sites.h"
#include "text/nginx.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char out[RENDER_SITE_TEXT_MAX];
	struct arena a;
	struct nginx_file f;
	struct err e = {.code = ERR_NONE};
	struct str text = {(const char *)data, size};
	arena_init(&a, 1u << 20);
	int rc = nginx_read(text, &a, &f, &e);
	if (rc == 0 && f.name_count > SITE_DOMAINS_MAX)
		abort();
	for (size_t i = 0; rc == 0 && i < f.name_count; i++)
		if (f.names[i].p < text.p || f.names[i].p + f.names[i].n > text.p + text.n)
			abort();
	if (rc == 0 && render_site(text, f.edits, f.edit_count, "web", out, sizeof(out), &e) < 0 &&
	    e.code != ERR_TOO_LARGE)
		abort();
	if (rc && (e.code == ERR_NONE || e.msg[0] == '\0'))
		abort();
	arena_fini(&a);
	return 0;
}
