/* Backups: what is on the shelf, making one, its bytes, taking one in, restoring. */
#include "api/order.h"
#include "api/routes.h"
#include "api/spool.h"
#include "api/view.h"

#include "backup/archive.h"
#include "backup/shelf.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/hex.h"
#include "base/num.h"
#include "model/project.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

enum { CONTENT_BYTES = 4 << 20, PASSPHRASE_MIN = 8 };

static int unavailable(const struct api_call *c, struct err *e)
{
	return c->cx->backups_dir ? 0 : err_set(e, ERR_UNAVAILABLE, "this daemon keeps no backups");
}

static void item_json(struct api_call *c, const struct shelf_item *i)
{
	const struct backup_header *h = &i->header;
	struct json_out *w = &c->w;
	json_open_object(w, NULL);
	json_put_str(w, "id", i->id);
	json_put_str(w, "project", h->project);
	json_put_str(w, "kind", h->kind);
	json_put_time(w, "created_at", h->created_ms);
	json_put_str(w, "reason", h->reason);
	json_put_time(w, "until", h->until_ms);
	json_put_str(w, "by", h->by);
	api_put_i64_or_null(w, "release", h->release);
	api_put_text(w, "commit", h->commit);
	json_put_i64(w, "size_bytes", i->size_bytes);
	json_put_i64(w, "files", h->files);
	json_put_i64(w, "files_bytes", h->bytes);
	json_put_i64(w, "databases", h->databases);
	json_put_i64(w, "left_out", h->left_out);
	json_put_bool(w, "passphrase", i->passphrase);
	json_close_object(w);
}

/* Of the subject's project; in the global scope project_id is 0, which stands for destroyed ones. */
int api_backup_list(struct api_call *c, struct err *e)
{
	struct shelf_items all;
	if (unavailable(c, e) < 0 ||
	    shelf_list(c->cx->backups_dir, c->who->project_id, c->r->arena, &all, e) < 0)
		return -1;
	json_open_object(&c->w, NULL);
	json_open_array(&c->w, "items");
	for (size_t i = 0; i < all.n; i++)
		item_json(c, &all.v[i]);
	json_close_array(&c->w);
	json_close_object(&c->w);
	return 0;
}

/* The one that the route names: 0, or ERR_NOT_FOUND. */
static int item_find(struct api_call *c, struct shelf_item *ret, struct err *e)
{
	struct str id = http_param(c->http, "backup");
	if (unavailable(c, e) < 0)
		return -1;
	int found = shelf_find(c->cx->backups_dir, c->who->project_id, id, c->r->arena, ret, e);
	return found < 0 ? -1 : found == 0 ? api_absent("backup", id, e) : 0;
}

int api_backup_get(struct api_call *c, struct err *e)
{
	struct shelf_item i;
	if (item_find(c, &i, e) < 0)
		return -1;
	item_json(c, &i);
	return 0;
}

/* ---- making ---- */

static int passphrase_check(struct str passphrase, struct err *e)
{
	if (!passphrase.n || passphrase.n >= PASSPHRASE_MIN)
		return 0;
	err_set(e, ERR_INVALID, "a passphrase has at least %d bytes", PASSPHRASE_MIN);
	return err_at(e, "/passphrase");
}

struct make_order {
	struct api_order order;
	const char *how;
};

/* The input holds keys, sealed and wrapped; the audit record does not need them. */
static int make_unit(struct api_call *c, struct store_db *db, void *ctx, struct err *e)
{
	struct make_order *m = ctx;
	int64_t task = 0;
	const struct queue_order q = {.project_id = c->who->project_id,
	    .kind = MODEL_TASK_BACKUP,
	    .input_json = m->order.input,
	    .ref = STR(""),
	    .requested_by = c->who->name,
	    .now_ms = clock_wall_ms()};
	c->kick = true;
	if (queue_unit_order(db, &q, &task, e) < 0 ||
	    api_audit(c, db, c->who->project, str_c(m->how), e) < 0)
		return -1;
	json_open_object(&c->w, NULL);
	json_put_i64(&c->w, "task", task);
	json_close_object(&c->w);
	api_location(c, "/api/v1/tasks/%" PRId64, task);
	return 0;
}

