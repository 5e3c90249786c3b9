#include "launch/guest.h"
#include "base/device.h"
#include "base/num.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const sandbox_names[GUEST_SANDBOX_COUNT] = {"run", "build", "fetch", "stranger"};

static void add(struct guest_line *l, const char *fmt, ...) PRINTF_LIKE(2, 3);

static void add(struct guest_line *l, const char *fmt, ...)
{
	size_t left = sizeof(l->text) - l->used;
	if (l->n >= GUEST_ARGS_MAX || left == 0) {
		l->used = sizeof(l->text);
		return;
	}
	va_list ap;
	va_start(ap, fmt);
	int n = vsnprintf(l->text + l->used, left, fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= left) {
		l->used = sizeof(l->text);
		return;
	}
	l->v[l->n++] = l->text + l->used;
	l->used += (size_t)n + 1;
}

static void add_optional(struct guest_line *l, const char *option, const char *value)
{
	if (value[0] != '\0')
		add(l, "%s%s", option, value);
}

static void add_flag(struct guest_line *l, bool set, const char *option)
{
	if (set)
		add(l, "%s", option);
}

int guest_line(const struct guest *g, struct guest_line *ret, struct err *e)
{
	ret->n = ret->used = 0;
	add(ret, "slipway-exec");
	add(ret, "--sandbox=%s", sandbox_names[g->sandbox]);
	add(ret, "--project-dir=%s", g->project_dir);
	add(ret, "--release=%u", g->release);
	add(ret, "--process=%s", g->process);
	add(ret, "--instance=%u", g->instance);
	add(ret, "--key=%s", g->key);
	add_optional(ret, "--subdir=", g->subdir);
	add_optional(ret, "--tmp=", g->tmp);
	add_optional(ret, "--program=", g->program);
	add_optional(ret, "--notify=", g->notify);
	if (g->watchdog_ms)
		add(ret, "--watchdog=%u", g->watchdog_ms);
	if (g->devices)
		add(ret, "--devices=%u", g->devices);
	if (g->port)
		add(ret, "--port=%u", g->port);
	add_flag(ret, g->own_tmp, "--own-tmp");
	add_flag(ret, g->relay, "--relay");
	add_flag(ret, g->listen, "--listen");
	add_flag(ret, g->argv, "--argv");
	add_flag(ret, g->env, "--env");
	add_flag(ret, g->secret, "--secret");
	ret->v[ret->n] = NULL;
	if (ret->used >= sizeof(ret->text))
		return err_set(e, ERR_TOO_LARGE, "the command line of slipway-exec is too long");
	return 0;
}

static int parse_sandbox(struct str v, struct guest *g, struct err *e)
{
	for (int i = 0; i < GUEST_SANDBOX_COUNT; i++)
		if (str_eq_c(v, sandbox_names[i])) {
			g->sandbox = (enum guest_sandbox)i;
			return 0;
		}
	return err_set(e, ERR_USAGE, "--sandbox is none of run, build, fetch, stranger");
}

static int copy_path(struct str v, char *out, size_t size, struct err *e)
{
	if (v.n == 0 || v.p[0] != '/' || !str_copy(v, out, size))
		return err_set(e, ERR_USAGE, "not an absolute path of at most %zu bytes", size - 1);
	return 0;
}

static int parse_project_dir(struct str v, struct guest *g, struct err *e)
{
	return copy_path(v, g->project_dir, sizeof(g->project_dir), e);
}

static int parse_program(struct str v, struct guest *g, struct err *e)
{
	return copy_path(v, g->program, sizeof(g->program), e);
}

static int parse_number(struct str v, uint64_t max, uint64_t *ret, struct err *e)
{
	return num_u64(v, 0, max, ret) ? 0 : err_set(e, ERR_USAGE, "not a number in range");
}

static int parse_release(struct str v, struct guest *g, struct err *e)
{
	uint64_t n = 0;
	int rc = parse_number(v, UINT32_MAX, &n, e);
	g->release = (uint32_t)n;
	return rc;
}

static int parse_instance(struct str v, struct guest *g, struct err *e)
{
	uint64_t n = 0;
	int rc = parse_number(v, UINT16_MAX, &n, e);
	g->instance = (uint16_t)n;
	return rc;
}

static int parse_port(struct str v, struct guest *g, struct err *e)
{
	uint64_t n = 0;
	int rc = parse_number(v, UINT16_MAX, &n, e);
	g->port = (uint16_t)n;
	return rc;
}

static int parse_notify(struct str v, struct guest *g, struct err *e)
{
	return copy_path(v, g->notify, sizeof(g->notify), e);
}

static int parse_watchdog(struct str v, struct guest *g, struct err *e)
{
	uint64_t n = 0;
	int rc = parse_number(v, UINT32_MAX, &n, e);
	g->watchdog_ms = (uint32_t)n;
	return rc;
}

