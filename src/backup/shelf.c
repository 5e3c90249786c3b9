#include "backup/shelf.h"
#include "backup/archive.h"
#include "base/dir.h"
#include "base/fs.h"
#include "base/hex.h"
#include "base/num.h"
#include "base/rand.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <time.h>
#include <unistd.h>

#define ENDING ".backup"
#define FOLDER_SIZE 24
#define FILE_SIZE (SHELF_ID_SIZE + 8)
#define ITEMS_MAX 4096u
#define COPY_BYTES (1u << 30) /* at a time */

static void folder_name(int64_t project_id, char out[FOLDER_SIZE])
{
	(void)snprintf(out, FOLDER_SIZE, "p%" PRId64, project_id);
}

static bool folder_number(const char *name, int64_t *ret)
{
	return name[0] == 'p' && num_i64(str_from(str_c(name), 1), 1, INT64_MAX, ret);
}

/* "20261126T202408Z-1a2b3c" */
static bool is_id(struct str s)
{
	static const char shape[] = "dddddddd-dddddd--hhhhhh";
	if (s.n != SHELF_ID_SIZE - 1 || s.p[8] != 'T' || s.p[15] != 'Z' || s.p[16] != '-')
		return false;
	for (size_t i = 0; i < s.n; i++) {
		bool digit = s.p[i] >= '0' && s.p[i] <= '9';
		bool letter = shape[i] == 'h' && s.p[i] >= 'a' && s.p[i] <= 'f';
		if (shape[i] != '-' && !digit && !letter)
			return false;
	}
	return true;
}

static bool file_id(const char *name, struct str *ret)
{
	struct str s = str_c(name);
	*ret = str_slice(s, 0, SHELF_ID_SIZE - 1);
	return s.n == SHELF_ID_SIZE - 1 + strlen(ENDING) && str_ends(s, STR(ENDING)) && is_id(*ret);
}

static void file_name(struct str id, char out[FILE_SIZE])
{
	(void)snprintf(out, FILE_SIZE, "%.*s" ENDING, STR_ARG(id));
}