static void put_base64(struct json_out *w, const char *key, const struct buf *bytes)
{
	CLEANUP_BUF struct buf text;
	buf_init(&text, 1024);
	base64_encode(bytes->p, bytes->n, &text);
	json_put_str(w, key, buf_view(&text));
}

/* The key is made here, so that no passphrase is ever stored. */
static int make_run(struct api_call *c, struct str passphrase, struct err *e)
{
	CLEANUP_BUF struct buf sealed, wrapped, input;
	struct json_out w;
	buf_init(&sealed, 512);
	buf_init(&wrapped, 512);
	buf_init(&input, 4096);
	if (backup_key_make(c->cx->seal, passphrase, &sealed, &wrapped, e) < 0)
		return -1;
	json_out_init(&w, &input);
	json_open_object(&w, NULL);
	put_base64(&w, "key", &sealed);
	if (wrapped.n)
		put_base64(&w, "slot", &wrapped);
	json_close_object(&w);
	struct make_order m = {.order = {.kind = MODEL_TASK_BACKUP, .input = buf_view(&input)},
	    .how = passphrase.n ? "with a passphrase" : ""};
	return buf_check(&input, "the order", e) < 0 ? -1 : api_write(c, make_unit, &m, e);
}

int api_backup_create(struct api_call *c, struct err *e)
{
	struct str passphrase = api_str(c->body, "passphrase");
	return unavailable(c, e) < 0 || passphrase_check(passphrase, e) < 0
		   ? -1
		   : make_run(c, passphrase, e);
}

/* ---- its bytes ---- */

int api_backup_content(struct api_call *c, struct err *e)
{
	struct shelf_item i;
	int64_t offset = 0;
	struct str at = http_query(c->r, "offset");
	if (at.p && !num_i64(at, 0, INT64_MAX, &offset)) {
		err_set(e, ERR_INVALID, "'offset' is no number of bytes");
		return err_at(e, "/offset");
	}
	if (item_find(c, &i, e) < 0)
		return -1;
	CLEANUP_BUF struct buf piece;
	buf_init(&piece, CONTENT_BYTES);
	CLEANUP_FD int fd = shelf_open(c->cx->backups_dir, c->who->project_id, i.id, e);
	char *to = fd < 0 ? NULL : buf_reserve(&piece, CONTENT_BYTES);
	ssize_t n = to ? pread(fd, to, CONTENT_BYTES, offset) : 0;
	if (fd < 0)
		return -1;
	if (n < 0)
		return err_sys(e, ERR_IO, errno, "could not read the backup");
	buf_commit(&piece, (size_t)n);
	c->answered = true;
	http_reply(c->http, 200, "application/octet-stream", buf_view(&piece));
	return 0;
}

/* ---- deleting, restoring ---- */

static int removed_unit(struct api_call *c, struct store_db *db, void *ctx, struct err *e)
{
	const struct shelf_item *i = ctx;
	json_open_object(&c->w, NULL);
	json_put_bool(&c->w, "removed", true);
	json_close_object(&c->w);
	return api_audit(c, db, c->who->project, i->id, e);
}

int api_backup_remove(struct api_call *c, struct err *e)
{
	struct shelf_item i;
	if (item_find(c, &i, e) < 0 || api_write(c, removed_unit, &i, e) < 0)
		return -1;
	return c->replayed ? 0 : shelf_remove(c->cx->backups_dir, c->who->project_id, i.id, e);
}

