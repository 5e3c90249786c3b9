#include "model/device.h"

#include "model/row.h"

int model_device_grant(struct store_db *db, int64_t project_id, enum device device,
    struct str granted_by, int64_t now_ms, struct err *e)
{
	struct store_stmt *q = store_prepare(db,
	    "INSERT INTO device_grant(project_id, device, granted_by, granted_ms)"
	    " VALUES ($project, $device, $by, $now) ON CONFLICT (project_id, device) DO NOTHING",
	    e);

	if (!q)
		return -1;
	store_bind_i64(q, "$project", project_id);
	store_bind_text(q, "$device", str_c(device_name(device)));
	store_bind_text(q, "$by", granted_by);
	store_bind_i64(q, "$now", now_ms);
	return row_change(db, q, e);
}

int model_device_revoke(struct store_db *db, int64_t project_id, enum device device, struct err *e)
{
	struct store_stmt *q = store_prepare(
	    db, "DELETE FROM device_grant WHERE project_id = $project AND device = $device", e);

	if (!q)
		return -1;
	store_bind_i64(q, "$project", project_id);
	store_bind_text(q, "$device", str_c(device_name(device)));
	return row_change(db, q, e);
}

/* What another version granted, and this one does not know, is none. */
static enum device device_of(struct str name)
{
	enum device d;
	struct err ignored;
	return device_parse(name, &d, &ignored) == 0 ? d : DEVICE_COUNT;
}

static void fill_grant(struct row *r, void *ret)
{
	*(struct model_device_grant *)ret = (struct model_device_grant){
	    .device = device_of(row_str(r, 0)),
	    .granted_by = row_str(r, 1),
	    .granted_ms = row_i64(r, 2),
	};
}

int model_device_list(struct store_db *db, struct arena *a, int64_t project_id,
    struct model_viewer viewer, struct model_device_grants *ret, struct err *e)
{
	struct store_stmt *q = store_prepare(db,
	    "SELECT g.device, g.granted_by, g.granted_ms FROM device_grant g"
	    " WHERE g.project_id = $project AND " ROW_SEES("g", "project_id") " ORDER BY g.device",
	    e);
	struct row_list l;

	*ret = (struct model_device_grants){0};
	if (!q)
		return -1;
	store_bind_i64(q, "$project", project_id);
	row_bind_viewer(q, viewer);
	if (row_list(q, a, sizeof(struct model_device_grant), 0, fill_grant, &l, e) < 0)
		return -1;
	ROW_LIST_INTO(ret, l);
	return 0;
}
