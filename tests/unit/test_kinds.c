/* rooms: base loop text crypto priv launch source kinds */
#include "kinds/kinds.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define FILES_MAX 12

struct file {
	const char *path, *content; /* content NULL: a folder */
};

static const char manage[] =
    "import os\nos.environ.setdefault('DJANGO_SETTINGS_MODULE', 'shop.settings')\n";
static const char settings[] =
    "INSTALLED_APPS = []\nWSGI_APPLICATION = 'shop.wsgi.application'\n"
    "STATIC_URL = 'assets/'\nSTATIC_ROOT = BASE_DIR / 'var' / 'static'\n";

static int by_path(const void *a, const void *b)
{
	const struct tree_entry *x = a, *y = b;
	return str_cmp(x->path, y->path);
}

static int plan_of(
    const struct file *files, struct kinds_input in, struct arena *a, struct plan *p, struct err *e)
{
	static struct tree_entry entries[FILES_MAX];
	static struct tree t;
	t = (struct tree){.entries = entries};
	for (; files[t.count].path; t.count++) {
		const struct file *f = &files[t.count];
		struct str content = f->content ? str_c(f->content) : STR_NONE;
		entries[t.count] = (struct tree_entry){
		    str_c(f->path), !f->content, f->content != NULL, content, content.n};
	}
	qsort(entries, t.count, sizeof(*entries), by_path);
	in.tree = &t;
	in.project = STR("shop");
	*e = (struct err){0};
	arena_init(a, 4u << 20);
	return kinds_plan(&in, a, p, e);
}

static void put_argv(struct buf *b, const struct args *a)
{
	for (size_t i = 0; i < a->n; i++)
		buf_printf(b, "%s%.*s", i ? " " : "", STR_ARG(a->v[i]));
}

/* "kind (reason) | build | process listen: argv | static | release" in lines, for comparison. */
static void describe(const struct plan *p, struct buf *b)
{
	static const char *const listens[] = {"unset", "none", "socket", "port"};
	buf_printf(b, "%s (%.*s)\n", manifest_kind_name(p->kind), STR_ARG(p->reason));
	for (size_t i = 0; i < p->build_count; i++) {
		buf_c(b, "build ");
		put_argv(b, &p->build[i].argv);
		buf_c(b, "\n");
	}
	for (size_t i = 0; i < p->process_count; i++) {
		buf_printf(
		    b, "%.*s %s: ", STR_ARG(p->processes[i].name), listens[p->processes[i].listen]);
		put_argv(b, &p->processes[i].run.argv);
		buf_c(b, "\n");
	}
	for (size_t i = 0; i < p->static_count; i++)
		buf_printf(b, "static %.*s = %s%.*s\n", STR_ARG(p->statics[i].url),
		    p->statics[i].data ? "data:" : "", STR_ARG(p->statics[i].path));
	if (p->release.argv.n) {
		buf_c(b, "release ");
		put_argv(b, &p->release.argv);
		buf_c(b, "\n");
	}
}

