#include "deploy/uploads.h"

#include "base/dir.h"
#include "base/fs.h"
#include "base/hex.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

void uploads_prefix(int64_t project_id, char out[UPLOADS_ID_SIZE])
{
	(void)snprintf(out, UPLOADS_ID_SIZE, "%" PRId64 "-", project_id);
}

bool uploads_name(int64_t project_id, struct str id, char out[UPLOADS_NAME_SIZE])
{
	char prefix[UPLOADS_ID_SIZE];
	uint8_t raw[16];
	uploads_prefix(project_id, prefix);
	struct str own = str_c(prefix);
	if (!str_starts(id, own) || !hex_decode(str_from(id, own.n), raw, sizeof(raw)))
		return false;
	(void)snprintf(out, UPLOADS_NAME_SIZE, "%.*s.tar", STR_ARG(id));
	return true;
}

static int open_spool(const char *spool, struct err *e)
{
	int fd = open(spool, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd >= 0 ? fd : err_sys(e, ERR_IO, errno, "could not open the spool");
}

int uploads_drop(const char *spool, int64_t project_id, struct str id, struct err *e)
{
	char name[UPLOADS_NAME_SIZE];
	if (!uploads_name(project_id, id, name))
		return 0;
	CLEANUP_FD int dir = open_spool(spool, e);
	if (dir < 0)
		return -1;
	return unlinkat(dir, name, 0) == 0 || errno == ENOENT
		   ? 0
		   : err_sys(e, ERR_IO, errno, "could not remove an upload");
}

static bool is_part(struct str name)
{
	return str_ends(name, STR(".part"));
}

static bool is_upload(struct str name)
{
	return is_part(name) || str_ends(name, STR(".tar"));
}

int uploads_clear(const char *spool, int64_t project_id, struct err *e)
{
	struct dir d CLEANUP_DIR;
	char own[UPLOADS_ID_SIZE];
	CLEANUP_FD int dir = open_spool(spool, e);
	dir_open(&d, dir);
	if (dir < 0)
		return -1;
	uploads_prefix(project_id, own);
	for (const struct dirent64 *f; (f = dir_next(&d));) {
		struct str name = str_c(f->d_name);
		if (str_starts(name, str_c(own)) && is_upload(name) &&
		    unlinkat(dir, f->d_name, 0) != 0 && errno != ENOENT)
			return err_sys(e, ERR_IO, errno, "could not remove an upload");
	}
	return d.error == 0 ? 0 : err_sys(e, ERR_IO, d.error, "could not list the spool");
}

int uploads_tidy(const char *spool, int64_t now_ms, bool parts, int64_t project_id,
    size_t *ret_removed, size_t *ret_left, struct err *e)
{
	struct dir d CLEANUP_DIR;
	char own[UPLOADS_ID_SIZE];
	CLEANUP_FD int dir = open_spool(spool, e);
	dir_open(&d, dir);
	*ret_removed = *ret_left = 0;
	if (dir < 0)
		return -1;
	uploads_prefix(project_id, own);
	for (const struct dirent64 *f; (f = dir_next(&d));) {
		struct stat st;
		struct str name = str_c(f->d_name);
		bool part = is_part(name);
		if (!is_upload(name) || fstatat(dir, f->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0)
			continue;
		if ((part && parts) || (int64_t)st.st_mtime * 1000 < now_ms - UPLOADS_KEPT_MS)
			*ret_removed += unlinkat(dir, f->d_name, 0) == 0;
		else
			*ret_left += !part && str_starts(name, str_c(own));
	}
	return d.error == 0 ? 0 : err_sys(e, ERR_IO, d.error, "could not list the spool");
}
