/* slipway-helper: the only program that runs as root. `--keeper` is embedded mode's supervisor; see
 * README.md. */
#include "base/log.h"
#include "base/num.h"
#include "base/str.h"
#include "helper/keep.h"
#include "helper/keeper.h"
#include "helper/ports.h"
#include "helper/userdb.h"
#include "launch/quota.h"
#include "launch/sandbox.h"
#include "render/ports.h"

#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define EXIT_USAGE 64
#define EXIT_UNAVAILABLE 69
#define UID_BASE 70000u
#define ORPHAN_MS 60000
#define EDGE_NET "/run/slipway-helper/net" /* slipway-helper.service puts /proc/1/net there */
#define DEVICES "/run/slipway-helper/dev" /* and /dev, of which its own has no devices */

static const char usage[] =
    "usage: slipway-helper --keeper --socket PATH --projects DIR --run DIR --edge DIR --exec "
    "PROGRAM\n"
    "           --tree PROGRAM --monitor PROGRAM --daemon-uid N [--daemon-gid N] [--web-group GID] [--state DIR]\n"
    "           [--edge-server nginx|apache] [--web-user NAME] [--nginx PROGRAM] [--address A]\n"
    "           [--http-port N]\n"
    "           [--https-port N --cert PROGRAM] [--tls intermediate|strict] [--nginx-sites yes]\n"
    "           [--trusted-proxies LIST] [--platform-host NAME] [--api-socket PATH]\n"
    "           [--uid-base N] [--orphan-ms N] [--units SOCKET]\n"
    "Started by slipwayd; not meant to be run by hand.\n";

struct settings {
	bool keeper, help, version;
	const char *socket, *projects, *run, *edge, *exec, *tree, *monitor, *state, *nginx, *address,
	    *proxies, *host, *api_socket, *web_user, *supply, *cert, *tls, *sites, *server;
	uint64_t daemon_uid, daemon_gid, web_group, http_port, https_port, uid_base, orphan_ms;
};

struct option_row {
	const char *name;
	const char **text;
	uint64_t *number;
	uint64_t max;
	bool *flag;
};

static int set_option(const struct option_row *o, const char *value)
{
	if (o->flag) {
		*o->flag = true;
		return 0;
	}
	if (!value)
		return -1;
	if (o->text)
		*o->text = value;
	else if (!num_u64(str_c(value), 0, o->max, o->number))
		return -1;
	return 1;
}

static int read_options(int argc, char **argv, struct settings *s)
{
	const struct option_row options[] = {
	    {.name = "--keeper", .flag = &s->keeper},
	    {.name = "--help", .flag = &s->help},
	    {.name = "--version", .flag = &s->version},
	    {"--socket", .text = &s->socket},
	    {"--projects", .text = &s->projects},
	    {"--run", .text = &s->run},
	    {"--edge", .text = &s->edge},
	    {"--exec", .text = &s->exec},
	    {"--tree", .text = &s->tree},
	    {"--monitor", .text = &s->monitor},
	    {"--state", .text = &s->state},
	    {"--nginx", .text = &s->nginx},
	    {"--address", .text = &s->address},
	    {"--trusted-proxies", .text = &s->proxies},
	    {"--platform-host", .text = &s->host},
	    {"--api-socket", .text = &s->api_socket},
	    {"--web-user", .text = &s->web_user},
	    {"--units", .text = &s->supply},
	    {"--cert", .text = &s->cert},
	    {"--tls", .text = &s->tls},
	    {"--nginx-sites", .text = &s->sites},
	    {"--edge-server", .text = &s->server},
	    {"--daemon-uid", .number = &s->daemon_uid, .max = UINT32_MAX - 1},
	    {"--daemon-gid", .number = &s->daemon_gid, .max = UINT32_MAX - 1},
	    {"--web-group", .number = &s->web_group, .max = UINT32_MAX - 1},
	    {"--http-port", .number = &s->http_port, .max = UINT16_MAX},
	    {"--https-port", .number = &s->https_port, .max = UINT16_MAX},
	    {"--uid-base", .number = &s->uid_base, .max = 2000000000},
	    {"--orphan-ms", .number = &s->orphan_ms, .max = 86400000},
	};
	for (int i = 1; i < argc; i++) {
		size_t o = 0, count = sizeof(options) / sizeof(*options);
		while (o < count && strcmp(argv[i], options[o].name) != 0)
			o++;
		int used = o < count ? set_option(&options[o], argv[i + 1]) : -1;
		if (used < 0) {
			fprintf(stderr,
			    "slipway-helper: '%s' is unknown, or its value is missing or out of "
			    "range\n",
			    argv[i]);
			return -1;
		}
		i += used;
	}
	return 0;
}

