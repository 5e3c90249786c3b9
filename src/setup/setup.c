#include "setup/setup.h"

#include "base/clock.h"
#include "base/fs.h"
#include "base/num.h"
#include "launch/tool.h"
#include "setup/parts.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PROXIES_SHOWN = 100 }; /* of the list, in a line of the plan */

/* ---- what the steps share ---- */

int setup_ask(const char *const *argv, int *ret_status, struct err *e)
{
	char out[256];
	return launch_tool(argv, clock_mono_ms() + SETUP_TOOL_MS, ret_status, out, sizeof(out), e);
}

int setup_tool(const char *const *argv, struct err *e)
{
	char out[256];
	int status = 0;
	if (launch_tool(argv, clock_mono_ms() + SETUP_TOOL_MS, &status, out, sizeof(out), e) != 0)
		return -1;
	if (status != 0)
		return err_set(e, ERR_FAILED, "'%s %s' ended with %d: %s", argv[0],
		    argv[1] ? argv[1] : "", status, out);
	return 0;
}

/* The local file, as the helper reads it; no name service is asked. */
static bool find_user(const char *name, uid_t uid, struct passwd *ret, char found[40])
{
	FILE *f = fopen("/etc/passwd", "re");
	bool hit = false;
	for (struct passwd *p; f && !hit && (p = fgetpwent(f));) {
		hit = (name ? strcmp(p->pw_name, name) == 0 : p->pw_uid == uid) &&
		      str_copy(str_c(p->pw_name), found, 40);
		if (hit)
			*ret = *p;
	}
	if (f)
		(void)fclose(f);
	return hit;
}

bool setup_user(const char *name, uid_t *ret_uid, gid_t *ret_gid)
{
	struct passwd p;
	char found[40];
	if (!find_user(name, 0, &p, found))
		return false;
	*ret_uid = p.pw_uid;
	*ret_gid = p.pw_gid;
	return true;
}

bool setup_user_of(uid_t uid, char name[40])
{
	struct passwd p;
	return find_user(NULL, uid, &p, name);
}

