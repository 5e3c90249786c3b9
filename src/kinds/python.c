#include "kinds/kind.h"
#include "base/name.h"

#include <string.h>

#define INSTALL_TIMEOUT_MS (30 * 60 * 1000)

/* Where requirements are looked for, first found. */
static const char *const requirement_files[] = {"requirements.txt", "requirements/production.txt",
    "requirements/prod.txt", "requirements/base.txt"};

/* "3.11" out of "python-3.11.4", "3.11.4\n" or "3.11"; empty when it is none. */
static struct str minor_version(struct str s)
{
	s = str_trim(s);
	if (str_starts(s, STR("python-")))
		s = str_from(s, 7);
	size_t n = 0, dots = 0;
	for (; n < s.n; n++) {
		if (s.p[n] == '.' && ++dots == 2)
			break;
		if (s.p[n] != '.' && (s.p[n] < '0' || s.p[n] > '9'))
			break;
	}
	return dots ? str_slice(s, 0, n) : STR("");
}

static struct str wanted_version(struct kind_work *w)
{
	static const char *const files[] = {"runtime.txt", ".python-version"};
	if (w->m.python_version.n)
		return w->m.python_version;
	for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++) {
		struct str v = minor_version(kind_content(w, files[i]));
		if (v.n == 0)
			continue;
		kind_note(w, "Python %.*s, as %s asks for", STR_ARG(v), files[i]);
		return v;
	}
	return STR("");
}

/* Does a requirements file name the package, as a line of its own? */
static bool names_package(struct str text, const char *package)
{
	struct str line, name = str_c(package);
	while (str_next(&text, '\n', &line)) {
		line = str_trim(line);
		if (line.n < name.n || !str_eq_nocase(str_slice(line, 0, name.n), name))
			continue;
		char after = line.n > name.n ? line.p[name.n] : ' ';
		if (strchr(" =<>~![;@#", after))
			return true;
	}
	return false;
}

void kind_python_install(struct kind_work *w, const char *also)
{
	const char *words[32], *found = NULL;
	size_t n = 0;
	if (w->python_installed)
		return;
	for (size_t i = 0; !found && i < sizeof(requirement_files) / sizeof(*requirement_files);
	     i++)
		if (kind_has(w, requirement_files[i]))
			found = requirement_files[i];
	struct str pyproject = kind_content(w, "pyproject.toml");
	bool project = !found && str_contains(pyproject, STR("[project]")) &&
		       str_contains(pyproject, STR("dependencies"));
	struct str version = wanted_version(w);
	if (w->m.system_packages || (!found && !project && version.n == 0)) {
		kind_note(w, "%s: Python packages of the system are used",
		    w->m.system_packages ? "python.system is set" : "no requirements were found");
		return;
	}
	words[n++] = "slipway-tree";
	words[n++] = "python-env";
	words[n++] = "--top";
	words[n++] = w->up;
	if (version.n) {
		words[n++] = "--python";
		words[n++] = arena_cstr(w->a, version);
	}
	if (found || project) {
		words[n++] = found ? "--requirements" : "--project";
		words[n++] = found ? found : "pyproject.toml";
	}
	if (also && !names_package(kind_content(w, found ? found : "pyproject.toml"), also)) {
		words[n++] = "--also";
		words[n++] = also;
	}
	words[n] = NULL;
	kind_build(w, "install Python packages", kind_argv(w, words))->timeout_ms =
	    INSTALL_TIMEOUT_MS;
	w->python = ".venv/bin/python";
	w->python_installed = true;
	kind_note(w, "Python packages from %s into an environment of the release",
	    found     ? found
	    : project ? "pyproject.toml"
		      : "the index, those that the kind needs");
}

struct str kind_python_value(struct str text, const char *name)
{
	struct str line, key = str_c(name);
	while (str_next(&text, '\n', &line)) {
		if (!str_starts(line, key))
			continue;
		struct str rest = str_trim(str_from(line, key.n));
		if (rest.n > 1 && rest.p[0] == '=' && rest.p[1] != '=')
			return str_trim(str_from(rest, 1));
	}
	return STR("");
}

bool kind_python_literals(struct kind_work *w, struct str s, struct str *ret)
{
	struct str out = STR("");
	if (str_contains(s, STR("environ")) || str_contains(s, STR("getenv")) ||
	    str_contains(s, STR("env(")))
		return false;
	for (size_t i = 0; i < s.n && s.p[i] != '#'; i++) {
		if (s.p[i] != '"' && s.p[i] != '\'')
			continue;
		size_t close = str_find(s, s.p[i], i + 1);
		if (close == SIZE_MAX)
			return false;
		struct str part = str_slice(s, i + 1, close - i - 1);
		out = out.n ? kind_text(w, "%.*s/%.*s", STR_ARG(out), STR_ARG(part)) : part;
		i = close;
	}
	*ret = out;
	return out.n > 0;
}