static const struct {
	struct file files[FILES_MAX];
	const char *plan;
} trees[] = {
    {{{"index.html", ""}, {"css", NULL}}, "static (index.html)\nstatic / = \n"},
    {{{"public", NULL}, {"public/index.html", ""}, {"README", ""}},
	"static (public/index.html)\nstatic / = public\n"},
    {{{"slipway.yaml", "static: {/: dist}\nbuild: [[npm, ci], [npm, run, build]]\n"}},
	"static (static: {/: …} in slipway.yaml)\nbuild npm ci\nbuild npm run build\nstatic / = "
	"dist\n"},
    {{{"Procfile", "web: ./serve $PORT\nworker: ./work\nrelease: ./up\n"}},
	"command (Procfile)\nweb port: ./serve \x01PORT\x02\nworker none: ./work\nrelease ./up\n"},
    {{{"slipway.yaml", "processes: {web: {run: [gunicorn, a], listen: port}, w: {run: [b]}}\n"}},
	"command (processes in slipway.yaml)\nweb port: gunicorn a\nw none: b\n"},
    {{{"Procfile", "web: gunicorn app:app --log-file -\n"}, {"requirements.txt", "flask\n"}},
	"command (Procfile)\nbuild slipway-tree python-env --top ../.. --requirements "
	"requirements.txt\n"
	"web socket: gunicorn app:app --log-file -\n"},
    {{{"manage.py", manage}, {"shop/settings.py", settings}},
	"django (manage.py, shop/settings.py)\nbuild python3 manage.py collectstatic --noinput\n"
	"web socket: gunicorn --workers 2 shop.wsgi\nstatic /assets = var/static\n"
	"release python3 manage.py migrate --noinput\n"},
    {{{"back", NULL}, {"back/manage.py", manage}, {"back/shop/settings.py", settings},
	 {"back/requirements.txt", "Django>=4\n"},
	 {"slipway.yaml", "root: back\nbuild: [[npm, ci]]\n"}},
	"django (manage.py, shop/settings.py)\n"
	"build slipway-tree python-env --top ../../.. --requirements requirements.txt --also "
	"gunicorn\nbuild npm ci\n"
	"build .venv/bin/python manage.py collectstatic --noinput\n"
	"web socket: .venv/bin/python -m gunicorn --workers 2 shop.wsgi\nstatic /assets = "
	"back/var/static\n"
	"release .venv/bin/python manage.py migrate --noinput\n"},
    {{{"manage.py", manage},
	 {"Procfile", "web: gunicorn shop.wsgi -b 0.0.0.0:$PORT\nbeat: celery beat\n"}},
	"django (manage.py, settings module shop.settings)\n"
	"web port: gunicorn shop.wsgi -b 0.0.0.0:\x01PORT\x02\nbeat none: celery beat\n"
	"release python3 manage.py migrate --noinput\n"},
    {{{"app.py", "from flask import Flask\napp = Flask(__name__)\n"},
	 {"requirements.txt", "Flask\ngunicorn==21\n"}, {"static", NULL}},
	"wsgi (app.py, Flask)\nbuild slipway-tree python-env --top ../.. --requirements "
	"requirements.txt\n"
	"web socket: .venv/bin/python -m gunicorn --workers 2 app:app\nstatic /static = static\n"},
    {{{"main.py", "api: FastAPI = FastAPI(title='x')\n"}},
	"asgi (main.py, FastAPI)\nweb socket: uvicorn --fd 3 --proxy-headers main:api\n"},
    {{{"wsgi.py", "def application(environ, start_response):\n"},
	 {"runtime.txt", "python-3.11.4\n"}},
	"wsgi (wsgi.py, WSGI)\nbuild slipway-tree python-env --top ../.. --python 3.11 --also "
	"gunicorn\n"
	"web socket: .venv/bin/python -m gunicorn --workers 2 wsgi:application\n"},
    {{{"blog/__init__.py", "from flask import Flask\ndef create_app():\n"}, {"blog", NULL}},
	"wsgi (blog/__init__.py, Flask)\nweb socket: gunicorn --workers 2 blog:create_app()\n"},
    {{{"package.json", "{\"scripts\": {\"start\": \"node server.js\", \"build\": \"tsc\"}, "
		       "\"dependencies\": {\"a\": \"1\"}}"},
	 {"package-lock.json", "{}"}},
	"node (package.json with a start script)\nbuild npm ci --include=dev "
	"--prefer-offline\nbuild npm run build\n"
	"web port: node server.js\n"},
    {{{"package.json", "{\"scripts\": {\"start\": \"next start -p $PORT\"}}"},
	 {"slipway.yaml", "node: {version: 20}\n"}},
	"node (package.json with a start script)\nbuild slipway-tree need-node --also 20\nweb "
	"port: npm start\n"},
    {{{"package.json", "{\"scripts\": {\"start\": \"node server.js\", \"build\": \"tsc\"}}"},
	 {"yarn.lock", ""}},
	"node (package.json with a start script)\nbuild slipway-tree node-install --top ../.. "
	"--lock yarn.lock --dev\nbuild npm run build\nweb port: node server.js\n"},
    {{{"package.json", "{\"scripts\": {\"start\": \"node server.js\"}, \"packageManager\": "
		       "\"pnpm@9.1.0+sha512.ab\"}"},
	 {"pnpm-lock.yaml", ""}, {"package-lock.json", "{}"}},
	"node (package.json with a start script)\nbuild slipway-tree node-install --top ../.. "
	"--lock pnpm-lock.yaml\nweb port: node server.js\n"},
    {{{"Procfile", "web: gunicorn app:app\n"}, {"requirements.txt", "flask\n"}, {"poetry.lock", ""},
	 {"pyproject.toml", "[tool.poetry]\n"}},
	"command (Procfile)\nbuild slipway-tree python-env --top ../.. --lock poetry.lock\n"
	"web socket: gunicorn app:app\n"},
    {{{"app.py", "from flask import Flask\napp = Flask(__name__)\n"}, {"uv.lock", ""},
	 {"requirements.txt", "gunicorn\n"},
	 {"slipway.yaml", "python: {from: requirements.txt}\n"}},
	"wsgi (app.py, Flask)\nbuild slipway-tree python-env --top ../.. --requirements "
	"requirements.txt\nweb socket: .venv/bin/python -m gunicorn --workers 2 app:app\n"},
    {{{"app.py", "from flask import Flask\napp = Flask(__name__)\n"}, {"Pipfile.lock", ""},
	 {"Pipfile", "[requires]\npython_version = \"3.11\"\n"}},
	"wsgi (app.py, Flask)\nbuild slipway-tree python-env --top ../.. --python 3.11 --lock "
	"Pipfile.lock --also gunicorn\n"
	"web socket: .venv/bin/python -m gunicorn --workers 2 app:app\n"},
    {{{"server.js", ""}}, "node (server.js)\nweb port: node server.js\n"},
    {{{"Makefile", "all: x\nbuild:\n\tcc\n"},
	 {"slipway.yaml", "processes: {web: {run: [./server]}}\nkind: make\n"}},
	"make (kind make, as slipway.yaml says)\nbuild make build\nweb port: ./server\n"},
    {{{"Makefile", "all: x\n"}, {"slipway.yaml", "static: {/media: {data: m}, /: html}\n"},
	 {"x", ""}},
	"make (Makefile)\nbuild make\nstatic /media = data:m\nstatic / = html\n"},
};

