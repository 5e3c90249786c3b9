/* Uploaded archives: SPOOL/ID.tar, 0600, ID "PROJECT-NUMBER-" and 32 hex digits, until the task that names one has ended, at most
 * for a day. What is being written is ID.part. All of this blocks; any thread. */
#pragma once

#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define UPLOADS_KEPT_MS (24 * 3600 * 1000ll)
#define UPLOADS_ID_SIZE (20 + 1 + 32 + 1)
#define UPLOADS_NAME_SIZE (UPLOADS_ID_SIZE + 8)

/* What the ids of that project begin with. */
void uploads_prefix(int64_t project_id, char out[UPLOADS_ID_SIZE]);
/* The file of an id of that project: "ID.tar". False when it has not the shape of one. */
bool uploads_name(int64_t project_id, struct str id, char out[UPLOADS_NAME_SIZE]) WARN_UNUSED;
/* That one goes. What is not there is success. */
int uploads_drop(const char *spool, int64_t project_id, struct str id, struct err *e) WARN_UNUSED;
/* All of that project, what is being written too. */
int uploads_clear(const char *spool, int64_t project_id, struct err *e) WARN_UNUSED;
/* What is older than a day goes. `parts`: also whatever is being written, since nobody does so before the server listens.
 * *ret_left: how many that project has still. */
int uploads_tidy(const char *spool, int64_t now_ms, bool parts, int64_t project_id,
    size_t *ret_removed, size_t *ret_left, struct err *e) WARN_UNUSED;
