/* What a file of nginx's language says that the platform must know: its first server_name line, and the places that mean
 * something of the edge's own (base/site.h). Cut into words as nginx does it; whether it is a configuration at all is
 * nginx's to judge, so nothing here fails for what nginx would refuse. */
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "base/site.h"

struct nginx_file {
	struct site_edit *edits; /* ascending */
	size_t edit_count;
	bool certified;	    /* it names a certificate below live/ */
	bool named;	    /* there was a server_name line */
	struct str *names;  /* of the first one, as written, quotes cut off; at most SITE_DOMAINS_MAX */
	size_t name_count;
};

/* Strings point into `text`; lists live in the arena. ERR_INVALID: it holds a NUL; ERR_TOO_LARGE: more than SITE_BYTES_MAX bytes,
 * more names on the first line than SITE_DOMAINS_MAX, or the arena is full. */
int nginx_read(struct str text, struct arena *a, struct nginx_file *ret, struct err *e) WARN_UNUSED;
