/* slipway-tree: the tenant's half of fetching and building. Its subcommands are written by
 * source_job and kinds/; see source/source.h for what they print. Runs in the project's sandbox,
 * from the project's directory. */
#include "base/fs.h"
#include "base/log.h"
#include "tree/copy.h"
#include "tree/git.h"
#include "tree/login.h"
#include "tree/node.h"
#include "tree/options.h"
#include "tree/pack.h"
#include "tree/place.h"
#include "tree/python.h"
#include "tree/say.h"
#include "tree/scan.h"
#include "tree/unpack.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define EXIT_USAGE 64

static int open_release(const struct options *o, struct err *e)
{
	char path[64];
	if (o->release == 0)
		return say_fail(SAY_SETTINGS, e, "--release is missing");
	snprintf(path, sizeof(path), "releases/%u", o->release);
	int dir = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return dir < 0 ? err_sys(e, ERR_IO, errno, "could not open '%s'", path) : dir;
}

static int scan_release(const struct options *o, struct buf *report, struct err *e)
{
	int dir CLEANUP_FD = open_release(o, e);
	return dir < 0 ? -1 : scan_tree(dir, o->files_max, o->bytes_max, report, e);
}

static int copy_path(const struct options *o, struct buf *report, struct err *e)
{
	const struct copy_limits limits = {o->files_max, o->bytes_max, true};
	int to CLEANUP_FD = open_release(o, e);
	if (to < 0)
		return -1;
	if (o->path.n == 0)
		return say_fail(SAY_SETTINGS, e, "--path is missing");
	int from CLEANUP_FD = open(o->path.p, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (from < 0) {
		const char *why = errno == EACCES   ? "the project's user cannot read the folder"
				  : errno == ENOENT ? "there is no folder"
						    : "cannot open the folder";
		return say_fail(SAY_DENIED, e, "%s '%.300s'", why, o->path.p);
	}
	if (copy_tree(from, to, &limits, e))
		return -1;
	return scan_tree(to, o->files_max, o->bytes_max, report, e);
}

static int unpack(const struct options *o, struct buf *report, struct err *e)
{
	int to CLEANUP_FD = open_release(o, e);
	if (to < 0 || unpack_archive(STDIN_FILENO, to, o->files_max, o->bytes_max, e))
		return -1;
	return scan_tree(to, o->files_max, o->bytes_max, report, e);
}

static const struct {
	const char *name;
	int (*run)(const struct options *o, struct buf *report, struct err *e);
} commands[] = {
    {"fetch-git", git_fetch},
    {"copy-path", copy_path},
    {"unpack", unpack},
    {"scan", scan_release},
    {"python-env", python_env},
    {"need-node", node_need},
    {"node-install", node_install},
    {"pack", pack_project},
    {"restore-release", place_release},
    {"data-stage", place_stage},
    {"service-load", place_services},
    {"data-swap", place_swap},
    {"data-back", place_back},
    {"data-drop", place_drop},
};

static int run(size_t command, int argc, char **argv)
{
	struct err e = {0};
	struct options o;
	if (options_read(argc, argv, &o, &e)) {
		say_failure(&e);
		return EXIT_USAGE;
	}
	struct buf report CLEANUP_BUF;
	buf_init(&report, SCAN_REPORT_MAX_BYTES);
	if (commands[command].run(&o, &report, &e) || say_report(&report, &e)) {
		say_failure(&e);
		return 1;
	}
	return 0;
}

#if defined(__SANITIZE_ADDRESS__)
/* The sandbox around us refuses ptrace(2), which looking for leaks needs. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "detect_leaks=0";
}
#endif

int main(int argc, char **argv)
{
	login_serve(argc, argv);
	umask(022);
	(void)signal(SIGPIPE, SIG_IGN);
	for (size_t i = 0; argc > 1 && i < sizeof(commands) / sizeof(*commands); i++)
		if (strcmp(argv[1], commands[i].name) == 0)
			return run(i, argc - 2, argv + 2);
	fprintf(
	    stderr, "slipway-tree: settings: slipwayd starts this program; it is not for people\n");
	return EXIT_USAGE;
}
