/* `slipway validate`: is everything where `slipway setup` put it? Each fault is one check's only.
 */
#include "inspect/parts.h"

#include "setup/setup.h"

#include <errno.h>
#include <grp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define PASS INSPECT_INFO
#define WARN INSPECT_MEDIUM
#define FAIL INSPECT_HIGH
#define NOBODY 65534u
#define CONF INSPECT_CONF

static void check_root(struct inspect *s)
{
	inspect_say(s, PASS, "this runs as root, and sees everything");
}

static void check_user(struct inspect *s)
{
	struct inspect_account a;
	struct stat st;
	if (!inspect_account_of("slipway", &a)) {
		inspect_say(s, FAIL, "there is no user 'slipway': slipway setup makes it");
		return;
	}
	if (a.uid == 0 || a.uid >= 1000)
		inspect_say(
		    s, FAIL, "user 'slipway' has number %u, which is no system account's", a.uid);
	if (stat(a.home, &st) == 0)
		inspect_say(s, FAIL,
		    "user 'slipway' has a home, %s: usermod -d /nonexistent slipway", a.home);
	inspect_say(s, PASS, "user 'slipway' (%u)", a.uid);
}

static void check_groups(struct inspect *s)
{
	char more[200];
	struct group *g = getgrgid(s->gid);
	if (s->has_user && (!g || strcmp(g->gr_name, "slipway") != 0))
		inspect_say(s, FAIL, "the first group of 'slipway' is '%s', not 'slipway'",
		    g ? g->gr_name : "none");
	if (!getgrnam("www-data"))
		inspect_say(s, FAIL, "there is no group 'www-data', which the web server has");
	inspect_property("slipwayd.service", "SupplementaryGroups", more, sizeof(more));
	if (strcmp(more, "www-data") != 0)
		inspect_say(s, WARN,
		    "slipwayd runs with the further groups '%s', not 'www-data': it cannot hand "
		    "sockets to the web server, or has more than it needs",
		    more);
}

static void check_folders(struct inspect *s)
{
	size_t count;
	const struct setup_folder *f = setup_folders(&count);
	for (size_t i = 0; i < count; i++) {
		struct stat st;
		struct inspect_account a;
		struct group *g = getgrnam(f[i].group);
		if (lstat(f[i].path, &st) != 0 || !S_ISDIR(st.st_mode))
			inspect_say(s, FAIL, "%s is no folder: slipway setup makes it", f[i].path);
		else if (!inspect_account_of(f[i].user, &a) || !g)
			continue; /* whoever is not there is a finding of user or groups */
		else if (st.st_uid != a.uid || st.st_gid != g->gr_gid)
			inspect_say(s, FAIL,
			    "%s belongs to %u:%u, not to %s:%s: slipway setup mends it", f[i].path,
			    st.st_uid, st.st_gid, f[i].user, f[i].group);
	}
}

static void find_readable(struct inspect *s, const char *path, const struct stat *st)
{
	if (S_ISREG(st->st_mode) && (st->st_mode & S_IROTH) && inspect_is_secret(path))
		inspect_name(s, FAIL, "everybody may read %s (%04o)", path, st->st_mode & 07777);
}

static void check_modes(struct inspect *s)
{
	size_t count;
	const struct setup_folder *f = setup_folders(&count);
	for (size_t i = 0; i < count; i++) {
		struct stat st;
		if (lstat(f[i].path, &st) != 0 || (st.st_mode & 07777) == f[i].mode)
			continue;
		bool keys = str_ends(str_c(f[i].path), STR("/keys"));
		inspect_say(s, keys ? FAIL : WARN,
		    "%s has mode %04o, not %04o: slipway setup mends it", f[i].path,
		    st.st_mode & 07777, f[i].mode);
	}
	(void)inspect_walk_all(s, find_readable);
}

/* ---- the helper: what sudo is in the original ---- */

