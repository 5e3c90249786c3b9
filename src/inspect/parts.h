/* What the files of this room share. Private to them. */
#pragma once

#include "base/buf.h"
#include "inspect/inspect.h"

#include <sys/stat.h>

#define INSPECT_STATE_DIR "/var/lib/slipway"
#define INSPECT_RUN_DIR "/run/slipway"
#define INSPECT_TENANT_UID_MIN 70000u
#define INSPECT_NAMED_MAX 5u /* files that are named one by one */

void inspect_say(struct inspect *s, enum inspect_level level, const char *fmt, ...)
    PRINTF_LIKE(3, 4);
/* The same for one of many: after INSPECT_NAMED_MAX they are only counted (s->named). */
void inspect_name(struct inspect *s, enum inspect_level level, const char *fmt, ...)
    PRINTF_LIKE(3, 4);

/* ---- facts.c: accounts, tools, processes ---- */

struct inspect_account { /* of the local file; no name service is asked */
	char name[40], home[256], shell[128];
	uid_t uid;
	gid_t gid;
};
enum inspect_password { INSPECT_NO_PASSWORD, INSPECT_LOCKED, INSPECT_EMPTY, INSPECT_SET };

bool inspect_account_of(const char *name, struct inspect_account *ret);
/* The daemon's and every project's. */
typedef void inspect_account_fn(struct inspect *s, const struct inspect_account *a);
size_t inspect_each_account(struct inspect *s, inspect_account_fn *fn);
bool inspect_is_ours(const char *user); /* by its name: "slipway", "sw-…" */
enum inspect_password inspect_password_of(const char *user);
bool inspect_lets_login(const char *shell);
/* Reads a root-owned file; false: it is not there or too large. */
bool inspect_read(const char *path, struct buf *into);
/* Runs a tool; false: it is not installed or did not end in time. The ends of lines stay. */
bool inspect_tool(const char *const *argv, int *ret_status, char *out, size_t size);
/* A property of a unit, as `systemctl show` says it; "" when there is none. */
void inspect_property(const char *unit, const char *property, char *out, size_t size);

struct inspect_process {
	pid_t pid;
	uid_t uid;
	char name[32], exe[256];
};
typedef void inspect_process_fn(struct inspect *s, const struct inspect_process *p);
size_t inspect_each_process(struct inspect *s, inspect_process_fn *fn);

/* ---- walk.c ---- */

/* Every entry below root, links not followed, one file system. */
typedef void inspect_file_fn(struct inspect *s, const char *path, const struct stat *st);
size_t inspect_walk(struct inspect *s, const char *root, inspect_file_fn *fn);
/* Both trees of Slipway. */
size_t inspect_walk_all(struct inspect *s, inspect_file_fn *fn);
bool inspect_is_secret(const char *path);
/* Whether some user other than owner and group may write it, where that is not meant. */
bool inspect_is_open(const char *path, const struct stat *st);
inspect_file_fn inspect_find_privileged; /* setuid and setgid files: HIGH */
inspect_file_fn inspect_find_open;	 /* MEDIUM */

/* ---- audit_log.c: the checks that read what others wrote ---- */
/* Whether a line of sudoers gives something to a user of ours, or to everybody. */
bool inspect_rule_is_ours(const struct inspect *s, struct str line);
void inspect_audit_sudoers(struct inspect *s);
void inspect_audit_sudo_use(struct inspect *s);
void inspect_audit_cron(struct inspect *s);
void inspect_audit_network(struct inspect *s);
