/* What the files of this room share: the work at hand, and one row per kind. Lists grow in fixed room; the first
 * thing that does not fit or fails sets `failed`, and the rest does nothing more. */
#pragma once

#include "base/limits.h"
#include "kinds/kinds.h"

#define KIND_BUILD_MAX (LIMIT_BUILD_COMMANDS + 8)
#define KIND_NOTES_MAX 32

struct kind_work {
	const struct kinds_input *in;
	struct arena *a;
	struct err *e;
	bool failed;
	struct manifest m;
	struct str root; /* below the release's top; empty: the top */
	const char *up;	 /* from the working directory to the project's top: "../..", one more per folder of root */
	struct plan *p;
	struct plan_command build[KIND_BUILD_MAX];
	struct plan_process processes[LIMIT_PROCESSES];
	struct manifest_static statics[LIMIT_STATICS];
	struct manifest_pair env[LIMIT_ENV_COUNT];
	struct str notes[KIND_NOTES_MAX];
	const char *python;  /* argv[0] of Python programs: ".venv/bin/python" or "python3" */
	bool python_installed; /* an environment is built, .venv */
	bool node_installed;
};

struct kind {
	enum manifest_kind kind;
	/* Is the tree of this kind? Sets w->p->reason. */
	bool (*detect)(struct kind_work *w);
	/* Adds build commands, the default processes, statics and the release command. */
	void (*plan)(struct kind_work *w);
};
extern const struct kind kind_static, kind_command, kind_wsgi, kind_asgi, kind_django, kind_node, kind_make,
    kind_nginx_site;

/* Files, by their path below root. */
const struct tree_entry *kind_file(struct kind_work *w, const char *path); /* NULL when absent */
bool kind_has(struct kind_work *w, const char *path);
bool kind_has_folder(struct kind_work *w, const char *path);
struct str kind_content(struct kind_work *w, const char *path); /* empty when absent, too large or not read */
/* "PREFIX…" joined below root, in the arena. */
struct str kind_path(struct kind_work *w, struct str path);

struct str kind_text(struct kind_work *w, const char *fmt, ...) PRINTF_LIKE(2, 3);
void kind_reason(struct kind_work *w, const char *fmt, ...) PRINTF_LIKE(2, 3);
void kind_note(struct kind_work *w, const char *fmt, ...) PRINTF_LIKE(2, 3);
void kind_fail(struct kind_work *w, enum err_code code, const char *hint, const char *fmt, ...) PRINTF_LIKE(4, 5);

/* A list from C strings, ended by NULL. */
struct args kind_argv(struct kind_work *w, const char *const *words);
#define KIND_ARGV(w, ...) kind_argv((w), (const char *const[]){__VA_ARGS__, NULL})
/* A further build command; NULL when there is no room. */
struct plan_command *kind_build(struct kind_work *w, const char *label, struct args argv);
/* Sets or replaces a process by name; `by` is what runs it. */
struct plan_process *kind_process(struct kind_work *w, struct str name, const struct manifest_command *run);
void kind_web(struct kind_work *w, struct args argv, enum manifest_listen listen, int64_t stop_timeout_ms);
/* The command of a process that is "shop.wsgi" in an Apache of its own with mod_wsgi, which listens on $PORT. */
struct args kind_mod_wsgi(struct kind_work *w, struct str app);
void kind_static_path(struct kind_work *w, struct str url, struct str path); /* path below root; unless the manifest has statics */
void kind_env(struct kind_work *w, const char *key, struct str value); /* unless there already */
bool kind_has_process(struct kind_work *w, const char *name);

/* Dependencies (python.c, node.c). `also` (may be NULL) is a further package that the default process needs. */
void kind_python_install(struct kind_work *w, const char *also);
void kind_node_install(struct kind_work *w, bool with_dev);
/* A line-wise look into Python text: the value behind `NAME = ` at the start of a line; empty when absent. */
struct str kind_python_value(struct str text, const char *name);
/* All string literals in `s` joined with '/'; false when there is none or something hinders (a call of getenv …). */
bool kind_python_literals(struct kind_work *w, struct str s, struct str *ret);