static void trees_give_plans(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(trees) / sizeof(*trees); i++) {
		struct arena a CLEANUP_ARENA;
		struct buf b CLEANUP_BUF;
		struct plan p;
		struct err e;
		buf_init(&b, 65536);
		if (plan_of(trees[i].files, (struct kinds_input){0}, &a, &p, &e))
			fail_msg("tree %zu: %s", i, e.msg);
		describe(&p, &b);
		assert_string_equal(b.p, trees[i].plan);
	}
}

static const struct {
	struct file files[FILES_MAX];
	const char *message;
	enum err_code code;
} refused[] = {
    {{{"README", ""}}, "cannot be told", ERR_INVALID},
    {{{"Makefile", "all:\n"}}, "nothing says what to run", ERR_INVALID},
    {{{"slipway.yaml", "kind: django\n"}}, "manage.py with its settings", ERR_INVALID},
    {{{"slipway.yaml", "kind: wsgi\n"}}, "no WSGI application", ERR_INVALID},
    {{{"slipway.yaml", "root: nowhere\n"}}, "root 'nowhere' is no folder", ERR_NOT_FOUND},
    {{{"package.json", "{"}}, "package.json: line", ERR_INVALID},
    {{{"Procfile", "web: a\n"}, {"slipway.yaml", "python: {from: uv.lock}\n"}},
	"python: {from: uv.lock} is not there", ERR_NOT_FOUND},
    {{{"Procfile", "web: a\n"}, {"x.lock", ""}, {"slipway.yaml", "python: {from: x.lock}\n"}},
	"no file to install from", ERR_INVALID},
    {{{"Procfile", "web: a | b\n"}}, "Procfile:1: column 8", ERR_INVALID},
    {{{"slipway.yaml", "limits: {memory: 2G}\n"}, {"index.html", ""}}, "limits.memory",
	ERR_FORBIDDEN},
    {{{"slipway.yaml", "limits: {build: {time: 2h}}\n"}, {"index.html", ""}}, "limits.build.time",
	ERR_FORBIDDEN},
};

