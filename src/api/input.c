#include "api/input.h"

#include "base/name.h"
#include "kinds/site_filter.h"
#include "source/address.h"
#include "source/source.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool ipv4_inside(uint32_t a)
{
	static const struct {
		uint32_t net;
		int bits;
	} nets[] = {{0, 8}, {0x0a000000, 8}, {0x64400000, 10}, {0x7f000000, 8}, {0xa9fe0000, 16},
	    {0xac100000, 12}, {0xc0000000, 24}, {0xc0a80000, 16}, {0xc6120000, 15},
	    {0xe0000000, 3}};
	for (size_t i = 0; i < sizeof(nets) / sizeof(*nets); i++)
		if ((a ^ nets[i].net) >> (32 - nets[i].bits) == 0)
			return true;
	return false;
}

static bool ipv6_inside(const struct in6_addr *a)
{
	if (IN6_IS_ADDR_V4MAPPED(a) || IN6_IS_ADDR_V4COMPAT(a))
		return true;		       /* no reason to write one so */
	return (a->s6_addr[0] & 0xe0) != 0x20; /* outside 2000::/3 */
}

/* Whether a host as written is inside, or written so oddly that it might be (a number that is no
 * plain dotted quad). Names are judged when they are resolved, by whoever fetches. */
static bool host_inside(struct str host, bool ipv6)
{
	char text[256];
	struct in_addr v4;
	struct in6_addr v6;
	if (!str_copy(host, text, sizeof(text)))
		return true;
	if (ipv6)
		return inet_pton(AF_INET6, text, &v6) != 1 || ipv6_inside(&v6);
	if (inet_pton(AF_INET, text, &v4) == 1)
		return ipv4_inside(ntohl(v4.s_addr));
	const char *last = strrchr(text, '.');
	last = last ? last + 1 : text;
	return !*last || (*last >= '0' && *last <= '9') || strcasecmp(last, "localhost") == 0 ||
	       strcasecmp(last, "internal") == 0 || strcasecmp(last, "local") == 0 ||
	       !strchr(text, '.');
}

static bool trusted(const struct api_call *c)
{
	return c->who->global_role >= MODEL_ROLE_ADMIN;
}

static int only_admin(const char *what, const char *pointer, struct err *e)
{
	err_set(e, ERR_FORBIDDEN, "%s needs admin on this platform", what);
	err_hint(e, "ask an admin to make the project");
	return err_at(e, "%s", pointer);
}

int api_source_url_check(
    const struct api_call *c, struct str url, const char *pointer, struct err *e)
{
	struct source_address a;
	if (source_address_parse(url, &a, e) < 0)
		return err_at(e, "%s", pointer);
	if (trusted(c))
		return 0;
	if (a.scheme == SOURCE_LOCAL)
		return only_admin("a path of the server", pointer, e);
	if (host_inside(a.host, a.ipv6))
		return only_admin("an address in a private network", pointer, e);
	return 0;
}

int api_ref_check(struct str ref, const char *pointer, struct err *e)
{
	struct err ignored;
	if (name_commit(ref, &ignored) == 0 || name_ref(ref, e) == 0)
		return 0;
	return err_at(e, "%s", pointer);
}

static int git_read(const struct api_call *c, const json_t *o, const char *pointer,
    struct api_source *ret, struct err *e)
{
	char at[64];
	snprintf(at, sizeof(at), "%s/url", pointer);
	ret->url = api_str(o, "url");
	if (!ret->url.n) {
		err_set(e, ERR_INVALID, "the address of the repository is missing");
		return err_at(e, "%s", at);
	}
	if (api_source_url_check(c, ret->url, at, e) < 0)
		return -1;
	struct source_spec spec = {
	    .type = SOURCE_GIT, .url = ret->url, .ref = ret->ref, .allow_private = trusted(c)};
	if (source_check(&spec, e) < 0)
		return err_at(e, "%s", at);
	struct source_address a;
	ret->wants_key = source_address_parse(ret->url, &a, e) == 0 && a.scheme == SOURCE_SSH;
	return 0;
}

static int path_read(const struct api_call *c, const json_t *o, const char *pointer,
    struct api_source *ret, struct err *e)
{
	char at[64];
	snprintf(at, sizeof(at), "%s/path", pointer);
	ret->url = api_str(o, "path");
	if (!ret->url.n || ret->url.p[0] != '/') {
		err_set(e, ERR_INVALID, "path must be an absolute directory on the server");
		return err_at(e, "%s", at);
	}
	if (!trusted(c))
		return only_admin("a path of the server", at, e);
	struct source_spec spec = {.type = SOURCE_PATH, .path = ret->url};
	return source_check(&spec, e) < 0 ? err_at(e, "%s", at) : 0;
}

