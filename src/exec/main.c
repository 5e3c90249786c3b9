/* slipway-exec: the first thing in a tenant's process. Reads the argument and environment lists of
 * the release, goes to its working directory, closes the file tree and the system calls that it
 * does not need, and becomes the program. */
#include "base/fs.h"
#include "base/log.h"
#include "exec/environ.h"
#include "exec/relay.h"
#include "launch/sandbox.h"
#include "launch/supply.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ARENA_BYTES (8u << 20)
#define EXIT_CANNOT_START 127
#define EXIT_USAGE 64

static int fail(const struct err *e)
{
	dprintf(STDERR_FILENO, "slipway: %s%s%s\n", e->msg, e->hint[0] ? "; " : "", e->hint);
	return EXIT_CANNOT_START;
}

/* The release's folder comes from the platform; the part below it from the tenant, who may not
 * leave it. */
static int enter(const struct guest *g, const struct environ_dirs *d, struct err *e)
{
	bool below = g->sandbox != GUEST_FETCH;
	const char *base = below ? d->release : d->work;
	CLEANUP_FD int top = open(base, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (top < 0)
		return err_sys(e, ERR_UNAVAILABLE, errno, "cannot enter '%s'", base);
	if (!below || g->subdir[0] == '\0')
		return fchdir(top) == 0
			   ? 0
			   : err_sys(e, ERR_UNAVAILABLE, errno, "cannot enter '%s'", base);
	CLEANUP_FD int sub = fs_open_beneath(top, g->subdir, O_PATH | O_DIRECTORY, 0);
	if (sub < 0 || fchdir(sub) != 0)
		return err_sys(
		    e, ERR_NOT_FOUND, errno, "cannot enter '%s' of the release", g->subdir);
	return 0;
}

static bool same_file(const char *a, const char *b)
{
	struct stat x, y;
	return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

static int close_in(const struct guest *g, const struct environ_dirs *d, struct err *e)
{
	char cache[GUEST_PATH_MAX + 8], mirror[GUEST_PATH_MAX + 8], data[GUEST_PATH_MAX + 8];
	snprintf(cache, sizeof(cache), "%s/cache", g->project_dir);
	snprintf(mirror, sizeof(mirror), "%s/mirror", g->project_dir);
	snprintf(data, sizeof(data), "%s/data", g->project_dir);
	struct sandbox_paths p = {
	    .release = g->release > 0 ? d->release : NULL,
	    .data = data,
	    .cache = cache,
	    .mirror = mirror,
	    .tmp = g->tmp[0] ? d->tmp : NULL,
	    .program = g->program[0] ? g->program : NULL,
	    .private_tmp = g->own_tmp || (g->tmp[0] && same_file(d->tmp, "/tmp")),
	    .devices = g->devices,
	};
	if (g->relay)
		p = (struct sandbox_paths){0};
	return sandbox_files(g->sandbox, &p, e) != 0 ? -1 : sandbox_calls(e);
}

/* As execvp(3), but never through a shell when the kernel does not know the format. Returns errno.
 */
static int exec_search(const struct environ_lists *l)
{
	const char *name = l->argv[0];
	if (strchr(name, '/')) {
		execve(name, l->argv, l->envp);
		return errno;
	}
	int worst = ENOENT;
	struct str rest = l->path, dir;
	while (name[0] != '\0' && str_next(&rest, ':', &dir)) {
		char full[GUEST_PATH_MAX * 4];
		int n =
		    snprintf(full, sizeof(full), "%.*s%s%s", STR_ARG(dir), dir.n ? "/" : "", name);
		if (n < 0 || (size_t)n >= sizeof(full))
			continue;
		execve(full, l->argv, l->envp);
		if (errno != ENOENT && errno != ENOTDIR && errno != EACCES)
			return errno;
		if (errno == EACCES)
			worst = EACCES;
	}
	return worst;
}

static int explain(const struct environ_lists *l, int sys, struct err *e)
{
	char shown[160];
	log_escape(str_c(l->argv[0]), shown, sizeof(shown));
	if (sys == ENOENT && strchr(l->argv[0], '/') && access(l->argv[0], F_OK) == 0)
		err_set(e, ERR_FAILED,
		    "cannot start '%s': the interpreter that its first line names is not there",
		    shown);
	else if (sys == ENOENT && strchr(l->argv[0], '/'))
		err_set(e, ERR_FAILED, "cannot start '%s': no such file in the release", shown);
	else if (sys == ENOENT)
		err_set(e, ERR_FAILED, "cannot start '%s': no such file or directory in %.*s",
		    shown, STR_ARG(l->path));
	else if (sys == ENOEXEC)
		err_set(e, ERR_FAILED,
		    "cannot start '%s': not a program; a script needs a first line like "
		    "#!/usr/bin/python3",
		    shown);
	else if (sys == EACCES)
		err_sys(e, ERR_FAILED, sys, "cannot start '%s'", shown),
		    err_hint(e, "is it executable? try chmod +x in the repository");
	else
		err_sys(e, ERR_FAILED, sys, "cannot start '%s'", shown);
	return -1;
}

static int run_program(const struct guest *g, const struct environ_dirs *d, struct err *e)
{
	struct arena a;
	arena_init(&a, ARENA_BYTES);
	struct environ_lists l;
	if (environ_build(g, d, &a, &l, e) != 0 || enter(g, d, e) != 0 || close_in(g, d, e) != 0)
		return -1;
	if (!g->program[0])
		return explain(&l, exec_search(&l), e);
	execve(g->program, l.argv, l.envp);
	return err_sys(e, ERR_FAILED, errno, "cannot start '%s'", g->program);
}

static int perform(int argc, char **argv)
{
	struct guest g;
	struct environ_dirs d;
	struct err e = {0};
	if (argc == 4 && strcmp(argv[1], "--ended") == 0)
		return supply_tell_end(
			   argv[2], argv[3], getenv("EXIT_CODE"), getenv("EXIT_STATUS"), &e) == 0
			   ? 0
			   : fail(&e);
	bool unit = argc == 4 && strcmp(argv[1], "--supply") == 0;
	if ((unit ? supply_take(argv[2], argv[3], &g, &e) : guest_parse(argc, argv, &g, &e)) != 0) {
		fail(&e);
		return EXIT_USAGE;
	}
	environ_dirs(&g, &d);
	/* Otherwise the starter made it. */
	if (unit && g.tmp[0] && !g.relay && mkdir(d.tmp, 0700) != 0 && errno != EEXIST) {
		(void)err_sys(&e, ERR_UNAVAILABLE, errno, "could not make '%s'", d.tmp);
		if (e.sys != EDQUOT)
			return fail(&e);
		/* his files have used up their quota: the unit's own /tmp is there */
		(void)snprintf(d.tmp, sizeof(d.tmp), "/tmp");
	}
	if (!g.relay)
		(void)run_program(&g, &d, &e);
	else if (close_in(&g, &d, &e) == 0 && relay_run(GUEST_FD_LISTEN, g.port, &e) == 0)
		return 0;
	return fail(&e);
}

int main(int argc, char **argv)
{
	/* Nothing is buffered, and what a sanitizer does at the end is behind the system-call
	 * filter. */
	_exit(perform(argc, argv));
}
