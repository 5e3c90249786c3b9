/* Folders of a tenant's data/ that the web server may read, because a release declares them:
 * `static: {/media: {data: media}}`.
 *
 *   data/            tenant:web group, 0710: the web server may pass, not look
 *   data/media/      tenant:web group, 02750: what is made in it gets the group by itself
 *
 * Everything else in data/ keeps the tenant's own group and stays out of the web server's reach. */
#pragma once

#include "helper/tenant.h"

/* Makes the folder `path` (name_subpath) below the project's data/ unless it is there, and shares
 * it with what it holds. Done by a process with the tenant's rights and the web server's group, so
 * it reaches nothing that is not the tenant's. Links are not followed. May be repeated; a folder
 * that is shared already is left alone. ERR_INVALID: something else is in its place. Blocks. */
int share_data(const struct tenant_roots *t, uint32_t number, int project_dir, struct str path,
    struct err *e) WARN_UNUSED;
