/* `slipway admin …`: shows how a server is, and does the administrator's own acts; see admin/. */
#include "cli/commands.h"

#include "admin/admin.h"
#include "base/fs.h"
#include "base/name.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define STATE_DIR "/var/lib/slipway"
#define USES_SHOWN 10u
#define ARGS_MAX 300u

static int begin(struct cli *c)
{
	struct err e = {0};
	return admin_begin(&e) == 0 ? 0 : cli_fail(c, &e);
}

/* ---- other programs, with our terminal ---- */

static int become(struct cli *c, const char *const *argv)
{
	struct err e = {0};
	union {
		const char *const *in;
		char *const *out;
	} args = {.in = argv};
	(void)fflush(stdout);
	execv(argv[0], args.out);
	(void)err_sys(&e, ERR_UNAVAILABLE, errno, "could not start '%s'", argv[0]);
	return cli_fail(c, &e);
}

/* Its exit status; 127 when it could not be started. */
static int show(const char *const *argv)
{
	union {
		const char *const *in;
		char *const *out;
	} args = {.in = argv};
	int status = 0;
	(void)fflush(stdout);
	pid_t pid = fork();
	if (pid == 0) {
		execv(argv[0], args.out);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return 127;
	return WEXITSTATUS(status);
}

static void title(const char *words)
{
	(void)printf("\n%s\n", words);
}

int cmd_admin_status(struct cli *c)
{
	static const char *const id[] = {"/usr/bin/id", "slipway", NULL};
	static const char *const processes[] = {
	    "/usr/bin/ps", "-u", "slipway", "-o", "pid,etime,rss,args", NULL};
	static const char *const units[] = {"/usr/bin/systemctl", "--no-pager", "--plain",
	    "--no-legend", "list-units", "--all", "slipway*", NULL};
	static const char *const sizes[] = {"/usr/bin/du", "-sh", "--", STATE_DIR "/slipway.db",
	    STATE_DIR "/journal", STATE_DIR "/logs", STATE_DIR "/spool", STATE_DIR "/backups",
	    STATE_DIR "/projects", NULL};
	static const char *const sudo[] = {
	    "/usr/bin/journalctl", "-q", "--no-pager", "-t", "sudo", "-n", "10", NULL};
	int code = begin(c);
	if (code != 0)
		return code;
	(void)show(id);
	title("processes of the daemon");
	(void)show(processes);
	title("units");
	(void)show(units);
	title("on disk");
	(void)show(sizes);
	title("the last ten uses of sudo, whoever's");
	(void)show(sudo);
	return 0;
}

int cmd_admin_shell(struct cli *c)
{
	static const char *const shell[] = {"/usr/sbin/runuser", "-u", "slipway", "--",
	    "/usr/bin/env", ("HOME=" STATE_DIR), "/bin/bash", NULL};
	int code = begin(c);
	if (code == 0 && chdir(STATE_DIR) != 0)
		(void)fputs("slipway: " STATE_DIR " is not there\n", stderr);
	return code != 0 ? code : become(c, shell);
}

int cmd_admin_run(struct cli *c)
{
	const char *argv[ARGS_MAX + 5] = {"/usr/sbin/runuser", "-u", "slipway", "--"};
	int code = begin(c);
	if (code != 0)
		return code;
	if (c->args.rest_count == 0 || c->args.rest_count > ARGS_MAX)
		return cli_usage(c, "say what to run behind \"--\"");
	for (size_t i = 0; i < c->args.rest_count; i++)
		argv[4 + i] = c->args.rest[i];
	return become(c, argv);
}

int cmd_admin_fix_permissions(struct cli *c)
{
	struct err e = {0};
	size_t count = 0;
	int code = begin(c);
	if (code != 0)
		return code;
	if (admin_mend(&count, &e) != 0)
		return cli_fail(c, &e);
	(void)printf("folders are as documented; %zu files below them mended\n", count);
	return 0;
}

/* ---- logs ---- */

static const char *const log_units[] = {
    "slipwayd", "slipway-helper", "slipway-edge", "slipway-edge-apache", "slipway-audit"};

static int list_logs(void)
{
	static const char *const files[] = {"/usr/bin/find", (STATE_DIR "/logs"), "-type", "f",
	    "-printf", "  %P\t%s bytes\n", NULL};
	(void)printf("of the platform:\n");
	for (size_t i = 0; i < sizeof(log_units) / sizeof(*log_units); i++)
		(void)printf("  %s\n", log_units[i]);
	title("of projects:");
	return show(files);
}

/* As the daemon's user: where he writes root follows no name. */
static int follow_file(struct cli *c, const char *name)
{
	struct err e = {0};
	char path[512];
	if (name_subpath(str_c(name), &e) != 0)
		return cli_fail(c, &e);
	(void)snprintf(path, sizeof(path), STATE_DIR "/logs/%.400s", name);
	if (access(path, F_OK) != 0) {
		(void)err_set(&e, ERR_NOT_FOUND, "there is no log '%s'", name);
		(void)err_hint(&e, "slipway admin logs lists them");
		return cli_fail(c, &e);
	}
	const char *const once[] = {"/usr/sbin/runuser", "-u", "slipway", "--", "/usr/bin/tail",
	    "-n", "50", "--", path, NULL};
	const char *const on[] = {"/usr/sbin/runuser", "-u", "slipway", "--", "/usr/bin/tail", "-n",
	    "50", "-F", "--", path, NULL};
	return become(c, cli_has(c, "follow") ? on : once);
}

int cmd_admin_logs(struct cli *c)
{
	int code = begin(c);
	if (code != 0)
		return code;
	if (c->args.word_count == 0)
		return list_logs();
	const char *name = c->args.words[0];
	const char *const journal[] = {"/usr/bin/journalctl", "--no-pager", "-n", "50",
	    cli_has(c, "follow") ? "-f" : "-q", "-u", name, NULL};
	for (size_t i = 0; i < sizeof(log_units) / sizeof(*log_units); i++)
		if (strcmp(name, log_units[i]) == 0)
			return become(c, journal);
	return follow_file(c, name);
}

/* ---- what was done as root ---- */

int cmd_admin_sudo_audit(struct cli *c)
{
	static struct admin_uses u;
	struct err e = {0};
	int code = begin(c);
	if (code != 0)
		return code;
	if (admin_count_uses(&u, &e) != 0)
		return cli_fail(c, &e);
	(void)printf("operations of slipway-helper in the last 24 h: %zu performed, %zu refused\n",
	    u.performed, u.refused);
	for (size_t i = 0; i < u.count && i < USES_SHOWN; i++)
		(void)printf("  %8zu  %s\n", u.v[i].count, out_safe(&c->a, str_c(u.v[i].name)));
	if (u.refusal_count > 0)
		title("refused:");
	for (size_t i = 0; i < u.refusal_count; i++)
		(void)printf("  %s\n", out_safe(&c->a, str_c(u.refusals[i])));
	return 0;
}

/* ---- projects ---- */

static int count_lines(const char *const *argv)
{
	int ends[2], n = -1;
	if (pipe(ends) != 0)
		return -1;
	pid_t pid = fork();
	if (pid == 0) {
		union {
			const char *const *in;
			char *const *out;
		} args = {.in = argv};
		(void)dup2(ends[1], STDOUT_FILENO);
		(void)close(ends[0]);
		execv(argv[0], args.out);
		_exit(127);
	}
	(void)close(ends[1]);
	FILE *f = fdopen(ends[0], "r");
	char line[512];
	for (n = 0; f && fgets(line, sizeof(line), f);)
		n++;
	if (f)
		(void)fclose(f);
	(void)waitpid(pid, NULL, 0);
	return n;
}

static void show_project(struct cli *c, const char *name)
{
	char path[160], pattern[64], live[256];
	(void)snprintf(path, sizeof(path), STATE_DIR "/projects/%.40s/live", name);
	(void)snprintf(pattern, sizeof(pattern), "slipway-%.40s.*@*.service", name);
	const char *const units[] = {"/usr/bin/systemctl", "--no-pager", "--plain", "--no-legend",
	    "--state=active", "list-units", pattern, NULL};
	ssize_t n = readlink(path, live, sizeof(live) - 1);
	live[n > 0 ? n : 0] = '\0';
	const char *release = strrchr(live, '/');
	int running = count_lines(units);
	(void)printf("%-30s release %-6s %s (%d units)\n", out_safe(&c->a, str_c(name)),
	    release ? out_safe(&c->a, str_c(release + 1)) : "none",
	    running > 0 ? "running"
	    : release	? "nothing runs"
			: "not deployed",
	    running);
}

int cmd_admin_deployments(struct cli *c)
{
	struct err e = {0};
	struct dirent **v = NULL;
	int code = begin(c);
	if (code != 0)
		return code;
	int n = scandir(STATE_DIR "/projects", &v, NULL, alphasort);
	if (n < 0) {
		(void)err_sys(&e, ERR_IO, errno, "could not read %s/projects", STATE_DIR);
		return cli_fail(c, &e);
	}
	size_t count = 0;
	for (int i = 0; i < n; i++) {
		if (name_project(str_c(v[i]->d_name), &e) == 0) {
			show_project(c, v[i]->d_name);
			count++;
		}
		free(v[i]);
	}
	free(v);
	(void)printf("%zu projects\n", count);
	static const char *const total[] = {
	    "/usr/bin/du", "-sh", "--", (STATE_DIR "/projects"), NULL};
	return show(total);
}

int cmd_admin_backup(struct cli *c)
{
	struct err e = {0};
	struct admin_archives made;
	int code = begin(c);
	if (code != 0)
		return code;
	if (admin_backup(&made, &e) != 0)
		return cli_fail(c, &e);
	(void)printf("%s\n%s\n", made.state, made.keys);
	return 0;
}

int cmd_admin_restore(struct cli *c)
{
	struct err e = {0};
	struct admin_archives before;
	const char *state = cli_flag(c, "state"), *keys = cli_flag(c, "keys");
	int code = begin(c);
	if (code != 0)
		return code;
	if (!state || !keys)
		return cli_usage(c, "say --state FILE and --keys FILE");
	if (admin_restore(state, keys, cli_has(c, "yes"), &before, &e) != 0)
		return cli_fail(c, &e);
	(void)printf("restored; what was there is in\n%s\n%s\n"
		     "projects' files: slipway restore NAME --from FILE, for each\n",
	    before.state, before.keys);
	return 0;
}
