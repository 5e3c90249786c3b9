/* What other routes need of the platform's own certificates. Not for other rooms. */
#pragma once

#include "api/call.h"
#include "model/own_certificate.h"

/* The certificate that projects have for NAME.HOST; zeroed: none. */
int api_wildcard_get(struct api_call *c, struct store_db *db, struct model_certificate *ret,
    struct err *e) WARN_UNUSED;
/* The platform's own, as items of an open list, for whoever administrates it. */
int api_own_certificates_list(struct api_call *c, struct store_db *db, struct err *e) WARN_UNUSED;