static void devices_are_granted(void **state)
{
	(void)state;
	const struct file files[] = {
	    {"slipway.yaml", "devices: [gpu]\nprocesses: {web: {run: [a]}}\n"}, {0}};
	struct arena a CLEANUP_ARENA, b CLEANUP_ARENA;
	struct plan p, back;
	struct err e;
	struct buf packed CLEANUP_BUF;
	buf_init(&packed, 1u << 16);
	assert_int_equal(plan_of(files, (struct kinds_input){0}, &a, &p, &e), -1);
	assert_int_equal(e.code, ERR_FORBIDDEN);
	assert_non_null(strstr(e.hint, "slipway devices grant shop gpu"));
	assert_int_equal(plan_of(files, (struct kinds_input){.devices = DEVICE_ALL}, &b, &p, &e), 0);
	assert_int_equal(p.devices, 1u << DEVICE_GPU);
	assert_int_equal(plan_pack(&p, &packed, &e), 0);
	assert_int_equal(plan_unpack(buf_view(&packed), &b, &back, &e), 0);
	assert_int_equal(back.devices, p.devices);
}

static void says_why_not(void **state)
{
	(void)state;
	const struct manifest_limits limits = {.memory_bytes = 1u << 30, .build_time_ms = 3600000};
	for (size_t i = 0; i < sizeof(refused) / sizeof(*refused); i++) {
		struct arena a CLEANUP_ARENA;
		struct plan p;
		struct err e;
		int rc =
		    plan_of(refused[i].files, (struct kinds_input){.limits = &limits}, &a, &p, &e);
		if (rc != -1 || !strstr(e.msg, refused[i].message) || e.code != refused[i].code)
			fail_msg("tree %zu: %d '%s'", i, rc, e.msg);
	}
}

static void the_operator_has_the_last_word(void **state)
{
	(void)state;
	struct arena a CLEANUP_ARENA;
	struct plan p;
	struct err e;
	const struct file files[] = {
	    {"slipway.yaml", "kind: node\nroot: x\nlimits: {memory: 512M, cpu: 0.5}\n"},
	    {"site", NULL}, {"site/index.html", ""}, {"x", NULL}, {NULL, NULL}};
	const struct manifest_limits limits = {
	    .memory_bytes = 1u << 30, .tasks = 64, .cpu_milli = 1000};
	assert_int_equal(
	    plan_of(files,
		(struct kinds_input){
		    .kind = MANIFEST_KIND_STATIC, .root = STR("site"), .limits = &limits},
		&a, &p, &e),
	    0);
	assert_int_equal(p.kind, MANIFEST_KIND_STATIC);
	assert_true(str_eq_c(p.statics[0].path, "site"));
	assert_true(p.limits.memory_bytes == 512u << 20 && p.limits.tasks == 64 &&
		    p.limits.cpu_milli == 500);
}

static void plans_survive_packing(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(trees) / sizeof(*trees); i++) {
		struct arena a CLEANUP_ARENA, c CLEANUP_ARENA;
		struct buf first CLEANUP_BUF, second CLEANUP_BUF;
		struct plan p, q;
		struct err e;
		buf_init(&first, 1u << 20);
		buf_init(&second, 1u << 20);
		arena_init(&c, 4u << 20);
		assert_int_equal(plan_of(trees[i].files, (struct kinds_input){0}, &a, &p, &e), 0);
		assert_int_equal(plan_pack(&p, &first, &e), 0);
		if (plan_unpack(buf_view(&first), &c, &q, &e))
			fail_msg("%s: %s", first.p, e.msg);
		assert_int_equal(plan_pack(&q, &second, &e), 0);
		assert_string_equal(first.p, second.p);
	}
}

static void broken_plans_are_refused(void **state)
{
	(void)state;
	static const char *const bad[] = {"", "[]", "{}", "{\"version\":2}", "{\"version\":1}",
	    "{\"version\":1,\"kind\":\"x\"}",
	    "{\"version\":1,\"kind\":\"static\",\"release\":{},\"headers\":\"none\"}",
	    "{\"version\":1,\"kind\":\"static\",\"release\":{},\"build\":3}",
	    "{\"version\":1,\"kind\":\"static\",\"release\":{\"argv\":[1]}}",
	    ("{\"version\":1,\"kind\":\"static\",\"release\":{},\"processes\":[{\"run\":{},"
	     "\"listen\":9}]}")};
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct arena a CLEANUP_ARENA;
		struct plan p;
		struct err e = {0};
		arena_init(&a, 1u << 20);
		if (plan_unpack(str_c(bad[i]), &a, &p, &e) != -1)
			fail_msg("accepted %s", bad[i]);
	}
}

