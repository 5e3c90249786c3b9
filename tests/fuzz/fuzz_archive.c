/* rooms: base launch source tree */
/* covers: tree/unpack.c */
/* Any bytes as an archive, unpacked into a folder that has a neighbour: whatever comes of it, the
 * neighbour is untouched, nothing appears beside the folder, no link in it leads out, nothing is
 * larger than allowed and no mode is special. */
#include "base/fs.h"
#include "tree/unpack.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILES_MAX 64u
#define BYTES_MAX (256u << 10)
#define SECRET "not yours"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char top[64];
static uint64_t bytes_found;

static void must(bool b)
{
	if (!b)
		abort();
}

/* A link's target, counted by hand: never more steps up than it stands deep. */
static void check_link(int dir, const char *name, int depth)
{
	char target[PATH_MAX];
	ssize_t n = readlinkat(dir, name, target, sizeof target);
	must(n > 0 && target[0] != '/');
	struct str rest = {target, (size_t)n}, part;
	while (str_next(&rest, '/', &part)) {
		if (str_eq_c(part, ".."))
			must(--depth >= 0);
		else if (part.n > 0 && !str_eq_c(part, "."))
			depth++;
	}
}

static void check_below(int dir, int depth)
{
	int copy = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fdopendir(copy);
	must(d != NULL && depth < 600);
	for (const struct dirent *at; (at = readdir(d)) != NULL;) {
		struct stat st;
		if (strcmp(at->d_name, ".") == 0 || strcmp(at->d_name, "..") == 0)
			continue;
		must(fstatat(dir, at->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0);
		must(S_ISREG(st.st_mode) || S_ISDIR(st.st_mode) || S_ISLNK(st.st_mode));
		must(S_ISLNK(st.st_mode) || !(st.st_mode & 07022));
		must(strcasecmp(at->d_name, ".git") != 0);
		if (S_ISLNK(st.st_mode))
			check_link(dir, at->d_name, depth);
		if (S_ISREG(st.st_mode) && st.st_nlink == 1)
			bytes_found += (uint64_t)st.st_size;
		if (S_ISDIR(st.st_mode)) {
			int below = openat(
			    dir, at->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
			must(below >= 0);
			check_below(below, depth + 1);
			(void)close(below);
		}
	}
	(void)closedir(d);
}

static void check_neighbour(int at)
{
	char text[32] = "";
	int fd = openat(at, "secret", O_RDONLY | O_NOFOLLOW | O_CLOEXEC), count = 0;
	must(fd >= 0 && read(fd, text, sizeof text) == (ssize_t)strlen(SECRET));
	must(strcmp(text, SECRET) == 0);
	(void)close(fd);
	DIR *d = opendir(top);
	while (readdir(d) != NULL)
		count++;
	must(count == 4); /* . .. in secret */
	(void)closedir(d);
}

static void leave(void)
{
	struct err e;
	int tmp = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	(void)!fs_remove_tree(tmp, top + strlen("/tmp/"), &e);
	(void)close(tmp);
}

static int begin(void)
{
	struct err e;
	(void)snprintf(top, sizeof top, "/tmp/slipway-fuzz-XXXXXX");
	must(mkdtemp(top) != NULL && atexit(leave) == 0);
	(void)umask(022);
	int at = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	must(fs_write_atomic(at, "secret", SECRET, strlen(SECRET), 0644, &e) == 0);
	return at;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static int at = -1;
	struct err e = {.code = ERR_NONE};
	if (at < 0)
		at = begin();
	must(mkdirat(at, "in", 0755) == 0);
	int into = openat(at, "in", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int fd = memfd_create("archive", MFD_CLOEXEC);
	must(into >= 0 && fd >= 0 && write(fd, data, size) == (ssize_t)size);
	must(lseek(fd, 0, SEEK_SET) == 0);
	int rc = unpack_archive(fd, into, FILES_MAX, BYTES_MAX, &e);
	must((rc == 0) == (e.code == ERR_NONE));
	bytes_found = 0;
	check_below(into, 0);
	must(bytes_found <= BYTES_MAX + 65536); /* the block that went beyond may have been begun */
	check_neighbour(at);
	(void)close(fd);
	(void)close(into);
	must(fs_remove_tree(at, "in", &e) == 0);
	return 0;
}