int api_backup_restore(struct api_call *c, struct err *e)
{
	struct shelf_item i;
	char input[128];
	if (item_find(c, &i, e) < 0)
		return -1;
	snprintf(input, sizeof(input), "{\"backup\":\"%.*s\"%s%s}", STR_ARG(i.id),
	    api_bool(c->body, "data_only", false) ? ",\"data_only\":true" : "",
	    c->who->global_role >= MODEL_ROLE_ADMIN ? ",\"admin\":true" : "");
	struct api_order o = {.kind = MODEL_TASK_RESTORE, .input = str_c(input)};
	return api_order(c, &o, e);
}

/* ---- taking one in ---- */

struct import {
	int64_t project_id;
	struct str project, archive, passphrase, destroyed;
	struct shelf_new file;
	struct shelf_item item;
};

static int project_find(struct api_call *c, struct import *m, struct err *e)
{
	struct model_project p;
	struct store_db *db = api_reading(c, e);
	if (!db)
		return -1;
	int found = model_project_get(db, c->r->arena, m->project, api_viewer(c), &p, e);
	m->project_id = p.id;
	return found < 0 ? -1 : found == 0 ? api_absent("project", m->project, e) : 0;
}

static int find_taken(struct api_call *c, struct import *m, struct err *e)
{
	return shelf_find(c->cx->backups_dir, m->project_id, str_c(m->file.id), c->r->arena,
		   &m->item, e) == 1
		   ? 0
		   : err_set(e, ERR_INVALID, "the archive's header is malformed");
}

/* Proved to its end by the passphrase, and from then on opened by this server's key. */
static int take_upload(struct api_call *c, struct import *m, struct err *e)
{
	CLEANUP_FD int from = api_spool_open(c, m->project_id, m->archive, e);
	if (from < 0)
		return err_at(e, "/archive");
	if (shelf_begin(c->cx->backups_dir, m->project_id, clock_wall_ms(), &m->file, e) < 0)
		return -1;
	if (backup_rekey(from, m->file.fd, c->cx->seal, m->passphrase, e) < 0 ||
	    shelf_keep(&m->file, e) < 0) {
		shelf_drop(&m->file);
		return -1;
	}
	return find_taken(c, m, e);
}

static int take_destroyed(struct api_call *c, struct import *m, struct err *e)
{
	int found = shelf_find(c->cx->backups_dir, 0, m->destroyed, c->r->arena, &m->item, e);
	if (found <= 0)
		return found < 0 ? -1 : api_absent("backup", m->destroyed, e);
	return shelf_copy(c->cx->backups_dir, m->item.project_id, m->destroyed, m->project_id,
		   clock_wall_ms(), m->file.id, e) < 0
		   ? -1
		   : find_taken(c, m, e);
}

static int import_unit(struct api_call *c, struct store_db *db, void *ctx, struct err *e)
{
	const struct import *m = ctx;
	item_json(c, &m->item);
	return api_audit(c, db, m->project, m->item.id, e);
}

int api_backup_import(struct api_call *c, struct err *e)
{
	struct import m = {.project = api_str(c->body, "project"),
	    .archive = api_str(c->body, "archive"),
	    .passphrase = api_str(c->body, "passphrase"),
	    .destroyed = api_str(c->body, "destroyed"),
	    .file = {.dir = -1, .fd = -1}};
	if (unavailable(c, e) < 0)
		return -1;
	if ((m.archive.n > 0) == (m.destroyed.n > 0))
		return err_set(e, ERR_INVALID, "name either 'archive' or 'destroyed'");
	if (project_find(c, &m, e) < 0 ||
	    (m.archive.n ? take_upload(c, &m, e) : take_destroyed(c, &m, e)) < 0)
		return -1;
	int rc = api_write(c, import_unit, &m, e);
	if ((rc < 0 || c->replayed) && m.file.id[0] &&
	    shelf_remove(c->cx->backups_dir, m.project_id, str_c(m.file.id), e) < 0)
		return -1;
	return rc;
}
