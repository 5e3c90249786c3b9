#include "daemon/system.h"

#include "base/fs.h"
#include "base/num.h"
#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { PASSED_FIRST = 3, PASSED_MAX = 64 };

static const char *const names[SYSTEM_SOCKET_COUNT] = {
    [SYSTEM_SOCKET_API] = "api",
    [SYSTEM_SOCKET_EDGE_API] = "edge-api",
    [SYSTEM_SOCKET_HTTP] = "http",
};

static void take(int fd, struct str name, int ret[SYSTEM_SOCKET_COUNT])
{
	for (size_t i = 0; i < SYSTEM_SOCKET_COUNT; i++) {
		int flags = fcntl(fd, F_GETFL);
		if (ret[i] >= 0 || !str_eq_c(name, names[i]) || flags < 0 ||
		    fcntl(fd, F_SETFD, FD_CLOEXEC) != 0 ||
		    fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0)
			continue;
		ret[i] = fd;
		return;
	}
	(void)close(fd);
}

void system_sockets_take(int ret[SYSTEM_SOCKET_COUNT])
{
	int64_t pid, count = 0;
	for (size_t i = 0; i < SYSTEM_SOCKET_COUNT; i++)
		ret[i] = -1;
	bool ours = num_i64(str_c(getenv("LISTEN_PID")), 1, INT32_MAX, &pid) && pid == getpid() &&
		    num_i64(str_c(getenv("LISTEN_FDS")), 1, PASSED_MAX, &count);
	struct str rest = str_c(getenv("LISTEN_FDNAMES")), name = STR_NONE;
	for (int i = 0; ours && i < count; i++) {
		if (!str_next(&rest, ':', &name))
			name = STR_NONE;
		take(PASSED_FIRST + i, name, ret);
	}
	(void)unsetenv("LISTEN_PID");
	(void)unsetenv("LISTEN_FDS");
	(void)unsetenv("LISTEN_FDNAMES");
}

int64_t system_watchdog_ms(void)
{
	int64_t pid, us = 0;
	bool ours = num_i64(str_c(getenv("WATCHDOG_PID")), 1, INT32_MAX, &pid) && pid == getpid() &&
		    num_i64(str_c(getenv("WATCHDOG_USEC")), 1, INT64_MAX, &us);
	(void)unsetenv("WATCHDOG_PID");
	(void)unsetenv("WATCHDOG_USEC");
	return ours ? us / 2000 : 0;
}

void system_notify(const char *state)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	struct str path = str_c(getenv("NOTIFY_SOCKET"));
	if (path.n < 2 || !str_copy(path, a.sun_path, sizeof(a.sun_path)))
		return;
	if (a.sun_path[0] == '@')
		a.sun_path[0] = '\0';
	CLEANUP_FD int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + path.n);
	if (fd >= 0)
		(void)!sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&a, len);
}

int system_signals(struct err *e)
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	(void)signal(SIGPIPE, SIG_IGN);
	if (sigprocmask(SIG_BLOCK, &set, NULL) != 0)
		return err_sys(e, ERR_INTERNAL, errno, "could not block signals");
	int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return fd >= 0 ? fd : err_sys(e, ERR_INTERNAL, errno, "could not watch for signals");
}
