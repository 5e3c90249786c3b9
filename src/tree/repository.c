#include "tree/repository.h"
#include "base/fs.h"
#include "tree/mirror.h"
#include "tree/say.h"

#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#define MESSAGES_MAX_BYTES 16384u

/* What every git is told, whatever any file says. */
static const char *const fixed[] = {"-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false",
    "-c", "core.attributesFile=/dev/null", "-c", "core.symlinks=true", "-c",
    "core.sparseCheckout=false", "-c", "core.autocrlf=false", "-c", "credential.helper=", "-c",
    "protocol.ext.allow=never", "-c", "http.followRedirects=false", "-c", "http.proxy=", "-c",
    "http.lowSpeedLimit=1000", "-c", "http.lowSpeedTime=60", "-c", "submodule.recurse=false", "-c",
    "fetch.recurseSubmodules=false", "-c", "fetch.unpackLimit=1", "-c", "gc.auto=0", "-c",
    "maintenance.auto=false", "-c", "log.showSignature=false", "-c", "log.mailmap=false", "-c",
    "advice.detachedHead=false", "-c", "checkout.workers=1"};

/* "Only this config is global": the safe.directory that lets a local repository of another user be
 * read; git passes no -c on to the program that serves such a repository. */
static int global_config(void)
{
	static const char text[] = "[safe]\n\tdirectory = *\n";
	struct err ignored;
	return fs_memfd("slipway-gitconfig", text, sizeof(text) - 1, &ignored);
}

static void env_common(struct repository *r)
{
	static char config[64];
	static int fd = -1;
	static const char *const protocols[SOURCE_SCHEME_COUNT] = {"GIT_ALLOW_PROTOCOL=https",
	    "GIT_ALLOW_PROTOCOL=http", "GIT_ALLOW_PROTOCOL=ssh", "GIT_ALLOW_PROTOCOL=file"};
	static const char *const same[] = {"PATH=/usr/local/bin:/usr/bin:/bin", "LC_ALL=C",
	    "HOME=/nonexistent", "GIT_CONFIG_NOSYSTEM=1", "GIT_ATTR_NOSYSTEM=1",
	    "GIT_TERMINAL_PROMPT=0", "GIT_PROTOCOL_FROM_USER=0", "GIT_NO_REPLACE_OBJECTS=1",
	    "GIT_OPTIONAL_LOCKS=0", "GIT_NO_LAZY_FETCH=1", "GIT_ADVICE=0"};
	for (size_t i = 0; i < sizeof(same) / sizeof(*same); i++)
		child_add(&r->env, same[i]);
	if (fd < 0) {
		fd = global_config();
		snprintf(
		    config, sizeof(config), "GIT_CONFIG_GLOBAL=/proc/%d/fd/%d", (int)getpid(), fd);
	}
	child_add(&r->env, fd < 0 ? "GIT_CONFIG_GLOBAL=/dev/null" : config);
	child_add(&r->env, protocols[r->address.scheme]);
}

/* Pins what curl connects to: HOST:PORT:ADDRESS[,ADDRESS]. */
static void pin_http(struct repository *r)
{
	size_t n = (size_t)snprintf(r->resolve, sizeof(r->resolve),
	    "http.curloptResolve=%.*s:%u:", STR_ARG(r->address.host), r->address.port);
	for (size_t i = 0; i < r->hosts.count && n < sizeof(r->resolve); i++) {
		bool six = r->hosts.family[i] == AF_INET6;
		n += (size_t)snprintf(r->resolve + n, sizeof(r->resolve) - n, "%s%s%s%s",
		    i ? "," : "", six ? "[" : "", r->hosts.text[i], six ? "]" : "");
	}
}

int repository_open(struct repository *r, const struct options *o, const struct login *login,
    const char *url, const char *mirror, int64_t deadline_ms, struct err *e)
{
	*r = (struct repository){.o = o,
	    .login = login,
	    .url = url,
	    .mirror = mirror,
	    .deadline_ms = deadline_ms,
	    .shallow = true};
	buf_init(&r->messages, MESSAGES_MAX_BYTES);
	buf_init(&r->env_text, 16384);
	struct err why;
	if (source_address_parse(str_c(url), &r->address, &why))
		return say_fail(SAY_SETTINGS, e, "%s", why.msg);
	env_common(r);
	bool remote = r->address.scheme != SOURCE_LOCAL;
	if (remote && host_resolve(r->address.host, o->allow_private, &r->hosts, e))
		return -1;
	if (remote && r->address.scheme != SOURCE_SSH && !r->address.ipv6)
		pin_http(r);
	if (login_env(login, r->address.host, r->address.port, remote ? &r->hosts : NULL, o->user,
		&r->env_text, &r->env, e))
		return -1;
	int dir CLEANUP_FD = mirror_open(mirror, e);
	return dir < 0 ? -1 : 0;
}

void repository_close(struct repository *r)
{
	buf_fini(&r->messages);
	buf_fini(&r->env_text);
}

void repository_words(const struct repository *r, struct child_words *w)
{
	*w = (struct child_words){0};
	child_add(w, "git");
	for (size_t i = 0; i < sizeof(fixed) / sizeof(*fixed); i++)
		child_add(w, fixed[i]);
	if (r->resolve[0]) {
		child_add(w, "-c");
		child_add(w, r->resolve);
	}
	child_add(w, "--git-dir");
	child_add(w, r->mirror);
}

void repository_add(struct child_words *w, const char *const *list)
{
	for (; *list; list++)
		child_add(w, *list);
}

int repository_run(
    struct repository *r, const struct child_words *w, bool quiet, struct buf *out, struct err *e)
{
	int status;
	struct child_spec s = {w, &r->env, NULL, r->deadline_ms, quiet, false};
	buf_clear(&r->messages);
	if (child_run(&s, out, &r->messages, &status, e))
		return -1;
	if (out && out->full)
		return say_fail(SAY_SIZE, e, "the repository has too many files to be listed");
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : 1;
}

bool repository_said(const struct repository *r, const char *what)
{
	return str_contains(buf_view(&r->messages), str_c(what));
}
