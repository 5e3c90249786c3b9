/* kind nginx-site: a repository of sites and snippets that becomes the edge's configuration. Never detected, and never
 * because a manifest says so: an operator made the project as one. */
#include "kinds/kind.h"

#include "base/crc32c.h"
#include "base/name.h"
#include "kinds/site_certs.h"
#include "kinds/site_filter.h"
#include "text/nginx.h"

#define FOLDER "production"
#define SNIPPETS "snippets"
#define MANY_HINT                                                                                  \
	"read are sites, snippets, manifests, Makefiles, Python's settings and the like: let "     \
	"several sites share a file, or keep what is not for nginx in another repository"

struct taking {
	struct kind_work *w;
	struct manifest_sites rules;
	struct plan_site sites[SITE_FILES_MAX], snippets[SITE_FILES_MAX];
	struct str site_texts[SITE_FILES_MAX], snippet_texts[SITE_FILES_MAX];
	size_t disabled, excluded, other;
};

static bool detect(struct kind_work *w)
{
	(void)w;
	return false;
}

/* The name of a file right in the folder; empty: not one. */
static struct str name_in(const struct tree_entry *t, struct str folder)
{
	if (t->directory || t->path.n <= folder.n + 1 || !str_starts(t->path, folder) ||
	    t->path.p[folder.n] != '/')
		return STR_NONE;
	struct str name = str_from(t->path, folder.n + 1);
	return str_find(name, '/', 0) == SIZE_MAX ? name : STR_NONE;
}

/* Names that a certificate can be for; an authority asks no other question here than one by http,
 * which says nothing of "*.". */
static void take_domains(struct kind_work *w, const struct nginx_file *f, struct plan_site *s)
{
	struct err ignored;
	s->domains.v = arena_array(w->a, f->name_count + 1, sizeof(struct str));
	for (size_t i = 0; s->domains.v && i < f->name_count; i++)
		if (name_domain(f->names[i], &ignored) == 0)
			s->domains.v[s->domains.n++] = f->names[i];
}

static void refuse_unread(struct kind_work *w, const struct tree_entry *t)
{
	if (t->size > SITE_BYTES_MAX)
		kind_fail(w, ERR_TOO_LARGE, "split it, or let several sites share snippets",
		    "'%.*s' is larger than %u bytes", STR_ARG(t->path), SITE_BYTES_MAX);
	else
		kind_fail(w, ERR_TOO_LARGE, MANY_HINT,
		    "'%.*s' is no file that can be read, or beyond the %u files that are read of a "
		    "repository",
		    STR_ARG(t->path), TREE_READ_MAX);
}

static bool read_text(struct kind_work *w, const struct tree_entry *t, struct plan_site *s)
{
	struct nginx_file f;
	if (!t->has_content) {
		refuse_unread(w, t);
		return false;
	}
	if (nginx_read(t->content, w->a, &f, w->e) < 0) {
		(void)err_prefix(w->e, "'%.*s'", STR_ARG(t->path));
		w->failed = true;
		return false;
	}
	s->bytes = (uint32_t)t->content.n;
	s->crc32c = crc32c(0, t->content);
	s->edits = f.edits;
	s->edit_count = f.edit_count;
	s->certified = f.certified;
	take_domains(w, &f, s);
	return true;
}

static bool fits(struct kind_work *w)
{
	if (w->p->site_count + w->p->snippet_count < SITE_FILES_MAX)
		return true;
	kind_fail(
	    w, ERR_TOO_LARGE, "", "there are more than %u sites and snippets", SITE_FILES_MAX);
	return false;
}

static void refuse_name(struct kind_work *w, const struct tree_entry *t)
{
	(void)err_prefix(w->e, "'%.*s'", STR_ARG(t->path));
	(void)err_hint(w->e, "rename the file, or let its name end in .disabled");
	w->failed = true;
}

static void take_site(struct taking *k, const struct tree_entry *t, struct str file)
{
	struct kind_work *w = k->w;
	struct plan_site *s = &k->sites[w->p->site_count];
	struct str name;
	bool disabled;
	if (!site_file(file, &name, &disabled)) {
		k->other++;
		return;
	}
	if (disabled) {
		k->disabled++;
		return;
	}
	if (name_site(name, w->e) < 0) {
		refuse_name(w, t);
		return;
	}
	if (!site_filter_takes(k->rules.rules, k->rules.rule_count, name)) {
		k->excluded++;
		return;
	}
	for (size_t i = 0; i < w->p->site_count; i++)
		if (str_eq(k->sites[i].name, name))
			kind_fail(w, ERR_INVALID, "keep one of them", "site '%.*s' has two files",
			    STR_ARG(name));
	if (w->failed || !fits(w))
		return;
	*s = (struct plan_site){.name = name, .file = file};
	k->site_texts[w->p->site_count] = t->content;
	w->p->site_count += read_text(w, t, s);
}

static void take_snippet(struct taking *k, const struct tree_entry *t, struct str file)
{
	struct kind_work *w = k->w;
	struct plan_site *s = &k->snippets[w->p->snippet_count];
	if (name_snippet(file, w->e) < 0) {
		refuse_name(w, t);
		return;
	}
	if (!fits(w))
		return;
	*s = (struct plan_site){.name = file, .file = file};
	if (!read_text(w, t, s))
		return;
	s->domains.n = 0;
	k->snippet_texts[w->p->snippet_count++] = t->content;
}

