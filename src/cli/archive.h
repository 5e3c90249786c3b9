/* A directory as a tar.gz, to be uploaded. */
#pragma once

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

struct archive_made {
	int fd;	       /* an unlinked temporary file, at offset 0; the caller closes it */
	int64_t bytes; /* of the file */
	uint64_t tree_bytes;
	uint32_t files;
	uint32_t skipped; /* sockets, pipes and devices left out */
	bool ignored;	  /* git chose the files */
};
/* In a git work tree what git would not ignore (tracked or not), else everything but `.git`.
 * Refused: more than LIMIT_TREE_FILES files, LIMIT_TREE_BYTES of contents, LIMIT_ARCHIVE_BYTES
 * compressed; a link that points out of the directory, by text or on this disk. Names, modes and
 * times are kept, owners are not; entries are sorted. Blocks for as long as packing takes. */
int archive_make(const char *dir, struct archive_made *ret, struct err *e) WARN_UNUSED;
/* Whether a link at `path` (relative to the top) with that text stays below the top, by the text
 * alone. */
bool archive_link_inside(const char *path, const char *target);
