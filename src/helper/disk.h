/* What a fetch or a build holds on disk, all of it together: its release, the project's cache and
 * mirror, its temporary folder. A look is a walk over them by a forked child; it counts blocks, a
 * file of several names once, a little for each entry, and ends as soon as the sum is over the
 * limit. A job is looked at once a second (more rarely when looking takes long) and killed when it
 * is over; one that ended well is looked at once more before it counts as ended. What is open
 * without a name is not seen; the limit on single files (RLIMIT_FSIZE) bounds that. */
#pragma once

#include "helper/tenant.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct disk_place {
	const struct tenant_roots *roots;
	const char *project; /* validated */
	uint32_t number;     /* of the project's user */
	uint32_t release;
	bool cache;	 /* it writes the cache, so that counts; a fetch does not */
	const char *tmp; /* name below the project's tmp/ */
};

struct disk_watch {
	uint64_t bytes_max; /* 0: nobody looks */
	pid_t pid;	    /* the child at work, 0: none */
	int64_t due_ms, began_ms;
	bool over, last; /* last: nothing is looked at any more after the child at work */
};

/* All three begin a child and return its number, or -1. The caller reaps it. */

/* Answers by its exit status, for disk_is_over. Walks as the keeper: a folder that its owner closed
 * hides nothing from root. */
pid_t disk_look(const struct disk_place *p, uint64_t bytes_max);
bool disk_is_over(int wait_status);
/* Empties cache/, as the tenant: what is kept for speed shall not make every later build fail. */
pid_t disk_drop_cache(const struct disk_place *p);
/* Removes tmp/TMP, as the tenant. */
pid_t disk_remove_tmp(const struct disk_place *p);

/* The child of `w` ended: reads its answer and says when the next look is due. */
void disk_answered(struct disk_watch *w, int wait_status, int64_t now_ms);
/* Is something to be awaited before a job that ended may count as ended? Begins it if so. `well`:
 * with status 0, and nobody asked it to end. */
bool disk_settle(struct disk_watch *w, const struct disk_place *p, bool well, int64_t now_ms);
/* Begins a look that is due. Returns when to call again. */
int64_t disk_tick(struct disk_watch *w, const struct disk_place *p, int64_t now_ms);
