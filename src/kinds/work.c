#include "kinds/kind.h"
#include "base/name.h"

#include <stdio.h>
#include <string.h>

static void full(struct kind_work *w)
{
	if (!w->failed)
		err_set(w->e, ERR_TOO_LARGE, "the plan is too large");
	w->failed = true;
}

struct str kind_path(struct kind_work *w, struct str path)
{
	if (w->root.n == 0)
		return path;
	if (path.n == 0)
		return w->root;
	return kind_text(w, "%.*s/%.*s", STR_ARG(w->root), STR_ARG(path));
}

const struct tree_entry *kind_file(struct kind_work *w, const char *path)
{
	const struct tree_entry *t = tree_find(w->in->tree, kind_path(w, str_c(path)));
	return t && !t->directory ? t : NULL;
}

bool kind_has(struct kind_work *w, const char *path)
{
	return kind_file(w, path) != NULL;
}

bool kind_has_folder(struct kind_work *w, const char *path)
{
	const struct tree_entry *t = tree_find(w->in->tree, kind_path(w, str_c(path)));
	return t && t->directory;
}

struct str kind_content(struct kind_work *w, const char *path)
{
	const struct tree_entry *t = kind_file(w, path);
	return t && t->has_content ? t->content : STR("");
}

static __attribute__((format(printf, 2, 0))) struct str vtext(
    struct kind_work *w, const char *fmt, va_list ap)
{
	char text[2048];
	int n = vsnprintf(text, sizeof(text), fmt, ap);
	struct str out = n < 0 || (size_t)n >= sizeof(text)
			     ? STR_NONE
			     : arena_str(w->a, (struct str){text, (size_t)n});
	if (!out.p)
		full(w);
	return out.p ? out : STR("");
}

struct str kind_text(struct kind_work *w, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	struct str out = vtext(w, fmt, ap);
	va_end(ap);
	return out;
}

void kind_reason(struct kind_work *w, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	w->p->reason = vtext(w, fmt, ap);
	va_end(ap);
}

void kind_note(struct kind_work *w, const char *fmt, ...)
{
	if (w->p->notes.n == KIND_NOTES_MAX)
		return;
	va_list ap;
	va_start(ap, fmt);
	w->notes[w->p->notes.n++] = vtext(w, fmt, ap);
	va_end(ap);
}

void kind_fail(struct kind_work *w, enum err_code code, const char *hint, const char *fmt, ...)
{
	char text[500];
	va_list ap;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (w->failed)
		return;
	err_set(w->e, code, "%s", text);
	err_hint(w->e, "%s", hint);
	w->failed = true;
}

struct args kind_argv(struct kind_work *w, const char *const *words)
{
	struct args out = {0};
	while (words[out.n])
		out.n++;
	out.v = arena_array(w->a, out.n, sizeof(struct str));
	if (!out.v) {
		full(w);
		return (struct args){0};
	}
	for (size_t i = 0; i < out.n; i++)
		out.v[i] = arena_str(w->a, str_c(words[i]));
	return out;
}

struct plan_command *kind_build(struct kind_work *w, const char *label, struct args argv)
{
	static struct plan_command nowhere;
	if (w->p->build_count == KIND_BUILD_MAX) {
		full(w);
		return &nowhere;
	}
	struct plan_command *c = &w->build[w->p->build_count++];
	*c = (struct plan_command){.label = str_c(label), .argv = argv};
	return c;
}

static struct plan_process *find_process(struct kind_work *w, struct str name)
{
	for (size_t i = 0; i < w->p->process_count; i++)
		if (str_eq(w->processes[i].name, name))
			return &w->processes[i];
	return NULL;
}

bool kind_has_process(struct kind_work *w, const char *name)
{
	return find_process(w, str_c(name)) != NULL;
}

struct plan_process *kind_process(
    struct kind_work *w, struct str name, const struct manifest_command *run)
{
	struct plan_process *p = find_process(w, name);
	if (!p && w->p->process_count == LIMIT_PROCESSES) {
		full(w);
		return &w->processes[0];
	}
	if (!p)
		p = &w->processes[w->p->process_count++];
	*p = (struct plan_process){.name = name,
	    .run = {.argv = run->argv,
		.env = run->env,
		.env_count = run->env_count,
		.expand = run->expand}};
	return p;
}

void kind_web(
    struct kind_work *w, struct args argv, enum manifest_listen listen, int64_t stop_timeout_ms)
{
	struct plan_process *p =
	    kind_process(w, STR("web"), &(struct manifest_command){.argv = argv});
	p->listen = listen;
	p->stop_timeout_ms = stop_timeout_ms;
}

void kind_static_path(struct kind_work *w, struct str url, struct str path)
{
	if (w->m.static_count || w->p->static_count == LIMIT_STATICS)
		return;
	w->statics[w->p->static_count++] =
	    (struct manifest_static){.url = url, .path = kind_path(w, path)};
}

void kind_env(struct kind_work *w, const char *key, struct str value)
{
	for (size_t i = 0; i < w->p->env_count; i++)
		if (str_eq_c(w->env[i].key, key))
			return;
	if (w->p->env_count == LIMIT_ENV_COUNT) {
		full(w);
		return;
	}
	w->env[w->p->env_count++] = (struct manifest_pair){str_c(key), value};
}
