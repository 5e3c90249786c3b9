#include "tree/git.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/name.h"
#include "base/num.h"
#include "tree/child.h"
#include "tree/host.h"
#include "tree/login.h"
#include "tree/mirror.h"
#include "tree/say.h"
#include "tree/scan.h"
#include "source/address.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define FETCH_DEADLINE_MS (20 * 60 * 1000)
#define RETRY_WHILE_MS 30000
#define LISTING_MAX_BYTES (192u << 20)
#define MESSAGES_MAX_BYTES 16384u
#define SUBMODULES_MAX 32u
#define SUBMODULE_DEPTH_MAX 3u
#define FIELD_MAX_BYTES 4000u

/* What every git is told, whatever any file says. */
static const char *const fixed[] = {"-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false",
    "-c", "core.attributesFile=/dev/null", "-c", "core.symlinks=true", "-c",
    "core.sparseCheckout=false", "-c", "core.autocrlf=false", "-c", "credential.helper=", "-c",
    "protocol.ext.allow=never", "-c", "http.followRedirects=false", "-c", "http.proxy=", "-c",
    "http.lowSpeedLimit=1000", "-c", "http.lowSpeedTime=60", "-c", "submodule.recurse=false", "-c",
    "fetch.recurseSubmodules=false", "-c", "fetch.unpackLimit=1", "-c", "gc.auto=0", "-c",
    "maintenance.auto=false", "-c", "log.showSignature=false", "-c", "log.mailmap=false", "-c",
    "advice.detachedHead=false", "-c", "checkout.workers=1"};

/* One repository being fetched: the project's own, or one of its submodules. */
struct repository {
	const struct options *o;
	const struct login *login;
	const char *url, *mirror;
	struct source_address address;
	struct host_addresses hosts;
	char resolve[900]; /* -c http.curloptResolve=… */
	struct buf env_text;
	struct child_words env;
	int64_t deadline_ms;
	bool fresh;	     /* the mirror was empty when opened */
	bool shallow;	     /* ask for one commit only */
	struct buf messages; /* what git said last */
};

/* "Only this config is global": the safe.directory that lets a local repository of another user be
 * read; git passes no -c on to the program that serves such a repository. */
static int global_config(void)
{
	static const char text[] = "[safe]\n\tdirectory = *\n";
	struct err ignored;
	return fs_memfd("slipway-gitconfig", text, sizeof(text) - 1, &ignored);
}

static void env_common(struct repository *r)
{
	static char config[64];
	static int fd = -1;
	static const char *const protocols[SOURCE_SCHEME_COUNT] = {"GIT_ALLOW_PROTOCOL=https",
	    "GIT_ALLOW_PROTOCOL=http", "GIT_ALLOW_PROTOCOL=ssh", "GIT_ALLOW_PROTOCOL=file"};
	static const char *const same[] = {"PATH=/usr/local/bin:/usr/bin:/bin", "LC_ALL=C",
	    "HOME=/nonexistent", "GIT_CONFIG_NOSYSTEM=1", "GIT_ATTR_NOSYSTEM=1",
	    "GIT_TERMINAL_PROMPT=0", "GIT_PROTOCOL_FROM_USER=0", "GIT_NO_REPLACE_OBJECTS=1",
	    "GIT_OPTIONAL_LOCKS=0", "GIT_NO_LAZY_FETCH=1", "GIT_ADVICE=0"};
	for (size_t i = 0; i < sizeof(same) / sizeof(*same); i++)
		child_add(&r->env, same[i]);
	if (fd < 0) {
		fd = global_config();
		snprintf(
		    config, sizeof(config), "GIT_CONFIG_GLOBAL=/proc/%d/fd/%d", (int)getpid(), fd);
	}
	child_add(&r->env, fd < 0 ? "GIT_CONFIG_GLOBAL=/dev/null" : config);
	child_add(&r->env, protocols[r->address.scheme]);
}

/* Pins what curl connects to: HOST:PORT:ADDRESS[,ADDRESS]. */
static void pin_http(struct repository *r)
{
	size_t n = (size_t)snprintf(r->resolve, sizeof(r->resolve),
	    "http.curloptResolve=%.*s:%u:", STR_ARG(r->address.host), r->address.port);
	for (size_t i = 0; i < r->hosts.count && n < sizeof(r->resolve); i++) {
		bool six = r->hosts.family[i] == AF_INET6;
		n += (size_t)snprintf(r->resolve + n, sizeof(r->resolve) - n, "%s%s%s%s",
		    i ? "," : "", six ? "[" : "", r->hosts.text[i], six ? "]" : "");
	}
}

