/* `slipway audit`: what an attacker would be glad of. */
#include "inspect/parts.h"

#include "base/str.h"

#include <grp.h>
#include <stdio.h>
#include <string.h>

static void look_at_password(struct inspect *s, const struct inspect_account *a)
{
	static const struct {
		enum inspect_level level;
		const char *words;
	} says[] = {
	    [INSPECT_NO_PASSWORD] = {INSPECT_MEDIUM, "is not in /etc/shadow"},
	    [INSPECT_LOCKED] = {INSPECT_INFO, "has no password that fits"},
	    [INSPECT_EMPTY] = {INSPECT_CRITICAL, "has an empty password"},
	    [INSPECT_SET] = {INSPECT_CRITICAL, "has a password"},
	};
	enum inspect_password p = inspect_password_of(a->name);
	if (p == INSPECT_LOCKED)
		inspect_name(s, INSPECT_INFO, "user '%s' %s", a->name, says[p].words);
	else
		inspect_say(s, says[p].level, "user '%s' %s: passwd -l %s", a->name, says[p].words,
		    a->name);
	if (inspect_lets_login(a->shell))
		inspect_say(s, INSPECT_HIGH,
		    "user '%s' may log in, with %s: usermod -s /usr/sbin/nologin %s", a->name,
		    a->shell, a->name);
}

static void audit_password(struct inspect *s)
{
	if (inspect_each_account(s, look_at_password) == 0)
		inspect_say(s, INSPECT_INFO, "there is no user of Slipway's");
}

/* ---- SSH ---- */

static void look_at_keys(struct inspect *s, const struct inspect_account *a)
{
	CLEANUP_BUF struct buf b;
	char path[320];
	size_t keys = 0;
	struct str line;
	buf_init(&b, 1 << 20);
	(void)snprintf(path, sizeof(path), "%s/.ssh/authorized_keys", a->home);
	if (!inspect_read(path, &b))
		return;
	for (struct str rest = buf_view(&b); str_next(&rest, '\n', &line);)
		keys += str_trim(line).n > 0 && line.p[0] != '#';
	inspect_say(s, INSPECT_HIGH, "%zu keys open user '%s' over SSH: %s", keys, a->name, path);
}

/* sshd_config(5): words between blanks of both kinds, the first perhaps before "=". */
static bool next_word(struct str *rest, struct str *ret)
{
	size_t n = 0;
	while (rest->n > 0 && strchr(" \t=\"", *rest->p))
		*rest = str_from(*rest, 1);
	while (n < rest->n && !strchr(" \t=\"", rest->p[n]))
		n++;
	*ret = str_slice(*rest, 0, n);
	*rest = str_from(*rest, n);
	return n > 0;
}

static void look_at_ssh_line(struct inspect *s, struct str line, const char *path)
{
	struct str pieces = str_trim(line), word;
	if (!next_word(&pieces, &word))
		return;
	bool allow = str_eq_nocase(word, STR("AllowUsers")),
	     deny = str_eq_nocase(word, STR("DenyUsers"));
	while ((allow || deny) && next_word(&pieces, &word)) {
		char name[40];
		size_t at = str_find(word, '@', 0); /* only from there */
		if (!str_copy(at == SIZE_MAX ? word : str_slice(word, 0, at), name, sizeof(name)) ||
		    !inspect_is_ours(name))
			continue;
		inspect_say(s, allow ? INSPECT_MEDIUM : INSPECT_INFO, "%s %s '%s' in", path,
		    allow ? "lets" : "does not let", name);
	}
}

static void look_at_ssh_file(struct inspect *s, const char *path)
{
	CLEANUP_BUF struct buf b;
	struct str line;
	buf_init(&b, 1 << 20);
	if (!inspect_read(path, &b))
		return;
	for (struct str rest = buf_view(&b); str_next(&rest, '\n', &line);)
		look_at_ssh_line(s, line, path);
}

static void look_at_ssh_entry(struct inspect *s, const char *path, const struct stat *st)
{
	if (S_ISREG(st->st_mode) && str_ends(str_c(path), STR(".conf")))
		look_at_ssh_file(s, path);
}

static void audit_ssh(struct inspect *s)
{
	(void)inspect_each_account(s, look_at_keys);
	look_at_ssh_file(s, "/etc/ssh/sshd_config");
	(void)inspect_walk(s, "/etc/ssh/sshd_config.d", look_at_ssh_entry);
}

