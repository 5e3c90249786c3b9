#include "daemon/settings.h"

#include "base/cidr.h"
#include "base/name.h"
#include "base/num.h"
#include "base/str.h"
#include "outbound/guard.h"
#include "services/rabbitmq.h"
#include "services/services.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { RUN_DIR_MAX = 40 };

#define METRICS_ON_A_SERVER "127.0.0.1:9100"

static const char help_text[] =
    "usage: slipwayd [OPTION...]\n"
    "Runs the platform in the foreground, with processes and a web server of its own (embedded).\n"
    "\n"
    "  --state DIR           what lasts: store, keys, releases, logs (var)\n"
    "  --run DIR             sockets, on a tmpfs if there is one; at most 40 bytes (STATE/run)\n"
    "  --http ADDRESS:PORT   API (127.0.0.1:8000)\n"
    "  --edge ADDRESS:PORT   where projects are served (127.0.0.1:8080)\n"
    "  --https PORT|none     and over HTTPS, at the same address (443 beside 80, 8443 beside 8080, "
    "else "
    "none)\n"
    "  --tls PRESET          intermediate or strict (intermediate)\n"
    "  --trusted-proxies LIST  in front of the edge: addresses and CIDRs, by commas, that may say "
    "whom "
    "they have (none)\n"
    "  --acme URL            the authority that certificates come from (Let's Encrypt)\n"
    "  --acme-staging URL    its rehearsal\n"
    "  --acme-mail ADDRESS   where it may write to\n"
    "  --acme-ca FILE        trust these certificate authorities for asking it\n"
    "  --acme-http-port N    where it looks for its answers (80)\n"
    "  --certbot FILE        (/usr/bin/certbot)\n"
    "  --host NAME           the platform's own host (slipway.localhost)\n"
    "  --dns-hook PROGRAM    puts records into the DNS: projects also answer as NAME.HOST, with "
    "one\n"
    "                        certificate for all\n"
    "  --user NAME           whom to run as when started as root (slipway)\n"
    "  --edge-server NAME    nginx or apache (nginx)\n"
    "  --web-user NAME       whom its workers run as when started as root (www-data)\n"
    "  --libexec DIR         where slipway's other programs are (beside slipwayd)\n"
    "  --nginx FILE          (/usr/sbin/nginx)\n"
    "  --parallel N          tasks that run at once, 1 to 64 (4)\n"
    "  --orphan DURATION     how long projects outlive a daemon that does not come back (60s)\n"
    "  --metrics ADDRESS:PORT  figures for Prometheus, for whoever reaches it (" METRICS_ON_A_SERVER
    "\n"
    "                        with --system, else none)\n"
    "  --outbound-allow RANGE  notifications and checks of others may reach this range though it "
    "is "
    "not public;\n"
    "                        may be repeated\n"
    "  --outbound-ca FILE    trust these certificate authorities instead of the system's\n"
    "  --retries WAITS       before each try of a notification "
    "(0s,5s,5m,30m,2h,5h,10h,14h,20h,24h)\n"
    "  --github-api URL      where GitHub is asked (https://api.github.com)\n"
    "  --postgres URL        the server where projects get databases, without a password\n"
    "                        (" SERVICES_POSTGRES ")\n"
    "  --postgres-connections N  of one project's database at once, 1 to 1000 (20)\n"
    "  --rabbitmq URL        the management API where projects get brokers, with a user and "
    "without "
    "a\n"
    "                        password, as http://slipway@127.0.0.1:15672; the password is in\n"
    "                        STATE/keys/" RABBITMQ_PASSWORD_FILE " (none)\n"
    "  --rabbitmq-ca FILE    trust these certificate authorities for asking it\n"
    "  --rabbitmq-connections N  of one project's vhost at once, 1 to 100000 (100)\n"
    "  --rabbitmq-queues N   of one project's vhost, 1 to 1000000 (500)\n"
    "  --public-url URL      where senders of hooks reach this server (the API's address)\n"
    "  --system              a service of systemd: its sockets are passed, the folders are made,\n"
    "                        the helper runs beside it, and SIGTERM ends the daemon alone\n"
    "  --log LEVEL           debug, info, warn or error (info)\n"
    "  --version, --help\n"
    "\n"
    "SIGTERM or SIGINT ends everything, projects too (not with --system). See slipwayd(8).\n";