/* The registry of users stands beside the projects when nothing else is said. */
static void default_state(struct settings *s)
{
	static char state[512];
	size_t n = s->projects ? strlen(s->projects) : 0;
	while (n > 1 && s->projects[n - 1] != '/')
		n--;
	if (n == 0 || s->state)
		return;
	if (snprintf(state, sizeof(state), "%.*shelper", (int)n, s->projects) < (int)sizeof(state))
		s->state = state;
}

static int check_settings(struct settings *s)
{
	default_state(s);
	const struct {
		const char *name, *path;
	} paths[] = {{"--socket", s->socket}, {"--projects", s->projects}, {"--run", s->run},
	    {"--edge", s->edge}, {"--exec", s->exec}, {"--tree", s->tree},
	    {"--monitor", s->monitor}, {"--state", s->state}};
	for (size_t i = 0; i < sizeof(paths) / sizeof(*paths); i++)
		if (!paths[i].path || paths[i].path[0] != '/') {
			fprintf(
			    stderr, "slipway-helper: %s needs an absolute path\n", paths[i].name);
			return -1;
		}
	if (s->tls && strcmp(s->tls, "strict") != 0 && strcmp(s->tls, "intermediate") != 0) {
		(void)fputs("slipway-helper: --tls is intermediate or strict\n", stderr);
		return -1;
	}
	/* empty: settings of before there was a choice */
	if (s->server && s->server[0] && strcmp(s->server, "nginx") != 0 &&
	    strcmp(s->server, "apache") != 0) {
		(void)fputs("slipway-helper: --edge-server is nginx or apache\n", stderr);
		return -1;
	}
	if (s->sites && strcmp(s->sites, "yes") == 0 && !s->cert) {
		(void)fputs("slipway-helper: --nginx-sites yes needs --cert, which makes their first certificates\n",
		    stderr);
		return -1;
	}
	if (!s->keeper || s->uid_base < 1000) {
		(void)fputs("slipway-helper: --keeper is needed, and --uid-base is at least 1000\n",
		    stderr);
		return -1;
	}
	return 0;
}

/* The local file only: no name service is asked. */
static int find_web_user(const struct settings *s, struct edge_options *ret, struct err *e)
{
	struct userdb db CLEANUP_USERDB = {.fd = -1};
	struct userdb_entry u;
	if (!s->web_user)
		return 0;
	int rc = userdb_open(&db, USERDB_PASSWD, e);
	while (rc == 0 && (rc = userdb_next(&db, &u, e)) > 0) {
		if (str_eq_c(u.name, s->web_user)) {
			ret->web_user = s->web_user;
			ret->web_uid = u.number;
		}
		rc = 0;
	}
	return rc;
}

static bool is_below_tmp(const char *path)
{
	struct str p = str_c(path);
	return str_starts(p, STR("/tmp/")) || str_starts(p, STR("/var/tmp/"));
}

/* Control groups of two keepers must not meet; a keeper that comes after a dead one must find its
 * groups. */
static void make_label(const struct settings *s, char out[20])
{
	uint64_t h = 0xcbf29ce484222325u;
	for (const char *p = s->socket; *p; p++)
		h = (h ^ (uint8_t)*p) * 0x100000001b3u;
	snprintf(out, 20, "%016llx", (unsigned long long)h);
}

static int fill_options(
    const struct settings *s, struct keeper_options *o, const struct users *users, struct err *e)
{
	static char label[20];
	static struct render_unit_roots units;
	make_label(s, label);
	bool root = geteuid() == 0;
	*o = (struct keeper_options){.socket = s->socket,
	    .monitor = s->monitor,
	    .daemon_uid = (uid_t)s->daemon_uid,
	    .daemon_gid = (gid_t)s->daemon_gid,
	    .orphan_ms = (int64_t)s->orphan_ms};
	o->roots = (struct tenant_roots){.projects = s->projects,
	    .run = s->run,
	    .edge = s->edge,
	    .cert = s->cert,
	    .root = root,
	    .uid_base = (uid_t)s->uid_base,
	    .daemon_uid = (uid_t)s->daemon_uid,
	    .daemon_gid = (gid_t)s->daemon_gid,
	    .web_gid = (gid_t)s->web_group,
	    .users = users};
	o->instances = (struct instances_options){.exec = s->exec,
	    .tree = s->tree,
	    .label = label,
	    .devices = s->supply ? DEVICES : "/dev",
	    .private_tmp =
		!is_below_tmp(s->projects) && !is_below_tmp(s->exec) && !is_below_tmp(s->tree)};
	units = (struct render_unit_roots){s->projects, s->exec, s->supply};
	o->supply = s->supply;
	o->boot = s->supply ? s->state : NULL;
	o->sites = s->sites && strcmp(s->sites, "yes") == 0;
	o->instances.units = s->supply ? &units : NULL;
	bool apache = s->server && strcmp(s->server, "apache") == 0;
	o->edge = (struct edge_options){.kind = apache ? EDGE_APACHE : EDGE_NGINX,
	    .units = s->supply != NULL,
	    .net = EDGE_NET,
	    .nginx = s->nginx,
	    .edge_dir = s->edge,
	    .run_dir = s->run,
	    .projects_dir = s->projects,
	    .address = s->address,
	    .http_port = (uint16_t)s->http_port,
	    .https_port = (uint16_t)s->https_port,
	    .preset = s->tls && strcmp(s->tls, "strict") == 0 ? RENDER_PRESET_STRICT
							      : RENDER_PRESET_INTERMEDIATE,
	    .cert = s->cert,
	    .trusted_proxies = s->proxies,
	    .platform_host = s->host,
	    .api_socket = s->api_socket,
	    .web_gid = (gid_t)s->web_group,
	    .log_gid = (gid_t)s->daemon_gid};
	return root ? find_web_user(s, &o->edge, e) : 0;
}