static int repository_open(struct repository *r, const struct options *o, const struct login *login,
    const char *url, const char *mirror, int64_t deadline_ms, struct err *e)
{
	*r = (struct repository){.o = o,
	    .login = login,
	    .url = url,
	    .mirror = mirror,
	    .deadline_ms = deadline_ms,
	    .shallow = true};
	buf_init(&r->messages, MESSAGES_MAX_BYTES);
	buf_init(&r->env_text, 16384);
	struct err why;
	if (source_address_parse(str_c(url), &r->address, &why))
		return say_fail(SAY_SETTINGS, e, "%s", why.msg);
	env_common(r);
	bool remote = r->address.scheme != SOURCE_LOCAL;
	if (remote && host_resolve(r->address.host, o->allow_private, &r->hosts, e))
		return -1;
	if (remote && r->address.scheme != SOURCE_SSH && !r->address.ipv6)
		pin_http(r);
	if (login_env(login, r->address.host, r->address.port, remote ? &r->hosts : NULL, o->user,
		&r->env_text, &r->env, e))
		return -1;
	int dir CLEANUP_FD = mirror_open(mirror, &r->fresh, e);
	return dir < 0 ? -1 : 0;
}

static void repository_close(struct repository *r)
{
	buf_fini(&r->messages);
	buf_fini(&r->env_text);
}

static void words_begin(const struct repository *r, struct child_words *w)
{
	*w = (struct child_words){0};
	child_add(w, "git");
	for (size_t i = 0; i < sizeof(fixed) / sizeof(*fixed); i++)
		child_add(w, fixed[i]);
	if (r->resolve[0]) {
		child_add(w, "-c");
		child_add(w, r->resolve);
	}
	child_add(w, "--git-dir");
	child_add(w, r->mirror);
}

static void words(struct child_words *w, const char *const *list)
{
	for (; *list; list++)
		child_add(w, *list);
}
#define WORDS(w, ...) words((w), (const char *const[]){__VA_ARGS__, NULL})

/* 0 git succeeded, 1 it failed (its words are in r->messages), -1 it could not be run. */
static int run(
    struct repository *r, const struct child_words *w, bool quiet, struct buf *out, struct err *e)
{
	int status;
	struct child_spec s = {w, &r->env, NULL, r->deadline_ms, quiet, false};
	buf_clear(&r->messages);
	if (child_run(&s, out, &r->messages, &status, e))
		return -1;
	if (out && out->full)
		return say_fail(SAY_SIZE, e, "the repository has too many files to be listed");
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : 1;
}

static bool said(const struct repository *r, const char *what)
{
	return str_contains(buf_view(&r->messages), str_c(what));
}

static void repeat_messages(const struct repository *r)
{
	say_raw(r->messages.p, r->messages.n);
}

static int fetch_once(struct repository *r, const char *from, bool shallow, struct err *e)
{
	char spec[600];
	struct child_words w;
	snprintf(spec, sizeof(spec), "+%s:refs/slipway/head", from);
	words_begin(r, &w);
	WORDS(&w, "fetch", "--quiet", "--force", "--no-tags", "--no-write-fetch-head",
	    "--no-auto-maintenance", "--no-recurse-submodules", "--no-show-forced-updates",
	    "--update-shallow");
	if (shallow)
		WORDS(&w, "--depth", "1");
	WORDS(&w, "--end-of-options", r->url, spec);
	return run(r, &w, true, NULL, e);
}

static bool no_such_ref(const struct repository *r)
{
	return said(r, "couldn't find remote ref") || said(r, "not our ref") ||
	       said(r, "unadvertised object") || said(r, "no such remote ref");
}

/* Damage that is the mirror's own, which a fresh one does not have. */
static bool mirror_is_broken(const struct repository *r)
{
	static const char *const words_of_damage[] = {"bad object", "corrupt",
	    "not a git repository", "unable to read", "is missing", "File exists",
	    "did not send all necessary objects", "bad shallow", "does not point to a valid object",
	    "mismatched algorithms"};
	for (size_t i = 0; i < sizeof(words_of_damage) / sizeof(*words_of_damage); i++)
		if (said(r, words_of_damage[i]))
			return true;
	return false;
}

/* One name to try: 0 fetched, 1 there is none, -1 failed. */
static int fetch_name(struct repository *r, const char *name, struct err *e)
{
	int rc = fetch_once(r, name, r->shallow, e);
	if (rc == 1 && r->shallow && said(r, "shallow")) { /* a server of plain files */
		r->shallow = false;
		rc = fetch_once(r, name, false, e);
	}
	if (rc == 1 && !r->fresh && mirror_is_broken(r)) {
		if (mirror_remove(r->mirror, e))
			return -1;
		int dir CLEANUP_FD = mirror_open(r->mirror, &r->fresh, e);
		rc = dir < 0 ? -1 : fetch_once(r, name, r->shallow, e);
	}
	if (rc != 1 || no_such_ref(r))
		return rc;
	repeat_messages(r);
	return say_fail(SAY_GIT, e, "git fetch failed");
}

