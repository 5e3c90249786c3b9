/* One repository being fetched, the project's own or one of its submodules: its address checked and pinned, its mirror clean,
 * and git run on it with nothing of the machine, the mirror or the repository deciding what git runs. */
#pragma once

#include "base/buf.h"
#include "source/address.h"
#include "tree/child.h"
#include "tree/host.h"
#include "tree/login.h"
#include "tree/options.h"

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
	bool shallow;	     /* ask for one commit only */
	struct buf messages; /* what git said last */
};

/* Resolves, checks and pins the host; opens the mirror (a path below the working directory). Close it in every case. */
int repository_open(struct repository *r, const struct options *o, const struct login *login, const char *url,
    const char *mirror, int64_t deadline_ms, struct err *e) WARN_UNUSED;
void repository_close(struct repository *r);
/* "git" with all that every git is told, up to where the subcommand goes. */
void repository_words(const struct repository *r, struct child_words *w);
void repository_add(struct child_words *w, const char *const *list);
#define REPOSITORY_WORDS(w, ...) repository_add((w), (const char *const[]){__VA_ARGS__, NULL})
/* 0 git succeeded, 1 it failed (its words are in r->messages), -1 it could not be run. `quiet` keeps its words to us. */
int repository_run(struct repository *r, const struct child_words *w, bool quiet, struct buf *out, struct err *e) WARN_UNUSED;
bool repository_said(const struct repository *r, const char *what);
