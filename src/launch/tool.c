#include "launch/tool.h"
#include "base/clock.h"
#include "base/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static _Noreturn void child(const char *const *argv, int output)
{
	static const char *const env_fixed[] = {
	    "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C", NULL};
	sigset_t none;
	sigemptyset(&none);
	for (int s = 1; s < NSIG; s++)
		(void)signal(s, SIG_DFL);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	int null = open("/dev/null", O_RDWR);
	if (null < 0 || dup2(null, 0) < 0 || dup2(output, 1) < 0 || dup2(output, 2) < 0)
		_exit(127);
	(void)close_range(3, ~0U, 0);
	union {
		const char *const *in;
		char *const *out;
	} args = {.in = argv}, env = {.in = env_fixed};
	execve(argv[0], args.out, env.out);
	_exit(127);
}

/* Keeps the last size-1 bytes. */
static void keep_end(char *out, size_t size, size_t *used, const char *more, size_t n)
{
	if (n > size - 1) {
		more += n - (size - 1);
		n = size - 1;
	}
	if (*used + n > size - 1) {
		size_t drop = *used + n - (size - 1);
		memmove(out, out + drop, *used - drop);
		*used -= drop;
	}
	memcpy(out + *used, more, n);
	*used += n;
}

static void make_plain(char *out, size_t used, bool lines)
{
	while (used > 0 && out[used - 1] == '\n')
		used--;
	for (size_t i = 0; i < used; i++)
		if ((unsigned char)out[i] < ' ' && !(lines && out[i] == '\n'))
			out[i] = ' ';
	out[used] = '\0';
}

/* True when everybody closed the pipe before the deadline. */
static bool read_until(int fd, int64_t deadline_ms, char *out, size_t size, bool lines)
{
	size_t used = 0;
	bool ended = false;
	while (!ended) {
		int64_t left = deadline_ms - clock_mono_ms();
		struct pollfd p = {.fd = fd, .events = POLLIN};
		if (left <= 0)
			break;
		if (poll(&p, 1, left > 60000 ? 60000 : (int)left) <= 0)
			continue;
		char more[512];
		ssize_t n = read(fd, more, sizeof(more));
		if (n > 0)
			keep_end(out, size, &used, more, (size_t)n);
		ended = n == 0 || (n < 0 && errno != EINTR);
	}
	make_plain(out, used, lines);
	return ended;
}

static int perform(const char *const *argv, int64_t deadline_ms, int *ret_exit, char *out,
    size_t size, bool lines, struct err *e)
{
	int ends[2];
	if (pipe2(ends, O_CLOEXEC) != 0)
		return err_sys(e, ERR_UNAVAILABLE, errno, "could not make a pipe");
	pid_t pid = fork();
	if (pid == 0)
		child(argv, ends[1]);
	int sys = errno;
	close(ends[1]);
	CLEANUP_FD int fd = ends[0];
	if (pid < 0)
		return err_sys(e, ERR_UNAVAILABLE, sys, "could not fork");
	bool ended = read_until(fd, deadline_ms, out, size, lines);
	if (!ended)
		(void)kill(pid, SIGKILL);
	int status = 0;
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		continue;
	if (!ended)
		return err_set(e, ERR_TIMEOUT, "'%s' did not end in time", argv[0]);
	if (!WIFEXITED(status))
		return err_set(e, ERR_FAILED, "'%s' was ended by a signal", argv[0]);
	*ret_exit = WEXITSTATUS(status);
	if (*ret_exit == 127)
		return err_set(e, ERR_UNAVAILABLE, "'%s' could not be started", argv[0]);
	return 0;
}

int launch_tool(const char *const *argv, int64_t deadline_ms, int *ret_exit, char *out, size_t size,
    struct err *e)
{
	return perform(argv, deadline_ms, ret_exit, out, size, false, e);
}

int launch_tool_lines(const char *const *argv, int64_t deadline_ms, int *ret_exit, char *out,
    size_t size, struct err *e)
{
	return perform(argv, deadline_ms, ret_exit, out, size, true, e);
}