enum option_id {
	OPT_STATE = 256,
	OPT_RUN,
	OPT_HTTP,
	OPT_EDGE,
	OPT_EDGE_SERVER,
	OPT_HTTPS,
	OPT_TLS,
	OPT_TRUSTED_PROXIES,
	OPT_ACME,
	OPT_ACME_STAGING,
	OPT_ACME_MAIL,
	OPT_ACME_CA,
	OPT_ACME_HTTP_PORT,
	OPT_CERTBOT,
	OPT_HOST,
	OPT_DNS_HOOK,
	OPT_USER,
	OPT_WEB_USER,
	OPT_LIBEXEC,
	OPT_NGINX,
	OPT_PARALLEL,
	OPT_ORPHAN,
	OPT_LOG,
	OPT_PUBLIC_URL,
	OPT_METRICS,
	OPT_OUTBOUND_ALLOW,
	OPT_OUTBOUND_CA,
	OPT_RETRIES,
	OPT_GITHUB_API,
	OPT_POSTGRES,
	OPT_POSTGRES_CONNECTIONS,
	OPT_RABBITMQ,
	OPT_RABBITMQ_CA,
	OPT_RABBITMQ_CONNECTIONS,
	OPT_RABBITMQ_QUEUES,
	OPT_SYSTEM,
	OPT_VERSION,
	OPT_HELP
};

static const struct option options[] = {
    {"state", required_argument, NULL, OPT_STATE},
    {"run", required_argument, NULL, OPT_RUN},
    {"http", required_argument, NULL, OPT_HTTP},
    {"edge", required_argument, NULL, OPT_EDGE},
    {"edge-server", required_argument, NULL, OPT_EDGE_SERVER},
    {"https", required_argument, NULL, OPT_HTTPS},
    {"tls", required_argument, NULL, OPT_TLS},
    {"trusted-proxies", required_argument, NULL, OPT_TRUSTED_PROXIES},
    {"acme", required_argument, NULL, OPT_ACME},
    {"acme-staging", required_argument, NULL, OPT_ACME_STAGING},
    {"acme-mail", required_argument, NULL, OPT_ACME_MAIL},
    {"acme-ca", required_argument, NULL, OPT_ACME_CA},
    {"acme-http-port", required_argument, NULL, OPT_ACME_HTTP_PORT},
    {"certbot", required_argument, NULL, OPT_CERTBOT},
    {"host", required_argument, NULL, OPT_HOST},
    {"dns-hook", required_argument, NULL, OPT_DNS_HOOK},
    {"user", required_argument, NULL, OPT_USER},
    {"web-user", required_argument, NULL, OPT_WEB_USER},
    {"libexec", required_argument, NULL, OPT_LIBEXEC},
    {"nginx", required_argument, NULL, OPT_NGINX},
    {"parallel", required_argument, NULL, OPT_PARALLEL},
    {"orphan", required_argument, NULL, OPT_ORPHAN},
    {"metrics", required_argument, NULL, OPT_METRICS},
    {"outbound-allow", required_argument, NULL, OPT_OUTBOUND_ALLOW},
    {"outbound-ca", required_argument, NULL, OPT_OUTBOUND_CA},
    {"postgres", required_argument, NULL, OPT_POSTGRES},
    {"postgres-connections", required_argument, NULL, OPT_POSTGRES_CONNECTIONS},
    {"rabbitmq", required_argument, NULL, OPT_RABBITMQ},
    {"rabbitmq-ca", required_argument, NULL, OPT_RABBITMQ_CA},
    {"rabbitmq-connections", required_argument, NULL, OPT_RABBITMQ_CONNECTIONS},
    {"rabbitmq-queues", required_argument, NULL, OPT_RABBITMQ_QUEUES},
    {"retries", required_argument, NULL, OPT_RETRIES},
    {"github-api", required_argument, NULL, OPT_GITHUB_API},
    {"log", required_argument, NULL, OPT_LOG},
    {"public-url", required_argument, NULL, OPT_PUBLIC_URL},
    {"system", no_argument, NULL, OPT_SYSTEM},
    {"version", no_argument, NULL, OPT_VERSION},
    {"help", no_argument, NULL, OPT_HELP},
    {NULL, 0, NULL, 0},
};

