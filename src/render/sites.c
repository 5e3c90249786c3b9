#include "render/sites.h"

#include <stdio.h>
#include <string.h>

/* What stands there instead, before and behind the project's name; from the folder of nginx.conf. */
static const struct words {
	const char *before, *behind;
} words[SITE_PLACE_COUNT] = {[SITE_SNIPPETS_ETC] = {"sites/", "/snippets/"},
    [SITE_SNIPPETS] = {"sites/", "/snippets/"},
    [SITE_LIVE_ETC] = {"certs/sites/", "/"},
    [SITE_LIVE] = {"certs/sites/", "/"},
    [SITE_OPTIONS] = {"certbot/options-ssl-nginx.conf", NULL},
    [SITE_DHPARAMS] = {"certbot/ssl-dhparams.pem", NULL},
    [SITE_SERVER] = {" include challenge.conf;", NULL}};

struct copy {
	char *out;
	size_t n, size;
	bool full;
};

static void put(struct copy *c, struct str s)
{
	if (s.n >= c->size - c->n) {
		c->full = true;
		return;
	}
	if (s.n > 0)
		memcpy(c->out + c->n, s.p, s.n);
	c->n += s.n;
}

static bool holds(struct str text, const struct site_edit *edit)
{
	if (edit->what >= SITE_PLACE_COUNT || edit->at > text.n)
		return false;
	if (edit->what == SITE_SERVER)
		return edit->at > 0 && text.p[edit->at - 1] == '{';
	return str_starts(
	    str_from(text, edit->at), str_c(site_place_text((enum site_place)edit->what)));
}

long render_site(struct str text, const struct site_edit *edits, size_t edit_count,
    const char *project, char *out, size_t size, struct err *e)
{
	struct copy c = {.out = out, .size = size};
	size_t done = 0;
	if (name_project(str_c(project), e) < 0)
		return -1;
	for (size_t i = 0; i < edit_count; i++) {
		if (edits[i].at < done || !holds(text, &edits[i]))
			return err_set(
			    e, ERR_CONFLICT, "it is not what was read when it was planned");
		const struct words *w = &words[edits[i].what];
		put(&c, str_slice(text, done, edits[i].at - done));
		put(&c, str_c(w->before));
		if (w->behind) {
			put(&c, str_c(project));
			put(&c, str_c(w->behind));
		}
		done = edits[i].at + strlen(site_place_text((enum site_place)edits[i].what));
	}
	put(&c, str_from(text, done));
	if (c.full)
		return err_set(e, ERR_TOO_LARGE, "it is longer than %zu bytes", size);
	out[c.n] = '\0';
	return (long)c.n;
}

static bool has_part(struct str path, struct str part)
{
	struct str one;
	while (str_next(&path, '/', &one))
		if (str_eq(one, part))
			return true;
	return false;
}

bool render_site_names(struct str text, const char *project, struct str part)
{
	char mark[NAME_PROJECT_MAX + 16];
	int n = snprintf(mark, sizeof(mark), "%s%.*s%s", words[SITE_LIVE].before, NAME_PROJECT_MAX,
	    project, words[SITE_LIVE].behind);
	const char *at;
	while (text.n > 0 && (at = memmem(text.p, text.n, mark, (size_t)n))) {
		text = str_from(text, (size_t)(at - text.p) + (size_t)n);
		size_t end = 0;
		while (end < text.n && !strchr(" \t\r\n;{\"'", text.p[end]))
			end++;
		if (has_part(str_slice(text, 0, end), part))
			return true;
	}
	return false;
}