int setup_dir(const char *path)
{
	return open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* ---- the daemon's user ---- */

static int user_look(struct setup *s, enum setup_state *ret, char *words, struct err *e)
{
	(void)s;
	(void)e;
	uid_t uid;
	gid_t gid;
	*ret = setup_user("slipway", &uid, &gid) ? SETUP_DONE : SETUP_TO_DO;
	(void)snprintf(words, SETUP_WORDS_SIZE, "slipway, without a password, a shell or a home");
	return 0;
}

static int user_make(struct setup *s, struct err *e)
{
	(void)s;
	const char *const argv[] = {"/usr/bin/systemd-sysusers", "slipway.conf", NULL};
	return setup_tool(argv, e);
}

static int user_undo(struct setup *s, char *words, struct err *e)
{
	(void)s;
	uid_t uid;
	gid_t gid;
	const char *const argv[] = {"/usr/sbin/userdel", "slipway", NULL};
	if (!setup_user("slipway", &uid, &gid))
		return 0;
	if (setup_tool(argv, e) != 0)
		return -1;
	(void)snprintf(words, SETUP_WORDS_SIZE, "user slipway (%u) and its group", uid);
	return 0;
}

/* ---- settings ---- */

/* Values are checked and hold nothing that systemd's EnvironmentFile would read in a way of its
 * own. */
static int settings_text(struct setup *s, struct err *e)
{
	uid_t uid, web_uid;
	gid_t gid, web_gid;
	char url[NAME_DOMAIN_MAX + 24] = "", port[8] = "";
	if (!setup_user("slipway", &uid, &gid) || !setup_user("www-data", &web_uid, &web_gid))
		return err_set(e, ERR_SETTINGS, "there is no user slipway, or no user www-data");
	if (s->http_port != 80)
		(void)snprintf(port, sizeof(port), ":%u", s->http_port);
	if (s->domain[0])
		(void)snprintf(url, sizeof(url), "http://%s%s", s->domain, port);
	int n = snprintf(s->settings, sizeof(s->settings),
	    "# Made by 'slipway setup', which reads it again; change it with that command.\n"
	    "SLIPWAY_HOST=%s\nSLIPWAY_PUBLIC_URL=%s\nSLIPWAY_EDGE_ADDRESS=%s\nSLIPWAY_EDGE_PORT=%"
	    "u\nSLIPWAY_HTTPS_PORT=%u\nSLIPWAY_TLS=%s\nSLIPWAY_EDGE_SERVER=%s\nSLIPWAY_ACME=%s\n"
	    "SLIPWAY_ACME_MAIL=%s\nSLIPWAY_DNS_HOOK=%s\nSLIPWAY_NGINX_SITES=%s\n"
	    "SLIPWAY_POSTGRES=%s\nSLIPWAY_RABBITMQ=%s\nSLIPWAY_RABBITMQ_CA=%s\n"
	    "SLIPWAY_TRUSTED_PROXIES=%s\n"
	    "SLIPWAY_UID=%u\nSLIPWAY_GID=%u\nSLIPWAY_WEB_GID=%u\n",
	    s->domain[0] ? s->domain : "slipway.localhost", url, s->address, s->http_port,
	    s->https_port, s->tls, s->edge, s->acme, s->acme_mail, s->dns_hook, s->nginx_sites,
	    s->postgres, s->rabbitmq, s->rabbitmq_ca, s->trusted_proxies, uid, gid, web_gid);
	return n > 0 && (size_t)n < sizeof(s->settings)
		   ? 0
		   : err_set(e, ERR_INTERNAL, "the settings are too long");
}

static bool read_settings(struct buf *b)
{
	struct err ignored;
	CLEANUP_FD int dir = setup_dir(SETUP_CONF_DIR);
	return dir >= 0 && fs_read(dir, SETUP_CONF, b, &ignored) == 0;
}

/* Whom it would believe is shown before anybody agrees to it. */
static void name_proxies(const struct setup *s, char *words)
{
	size_t n = strlen(words);
	bool all = strlen(s->trusted_proxies) <= PROXIES_SHOWN;
	if (s->trusted_proxies[0])
		(void)snprintf(words + n, SETUP_WORDS_SIZE - n, ", believing the proxies %.*s%s",
		    PROXIES_SHOWN, s->trusted_proxies, all ? "" : "...");
}

static int settings_look(struct setup *s, enum setup_state *ret, char *words, struct err *e)
{
	CLEANUP_BUF struct buf b;
	uid_t uid;
	gid_t gid;
	buf_init(&b, SETUP_TEXT_MAX);
	*ret = SETUP_TO_DO;
	(void)snprintf(words, SETUP_WORDS_SIZE,
	    "%s/%s: projects answer on %s:%u, the platform as %s", SETUP_CONF_DIR, SETUP_CONF,
	    s->address, s->http_port, s->domain[0] ? s->domain : "slipway.localhost");
	name_proxies(s, words);
	if (!setup_user("slipway", &uid, &gid))
		return 0; /* its number belongs to the settings */
	if (settings_text(s, e) != 0)
		return -1;
	if (read_settings(&b) && str_eq_c(buf_view(&b), s->settings))
		*ret = SETUP_DONE;
	return 0;
}

static int settings_make(struct setup *s, struct err *e)
{
	if (settings_text(s, e) != 0)
		return -1;
	CLEANUP_FD int etc = setup_dir("/etc");
	CLEANUP_FD int dir = fs_dir(etc, "slipway", 0755, e);
	if (dir < 0 ||
	    fs_write_atomic(dir, SETUP_CONF, s->settings, strlen(s->settings), 0644, e) != 0)
		return -1;
	s->restart = true;
	return 0;
}

static int remove_folder(const char *above, const char *name, char *words, struct err *e)
{
	CLEANUP_FD int dir = setup_dir(above);
	struct stat st;
	if (dir < 0 || fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return 0;
	if (fs_remove_tree(dir, name, e) != 0)
		return -1;
	size_t n = strlen(words);
	(void)snprintf(words + n, SETUP_WORDS_SIZE - n, "%s%s/%s", n ? ", " : "", above, name);
	return 0;
}

static int settings_undo(struct setup *s, char *words, struct err *e)
{
	(void)s;
	return remove_folder("/etc", "slipway", words, e);
}

/* ---- folders ---- */

/* The tests compare them with slipway.tmpfiles. */
static const struct setup_folder folders[] = {
    {SETUP_STATE_DIR, "root", "slipway", 01771},
    {SETUP_STATE_DIR "/projects", "root", "root", 0711},
    {SETUP_STATE_DIR "/edge", "root", "root", 0755},
    {SETUP_STATE_DIR "/helper", "root", "root", 0700},
    {SETUP_STATE_DIR "/keys", "slipway", "slipway", 0700},
    {SETUP_STATE_DIR "/logs", "slipway", "slipway", 0750},
    {SETUP_STATE_DIR "/spool", "slipway", "slipway", 0700},
    {SETUP_STATE_DIR "/journal", "slipway", "slipway", 0700},
    {SETUP_STATE_DIR "/backups", "slipway", "slipway", 0700},
    {SETUP_RUN_DIR, "slipway", "slipway", 0755},
};

const struct setup_folder *setup_folders(size_t *ret_count)
{
	*ret_count = sizeof(folders) / sizeof(*folders);
	return folders;
}

static int folders_look(struct setup *s, enum setup_state *ret, char *words, struct err *e)
{
	(void)s;
	(void)e;
	*ret = SETUP_DONE;
	for (size_t i = 0; i < sizeof(folders) / sizeof(*folders); i++) {
		struct stat st;
		uid_t uid = 0, ignored;
		gid_t gid = 0, other;
		/* Each of these groups is the first one of the user of the same name. */
		if (!setup_user(folders[i].user, &uid, &other) ||
		    !setup_user(folders[i].group, &ignored, &gid) ||
		    lstat(folders[i].path, &st) != 0 || !S_ISDIR(st.st_mode) ||
		    (st.st_mode & 07777) != folders[i].mode || st.st_uid != uid || st.st_gid != gid)
			*ret = SETUP_TO_DO;
	}
	(void)snprintf(words, SETUP_WORDS_SIZE,
	    "%s and %s, each with its owner and mode (docs/directories.md)", SETUP_STATE_DIR,
	    SETUP_RUN_DIR);
	return 0;
}

static int folders_make(struct setup *s, struct err *e)
{
	(void)s;
	const char *const argv[] = {"/usr/bin/systemd-tmpfiles", "--create", "slipway.conf", NULL};
	return setup_tool(argv, e);
}

static int folders_undo(struct setup *s, char *words, struct err *e)
{
	(void)s;
	return remove_folder("/run", "slipway", words, e) != 0 ||
		       remove_folder("/var/log", "slipway", words, e) != 0 ||
		       remove_folder("/var/lib", "slipway", words, e) != 0
		   ? -1
		   : 0;
}

/* ---- the table ---- */

static const struct setup_step steps[] = {
    {"user", user_look, user_make, user_undo},
    {"settings", settings_look, settings_make, settings_undo},
    {"folders", folders_look, folders_make, folders_undo},
    {"projects", setup_projects_look, NULL, setup_projects_undo},
    {"web server", setup_web_look, setup_web_make, setup_web_undo},
    {"disk quotas", setup_quota_look, setup_quota_make, setup_quota_undo},
    {"services", setup_services_look, setup_services_make, setup_services_undo},
};

const struct setup_step *setup_steps(size_t *ret_count)
{
	*ret_count = sizeof(steps) / sizeof(*steps);
	return steps;
}

#define TEXT(key, member)                                                                          \
	{                                                                                          \
		key, offsetof(struct setup, member), sizeof(((struct setup *)0)->member)           \
	}
static const struct text {
	const char *key;
	size_t at, size;
} texts[] = {TEXT("SLIPWAY_TLS", tls), TEXT("SLIPWAY_EDGE_SERVER", edge),
    TEXT("SLIPWAY_NGINX_SITES", nginx_sites), TEXT("SLIPWAY_ACME", acme),
    TEXT("SLIPWAY_ACME_MAIL", acme_mail), TEXT("SLIPWAY_DNS_HOOK", dns_hook),
    TEXT("SLIPWAY_POSTGRES", postgres), TEXT("SLIPWAY_RABBITMQ", rabbitmq),
    TEXT("SLIPWAY_RABBITMQ_CA", rabbitmq_ca), TEXT("SLIPWAY_HOST", domain),
    TEXT("SLIPWAY_EDGE_ADDRESS", address), TEXT("SLIPWAY_TRUSTED_PROXIES", trusted_proxies)};
enum { TEXT_COUNT = sizeof(texts) / sizeof(*texts) };

static void keep_text(
    struct setup *s, const bool said[TEXT_COUNT], struct str key, struct str value)
{
	if (str_eq_c(key, "SLIPWAY_HOST") && str_eq_c(value, "slipway.localhost"))
		value = STR("");
	for (size_t i = 0; i < TEXT_COUNT; i++)
		if (!said[i] && str_eq_c(key, texts[i].key))
			(void)!str_copy(value, (char *)s + texts[i].at, texts[i].size);
}

/* What an earlier setup settled, where this one says nothing. Of two lines the last one counts, as for
 * systemd: somebody may have written one at the end. */
static void keep_settled(struct setup *s)
{
	CLEANUP_BUF struct buf b;
	bool said[TEXT_COUNT], http_said = s->http_port != 0, https_said = s->https_said;
	uint64_t port;
	for (size_t i = 0; i < TEXT_COUNT; i++)
		said[i] = ((const char *)s)[texts[i].at] != '\0';
	buf_init(&b, SETUP_TEXT_MAX);
	if (!read_settings(&b))
		return;
	struct str rest = buf_view(&b), line;
	while (str_next(&rest, '\n', &line)) {
		size_t at = str_find(line, '=', 0);
		if (at == SIZE_MAX)
			continue;
		struct str key = str_slice(line, 0, at), value = str_from(line, at + 1);
		if (str_eq_c(key, "SLIPWAY_EDGE_PORT") && num_u64(value, 1, 65535, &port)) {
			s->settled_port = (uint16_t)port;
			s->http_port = http_said ? s->http_port : s->settled_port;
		}
		if (str_eq_c(key, "SLIPWAY_HTTPS_PORT") && !https_said &&
		    num_u64(value, 0, 65535, &port)) {
			s->https_port = (uint16_t)port;
			s->https_said = true;
		}
		keep_text(s, said, key, value);
	}
}

static int check_machine(struct err *e)
{
	if (geteuid() != 0)
		return err_set(e, ERR_FORBIDDEN, "only root can set a server up");
	if (access("/run/systemd/system", F_OK) != 0) {
		err_set(e, ERR_UNSUPPORTED, "systemd does not run this machine");
		return err_hint(e, "'make run' in a clone starts Slipway without it");
	}
	const char *const argv[] = {"/usr/bin/systemctl", "cat", "slipwayd.service", NULL};
	int status = 0;
	if (setup_ask(argv, &status, e) != 0)
		return -1;
	if (status == 0)
		return 0;
	err_set(
	    e, ERR_NOT_FOUND, "systemd has no unit 'slipwayd.service': Slipway is not installed");
	return err_hint(e, "apt install ./slipway_*.deb, or 'make install' in a clone and then "
			   "'systemctl daemon-reload'");
}

static int check_edge(struct setup *s, struct err *e)
{
	if (!s->edge[0])
		(void)!str_copy(STR("nginx"), s->edge, sizeof(s->edge));
	bool apache = strcmp(s->edge, "apache") == 0;
	if (!apache && strcmp(s->edge, "nginx") != 0)
		return err_set(e, ERR_USAGE, "'%s' is not nginx or apache", s->edge);
	if (!apache || strcmp(s->nginx_sites, "yes") != 0)
		return 0;
	err_set(e, ERR_USAGE, "nginx-site projects need nginx as the web server");
	return err_hint(e, "slipway setup --edge apache --nginx-sites no");
}

int setup_begin(struct setup *s, struct err *e)
{
	struct in_addr a;
	if (check_machine(e) != 0)
		return -1;
	keep_settled(s);
	if (s->http_port == 0)
		s->http_port = 80;
	if (!s->https_said)
		s->https_port = s->http_port == 80 ? 443 : 0;
	if (s->https_port == s->http_port)
		return err_set(e, ERR_USAGE, "http and https cannot have the same port");
	if (!s->tls[0])
		(void)!str_copy(STR("intermediate"), s->tls, sizeof(s->tls));
	if (check_edge(s, e) != 0)
		return -1;
	if (!s->nginx_sites[0])
		(void)!str_copy(STR("no"), s->nginx_sites, sizeof(s->nginx_sites));
	if (strcmp(s->nginx_sites, "yes") != 0 && strcmp(s->nginx_sites, "no") != 0)
		return err_set(e, ERR_USAGE, "--nginx-sites is yes or no");
	if (strcmp(s->tls, "intermediate") != 0 && strcmp(s->tls, "strict") != 0)
		return err_set(e, ERR_USAGE, "'%s' is not intermediate or strict", s->tls);
	if (!s->address[0])
		(void)!str_copy(STR("0.0.0.0"), s->address, sizeof(s->address));
	if (inet_pton(AF_INET, s->address, &a) != 1)
		return err_set(e, ERR_USAGE, "'%s' is not an IPv4 address", s->address);
	if (setup_check_given(s, e) != 0)
		return -1;
	return s->domain[0] ? name_domain(str_c(s->domain), e) : 0;
}
