/* What is said on the command line and goes into server.conf: judged before anything is done, as slipwayd
 * judges it, which would not start with it. */
#include "setup/parts.h"

#include "base/cidr.h"
#include "base/num.h"

#include <string.h>
#include <sys/stat.h>

/* Nothing that systemd's EnvironmentFile would read in a way of its own. */
static bool is_plain(const char *value)
{
	for (const char *p = value; *p; p++)
		if (*p <= ' ' || *p > '~' || strchr("\"'\\$%#;", *p))
			return false;
	return true;
}

static int check_authority(const struct setup *s, struct err *e)
{
	if (s->acme[0] && (!is_plain(s->acme) || !str_starts(str_c(s->acme), STR("https://"))))
		return err_set(e, ERR_USAGE, "the authority is not an https:// address");
	if (s->acme_mail[0] &&
	    (!is_plain(s->acme_mail) || s->acme_mail[0] == '-' || !strchr(s->acme_mail, '@')))
		return err_set(e, ERR_USAGE, "--acme-mail is not a mail address");
	return 0;
}

/* It runs as slipway, which must not be what may change it. */
static int check_dns_hook(struct setup *s, struct err *e)
{
	struct stat st;
	if (strcmp(s->dns_hook, "none") == 0)
		s->dns_hook[0] = '\0';
	if (!s->dns_hook[0])
		return 0;
	if (s->dns_hook[0] != '/' || !is_plain(s->dns_hook) || stat(s->dns_hook, &st) != 0 ||
	    !S_ISREG(st.st_mode) || !(st.st_mode & 0111))
		return err_set(e, ERR_USAGE, "--dns-hook is not the absolute path of a program");
	if (st.st_uid != 0 || (st.st_mode & 022)) {
		err_set(e, ERR_USAGE, "'%s' is not root's alone", s->dns_hook);
		return err_hint(e, "chown root %s; chmod go-w %s", s->dns_hook, s->dns_hook);
	}
	if (!s->domain[0]) {
		err_set(
		    e, ERR_USAGE, "--dns-hook needs a host below which the projects' names are");
		return err_hint(e, "slipway setup --domain HOST --dns-hook %s", s->dns_hook);
	}
	return 0;
}

static bool is_none(char *value)
{
	if (strcmp(value, "none") == 0)
		value[0] = '\0';
	return !value[0];
}

/* Where the part in front of an '@' is, and that holds no password. Everybody may read server.conf. */
static bool names_user(struct str url, struct str *ret_user, struct str *ret_rest)
{
	size_t at = str_find(url, '@', 0);
	*ret_user = at == SIZE_MAX ? STR_NONE : str_slice(url, 0, at);
	*ret_rest = at == SIZE_MAX ? url : str_from(url, at + 1);
	return at != SIZE_MAX;
}

static int check_postgres(struct setup *s, struct err *e)
{
	static const struct str scheme = {"postgresql://", 13};
	struct str user, rest;
	if (is_none(s->postgres))
		return 0;
	if (!is_plain(s->postgres) || !str_starts(str_c(s->postgres), scheme))
		return err_set(e, ERR_USAGE, "--postgres is not a postgresql:// address");
	if ((names_user(str_from(str_c(s->postgres), scheme.n), &user, &rest) &&
		str_find(user, ':', 0) != SIZE_MAX) ||
	    strstr(s->postgres, "password=")) {
		(void)err_set(e, ERR_USAGE, "--postgres holds a password, which others could read");
		return err_hint(
		    e, "put it into a file that only slipway can read, and say passfile=FILE");
	}
	return 0;
}

static bool is_host(struct str host, bool near_only)
{
	for (size_t i = 0; i < host.n; i++)
		if (!host.p[i] || !strchr("abcdefghijklmnopqrstuvwxyz0123456789-.", host.p[i]))
			return false;
	return host.n > 0 &&
	       (!near_only || str_eq_c(host, "127.0.0.1") || str_eq_c(host, "localhost"));
}

static bool is_user(struct str user)
{
	for (size_t i = 0; i < user.n; i++) {
		char c = user.p[i];
		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
			c == '-' || c == '.' || c == '_'))
			return false;
	}
	return user.n > 0 && user.n < 65;
}

/* http[s]://USER@HOST[:PORT][/] */
static bool is_rabbitmq(const char *url)
{
	struct str s = str_c(url), user, rest, host;
	uint64_t port;
	bool tls = str_starts(s, STR("https://"));
	if ((!tls && !str_starts(s, STR("http://"))) ||
	    !names_user(str_from(s, tls ? 8 : 7), &user, &rest) || !is_user(user))
		return false;
	if (str_ends(rest, STR("/")))
		rest.n--;
	size_t colon = str_find(rest, ':', 0);
	host = colon == SIZE_MAX ? rest : str_slice(rest, 0, colon);
	return is_host(host, !tls) &&
	       (colon == SIZE_MAX || num_u64(str_from(rest, colon + 1), 1, 65535, &port));
}

static int check_rabbitmq(struct setup *s, struct err *e)
{
	struct stat st;
	if (!is_none(s->rabbitmq) && !is_rabbitmq(s->rabbitmq)) {
		(void)err_set(
		    e, ERR_USAGE, "--rabbitmq is no address of RabbitMQ's management API");
		return err_hint(e, "http://USER@127.0.0.1:15672, or https:// to another machine; "
				   "its password is in /var/lib/slipway/keys/rabbitmq.password");
	}
	if (is_none(s->rabbitmq_ca))
		return 0;
	if (s->rabbitmq_ca[0] != '/' || !is_plain(s->rabbitmq_ca) ||
	    stat(s->rabbitmq_ca, &st) != 0 || !S_ISREG(st.st_mode))
		return err_set(e, ERR_USAGE, "--rabbitmq-ca is not the absolute path of a file");
	return 0;
}

/* Blanks may stand around commas, as for slipwayd; into server.conf go none. */
static int check_trusted_proxies(struct setup *s, struct err *e)
{
	char *to = s->trusted_proxies;
	if (is_none(s->trusted_proxies))
		return 0;
	if (cidr_list_check(str_c(s->trusted_proxies), e) != 0)
		return err_prefix(e, "--trusted-proxies");
	for (const char *from = to; *from; from++)
		if (*from != ' ')
			*to++ = *from;
	*to = '\0';
	if (!is_plain(s->trusted_proxies))
		return err_set(
		    e, ERR_USAGE, "--trusted-proxies is not addresses and CIDRs, by commas");
	return 0;
}

int setup_check_given(struct setup *s, struct err *e)
{
	return check_authority(s, e) != 0 || check_dns_hook(s, e) != 0 ||
		       check_postgres(s, e) != 0 || check_rabbitmq(s, e) != 0 ||
		       check_trusted_proxies(s, e) != 0
		   ? -1
		   : 0;
}
