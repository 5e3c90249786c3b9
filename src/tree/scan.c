#include "tree/scan.h"
#include "base/fs.h"
#include "base/name.h"
#include "base/site.h"
#include "source/tree.h"
#include "tree/say.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define DEPTH_MAX 64u
#define CONTENT_MAX_BYTES (64u << 10)
#define MANIFEST_MAX_BYTES (256u << 10)
#define PATH_MAX_BYTES 4096u

struct scan {
	int top;
	uint64_t files, bytes, files_max, bytes_max;
	size_t listed, interesting, dropped;
	char path[PATH_MAX_BYTES];
	size_t n; /* of path */
	struct buf *report;
	struct err *e;
};

/* Small files that say what a project is. */
static const char *const interests[] = {"slipway.yaml", "Procfile", "app.json", "package.json",
    "pyproject.toml", "runtime.txt", ".python-version", ".nvmrc", ".env.example", "manage.py",
    "settings.py", "wsgi.py", "asgi.py", "app.py", "main.py", "server.py", "application.py",
    "Pipfile", "Makefile", "makefile", "GNUmakefile", "__init__.py"};
/* Lock files: that they are there is told of any tree, however large; what they hold is for their
 * tools. */
static const char *const locks[] = {"uv.lock", "poetry.lock", "Pipfile.lock", "package-lock.json",
    "npm-shrinkwrap.json", "yarn.lock", "pnpm-lock.yaml"};
/* Folders of installed code: counted, but their names say nothing about the project. */
static const char *const foreign[] = {"node_modules", ".venv", "venv", ".git", "__pycache__"};

static bool in_list(const char *name, const char *const *list, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(name, list[i]) == 0)
			return true;
	return false;
}

/* Right below a folder `snippets`: text that sites of an nginx-site project share. */
static bool is_snippet(struct str path)
{
	size_t slash = path.n;
	while (slash > 0 && path.p[slash - 1] != '/')
		slash--;
	struct str folder = str_slice(path, 0, slash);
	return str_eq_c(folder, "snippets/") || str_ends(folder, STR("/snippets/"));
}

static bool interesting(struct str path, const char *name)
{
	struct str s = str_c(name);
	if (in_list(name, interests, sizeof(interests) / sizeof(*interests)))
		return true;
	if (str_starts(s, STR("requirements")) && str_ends(s, STR(".txt")))
		return true;
	struct str site;
	bool disabled;
	if ((site_file(s, &site, &disabled) && !disabled) || is_snippet(path))
		return true;
	return str_ends(s, STR(".py")) && str_contains(path, STR("/settings/"));
}

static int open_in_tree(int top, const char *path, int flags)
{
	struct open_how how = {.flags = (uint64_t)(unsigned)(flags | O_CLOEXEC),
	    .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS};
	return (int)syscall(SYS_openat2, top, path, &how, sizeof(how));
}

