/* Channels, and the platform's mail server. */
#include "model/channel.h"

#include "model/row.h"

static const char *const type_names[MODEL_CHANNEL_TYPE_COUNT] = {
    "mail", "webhook", "slack", "discord", "matrix", "github"};
static const char *const tls_names[MODEL_MAIL_TLS_COUNT] = {"starttls", "tls", "none"};

const char *model_channel_type_name(enum model_channel_type t)
{
	return type_names[t];
}

int model_channel_type_parse(struct str s, enum model_channel_type *ret, struct err *e)
{
	int n = 0;
	if (row_parse(s, type_names, MODEL_CHANNEL_TYPE_COUNT, "type of channel", &n, e) < 0)
		return -1;
	*ret = (enum model_channel_type)n;
	return 0;
}

const char *model_mail_tls_name(enum model_mail_tls t)
{
	return tls_names[t];
}

int model_mail_tls_parse(struct str s, enum model_mail_tls *ret, struct err *e)
{
	int n = 0;
	if (row_parse(s, tls_names, MODEL_MAIL_TLS_COUNT, "protection of a mail server", &n, e) < 0)
		return -1;
	*ret = (enum model_mail_tls)n;
	return 0;
}

int model_channel_add(
    struct store_db *db, const struct model_channel *c, int64_t *ret_id, struct err *e)
{
	struct store_stmt *q = store_prepare(db,
	    "INSERT INTO channel(project_id, name, type, target, secret, events, deployments, "
	    "created_ms)"
	    " VALUES ($project, $name, $type, $target, $secret, $events, $deployments, $now)"
	    " ON CONFLICT DO NOTHING RETURNING id",
	    e);
	if (!q)
		return -1;
	if (c->project_id)
		store_bind_i64(q, "$project", c->project_id);
	store_bind_text(q, "$name", c->name);
	store_bind_text(q, "$type", str_c(type_names[c->type]));
	row_bind_text(q, "$target", c->target);
	store_bind_blob(q, "$secret", c->secret);
	row_bind_text(q, "$events", c->events);
	store_bind_i64(q, "$deployments", c->deployments);
	store_bind_i64(q, "$now", c->created_ms);
	int rc = row_number(q, ret_id, e);
	if (rc == 0) {
		err_set(e, ERR_CONFLICT, "cannot create channel '%.*s': the name is taken",
		    STR_ARG(c->name));
		return err_hint(e, "choose another name");
	}
	return rc < 0 ? -1 : 0;
}

#define CHANNEL_COLUMNS(secret)                                                                    \
	"SELECT c.id, c.project_id, c.name, c.type, c.target, " secret                             \
	", c.events, c.paused, c.disabled, c.created_ms, c.deployments FROM channel c WHERE "
#define OF_PROJECT "coalesce(c.project_id, 0) = $project AND "

static void fill_channel(struct row *r, void *ret)
{
	*(struct model_channel *)ret = (struct model_channel){
	    .id = row_i64(r, 0),
	    .project_id = row_i64(r, 1),
	    .name = row_str(r, 2),
	    .type = (enum model_channel_type)row_enum(r, 3, type_names, MODEL_CHANNEL_TYPE_COUNT),
	    .target = row_str(r, 4),
	    .secret = row_str_null(r, 5),
	    .events = row_str(r, 6),
	    .paused = row_bool(r, 7),
	    .disabled = row_str(r, 8),
	    .created_ms = row_i64(r, 9),
	    .deployments = row_bool(r, 10),
	};
}

int model_channel_get(struct store_db *db, struct arena *a, int64_t project_id, struct str name,
    struct model_viewer viewer, struct model_channel *ret, struct err *e)
{
	struct store_stmt *q = store_prepare(db,
	    CHANNEL_COLUMNS("NULL") OF_PROJECT "c.name = $name AND " ROW_SEES("c", "project_id"),
	    e);
	if (!q)
		return -1;
	store_bind_i64(q, "$project", project_id);
	store_bind_text(q, "$name", name);
	row_bind_viewer(q, viewer);
	return row_get(q, a, fill_channel, ret, e);
}

int model_channel_list(struct store_db *db, struct arena *a, int64_t project_id,
    struct model_page page, struct model_viewer viewer, struct model_channels *ret, struct err *e)
{
	struct row_list l;
	struct store_stmt *q = store_prepare(db,
	    CHANNEL_COLUMNS("NULL") OF_PROJECT
	    "c.id < $after AND " ROW_SEES("c", "project_id") " ORDER BY c.id DESC LIMIT $limit",
	    e);
	if (!q)
		return -1;
	store_bind_i64(q, "$project", project_id);
	row_bind_page(q, page);
	row_bind_viewer(q, viewer);
	if (row_list(
		q, a, sizeof(struct model_channel), row_limit(page.limit), fill_channel, &l, e) < 0)
		return -1;
	ROW_LIST_INTO(ret, l);
	ret->more = l.more;
	return 0;
}

int model_channel_listening(struct store_db *db, struct arena *a, int64_t project_id,
    struct model_channels *ret, struct err *e)
{
	struct row_list l;
	struct store_stmt *q = store_prepare(db,
	    CHANNEL_COLUMNS("NULL") "coalesce(c.project_id, $project) = $project AND c.paused = 0"
				    " AND c.disabled = '' ORDER BY c.id",
	    e);
	if (!q)
		return -1;
	store_bind_i64(q, "$project", project_id);
	if (row_list(q, a, sizeof(struct model_channel), 0, fill_channel, &l, e) < 0)
		return -1;
	ROW_LIST_INTO(ret, l);
	ret->more = false;
	return 0;
}

