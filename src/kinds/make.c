#include "kinds/kind.h"

static const char *const names[] = {"Makefile", "makefile", "GNUmakefile"};

static const char *makefile(struct kind_work *w)
{
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (kind_has(w, names[i]))
			return names[i];
	return NULL;
}

static bool has_target(struct str text, const char *target)
{
	struct str line;
	while (str_next(&text, '\n', &line)) {
		size_t colon = str_find(line, ':', 0);
		if (colon != SIZE_MAX && str_eq_c(str_trim(str_slice(line, 0, colon)), target))
			return true;
	}
	return false;
}

static bool detect(struct kind_work *w)
{
	const char *file = makefile(w);
	if (!file)
		return false;
	kind_reason(w, "%s", file);
	return true;
}

static void plan(struct kind_work *w)
{
	const char *file = makefile(w);
	if (!file && w->m.build_count == 0) {
		kind_fail(w, ERR_INVALID, "add a Makefile, or say `build:` in slipway.yaml",
		    "kind is make, but there is no Makefile");
		return;
	}
	if (w->m.build_count)
		return;
	if (has_target(kind_content(w, file), "build"))
		kind_build(w, "make build", KIND_ARGV(w, "make", "build"));
	else
		kind_build(w, "make", KIND_ARGV(w, "make"));
}

const struct kind kind_make = {MANIFEST_KIND_MAKE, detect, plan};