/* Reads the file at s->path when it is small; false leaves `content` empty. */
static bool read_content(struct scan *s, struct buf *content, uint64_t *size)
{
	int fd CLEANUP_FD = open_in_tree(s->top, s->path, O_RDONLY | O_NONBLOCK);
	struct stat st;
	if (fd < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
		return false;
	*size = (uint64_t)st.st_size;
	for (;;) {
		char *p = buf_reserve(content, 16384);
		ssize_t n = p ? read(fd, p, 16384) : -1;
		if (n < 0 && p && errno == EINTR)
			continue;
		if (n <= 0)
			return n == 0;
		buf_commit(content, (size_t)n);
	}
}

static void list_file(struct scan *s, const char *name, uint64_t size)
{
	struct str path = {s->path, s->n};
	bool lock = in_list(name, locks, sizeof(locks) / sizeof(*locks));
	bool of_interest = lock || interesting(path, name);
	bool wanted = of_interest && s->interesting < TREE_READ_MAX;
	if (!wanted && s->listed >= TREE_LISTED_MAX) {
		s->dropped += of_interest;
		return;
	}
	struct buf content CLEANUP_BUF;
	bool manifest = strcmp(name, "slipway.yaml") == 0;
	buf_init(&content, (manifest ? MANIFEST_MAX_BYTES : CONTENT_MAX_BYTES) + 16384);
	bool have = wanted && !lock && read_content(s, &content, &size);
	wanted ? s->interesting++ : s->listed++;
	if (have)
		buf_printf(
		    s->report, "F %zu %zu %llu\n", s->n, content.n, (unsigned long long)size);
	else
		buf_printf(s->report, "F %zu -1 %llu\n", s->n, (unsigned long long)size);
	buf_str(s->report, path);
	if (have)
		buf_str(s->report, buf_view(&content));
	buf_char(s->report, '\n');
}

static void list_directory(struct scan *s)
{
	if (s->listed >= TREE_LISTED_MAX)
		return;
	s->listed++;
	buf_printf(s->report, "D %zu\n%s\n", s->n, s->path);
}

/* Only a path that the reader's own check accepts is listed. */
static bool listable(const struct scan *s, unsigned depth)
{
	struct err ignored;
	return depth <= TREE_LISTED_DEPTH && s->n <= 1024 &&
	       name_subpath((struct str){s->path, s->n}, &ignored) == 0;
}

bool scan_link_leads_out(const char *name, const char *target)
{
	int depth = -1; /* of the folder that the link stands in */
	struct str s = str_c(name), part;
	while (str_next(&s, '/', &part))
		depth++;
	if (target[0] == '/')
		return true;
	for (s = str_c(target); str_next(&s, '/', &part);) {
		if (str_eq_c(part, ".."))
			depth--;
		else if (part.n && !str_eq_c(part, "."))
			depth++;
		if (depth < 0)
			return true;
	}
	return false;
}

/* The kernel says where a link leads, through other links too; for one that leads nowhere the names
 * must do. */
static int check_link(struct scan *s)
{
	char target[PATH_MAX_BYTES];
	ssize_t n = readlinkat(s->top, s->path, target, sizeof(target) - 1);
	target[n < 0 ? 0 : n] = '\0';
	int fd CLEANUP_FD = open_in_tree(s->top, s->path, O_PATH);
	if (fd >= 0 || (errno != EXDEV && !scan_link_leads_out(s->path, target)))
		return 0;
	return say_fail(SAY_LINK, s->e, "the link '%.200s' points out of the tree, to '%.200s'",
	    s->path, target);
}

static int scan_directory(struct scan *s, int dir, unsigned depth, bool list);

static int enter(struct scan *s, int dir, const char *name, unsigned depth, bool list)
{
	if (depth >= DEPTH_MAX)
		return say_fail(
		    SAY_ENTRY, s->e, "the tree is nested deeper than %u folders", DEPTH_MAX);
	int fd CLEANUP_FD = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return err_sys(s->e, ERR_IO, errno, "could not open '%s'", s->path);
	return scan_directory(s, fd, depth + 1, list);
}

static int count(struct scan *s, uint64_t bytes)
{
	s->bytes += bytes;
	if (++s->files > s->files_max)
		return say_fail(SAY_SIZE, s->e, "the tree has more than %llu files",
		    (unsigned long long)s->files_max);
	if (s->bytes > s->bytes_max)
		return say_fail(SAY_SIZE, s->e, "the tree is larger than %llu bytes",
		    (unsigned long long)s->bytes_max);
	return 0;
}

static int scan_entry(struct scan *s, int dir, const char *name, unsigned depth, bool list)
{
	struct stat st;
	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return err_sys(s->e, ERR_IO, errno, "could not look at '%s'", s->path);
	bool listed = list && listable(s, depth);
	if (S_ISDIR(st.st_mode)) {
		if (listed)
			list_directory(s);
		bool below = list && !in_list(name, foreign, sizeof(foreign) / sizeof(*foreign));
		return enter(s, dir, name, depth, below);
	}
	if (!S_ISREG(st.st_mode) && !S_ISLNK(st.st_mode))
		return say_fail(
		    SAY_ENTRY, s->e, "'%.200s' is neither a file, a folder nor a link", s->path);
	if (S_ISLNK(st.st_mode) && check_link(s))
		return -1;
	if (listed)
		list_file(s, name, (uint64_t)st.st_size);
	return count(s, (uint64_t)st.st_size);
}

static int scan_directory(struct scan *s, int dir, unsigned depth, bool list)
{
	int again = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = again < 0 ? NULL : fdopendir(again);
	if (!d) {
		fs_close_fd(&again);
		return err_sys(s->e, ERR_IO, errno, "could not read a folder");
	}
	size_t n = s->n;
	int rc = 0;
	for (struct dirent *entry; rc == 0 && (entry = readdir(d));) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		int put =
		    snprintf(s->path + n, sizeof(s->path) - n, "%s%s", n ? "/" : "", entry->d_name);
		if ((size_t)put >= sizeof(s->path) - n)
			rc = say_fail(SAY_ENTRY, s->e, "a path is longer than 4096 bytes");
		s->n = n + (size_t)put;
		if (!rc)
			rc = scan_entry(s, dir, entry->d_name, depth, list);
	}
	s->n = n;
	s->path[n] = '\0';
	closedir(d);
	return rc;
}

int scan_tree(int dir, uint64_t files_max, uint64_t bytes_max, struct buf *report, struct err *e)
{
	struct scan s = {
	    .top = dir, .files_max = files_max, .bytes_max = bytes_max, .report = report, .e = e};
	if (scan_directory(&s, dir, 1, true))
		return -1;
	buf_printf(report, "E %llu %llu", (unsigned long long)s.files, (unsigned long long)s.bytes);
	if (s.dropped)
		buf_printf(report, " %zu", s.dropped);
	buf_char(report, '\n');
	return 0;
}
