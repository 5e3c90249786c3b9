/* Words that both sides of the helper's protocol use of an nginx-site project: how a site's file is called, and the places
 * in its text that mean something of the edge's own. The daemon finds the places (text/nginx), the helper looks that each
 * holds what it must and puts the edge's words there (render/sites); it never reads the language itself. */
#pragma once

#include "base/name.h"

#include <stdbool.h>

#define SITE_FILE_MAX (NAME_SITE_MAX + 12u) /* [NAME].nginxconf */
#define SITE_FILES_MAX 256u		    /* sites and snippets of a project together */
#define SITE_BYTES_MAX (64u << 10)	    /* of one file */
#define SITE_EDITS_MAX 16384u		    /* of all files of a project */
#define SITE_DOMAINS_MAX 64u		    /* that one certificate is for */

enum site_place {
	SITE_SNIPPETS_ETC, /* /etc/nginx/snippets/ */
	SITE_SNIPPETS,	   /* snippets/ */
	SITE_LIVE_ETC,	   /* /etc/letsencrypt/live/ */
	SITE_LIVE,	   /* live/ */
	SITE_OPTIONS,	   /* /etc/letsencrypt/options-ssl-nginx.conf */
	SITE_DHPARAMS,	   /* /etc/letsencrypt/ssl-dhparams.pem */
	SITE_SERVER,	   /* nothing, behind the brace that opens a server block */
	SITE_PLACE_COUNT
};
/* What stands there; "" for SITE_SERVER. */
const char *site_place_text(enum site_place p);

struct site_edit {
	uint32_t at; /* offset of its first byte */
	uint32_t what;
};

/* [NAME].conf or [NAME].nginxconf, with .disabled behind it or not. False: some other file. NAME may still be none that
 * name_site takes. */
bool site_file(struct str file, struct str *ret_name, bool *ret_disabled);
