/* fetch-git: one ref into the mirror, one commit out of it into releases/N, with git's own programs and nothing of the
 * repository, the mirror or the machine deciding what they run. */
#pragma once

#include "base/buf.h"
#include "tree/options.h"

/* Writes the header records and the tree report. */
int git_fetch(const struct options *o, struct buf *report, struct err *e) WARN_UNUSED;
