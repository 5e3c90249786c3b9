/* The audit's checks of what others wrote: rules and the journal of sudo, timetables, listening
 * sockets. */
#include "inspect/parts.h"

#include "base/hex.h"
#include "base/num.h"
#include "base/str.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LOG_MAX (256u << 10)
#define LISTENERS_MAX 512u

/* ---- sudoers ---- */

/* sudoers(5): "name", "%group", "#number", "%#number", each perhaps after "!". */
static bool is_ours(const struct inspect *s, struct str word)
{
	char name[64];
	uint64_t number;
	while (word.n > 0 && (*word.p == '!' || *word.p == '%' || *word.p == '+'))
		word = str_from(word, 1);
	if (word.n > 0 && *word.p == '#')
		return num_u64(str_from(word, 1), 0, UINT32_MAX, &number) &&
		       ((s->has_user && number == s->uid) || number >= INSPECT_TENANT_UID_MIN);
	return str_copy(word, name, sizeof(name)) &&
	       (strcmp(name, "ALL") == 0 || inspect_is_ours(name));
}

/* "a, b ALL=…": whom a rule begins with ends at the first blank that no comma stands beside. */
static struct str whom(struct str line)
{
	size_t end = 0;
	bool comma = true;
	for (size_t i = 0; i < line.n; i++) {
		bool blank = line.p[i] == ' ' || line.p[i] == '\t';
		if (!blank && i > end && !comma && line.p[i] != ',')
			break;
		if (!blank) {
			comma = line.p[i] == ',';
			end = i + 1;
		}
	}
	return str_slice(line, 0, end);
}

bool inspect_rule_is_ours(const struct inspect *s, struct str line)
{
	struct str rest = str_trim(line), word;
	if (str_starts(rest, STR("User_Alias")))
		rest = str_from(rest, str_find(rest, '=', 0));
	else if (str_starts(rest, STR("Defaults:")))
		rest = whom(str_from(rest, 9));
	else if (str_starts(rest, STR("# ")) || rest.n == 0)
		return false;
	else
		rest = whom(rest);
	while (str_next(&rest, ',', &word)) {
		word = str_trim(word.n > 0 && *word.p == '=' ? str_from(word, 1) : word);
		if (is_ours(s, word))
			return true;
	}
	return false;
}

static void look_at_rules(struct inspect *s, const char *path, const struct stat *st)
{
	CLEANUP_BUF struct buf b;
	struct str line;
	buf_init(&b, 1 << 20);
	if (!S_ISREG(st->st_mode))
		return;
	if (st->st_uid != 0 || st->st_gid != 0)
		inspect_say(s, INSPECT_CRITICAL, "%s belongs to %u:%u: chown root:root", path,
		    st->st_uid, st->st_gid);
	if ((st->st_mode & 07777) != 0440 && (st->st_mode & 07777) != 0400)
		inspect_say(
		    s, INSPECT_HIGH, "%s has mode %04o: chmod 440", path, st->st_mode & 07777);
	if (!inspect_read(path, &b))
		return;
	for (struct str rest = buf_view(&b); str_next(&rest, '\n', &line);) {
		if (!inspect_rule_is_ours(s, line))
			continue;
		s->named++;
		inspect_say(s, INSPECT_CRITICAL,
		    "%s has a rule for Slipway, which needs none: %.*s", path,
		    (int)(line.n < 120 ? line.n : 120), line.p);
	}
}

void inspect_audit_sudoers(struct inspect *s)
{
	static const char *const visudo[] = {"/usr/sbin/visudo", "-c", NULL};
	char out[1024];
	int status;
	struct stat st;
	if (!inspect_tool(visudo, &status, out, sizeof(out))) {
		inspect_say(s, INSPECT_INFO, "there is no sudo on this machine");
		return;
	}
	/* A wrong owner or mode is a finding of its own. */
	if (status != 0 && strstr(out, "syntax error"))
		inspect_say(s, INSPECT_CRITICAL,
		    "visudo -c finds a syntax error: no rule holds before it is mended");
	if (lstat("/etc/sudoers", &st) == 0)
		look_at_rules(s, "/etc/sudoers", &st);
	(void)inspect_walk(s, "/etc/sudoers.d", look_at_rules);
	inspect_say(s, INSPECT_INFO, "%zu rules name a user of Slipway's", s->named);
	s->named = 0;
}

/* "slipway : command not allowed ; TTY=… ; PWD=… ; USER=root ; COMMAND=…" */
static void look_at_use(struct inspect *s, struct str line)
{
	char user[40];
	struct str rest = str_trim(line), word;
	if (!str_next(&rest, ' ', &word) || !str_copy(word, user, sizeof(user)) ||
	    !inspect_is_ours(user))
		return;
	bool refused = str_contains(rest, STR("command not allowed")) ||
		       str_contains(rest, STR("NOT in sudoers")) ||
		       str_contains(rest, STR("a password is required"));
	inspect_name(s, refused ? INSPECT_HIGH : INSPECT_MEDIUM,
	    "user '%s' %s sudo in the last day: %.*s", user, refused ? "tried" : "used",
	    (int)(rest.n < 200 ? rest.n : 200), rest.p);
}

