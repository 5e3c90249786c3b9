/* Where code comes from. The daemon's half: it writes what `slipway-tree` is to do (argv, environment, secret) and reads what it
 * reports; the tenant's half (src/tree) does it inside the project's fetch sandbox, from the project's top directory.
 *
 * The report on standard output: header records, then a tree report (source/tree.h).
 *   "U\n"                                  up to date: the head is unless_commit, nothing was checked out
 *   "C " commit "\n"                       40 or 64 hexadecimal digits
 *   "T " seconds "\n"                      when the author made it, since 1970
 *   "A " length "\n" author "\n"           "Name <address>"
 *   "S " length "\n" subject "\n"          the first line of the message
 *   "K " length "\n" known_hosts "\n"      host keys learned on first use
 * each at most once, in any order. Messages go to standard error; the last line of a failure is
 * "slipway-tree: KIND: text", KIND one of: host address denied ref size link entry archive settings git timeout.
 * Exit 0 done, 1 failed, 64 wrong arguments.
 *
 * Further subcommands, for build commands of a plan (argv[0] "slipway-tree"; see kinds/plan.h): `python-env`, `need-node`. */
#pragma once

#include "base/args.h"
#include "base/arena.h"
#include "source/tree.h"

enum source_type { SOURCE_GIT, SOURCE_PATH, SOURCE_ARCHIVE, SOURCE_TYPE_COUNT };

struct source_spec {
	enum source_type type;
	struct str url;		  /* git: https://, http://, ssh://, user@host:path, or an absolute path on this machine */
	struct str ref;		  /* branch, tag or commit; empty: the remote's HEAD */
	struct str path;	  /* SOURCE_PATH: a directory on this machine */
	struct str unless_commit; /* nothing is checked out when the head is this one; may be empty */
	struct str retry_while;	  /* a head equal to this is fetched again for up to 30 s; may be empty */
	bool submodules;
	bool allow_private;	  /* addresses in private networks are allowed (embedded default; the operator's setting) */
	struct str https_user, https_token; /* reach git through askpass only */
	struct str deploy_key;	  /* OpenSSH private key, through a descriptor only */
	struct str public_key;	  /* its public line, for messages; may be empty */
	struct str known_hosts;	  /* pinned host key lines; empty: trusted on first use and reported */
	uint64_t bytes_max, files_max; /* 0: LIMIT_TREE_BYTES, LIMIT_TREE_FILES */
};

/* SOURCE_ARCHIVE: the archive (tar, tar.gz, zip …) is the job's standard input. */
struct source_job {
	struct args argv, env; /* argv[0] is "slipway-tree" */
	struct str secret; /* for run_spec.secret; wiped with the arena's owner */
};

struct source_result {
	bool up_to_date; /* head was unless_commit; tree is empty */
	struct str commit, subject, author;
	int64_t author_time_ms;
	struct str host_keys; /* known_hosts lines learned on first use; empty otherwise */
	struct tree tree;
};

/* Checks the address and ref; ERR_INVALID with a hint when they cannot be right. */
int source_check(const struct source_spec *s, struct err *e) WARN_UNUSED;
int source_job(const struct source_spec *s, uint32_t release, struct arena *a, struct source_job *ret, struct err *e) WARN_UNUSED;
/* Reads the job's report: header lines (commit, subject …) then a tree report. Strings point into `report`. */
int source_read(struct str report, struct arena *a, struct source_result *ret, struct err *e) WARN_UNUSED;
/* Turns a failed job's last lines into words with a hint: a denied clone says which key to add where. */
void source_explain(const struct source_spec *s, int wait_status, struct str last_lines, struct err *e);
/* The words of a failed slipway-tree itself (python-env and the like), from its last lines; false when it said none. */
bool source_own_words(struct str last_lines, struct err *e);