static int open_root(const char *root, struct err *e)
{
	int fd = open(root, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd >= 0 ? fd : err_sys(e, ERR_IO, errno, "could not open the folder of backups");
}

/* -1 with ERR_NOT_FOUND when there is none. */
static int open_folder(const char *root, int64_t project_id, bool make, struct err *e)
{
	char name[FOLDER_SIZE];
	CLEANUP_FD int top = open_root(root, e);
	folder_name(project_id, name);
	if (top < 0)
		return -1;
	if (make)
		return fs_dir(top, name, 0700, e);
	int fd = openat(top, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd >= 0 ? fd
		       : err_sys(e, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, errno,
			     "could not open the project's backups");
}

/* ---- a new one ---- */

static size_t count_in(int dir)
{
	struct dir d CLEANUP_DIR;
	struct str id;
	size_t n = 0;
	dir_open(&d, dir);
	for (const struct dirent64 *f; (f = dir_next(&d));)
		n += file_id(f->d_name, &id);
	return n;
}

static void new_id(int64_t now_ms, char out[SHELF_ID_SIZE])
{
	uint8_t raw[3];
	char hex[2 * sizeof(raw) + 1], at[20] = "";
	time_t s = (time_t)(now_ms / 1000);
	struct tm tm;
	rand_bytes(raw, sizeof(raw));
	hex_encode(raw, sizeof(raw), hex);
	if (gmtime_r(&s, &tm))
		(void)strftime(at, sizeof(at), "%Y%m%dT%H%M%SZ", &tm);
	(void)snprintf(out, SHELF_ID_SIZE, "%.16s-%s", at, hex);
}

int shelf_begin(
    const char *root, int64_t project_id, int64_t now_ms, struct shelf_new *ret, struct err *e)
{
	*ret = (struct shelf_new){.dir = -1, .fd = -1};
	ret->dir = open_folder(root, project_id, true, e);
	if (ret->dir < 0)
		return -1;
	if (count_in(ret->dir) >= SHELF_PER_PROJECT) {
		shelf_drop(ret);
		(void)err_set(
		    e, ERR_CONFLICT, "the project has %u backups already", SHELF_PER_PROJECT);
		return err_hint(e, "delete one: slipway backups delete NAME BACKUP");
	}
	new_id(now_ms, ret->id);
	(void)snprintf(ret->part, sizeof(ret->part), "%s.part", ret->id);
	ret->fd =
	    openat(ret->dir, ret->part, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (ret->fd >= 0)
		return 0;
	(void)err_sys(e, ERR_IO, errno, "could not make the archive");
	shelf_drop(ret);
	return -1;
}

int shelf_keep(struct shelf_new *n, struct err *e)
{
	char name[FILE_SIZE];
	file_name(str_c(n->id), name);
	if (renameat(n->dir, n->part, n->dir, name) != 0)
		return err_sys(e, ERR_IO, errno, "could not keep the archive");
	n->part[0] = '\0';
	if (fsync(n->dir) != 0)
		return err_sys(e, ERR_IO, errno, "could not keep the archive");
	shelf_drop(n);
	return 0;
}

void shelf_drop(struct shelf_new *n)
{
	if (n->part[0] && n->dir >= 0)
		(void)unlinkat(n->dir, n->part, 0);
	n->part[0] = '\0';
	fs_close_fd(&n->fd);
	fs_close_fd(&n->dir);
}

/* ---- looking ---- */

static int read_item(int dir, const char *name, int64_t project_id, struct str id, struct arena *a,
    struct shelf_item *ret, struct err *e)
{
	CLEANUP_BUF struct buf header;
	struct stat st;
	buf_init(&header, BACKUP_HEADER_MAX);
	*ret = (struct shelf_item){.project_id = project_id};
	CLEANUP_FD int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) != 0)
		return err_sys(e, ERR_IO, errno, "could not open a backup");
	if (!S_ISREG(st.st_mode))
		return err_set(e, ERR_INVALID, "a backup is no file");
	if (backup_peek(fd, &header, &ret->passphrase, e) != 0 ||
	    backup_header_read(buf_view(&header), a, &ret->header, e) != 0)
		return -1;
	ret->size_bytes = st.st_size;
	ret->id = arena_str(a, id);
	return ret->id.p ? 0 : err_set(e, ERR_TOO_LARGE, "too many backups for one answer");
}

struct listing {
	struct arena *a;
	struct shelf_items *ret;
	bool destroyed; /* only what was kept of destroyed projects */
	struct err *e;
};

static int list_folder(struct listing *l, int folder, int64_t project_id)
{
	struct dir d CLEANUP_DIR;
	struct str id;
	struct err skipped;
	dir_open(&d, folder);
	for (const struct dirent64 *f; (f = dir_next(&d));) {
		struct shelf_item item;
		if (!file_id(f->d_name, &id) ||
		    read_item(d.fd, f->d_name, project_id, id, l->a, &item, &skipped) != 0 ||
		    (l->destroyed && !(str_eq_c(item.header.reason, "destroy") &&
					 item.header.number == project_id)))
			continue;
		if (l->ret->n == ITEMS_MAX)
			return err_set(
			    l->e, ERR_TOO_LARGE, "there are more than %u backups", ITEMS_MAX);
		l->ret->v[l->ret->n++] = item;
	}
	return 0;
}

static int newer(const void *x, const void *y)
{
	const struct shelf_item *a = x, *b = y;
	/* an id begins with the second, and goes on by chance */
	int64_t later = b->header.created_ms - a->header.created_ms;
	return later != 0 ? (later > 0 ? 1 : -1) : -str_cmp(a->id, b->id);
}

static int list_all(const char *root, struct listing *l)
{
	struct dir d CLEANUP_DIR;
	int64_t number;
	CLEANUP_FD int top = open_root(root, l->e);
	if (top < 0)
		return -1;
	dir_open(&d, top);
	for (const struct dirent64 *f; (f = dir_next(&d));) {
		CLEANUP_FD int folder =
		    folder_number(f->d_name, &number)
			? openat(d.fd, f->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
			: -1;
		if (folder >= 0 && list_folder(l, folder, number) != 0)
			return -1;
	}
	return 0;
}

int shelf_list(
    const char *root, int64_t project_id, struct arena *a, struct shelf_items *ret, struct err *e)
{
	struct listing l = {.a = a, .ret = ret, .destroyed = project_id == 0, .e = e};
	struct err why;
	*ret = (struct shelf_items){.v = arena_array(a, ITEMS_MAX, sizeof(*ret->v))};
	if (!ret->v)
		return err_set(e, ERR_TOO_LARGE, "the list needs too much memory");
	if (project_id == 0) {
		if (list_all(root, &l) != 0)
			return -1;
	} else {
		CLEANUP_FD int folder = open_folder(root, project_id, false, &why);
		if (folder < 0 && why.code != ERR_NOT_FOUND) {
			*e = why;
			return -1;
		}
		if (folder >= 0 && list_folder(&l, folder, project_id) != 0)
			return -1;
	}
	qsort(ret->v, ret->n, sizeof(*ret->v), newer);
	return 0;
}

int shelf_find(const char *root, int64_t project_id, struct str id, struct arena *a,
    struct shelf_item *ret, struct err *e)
{
	struct shelf_items all;
	if (!is_id(id))
		return 0;
	if (shelf_list(root, project_id, a, &all, e) != 0)
		return -1;
	for (size_t i = 0; i < all.n; i++)
		if (str_eq(all.v[i].id, id)) {
			*ret = all.v[i];
			return 1;
		}
	return 0;
}

/* ---- one of them ---- */

static int absent(struct err *e)
{
	(void)err_set(e, ERR_NOT_FOUND, "there is no such backup any more");
	return err_hint(e, "which there are: slipway backups list NAME");
}

int shelf_open(const char *root, int64_t project_id, struct str id, struct err *e)
{
	char name[FILE_SIZE];
	if (!is_id(id))
		return absent(e);
	CLEANUP_FD int dir = open_folder(root, project_id, false, e);
	file_name(id, name);
	int fd = dir < 0 ? -1 : openat(dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	return fd >= 0 ? fd : absent(e);
}

int shelf_remove(const char *root, int64_t project_id, struct str id, struct err *e)
{
	char name[FILE_SIZE];
	if (!is_id(id))
		return absent(e);
	CLEANUP_FD int dir = open_folder(root, project_id, false, e);
	file_name(id, name);
	if (dir < 0 || (unlinkat(dir, name, 0) != 0 && errno == ENOENT))
		return absent(e);
	return fsync(dir) == 0 ? 0 : err_sys(e, ERR_IO, errno, "could not remove the backup");
}

static bool is_part(const char *name)
{
	return str_ends(str_c(name), STR(".part"));
}

/* What destroying the project keeps of it. */
static bool is_farewell(int dir, const char *name, int64_t project_id, struct str id)
{
	struct arena a CLEANUP_ARENA;
	struct shelf_item item;
	struct err e;
	arena_init(&a, 4 * BACKUP_HEADER_MAX);
	return read_item(dir, name, project_id, id, &a, &item, &e) == 0 &&
	       item.header.until_ms > 0 && item.header.number == project_id &&
	       str_eq_c(item.header.reason, "destroy");
}

int shelf_clear(const char *root, int64_t project_id, bool keep_destroyed, struct err *e)
{
	struct dir d CLEANUP_DIR;
	struct str id;
	char name[FOLDER_SIZE];
	struct err why;
	CLEANUP_FD int folder = open_folder(root, project_id, false, &why);
	dir_open(&d, folder);
	if (folder < 0) {
		if (why.code == ERR_NOT_FOUND)
			return 0;
		*e = why;
		return -1;
	}
	for (const struct dirent64 *f; (f = dir_next(&d));) {
		bool whole = file_id(f->d_name, &id);
		if ((!whole && !is_part(f->d_name)) ||
		    (whole && keep_destroyed && is_farewell(folder, f->d_name, project_id, id)))
			continue;
		if (unlinkat(folder, f->d_name, 0) != 0 && errno != ENOENT)
			return err_sys(e, ERR_IO, errno, "could not remove a backup");
	}
	if (d.error != 0 || fsync(folder) != 0)
		return err_sys(
		    e, ERR_IO, d.error ? d.error : errno, "could not remove the backups");
	CLEANUP_FD int top = open_root(root, e);
	folder_name(project_id, name);
	if (top >= 0)
		(void)unlinkat(top, name, AT_REMOVEDIR); /* only when it is empty */
	return top >= 0 ? 0 : -1;
}

int shelf_highest(const char *root, int64_t *ret_project_id, struct err *e)
{
	struct dir d CLEANUP_DIR;
	int64_t number;
	*ret_project_id = 0;
	CLEANUP_FD int top = open_root(root, e);
	dir_open(&d, top);
	if (top < 0)
		return -1;
	for (const struct dirent64 *f; (f = dir_next(&d));)
		if (folder_number(f->d_name, &number) && number > *ret_project_id)
			*ret_project_id = number;
	return d.error == 0
		   ? 0
		   : err_sys(e, ERR_IO, d.error, "could not look through the folder of backups");
}

static int copy_bytes(int from, int to, struct err *e)
{
	ssize_t n;
	while ((n = sendfile(to, from, NULL, COPY_BYTES)) != 0)
		if (n < 0 && errno != EINTR)
			return err_sys(e, ERR_IO, errno, "could not copy the archive");
	return fsync(to) == 0 ? 0 : err_sys(e, ERR_IO, errno, "could not keep the archive");
}

int shelf_copy(const char *root, int64_t from, struct str id, int64_t to, int64_t now_ms,
    char ret_id[SHELF_ID_SIZE], struct err *e)
{
	struct shelf_new fresh;
	CLEANUP_FD int old = shelf_open(root, from, id, e);
	if (old < 0 || shelf_begin(root, to, now_ms, &fresh, e) < 0)
		return -1;
	memcpy(ret_id, fresh.id, SHELF_ID_SIZE);
	if (copy_bytes(old, fresh.fd, e) == 0 && shelf_keep(&fresh, e) == 0)
		return 0;
	shelf_drop(&fresh);
	return -1;
}

/* ---- tidying ---- */

static bool is_over(int dir, const char *name, int64_t now_ms)
{
	struct arena a CLEANUP_ARENA;
	struct shelf_item item;
	struct str id;
	struct err e;
	arena_init(&a, 4 * BACKUP_HEADER_MAX);
	return file_id(name, &id) && read_item(dir, name, 1, id, &a, &item, &e) == 0 &&
	       item.header.until_ms > 0 && item.header.until_ms <= now_ms;
}

int shelf_tidy(const char *root, int64_t now_ms, bool parts, size_t *ret_removed, struct err *e)
{
	struct dir d CLEANUP_DIR;
	int64_t number;
	*ret_removed = 0;
	CLEANUP_FD int top = open_root(root, e);
	dir_open(&d, top);
	if (top < 0)
		return -1;
	for (const struct dirent64 *f; (f = dir_next(&d));) {
		if (!folder_number(f->d_name, &number))
			continue;
		struct dir in CLEANUP_DIR;
		dir_take(
		    &in, openat(d.fd, f->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
		for (const struct dirent64 *x; (x = dir_next(&in));) {
			bool part = parts && is_part(x->d_name);
			if ((part || is_over(in.fd, x->d_name, now_ms)) &&
			    unlinkat(in.fd, x->d_name, 0) == 0)
				*ret_removed += !part;
		}
		(void)unlinkat(d.fd, f->d_name, AT_REMOVEDIR); /* only when it is empty */
	}
	return 0;
}
