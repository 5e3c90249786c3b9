/* Whether a vhost's fields may stand in a configuration, whatever the server and its folders: also what the monitor judges. */
#include "render/vhost.h"

#include "base/log.h"
#include "render/out.h"

#include <string.h>

static int field(const char *p, size_t size, const char *what, struct str *ret, struct err *e)
{
	const char *end = memchr(p, '\0', size);
	if (!end)
		return err_set(e, ERR_INVALID, "%s does not end within its field", what);
	*ret = (struct str){p, (size_t)(end - p)};
	return 0;
}

static int check_project(const struct render_vhost *v, struct err *e)
{
	struct str s;
	if (field(v->project, sizeof(v->project), "project name", &s, e) < 0 ||
	    name_project(s, e) < 0)
		return err_at(e, "/name");
	return 0;
}

static int check_domains(const struct render_vhost *v, struct err *e)
{
	if (v->domain_count == 0 || v->domain_count > LIMIT_DOMAINS) {
		err_set(e, ERR_INVALID, "a vhost has 1 to %u domains, not %u", LIMIT_DOMAINS,
		    v->domain_count);
		return err_at(e, "/domains");
	}
	for (unsigned i = 0; i < v->domain_count; i++) {
		struct str s;
		if (field(v->domains[i], sizeof(v->domains[i]), "domain", &s, e) < 0 ||
		    name_domain(s, e) < 0)
			return err_at(e, "/domains/%u", i);
		for (unsigned k = 0; k < i; k++) {
			if (str_eq_c(s, v->domains[k])) {
				err_set(
				    e, ERR_INVALID, "domain '%s' is named twice", v->domains[k]);
				return err_at(e, "/domains/%u", i);
			}
		}
	}
	return 0;
}

static int check_data_path(const struct render_static *st, struct err *e)
{
	struct str s;
	if (field(st->data_path, sizeof(st->data_path), "data path", &s, e) < 0)
		return -1;
	if (!st->data)
		return s.n == 0 ? 0 : err_set(e, ERR_INVALID, "a data path without data");
	if (name_subpath(s, e) < 0)
		return -1;
	if (!out_inert(st->data_path)) {
		char shown[80];
		log_escape(s, shown, sizeof(shown));
		err_set(
		    e, ERR_INVALID, "data path '%s' has a character that cannot be served", shown);
		return err_hint(e, "use letters, digits, '.', '_', '~', '@', ':', '-' and '/'");
	}
	return 0;
}

static int check_static(const struct render_vhost *v, unsigned at, struct err *e)
{
	const struct render_static *st = &v->statics[at];
	struct str url;
	if (st->data > 1)
		return err_set(e, ERR_INVALID, "the data mark is %u, not 0 or 1", st->data);
	if (field(st->url, sizeof(st->url), "URL prefix", &url, e) < 0 ||
	    name_url_prefix(url, e) < 0)
		return -1;
	if (str_eq_c(url, "/.slipway") || str_starts(url, STR("/.slipway/")) ||
	    str_starts(url, STR("/.well-known/acme-challenge")))
		return err_set(e, ERR_INVALID, "URL prefix '%s' belongs to the edge", st->url);
	for (unsigned k = 0; k < at; k++)
		if (str_eq_c(url, v->statics[k].url))
			return err_set(e, ERR_INVALID, "URL prefix '%s' is named twice", st->url);
	return check_data_path(st, e);
}

static int check_rest(const struct render_vhost *v, struct err *e)
{
	if (v->web_instances > LIMIT_INSTANCES)
		return err_set(e, ERR_INVALID, "%u instances are more than %u", v->web_instances,
		    LIMIT_INSTANCES);
	if (v->maintenance > 1)
		return err_set(
		    e, ERR_INVALID, "the maintenance mark is %u, not 0 or 1", v->maintenance);
	if (v->headers >= RENDER_HEADERS_COUNT)
		return err_set(e, ERR_INVALID, "the headers are %u, not 0 or 1", v->headers);
	if (v->body_max_bytes == 0 || v->body_max_bytes > RENDER_BODY_MAX_BYTES)
		return err_set(e, ERR_INVALID, "a body limit is from 1 byte to 1 TB");
	if (v->request_timeout_s == 0 || v->request_timeout_s > RENDER_TIMEOUT_MAX_S)
		return err_set(e, ERR_INVALID, "a request timeout is from 1 s to 1 day");
	return 0;
}

int render_vhost_check(const struct render_vhost *v, struct err *e)
{
	if (v->version != RENDER_VHOST_VERSION)
		return err_set(
		    e, ERR_INVALID, "vhost version %u is not %u", v->version, RENDER_VHOST_VERSION);
	if (check_project(v, e) < 0 || check_domains(v, e) < 0 || check_rest(v, e) < 0)
		return -1;
	if (v->static_count > LIMIT_STATICS)
		return err_set(e, ERR_INVALID, "%u static paths are more than %u", v->static_count,
		    LIMIT_STATICS);
	for (unsigned i = 0; i < v->static_count; i++)
		if (check_static(v, i, e) < 0)
			return err_at(e, "/static/%u", i);
	return 0;
}
