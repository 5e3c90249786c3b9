/* Uploading an archive, and what is kept of them. */
#include "api/routes.h"
#include "api/spool.h"

#include "base/clock.h"
#include "base/fs.h"
#include "base/hex.h"
#include "base/limits.h"
#include "base/rand.h"
#include "crypto/hash.h"
#include "deploy/uploads.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { COPY_BYTES = 1 << 16 };

static int spool_open(const struct api_call *c, struct err *e)
{
	int fd = open(c->cx->spool_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd >= 0 ? fd : err_sys(e, ERR_IO, errno, "could not open the spool");
}

static int upload_absent(struct str id, struct err *e)
{
	api_absent("archive", id, e);
	return err_hint(e,
	    "upload it again: an archive is kept until what it was for has ended, a day at most");
}

int api_spool_check(const struct api_call *c, struct str id, struct err *e)
{
	char name[UPLOADS_NAME_SIZE];
	if (!uploads_name(c->who->project_id, id, name))
		return api_absent("archive", id, e);
	int dir CLEANUP_FD = spool_open(c, e);
	if (dir < 0)
		return -1;
	return faccessat(dir, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0 ? 0 : upload_absent(id, e);
}

int api_spool_open(const struct api_call *c, int64_t project_id, struct str id, struct err *e)
{
	char name[UPLOADS_NAME_SIZE];
	if (!uploads_name(project_id, id, name))
		return api_absent("archive", id, e);
	int dir CLEANUP_FD = spool_open(c, e);
	int fd = dir < 0 ? -1 : openat(dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	return dir < 0 || fd >= 0 ? fd : upload_absent(id, e);
}

static int copy_hashed(int from, int to, struct hash *h, int64_t *ret_size, struct err *e)
{
	char piece[COPY_BYTES];
	*ret_size = 0;
	for (;;) {
		ssize_t n = read(from, piece, sizeof(piece));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(e, ERR_IO, errno, "could not read the upload");
		if (n == 0)
			return 0;
		hash_update(h, (struct str){piece, (size_t)n});
		if (fs_write_all(to, piece, (size_t)n, e) < 0)
			return -1;
		*ret_size += n;
	}
}

/* Writes the upload as a file of a temporary name, durable; its hash becomes the call's. */
static int upload_store(
    struct api_call *c, int dir, const char *part, int64_t *ret_size, struct err *e)
{
	uint8_t raw[HASH_SHA256_BYTES];
	int to CLEANUP_FD = openat(dir, part, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (to < 0)
		return err_sys(e, ERR_IO, errno, "could not make a file in the spool");
	int from = http_body_fd(c->http);
	if (from < 0)
		return err_set(e, ERR_INVALID, "the archive is empty");
	struct hash *h = hash_new();
	int rc = copy_hashed(from, to, h, ret_size, e);
	hash_finish(h, raw);
	hash_free(h);
	if (rc < 0)
		return -1;
	if (*ret_size == 0)
		return err_set(e, ERR_INVALID, "the archive is empty");
	if (fsync(to) != 0)
		return err_sys(e, ERR_IO, errno, "could not store the upload");
	char *hex = arena_alloc(c->r->arena, 2 * sizeof(raw) + 1);
	if (!hex)
		return err_set(e, ERR_TOO_LARGE, "the request needs too much memory");
	hex_encode(raw, sizeof(raw), hex);
	c->body_hash = str_c(hex);
	return 0;
}

struct upload {
	int dir;
	const char *part;
	char id[UPLOADS_ID_SIZE], name[UPLOADS_NAME_SIZE];
	int64_t size;
};

static int upload_unit(struct api_call *c, struct store_db *db, void *ctx, struct err *e)
{
	struct upload *u = ctx;
	json_open_object(&c->w, NULL);
	json_put_str(&c->w, "archive", str_c(u->id));
	json_put_i64(&c->w, "size_bytes", u->size);
	json_close_object(&c->w);
	return api_audit(c, db, c->who->project, str_c(u->id), e);
}

static int upload_check(struct api_call *c, struct err *e)
{
	size_t removed, count;
	if (uploads_tidy(c->cx->spool_dir, clock_wall_ms(), false, c->who->project_id, &removed,
		&count, e) < 0)
		return -1;
	if (count < API_SPOOL_PER_PROJECT)
		return 0;
	err_set(e, ERR_RATE, "'%.*s' has %zu archives waiting already", STR_ARG(c->who->project),
	    count);
	return err_hint(e, "deploy one of them, or try again tomorrow");
}

/* The file is there, under its name and durable, before its id is; a repeat that finds a kept
 * answer leaves no second one. */
static int upload_run(struct api_call *c, struct upload *u, struct err *e)
{
	if (upload_check(c, e) < 0 || upload_store(c, u->dir, u->part, &u->size, e) < 0)
		return -1;
	if (renameat(u->dir, u->part, u->dir, u->name) != 0 || fsync(u->dir) != 0)
		return err_sys(e, ERR_IO, errno, "could not store the upload");
	int rc = api_write(c, upload_unit, u, e);
	if (rc < 0 || c->replayed)
		unlinkat(u->dir, u->name, 0);
	return rc;
}

int api_archive_create(struct api_call *c, struct err *e)
{
	struct upload u = {0};
	uint8_t raw[16];
	char hex[33], part[UPLOADS_NAME_SIZE];
	rand_bytes(raw, sizeof(raw));
	hex_encode(raw, sizeof(raw), hex);
	uploads_prefix(c->who->project_id, u.id);
	strncat(u.id, hex, sizeof(u.id) - strlen(u.id) - 1);
	snprintf(part, sizeof(part), "%s.part", u.id);
	snprintf(u.name, sizeof(u.name), "%s.tar", u.id);
	u.part = part;
	u.dir = spool_open(c, e);
	if (u.dir < 0)
		return -1;
	int rc = upload_run(c, &u, e);
	unlinkat(u.dir, part, 0);
	close(u.dir);
	return rc;
}
