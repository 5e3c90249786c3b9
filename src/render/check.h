/* The checks of typed fields, and what of a vhost does not depend on the web server. Private to render/. */
#pragma once

#include "base/err.h"
#include "base/str.h"
#include "render/vhost.h"

#include <stdbool.h>
#include <stddef.h>

/* Every field, every root; tls may be NULL. ERR_INVALID with the field's pointer, ERR_SETTINGS. */
int check_vhost(const struct render_vhost *v, const struct render_tls *tls,
    const struct render_roots *r, struct err *e) WARN_UNUSED;
int check_edge(const struct render_edge *v, struct err *e) WARN_UNUSED;
/* One address or CIDR of the list of trusted proxies, copied into out. */
int check_proxy(struct str item, char *out, size_t size, struct err *e) WARN_UNUSED;

/* Whether the installed certificate is for this domain of the vhost; and for how many it is. */
bool is_covered(const struct render_tls *tls, unsigned domain);
unsigned count_covered(const struct render_vhost *v, const struct render_tls *tls);
