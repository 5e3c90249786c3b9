/* The project meant: said, or found from `.slipway` upward, or by a git remote. */
#include "cli/project.h"

#include "base/fs.h"
#include "base/name.h"
#include "cli/git.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define UPWARD_MAX 64
#define REMOTES_MAX (256u << 10)
#define PROJECTS_MAX 2000

/* The first line of dir/.slipway: the name, NULL when there is none, with *ret_bad when it is no
 * name. */
static const char *name_in(struct cli *c, int dir, bool *ret_bad)
{
	CLEANUP_BUF struct buf text;
	struct str line, rest;
	buf_init(&text, 4096);
	if (faccessat(dir, ".slipway", F_OK, AT_SYMLINK_NOFOLLOW) < 0)
		return NULL;
	if (fs_read(dir, ".slipway", &text, NULL) < 0) {
		*ret_bad = true;
		return NULL;
	}
	rest = text.n ? buf_view(&text) : STR("");
	(void)str_next(&rest, '\n', &line);
	line = str_trim(line);
	*ret_bad = name_project(line, NULL) < 0;
	return *ret_bad ? NULL : arena_cstr(&c->a, line);
}

static const char *from_file(struct cli *c, bool *ret_bad)
{
	int dir CLEANUP_FD = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct stat here, above;
	for (int i = 0; dir >= 0 && i < UPWARD_MAX && !*ret_bad; i++) {
		const char *name = name_in(c, dir, ret_bad);
		if (name)
			return name;
		int up = openat(dir, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (up < 0)
			break;
		bool top = fstat(dir, &here) < 0 || fstat(up, &above) < 0 ||
			   (here.st_ino == above.st_ino && here.st_dev == above.st_dev);
		fs_close_fd(&dir);
		dir = up;
		if (top)
			break;
	}
	return NULL;
}

/* Calls fn for each remote's address; stops when it says true. */
static bool any_remote(bool (*fn)(void *ctx, struct str url), void *ctx)
{
	static const char *const question[] = {
	    "config", "-z", "--get-regexp", "^remote\\..*\\.url$", NULL};
	CLEANUP_BUF struct buf text;
	struct str rest, item;
	buf_init(&text, REMOTES_MAX);
	if (git_ask(".", question, &text, NULL) <= 0 || text.n == 0)
		return false;
	rest = buf_view(&text);
	while (str_next(&rest, '\0', &item) == 1) {
		size_t lf = str_find(item, '\n', 0);
		if (lf != SIZE_MAX && fn(ctx, str_from(item, lf + 1)))
			return true;
	}
	return false;
}

static bool is_same(void *ctx, struct str url)
{
	return git_same_address(url, str_c(ctx));
}

bool project_is_remote(const char *url)
{
	char copy[2100];
	return str_copy(str_c(url), copy, sizeof(copy)) && any_remote(is_same, copy);
}

struct match {
	struct cli *c;
	json_t *projects;
	const char *name;
	unsigned count;
};

/* The list is only asked for once there is a remote at all. */
static bool match_remote(void *ctx, struct str url)
{
	struct match *m = ctx;
	if (!m->projects &&
	    cli_list(m->c, "/api/v1/projects", PROJECTS_MAX, &m->projects, NULL) < 0)
		return true;
	const json_t *items = json_object_get(m->projects, "items");
	for (size_t i = 0; i < json_array_size(items); i++) {
		const json_t *p = json_array_get(items, i);
		const char *address = cli_raw(json_object_get(p, "source"), "url");
		if (address && git_same_address(url, str_c(address))) {
			m->count++;
			m->name = cli_text(m->c, p, "name");
		}
	}
	return false;
}

static const char *from_remote(struct cli *c, unsigned *ret_count)
{
	struct match m = {.c = c};
	(void)any_remote(match_remote, &m);
	json_decref(m.projects);
	*ret_count = m.count;
	return m.count == 1 ? m.name : NULL;
}

const char *cli_project(struct cli *c, size_t *at, struct err *e)
{
	const char *said = cli_flag(c, "project");
	unsigned count = 0;
	bool bad = false;
	size_t none = c->args.word_count;
	if (!at)
		at = &none;
	if (!said && *at < c->args.word_count)
		said = c->args.words[(*at)++];
	if (said)
		return name_project(str_c(said), e) < 0 ? NULL : said;
	const char *name = from_file(c, &bad);
	if (bad) {
		err_set(e, ERR_SETTINGS, "the file .slipway of this directory names no project");
		err_hint(e, "its first line is the project's name; or name it: slipway %s NAME",
		    c->command->name);
		return NULL;
	}
	if (!name)
		name = from_remote(c, &count);
	if (!name && !net_unreachable(c->net)) {
		err_set(e, ERR_USAGE,
		    count > 1 ? "this directory belongs to %u projects"
			      : "which project? this directory belongs to none",
		    count);
		err_hint(
		    e, "name it: slipway %s NAME; 'slipway list' shows them", c->command->name);
	} else if (!name) {
		err_set(e, ERR_UNAVAILABLE, "cannot reach slipwayd at %s", net_name(c->net));
	}
	return name;
}

const char *cli_project_thing(struct cli *c, const char **ret_thing, struct err *e)
{
	size_t at = 0;
	*ret_thing = c->args.words[--c->args.word_count];
	return cli_project(c, &at, e);
}

int project_remember(const char *name, struct err *e)
{
	int dir CLEANUP_FD = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char text[NAME_PROJECT_MAX + 2];
	if (dir < 0)
		return err_sys(e, ERR_IO, errno, "could not open the current directory");
	if (faccessat(dir, ".slipway", F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return 0;
	int n = snprintf(text, sizeof(text), "%s\n", name);
	return fs_write_atomic(dir, ".slipway", text, (size_t)n, 0644, e) < 0 ? -1 : 1;
}
