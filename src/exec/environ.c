#include "exec/environ.h"
#include "base/fs.h"
#include "base/limits.h"
#include "launch/expand.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define EXTRA_MAX 24
#define EXPANDED_MAX (LIMIT_ARGV_BYTES + LIMIT_ENV_BYTES)

struct list {
	struct str *v;
	size_t n, max;
	bool full;
};

void environ_dirs(const struct guest *g, struct environ_dirs *ret)
{
	const char *top = g->project_dir;
	if (g->release > 0)
		snprintf(ret->release, sizeof(ret->release), "%s/releases/%u", top, g->release);
	else
		snprintf(ret->release, sizeof(ret->release), "%s", top);
	if (g->sandbox == GUEST_FETCH)
		snprintf(ret->work, sizeof(ret->work), "%s", top);
	else
		snprintf(ret->work, sizeof(ret->work), "%s%s%s", ret->release,
		    g->subdir[0] ? "/" : "", g->subdir);
	if (g->tmp[0])
		snprintf(ret->tmp, sizeof(ret->tmp), "%s/tmp/%s", top, g->tmp);
	else
		snprintf(ret->tmp, sizeof(ret->tmp), "/tmp");
	if (g->sandbox == GUEST_STRANGER)
		memcpy(ret->home, ret->tmp, sizeof(ret->home));
	else
		snprintf(ret->home, sizeof(ret->home), "%s/%s", top,
		    g->sandbox == GUEST_RUN ? "data" : "cache");
}

/* The whole of a memory file or file, from its start whatever its offset is; closes it. */
static int read_list(int fd, const char *what, size_t count_max, struct buf *b, struct arena *a,
    struct args *ret, struct err *e)
{
	for (;;) {
		size_t room = b->max - b->n < 65536 ? b->max - b->n : 65536;
		char probe = 0, *to = room ? buf_reserve(b, room) : &probe;
		ssize_t n = pread(fd, to, room ? room : 1, (off_t)b->n);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(e, ERR_IO, errno, "could not read the %s", what);
		if (n == 0)
			break;
		if (room == 0)
			return err_set(e, ERR_TOO_LARGE, "the %s is too long", what);
		buf_commit(b, (size_t)n);
	}
	close(fd);
	struct str packed = {arena_str(a, buf_view(b)).p, b->n};
	if (b->n > 0 && !packed.p)
		return err_set(e, ERR_TOO_LARGE, "the %s is too long", what);
	return args_unpack(packed, count_max, a, ret, e) == 0 ? 0 : err_prefix(e, "%s", what);
}

static void put(struct list *l, struct arena *a, const char *fmt, ...) PRINTF_LIKE(3, 4);

static void put(struct list *l, struct arena *a, const char *fmt, ...)
{
	char text[4096];
	va_list ap;
	va_start(ap, fmt);
	int n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	struct str s = n < 0 || (size_t)n >= sizeof(text)
			   ? STR_NONE
			   : arena_str(a, (struct str){text, (size_t)n});
	if (!s.p || l->n >= l->max)
		l->full = true;
	else
		l->v[l->n++] = s;
}

/* What only this program can say, or is meant for it; the list may say the rest, also other
 * SLIPWAY_ variables (nobody can set those: name_env_key). */
static bool is_ours(struct str s)
{
	static const char *const ours[] = {
	    "SLIPWAY_RELEASE=", "SLIPWAY_PROCESS=", "SLIPWAY_INSTANCE=", "SLIPWAY_SECRET_FD=",
	    "SLIPWAY_EXPAND=", "SLIPWAY_PATH=", "SLIPWAY_CACHE_DIR=", "LISTEN_", "NOTIFY_SOCKET=", "WATCHDOG_", "PWD="};
	for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
		if (str_starts(s, str_c(ours[i])))
			return true;
	return false;
}

static bool is_given(const struct args *given, const char *key)
{
	struct str v;
	return expand_lookup(given, str_c(key), &v);
}

static void add_path(struct buf *path, const char *base, struct str dir, bool must_exist)
{
	char full[GUEST_PATH_MAX + 640];
	int n = dir.n > 0 && dir.p[0] == '/'
		    ? snprintf(full, sizeof(full), "%.*s", STR_ARG(dir))
		    : snprintf(full, sizeof(full), "%s/%.*s", base, STR_ARG(dir));
	if (dir.n == 0 || n < 0 || (size_t)n >= sizeof(full))
		return;
	if (must_exist && access(full, X_OK) != 0)
		return;
	buf_c(path, full);
	buf_char(path, ':');
}

static void put_path(struct list *l, struct arena *a, const struct args *given,
    const struct environ_dirs *d, bool project_code)
{
	CLEANUP_BUF struct buf path;
	buf_init(&path, 3072);
	struct str extra = STR_NONE, dir;
	if (expand_lookup(given, STR("SLIPWAY_PATH"), &extra))
		while (str_next(&extra, ':', &dir))
			add_path(&path, d->release, dir, false);
	const char *const bases[] = {d->work, d->release};
	for (size_t i = 0; project_code && i < (strcmp(d->work, d->release) == 0 ? 1u : 2u); i++) {
		add_path(&path, bases[i], STR(".venv/bin"), true);
		add_path(&path, bases[i], STR("node_modules/.bin"), true);
	}
	buf_c(&path, "/usr/local/bin:/usr/bin:/bin");
	put(l, a, "PATH=%.*s", STR_ARG(buf_view(&path)));
	l->full = l->full || path.full;
}

