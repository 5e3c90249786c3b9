#include "tree/mirror.h"
#include "base/fs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define PACKS_MAX 200u
#define CONFIG_MAX_BYTES 4096u

static const char config[] = "[core]\n"
			     "\trepositoryformatversion = 0\n"
			     "\tfilemode = true\n"
			     "\tbare = true\n";
static const char head[] = "ref: refs/heads/none\n";

/* Everything in a git directory that can change what git does, and locks of a run that was killed.
 */
static const char *const unwanted[] = {"hooks", "info", "config.worktree", "commondir", "gitdir",
    "worktrees", "modules", "description", "FETCH_HEAD", "ORIG_HEAD", "index", "index.lock",
    "shallow.lock", "HEAD.lock", "config.lock", "packed-refs.lock"};
static const char *const unwanted_below[][2] = {{"objects", "info"}, {"refs", "replace"}};

static int put_file(int dir, const char *name, const char *text, struct err *e)
{
	struct buf have CLEANUP_BUF;
	buf_init(&have, CONFIG_MAX_BYTES);
	struct err ignored;
	struct stat st;
	bool plain = fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode);
	if (plain && fs_read(dir, name, &have, &ignored) == 0 && str_eq_c(buf_view(&have), text))
		return 0;
	if (fs_remove_tree(dir, name, e))
		return -1;
	int fd CLEANUP_FD = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (fd < 0)
		return err_sys(e, ERR_IO, errno, "could not write '%s' of the mirror", name);
	return fs_write_all(fd, text, strlen(text), e);
}

static int clean(int dir, struct err *e)
{
	for (size_t i = 0; i < sizeof(unwanted) / sizeof(*unwanted); i++)
		if (faccessat(dir, unwanted[i], F_OK, AT_SYMLINK_NOFOLLOW) == 0 &&
		    fs_remove_tree(dir, unwanted[i], e))
			return -1;
	for (size_t i = 0; i < sizeof(unwanted_below) / sizeof(*unwanted_below); i++) {
		int below CLEANUP_FD = fs_dir(dir, unwanted_below[i][0], 0700, e);
		if (below < 0 || fs_remove_tree(below, unwanted_below[i][1], e))
			return -1;
	}
	int refs CLEANUP_FD = fs_dir(dir, "refs", 0700, e);
	int ours CLEANUP_FD = refs < 0 ? -1 : fs_dir(refs, "slipway", 0700, e);
	return ours < 0 || fs_remove_tree(ours, "head.lock", e) ? -1 : 0;
}

static unsigned count_packs(int dir)
{
	int fd = fs_open_beneath(dir, "objects/pack", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	if (!d) {
		fs_close_fd(&fd);
		return 0;
	}
	unsigned n = 0;
	for (struct dirent *entry; (entry = readdir(d));)
		n += str_ends(str_c(entry->d_name), STR(".pack"));
	closedir(d);
	return n;
}

/* Only what is in it: the folder itself stands where a tenant may remove nothing. */
int mirror_remove(const char *path, struct err *e)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	if (!d) {
		err_sys(e, ERR_IO, errno, "could not open the mirror '%s'", path);
		fs_close_fd(&fd);
		return -1;
	}
	int rc = 0;
	for (struct dirent *entry; rc == 0 && (entry = readdir(d));)
		if (!str_eq_c(STR("."), entry->d_name) && !str_eq_c(STR(".."), entry->d_name))
			rc = fs_remove_tree(fd, entry->d_name, e);
	closedir(d);
	return rc;
}

int mirror_open(const char *path, struct err *e)
{
	if (fs_mkdirs(path, 0700, e))
		return -1;
	int dir = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dir < 0)
		return err_sys(e, ERR_IO, errno, "could not open the mirror '%s'", path);
	if (count_packs(dir) > PACKS_MAX &&
	    (fs_remove_tree(dir, "objects", e) || fs_remove_tree(dir, "refs", e) ||
		fs_remove_tree(dir, "shallow", e) || fs_remove_tree(dir, "packed-refs", e))) {
		fs_close_fd(&dir);
		return -1;
	}
	int objects CLEANUP_FD = fs_dir(dir, "objects", 0700, e);
	/* git makes this folder itself, but not where it copies packs over plain http */
	int pack CLEANUP_FD = objects < 0 ? -1 : fs_dir(objects, "pack", 0700, e);
	if (pack < 0 || clean(dir, e) || put_file(dir, "config", config, e) ||
	    put_file(dir, "HEAD", head, e))
		fs_close_fd(&dir);
	return dir;
}