int model_channel_open(
    struct store_db *db, struct arena *a, int64_t id, struct model_channel *ret, struct err *e)
{
	struct store_stmt *q = store_prepare(db, CHANNEL_COLUMNS("c.secret") "c.id = $id", e);
	if (!q)
		return -1;
	store_bind_i64(q, "$id", id);
	return row_get(q, a, fill_channel, ret, e);
}

int model_channel_update(struct store_db *db, int64_t id, struct str target,
    struct str sealed_secret, struct str events, struct err *e)
{
	struct store_stmt *q = store_prepare(db,
	    "UPDATE channel SET target = coalesce($target, target), secret = coalesce($secret, "
	    "secret),"
	    " events = coalesce($events, events), disabled = '' WHERE id = $id",
	    e);
	if (!q)
		return -1;
	store_bind_text(q, "$target", target);
	store_bind_blob(q, "$secret", sealed_secret);
	store_bind_text(q, "$events", events);
	store_bind_i64(q, "$id", id);
	return row_change(db, q, e);
}

int model_channel_set_deployments(struct store_db *db, int64_t id, bool deployments, struct err *e)
{
	struct store_stmt *q =
	    store_prepare(db, "UPDATE channel SET deployments = $deployments WHERE id = $id", e);
	if (!q)
		return -1;
	store_bind_i64(q, "$deployments", deployments);
	store_bind_i64(q, "$id", id);
	return row_change(db, q, e);
}

int model_channel_set_paused(struct store_db *db, int64_t id, bool paused, struct err *e)
{
	struct store_stmt *q = store_prepare(db,
	    "UPDATE channel SET paused = $paused,"
	    " disabled = CASE WHEN $paused = 0 THEN '' ELSE disabled END WHERE id = $id",
	    e);
	if (!q)
		return -1;
	store_bind_i64(q, "$paused", paused);
	store_bind_i64(q, "$id", id);
	return row_change(db, q, e);
}

int model_channel_disable(
    struct store_db *db, int64_t id, struct str why, int64_t now_ms, struct err *e)
{
	struct store_stmt *q = store_prepare(db,
	    "UPDATE delivery SET state = 'failed', ended_ms = $now, last_error = $why"
	    " WHERE channel_id = $id AND state = 'waiting'",
	    e);
	if (!q)
		return -1;
	store_bind_i64(q, "$now", now_ms);
	store_bind_text(q, "$why", why);
	store_bind_i64(q, "$id", id);
	if (store_exec(q, e) < 0 ||
	    !(q = store_prepare(db, "UPDATE channel SET disabled = $why WHERE id = $id", e)))
		return -1;
	store_bind_text(q, "$why", why);
	store_bind_i64(q, "$id", id);
	return row_change(db, q, e);
}

int model_channel_remove(struct store_db *db, int64_t id, struct err *e)
{
	struct store_stmt *q = store_prepare(db, "DELETE FROM channel WHERE id = $id", e);
	if (!q)
		return -1;
	store_bind_i64(q, "$id", id);
	return row_change(db, q, e);
}

static void fill_mail(struct row *r, void *ret)
{
	*(struct model_mail_server *)ret = (struct model_mail_server){
	    .host = row_str(r, 0),
	    .port = row_i64(r, 1),
	    .tls = (enum model_mail_tls)row_enum(r, 2, tls_names, MODEL_MAIL_TLS_COUNT),
	    .sender = row_str(r, 3),
	    .user = row_str(r, 4),
	    .password = row_str_null(r, 5),
	};
}

int model_mail_server_get(
    struct store_db *db, struct arena *a, struct model_mail_server *ret, struct err *e)
{
	struct store_stmt *q = store_prepare(db,
	    "SELECT host, port, tls, sender, user_name, password FROM mail_server WHERE id = 1", e);
	return q ? row_get(q, a, fill_mail, ret, e) : -1;
}

int model_mail_server_set(struct store_db *db, const struct model_mail_server *m, struct err *e)
{
	struct store_stmt *q = store_prepare(db,
	    "INSERT INTO mail_server(id, host, port, tls, sender, user_name, password)"
	    " VALUES (1, $host, $port, $tls, $sender, $user, $password)"
	    " ON CONFLICT (id) DO UPDATE SET host = $host, port = $port, tls = $tls, sender = "
	    "$sender,"
	    " user_name = $user, password = coalesce($password, mail_server.password)",
	    e);
	if (!q)
		return -1;
	store_bind_text(q, "$host", m->host);
	store_bind_i64(q, "$port", m->port);
	store_bind_text(q, "$tls", str_c(tls_names[m->tls]));
	store_bind_text(q, "$sender", m->sender);
	row_bind_text(q, "$user", m->user);
	store_bind_blob(q, "$password", m->password);
	return store_exec(q, e);
}

int model_mail_server_remove(struct store_db *db, struct err *e)
{
	struct store_stmt *q = store_prepare(db, "DELETE FROM mail_server WHERE id = 1", e);
	return q ? row_change(db, q, e) : -1;
}
