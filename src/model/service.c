#include "model/service.h"

#include "base/limits.h"
#include "model/row.h"

static const char *const types[MODEL_SERVICE_TYPE_COUNT] = {
    [MODEL_SERVICE_POSTGRES] = "postgres", [MODEL_SERVICE_RABBITMQ] = "rabbitmq"};

const char *model_service_type_name(enum model_service_type t)
{
	return types[t];
}

int model_service_type_parse(struct str s, enum model_service_type *ret, struct err *e)
{
	int at;
	if (row_parse(s, types, MODEL_SERVICE_TYPE_COUNT, "service", &at, e) < 0)
		return -1;
	*ret = (enum model_service_type)at;
	return 0;
}

/* The new row counts, too. */
static int room_check(struct store_db *db, int64_t project_id, struct err *e)
{
	struct store_stmt *q =
	    store_prepare(db, "SELECT count(*) FROM service WHERE project_id = $project", e);
	int64_t n;

	if (!q)
		return -1;
	store_bind_i64(q, "$project", project_id);
	if (row_number(q, &n, e) < 0)
		return -1;
	if (n > (int64_t)LIMIT_SERVICES)
		return err_set(
		    e, ERR_TOO_LARGE, "cannot have more than %u services", LIMIT_SERVICES);
	return 0;
}

static int insert(struct store_db *db, const struct model_service *s, struct err *e)
{
	struct store_stmt *q = store_prepare(db,
	    "INSERT INTO service(project_id, name, type, sealed, mark, created_ms)"
	    " VALUES ($project, $name, $type, $sealed, $mark, $now)"
	    " ON CONFLICT (project_id, name) DO NOTHING",
	    e);

	if (!q)
		return -1;
	store_bind_i64(q, "$project", s->project_id);
	store_bind_text(q, "$name", s->name);
	store_bind_text(q, "$type", str_c(types[s->type]));
	store_bind_blob(q, "$sealed", s->sealed);
	store_bind_text(q, "$mark", s->mark);
	store_bind_i64(q, "$now", s->created_ms);
	return row_change(db, q, e);
}

int model_service_add(struct store_db *db, const struct model_service *s, struct err *e)
{
	int added = insert(db, s, e);

	return added <= 0 ? added : room_check(db, s->project_id, e) < 0 ? -1 : 1;
}

int model_service_made(struct store_db *db, int64_t project_id, struct str name, struct str host,
    int64_t port, int64_t now_ms, struct err *e)
{
	struct store_stmt *q = store_prepare(db,
	    "UPDATE service SET host = $host, port = $port,"
	    " made_ms = CASE WHEN made_ms > 0 THEN made_ms ELSE $now END"
	    " WHERE project_id = $project AND name = $name",
	    e);

	if (!q)
		return -1;
	store_bind_i64(q, "$project", project_id);
	store_bind_text(q, "$name", name);
	store_bind_text(q, "$host", host);
	store_bind_i64(q, "$port", port);
	store_bind_i64(q, "$now", now_ms);
	return row_change(db, q, e);
}

int model_service_remove(struct store_db *db, int64_t project_id, struct str name, struct err *e)
{
	struct store_stmt *q = store_prepare(
	    db, "DELETE FROM service WHERE project_id = $project AND name = $name", e);

	if (!q)
		return -1;
	store_bind_i64(q, "$project", project_id);
	store_bind_text(q, "$name", name);
	return row_change(db, q, e);
}

static void fill_service(struct row *r, void *ret)
{
	*(struct model_service *)ret = (struct model_service){
	    .project_id = row_i64(r, 0),
	    .name = row_str(r, 1),
	    .type = (enum model_service_type)row_enum(r, 2, types, MODEL_SERVICE_TYPE_COUNT),
	    .sealed = row_str(r, 3),
	    .mark = row_str(r, 4),
	    .host = row_str(r, 5),
	    .port = row_i64(r, 6),
	    .created_ms = row_i64(r, 7),
	    .made_ms = row_i64(r, 8),
	};
}

#define SERVICE_COLUMNS                                                                            \
	"SELECT s.project_id, s.name, s.type, s.sealed, s.mark, s.host, s.port, s.created_ms,"     \
	" s.made_ms FROM service s WHERE s.project_id = $project AND "

int model_service_list(struct store_db *db, struct arena *a, int64_t project_id,
    struct model_viewer viewer, struct model_services *ret, struct err *e)
{
	struct store_stmt *q = store_prepare(
	    db, SERVICE_COLUMNS ROW_SEES("s", "project_id") " ORDER BY s.created_ms, s.name", e);
	struct row_list l;

	*ret = (struct model_services){0};
	if (!q)
		return -1;
	store_bind_i64(q, "$project", project_id);
	row_bind_viewer(q, viewer);
	if (row_list(q, a, sizeof(struct model_service), 0, fill_service, &l, e) < 0)
		return -1;
	ROW_LIST_INTO(ret, l);
	return 0;
}

int model_service_get(struct store_db *db, struct arena *a, int64_t project_id, struct str name,
    struct model_viewer viewer, struct model_service *ret, struct err *e)
{
	struct store_stmt *q =
	    store_prepare(db, SERVICE_COLUMNS "s.name = $name AND " ROW_SEES("s", "project_id"), e);

	if (!q)
		return -1;
	store_bind_i64(q, "$project", project_id);
	store_bind_text(q, "$name", name);
	row_bind_viewer(q, viewer);
	return row_get(q, a, fill_service, ret, e);
}