static void put_defaults(struct list *l, struct arena *a, const struct args *given,
    const struct guest *g, const struct environ_dirs *d)
{
	if (!is_given(given, "PATH"))
		put_path(l, a, given, d, g->sandbox != GUEST_FETCH);
	if (!is_given(given, "HOME"))
		put(l, a, "HOME=%s", d->home);
	if (!is_given(given, "TMPDIR"))
		put(l, a, "TMPDIR=%s", d->tmp);
	if (!is_given(given, "LANG"))
		put(l, a, "LANG=C.UTF-8");
	if ((g->sandbox == GUEST_BUILD || g->sandbox == GUEST_STRANGER) && !is_given(given, "CI"))
		put(l, a, "CI=true");
}

static void put_ours(
    struct list *l, struct arena *a, const struct guest *g, const struct environ_dirs *d)
{
	put(l, a, "PWD=%s", d->work);
	put(l, a, "SLIPWAY_RELEASE=%u", g->release);
	put(l, a, "SLIPWAY_PROCESS=%s.%u", g->process, g->instance);
	put(l, a, "SLIPWAY_INSTANCE=%s", g->key);
	if (g->sandbox == GUEST_STRANGER) {
		put(l, a, "SLIPWAY_CACHE_DIR=%s/cache", d->tmp);
		put(l, a, "npm_config_cache=%s/cache/npm", d->tmp);
	}
	if (g->port)
		put(l, a, "PORT=%u", g->port);
	if (g->secret)
		put(l, a, "SLIPWAY_SECRET_FD=%d", GUEST_FD_SECRET);
	if (g->notify[0])
		put(l, a, "NOTIFY_SOCKET=%s", g->notify);
	if (g->watchdog_ms) {
		put(l, a, "WATCHDOG_USEC=%llu", 1000ull * g->watchdog_ms);
		put(l, a, "WATCHDOG_PID=%d", (int)getpid());
	}
	if (g->listen) {
		put(l, a, "LISTEN_FDS=1");
		put(l, a, "LISTEN_PID=%d", (int)getpid());
		put(l, a, "LISTEN_FDNAMES=%s", g->process);
	}
}

static void put_given(struct list *l, const struct args *given, const struct guest *g)
{
	for (size_t i = 0; i < given->n; i++) {
		struct str s = given->v[i];
		if (is_ours(s) || (g->port && str_starts(s, STR("PORT="))) ||
		    (g->sandbox == GUEST_STRANGER && str_starts(s, STR("npm_config_cache="))))
			continue;
		if (l->n >= l->max || s.n == 0 || s.p[0] == '=' || str_find(s, '=', 0) == SIZE_MAX)
			l->full = true;
		else
			l->v[l->n++] = s;
	}
}

static char **to_pointers(struct arena *a, const struct str *v, size_t n)
{
	char **out = arena_array(a, n + 1, sizeof(*out));
	for (size_t i = 0; out && i < n; i++) {
		out[i] = arena_cstr(a, v[i]);
		if (!out[i])
			return NULL;
	}
	return out;
}

static int expand_all(struct args *argv, const struct args *env, struct arena *a, struct err *e)
{
	CLEANUP_BUF struct buf b;
	buf_init(&b, EXPANDED_MAX);
	for (size_t i = 0; i < argv->n; i++) {
		buf_clear(&b);
		if (expand_arg(argv->v[i], env, &b, e) != 0)
			return -1;
		argv->v[i] = arena_str(a, buf_view(&b));
		if (b.n > 0 && !argv->v[i].p)
			return err_set(e, ERR_TOO_LARGE, "the expanded arguments are too long");
	}
	return 0;
}

int environ_build(const struct guest *g, const struct environ_dirs *d, struct arena *a,
    struct environ_lists *ret, struct err *e)
{
	CLEANUP_BUF struct buf argv_bytes, env_bytes;
	buf_init(&argv_bytes, LIMIT_ARGV_BYTES);
	buf_init(&env_bytes, LIMIT_ENV_BYTES);
	struct args argv = {0}, given = {0};
	if (read_list(GUEST_FD_ARGV, "argument list", LIMIT_ARGV_COUNT, &argv_bytes, a, &argv, e))
		return -1;
	if (g->env &&
	    read_list(GUEST_FD_ENV, "environment list", LIMIT_ENV_COUNT, &env_bytes, a, &given, e))
		return -1;
	struct list l = {.max = given.n + EXTRA_MAX};
	l.v = arena_array(a, l.max, sizeof(*l.v));
	if (!l.v || argv.n == 0)
		return err_set(e, ERR_INVALID, "the argument list is empty");
	put_defaults(&l, a, &given, g, d);
	put_given(&l, &given, g);
	put_ours(&l, a, g, d);
	if (l.full)
		return err_set(e, ERR_INVALID,
		    "the environment list has an entry that is not KEY=value, or is too long");
	struct args env = {l.v, l.n};
	struct str expand;
	if (expand_lookup(&given, STR("SLIPWAY_EXPAND"), &expand) && str_eq_c(expand, "1") &&
	    expand_all(&argv, &env, a, e) != 0)
		return -1;
	ret->argv = to_pointers(a, argv.v, argv.n);
	ret->envp = to_pointers(a, env.v, env.n);
	if (!ret->argv || !ret->envp)
		return err_set(e, ERR_TOO_LARGE, "the lists do not fit");
	return expand_lookup(&env, STR("PATH"), &ret->path) ? 0
							    : err_set(e, ERR_INTERNAL, "no PATH");
}
