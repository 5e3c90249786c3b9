#include "kinds/kind.h"

#include <string.h>

#define WEB_STOP_MS 40000 /* longer than gunicorn's own 30 s to end what is under way */

/* An application object as servers name it: "module:attribute". */
struct found {
	struct str app;
	const char *file, *framework;
};

static const struct framework {
	const char *call; /* "app = CALL(…)" at the start of a line */
	const char *name;
	bool asgi;
} frameworks[] = {
    {"Flask(", "Flask", false},
    {"FastAPI(", "FastAPI", true},
    {"Starlette(", "Starlette", true},
    {"Quart(", "Quart", true},
    {"Litestar(", "Litestar", true},
    {"Sanic(", "Sanic", true},
    {"falcon.App(", "Falcon", false},
    {"falcon.asgi.App(", "Falcon", true},
    {"Bottle(", "Bottle", false},
    {"bottle.default_app(", "Bottle", false},
    {"get_wsgi_application(", "Django", false},
    {"get_asgi_application(", "Django", true},
    {"web.Application(", "aiohttp", false},
};
static const char *const files[] = {
    "wsgi.py", "asgi.py", "app.py", "main.py", "application.py", "server.py"};

static bool word(struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];
		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
			c == '_'))
			return false;
	}
	return s.n > 0;
}

static struct str module_of(const char *file)
{
	struct str s = str_c(file);
	return str_slice(s, 0, s.n - 3);
}

static void set(
    struct kind_work *w, struct found *f, const char *file, struct str name, const char *framework)
{
	f->app = kind_text(w, "%.*s:%.*s", STR_ARG(module_of(file)), STR_ARG(name));
	f->file = file;
	f->framework = framework;
}

/* "NAME = Call(…)": which framework, and of the wanted interface? */
static bool assigned(
    struct kind_work *w, struct str line, const char *file, bool asgi, struct found *f)
{
	size_t eq = str_find(line, '=', 0);
	struct str name = str_trim(str_slice(line, 0, eq));
	size_t colon = str_find(name, ':', 0); /* app: Flask = … */
	name = str_trim(str_slice(name, 0, colon));
	if (eq == SIZE_MAX || line.p[0] == ' ' || line.p[0] == '\t' || !word(name))
		return false;
	struct str value = str_trim(str_from(line, eq + 1));
	for (size_t i = 0; i < sizeof(frameworks) / sizeof(*frameworks); i++)
		if (str_starts(value, str_c(frameworks[i].call)) ||
		    (str_contains(value, str_c(frameworks[i].call)) && value.n &&
			value.p[0] != '"')) {
			if (frameworks[i].asgi == asgi &&
			    strcmp(frameworks[i].name, "aiohttp") != 0) {
				set(w, f, file, name, frameworks[i].name);
				return true;
			}
			return false;
		}
	bool by_name = str_eq_c(name, "application") ||
		       (str_eq_c(name, "app") && str_contains(value, STR("create_app(")));
	if (by_name && asgi == (strcmp(file, "asgi.py") == 0) && value.n) {
		set(w, f, file, name, asgi ? "ASGI" : "WSGI");
		return true;
	}
	return false;
}

static bool look_into(struct kind_work *w, const char *file, bool asgi, struct found *f)
{
	struct str text = kind_content(w, file), line;
	const char *const functions[] = {asgi ? "async def application(" : "def application(",
	    asgi ? "async def app(" : "def app("};
	static const char *const names[] = {"application", "app"};
	while (str_next(&text, '\n', &line)) {
		if (line.n && assigned(w, line, file, asgi, f))
			return true;
		for (size_t i = 0; i < 2; i++)
			if (str_starts(line, str_c(functions[i]))) {
				set(w, f, file, str_c(names[i]), asgi ? "ASGI" : "WSGI");
				return true;
			}
	}
	return false;
}

/* A package with an application factory: PACKAGE/__init__.py with "def create_app(" and Flask. */
static bool factory(struct kind_work *w, struct found *f)
{
	for (size_t i = 0; i < w->in->tree->count; i++) {
		const struct tree_entry *t = &w->in->tree->entries[i];
		struct str path = t->path;
		if (w->root.n &&
		    !(str_starts(path, w->root) && path.n > w->root.n && path.p[w->root.n] == '/'))
			continue;
		path = str_from(path, w->root.n ? w->root.n + 1 : 0);
		size_t slash = str_find(path, '/', 0);
		if (slash == SIZE_MAX || !str_eq_c(str_from(path, slash), "/__init__.py"))
			continue;
		if (!str_contains(t->content, STR("def create_app(")) ||
		    !str_contains(t->content, STR("Flask")))
			continue;
		f->app = kind_text(w, "%.*s:create_app()", (int)slash, path.p);
		f->file = arena_cstr(w->a, path);
		f->framework = "Flask";
		return f->file != NULL;
	}
	return false;
}

static bool find(struct kind_work *w, bool asgi, struct found *f)
{
	for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++)
		if (kind_has(w, files[i]) && look_into(w, files[i], asgi, f))
			return true;
	return !asgi && factory(w, f);
}

static bool detect(struct kind_work *w, bool asgi)
{
	struct found f;
	if (!find(w, asgi, &f))
		return false;
	kind_reason(w, "%s, %s", f.file, f.framework);
	return true;
}

static bool detect_wsgi(struct kind_work *w)
{
	return detect(w, false);
}

static bool detect_asgi(struct kind_work *w)
{
	return detect(w, true);
}

static bool web_is_given(struct kind_work *w)
{
	for (size_t i = 0; i < w->m.process_count; i++)
		if (str_eq_c(w->m.processes[i].name, "web"))
			return true;
	return str_contains(kind_content(w, "Procfile"), STR("web:"));
}

static void plan(struct kind_work *w, bool asgi)
{
	struct found f = {0};
	bool given = web_is_given(w), found = find(w, asgi, &f);
	const char *server = asgi ? "uvicorn" : "gunicorn";
	kind_python_install(w, given ? NULL : server);
	kind_env(w, "PYTHONUNBUFFERED", STR("1"));
	if (found && strcmp(f.framework, "Flask") == 0 && kind_has_folder(w, "static"))
		kind_static_path(w, STR("/static"), STR("static"));
	if (given)
		return;
	if (!found) {
		kind_fail(w, ERR_INVALID,
		    "name it: processes: {web: {run: [gunicorn, module:app], listen: socket}}",
		    "no %s application was found in wsgi.py, asgi.py, app.py or main.py",
		    asgi ? "ASGI" : "WSGI");
		return;
	}
	const char *app = arena_cstr(w->a, f.app), *words[16];
	size_t n = 0;
	if (w->python_installed) {
		words[n++] = w->python;
		words[n++] = "-m";
	}
	words[n++] = server;
	words[n++] = asgi ? "--fd" : "--workers";
	words[n++] = asgi ? "3" : "2";
	if (asgi)
		words[n++] = "--proxy-headers";
	words[n++] = app ? app : "app:app";
	words[n] = NULL;
	kind_web(w, kind_argv(w, words), MANIFEST_LISTEN_SOCKET, WEB_STOP_MS);
}

static void plan_wsgi(struct kind_work *w)
{
	plan(w, false);
}

static void plan_asgi(struct kind_work *w)
{
	plan(w, true);
}

const struct kind kind_wsgi = {MANIFEST_KIND_WSGI, detect_wsgi, plan_wsgi};
const struct kind kind_asgi = {MANIFEST_KIND_ASGI, detect_asgi, plan_asgi};