static int wrong(struct err *e, const char *what, const char *value)
{
	err_set(e, ERR_USAGE, "'%s' is not %s", value, what);
	return err_hint(e, "slipwayd --help lists the options");
}

static int set_text(char *to, size_t size, const char *value, struct err *e)
{
	if (!str_copy(str_c(value), to, size) || !value[0])
		return wrong(e, "a value of sensible length", value);
	return 0;
}

/* An absolute path of characters that nginx and everybody else takes as they are; made when it is
 * not there. */
static int set_dir(char to[SETTINGS_PATH_MAX], const char *value, struct err *e)
{
	char real[PATH_MAX];
	if (mkdir(value, 0755) != 0 && errno != EEXIST)
		return err_sys(e, ERR_SETTINGS, errno, "could not make '%s'", value);
	if (!realpath(value, real))
		return err_sys(e, ERR_SETTINGS, errno, "could not find '%s'", value);
	for (const char *p = real; *p; p++)
		if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._/+@-",
			*p)) {
			err_set(e, ERR_SETTINGS,
			    "the path '%s' holds a character that configuration files cannot",
			    real);
			return err_hint(e, "use letters, digits and . _ - / only");
		}
	return set_text(to, SETTINGS_PATH_MAX, real, e);
}

static int set_address(char address[64], uint16_t *port, const char *value, struct err *e)
{
	struct str s = str_c(value);
	const char *colon = strrchr(value, ':');
	uint64_t n;
	if (!colon || !num_u64(str_from(s, (size_t)(colon - value) + 1), 1, 65535, &n) ||
	    !str_copy(str_slice(s, 0, (size_t)(colon - value)), address, 64))
		return wrong(e, "ADDRESS:PORT", value);
	*port = (uint16_t)n;
	return 0;
}

static int set_https(struct settings *s, const char *value, struct err *e)
{
	uint64_t n = 0;
	if (strcmp(value, "none") != 0 && !num_u64(str_c(value), 0, 65535, &n))
		return wrong(e, "a port, or none", value);
	s->https_port = (uint16_t)n;
	s->https_said = true;
	return 0;
}

/* Beside a port that is not the usual one nobody would look for it, and a free one is not ours to
 * guess. */
static int settle_https(struct settings *s, struct err *e)
{
	if (!s->https_said)
		s->https_port = s->edge_port == 80 ? 443 : s->edge_port == 8080 ? 8443 : 0;
	if (s->https_port == s->edge_port)
		return err_set(e, ERR_USAGE, "--edge and --https name the same port");
	if (s->system && s->trusted_proxies) {
		err_set(e, ERR_USAGE,
		    "--trusted-proxies is for a web server of our own, not with --system");
		return err_hint(
		    e, "on a server it is told by: slipway setup --trusted-proxies LIST");
	}
	return 0;
}

static int set_tls(struct settings *s, const char *value, struct err *e)
{
	if (strcmp(value, "intermediate") != 0 && strcmp(value, "strict") != 0)
		return wrong(e, "intermediate or strict", value);
	s->tls = value;
	return 0;
}

/* Empty: as if it had not been said, so that a unit can name a variable. */
static int set_trusted_proxies(struct settings *s, const char *value, struct err *e)
{
	if (value[0] && cidr_list_check(str_c(value), e) != 0)
		return -1;
	s->trusted_proxies = value[0] ? value : NULL;
	return 0;
}

/* Here, too. */
static int set_authority(const char **to, const char *value, struct err *e)
{
	if (!value[0])
		return 0;
	if (!str_starts(str_c(value), STR("https://")))
		return wrong(e, "an https:// address", value);
	*to = value;
	return 0;
}