static void takes_over_settings(void **state)
{
	(void)state;
	struct arena a CLEANUP_ARENA;
	struct plan p;
	struct err e;
	const struct file files[] = {{"index.html", ""},
	    {"app.json", "{\"env\": {\"A\": \"1\", \"B\": {\"value\": \"2\"}, \"C\": "
			 "{\"required\": true}, \"LD_X\": \"z\"}}"},
	    {".env.example", "# x\nexport KEY=\nOTHER=1\n"},
	    {"slipway.yaml", "env: {A: mine}\nchecks: [{run: [make, lint]}]\nkeep_releases: 3\n"
			     "headers: strict\n"},
	    {NULL, NULL}};
	assert_int_equal(plan_of(files, (struct kinds_input){0}, &a, &p, &e), 0);
	assert_int_equal(p.env_count, 2);
	assert_true(str_eq_c(p.env[0].value, "mine") && str_eq_c(p.env[1].value, "2"));
	assert_int_equal(p.check_count, 1);
	assert_int_equal(p.checks[0].timeout_ms, 300000);
	assert_int_equal(p.keep_releases, 3);
	assert_int_equal(p.headers, MANIFEST_HEADERS_STRICT);
	assert_int_equal(p.notes.n, 2);
	assert_true(str_contains(p.notes.v[1], STR("KEY, OTHER")));
	struct buf packed CLEANUP_BUF;
	struct plan back;
	buf_init(&packed, 1u << 16);
	assert_int_equal(plan_pack(&p, &packed, &e), 0);
	assert_int_equal(plan_unpack(buf_view(&packed), &a, &back, &e), 0);
	assert_int_equal(back.headers, MANIFEST_HEADERS_STRICT);
	/* a plan of before */
	const char *old = "{\"version\":1,\"kind\":\"static\",\"release\":{}}";
	assert_int_equal(plan_unpack(str_c(old), &a, &back, &e), 0);
	assert_int_equal(back.headers, MANIFEST_HEADERS_BASIC);
}

/* Of several files that could be installed from: which wins, which are not read, and why. */
static void says_which_lock_file_wins(void **state)
{
	(void)state;
	static const struct {
		struct file files[FILES_MAX];
		const char *note, *other;
	} rows[] = {
	    {{{"Procfile", "web: a\n"}, {"uv.lock", ""}, {"requirements.txt", "x\n"}},
		"requirements.txt is not read beside uv.lock", "Python packages from uv.lock"},
	    {{{"Procfile", "web: a\n"}, {"uv.lock", ""}, {"Pipfile.lock", ""}},
		"Pipfile.lock is not read beside uv.lock", "Python packages from uv.lock"},
	    {{{"Procfile", "web: a\n"}, {"Pipfile", ""}}, "commit Pipfile.lock",
		"no requirements were found"},
	    {{{"Procfile", "web: a\n"}, {"pyproject.toml", "[tool.poetry.dependencies]\n"}},
		"commit poetry.lock", "no requirements were found"},
	    {{{"server.js", ""}, {"package.json", "{\"packageManager\": \"yarn@4.1.0\"}"},
		 {"package-lock.json", ""}, {"yarn.lock", ""}},
		"package-lock.json is not read beside yarn.lock: package.json names its tool",
		"Node packages from yarn.lock"},
	    {{{"server.js", ""}, {"package.json", "{}"}, {"package-lock.json", ""},
		 {"yarn.lock", ""}},
		"yarn.lock is not read beside package-lock.json; packageManager",
		"Node packages from package-lock.json"},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct arena a CLEANUP_ARENA;
		struct plan p;
		struct err e;
		bool note = false, other = false;
		assert_int_equal(plan_of(rows[i].files, (struct kinds_input){0}, &a, &p, &e), 0);
		for (size_t k = 0; k < p.notes.n; k++) {
			note = note || str_contains(p.notes.v[k], str_c(rows[i].note));
			other = other || str_contains(p.notes.v[k], str_c(rows[i].other));
		}
		if (!note || !other)
			fail_msg("tree %zu: %d %d", i, note, other);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(trees_give_plans),
	    cmocka_unit_test(says_why_not),
	    cmocka_unit_test(the_operator_has_the_last_word),
	    cmocka_unit_test(devices_are_granted),
	    cmocka_unit_test(plans_survive_packing),
	    cmocka_unit_test(broken_plans_are_refused),
	    cmocka_unit_test(takes_over_settings),
	    cmocka_unit_test(says_which_lock_file_wins),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