void inspect_audit_sudo_use(struct inspect *s)
{
	static const char *const journal[] = {"/usr/bin/journalctl", "-q", "--no-pager", "-o",
	    "cat", "-t", "sudo", "--since", "-24h", NULL};
	static char text[LOG_MAX];
	int status;
	struct str line;
	if (!inspect_tool(journal, &status, text, sizeof(text)) || status != 0) {
		inspect_say(
		    s, INSPECT_LOW, "the journal cannot be read, so nobody knows who used sudo");
		return;
	}
	for (struct str rest = str_c(text); str_next(&rest, '\n', &line);)
		look_at_use(s, line);
}

/* ---- cron ---- */

static void look_at_table(struct inspect *s, const struct inspect_account *a)
{
	static const char *const folders[] = {"/var/spool/cron/crontabs", "/var/spool/cron"};
	for (size_t i = 0; i < sizeof(folders) / sizeof(*folders); i++) {
		char path[128];
		struct stat st;
		(void)snprintf(path, sizeof(path), "%s/%s", folders[i], a->name);
		if (lstat(path, &st) == 0 && S_ISREG(st.st_mode))
			inspect_say(s, INSPECT_LOW, "user '%s' has a timetable: crontab -u %s -l",
			    a->name, a->name);
	}
}

static void look_for_mention(struct inspect *s, const char *path, const struct stat *st)
{
	CLEANUP_BUF struct buf b;
	buf_init(&b, 1 << 20);
	if (S_ISREG(st->st_mode) && inspect_read(path, &b) &&
	    str_contains(buf_view(&b), STR("slipway")))
		inspect_name(s, INSPECT_INFO, "%s mentions slipway", path);
}

void inspect_audit_cron(struct inspect *s)
{
	static const char *const folders[] = {"/etc/cron.d", "/etc/cron.hourly", "/etc/cron.daily",
	    "/etc/cron.weekly", "/etc/cron.monthly"};
	struct stat st;
	(void)inspect_each_account(s, look_at_table);
	for (size_t i = 0; i < sizeof(folders) / sizeof(*folders); i++)
		(void)inspect_walk(s, folders[i], look_for_mention);
	if (lstat("/etc/crontab", &st) == 0)
		look_for_mention(s, "/etc/crontab", &st);
}

/* ---- network ---- */

static struct {
	uint64_t inode;
	unsigned port;
} listeners[LISTENERS_MAX];
static size_t listener_count;

/* The fields of proc_net_tcp(5): "0: 0100007F:1F90 00000000:0000 0A …"; the tenth is the inode. */
static void read_listener(struct str line)
{
	char text[300], address[40], port[8], state[4], number[24];
	uint8_t bytes[2];
	uint64_t inode;
	if (!str_copy(line, text, sizeof(text)) ||
	    sscanf(text,
		" %*u: %32[0-9A-F]:%4[0-9A-F] %*[0-9A-F:] %2s %*s %*s %*s %*u %*u %20[0-9]",
		address, port, state, number) != 4 ||
	    !hex_decode(str_c(port), bytes, sizeof(bytes)) ||
	    !num_u64(str_c(number), 0, UINT64_MAX, &inode))
		return;
	struct str a = str_c(address);
	bool loopback = a.n == 8 ? str_ends(a, STR("7F"))
				 : str_eq_c(a, "00000000000000000000000001000000") ||
				       (str_starts(a, STR("0000000000000000FFFF0000")) &&
					   str_ends(a, STR("7F")));
	if (strcmp(state, "0A") == 0 && !loopback && listener_count < LISTENERS_MAX) {
		listeners[listener_count].inode = inode;
		listeners[listener_count++].port = (unsigned)bytes[0] << 8 | bytes[1];
	}
}

static void read_listeners(const char *path)
{
	char line[512];
	FILE *f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		read_listener(str_c(line));
	if (f)
		(void)fclose(f);
}

static void look_at_descriptor(
    struct inspect *s, const struct inspect_process *p, const char *target)
{
	uint64_t inode;
	struct str t = str_c(target);
	if (!str_starts(t, STR("socket:[")) ||
	    !num_u64(str_slice(t, 8, t.n - 9), 1, UINT64_MAX, &inode))
		return;
	for (size_t i = 0; i < listener_count; i++)
		if (listeners[i].inode == inode)
			inspect_say(s, INSPECT_MEDIUM,
			    "process %d, %s, listens outside of this machine on port %u; only the "
			    "web server should",
			    p->pid, p->name, listeners[i].port);
}

static void look_at_sockets(struct inspect *s, const struct inspect_process *p)
{
	char path[64];
	bool slipway = str_contains(str_c(p->exe), STR("/slipway"));
	if (!slipway && p->uid != s->uid && p->uid < INSPECT_TENANT_UID_MIN)
		return;
	(void)snprintf(path, sizeof(path), "/proc/%d/fd", p->pid);
	DIR *d = opendir(path);
	for (struct dirent *entry; d && (entry = readdir(d));) {
		char target[64];
		ssize_t n = readlinkat(dirfd(d), entry->d_name, target, sizeof(target) - 1);
		target[n > 0 ? n : 0] = '\0';
		look_at_descriptor(s, p, target);
	}
	if (d)
		(void)closedir(d);
}

void inspect_audit_network(struct inspect *s)
{
	listener_count = 0;
	read_listeners("/proc/net/tcp");
	read_listeners("/proc/net/tcp6");
	(void)inspect_each_process(s, look_at_sockets);
}