/* Every instance keeps up to eight descriptors here. */
static void raise_files(void)
{
	struct rlimit r;
	if (getrlimit(RLIMIT_NOFILE, &r) != 0)
		return;
	r.rlim_cur = r.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &r);
}

static void tell_start(const struct keeper_options *o, const struct err *no_quota)
{
	log_event(LOG_INFO, "keeper", "started", F_I64("pid", getpid()),
	    F_I64("root", o->roots.root), F_I64("landlock", sandbox_landlock_version()),
	    F_I64("private_tmp", o->instances.private_tmp && o->roots.root),
	    F_I64("quota", o->roots.quota));
	if (!o->roots.root)
		log_event(LOG_WARN, "keeper", "one_user",
		    F_C("hint", "not started as root: every project runs as this one user"));
	else if (!o->roots.quota)
		log_event(LOG_WARN, "keeper", "no_quota", F_ERR(no_quota));
	if (sandbox_landlock_version() == 0)
		log_event(LOG_WARN, "keeper", "no_landlock",
		    F_C("hint",
			"this kernel has no Landlock: programs may read what their user may"));
}

static void open_ports(const struct settings *s, const struct keeper_options *o)
{
	static char table[RENDER_PORTS_TABLE_SIZE] = "slipway";
	struct ports_options p = {.state = s->state, .table = table, .root = o->roots.root, .units = s->supply != NULL};
	if (!p.units)
		(void)snprintf(table, sizeof(table), "slipway_%s", o->instances.label);
	ports_open(&p);
}

static int run(const struct settings *s)
{
	static struct keeper keeper;
	struct users users;
	struct keeper_options o;
	struct err e = {0}, no_quota = {0};
	if (s->supply)
		keep_open();
	(void)clearenv();
	if (chdir("/") != 0)
		return EXIT_UNAVAILABLE;
	raise_files();
	if (users_open(&users, s->state, &e) != 0) {
		fprintf(stderr, "slipway-helper: %s\n", e.msg);
		return EXIT_UNAVAILABLE;
	}
	int rc = fill_options(s, &o, &users, &e);
	o.roots.quota = o.roots.root && quota_probe(s->projects, &no_quota) == 0;
	if (rc == 0) {
		open_ports(s, &o);
		rc = keeper_open(&keeper, &o, &e);
	}
	if (rc != 0) {
		fprintf(stderr, "slipway-helper: %s\n", e.msg);
		return EXIT_UNAVAILABLE;
	}
	tell_start(&o, &no_quota);
	keeper_run(&keeper);
	keeper_close(&keeper);
	if (!keeper.leaving)
		ports_close();
	log_event(LOG_INFO, "keeper", "ended", F_I64("pid", getpid()));
	return 0;
}

int main(int argc, char **argv)
{
	struct settings s = {.daemon_uid = geteuid(),
	    .daemon_gid = UINT64_MAX,
	    .web_group = UINT64_MAX,
	    .address = "127.0.0.1",
	    .http_port = 8080,
	    .uid_base = UID_BASE,
	    .orphan_ms = ORPHAN_MS};
	if (read_options(argc, argv, &s) != 0)
		return EXIT_USAGE;
	if (s.help || s.version) {
		(void)fputs(s.help ? usage : "slipway-helper " SLIPWAY_VERSION "\n", stdout);
		return 0;
	}
	if (check_settings(&s) != 0)
		return EXIT_USAGE;
	if (s.daemon_gid == UINT64_MAX)
		s.daemon_gid = s.daemon_uid == geteuid() ? getegid() : s.daemon_uid;
	if (s.web_group == UINT64_MAX)
		s.web_group = s.daemon_gid;
	return run(&s);
}
