#include "base/name.h"
#include "base/log.h"

#include <stdint.h>
#include <string.h>

#define NAME_HOOK_MAX 63
#define NAME_OPERATOR_MAX 32
#define NAME_ENV_KEY_MAX 128
#define NAME_REF_MAX 255
#define NAME_SUBPATH_MAX 1024
#define NAME_COMPONENT_MAX 255
#define NAME_URL_PREFIX_MAX 200

/* Names that stand for a part of the platform in a path, a host name or a folder. */
static const char *const reserved[] = {"admin", "api", "console", "default", "health", "hooks",
    "localhost", "metrics", "public", "root", "slipway", "static", "www"};

static bool is_lower(char c)
{
	return c >= 'a' && c <= 'z';
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_upper(char c)
{
	return c >= 'A' && c <= 'Z';
}

/* "WHAT 'NAME' WHY", with the name made fit to be shown. */
static int refuse(struct err *e, const char *what, struct str s, const char *why)
{
	char shown[80];
	log_escape(s, shown, sizeof(shown));
	return err_set(e, ERR_INVALID, "%s '%s' %s", what, shown, why);
}

static int label(struct str s, size_t max, const char *what, struct err *e)
{
	if (s.n == 0)
		return err_set(e, ERR_INVALID, "%s is empty", what);
	if (s.n > max)
		return refuse(e, what, s, "is too long");
	if (!is_lower(s.p[0]))
		return refuse(e, what, s, "does not begin with a lower-case letter");
	for (size_t i = 0; i < s.n; i++)
		if (!is_lower(s.p[i]) && !is_digit(s.p[i]) && s.p[i] != '-')
			return refuse(e, what, s, "holds something else than a-z, 0-9 and '-'");
	if (s.p[s.n - 1] == '-')
		return refuse(e, what, s, "ends in '-'");
	if (str_contains(s, STR("--")))
		return refuse(e, what, s, "holds '--'");
	for (size_t i = 0; i < sizeof(reserved) / sizeof(*reserved); i++)
		if (str_eq_c(s, reserved[i]))
			return refuse(e, what, s, "is reserved");
	return 0;
}

int name_project(struct str s, struct err *e)
{
	return label(s, NAME_PROJECT_MAX, "project name", e);
}

int name_hook(struct str s, struct err *e)
{
	return label(s, NAME_HOOK_MAX, "hook name", e);
}

static int short_name(const char *what, struct str s, struct err *e)
{
	if (s.n == 0 || s.n > NAME_PROCESS_MAX || !is_lower(s.p[0]))
		return refuse(e, what, s, "is not 1 to 16 characters that begin with a-z");
	for (size_t i = 1; i < s.n; i++)
		if (!is_lower(s.p[i]) && !is_digit(s.p[i]))
			return refuse(e, what, s, "holds something else than a-z and 0-9");
	return 0;
}

int name_process(struct str s, struct err *e)
{
	return short_name("process name", s, e);
}

int name_service(struct str s, struct err *e)
{
	return short_name("service name", s, e);
}

int name_operator(struct str s, struct err *e)
{
	if (s.n == 0 || s.n > NAME_OPERATOR_MAX || !is_lower(s.p[0]))
		return refuse(
		    e, "operator name", s, "is not 1 to 32 characters that begin with a-z");
	for (size_t i = 1; i < s.n; i++)
		if (!is_lower(s.p[i]) && !is_digit(s.p[i]) &&
		    (s.p[i] == '\0' || !strchr("._-", s.p[i])))
			return refuse(e, "operator name", s,
			    "holds something else than a-z, 0-9, '.', '_', '-'");
	return 0;
}

static bool host_label_ok(struct str s)
{
	if (s.n == 0 || s.n > 63 || s.p[0] == '-' || s.p[s.n - 1] == '-')
		return false;
	for (size_t i = 0; i < s.n; i++)
		if (!is_lower(s.p[i]) && !is_digit(s.p[i]) && s.p[i] != '-')
			return false;
	return true;
}

/* Browsers and resolvers read a host whose last label is a number as an IPv4 address (WHATWG
 * URL, 3.5). */
static bool label_is_number(struct str s)
{
	bool hex = s.n >= 2 && s.p[0] == '0' && s.p[1] == 'x';
	for (size_t i = hex ? 2 : 0; i < s.n; i++)
		if (!is_digit(s.p[i]) && !(hex && s.p[i] >= 'a' && s.p[i] <= 'f'))
			return false;
	return true;
}

int name_domain(struct str s, struct err *e)
{
	if (s.n == 0)
		return err_set(e, ERR_INVALID, "domain is empty");
	if (s.n > NAME_DOMAIN_MAX)
		return refuse(e, "domain", s, "is longer than 253 characters");
	if (str_starts(s, STR("*."))) {
		refuse(e, "domain", s, "is a wildcard");
		return err_hint(e, "name each host");
	}
	struct str rest = s, last = STR_NONE;
	size_t count = 0;
	while (str_next(&rest, '.', &last)) {
		if (!host_label_ok(last))
			return refuse(
			    e, "domain", s, "is not labels of a-z, 0-9 and '-' joined by dots");
		count++;
	}
	if (label_is_number(last))
		return refuse(e, "domain", s, "ends in a number like an address");
	if (count < 2 && !str_eq_c(s, "localhost"))
		return refuse(e, "domain", s, "has no dot");
	return 0;
}

/* Between "//" and what ends a host; an address in brackets is nobody's domain. */
static struct str host_of(struct str url)
{
	size_t at = str_find(url, '/', 0), n = 0;
	struct str rest = str_from(url, at == SIZE_MAX ? url.n : at + 2);
	while (n < rest.n && rest.p[n] != ':' && rest.p[n] != '/')
		n++;
	return str_slice(rest, 0, n);
}

static int of_that_name(struct str host, struct str project, struct str below, struct err *e)
{
	(void)err_set(e, ERR_CONFLICT, "'%.*s' belongs to the project of that name", STR_ARG(host));
	return err_hint(
	    e, "'%.*s' has '%.*s.%.*s'", STR_ARG(project), STR_ARG(project), STR_ARG(below));
}

int name_domain_free(
    struct str host, struct str project, const struct name_platform *p, struct err *e)
{
	struct str local = STR(".localhost"), own = str_c(p->host);
	size_t dot = str_find(host, '.', 0);
	if (str_eq_nocase(host, host_of(str_c(p->public_url))) || str_eq(host, own) ||
	    str_eq_c(host, "localhost"))
		return err_set(e, ERR_CONFLICT, "'%.*s' is the platform's own", STR_ARG(host));
	if (p->names_below && dot != SIZE_MAX && str_eq(str_from(host, dot + 1), own) &&
	    !str_eq(str_slice(host, 0, dot), project))
		return of_that_name(host, project, own, e);
	if (str_ends(host, local) && !str_eq(str_slice(host, 0, host.n - local.n), project))
		return of_that_name(host, project, str_from(local, 1), e);
	return 0;
}

bool name_covered(struct str host, struct str names)
{
	struct str rest = names, one;
	size_t dot = str_find(host, '.', 0);
	while (rest.n > 0 && str_next(&rest, ' ', &one)) {
		if (str_eq(one, host))
			return true;
		if (dot != SIZE_MAX && str_starts(one, STR("*.")) &&
		    str_eq(str_from(one, 1), str_from(host, dot)))
			return true;
	}
	return false;
}

int name_env_key(struct str s, struct err *e)
{
	if (s.n == 0 || s.n > NAME_ENV_KEY_MAX || is_digit(s.p[0]))
		return refuse(e, "variable name", s,
		    "is not 1 to 128 characters that begin with a letter or '_'");
	for (size_t i = 0; i < s.n; i++)
		if (!is_lower(s.p[i]) && !is_upper(s.p[i]) && !is_digit(s.p[i]) && s.p[i] != '_')
			return refuse(e, "variable name", s,
			    "holds something else than letters, digits and '_'");
	if (str_starts(s, STR("SLIPWAY_")) || str_starts(s, STR("LD_")))
		return refuse(e, "variable name", s, "begins with a prefix that is reserved");
	return 0;
}

static const char *ref_component_fault(struct str c)
{
	if (c.n == 0)
		return "has an empty component";
	if (c.p[0] == '.')
		return "has a component that begins with '.'";
	return str_ends(c, STR(".lock")) ? "has a component that ends in '.lock'" : NULL;
}

static const char *ref_fault(struct str s)
{
	if (s.n > NAME_REF_MAX)
		return "is too long";
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] <= ' ' || s.p[i] == 0x7f || strchr("~^:?*[\\", s.p[i]))
			return "holds a character that git does not allow";
	if (s.p[0] == '-')
		return "begins with '-'";
	if (s.p[s.n - 1] == '.' || str_contains(s, STR("..")) || str_contains(s, STR("@{")) ||
	    str_eq_c(s, "@"))
		return "holds '..' or '@{', is '@' or ends in '.'";
	if (!str_utf8_ok(s))
		return "is not UTF-8";
	struct str c;
	const char *fault = NULL;
	while (!fault && str_next(&s, '/', &c))
		fault = ref_component_fault(c);
	return fault;
}

