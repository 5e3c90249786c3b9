/* What projects' certificates and the platform's own have in common. Not for other rooms. */
#pragma once

#include "api/call.h"
#include "model/own_certificate.h"

/* The members of one, whether there is a row or not; `platform` is "" or which of the platform's. */
void api_certificate_members(struct json_out *w, struct str project, const char *platform,
    const struct model_certificate *c);
/* The certificate that projects have for NAME.HOST; zeroed: none. */
int api_wildcard_get(struct api_call *c, struct store_db *db, struct model_certificate *ret,
    struct err *e) WARN_UNUSED;
/* The platform's own, as items of an open list, for whoever administrates it. */
int api_own_certificates_list(struct api_call *c, struct store_db *db, struct err *e) WARN_UNUSED;
