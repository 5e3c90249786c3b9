/* Sites of an nginx-site project, from a sealed release into EDGE/staged/NAME, where they wait for nginx's judgement
 * (edge_sites.c). Runs in the worker: reads what lies beneath the release, follows no link, takes at most SITE_FILES_MAX
 * files of SITE_BYTES_MAX bytes.
 *
 *   staged/NAME/enabled/[SITE].nginxconf   snippets/FILE   0644; `closed` instead of `enabled` when stopped on purpose
 *   certs/sites/NAME/SITE/pair.pem         0600: key and chain; fullchain.pem privkey.pem cert.pem chain.pem lead to it
 *
 * A file that is served already as it is now is linked, not written. A site that names a certificate has one: until there
 * is one from outside it signs itself, for the names of its first server_name line. */
#pragma once

#include "helper/tenant.h"

/* How many files are new, how many changed, how many went, 16 bits each from the lowest; 0: it is so already, and nothing is
 * staged. */
int sites_stage(const struct tenant_roots *t, struct str project, uint32_t release, int list, uint64_t *ret_changes,
    struct err *e) WARN_UNUSED;
/* fd: render/sites.h's certificate of a site that is served. Judged by slipway-cert, for at least one of the names that the site's
 * present one is for; then certs/sites/NAME/SITE/next.pem, with a mark (edge_vhost.c). */
int sites_stage_cert(const struct tenant_roots *t, struct str project, int fd, struct err *e) WARN_UNUSED;
