/* Small things that every resource needs: pages, tags, parameters, members. */
#include "api/call.h"

#include "base/log.h"
#include "base/num.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

struct model_viewer api_viewer(const struct api_call *c)
{
	enum model_role least = MODEL_ROLE_VIEWER;
	if (c->route->access.need == ACCESS_DEPLOY)
		least = MODEL_ROLE_DEPLOYER;
	if (c->route->access.need == ACCESS_ADMIN)
		least = MODEL_ROLE_ADMIN;
	if (c->route->access.need == ACCESS_OWNER)
		least = MODEL_ROLE_OWNER;
	return access_viewer(c->who, least);
}

static int page_limit(const struct api_call *c, uint32_t *ret, struct err *e)
{
	struct str limit = http_query(c->r, "limit");
	int64_t n = API_PAGE_DEFAULT;
	if (limit.p && !num_i64(limit, 1, API_PAGE_LIMIT, &n))
		return err_set(e, ERR_INVALID, "limit must be from 1 to %d", API_PAGE_LIMIT);
	*ret = (uint32_t)n;
	return 0;
}

int api_page(const struct api_call *c, struct model_page *ret, struct err *e)
{
	struct str after = http_query(c->r, "after");
	ret->after = 0;
	if (after.p && !num_i64(after, 1, INT64_MAX, &ret->after)) {
		err_set(e, ERR_INVALID, "after is no cursor of this list");
		return err_hint(e, "give what the page before said as 'next'");
	}
	return page_limit(c, &ret->limit, e);
}

int api_page_name(
    const struct api_call *c, struct str *ret_after, uint32_t *ret_limit, struct err *e)
{
	struct str after = http_query(c->r, "after");
	*ret_after = after.p ? after : STR("");
	return page_limit(c, ret_limit, e);
}

void api_list_open(struct api_call *c)
{
	json_open_object(&c->w, NULL);
	json_open_array(&c->w, "items");
}

void api_list_close(struct api_call *c, bool more, struct str next)
{
	json_close_array(&c->w);
	json_put_str(&c->w, "next", more ? next : STR_NONE);
	json_close_object(&c->w);
}

void api_list_close_id(struct api_call *c, bool more, int64_t next)
{
	char text[24];
	snprintf(text, sizeof(text), "%" PRId64, next);
	api_list_close(c, more, str_c(text));
}

int api_absent(const char *what, struct str id, struct err *e)
{
	char shown[160];
	log_escape(id, shown, sizeof(shown));
	return err_set(e, ERR_NOT_FOUND, "there is no %s '%s'", what, shown);
}

int api_param_id(
    const struct api_call *c, const char *name, const char *what, int64_t *ret, struct err *e)
{
	struct str text = http_param(c->http, name);
	if (num_i64(text, 1, INT64_MAX, ret))
		return 0;
	return api_absent(what, text, e);
}

void api_etag(struct api_call *c, int64_t version)
{
	buf_printf(&c->headers, "ETag: \"%" PRId64 "\"\r\n", version);
}

int api_if_match(const struct api_call *c, int64_t *ret_version, struct err *e)
{
	struct str tag = str_trim(http_header_get(c->r, "If-Match"));
	*ret_version = -1;
	if (!tag.n || str_eq_c(tag, "*"))
		return 0;
	if (tag.n > 2 && tag.p[0] == '"' && tag.p[tag.n - 1] == '"' &&
	    num_i64(str_slice(tag, 1, tag.n - 2), 0, INT64_MAX, ret_version))
		return 0;
	err_set(e, ERR_PRECONDITION, "If-Match names no version of this");
	return err_hint(e, "give the ETag of the answer that you changed");
}

void api_location(struct api_call *c, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	buf_c(&c->headers, "Location: ");
	buf_vprintf(&c->headers, fmt, ap);
	buf_c(&c->headers, "\r\n");
	va_end(ap);
}

struct str api_str(const json_t *o, const char *key)
{
	const json_t *v = json_object_get(o, key);
	if (!json_is_string(v))
		return STR_NONE;
	return (struct str){json_string_value(v), json_string_length(v)};
}

bool api_bool(const json_t *o, const char *key, bool otherwise)
{
	const json_t *v = json_object_get(o, key);
	return json_is_boolean(v) ? json_is_true(v) : otherwise;
}

int64_t api_int(const json_t *o, const char *key, int64_t otherwise)
{
	const json_t *v = json_object_get(o, key);
	return json_is_integer(v) ? json_integer_value(v) : otherwise;
}

bool api_has(const json_t *o, const char *key)
{
	return json_object_get(o, key) != NULL;
}

void api_put_i64_or_null(struct json_out *w, const char *key, int64_t v)
{
	if (v)
		json_put_i64(w, key, v);
	else
		json_put_null(w, key);
}
