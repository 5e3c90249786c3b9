#include "helper/front.h"

#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/num.h"
#include "monitor/pass.h"
#include "monitor/program.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#define AGAIN_MS 1000 /* at least between two starts */
#define FD_HIGH 100   /* beyond what is put into place */

/* Sees what is put into place, standard error, and no environment. */
static _Noreturn void become(const struct front *f, int control)
{
	char uid[16];
	static const char *const none[] = {NULL};
	const char *const argv[] = {f->program, uid, NULL};
	union {
		const char *const *in;
		char *const *out;
	} a = {.in = argv}, env = {.in = none};
	(void)snprintf(uid, sizeof(uid), "%u", f->daemon_uid);
	int listen = fcntl(f->listen, F_DUPFD_CLOEXEC, FD_HIGH);
	int ours = fcntl(control, F_DUPFD_CLOEXEC, FD_HIGH);
	if (listen >= 0 && ours >= 0 && dup2(listen, MONITOR_FD_LISTEN) >= 0 &&
	    dup2(ours, MONITOR_FD_CONTROL) >= 0 && close_range(MONITOR_FD_END, ~0U, 0) == 0)
		(void)execve(f->program, a.out, env.out);
	_exit(127);
}

static int start(struct front *f, struct err *e)
{
	int ends[2];
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) != 0)
		return err_sys(
		    e, ERR_UNAVAILABLE, errno, "could not make a socket for the monitor");
	pid_t pid = fork();
	if (pid == 0)
		become(f, ends[1]);
	int sys = errno;
	fs_close_fd(&ends[1]);
	if (pid < 0) {
		fs_close_fd(&ends[0]);
		return err_sys(e, ERR_UNAVAILABLE, sys, "could not start the monitor");
	}
	f->pid = pid;
	f->control = ends[0];
	f->started_ms = clock_mono_ms();
	return 0;
}

int front_open(struct front *f, const char *program, int listen, uid_t daemon_uid, struct err *e)
{
	*f = (struct front){
	    .program = program, .listen = listen, .daemon_uid = daemon_uid, .control = -1};
	if (access(program, X_OK) != 0)
		return err_sys(e, ERR_SETTINGS, errno, "cannot start the monitor '%s'", program);
	return start(f, e);
}

int front_take(struct front *f)
{
	struct pass_connection c = {0};
	struct err e;
	int fds[PRIV_FDS_MAX];
	size_t count = 0;
	if (f->control < 0 || priv_recv(f->control, &c, sizeof(c), fds, &count, &e) <= 0)
		return -1;
	if (c.magic == PRIV_MAGIC && c.what == PASS_CONNECT && count == 1)
		return fds[0];
	for (size_t i = 0; i < count; i++)
		fs_close_fd(&fds[i]);
	return -1;
}

bool front_reaped(struct front *f, pid_t pid, int wait_status, int64_t now_ms)
{
	if (f->pid == 0 || pid != f->pid)
		return false;
	f->pid = 0;
	f->again_ms = f->started_ms + AGAIN_MS > now_ms ? f->started_ms + AGAIN_MS : now_ms;
	if (f->control >= 0) /* else it was told to end */
		log_event(
		    LOG_ERROR, "keeper", "monitor_died", F_I64("wait_status", wait_status));
	fs_close_fd(&f->control);
	return true;
}

bool front_tick(struct front *f, int64_t now_ms, int64_t *ret_due)
{
	struct err e;
	*ret_due = DEADLINE_NEVER;
	if (f->pid != 0)
		return false;
	if (now_ms >= f->again_ms) {
		if (start(f, &e) == 0)
			return true;
		log_event(LOG_ERROR, "keeper", "no_monitor", F_ERR(&e));
		f->again_ms = now_ms + AGAIN_MS;
	}
	*ret_due = f->again_ms;
	return false;
}

void front_close(struct front *f)
{
	fs_close_fd(&f->control);
}