/* A commit that the server does not give by its number: take every branch and tag, and look. */
static int fetch_everything(struct repository *r, const char *commit, struct err *e)
{
	char object[80];
	struct child_words w;
	words_begin(r, &w);
	WORDS(&w, "fetch", "--quiet", "--force", "--no-tags", "--no-write-fetch-head",
	    "--no-auto-maintenance", "--no-recurse-submodules", "--update-shallow",
	    "--end-of-options", r->url, "+refs/heads/*:refs/slipway/heads/*",
	    "+refs/tags/*:refs/slipway/tags/*");
	int rc = run(r, &w, false, NULL, e);
	if (rc)
		return rc < 0 ? -1 : say_fail(SAY_GIT, e, "git fetch failed");
	snprintf(object, sizeof(object), "%s^{commit}", commit);
	words_begin(r, &w);
	WORDS(&w, "update-ref", "--no-deref", "--end-of-options", "refs/slipway/head", commit);
	return run(r, &w, true, NULL, e);
}

/* "main, dev, …" for a message. */
static void list_branches(struct repository *r, char *out, size_t size)
{
	struct child_words w;
	struct buf list CLEANUP_BUF;
	struct err ignored;
	buf_init(&list, 1u << 20);
	words_begin(r, &w);
	WORDS(&w, "ls-remote", "--heads", "--quiet", "--end-of-options", r->url);
	out[0] = '\0';
	if (run(r, &w, true, &list, &ignored))
		return;
	struct str rest = buf_view(&list), line;
	size_t n = 0, shown = 0;
	while (str_next(&rest, '\n', &line)) {
		size_t at = str_find(line, '\t', 0);
		struct str name = str_from(line, at == SIZE_MAX ? line.n : at + 1);
		if (!str_starts(name, STR("refs/heads/")) || n >= size)
			continue;
		if (++shown > 12) {
			snprintf(out + n, size - n, ", …");
			return;
		}
		n += (size_t)snprintf(
		    out + n, size - n, "%s%.*s", n ? ", " : "", STR_ARG(str_from(name, 11)));
	}
}

static int no_ref(struct repository *r, struct str ref, struct err *e)
{
	char branches[400];
	list_branches(r, branches, sizeof(branches));
	if (ref.n == 0 && !branches[0])
		return say_fail(SAY_REF, e, "the repository is empty");
	if (ref.n == 0)
		return say_fail(
		    SAY_REF, e, "the repository has no default branch; its branches: %s", branches);
	if (!branches[0])
		return say_fail(
		    SAY_REF, e, "the repository has no branch, tag or commit '%.*s'", STR_ARG(ref));
	return say_fail(SAY_REF, e,
	    "the repository has no branch, tag or commit '%.*s'; its branches: %s", STR_ARG(ref),
	    branches);
}

/* Branch, then tag; a full commit number first by itself. */
static int fetch_ref(struct repository *r, struct str ref, struct err *e)
{
	struct err ignored;
	char name[400];
	int rc = 1;
	bool commit = name_commit(ref, &ignored) == 0;
	if (ref.n == 0)
		rc = fetch_name(r, "HEAD", e);
	else if (ref.n > 300 || name_ref(ref, &ignored))
		return say_fail(SAY_SETTINGS, e, "the branch or tag name is not valid");
	if (commit) {
		rc = fetch_name(r, ref.p, e);
		if (rc == 1)
			rc = fetch_everything(r, ref.p, e);
	}
	static const char *const prefixes[] = {"refs/heads/", "refs/tags/"};
	for (size_t i = 0; rc == 1 && ref.n && i < 2; i++) {
		bool full = str_starts(ref, STR("refs/"));
		snprintf(name, sizeof(name), "%s%s", full ? "" : prefixes[i], ref.p);
		rc = fetch_name(r, name, e);
	}
	return rc == 1 ? no_ref(r, ref, e) : rc;
}

struct commit {
	char id[65];
	int64_t seconds;
	char author[FIELD_MAX_BYTES], subject[FIELD_MAX_BYTES];
};

static void take_field(struct str *rest, char *out, size_t size)
{
	struct str line = STR_NONE;
	if (!str_next(rest, '\n', &line))
		line = STR_NONE;
	snprintf(out, size, "%.*s", (int)(line.n < size ? line.n : size - 1), line.p ? line.p : "");
}