static void tell(const struct taking *k)
{
	struct kind_work *w = k->w;
	kind_reason(w, "%zu %s in %.*s, %zu %s", w->p->site_count,
	    w->p->site_count == 1 ? "site" : "sites", STR_ARG(w->p->sites_folder),
	    w->p->snippet_count, w->p->snippet_count == 1 ? "snippet" : "snippets");
	if (k->disabled)
		kind_note(w, "%zu disabled by their names", k->disabled);
	if (k->excluded)
		kind_note(w, "%zu left out by the rules", k->excluded);
	if (k->other)
		kind_note(w, "%zu in %.*s not called [SITE].nginxconf or [SITE].conf: left out",
		    k->other, STR_ARG(w->p->sites_folder));
	if (w->m.build_count || w->m.process_count || w->m.static_count || w->m.release.n ||
	    w->m.domains.n || w->m.headers != MANIFEST_HEADERS_BASIC)
		kind_note(w,
		    "build, processes, static, domains, headers and release of slipway.yaml "
		    "say nothing for this kind");
	for (size_t i = 0; i < w->p->site_count; i++) {
		const struct plan_site *s = &k->sites[i];
		if (s->certified && s->domains.n == 0)
			kind_note(w,
			    "site %.*s: its first server_name line has no name that an authority "
			    "could ask for",
			    STR_ARG(s->name));
	}
}

/* What the operator said, else the manifest; without a word all of them. */
static struct manifest_sites rules_of(const struct kind_work *w)
{
	static struct str all[] = {{"*", 1}};
	static struct manifest_site_rule everything[] = {{true, {all, 1}}};
	struct manifest_sites s = w->m.sites;
	const struct manifest_sites *own = w->in->sites;
	if (own && own->has_rules) {
		s.has_rules = true;
		s.rules = own->rules;
		s.rule_count = own->rule_count;
	}
	if (own && own->folder.n)
		s.folder = own->folder;
	if (own && own->has_certificates)
		s.no_certificates = own->no_certificates;
	if (s.folder.n == 0)
		s.folder = STR(FOLDER);
	if (!s.has_rules) {
		s.rules = everything;
		s.rule_count = 1;
	}
	return s;
}

static void *keep(struct kind_work *w, const struct plan_site *list, size_t count)
{
	struct plan_site *p = arena_array(w->a, count + 1, sizeof(*p));
	for (size_t i = 0; p && i < count; i++)
		p[i] = list[i];
	if (!p)
		kind_fail(w, ERR_TOO_LARGE, "", "the plan is too large");
	return p;
}

static bool has_folder(const struct tree *t, struct str folder)
{
	for (size_t i = 0; i < t->count; i++) {
		struct str path = t->entries[i].path;
		if (str_starts(path, folder) &&
		    (path.n == folder.n ? t->entries[i].directory : path.p[folder.n] == '/'))
			return true;
	}
	return false;
}

/* A folder that is not seen would be one without sites, and all that are served would go. */
static void check_folder(struct kind_work *w)
{
	struct str folder = w->p->sites_folder, rest = folder, part;
	unsigned depth = 1; /* of its files */
	while (str_next(&rest, '/', &part))
		depth++;
	if (depth > TREE_LISTED_DEPTH)
		kind_fail(w, ERR_INVALID,
		    "move it up, or name another: slipway sites PROJECT --folder",
		    "the folder of sites '%.*s' is more than %u folders deep", STR_ARG(folder),
		    TREE_LISTED_DEPTH - 1);
	else if (!has_folder(w->in->tree, folder))
		kind_fail(w, ERR_INVALID,
		    "name another: slipway sites PROJECT --folder; to serve no site: slipway stop "
		    "PROJECT",
		    "there is no folder of sites '%.*s'", STR_ARG(folder));
}

/* What is not told of could be a site, which would go, or the rules. */
static void check_whole(struct kind_work *w)
{
	if (w->in->tree->dropped)
		kind_fail(w, ERR_TOO_LARGE, MANY_HINT,
		    "the repository is too large for sites: it has more than %u files that are "
		    "read, and %u other names",
		    TREE_READ_MAX, TREE_LISTED_MAX);
}

static void plan(struct kind_work *w)
{
	struct taking *k = arena_alloc(w->a, sizeof(*k));
	if (!k) {
		kind_fail(w, ERR_TOO_LARGE, "", "the plan is too large");
		return;
	}
	*k = (struct taking){.w = w, .rules = rules_of(w)};
	w->p->certificates = !k->rules.no_certificates;
	w->p->sites_folder = kind_path(w, k->rules.folder);
	w->p->snippets_folder = kind_path(w, STR(SNIPPETS));
	check_whole(w);
	if (!w->failed)
		check_folder(w);
	for (size_t i = 0; i < w->in->tree->count && !w->failed; i++) {
		const struct tree_entry *t = &w->in->tree->entries[i];
		struct str site = name_in(t, w->p->sites_folder),
			   snippet = name_in(t, w->p->snippets_folder);
		if (site.n)
			take_site(k, t, site);
		else if (snippet.n)
			take_snippet(k, t, snippet);
	}
	if (w->failed)
		return;
	w->p->sites = keep(w, k->sites, w->p->site_count);
	w->p->snippets = keep(w, k->snippets, w->p->snippet_count);
	if (!w->failed)
		site_certs_check(w, k->site_texts, k->snippet_texts);
	tell(k);
}

const struct kind kind_nginx_site = {MANIFEST_KIND_NGINX_SITE, detect, plan};
