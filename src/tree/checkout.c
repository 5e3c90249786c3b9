#include "tree/checkout.h"
#include "base/name.h"
#include "base/num.h"
#include "tree/fetch.h"
#include "tree/say.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LISTING_MAX_BYTES (192u << 20)
#define SUBMODULES_MAX 32u
#define SUBMODULE_DEPTH_MAX 3u

struct gitlink {
	char commit[65];
	char path[1025];
};

struct listing {
	uint64_t files, bytes;
	struct gitlink links[SUBMODULES_MAX];
	size_t link_count;
};

static bool is_dot_git(struct str path)
{
	struct str part;
	while (str_next(&path, '/', &part))
		if (str_eq_nocase(part, STR(".git")))
			return true;
	return false;
}

/* "MODE TYPE ID SIZE\tPATH" */
static int check_entry(struct repository *r, struct str line, struct listing *l, struct err *e)
{
	size_t tab = str_find(line, '\t', 0);
	struct str meta = str_slice(line, 0, tab), path = str_from(line, tab + 1), field[4] = {0};
	for (size_t i = 0; i < 4;)
		if (!str_next(&meta, ' ', &field[i]))
			break;
		else if (field[i].n)
			i++;
	if (is_dot_git(path))
		return say_fail(SAY_ENTRY, e, "the repository holds an entry named '.git': '%.*s'",
		    (int)(path.n < 200 ? path.n : 200), path.p);
	if (str_eq_c(field[0], "160000")) {
		struct gitlink *g = &l->links[l->link_count];
		if (r->o->submodules && l->link_count < SUBMODULES_MAX &&
		    str_copy(field[2], g->commit, sizeof(g->commit)) &&
		    str_copy(path, g->path, sizeof(g->path)))
			l->link_count++;
		return 0;
	}
	uint64_t size = 0;
	if (num_u64(field[3], 0, UINT64_MAX / 2, &size))
		l->bytes += size;
	l->files++;
	if (l->files > r->o->files_max)
		return say_fail(SAY_SIZE, e, "the repository has more than %llu files",
		    (unsigned long long)r->o->files_max);
	if (l->bytes > r->o->bytes_max)
		return say_fail(SAY_SIZE, e, "the repository is larger than %llu bytes",
		    (unsigned long long)r->o->bytes_max);
	return 0;
}

/* Looks before anything is written: number, sizes, names. */
static int list_commit(struct repository *r, const char *commit, struct listing *l, struct err *e)
{
	struct child_words w;
	struct buf out CLEANUP_BUF;
	buf_init(&out, LISTING_MAX_BYTES);
	repository_words(r, &w);
	REPOSITORY_WORDS(
	    &w, "ls-tree", "-r", "-l", "-z", "--full-tree", "--end-of-options", commit);
	int rc = repository_run(r, &w, false, &out, e);
	if (rc)
		return rc < 0 ? -1 : say_fail(SAY_GIT, e, "git could not list the commit");
	struct str rest = buf_view(&out), line;
	while (rest.n && str_next(&rest, '\0', &line))
		if (line.n && check_entry(r, line, l, e))
			return -1;
	return 0;
}

static int checkout(struct repository *r, const char *commit, const char *into, struct err *e)
{
	struct child_words w;
	char index[700], tree[1500];
	char here[512];
	if (!getcwd(here, sizeof(here)))
		return err_sys(e, ERR_IO, errno, "could not find the working directory");
	snprintf(index, sizeof(index), "GIT_INDEX_FILE=%s/%s/index", here, r->mirror);
	snprintf(tree, sizeof(tree), "%s/%s", here, into);
	size_t vars = r->env.n;
	child_add(&r->env, index);
	repository_words(r, &w);
	REPOSITORY_WORDS(&w, "--work-tree", tree, "-c", "core.bare=false", "read-tree", "--reset",
	    "-u", "--end-of-options", commit);
	int rc = repository_run(r, &w, false, NULL, e);
	r->env.n = vars;
	r->env.v[vars] = NULL;
	return rc > 0 ? say_fail(SAY_GIT, e, "git could not write the tree") : rc;
}

static int submodules(const struct options *o, const struct login *login,
    const struct repository *parent, const struct listing *l, const char *into, unsigned depth,
    struct err *e);

/* Lists, checks and writes one commit, then its submodules. */
int checkout_tree(
    struct repository *r, const char *commit, const char *into, unsigned depth, struct err *e)
{
	struct listing *l = &(struct listing){0};
	if (list_commit(r, commit, l, e) || checkout(r, commit, into, e))
		return -1;
	if (!r->o->submodules || l->link_count == 0)
		return 0;
	return submodules(r->o, r->login, r, l, into, depth, e);
}

/* Joins a submodule's relative address ("../lib.git") to its parent's. */
static bool join_url(const char *parent, struct str url, char *out, size_t size)
{
	if (!str_starts(url, STR("./")) && !str_starts(url, STR("../")))
		return str_copy(url, out, size);
	size_t n = strlen(parent);
	while (n && parent[n - 1] == '/')
		n--;
	for (;;) {
		if (str_starts(url, STR("./"))) {
			url = str_from(url, 2);
		} else if (str_starts(url, STR("../"))) {
			url = str_from(url, 3);
			while (n && parent[n - 1] != '/' && parent[n - 1] != ':')
				n--;
			while (n > 1 && parent[n - 1] == '/')
				n--;
		} else {
			break;
		}
	}
	bool colon = n && parent[n - 1] == ':';
	int put = snprintf(out, size, "%.*s%s%.*s", (int)n, parent, colon ? "" : "/", STR_ARG(url));
	return put > 0 && (size_t)put < size;
}

