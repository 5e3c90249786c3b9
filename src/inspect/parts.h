/* What the files of this room share. Private to them. */
#pragma once

#include "base/buf.h"
#include "inspect/inspect.h"

#include <sys/stat.h>

#define INSPECT_STATE_DIR "/var/lib/slipway"
#define INSPECT_CONF "/etc/slipway/server.conf"
#define INSPECT_RUN_DIR "/run/slipway"
#define INSPECT_TENANT_UID_MIN 70000u
#define INSPECT_NAMED_MAX 5u /* files that are named one by one */

void inspect_say(struct inspect *s, enum inspect_level level, const char *fmt, ...)
    PRINTF_LIKE(3, 4);
/* The same for one of many: after INSPECT_NAMED_MAX they are only counted (s->named). */
void inspect_name(struct inspect *s, enum inspect_level level, const char *fmt, ...)
    PRINTF_LIKE(3, 4);

/* Advice: with what a person would type. */
void inspect_advise(struct inspect *s, enum inspect_level level, const char *command,
    const char *fmt, ...) PRINTF_LIKE(4, 5);

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
bool inspect_is_active(const char *unit);
/* A number of server.conf's text. */
bool inspect_setting(struct str text, const char *key, uint64_t *ret);

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

/* ---- advice_ssh.c ---- */
enum inspect_sshd { INSPECT_SSHD_NONE, INSPECT_SSHD_SILENT, INSPECT_SSHD_READ };
/* What `sshd -T` says, for inspect_sshd_value and the others, which come after it. */
enum inspect_sshd inspect_sshd_read(void);
/* The first value of a keyword in small letters; "" when there is none. */
struct str inspect_sshd_value(const char *key);
bool inspect_sshd_takes_passwords(void);
/* Whether it lets in an address other than this machine's own. */
bool inspect_sshd_is_outside(void);
/* "ufw allow 22/tcp && " for each of its ports. */
void inspect_sshd_ports(struct buf *into);
void inspect_advise_ssh_root(struct inspect *s);
void inspect_advise_ssh_passwords(struct inspect *s);
void inspect_advise_ssh_empty(struct inspect *s);
void inspect_advise_ssh_limits(struct inspect *s);
void inspect_advise_ssh_x11(struct inspect *s);
void inspect_advise_ssh_algorithms(struct inspect *s);

/* ---- advice_net.c ---- */
/* Which addresses' rules (bit 0: IPv4, bit 1: IPv6) refuse what nothing lets in, of what `nft list
 * ruleset` prints; Slipway's own tables do not count. */
unsigned inspect_nft_refuses(struct str ruleset);
void inspect_advise_firewall(struct inspect *s);
void inspect_advise_guesses(struct inspect *s);

/* ---- advice.c ---- */
struct inspect_sysctl {
	const char *name; /* as sysctl(8) says it */
	uint64_t least, most, want;
	enum inspect_level level;
};
/* root: "/proc/sys", or a test's. One finding for all that are otherwise, one command. */
void inspect_advise_sysctls(
    struct inspect *s, const char *root, const struct inspect_sysctl *v, size_t n);
const struct inspect_sysctl *inspect_sysctls_kernel(size_t *ret_count);