/* Empty, here as there: as if it had not been said. */
static int set_host(struct settings *s, const char *value, struct err *e)
{
	if (value[0] && name_domain(str_c(value), e) != 0)
		return -1;
	s->host = value[0] ? value : s->host;
	return 0;
}

/* Whether it can be run is seen when it is to be: an order tells people, a start does not. */
static int set_dns_hook(struct settings *s, const char *value, struct err *e)
{
	if (value[0] && value[0] != '/')
		return wrong(e, "an absolute path", value);
	s->dns_hook = value[0] ? value : NULL;
	return 0;
}

/* certbot judges it further; here it may not look like an option. */
static int set_mail(struct settings *s, const char *value, struct err *e)
{
	struct str v = str_c(value);
	if (value[0] &&
	    (value[0] == '-' || str_find(v, '@', 1) == SIZE_MAX || str_find(v, ' ', 0) != SIZE_MAX))
		return wrong(e, "a mail address", value);
	s->acme_mail = value;
	return 0;
}

static int set_port(uint16_t *to, const char *value, struct err *e)
{
	uint64_t n;
	if (!num_u64(str_c(value), 1, 65535, &n))
		return wrong(e, "a port", value);
	*to = (uint16_t)n;
	return 0;
}

static int set_number(unsigned *to, unsigned min, unsigned max, const char *value, struct err *e)
{
	uint64_t n;
	if (!num_u64(str_c(value), min, max, &n))
		return wrong(e, "a number in range", value);
	*to = (unsigned)n;
	return 0;
}

/* Empty: as if it had not been said, so that a unit can name a variable. */
static int set_url(struct settings *s, const char *value, struct err *e)
{
	struct str url = str_c(value);
	if (value[0] && !str_starts(url, STR("http://")) && !str_starts(url, STR("https://")))
		return wrong(e, "an http:// or https:// address", value);
	while (str_ends(url, STR("/")))
		url.n--;
	return str_copy(url, s->public_url, sizeof(s->public_url))
		   ? 0
		   : wrong(e, "a value of sensible length", value);
}

static int set_github_api(struct settings *s, const char *value, struct err *e)
{
	struct str url = str_c(value);
	if (guard_url_refuses(url) || str_ends(url, STR("/")))
		return wrong(e, "an http:// or https:// address without a '/' at its end", value);
	s->github_api = value;
	return 0;
}

static int add_range(struct settings *s, const char *value, struct err *e)
{
	size_t n = 0;
	struct cidr range;
	while (s->outbound_allow[n])
		n++;
	if (n == SETTINGS_RANGES_MAX)
		return err_set(e, ERR_USAGE, "more than %d ranges", SETTINGS_RANGES_MAX);
	if (cidr_parse(str_c(value), &range, e) != 0)
		return err_prefix(e, "--outbound-allow %s", value);
	s->outbound_allow[n] = value;
	return 0;
}

static int set_edge_server(struct settings *s, const char *value, struct err *e)
{
	s->apache = strcmp(value, "apache") == 0;
	return s->apache || strcmp(value, "nginx") == 0 ? 0 : wrong(e, "nginx or apache", value);
}

static int set_metrics(struct settings *s, const char *value, struct err *e)
{
	s->metrics_said = true;
	return strcmp(value, "none") == 0
		   ? 0
		   : set_address(s->metrics_address, &s->metrics_port, value, e);
}

static int set_orphan(struct settings *s, const char *value, struct err *e)
{
	int64_t ms;
	if (!num_duration(str_c(value), 86400000, &ms))
		return wrong(e, "a duration such as 60s", value);
	s->orphan_ms = (uint32_t)ms;
	return 0;
}

/* Everybody on the machine sees a command line. Empty: as if it had not been said. */
static int set_postgres(struct settings *s, const char *value, struct err *e)
{
	struct str v = str_c(value);
	size_t at = str_find(v, '@', 0), scheme = sizeof("postgresql://") - 1;
	if (!value[0])
		return 0;
	if (!str_starts(v, STR("postgresql://")))
		return wrong(e, "a postgresql:// address", value);
	bool password =
	    strstr(value, "password=") != NULL ||
	    (at != SIZE_MAX && str_find(str_slice(v, scheme, at - scheme), ':', 0) != SIZE_MAX);
	if (password) {
		(void)err_set(e, ERR_USAGE, "--postgres holds a password, which others could read");
		return err_hint(e, "put it into a file and say passfile=FILE (see libpq's pgpass)");
	}
	s->postgres = value;
	return 0;
}