int name_ref(struct str s, struct err *e)
{
	if (s.n == 0)
		return err_set(e, ERR_INVALID, "branch or tag name is empty");
	const char *fault = ref_fault(s);
	return fault ? refuse(e, "branch or tag name", s, fault) : 0;
}

int name_commit(struct str s, struct err *e)
{
	bool ok = s.n == 40 || s.n == 64;
	for (size_t i = 0; ok && i < s.n; i++)
		ok = is_digit(s.p[i]) || (s.p[i] >= 'a' && s.p[i] <= 'f');
	return ok ? 0 : refuse(e, "commit", s, "is not 40 or 64 lower-case hexadecimal digits");
}

int name_subpath(struct str s, struct err *e)
{
	if (s.n == 0)
		return err_set(e, ERR_INVALID, "path is empty");
	if (s.n > NAME_SUBPATH_MAX)
		return refuse(e, "path", s, "is longer than 1024 bytes");
	if (s.p[0] == '/')
		return refuse(e, "path", s, "begins with '/'");
	if (str_find(s, '\0', 0) != SIZE_MAX)
		return refuse(e, "path", s, "holds a NUL");
	struct str rest = s, c;
	while (str_next(&rest, '/', &c)) {
		if (c.n == 0 || str_eq_c(c, ".") || str_eq_c(c, ".."))
			return refuse(e, "path", s, "has a component that is empty, '.' or '..'");
		if (c.n > NAME_COMPONENT_MAX)
			return refuse(e, "path", s, "has a component longer than 255 bytes");
	}
	return 0;
}

