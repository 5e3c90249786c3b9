#include "source/address.h"
#include "base/log.h"
#include "base/num.h"

#include <string.h>

#define URL_MAX_BYTES 2048u

static int refuse(struct str url, const char *why, struct err *e)
{
	char shown[200];
	log_escape(url, shown, sizeof(shown));
	return err_set(e, ERR_INVALID, "the address '%s' %s", shown, why);
}

static bool word(struct str s, const char *also)
{
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];
		bool alnum =
		    (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
		if (!alnum && (c == '\0' || !strchr(also, c)))
			return false;
	}
	return s.n > 0 && s.p[0] != '-';
}

static int characters(struct str url, struct err *e)
{
	if (url.n == 0)
		return err_set(e, ERR_INVALID, "the address of the repository is empty");
	if (url.n > URL_MAX_BYTES)
		return err_set(e, ERR_INVALID,
		    "the address of the repository is longer than %u bytes", URL_MAX_BYTES);
	if (url.p[0] == '-')
		return refuse(url, "begins with '-'", e);
	for (size_t i = 0; i < url.n; i++)
		if ((unsigned char)url.p[i] <= ' ' || url.p[i] == 0x7f)
			return refuse(url, "holds a blank or a control character", e);
	return 0;
}

static int take_user(struct str url, struct str *rest, struct source_address *ret, struct err *e)
{
	size_t at = SIZE_MAX;
	for (size_t i = str_find(*rest, '@', 0); i != SIZE_MAX; i = str_find(*rest, '@', i + 1))
		at = i;
	if (at == SIZE_MAX)
		return 0;
	struct str user = str_slice(*rest, 0, at);
	*rest = str_from(*rest, at + 1);
	if (ret->scheme != SOURCE_SSH) {
		err_set(e, ERR_INVALID, "the address holds a user name or password");
		return err_hint(
		    e, "leave it out; a token is kept sealed and given apart from the address");
	}
	if (!word(user, "._-"))
		return refuse(url, "has a user name with characters that are not allowed", e);
	ret->user = user;
	return 0;
}

static int take_port(struct str url, struct str port, struct source_address *ret, struct err *e)
{
	uint64_t n;
	if (!num_u64(port, 1, 65535, &n))
		return refuse(url, "has a port that is not 1 to 65535", e);
	ret->port = (uint16_t)n;
	return 0;
}

/* host, host:port or [v6]:port */
static int take_host(struct str url, struct str rest, struct source_address *ret, struct err *e)
{
	if (str_starts(rest, STR("["))) {
		size_t close = str_find(rest, ']', 0);
		ret->host = str_slice(rest, 1, close == SIZE_MAX ? 0 : close - 1);
		ret->ipv6 = true;
		if (close == SIZE_MAX || !word(ret->host, ":."))
			return refuse(url, "has a malformed IPv6 address", e);
		rest = str_from(rest, close + 1);
		if (rest.n == 0)
			return 0;
		return rest.p[0] == ':' ? take_port(url, str_from(rest, 1), ret, e)
					: refuse(url, "has something behind its host", e);
	}
	size_t colon = str_find(rest, ':', 0);
	ret->host = str_slice(rest, 0, colon);
	if (!word(ret->host, ".-") || ret->host.n > 253)
		return refuse(url, "has no valid host name", e);
	return colon == SIZE_MAX ? 0 : take_port(url, str_from(rest, colon + 1), ret, e);
}

static int with_scheme(struct str url, size_t skip, struct source_address *ret, struct err *e)
{
	static const uint16_t ports[SOURCE_SCHEME_COUNT] = {443, 80, 22, 0};
	struct str rest = str_from(url, skip);
	size_t slash = str_find(rest, '/', 0);
	if (slash == SIZE_MAX || slash + 1 == rest.n)
		return refuse(url, "has no path of a repository behind its host", e);
	ret->path = str_from(rest, slash);
	ret->port = ports[ret->scheme];
	struct str authority = str_slice(rest, 0, slash);
	if (take_user(url, &authority, ret, e))
		return -1;
	return take_host(url, authority, ret, e);
}

/* user@host:path, as git understands it: the colon comes before any slash. */
static int scp_like(struct str url, size_t colon, struct source_address *ret, struct err *e)
{
	struct str authority = str_slice(url, 0, colon);
	*ret = (struct source_address){
	    .scheme = SOURCE_SSH, .port = 22, .path = str_from(url, colon + 1)};
	if (ret->path.n == 0 || ret->path.p[0] == '-' || ret->path.p[0] == ':')
		return refuse(url, "has no path of a repository behind its host", e);
	if (take_user(url, &authority, ret, e))
		return -1;
	return take_host(url, authority, ret, e);
}

int source_address_parse(struct str url, struct source_address *ret, struct err *e)
{
	static const struct {
		const char *prefix;
		enum source_scheme scheme;
	} schemes[] = {
	    {"https://", SOURCE_HTTPS}, {"http://", SOURCE_HTTP}, {"ssh://", SOURCE_SSH}};
	*ret = (struct source_address){0};
	if (characters(url, e))
		return -1;
	for (size_t i = 0; i < sizeof(schemes) / sizeof(*schemes); i++)
		if (str_starts(url, str_c(schemes[i].prefix))) {
			ret->scheme = schemes[i].scheme;
			return with_scheme(url, strlen(schemes[i].prefix), ret, e);
		}
	if (url.p[0] == '/') {
		*ret = (struct source_address){.scheme = SOURCE_LOCAL, .path = url};
		return 0;
	}
	size_t colon = str_find(url, ':', 0), slash = str_find(url, '/', 0);
	bool transport = colon != SIZE_MAX && (str_starts(str_from(url, colon), STR("://")) ||
						  str_starts(str_from(url, colon), STR("::")));
	if (colon != SIZE_MAX && colon < slash && !transport)
		return scp_like(url, colon, ret, e);
	refuse(url, transport ? "has a transport that is not allowed" : "is not understood", e);
	return err_hint(e, "write https://HOST/PATH, ssh://USER@HOST/PATH, USER@HOST:PATH, "
			   "or an absolute path on this machine");
}

struct str source_address_repository(const struct source_address *a)
{
	struct str s = a->path;
	while (s.n && s.p[0] == '/')
		s = str_from(s, 1);
	while (s.n && s.p[s.n - 1] == '/')
		s.n--;
	if (s.n > 4 && str_ends(s, STR(".git")))
		s.n -= 4;
	return s;
}