/* ---- files ---- */

static void audit_files(struct inspect *s)
{
	struct stat st;
	if (lstat(INSPECT_STATE_DIR "/keys", &st) == 0 && (st.st_mode & 07777) != 0700)
		inspect_say(s, INSPECT_HIGH,
		    "%s/keys has mode %04o, not 0700: slipway setup mends it", INSPECT_STATE_DIR,
		    st.st_mode & 07777);
	(void)inspect_walk_all(s, inspect_find_privileged);
	(void)inspect_walk_all(s, inspect_find_open);
}

static void find_readable(struct inspect *s, const char *path, const struct stat *st)
{
	if (!S_ISREG(st->st_mode) || !inspect_is_secret(path))
		return;
	s->named++; /* here: how many there are */
	if (st->st_mode & S_IROTH)
		inspect_say(s, INSPECT_CRITICAL,
		    "everybody may read %s (%04o): chmod o= it, and change what is in it", path,
		    st->st_mode & 07777);
}

static void audit_credentials(struct inspect *s)
{
	(void)inspect_walk_all(s, find_readable);
	inspect_say(s, INSPECT_INFO, "%zu files hold something secret", s->named);
	s->named = 0;
}

/* ---- processes ---- */

static void look_at_process(struct inspect *s, const struct inspect_process *p)
{
	struct str exe = str_c(p->exe);
	if (p->uid != 0)
		return;
	/* The helper and its monitor are root's by design; nothing else of ours, and nothing of a project's, is. */
	if (str_starts(exe, STR(INSPECT_STATE_DIR "/")) || str_ends(exe, STR("/slipwayd")) ||
	    str_ends(exe, STR("/slipway-exec")) || str_ends(exe, STR("/slipway-tree")) ||
	    str_ends(exe, STR("/slipway-outbound")) || str_ends(exe, STR("/slipway-cert")))
		inspect_say(s, INSPECT_HIGH, "process %d, %s, runs as root", p->pid, p->exe);
}

static void audit_processes(struct inspect *s)
{
	char user[64];
	(void)inspect_each_process(s, look_at_process);
	inspect_property("slipwayd.service", "User", user, sizeof(user));
	if (!user[0] || strcmp(user, "root") == 0)
		inspect_say(s, INSPECT_HIGH, "unit slipwayd.service runs as %s",
		    user[0] ? user : "nobody in particular, so as root");
	inspect_say(s, INSPECT_INFO, "slipway-helper runs as root, by design");
}

/* ---- groups ---- */

static void look_at_member(struct inspect *s, const struct group *g, const char *user)
{
	static const char *const mighty[] = {"root", "sudo", "wheel", "adm", "admin", "shadow",
	    "disk", "docker", "lxd", "systemd-journal"};
	bool might = false;
	if (!inspect_is_ours(user) || strcmp(g->gr_name, user) == 0)
		return;
	for (size_t i = 0; i < sizeof(mighty) / sizeof(*mighty); i++)
		might = might || strcmp(g->gr_name, mighty[i]) == 0;
	inspect_say(s, might ? INSPECT_CRITICAL : INSPECT_LOW,
	    "user '%s' is in group '%s': gpasswd -d %s %s", user, g->gr_name, user, g->gr_name);
}

static void look_at_first_group(struct inspect *s, const struct inspect_account *a)
{
	struct group *g = getgrgid(a->gid);
	if (g)
		look_at_member(s, g, a->name);
}

static void audit_groups(struct inspect *s)
{
	FILE *f = fopen("/etc/group", "re");
	for (struct group *g; f && (g = fgetgrent(f));)
		for (char **m = g->gr_mem; *m; m++)
			look_at_member(s, g, *m);
	if (f)
		(void)fclose(f);
	(void)inspect_each_account(s, look_at_first_group);
}

static const struct inspect_check table[] = {
    {"password", audit_password},
    {"SSH", audit_ssh},
    {"sudoers", inspect_audit_sudoers},
    {"files", audit_files},
    {"processes", audit_processes},
    {"sudo usage", inspect_audit_sudo_use},
    {"network", inspect_audit_network},
    {"credentials", audit_credentials},
    {"cron", inspect_audit_cron},
    {"groups", audit_groups},
};

const struct inspect_check *inspect_audit(size_t *ret_count)
{
	*ret_count = sizeof(table) / sizeof(*table);
	return table;
}