static int parse_devices(struct str v, struct guest *g, struct err *e)
{
	uint64_t n = 0;
	int rc = parse_number(v, DEVICE_ALL, &n, e);
	g->devices = (uint32_t)n;
	return rc;
}

static int parse_process(struct str v, struct guest *g, struct err *e)
{
	if (name_process(v, e) != 0)
		return -1;
	return str_copy(v, g->process, sizeof(g->process)) ? 0 : err_set(e, ERR_USAGE, "too long");
}

static int parse_subdir(struct str v, struct guest *g, struct err *e)
{
	if (name_subpath(v, e) != 0)
		return -1;
	return str_copy(v, g->subdir, sizeof(g->subdir)) ? 0 : err_set(e, ERR_USAGE, "too long");
}

static bool all_of(struct str v, const char *extra)
{
	for (size_t i = 0; i < v.n; i++) {
		char c = v.p[i];
		if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') &&
		    (c == '\0' || !strchr(extra, c)))
			return false;
	}
	return v.n > 0;
}

static int parse_tmp(struct str v, struct guest *g, struct err *e)
{
	if (!all_of(v, ".-") || v.p[0] == '.' || !str_copy(v, g->tmp, sizeof(g->tmp)))
		return err_set(e, ERR_USAGE, "--tmp is not one path component");
	return 0;
}

static int parse_key(struct str v, struct guest *g, struct err *e)
{
	if (!all_of(v, "-") || !str_copy(v, g->key, sizeof(g->key)))
		return err_set(e, ERR_USAGE, "--key is not hexadecimal");
	return 0;
}

static const struct option_row {
	const char *prefix;
	int (*parse)(struct str v, struct guest *g, struct err *e);
} options[] = {
    {"--sandbox=", parse_sandbox},
    {"--project-dir=", parse_project_dir},
    {"--release=", parse_release},
    {"--process=", parse_process},
    {"--instance=", parse_instance},
    {"--key=", parse_key},
    {"--subdir=", parse_subdir},
    {"--tmp=", parse_tmp},
    {"--program=", parse_program},
    {"--port=", parse_port},
    {"--notify=", parse_notify},
    {"--watchdog=", parse_watchdog},
    {"--devices=", parse_devices},
};

static bool parse_flag(const char *arg, struct guest *g)
{
	const struct {
		const char *name;
		bool *set;
	} flags[] = {{"--own-tmp", &g->own_tmp}, {"--relay", &g->relay}, {"--listen", &g->listen},
	    {"--argv", &g->argv}, {"--env", &g->env}, {"--secret", &g->secret}};
	for (size_t i = 0; i < sizeof(flags) / sizeof(*flags); i++)
		if (strcmp(arg, flags[i].name) == 0)
			return *flags[i].set = true;
	return false;
}

static int parse_one(const char *arg, struct guest *g, struct err *e)
{
	if (parse_flag(arg, g))
		return 0;
	for (size_t i = 0; i < sizeof(options) / sizeof(*options); i++) {
		struct str a = str_c(arg), prefix = str_c(options[i].prefix);
		if (str_starts(a, prefix))
			return options[i].parse(str_from(a, prefix.n), g, e);
	}
	return err_set(e, ERR_USAGE, "unknown option");
}

int guest_parse(int argc, char *const *argv, struct guest *ret, struct err *e)
{
	memset(ret, 0, sizeof(*ret));
	for (int i = 1; i < argc; i++)
		if (parse_one(argv[i], ret, e) != 0) {
			e->code = ERR_USAGE;
			return err_prefix(e, "'%s'", argv[i]);
		}
	if (ret->project_dir[0] == '\0' || ret->process[0] == '\0')
		return err_set(e, ERR_USAGE, "--project-dir and --process are needed");
	if (ret->relay ? !ret->port || !ret->listen : !ret->argv)
		return err_set(e, ERR_USAGE, "%s",
		    ret->relay ? "--relay needs --listen and --port" : "--argv is needed");
	return 0;
}

int guest_unpack(struct str packed, struct guest *ret, struct err *e)
{
	char text[sizeof(((struct guest_line *)0)->text)], *argv[GUEST_ARGS_MAX];
	int argc = 0;
	if (packed.n == 0 || packed.n > sizeof(text) || packed.p[packed.n - 1] != '\0')
		return err_set(e, ERR_USAGE, "the command line is cut off");
	memcpy(text, packed.p, packed.n);
	for (size_t at = 0; at < packed.n; at += strlen(text + at) + 1) {
		if (argc == GUEST_ARGS_MAX)
			return err_set(e, ERR_USAGE, "the command line has too many arguments");
		argv[argc++] = text + at;
	}
	return guest_parse(argc, argv, ret, e);
}
