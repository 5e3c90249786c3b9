#include "kinds/site_certs.h"

#include <string.h>

struct look {
	struct kind_work *w;
	bool included[SITE_FILES_MAX], seen[SITE_FILES_MAX]; /* snippets */
};

/* What stands behind the place's own words. */
static struct str word_at(struct str text, const struct site_edit *edit)
{
	struct str rest =
	    str_from(text, edit->at + strlen(site_place_text((enum site_place)edit->what)));
	size_t n = 0;
	while (n < rest.n && !strchr(" \t\r\n;{\"'", rest.p[n]))
		n++;
	return str_slice(rest, 0, n);
}

/* To the last slash: what leads from one site's folder into another is no name. */
static struct str site_of(struct str word)
{
	size_t n = word.n;
	while (n > 0 && word.p[n - 1] != '/')
		n--;
	return n ? str_slice(word, 0, n - 1) : word;
}

static size_t line_of(struct str text, size_t at)
{
	size_t line = 1;
	for (size_t i = 0; i < at; i++)
		line += text.p[i] == '\n';
	return line;
}

static bool has_certificate(const struct plan *p, struct str name)
{
	for (size_t i = 0; i < p->site_count; i++)
		if (str_eq(p->sites[i].name, name))
			return p->sites[i].certified;
	return false;
}

/* A name with a variable is known by the request alone. */
static void check_site(struct look *l, struct str folder, const struct plan_site *s,
    struct str text, const struct site_edit *edit)
{
	struct str name = site_of(word_at(text, edit));
	if (str_find(name, '$', 0) != SIZE_MAX || has_certificate(l->w->p, name))
		return;
	kind_fail(l->w, ERR_INVALID,
	    "let it name its own certificate, or bring that site back, with a certificate named in "
	    "its own text",
	    "%.*s/%.*s:%zu names the certificate of '%.*s', which is no site of this push with a "
	    "certificate",
	    STR_ARG(folder), STR_ARG(s->file), line_of(text, edit->at), STR_ARG(name));
}

/* A pattern is taken for all of them. */
static void follow(struct look *l, struct str word)
{
	const struct plan *p = l->w->p;
	bool all = str_find(word, '*', 0) != SIZE_MAX || str_find(word, '?', 0) != SIZE_MAX ||
		   str_find(word, '[', 0) != SIZE_MAX;
	for (size_t i = 0; i < p->snippet_count; i++)
		l->included[i] = l->included[i] || all || str_eq(word, p->snippets[i].file);
}

static void look_at(struct look *l, struct str folder, const struct plan_site *s, struct str text)
{
	for (size_t i = 0; i < s->edit_count && !l->w->failed; i++) {
		uint32_t what = s->edits[i].what;
		if (what == SITE_LIVE || what == SITE_LIVE_ETC)
			check_site(l, folder, s, text, &s->edits[i]);
		else if (what == SITE_SNIPPETS || what == SITE_SNIPPETS_ETC)
			follow(l, word_at(text, &s->edits[i]));
	}
}

static bool look_at_included(struct look *l, const struct str *snippets)
{
	const struct plan *p = l->w->p;
	bool any = false;
	for (size_t i = 0; i < p->snippet_count; i++) {
		if (!l->included[i] || l->seen[i])
			continue;
		any = l->seen[i] = true;
		look_at(l, p->snippets_folder, &p->snippets[i], snippets[i]);
	}
	return any;
}

void site_certs_check(struct kind_work *w, const struct str *sites, const struct str *snippets)
{
	struct look l = {.w = w};
	for (size_t i = 0; i < w->p->site_count; i++)
		look_at(&l, w->p->sites_folder, &w->p->sites[i], sites[i]);
	while (!w->failed && look_at_included(&l, snippets))
		;
}