int api_source_read(const struct api_call *c, const json_t *o, const char *pointer,
    struct api_source *ret, struct err *e)
{
	char at[64];
	*ret = (struct api_source){.url = STR(""), .trusted = trusted(c)};
	struct str ref = api_str(o, "ref");
	ret->ref = ref.p ? ref : STR("");
	snprintf(at, sizeof(at), "%s/ref", pointer);
	if (ret->ref.n && api_ref_check(ret->ref, at, e) < 0)
		return -1;
	if (model_source_parse(api_str(o, "type"), &ret->type, e) < 0)
		return err_at(e, "%s/type", pointer);
	switch (ret->type) {
	case MODEL_SOURCE_GIT:
		return git_read(c, o, pointer, ret, e);
	case MODEL_SOURCE_PATH:
		return path_read(c, o, pointer, ret, e);
	case MODEL_SOURCE_ARCHIVE:
	case MODEL_SOURCE_COUNT:
		break;
	}
	return 0;
}

int api_poll_read(const json_t *body, int64_t *ret_ms, struct err *e)
{
	*ret_ms = (int64_t)json_integer_value(json_object_get(body, "poll_ms"));
	if (*ret_ms == 0 || *ret_ms >= LIMIT_POLL_MIN_MS)
		return 0;
	err_set(e, ERR_INVALID, "a branch is looked at every 10 s at the most");
	err_hint(e, "set 10000 or more, or 0 for never; a hook is faster than any of them");
	return err_at(e, "/poll_ms");
}

int api_poll_check(enum model_source source, int64_t ms, struct err *e)
{
	if (ms == 0 || source == MODEL_SOURCE_GIT)
		return 0;
	err_set(e, ERR_INVALID, "only a git repository has a branch to look at");
	return err_at(e, "/poll_ms");
}

int api_token_check(struct str token, const char *pointer, struct err *e)
{
	for (size_t i = 0; i < token.n; i++) {
		if (token.p[i] > 0x20 && token.p[i] < 0x7f)
			continue;
		err_set(e, ERR_INVALID, "the token holds a blank or something that is no ASCII");
		return err_at(e, "%s", pointer);
	}
	return 0;
}

int api_query_purge(const struct api_call *c, bool *ret, struct err *e)
{
	struct str purge = http_query(c->r, "purge");
	*ret = str_eq_c(purge, "true");
	if (!purge.p || *ret || str_eq_c(purge, "false"))
		return 0;
	(void)err_set(e, ERR_INVALID, "'purge' is true or false");
	return err_at(e, "/purge");
}

int api_domain_check(const struct api_call *c, struct str project, struct str host, struct err *e)
{
	const struct name_platform p = {.host = c->cx->host,
	    .public_url = c->cx->public_url,
	    .names_below = c->cx->names_below};
	return name_domain(host, e) < 0 ? -1 : name_domain_free(host, project, &p, e);
}

struct str api_source_settings(const struct api_source *s)
{
	return s->trusted ? STR("{\"private_source\":true}") : STR("{}");
}

int api_json_member(
    const struct api_call *c, const json_t *o, const char *key, struct str *ret, struct err *e)
{
	const json_t *v = json_object_get(o, key);
	*ret = STR_NONE;
	if (!v || json_is_null(v))
		return 0;
	char *text = json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY);
	if (text)
		*ret = arena_str(c->r->arena, str_c(text));
	free(text);
	return ret->p ? 0 : err_set(e, ERR_TOO_LARGE, "the request needs too much memory");
}

int api_limits_read(const struct api_call *c, struct str *ret, struct err *e)
{
	if (api_has(c->body, "limits") && c->who->global_role < MODEL_ROLE_ADMIN) {
		(void)err_set(e, ERR_FORBIDDEN, "what a project may use at most is for admins of the platform to say");
		return err_hint(e, "a manifest may ask for less: limits: in slipway.yaml");
	}
	return api_json_member(c, c->body, "limits", ret, e);
}

static bool is_site_kind(struct str kind)
{
	return str_eq_c(kind, "nginx-site");
}

int api_site_kind_check(
    const struct api_call *c, const struct model_project *p, struct str kind, struct err *e)
{
	bool wanted = is_site_kind(kind);
	if (!kind.p || (p && wanted == is_site_kind(p->kind)))
		return 0;
	if (p) {
		err_set(
		    e, ERR_CONFLICT, "a project is of kind nginx-site from its making, or never");
		err_hint(e, "make another: slipway create NAME --kind nginx-site");
		return err_at(e, "/kind");
	}
	return wanted && !trusted(c) ? only_admin("a project of kind nginx-site", "/kind", e) : 0;
}

int api_site_owner_check(
    const struct api_call *c, const struct model_project *p, const char *what, struct err *e)
{
	if (!is_site_kind(p->kind) || trusted(c))
		return 0;
	err_set(e, ERR_FORBIDDEN,
	    "%s of an nginx-site project needs admin on this platform: it becomes the web server's "
	    "configuration",
	    what);
	return err_hint(e, "push to its repository, or ask an admin");
}

int api_sites_read(const struct api_call *c, struct str *ret, struct err *e)
{
	struct manifest_sites ignored;
	if (api_json_member(c, c->body, "sites", ret, e) < 0)
		return -1;
	return ret->p ? site_settings_read(*ret, c->r->arena, &ignored, e) : 0;
}
