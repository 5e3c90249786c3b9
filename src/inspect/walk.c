/* Walks through Slipway's trees. Tenants write in them meanwhile: everything goes by descriptor,
 * and no link is followed. */
#include "inspect/parts.h"

#include "base/fs.h"
#include "base/str.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define DEPTH_MAX 64
#define PATH_SIZE 4096

struct walk {
	struct inspect *s;
	inspect_file_fn *fn;
	dev_t device;
	size_t count;
	char path[PATH_SIZE];
};

static void walk_folder(struct walk *w, int fd, size_t used, unsigned depth);

static void walk_entry(struct walk *w, int dir, const char *name, size_t used, unsigned depth)
{
	struct stat st;
	int n = snprintf(w->path + used, sizeof(w->path) - used, "/%s", name);
	if (n < 0 || used + (size_t)n >= sizeof(w->path) ||
	    fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return;
	w->count++;
	w->fn(w->s, w->path, &st);
	if (!S_ISDIR(st.st_mode) || st.st_dev != w->device || depth == DEPTH_MAX)
		return;
	int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd >= 0)
		walk_folder(w, fd, used + (size_t)n, depth + 1);
}

/* Takes the descriptor. */
static void walk_folder(struct walk *w, int fd, size_t used, unsigned depth)
{
	DIR *d = fdopendir(fd);
	if (!d) {
		close(fd);
		return;
	}
	for (struct dirent *entry; (entry = readdir(d));)
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			walk_entry(w, dirfd(d), entry->d_name, used, depth);
	w->path[used] = '\0';
	(void)closedir(d);
}

size_t inspect_walk(struct inspect *s, const char *root, inspect_file_fn *fn)
{
	struct walk w = {.s = s, .fn = fn};
	struct stat st;
	int fd = open(root, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) != 0 || !str_copy(str_c(root), w.path, sizeof(w.path))) {
		fs_close_fd(&fd);
		return 0;
	}
	w.device = st.st_dev;
	walk_folder(&w, fd, strlen(root), 0);
	return w.count;
}

size_t inspect_walk_all(struct inspect *s, inspect_file_fn *fn)
{
	return inspect_walk(s, INSPECT_STATE_DIR, fn) + inspect_walk(s, INSPECT_RUN_DIR, fn);
}

/* ---- what files are ---- */

bool inspect_is_secret(const char *path)
{
	static const char *const beginnings[] = {INSPECT_STATE_DIR "/keys/",
	    INSPECT_STATE_DIR "/backups/", INSPECT_STATE_DIR "/spool/",
	    INSPECT_STATE_DIR "/journal/", INSPECT_STATE_DIR "/owner.token",
	    INSPECT_STATE_DIR "/slipway.db"};
	const char *name = strrchr(path, '/');
	for (size_t i = 0; i < sizeof(beginnings) / sizeof(*beginnings); i++)
		if (strncmp(path, beginnings[i], strlen(beginnings[i])) == 0)
			return true;
	return name && (strcmp(name, "/env") == 0 || str_ends(str_c(name), STR(".env")));
}

/* Links have no mode; whoever may connect to a socket is asked who he is; a folder with the sticky
 * bit is meant so. */
bool inspect_is_open(const char *path, const struct stat *st)
{
	if (!(st->st_mode & S_IWOTH) || S_ISLNK(st->st_mode) || S_ISSOCK(st->st_mode))
		return false;
	return !(S_ISDIR(st->st_mode) && (st->st_mode & S_ISVTX)) &&
	       !str_contains(str_c(path), STR("/tmp/"));
}

void inspect_find_privileged(struct inspect *s, const char *path, const struct stat *st)
{
	if (S_ISREG(st->st_mode) && (st->st_mode & (S_ISUID | S_ISGID)))
		inspect_name(s, INSPECT_HIGH,
		    "%s gives whoever runs it the rights of uid %u (%04o)", path, st->st_uid,
		    st->st_mode & 07777);
}

void inspect_find_open(struct inspect *s, const char *path, const struct stat *st)
{
	if (inspect_is_open(path, st))
		inspect_name(
		    s, INSPECT_MEDIUM, "everybody may write %s (%04o)", path, st->st_mode & 07777);
}
