#include "tree/fetch.h"
#include "base/fs.h"
#include "base/name.h"
#include "tree/mirror.h"
#include "tree/say.h"

#include <stdio.h>

static void repeat_messages(const struct repository *r)
{
	say_raw(r->messages.p, r->messages.n);
}

static int fetch_once(struct repository *r, const char *from, bool shallow, struct err *e)
{
	char spec[600];
	struct child_words w;
	snprintf(spec, sizeof(spec), "+%s:refs/slipway/head", from);
	repository_words(r, &w);
	REPOSITORY_WORDS(&w, "fetch", "--quiet", "--force", "--no-tags", "--no-write-fetch-head",
	    "--no-auto-maintenance", "--no-recurse-submodules", "--no-show-forced-updates",
	    "--update-shallow");
	if (shallow)
		REPOSITORY_WORDS(&w, "--depth", "1");
	REPOSITORY_WORDS(&w, "--end-of-options", r->url, spec);
	return repository_run(r, &w, true, NULL, e);
}

static bool no_such_ref(const struct repository *r)
{
	return repository_said(r, "couldn't find remote ref") ||
	       repository_said(r, "not our ref") || repository_said(r, "unadvertised object") ||
	       repository_said(r, "no such remote ref");
}

/* Damage that is the mirror's own, which a fresh one does not have. */
static bool mirror_is_broken(const struct repository *r)
{
	static const char *const words_of_damage[] = {"bad object", "corrupt",
	    "not a git repository", "unable to read tree", "unable to read sha1", "is missing",
	    "File exists", "did not send all necessary objects", "bad shallow",
	    "does not point to a valid object", "mismatched algorithms"};
	for (size_t i = 0; i < sizeof(words_of_damage) / sizeof(*words_of_damage); i++)
		if (repository_said(r, words_of_damage[i]))
			return true;
	return false;
}

/* One name to try: 0 fetched, 1 there is none, -1 failed. */
static int fetch_name(struct repository *r, const char *name, struct err *e)
{
	int rc = fetch_once(r, name, r->shallow, e);
	if (rc == 1 && r->shallow && repository_said(r, "shallow")) { /* a server of plain files */
		r->shallow = false;
		rc = fetch_once(r, name, false, e);
	}
	if (rc == 1 && mirror_is_broken(r)) {
		if (mirror_remove(r->mirror, e))
			return -1;
		int dir CLEANUP_FD = mirror_open(r->mirror, e);
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
	struct child_words w;
	repository_words(r, &w);
	REPOSITORY_WORDS(&w, "fetch", "--quiet", "--force", "--no-tags", "--no-write-fetch-head",
	    "--no-auto-maintenance", "--no-recurse-submodules", "--update-shallow",
	    "--end-of-options", r->url, "+refs/heads/*:refs/slipway/heads/*",
	    "+refs/tags/*:refs/slipway/tags/*");
	int rc = repository_run(r, &w, false, NULL, e);
	if (rc)
		return rc < 0 ? -1 : say_fail(SAY_GIT, e, "git fetch failed");
	repository_words(r, &w);
	REPOSITORY_WORDS(
	    &w, "update-ref", "--no-deref", "--end-of-options", "refs/slipway/head", commit);
	return repository_run(r, &w, true, NULL, e);
}

/* "main, dev, …" for a message. */
static void list_branches(struct repository *r, char *out, size_t size)
{
	struct child_words w;
	struct buf list CLEANUP_BUF;
	struct err ignored;
	buf_init(&list, 1u << 20);
	repository_words(r, &w);
	REPOSITORY_WORDS(&w, "ls-remote", "--heads", "--quiet", "--end-of-options", r->url);
	out[0] = '\0';
	if (repository_run(r, &w, true, &list, &ignored))
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
int fetch_ref(struct repository *r, struct str ref, struct err *e)
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