static void check_helper_settings(struct inspect *s)
{
	CLEANUP_BUF struct buf b;
	uint64_t uid = 0, gid = 0;
	struct stat st;
	struct group *g = getgrnam("slipway"); /* whether it is the user's first is check_groups' */
	buf_init(&b, 4096);
	if (!inspect_read(CONF, &b) || lstat(CONF, &st) != 0) {
		inspect_say(s, FAIL, "%s cannot be read: slipway setup makes it", CONF);
		return;
	}
	if (st.st_uid != 0 || st.st_gid != 0 || (st.st_mode & 022))
		inspect_say(s, FAIL,
		    "%s is %u:%u %04o: whoever writes it chooses what the helper does; chown "
		    "root:root, "
		    "chmod 644",
		    CONF, st.st_uid, st.st_gid, st.st_mode & 07777);
	if (!inspect_setting(buf_view(&b), "SLIPWAY_UID", &uid) ||
	    !inspect_setting(buf_view(&b), "SLIPWAY_GID", &gid) ||
	    (s->has_user && uid != s->uid) || (g && gid != g->gr_gid))
		inspect_say(s, FAIL,
		    "%s lets %llu:%llu command the helper, not slipway's %u:%u: slipway setup "
		    "mends it",
		    CONF, (unsigned long long)uid, (unsigned long long)gid, s->uid,
		    g ? g->gr_gid : s->gid);
	inspect_say(s, PASS, "the helper serves user %llu alone", (unsigned long long)uid);
}

/* 0: the user's process reached the socket; else why not. */
static int connect_as(uid_t uid, gid_t gid, const char *path)
{
	pid_t pid = fork();
	if (pid == 0) {
		struct sockaddr_un a = {.sun_family = AF_UNIX};
		int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
		if (!str_copy(str_c(path), a.sun_path, sizeof(a.sun_path)) ||
		    setgroups(0, NULL) != 0 || setresgid(gid, gid, gid) != 0 ||
		    setresuid(uid, uid, uid) != 0)
			_exit(EINVAL);
		_exit(connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0 ? 0 : errno);
	}
	int status = 0;
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return EINVAL;
	return WEXITSTATUS(status);
}

static void check_helper_access(struct inspect *s)
{
	static const char path[] = INSPECT_RUN_DIR "/keeper.sock";
	static const char *const sudo[] = {"/usr/bin/sudo", "-n", "-l", "-U", "slipway", NULL};
	char out[1024];
	int status, rc = s->has_user ? connect_as(s->uid, s->gid, path) : 0;
	if (rc != 0)
		inspect_say(s, FAIL, "user 'slipway' does not reach the helper at %s: %s", path,
		    strerror(rc));
	rc = connect_as(NOBODY, NOBODY, path);
	if (rc == 0)
		inspect_say(s, FAIL, "user 'nobody' reaches the helper at %s: chmod 600", path);
	else if (rc != EACCES)
		inspect_say(s, WARN, "whether others reach the helper could not be tried: %s",
		    strerror(rc));
	if (!inspect_tool(sudo, &status, out, sizeof(out)))
		inspect_say(s, PASS, "there is no sudo on this machine");
	else if (s->has_user && !strstr(out, "not allowed to run sudo"))
		inspect_say(s, FAIL,
		    "user 'slipway' may run commands by sudo, and needs none: visudo, and take its "
		    "rules out");
}

/* ---- units, processes ---- */

static void check_unit(struct inspect *s, const char *unit, const char *user)
{
	char text[200];
	inspect_property(unit, "LoadState", text, sizeof(text));
	if (strcmp(text, "loaded") != 0) {
		inspect_say(s, FAIL, "unit %s is %s", unit, text[0] ? text : "unknown");
		return;
	}
	inspect_property(unit, "UnitFileState", text, sizeof(text));
	if (strcmp(text, "enabled") != 0)
		inspect_say(s, WARN,
		    "unit %s is %s, so it will be missing after a reboot: slipway setup", unit,
		    text);
	inspect_property(unit, "User", text, sizeof(text));
	if (user && strcmp(text, user) != 0)
		inspect_say(s, FAIL, "unit %s runs as '%s', not as '%s'", unit, text, user);
}

/* An update of the distribution's restarts its own service, not ours. */
static void check_edge_program(struct inspect *s, const char *unit)
{
	char pid[32], path[64], program[200];
	inspect_property(unit, "MainPID", pid, sizeof(pid));
	(void)snprintf(path, sizeof(path), "/proc/%s/exe", pid);
	ssize_t n = readlink(path, program, sizeof(program) - 1);
	program[n > 0 ? n : 0] = '\0';
	char *deleted = strstr(program, " (deleted)");
	if (!deleted)
		return;
	*deleted = '\0';
	inspect_say(s, WARN,
	    "%s was replaced by an update, and the old one still serves: systemctl restart %s, "
	    "which turns visitors away for a moment",
	    program, unit);
}