static int set_rabbitmq(struct settings *s, const char *value, struct err *e)
{
	struct rabbitmq_address at;
	if (!value[0])
		return 0;
	if (rabbitmq_address_parse(value, &at, e) != 0) {
		e->code = ERR_USAGE;
		return err_prefix(e, "--rabbitmq");
	}
	s->rabbitmq = value;
	return 0;
}

/* Servers that projects get something on. */
static int set_service_option(struct settings *s, int id, const char *value, struct err *e)
{
	switch (id) {
	case OPT_POSTGRES:
		return set_postgres(s, value, e);
	case OPT_POSTGRES_CONNECTIONS:
		return set_number(&s->postgres_connections, 1, 1000, value, e);
	case OPT_RABBITMQ:
		return set_rabbitmq(s, value, e);
	case OPT_RABBITMQ_CA:
		s->rabbitmq_ca = value[0] ? value : NULL;
		return 0;
	case OPT_RABBITMQ_CONNECTIONS:
		return set_number(&s->rabbitmq_connections, 1, 100000, value, e);
	case OPT_RABBITMQ_QUEUES:
		return set_number(&s->rabbitmq_queues, 1, 1000000, value, e);
	default:
		return wrong(e, "an option", value);
	}
}

/* TLS, and whom certificates come from. */
static int set_certificate_option(struct settings *s, int id, const char *value, struct err *e)
{
	switch (id) {
	case OPT_HTTPS:
		return set_https(s, value, e);
	case OPT_TLS:
		return set_tls(s, value, e);
	case OPT_TRUSTED_PROXIES:
		return set_trusted_proxies(s, value, e);
	case OPT_ACME:
		return set_authority(&s->acme, value, e);
	case OPT_ACME_STAGING:
		return set_authority(&s->acme_staging, value, e);
	case OPT_ACME_MAIL:
		return set_mail(s, value, e);
	case OPT_ACME_CA:
		s->acme_ca = value;
		return 0;
	case OPT_ACME_HTTP_PORT:
		return set_port(&s->acme_http_port, value, e);
	case OPT_DNS_HOOK:
		return set_dns_hook(s, value, e);
	case OPT_CERTBOT:
		s->certbot = value;
		return 0;
	default:
		return set_service_option(s, id, value, e);
	}
}

static int set_option(struct settings *s, int id, const char *value, struct err *e)
{
	switch (id) {
	case OPT_STATE:
		return set_dir(s->state, value, e);
	case OPT_RUN:
		return set_dir(s->run, value, e);
	case OPT_LIBEXEC:
		return set_dir(s->libexec, value, e);
	case OPT_HTTP:
		return set_address(s->http_address, &s->http_port, value, e);
	case OPT_EDGE:
		return set_address(s->edge_address, &s->edge_port, value, e);
	case OPT_HOST:
		return set_host(s, value, e);
	case OPT_USER:
		return set_text(s->user, sizeof(s->user), value, e);
	case OPT_EDGE_SERVER:
		return set_edge_server(s, value, e);
	case OPT_WEB_USER:
		return set_text(s->web_user, sizeof(s->web_user), value, e);
	case OPT_NGINX:
		return set_text(s->nginx, sizeof(s->nginx), value, e);
	case OPT_PARALLEL:
		return set_number(&s->parallel, 1, 64, value, e);
	case OPT_METRICS:
		return set_metrics(s, value, e);
	case OPT_OUTBOUND_ALLOW:
		return add_range(s, value, e);
	case OPT_OUTBOUND_CA:
		s->outbound_ca = value;
		return 0;
	case OPT_RETRIES:
		return notify_schedule_parse(str_c(value), &s->retries, e);
	case OPT_GITHUB_API:
		return set_github_api(s, value, e);
	case OPT_ORPHAN:
		return set_orphan(s, value, e);
	case OPT_PUBLIC_URL:
		return set_url(s, value, e);
	case OPT_SYSTEM:
		s->system = true;
		return 0;
	case OPT_LOG:
		return log_level_parse(str_c(value), &s->log_level)
			   ? 0
			   : wrong(e, "debug, info, warn or error", value);
	default:
		return set_certificate_option(s, id, value, e);
	}
}

