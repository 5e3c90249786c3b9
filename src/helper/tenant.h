/* What is done with a tenant's user and trees: made, sealed, removed. All of this runs in a worker
 * (helper/worker.h), blocks, and may be repeated after a crash at any point.
 *
 *   PROJECTS/NAME            the daemon's, 0711: it keeps the links `live` and `previous` here
 *   PROJECTS/NAME/releases   root, 0711; releases/N  tenant 0700 until sealed, then root:tenant
 *                          0550
 *   PROJECTS/NAME/{cache,mirror,tmp}  tenant 0700
 *   PROJECTS/NAME/data     tenant:web group, 0710 (helper/share.h)
 *   PROJECTS/NAME/public   root:web group, 0750; public/N  links to the declared static files
 *   RUN/NAME               the daemon's, group web, 02750
 *
 * The daemon can rename in NAME and in RUN: what stands under a name there is looked at before anything is done with it.
 * Without root all of it belongs to one user, with the same modes where they make sense. */
#pragma once

#include "base/err.h"
#include "helper/users.h"

#include <stdbool.h>
#include <stdint.h>

/* No other folder of ours in NAME has one of these: so they are told from each other. */
#define TENANT_RELEASES_MODE 0711
#define TENANT_PUBLIC_MODE 0750

struct tenant_roots {
	const char *projects, *run; /* absolute */
	const char *edge, *cert;    /* the edge's folder, slipway-cert; for sites */
	bool root;		    /* we are root: tenants have users of their own */
	bool quota;		    /* and the file system of the projects a quota for each */
	uid_t uid_base, daemon_uid;
	gid_t daemon_gid, web_gid;
	const struct users *users;
};

/* The ids of a project's tenant; ours without root. */
uid_t tenant_uid(const struct tenant_roots *t, uint32_t number);
gid_t tenant_gid(const struct tenant_roots *t, uint32_t number);
/* Of an active project. ERR_NOT_FOUND. */
int tenant_number(const struct tenant_roots *t, struct str project, uint32_t *ret, struct err *e) WARN_UNUSED;
/* In a forked child: becomes that tenant, for good. */
int tenant_become(const struct tenant_roots *t, uint32_t number, struct err *e) WARN_UNUSED;

/* With a quota of disk_bytes (0: none), where t->quota says that there are quotas. */
int tenant_ensure(const struct tenant_roots *t, struct str project, uint64_t disk_bytes,
    uint64_t *ret_number, struct err *e) WARN_UNUSED;
/* RUN/NAME alone, which a boot takes away. */
int tenant_run_folder(const struct tenant_roots *t, const char *project, struct err *e) WARN_UNUSED;
/* Whatever is done with files is done with the daemon's rights, and as its own; or as ours again. */
void tenant_as_daemon(const struct tenant_roots *t, bool on);
/* Kills all processes of the user, removes the trees and the user, retires the number. Absent is
 * success. */
int tenant_remove(const struct tenant_roots *t, struct str project, struct err *e) WARN_UNUSED;
/* releases/N, empty and the tenant's. ERR_CONFLICT when it is sealed. */
int tenant_prepare(
    const struct tenant_roots *t, struct str project, uint32_t release, struct err *e) WARN_UNUSED;
int tenant_release_remove(
    const struct tenant_roots *t, struct str project, uint32_t release, struct err *e) WARN_UNUSED;
/* PROJECTS/NAME/releases and public, from a descriptor of NAME. ERR_CONFLICT when it is not what tenant_ensure made:
 * in a folder of the daemon's or the tenant's nothing is made, given away or removed with our rights. */
int tenant_open_releases(const struct tenant_roots *t, int project, struct err *e) WARN_UNUSED;
int tenant_open_public(const struct tenant_roots *t, int project, struct err *e) WARN_UNUSED;
