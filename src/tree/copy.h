/* Copies a folder: files (contents and the execute bit), folders and symbolic links; no owner, times or other modes.
 * Blocks of the file system are shared where it can. */
#pragma once

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

struct copy_limits {
	uint64_t files_max, bytes_max;
	bool skip_git; /* leave out entries named .git */
};

/* From folder `from` into the existing folder `to`. Refuses what is neither file, folder nor link, and to copy a folder into
 * itself. What is there already is an error. */
int copy_tree(int from, int to, const struct copy_limits *l, struct err *e) WARN_UNUSED;
/* Removes what is at `path` and all below it, without following a link in its last component; absent is success. */
int copy_remove(const char *path, struct err *e) WARN_UNUSED;
