#include "kinds/kind.h"

/* Folders that site generators write to or keep their pages in, when the top has none. */
static const char *const folders[] = {
    "public", "dist", "build", "site", "_site", "docs", "html", "www"};

static const char *find(struct kind_work *w)
{
	if (kind_has(w, "index.html"))
		return "";
	for (size_t i = 0; i < sizeof(folders) / sizeof(*folders); i++) {
		const char *index = arena_printf(w->a, "%s/index.html", folders[i]);
		if (index && kind_has(w, index))
			return folders[i];
	}
	return NULL;
}

static bool has_front(const struct manifest *m)
{
	for (size_t i = 0; i < m->static_count; i++)
		if (str_eq_c(m->statics[i].url, "/"))
			return true;
	return false;
}

static bool detect(struct kind_work *w)
{
	const char *folder = find(w);
	if (has_front(&w->m))
		kind_reason(w, "static: {/: …} in slipway.yaml");
	else if (folder)
		kind_reason(w, "%s%sindex.html", folder, *folder ? "/" : "");
	else
		return false;
	return true;
}

static void plan(struct kind_work *w)
{
	const char *folder = find(w);
	if (w->m.static_count)
		return;
	if (!folder && w->m.build_count)
		kind_fail(w, ERR_INVALID, "say it in slipway.yaml: static: {/: dist}",
		    "which folder the build writes the pages to is not known");
	if (!folder)
		kind_note(w, "there is no index.html; the whole tree is served as it is");
	kind_static_path(w, STR("/"), str_c(folder));
}

const struct kind kind_static = {MANIFEST_KIND_STATIC, detect, plan};