/* The url of the submodule at `path`, from `git config --file .gitmodules -z --get-regexp`. */
static bool find_url(struct str settings, const char *path, struct str *ret)
{
	struct str rest = settings, item, name = STR_NONE;
	while (rest.n && str_next(&rest, '\0', &item)) {
		size_t nl = str_find(item, '\n', 0);
		struct str key = str_slice(item, 0, nl);
		if (str_ends(key, STR(".path")) && str_eq_c(str_from(item, nl + 1), path))
			name = str_slice(key, 0, key.n - 5);
	}
	rest = settings;
	while (name.p && rest.n && str_next(&rest, '\0', &item)) {
		size_t nl = str_find(item, '\n', 0);
		struct str key = str_slice(item, 0, nl);
		if (str_ends(key, STR(".url")) && str_eq(str_slice(key, 0, key.n - 4), name)) {
			*ret = str_from(item, nl + 1);
			return true;
		}
	}
	return false;
}

/* A submodule on another host never sees the project's key or token; a repository from the network
 * never names a folder of this machine. */
static int may_follow(
    const struct repository *parent, const char *url, bool *ret_same_host, struct err *e)
{
	struct source_address at;
	struct err why;
	if (source_address_parse(str_c(url), &at, &why))
		return say_fail(
		    SAY_ENTRY, e, "a submodule's address cannot be used: %.300s", why.msg);
	if (at.scheme == SOURCE_LOCAL && parent->address.scheme != SOURCE_LOCAL)
		return say_fail(
		    SAY_ENTRY, e, "a submodule names a folder of this machine: '%.300s'", url);
	*ret_same_host = at.scheme == parent->address.scheme && at.port == parent->address.port &&
			 str_eq_nocase(at.host, parent->address.host);
	return 0;
}

static uint64_t hash_name(const char *s)
{
	uint64_t h = 0xcbf29ce484222325u; /* FNV-1a */
	for (; *s; s++)
		h = (h ^ (unsigned char)*s) * 0x100000001b3u;
	return h;
}

static int submodule(const struct options *o, const struct login *login,
    const struct repository *parent, const struct gitlink *link, struct str url, const char *into,
    unsigned depth, struct err *e)
{
	char full[2100], mirror[700], path[1400];
	bool same_host = false;
	struct err why;
	if (name_subpath(str_c(link->path), &why) || name_commit(str_c(link->commit), &why) ||
	    !join_url(parent->url, url, full, sizeof(full)))
		return say_fail(SAY_ENTRY, e, "a submodule is malformed");
	if (may_follow(parent, full, &same_host, e))
		return -1;
	snprintf(mirror, sizeof(mirror), "mirror/submodules/%016llx",
	    (unsigned long long)hash_name(full));
	snprintf(path, sizeof(path), "%s/%s", into, link->path);
	struct login nobody = *login;
	nobody.secret_fd = -1;
	struct repository r;
	struct options other = *o;
	if (!same_host)
		other.user = STR_NONE;
	int rc = repository_open(
	    &r, &other, same_host ? login : &nobody, full, mirror, parent->deadline_ms, e);
	if (!rc)
		rc = fetch_ref(&r, str_c(link->commit), e);
	if (!rc)
		rc = checkout_tree(&r, link->commit, path, depth + 1, e);
	repository_close(&r);
	return rc;
}

static int submodules(const struct options *o, const struct login *login,
    const struct repository *parent, const struct listing *l, const char *into, unsigned depth,
    struct err *e)
{
	struct child_words w;
	struct buf settings CLEANUP_BUF;
	char file[1500];
	buf_init(&settings, 256u << 10);
	if (depth >= SUBMODULE_DEPTH_MAX)
		return say_fail(
		    SAY_ENTRY, e, "submodules are nested deeper than %u", SUBMODULE_DEPTH_MAX);
	snprintf(file, sizeof(file), "%s/.gitmodules", into);
	struct stat st;
	if (lstat(file, &st) != 0 || !S_ISREG(st.st_mode))
		return say_fail(
		    SAY_ENTRY, e, "the repository has submodules but no file .gitmodules");
	w = (struct child_words){0};
	REPOSITORY_WORDS(&w, "git", "config", "--file", file, "--no-includes", "-z", "--get-regexp",
	    "^submodule\\..*\\.(path|url)$");
	int status;
	struct child_spec spec = {&w, &parent->env, NULL, parent->deadline_ms, false, false};
	if (child_run(&spec, &settings, NULL, &status, e))
		return -1;
	for (size_t i = 0; i < l->link_count; i++) {
		struct str url;
		if (!find_url(buf_view(&settings), l->links[i].path, &url))
			return say_fail(SAY_ENTRY, e,
			    "the submodule '%.200s' has no address in .gitmodules",
			    l->links[i].path);
		if (submodule(o, login, parent, &l->links[i], url, into, depth, e))
			return -1;
	}
	return 0;
}
