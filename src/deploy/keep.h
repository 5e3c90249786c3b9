/* What a backup or a restore holds while it is under way, and the jobs that it makes as the tenant. Loop thread,
 * but for what a pool thread does meanwhile. Not for other rooms. */
#pragma once

#include "backup/archive.h"
#include "backup/settings.h"
#include "backup/shelf.h"
#include "deploy/work.h"

#define KEEP_TIME_LIMIT_MS (4 * 3600 * 1000) /* of one job */
#define KEEP_AT_ONCE 2u /* large archives take minutes: others need the pool's threads, too */
#define KEEP_DESTROYED_MS (7 * 24 * 3600 * 1000ll)

typedef int keep_pool_fn(struct keep *k, struct err *e);

struct keep {
	struct work *w;
	atomic_bool stop;
	int files; /* the stream: a file of the spool without a name; -1 */
	struct buf settings, header, sealed, wrapped; /* settings are wiped */
	struct backup_settings said; /* of the archive that is restored, in the work's arena */
	bool has_said;
	struct model_services dumped; /* in the archive that is made or restored; of the work's arena */
	struct backup_header head;
	int64_t project_id, now_ms, size_bytes;
	struct shelf_new file;

	keep_pool_fn *pool; /* under way on a pool thread, which alone touches the above */
	work_then_fn *then;
	bool waits; /* for its turn */
	int rc;
	struct err e;
};

/* The work's own, made at its first use. */
struct keep *keep_of(struct work *w);
/* Runs fn on a pool thread, when fewer than KEEP_AT_ONCE do so, then `then` on the loop with k->rc and k->e. */
void keep_pool(struct work *w, keep_pool_fn *fn, work_then_fn *then);
/* The same without waiting for a turn: for what is done in a moment. */
void keep_pool_now(struct work *w, keep_pool_fn *fn, work_then_fn *then);
/* A new file of the spool without a name in k->files. */
int keep_spool(struct keep *k, struct err *e) WARN_UNUSED;
/* slipway-tree COMMAND as the tenant in that sandbox, with k->files as descriptor 0 when `stream`. Ends in `then`;
 * keep_job_ok says how it went, in its own words where it has some. */
void keep_job(struct work *w, const char *command, enum priv_sandbox sandbox, bool stream,
    work_then_fn *then);
/* The same, with --service NAME for each of `which` and what leads to its database (`fresh`: to the one beside it). */
void keep_job_services(struct work *w, const char *command, enum priv_sandbox sandbox,
    bool stream, const struct model_services *which, bool fresh, work_then_fn *then);
bool keep_job_ok(struct work *w, const char *what, struct err *e);
