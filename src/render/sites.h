/* Sites of an nginx-site project: what the daemon says of a release's files, and their text with the edge's words in the
 * places that were found. The text is an operator's own: here alone something that a person wrote becomes configuration
 * as it is. SECURITY.md says what it may do.
 *
 * In the sealed memory file: struct render_sites, then file_count files, edit_count edits, domains_bytes of names. */
#pragma once

#include "base/err.h"
#include "base/site.h"

#include <stdint.h>

#define RENDER_SITES_VERSION 1u
#define RENDER_SITES_DOMAINS_BYTES (256u << 10)
#define RENDER_SITE_TEXT_MAX (4u * SITE_BYTES_MAX)

struct render_sites {
	uint32_t version, file_count, edit_count, domains_bytes;
	uint8_t closed; /* stopped on purpose: kept, not served */
	uint8_t reserved[7];
	char folder[256], snippets[256]; /* of the release; name_subpath */
};

struct render_site_file {
	char name[SITE_FILE_MAX + 4]; /* "[example.org].nginxconf", or a snippet's */
	uint32_t snippet, certified;  /* certified: a certificate is named in it */
	uint32_t bytes;		      /* of the file, as it was read when it was planned */
	uint32_t first_edit, edit_count;
	uint32_t domains_at, domains_n; /* of its certificate: one blank between; none: the site's own name */
};

/* A site's certificate from outside: struct render_site_cert, chain, key, in one sealed memory file. */
#define RENDER_SITE_CERT_VERSION 1u
#define RENDER_SITE_PEM_MAX (128u << 10) /* of each */
struct render_site_cert {
	uint32_t version, chain_bytes, key_bytes;
	uint32_t trusted; /* by browsers: 1, else 0 */
	char site[NAME_SITE_MAX + 4];
};

/* Each place must hold what it says, else ERR_CONFLICT: the file is not the one that was read. The length, or -1. */
long render_site(struct str text, const struct site_edit *edits, size_t edit_count,
    const char *project, char *out, size_t size, struct err *e) WARN_UNUSED;
/* Does such a text name a path of the project's certificates of which `part` is a part: a site's name, or ".."? */
bool render_site_names(struct str text, const char *project, struct str part);