static int read_commit(struct repository *r, struct commit *ret, struct err *e)
{
	struct child_words w;
	struct buf out CLEANUP_BUF;
	char seconds[32];
	buf_init(&out, 1u << 20);
	words_begin(r, &w);
	WORDS(&w, "log", "-1", "--no-color", "--no-notes", "--encoding=UTF-8",
	    "--format=%H%n%at%n%an <%ae>%n%s", "--end-of-options", "refs/slipway/head^{commit}");
	int rc = run(r, &w, false, &out, e);
	struct str rest = buf_view(&out);
	*ret = (struct commit){0};
	take_field(&rest, ret->id, sizeof(ret->id));
	take_field(&rest, seconds, sizeof(seconds));
	take_field(&rest, ret->author, sizeof(ret->author));
	take_field(&rest, ret->subject, sizeof(ret->subject));
	struct err why;
	if (rc < 0)
		return -1;
	if (rc || name_commit(str_c(ret->id), &why))
		return say_fail(SAY_REF, e, "what was fetched is not a commit");
	if (!num_i64(str_c(seconds), INT32_MIN, INT64_C(1) << 40, &ret->seconds))
		ret->seconds = 0;
	return 0;
}

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
	words_begin(r, &w);
	WORDS(&w, "ls-tree", "-r", "-l", "-z", "--full-tree", "--end-of-options", commit);
	int rc = run(r, &w, false, &out, e);
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
	words_begin(r, &w);
	WORDS(&w, "--work-tree", tree, "-c", "core.bare=false", "read-tree", "--reset", "-u",
	    "--end-of-options", commit);
	int rc = run(r, &w, false, NULL, e);
	r->env.n = vars;
	r->env.v[vars] = NULL;
	return rc > 0 ? say_fail(SAY_GIT, e, "git could not write the tree") : rc;
}

static int submodules(const struct options *o, const struct login *login,
    const struct repository *parent, const struct listing *l, const char *into, unsigned depth,
    struct err *e);

/* Lists, checks and writes one commit, then its submodules. */
static int put_tree(
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
		rc = put_tree(&r, link->commit, path, depth + 1, e);
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
	WORDS(&w, "git", "config", "--file", file, "--no-includes", "-z", "--get-regexp",
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

/* A push is seen before the head moves on some hosts: look again while it is the old one. */
static int fetch_settled(struct repository *r, struct commit *c, struct err *e)
{
	int64_t until = clock_mono_ms() + RETRY_WHILE_MS;
	for (unsigned wait_ms = 250;; wait_ms = wait_ms < 4000 ? wait_ms * 2 : 4000) {
		if (fetch_ref(r, r->o->ref, e) || read_commit(r, c, e))
			return -1;
		if (r->o->retry_while.n == 0 || !str_eq_c(r->o->retry_while, c->id) ||
		    clock_mono_ms() + wait_ms > until)
			return 0;
		usleep(wait_ms * 1000);
	}
}

static void put_text(struct buf *b, char letter, struct str s)
{
	buf_printf(b, "%c %zu\n", letter, s.n);
	buf_str(b, s);
	buf_char(b, '\n');
}

static int put_header(
    const struct commit *c, const struct login *l, struct buf *report, struct err *e)
{
	struct buf keys CLEANUP_BUF;
	buf_init(&keys, 16384);
	if (login_learned(l, &keys, e))
		return -1;
	buf_printf(report, "C %s\nT %lld\n", c->id, (long long)c->seconds);
	put_text(report, 'A', str_c(c->author));
	put_text(report, 'S', str_c(c->subject));
	if (keys.n)
		put_text(report, 'K', buf_view(&keys));
	return 0;
}

static int fetch_into(struct repository *r, struct buf *report, struct err *e)
{
	struct commit c;
	char into[64];
	if (fetch_settled(r, &c, e) || put_header(&c, r->login, report, e))
		return -1;
	if (r->o->unless.n && str_eq_c(r->o->unless, c.id)) {
		buf_c(report, "U\nE 0 0\n");
		return 0;
	}
	snprintf(into, sizeof(into), "releases/%u", r->o->release);
	int dir CLEANUP_FD = open(into, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dir < 0)
		return err_sys(e, ERR_IO, errno, "could not open '%s'", into);
	if (put_tree(r, c.id, into, 0, e))
		return -1;
	return scan_tree(dir, r->o->files_max, r->o->bytes_max, report, e);
}

int git_fetch(const struct options *o, struct buf *report, struct err *e)
{
	struct login login;
	struct repository r;
	if (o->release == 0 || o->url.n == 0)
		return say_fail(SAY_SETTINGS, e, "fetch-git needs --release and --url");
	int rc = login_open(&login, o->known_hosts, e);
	if (!rc) {
		rc = repository_open(
		    &r, o, &login, o->url.p, "mirror", clock_mono_ms() + FETCH_DEADLINE_MS, e);
		if (!rc)
			rc = fetch_into(&r, report, e);
		repository_close(&r);
	}
	login_close(&login);
	return rc;
}
