/* Uploaded archives (deploy/uploads.h). Not for other rooms. deploy/ reads them, and takes them away when the task that
 * names them has ended. */
#pragma once

#include "api/call.h"

#define API_SPOOL_PER_PROJECT 16

/* Whether that archive was uploaded for the subject's project and is still there: 0, or
 * ERR_NOT_FOUND. */
int api_spool_check(const struct api_call *c, struct str id, struct err *e) WARN_UNUSED;
/* One of that project's, for reading; -1 with ERR_NOT_FOUND. */
int api_spool_open(
    const struct api_call *c, int64_t project_id, struct str id, struct err *e) WARN_UNUSED;