/* Whichever it is, the helper starts it. */
static void check_edge(struct inspect *s)
{
	static const char *const servers[] = {
	    "slipway-edge.service", "slipway-edge-apache.service"};
	bool runs = false;
	for (size_t i = 0; i < sizeof(servers) / sizeof(*servers) && !runs; i++) {
		runs = inspect_is_active(servers[i]);
		if (runs)
			check_edge_program(s, servers[i]);
	}
	if (!runs)
		inspect_say(s, WARN,
		    "neither %s nor %s runs: systemctl restart slipway-helper; journalctl -u "
		    "slipway-helper says why if that does not help",
		    servers[0], servers[1]);
}

static void check_units(struct inspect *s)
{
	check_edge(s);
	check_unit(s, "slipwayd.service", "slipway");
	check_unit(s, "slipway-helper.service", "");
	check_unit(s, "slipwayd.socket", NULL);
	check_unit(s, "slipwayd-edge.socket", NULL);
	check_unit(s, "slipwayd-http.socket", NULL);
	check_unit(s, "slipway-audit.timer", NULL);
	if (!inspect_is_active("slipway-audit.timer"))
		inspect_say(s, WARN,
		    "slipway-audit.timer does not run, so nobody looks every day: systemctl start "
		    "slipway-audit.timer");
}

static void show_process(struct inspect *s, const struct inspect_process *p)
{
	if (s->has_user && p->uid == s->uid)
		inspect_name(s, PASS, "%d %s", p->pid, p->name);
}

static void check_processes(struct inspect *s)
{
	(void)inspect_each_process(s, show_process);
	if (s->named == 0 && s->has_user)
		inspect_say(s, WARN, "no process runs as 'slipway': systemctl status slipwayd");
}

static void find_foreign(struct inspect *s, const char *path, const struct stat *st)
{
	/* What projects hand in over the edge and what they print is the daemon's; the rest root's.
	 */
	bool root = strncmp(path, INSPECT_STATE_DIR "/helper/", 23) == 0;
	if (st->st_uid != (root ? 0 : s->uid) && (root || s->has_user))
		inspect_name(s, WARN, "%s belongs to user %u, not to %s", path, st->st_uid,
		    root ? "root" : "slipway");
}

static void find_unsealed(struct inspect *s, const char *path, const struct stat *st)
{
	const char *rest = path + strlen(INSPECT_STATE_DIR "/projects/");
	const char *releases = strchr(rest, '/');
	if (releases && strncmp(releases, "/public/", 8) == 0 && st->st_uid != 0)
		inspect_name(s, WARN, "%s belongs to user %u, not to root", path, st->st_uid);
}

static void check_owners(struct inspect *s)
{
	static const char *const folders[] = {
	    "/keys", "/logs", "/spool", "/journal", "/backups", "/helper"};
	size_t files = 0;
	for (size_t i = 0; i < sizeof(folders) / sizeof(*folders); i++) {
		char path[64];
		(void)snprintf(path, sizeof(path), "%s%s", INSPECT_STATE_DIR, folders[i]);
		files += inspect_walk(s, path, find_foreign);
	}
	files += inspect_walk(s, INSPECT_STATE_DIR "/projects", find_unsealed);
	inspect_say(s, PASS, "looked at %zu files", files);
}

static void check_login(struct inspect *s, const struct inspect_account *a)
{
	if (inspect_lets_login(a->shell))
		inspect_name(s, WARN, "user '%s' has a shell, %s: usermod -s /usr/sbin/nologin %s",
		    a->name, a->shell, a->name);
	if (inspect_password_of(a->name) > INSPECT_LOCKED)
		inspect_name(s, WARN, "user '%s' has a password: passwd -l %s", a->name, a->name);
}

static void check_security(struct inspect *s)
{
	(void)inspect_walk_all(s, inspect_find_privileged);
	(void)inspect_walk_all(s, inspect_find_open);
	(void)inspect_each_account(s, check_login);
}

static const struct inspect_check table[] = {
    {"root", check_root},
    {"user", check_user},
    {"groups", check_groups},
    {"directories", check_folders},
    {"permissions", check_modes},
    {"helper settings", check_helper_settings},
    {"helper access", check_helper_access},
    {"units", check_units},
    {"processes", check_processes},
    {"ownership", check_owners},
    {"security", check_security},
};

const struct inspect_check *inspect_validation(size_t *ret_count)
{
	*ret_count = sizeof(table) / sizeof(*table);
	return table;
}
