/* Devices that were granted to projects (base/device.h), each by an admin of the platform. */
#pragma once

#include "base/arena.h"
#include "base/device.h"
#include "model/viewer.h"
#include "store/store.h"

struct model_device_grant {
	enum device device;
	struct str granted_by; /* who, by name */
	int64_t granted_ms;
};
struct model_device_grants {
	struct model_device_grant *v;
	size_t n;
};

/* 1: granted now, 0: it was already, -1. */
int model_device_grant(struct store_db *db, int64_t project_id, enum device device,
    struct str granted_by, int64_t now_ms, struct err *e) WARN_UNUSED;
int model_device_revoke(struct store_db *db, int64_t project_id, enum device device,
    struct err *e) WARN_UNUSED; /* 1/0/-1 */
/* By name. Empty when the viewer may not see the project. */
int model_device_list(struct store_db *db, struct arena *a, int64_t project_id,
    struct model_viewer viewer, struct model_device_grants *ret, struct err *e) WARN_UNUSED;