static bool url_segment_ok(struct str s)
{
	if (s.n == 0 || str_eq_c(s, ".") || str_eq_c(s, ".."))
		return false;
	for (size_t i = 0; i < s.n; i++)
		if (!is_lower(s.p[i]) && !is_upper(s.p[i]) && !is_digit(s.p[i]) &&
		    (s.p[i] == '\0' || !strchr("._~-", s.p[i])))
			return false;
	return true;
}

int name_url_prefix(struct str s, struct err *e)
{
	if (s.n == 0 || s.p[0] != '/')
		return refuse(e, "URL prefix", s, "does not begin with '/'");
	if (s.n > NAME_URL_PREFIX_MAX)
		return refuse(e, "URL prefix", s, "is longer than 200 characters");
	struct str rest = str_from(s, 1), segment;
	while (s.n > 1 && str_next(&rest, '/', &segment))
		if (!url_segment_ok(segment))
			return refuse(e, "URL prefix", s,
			    "has a segment that is not of letters, digits, '.', '_', '~', '-'");
	return 0;
}

static int file_word(struct str s, size_t max, const char *what, struct err *e)
{
	if (s.n == 0)
		return err_set(e, ERR_INVALID, "%s is empty", what);
	if (s.n > max)
		return refuse(e, what, s, "is too long");
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];
		bool word = is_lower(c) || is_upper(c) || is_digit(c) || c == '_';
		if (!word && !(i > 0 && (c == '.' || c == '-')))
			return refuse(e, what, s,
			    "is not of letters, digits, '.', '_' and '-', beginning with one of "
			    "the first two or '_'");
	}
	return str_contains(s, STR("..")) ? refuse(e, what, s, "holds '..'") : 0;
}

int name_site(struct str s, struct err *e)
{
	return file_word(s, NAME_SITE_MAX, "site name", e);
}

int name_snippet(struct str s, struct err *e)
{
	return file_word(s, NAME_SNIPPET_MAX, "snippet", e);
}
