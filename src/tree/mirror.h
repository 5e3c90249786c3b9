/* The project's bare mirror: objects and refs that git wrote, and settings that only we write. What a build may have
 * left in it (hooks, settings, attributes, alternates, stale locks) is removed before git sees it. */
#pragma once

#include "base/err.h"

/* Makes the repository at `path` (below the working directory) or cleans the one there; returns its descriptor or -1.
 * A mirror that grew to many packs is begun anew. */
int mirror_open(const char *path, struct err *e) WARN_UNUSED;
/* Empties it; the next mirror_open begins anew. */
int mirror_remove(const char *path, struct err *e) WARN_UNUSED;
