/* One walk over a finished tree: counts it against its limits, refuses links that point out of it, and writes the tree
 * report of source/tree.h. */
#pragma once

#include "base/buf.h"
#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

#define SCAN_REPORT_MAX_BYTES (8u << 20)

/* `dir` is the tree's top. Appends the report to `report`. */
int scan_tree(int dir, uint64_t files_max, uint64_t bytes_max, struct buf *report, struct err *e) WARN_UNUSED;
/* Where the link `name` (from the top) would lead, by names alone: an absolute target or one '..' too many is out. */
bool scan_link_leads_out(const char *name, const char *target);
