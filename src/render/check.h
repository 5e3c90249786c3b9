/* The checks of typed fields, and what of a vhost does not depend on the web server. Private to render/. */
#pragma once

#include "base/cidr.h"
#include "base/err.h"
#include "base/str.h"
#include "render/vhost.h"

#include <stdbool.h>
#include <stddef.h>

/* Every field, every root; tls may be NULL. ERR_INVALID with the field's pointer, ERR_SETTINGS. */
int check_vhost(const struct render_vhost *v, const struct render_tls *tls,
    const struct render_roots *r, struct err *e) WARN_UNUSED;
int check_edge(const struct render_edge *v, struct err *e) WARN_UNUSED;
/* One address or CIDR of the list of trusted proxies, as base/cidr.h writes it: a mapped address is the
 * IPv4 one for every web server. ERR_SETTINGS. */
int check_proxy(struct str item, char out[CIDR_TEXT_SIZE], struct err *e) WARN_UNUSED;

/* Which certificate a domain has; how many have this one; whether browsers trust it; its file in certs/, without ".pem". */
enum render_cover cover_of(const struct render_tls *tls, unsigned domain);
unsigned cover_count(
    const struct render_vhost *v, const struct render_tls *tls, enum render_cover c);
bool cover_trusted(const struct render_tls *tls, enum render_cover c);
const char *cover_file(const struct render_vhost *v, enum render_cover c);
