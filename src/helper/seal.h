/* Sealing a finished build, so that nobody but root can change it any more, and offering its
 * declared static files to the edge. Walks on descriptors (openat2 beneath, no links); names inside
 * are the tenant's bytes and never looked at beyond a leading dot. */
#pragma once

#include "helper/tenant.h"

#define SEAL_STATICS_BYTES_MAX 32768u

/* releases/N becomes root:tenant, folders 0550, files 0440 or (executable) 0550; sockets, FIFOs and
 * devices are removed; a file that belongs to anybody else is ERR_INVALID. Then public/N is made
 * anew: `statics` is a list of url, subpath, url, … each ended by NUL; url by name_url_prefix or
 * "/", subpath by name_subpath or "." for the whole release; with an empty url it is a folder of
 * data/ that is shared with the edge (share.h). Regular files are hard-linked, mode
 * 0444; names that begin with a dot (but .well-known) and links are left out. Without root nothing
 * changes owner, but modes do. Blocks; repeating it is success. */
int seal_release(const struct tenant_roots *t, struct str project, uint32_t release,
    struct str statics, struct err *e) WARN_UNUSED;
