/* What a tenant-side look at a source tree reports: the answer of `slipway-tree scan`, which runs as the tenant
 * and writes to a pipe. The daemon never opens a path below a tenant's tree; it reads this, capped.
 *
 * Wire format of the report, a sequence of records, each:
 *   "F " path-length " " content-length " " size "\n" path content "\n"     a file of interest, content capped (-1: not read)
 *   "D " path-length "\n" path "\n"                                        a directory
 *   "E " files " " bytes [" " dropped] "\n"                                the end: totals; anything after it is an error
 * Only names down to TREE_LISTED_DEPTH are listed, at most 4,096, lock files always; the contents of known small files only (manifest, Procfile,
 * requirements, package.json, pyproject.toml, runtime.txt, app.json, .env.example, manage.py, settings, wsgi, sites and snippets of nginx). */
#pragma once

#include "base/arena.h"
#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

#define TREE_LISTED_DEPTH 3u  /* of "a/b/c" */
#define TREE_LISTED_MAX 3840u /* names of no special interest; with the next line at most 4,096 */
#define TREE_READ_MAX 256u    /* files of interest whose contents are told; those beyond count as names */

struct tree_entry {
	struct str path; /* relative, '/'-separated */
	bool directory;
	bool has_content;
	struct str content;
	uint64_t size;
};

struct tree {
	struct tree_entry *entries; /* sorted by path */
	size_t count;
	uint64_t files, bytes;
	uint64_t dropped; /* files of interest that are not even among the names */
};

int tree_read(struct str report, struct arena *a, struct tree *ret, struct err *e) WARN_UNUSED;
const struct tree_entry *tree_find(const struct tree *t, struct str path); /* NULL when absent */
