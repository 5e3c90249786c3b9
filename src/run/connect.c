#include "base/clock.h"
#include "base/fs.h"
#include "run/state.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define CONNECT_MS 10000
#define TRY_MS 20
#define ARGS_MAX 64
#define FD_LIFE 3

static int try_connect(const struct sockaddr_un *a)
{
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd >= 0 && connect(fd, (const struct sockaddr *)a, sizeof(*a)) == 0)
		return fd;
	int saved = errno;
	fs_close_fd(&fd);
	errno = saved;
	return -1;
}

/* The helper must be nobody's child and in nobody's terminal: it outlives the daemon. */
static _Noreturn void become_helper(const struct run_options *o, int life)
{
	sigset_t none;
	sigemptyset(&none);
	for (int s = 1; s < NSIG; s++)
		(void)signal(s, SIG_DFL);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	int high = fcntl(life, F_DUPFD_CLOEXEC, 100), null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (setsid() < 0 || high < 0 || null < 0 || dup2(null, 0) < 0 || dup2(high, FD_LIFE) < 0)
		_exit(127);
	if (fork() != 0)
		_exit(0);
	(void)close_range(FD_LIFE + 1, ~0U, 0);
	union {
		const char *in[ARGS_MAX + 2];
		char *out[ARGS_MAX + 2];
	} argv = {.in = {o->helper_path}};
	for (size_t i = 0; o->helper_args && i < ARGS_MAX && o->helper_args[i]; i++)
		argv.in[i + 1] = o->helper_args[i];
	char *env[] = {NULL};
	execve(o->helper_path, argv.out, env);
	_exit(127);
}

/* Returns the read end of a pipe that closes when the helper ends. */
static int start_helper(const struct run_options *o, struct err *e)
{
	int ends[2];
	if (pipe2(ends, O_CLOEXEC) != 0)
		return err_sys(e, ERR_UNAVAILABLE, errno, "could not make a pipe");
	pid_t pid = fork();
	if (pid == 0)
		become_helper(o, ends[1]);
	close(ends[1]);
	if (pid < 0) {
		close(ends[0]);
		return err_sys(e, ERR_UNAVAILABLE, errno, "could not fork");
	}
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		continue;
	return ends[0];
}

int run_connect(const struct run_options *o, struct err *e)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	if (!str_copy(str_c(o->socket_path), a.sun_path, sizeof(a.sun_path)))
		return err_set(
		    e, ERR_SETTINGS, "the helper's socket path '%s' is too long", o->socket_path);
	int fd = try_connect(&a);
	if (fd >= 0)
		return fd;
	if (errno != ECONNREFUSED && errno != ENOENT)
		return err_sys(e, ERR_UNAVAILABLE, errno, "could not reach the helper at '%s'",
		    o->socket_path);
	CLEANUP_FD int life = o->helper_path ? start_helper(o, e) : -1;
	if (life < 0 && o->helper_path)
		return -1;
	int64_t deadline = clock_mono_ms() + CONNECT_MS;
	while (clock_mono_ms() < deadline) {
		struct pollfd p = {.fd = life, .events = POLLIN}; /* nobody's: just a pause */
		fd = try_connect(&a);
		if (fd >= 0)
			return fd;
		if (poll(&p, 1, TRY_MS) > 0) {
			(void)err_set(e, ERR_SETTINGS, "the helper '%s' ended while starting",
			    o->helper_path);
			return err_hint(e, "its last words are above; is the program there, and "
					   "are its folders writable?");
		}
	}
	return err_set(e, ERR_TIMEOUT, "the helper did not answer within %d s", CONNECT_MS / 1000);
}
