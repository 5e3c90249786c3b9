#include "kinds/kind.h"
#include "base/name.h"

#include <string.h>

#define COMMAND_TIMEOUT_MS (15 * 60 * 1000)
#define WEB_STOP_MS 40000

struct django {
	struct str module;    /* "shop.settings" */
	struct str package;   /* "shop" */
	const char *settings; /* path of the file that was read, below root; NULL none */
	struct str text;
};

/* manage.py: os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings") */
static struct str settings_module(struct str manage)
{
	struct str line;
	while (str_next(&manage, '\n', &line)) {
		size_t at = 0;
		if (!str_contains(line, STR("DJANGO_SETTINGS_MODULE")))
			continue;
		while (
		    at < line.n && !str_starts(str_from(line, at), STR("DJANGO_SETTINGS_MODULE")))
			at++;
		struct str rest = str_from(line, at + 23); /* the name and its closing quote */
		for (size_t i = 0; i < rest.n; i++) {
			if (rest.p[i] != '"' && rest.p[i] != '\'')
				continue;
			size_t close = str_find(rest, rest.p[i], i + 1);
			return close == SIZE_MAX ? STR("") : str_slice(rest, i + 1, close - i - 1);
		}
	}
	return STR("");
}

static bool dotted(struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];
		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
			c == '_' || c == '.'))
			return false;
	}
	return s.n > 0 && s.p[0] != '.' && s.n < 200;
}

static void read_settings(struct kind_work *w, struct django *d)
{
	char path[256];
	size_t n = 0;
	for (; n < d->module.n; n++)
		path[n] = d->module.p[n] == '.' ? '/' : d->module.p[n];
	path[n] = '\0';
	static const char *const tails[] = {".py", "/__init__.py", "/base.py"};
	for (size_t i = 0; i < 3; i++) {
		struct str file = kind_text(w, "%s%s", path, tails[i]);
		const char *name = arena_cstr(w->a, file);
		if (!name || !kind_has(w, name))
			continue;
		d->settings = name;
		d->text = kind_content(w, name);
		if (str_contains(d->text, STR("INSTALLED_APPS")))
			return;
	}
}

static bool find(struct kind_work *w, struct django *d)
{
	*d = (struct django){.text = STR("")};
	d->module = settings_module(kind_content(w, "manage.py"));
	if (!dotted(d->module))
		return false;
	size_t dot = str_find(d->module, '.', 0);
	d->package = str_slice(d->module, 0, dot);
	read_settings(w, d);
	return true;
}

static bool detect(struct kind_work *w)
{
	struct django d;
	if (!kind_has(w, "manage.py") || !find(w, &d))
		return false;
	if (d.settings)
		kind_reason(w, "manage.py, %s", d.settings);
	else
		kind_reason(w, "manage.py, settings module %.*s", STR_ARG(d.module));
	return true;
}

/* STATIC_ROOT as far as text tells; collectstatic fills it. */
static void plan_statics(struct kind_work *w, const struct django *d)
{
	struct err why;
	struct str root, url, literal = kind_python_value(d->text, "STATIC_ROOT");
	bool known =
	    literal.n && kind_python_literals(w, literal, &root) && name_subpath(root, &why) == 0;
	if (!kind_python_literals(w, kind_python_value(d->text, "STATIC_URL"), &url))
		url = STR("/static/");
	while (url.n > 1 && url.p[url.n - 1] == '/')
		url.n--;
	if (url.n && url.p[0] != '/')
		url = kind_text(w, "/%.*s", STR_ARG(url));
	if (known && url.n > 1 && name_url_prefix(url, &why) == 0)
		kind_static_path(w, url, root);
	if (!known && literal.n)
		kind_note(w, "STATIC_ROOT is not a plain folder of the project; say `static:` in "
			     "slipway.yaml");
	if (!known && w->m.static_count == 0)
		return;
	struct args argv = KIND_ARGV(w, w->python, "manage.py", "collectstatic", "--noinput");
	if (literal.n)
		kind_build(w, "collectstatic", argv)->timeout_ms = COMMAND_TIMEOUT_MS;
}

static void plan_web(struct kind_work *w, const struct django *d)
{
	struct str app;
	char wsgi[300];
	if (!kind_python_literals(w, kind_python_value(d->text, "WSGI_APPLICATION"), &app))
		app = kind_text(w, "%.*s.wsgi.application", STR_ARG(d->package));
	if (str_ends(app, STR(".application")))
		app = str_slice(app, 0, app.n - strlen(".application"));
	if (!dotted(app) || !str_copy(app, wsgi, sizeof(wsgi)))
		return;
	if (w->python_installed)
		kind_web(w, KIND_ARGV(w, w->python, "-m", "gunicorn", "--workers", "2", wsgi),
		    MANIFEST_LISTEN_SOCKET, WEB_STOP_MS);
	else
		kind_web(w, KIND_ARGV(w, "gunicorn", "--workers", "2", wsgi),
		    MANIFEST_LISTEN_SOCKET, WEB_STOP_MS);
}

/* A project that speaks ASGI only. */
static void plan_asgi_web(struct kind_work *w, const struct django *d)
{
	char app[300];
	struct str text = kind_text(w, "%.*s.asgi:application", STR_ARG(d->package));
	if (!str_copy(text, app, sizeof(app)))
		return;
	if (w->python_installed)
		kind_web(w,
		    KIND_ARGV(w, w->python, "-m", "uvicorn", "--fd", "3", "--proxy-headers", app),
		    MANIFEST_LISTEN_SOCKET, WEB_STOP_MS);
	else
		kind_web(w, KIND_ARGV(w, "uvicorn", "--fd", "3", "--proxy-headers", app),
		    MANIFEST_LISTEN_SOCKET, WEB_STOP_MS);
}

static void plan(struct kind_work *w)
{
	struct django d;
	if (!kind_has(w, "manage.py") || !find(w, &d)) {
		kind_fail(w, ERR_INVALID, "set `root` to the folder that holds manage.py",
		    "kind is django, but manage.py with its settings module was not found");
		return;
	}
	bool asgi = kind_python_value(d.text, "WSGI_APPLICATION").n == 0 &&
		    kind_python_value(d.text, "ASGI_APPLICATION").n > 0;
	kind_python_install(w, asgi ? "uvicorn" : "gunicorn");
	kind_env(w, "PYTHONUNBUFFERED", STR("1"));
	asgi ? plan_asgi_web(w, &d) : plan_web(w, &d);
	plan_statics(w, &d);
	w->p->release = (struct plan_command){.label = STR("migrate"),
	    .argv = KIND_ARGV(w, w->python, "manage.py", "migrate", "--noinput"),
	    .timeout_ms = COMMAND_TIMEOUT_MS};
}

const struct kind kind_django = {MANIFEST_KIND_DJANGO, detect, plan};
