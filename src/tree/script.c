#include "tree/script.h"
#include "base/dir.h"
#include "base/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define SCRIPT_MAX_BYTES (256u << 10)
#define BIN STR("/.venv/bin/")
#define VENV_BYTES 6u /* "/.venv" of it */

/* What was sealed has no write bit. */
static int open_to_write(int dir, const char *name, mode_t mode)
{
	int fd = openat(dir, name, O_WRONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 && errno == EACCES && fchmodat(dir, name, (mode & 07777) | 0200, 0) == 0)
		fd = openat(dir, name, O_WRONLY | O_NOFOLLOW | O_CLOEXEC);
	return fd;
}

/* 1: read; 0: no small regular file; -1. */
static int read_script(int dir, const char *name, struct buf *text, mode_t *ret_mode, struct err *e)
{
	struct stat st;
	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(st.st_mode) ||
	    st.st_size >= SCRIPT_MAX_BYTES)
		return 0;
	*ret_mode = st.st_mode;
	return fs_read(dir, name, text, e) != 0 ? -1 : 1;
}

int script_rewrite(int dir, const char *name, struct str from, struct str to, struct err *e)
{
	struct buf text CLEANUP_BUF, out CLEANUP_BUF;
	mode_t mode = 0;
	buf_init(&text, SCRIPT_MAX_BYTES);
	buf_init(&out, 2 * SCRIPT_MAX_BYTES);
	int rc = read_script(dir, name, &text, &mode, e);
	struct str rest = buf_view(&text);
	if (rc <= 0 || !str_contains(rest, from))
		return rc < 0 ? -1 : 0;
	while (rest.n) {
		bool hit = str_starts(rest, from);
		buf_str(&out, hit ? to : str_slice(rest, 0, 1));
		rest = str_from(rest, hit ? from.n : 1);
	}
	int fd CLEANUP_FD = open_to_write(dir, name, mode);
	if (fd < 0 || ftruncate(fd, 0) != 0)
		return err_sys(e, ERR_IO, errno, "could not write '%s'", name);
	return buf_check(&out, "a script", e) != 0 ? -1 : fs_write_all(fd, out.p, out.n, e);
}

/* "#!/somewhere/.venv/bin/python" gives "/somewhere/.venv". */
static struct str said_place(struct str text)
{
	struct str line = str_slice(text, 0, str_find(text, '\n', 0));
	if (!str_starts(line, STR("#!/")))
		return STR_NONE;
	for (size_t at = 2; at + BIN.n <= line.n; at++)
		if (str_starts(str_from(line, at), BIN))
			return str_slice(line, 2, at - 2 + VENV_BYTES);
	return STR_NONE;
}

static int move_one(int bin, const char *name, struct str path, struct err *e)
{
	struct buf text CLEANUP_BUF;
	mode_t mode;
	buf_init(&text, SCRIPT_MAX_BYTES);
	int rc = read_script(bin, name, &text, &mode, e);
	struct str was = said_place(buf_view(&text));
	if (rc <= 0 || was.n == 0 || str_eq(was, path))
		return rc < 0 ? -1 : 0;
	return script_rewrite(bin, name, was, path, e);
}

int script_move(int venv, struct str path, struct err *e)
{
	struct dir d CLEANUP_DIR;
	CLEANUP_FD int bin = openat(venv, "bin", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	dir_open(&d, bin);
	if (bin < 0)
		return errno == ENOENT ? 0 : err_sys(e, ERR_IO, errno, "could not open .venv/bin");
	for (const struct dirent64 *f; (f = dir_next(&d));)
		if (move_one(bin, f->d_name, path, e) != 0)
			return -1;
	return d.error == 0 ? 0 : err_sys(e, ERR_IO, d.error, "could not list .venv/bin");
}
