#include "helper/edge_unit.h"

#include "base/fs.h"
#include "base/log.h"
#include "helper/systemctl.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <unistd.h>

static bool is_active(const char *unit)
{
	struct err ignored;
	return systemctl("is-active", "--quiet", NULL, unit, SYSTEMCTL_MS, &ignored) == 0;
}

bool edge_unit_runs(const struct edge *g)
{
	return is_active(g->server->unit);
}

void edge_unit_stop_other(const struct edge *g)
{
	const char *unit = (g->server == &edge_nginx ? &edge_apache : &edge_nginx)->unit;
	struct err e;
	if (is_active(unit) && systemctl("stop", "--quiet", NULL, unit, SYSTEMCTL_MS, &e) != 0)
		log_event(LOG_WARN, "helper", "edge_before", F_ERR(&e));
}

int edge_unit_signal(const struct edge *g, int signal, struct err *e)
{
	char option[32];
	(void)snprintf(option, sizeof(option), "--signal=%d", signal);
	return systemctl("kill", option, signal == SIGKILL ? "--kill-who=all" : "--kill-who=main",
	    g->server->unit, SYSTEMCTL_MS, e);
}

/* ---- what stands for the unit ---- */

static void be_a_child(pid_t parent)
{
	sigset_t none;
	sigemptyset(&none);
	for (int s = 1; s < NSIG; s++)
		(void)signal(s, SIG_DFL);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	(void)setpgid(0, 0);
	(void)prctl(PR_SET_PDEATHSIG, SIGTERM);
	(void)close_range(3, ~0u, 0); /* sockets of projects are the helper's to close */
	if (getppid() != parent)
		_exit(1);
}

/* systemctl --wait would do, and hold two megabytes for it. */
static _Noreturn void stand_for(const char *unit, pid_t parent)
{
	struct err e;
	be_a_child(parent);
	if (systemctl("start", "--quiet", NULL, unit, SYSTEMCTL_MS, &e) != 0) {
		log_event(LOG_WARN, "helper", "edge_unit", F_ERR(&e));
		_exit(1);
	}
	pid_t pid = systemctl_main_pid(unit);
	struct pollfd p = {.fd = pid > 0 ? pidfd_open(pid, 0) : -1, .events = POLLIN};
	while (p.fd >= 0 && poll(&p, 1, -1) < 0 && errno == EINTR)
		continue;
	_exit(p.fd >= 0 ? 0 : 1);
}

pid_t edge_unit_start(struct edge *g, struct err *e)
{
	if (!g->adopting) /* by which Apache says that it serves */
		(void)unlinkat(g->dir, "apache.pid", 0);
	pid_t parent = getpid(), pid = fork();
	if (pid == 0)
		stand_for(g->server->unit, parent);
	if (pid < 0)
		return err_sys(e, ERR_UNAVAILABLE, errno, "could not fork");
	return pid;
}

pid_t edge_unit_test(struct edge *g, enum edge_test what, struct err *e)
{
	/* restart: of one that a helper before this one began nothing is believed */
	const char *const argv[] = {
	    "/usr/bin/systemctl", "restart", "--quiet", "--", g->server->test_units[what], NULL};
	if (unlinkat(g->test, "output", 0) < 0 && errno != ENOENT)
		return err_sys(e, ERR_IO, errno, "could not remove what the test before said");
	(void)unlinkat(g->test, "test.sock", 0);
	return edge_spawn(g, argv, STDERR_FILENO, e);
}