/* Beside this program in a build, ../libexec/slipway when installed. */
static int find_libexec(struct settings *s, struct err *e)
{
	char self[PATH_MAX], helper[PATH_MAX + 32];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	if (n < 0)
		return err_sys(e, ERR_SETTINGS, errno, "could not find this program's own file");
	self[n] = '\0';
	*strrchr(self, '/') = '\0';
	snprintf(helper, sizeof(helper), "%s/slipway-helper", self);
	if (access(helper, X_OK) == 0)
		return set_text(s->libexec, sizeof(s->libexec), self, e);
	snprintf(helper, sizeof(helper), "%s/../libexec/slipway", self);
	if (access(helper, X_OK) == 0)
		return set_dir(s->libexec, helper, e);
	err_set(e, ERR_SETTINGS, "slipway-helper is not beside slipwayd");
	return err_hint(e, "say where with --libexec DIR");
}

static int fill_dirs(struct settings *s, struct err *e)
{
	if (!s->state[0] && set_dir(s->state, "var", e) != 0)
		return -1;
	if (!s->run[0]) {
		char run[SETTINGS_PATH_MAX + 8];
		snprintf(run, sizeof(run), "%s/run", s->state);
		if (set_dir(s->run, run, e) != 0)
			return -1;
	}
	if (strlen(s->run) > RUN_DIR_MAX) {
		err_set(e, ERR_SETTINGS,
		    "the run directory '%s' is longer than %d bytes, and a socket's path must end "
		    "at 107",
		    s->run, RUN_DIR_MAX);
		return err_hint(e, "choose a short one with --run, for instance /tmp/slipway-run");
	}
	return s->libexec[0] ? 0 : find_libexec(s, e);
}

int settings_parse(int argc, char *const *argv, struct settings *ret, struct err *e)
{
	*ret = (struct settings){.http_address = "127.0.0.1",
	    .http_port = 8000,
	    .edge_address = "127.0.0.1",
	    .edge_port = 8080,
	    .acme = "https://acme-v02.api.letsencrypt.org/directory",
	    .acme_staging = "https://acme-staging-v02.api.letsencrypt.org/directory",
	    .acme_mail = "",
	    .acme_http_port = 80,
	    .certbot = "/usr/bin/certbot",
	    .host = "slipway.localhost",
	    .user = "slipway",
	    .web_user = "www-data",
	    .nginx = "/usr/sbin/nginx",
	    .parallel = 4,
	    .log_level = LOG_INFO,
	    .retries = notify_schedule_default,
	    .github_api = "https://api.github.com",
	    .postgres = SERVICES_POSTGRES,
	    .postgres_connections = 20,
	    .rabbitmq_connections = 100,
	    .rabbitmq_queues = 500,
	    .orphan_ms = 60000};
	opterr = 0;
	for (int id; (id = getopt_long(argc, argv, "", options, NULL)) != -1;) {
		if (id == OPT_HELP || id == OPT_VERSION) {
			(void)fputs(
			    id == OPT_HELP ? help_text : "slipwayd " SLIPWAY_VERSION "\n", stdout);
			return 0;
		}
		if (set_option(ret, id, id == '?' ? argv[optind - 1] : optarg, e) != 0)
			return -1;
	}
	if (optind < argc)
		return wrong(e, "an option", argv[optind]);
	if (ret->system && !ret->metrics_said)
		(void)set_address(ret->metrics_address, &ret->metrics_port, METRICS_ON_A_SERVER, e);
	return settle_https(ret, e) == 0 && fill_dirs(ret, e) == 0 ? 1 : -1;
}
