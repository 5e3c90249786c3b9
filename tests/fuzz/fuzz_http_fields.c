/* rooms: base loop crypto text http store */
/* covers: http/fields.c text/html.c store/names.c */
/* Line 1 a Cookie header, line 2 a query, the rest a form: whatever is found is no longer than what
 * came, holds no NUL, and as HTML holds nothing that ends text or an attribute. The whole is a
 * statement, too. */
#include "http/http.h"
#include "store/names.h"
#include "text/html.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
	if (!ok)
		abort();
}

static void check_html(struct str s)
{
	struct buf b;
	buf_init(&b, 8 * s.n + 64);
	html_escape(&b, s);
	must(!b.full && str_utf8_ok(buf_view(&b)));
	for (size_t i = 0; i < b.n; i++)
		must(strchr("<>\"'", b.p[i]) == NULL || b.p[i] == '\0');
	buf_fini(&b);
}

static void check_value(struct str found, struct str from)
{
	must(!found.p || (found.n <= from.n && memchr(found.p, '\0', found.n) == NULL));
	if (found.p)
		check_html(found);
}

static void check_names(struct str all)
{
	struct buf sql, out;
	struct names n;
	struct err e;
	buf_init(&sql, all.n + 1);
	buf_init(&out, 4 * all.n + 64);
	buf_str(&sql, str_slice(all, 0, strnlen(all.p ? all.p : "", all.n)));
	if (names_number(sql.p ? sql.p : "", &out, &n, &e) == 0) {
		must(n.count <= NAMES_MAX);
		for (size_t i = 0; i < n.count; i++)
			must(n.name[i].n > 1 && n.name[i].p[0] == '$');
	}
	buf_fini(&sql);
	buf_fini(&out);
}

/* Each pair in turn: never more of them than came, and the first of a name is what http_form has.
 */
static void check_each(const struct http_request *r)
{
	struct str name, value;
	size_t at = 0, last = 0;
	bool seen = false;
	while (http_form_each(r, &at, &name, &value) == 1) {
		must(at > last && at <= r->body.n);
		last = at;
		check_value(value, r->body);
		if (!seen && str_eq_c(name, "text")) {
			seen = true;
			must(str_eq(http_form(r, "text"), value));
		}
	}
}

/* Decoded in place it is what a copy gives. */
static void check_taken(struct http_request *r)
{
	CLEANUP_BUF struct buf own;
	struct str copied = http_form(r, "text");
	buf_init(&own, r->body.n + 1);
	buf_str(&own, r->body);
	r->body = buf_view(&own);
	struct str taken = http_form_take(r, "text");
	must((copied.p == NULL) == (taken.p == NULL) && str_eq(copied, taken));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str rest = {(const char *)data, size}, cookie = STR(""), query = STR("");
	struct arena a;
	check_html(rest);
	check_names(rest);
	(void)str_next(&rest, '\n', &cookie);
	(void)str_next(&rest, '\n', &query);
	const struct http_header h[] = {{STR("Cookie"), cookie},
	    {STR("Content-Type"), STR("application/x-www-form-urlencoded")}};
	arena_init(&a, 1u << 20);
	struct http_request r = {.headers = h,
	    .header_count = 2,
	    .query = query,
	    .body = rest.p ? rest : STR(""),
	    .arena = &a};
	/* As sent: that a header holds no NUL is the scan's doing. */
	struct str session = http_cookie(&r, "session");
	must(session.n <= cookie.n);
	check_html(session);
	check_value(http_query(&r, "a"), query);
	check_value(http_form(&r, "text"), r.body);
	check_value(http_form(&r, ""), r.body);
	check_each(&r);
	check_taken(&r);
	arena_fini(&a);
	return 0;
}
