#include "kinds/plan_sites.h"

#include <string.h>

static void put_list(
    struct json_out *w, const char *key, const struct plan_site *list, size_t count)
{
	json_open_array(w, key);
	for (size_t i = 0; i < count; i++) {
		const struct plan_site *s = &list[i];
		json_open_object(w, NULL);
		json_put_str(w, "name", s->name);
		json_put_str(w, "file", s->file);
		json_open_array(w, "domains");
		for (size_t k = 0; k < s->domains.n; k++)
			json_put_str(w, NULL, s->domains.v[k]);
		json_close_array(w);
		json_put_bool(w, "certified", s->certified);
		json_put_i64(w, "bytes", s->bytes);
		json_put_i64(w, "crc32c", s->crc32c);
		json_open_array(w, "edits"); /* offset, place, offset, place … */
		for (size_t k = 0; k < s->edit_count; k++) {
			json_put_i64(w, NULL, s->edits[k].at);
			json_put_i64(w, NULL, s->edits[k].what);
		}
		json_close_array(w);
		json_close_object(w);
	}
	json_close_array(w);
}

void plan_sites_put(struct json_out *w, const struct plan *p)
{
	if (p->kind != MANIFEST_KIND_NGINX_SITE)
		return;
	json_put_str(w, "sites_folder", p->sites_folder);
	json_put_str(w, "snippets_folder", p->snippets_folder);
	json_put_bool(w, "certificates", p->certificates);
	put_list(w, "sites", p->sites, p->site_count);
	put_list(w, "snippets", p->snippets, p->snippet_count);
}

static int text(const json_t *o, const char *key, struct arena *a, struct str *ret, struct err *e)
{
	struct str s;
	int rc = json_get_str(o, key, &s, e);
	if (rc < 0)
		return -1;
	*ret = arena_str(a, rc == 1 ? s : STR(""));
	return ret->p ? 0 : err_set(e, ERR_TOO_LARGE, "the plan is too large to be read");
}

static int number(const json_t *o, const char *key, uint32_t max, uint32_t *ret, struct err *e)
{
	int64_t v = 0;
	if (json_get_i64(o, key, 0, max, &v, e) < 0)
		return -1;
	*ret = (uint32_t)v;
	return 0;
}

static int take_edits(const json_t *o, struct arena *a, struct plan_site *s, struct err *e)
{
	const json_t *list = json_object_get(o, "edits");
	size_t n = json_array_size(list) / 2;
	s->edits = n > SITE_EDITS_MAX ? NULL : arena_array(a, n + 1, sizeof(*s->edits));
	if (!s->edits)
		return err_set(e, ERR_TOO_LARGE, "the plan is too large to be read");
	for (s->edit_count = 0; s->edit_count < n; s->edit_count++) {
		json_int_t at = json_integer_value(json_array_get(list, 2 * s->edit_count)),
			   what = json_integer_value(json_array_get(list, 2 * s->edit_count + 1));
		if (at < 0 || at > SITE_BYTES_MAX || what < 0 || what >= SITE_PLACE_COUNT)
			return err_set(e, ERR_INVALID, "the plan's 'edits' are out of range");
		s->edits[s->edit_count] =
		    (struct site_edit){.at = (uint32_t)at, .what = (uint32_t)what};
	}
	return 0;
}

static int take_domains(const json_t *o, struct arena *a, struct plan_site *s, struct err *e)
{
	const json_t *list = json_object_get(o, "domains");
	size_t n = json_array_size(list);
	s->domains.v = n > SITE_DOMAINS_MAX ? NULL : arena_array(a, n + 1, sizeof(struct str));
	if (!s->domains.v)
		return err_set(e, ERR_TOO_LARGE, "the plan is too large to be read");
	for (s->domains.n = 0; s->domains.n < n; s->domains.n++) {
		const char *one = json_string_value(json_array_get(list, s->domains.n));
		s->domains.v[s->domains.n] = arena_str(a, str_c(one ? one : ""));
	}
	return 0;
}

static int take_site(const json_t *o, struct arena *a, struct plan_site *s, struct err *e)
{
	if (text(o, "name", a, &s->name, e) != 0 || text(o, "file", a, &s->file, e) != 0 ||
	    json_get_bool(o, "certified", &s->certified, e) < 0 ||
	    number(o, "bytes", SITE_BYTES_MAX, &s->bytes, e) != 0 ||
	    number(o, "crc32c", UINT32_MAX, &s->crc32c, e) != 0)
		return -1;
	return take_domains(o, a, s, e) != 0 ? -1 : take_edits(o, a, s, e);
}

static int take_list(const json_t *o, const char *key, struct arena *a, struct plan_site **ret,
    size_t *ret_count, struct err *e)
{
	const json_t *list = json_object_get(o, key);
	size_t n = json_array_size(list);
	*ret = n > SITE_FILES_MAX ? NULL : arena_array(a, n + 1, sizeof(**ret));
	if (!*ret)
		return err_set(e, ERR_TOO_LARGE, "the plan is too large to be read");
	for (*ret_count = 0; *ret_count < n; ++*ret_count)
		if (take_site(json_array_get(list, *ret_count), a, &(*ret)[*ret_count], e) != 0)
			return -1;
	return 0;
}

int plan_sites_take(const json_t *o, struct arena *a, struct plan *p, struct err *e)
{
	if (p->kind != MANIFEST_KIND_NGINX_SITE)
		return 0;
	if (text(o, "sites_folder", a, &p->sites_folder, e) != 0 ||
	    json_get_bool(o, "certificates", &p->certificates, e) < 0 ||
	    text(o, "snippets_folder", a, &p->snippets_folder, e) != 0 ||
	    take_list(o, "sites", a, &p->sites, &p->site_count, e) != 0)
		return -1;
	return take_list(o, "snippets", a, &p->snippets, &p->snippet_count, e);
}
