#include "kinds/kind.h"
#include "base/name.h"

#include <string.h>

#define INSTALL_TIMEOUT_MS (30 * 60 * 1000)

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
	struct str v, quoted = kind_python_value(kind_content(w, "Pipfile"), "python_version");
	if (quoted.n && kind_python_literals(w, quoted, &v) && minor_version(v).n) {
		kind_note(w, "Python %.*s, as Pipfile asks for", STR_ARG(v));
		return minor_version(v);
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

/* What is installed from: the first of these that is there, the most exact first. */
static const struct origin {
	const char *file, *option;
} origins[] = {
    {"uv.lock", "--lock"},
    {"poetry.lock", "--lock"},
    {"Pipfile.lock", "--lock"},
    {"requirements.txt", "--requirements"},
    {"requirements/production.txt", "--requirements"},
    {"requirements/prod.txt", "--requirements"},
    {"requirements/base.txt", "--requirements"},
    {"pyproject.toml", "--project"},
};
#define ORIGINS (sizeof(origins) / sizeof(*origins))

static bool usable(struct kind_work *w, const struct origin *o)
{
	struct str text = kind_content(w, o->file);
	if (!kind_has(w, o->file))
		return false;
	if (strcmp(o->option, "--project") != 0)
		return true;
	return str_contains(text, STR("[project]")) && str_contains(text, STR("dependencies"));
}

/* python: {from: FILE} */
static bool named_origin(struct kind_work *w, struct origin *ret)
{
	const char *name = arena_cstr(w->a, w->m.python_from);
	*ret = (struct origin){name ? name : "", "--requirements"};
	for (size_t i = 0; i < ORIGINS; i++)
		if (str_eq_c(w->m.python_from, origins[i].file))
			*ret = origins[i];
	if (strcmp(ret->option, "--requirements") == 0 && !str_ends(w->m.python_from, STR(".txt")))
		kind_fail(w, ERR_INVALID,
		    "name uv.lock, poetry.lock, Pipfile.lock, pyproject.toml or a requirements "
		    "file (.txt)",
		    "python: {from: %s} is no file to install from", ret->file);
	else if (!kind_has(w, ret->file))
		kind_fail(w, ERR_NOT_FOUND, "name a file that is in the repository",
		    "python: {from: %s} is not there", ret->file);
	return !w->failed;
}

/* Says which other files are not read, and why. */
static bool found_origin(struct kind_work *w, struct origin *ret)
{
	size_t at = 0;
	while (at < ORIGINS && !usable(w, &origins[at]))
		at++;
	if (at == ORIGINS)
		return false;
	*ret = origins[at];
	bool lock = strcmp(ret->option, "--lock") == 0;
	for (size_t i = at + 1; lock && i < ORIGINS && strcmp(origins[i].option, "--project") != 0;
	     i++)
		if (kind_has(w, origins[i].file))
			kind_note(w,
			    "%s is not read beside %s, which says every version and hash; python: "
			    "{from: %s} "
			    "in slipway.yaml chooses it",
			    origins[i].file, ret->file, origins[i].file);
	return true;
}

static void note_unread(struct kind_work *w)
{
	if (kind_has(w, "Pipfile"))
		kind_note(w, "Pipfile is read only with its lock: commit Pipfile.lock");
	else if (str_contains(kind_content(w, "pyproject.toml"), STR("[tool.poetry")))
		kind_note(
		    w, "Poetry's dependencies are read only with their lock: commit poetry.lock");
}

void kind_python_install(struct kind_work *w, const char *also)
{
	const char *words[32];
	struct origin from = {NULL, NULL};
	size_t n = 0;
	if (w->python_installed)
		return;
	bool found = w->m.python_from.n ? named_origin(w, &from) : found_origin(w, &from);
	if (w->failed)
		return;
	struct str version = wanted_version(w);
	if (!found)
		note_unread(w);
	if (w->m.system_packages || (!found && version.n == 0)) {
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
	if (found) {
		words[n++] = from.option;
		words[n++] = from.file;
	}
	if (also && !(found && names_package(kind_content(w, from.file), also))) {
		words[n++] = "--also";
		words[n++] = also;
	}
	words[n] = NULL;
	kind_build(w, "install Python packages", kind_argv(w, words))->timeout_ms =
	    INSTALL_TIMEOUT_MS;
	w->python = ".venv/bin/python";
	w->python_installed = true;
	kind_note(w, "Python packages from %s into an environment of the release",
	    found ? from.file : "the index, those that the kind needs");
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
