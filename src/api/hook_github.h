/* Where a hook's sender is asked for what it could not deliver. Not for other rooms. */
#pragma once

#include "api/call.h"
#include "hooks/sender.h"
#include "model/hook.h"

/* In a unit: the member `github` of the request. `source_url`: the project's. */
int api_hook_github_set(struct api_call *c, struct store_db *db, const struct model_hook *h,
    struct str source_url, struct err *e) WARN_UNUSED;
/* The member `github` of a hook; nothing when there is none. */
int api_hook_github_json(
    struct api_call *c, struct store_db *db, int64_t hook_id, struct err *e) WARN_UNUSED;
/* The member `github_addresses` of a hook that takes from there. */
int api_hook_addresses_json(
    struct api_call *c, struct store_db *db, struct str settings, struct err *e) WARN_UNUSED;
/* The request as the audit trail may have it: without the token. */
json_t *api_hook_said(const struct api_call *c);
