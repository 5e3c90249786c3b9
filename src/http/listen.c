#include "http/http.h"

#include "base/num.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

union address {
	struct sockaddr any;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
	struct sockaddr_un un;
};

static int fail(int fd, struct err *e, const char *what, const char *where)
{
	int sys = errno;
	(void)close(fd);
	enum err_code code = sys == EADDRINUSE ? ERR_CONFLICT : ERR_IO;
	return err_sys(e, code, sys, "could not %s '%s'", what, where);
}

static bool address_fill(const char *text, uint16_t port, union address *ret, socklen_t *ret_len)
{
	memset(ret, 0, sizeof *ret);
	if (inet_pton(AF_INET, text, &ret->in.sin_addr) == 1) {
		ret->in.sin_family = AF_INET;
		ret->in.sin_port = htons(port);
		*ret_len = sizeof ret->in;
		return true;
	}
	if (inet_pton(AF_INET6, text, &ret->in6.sin6_addr) == 1) {
		ret->in6.sin6_family = AF_INET6;
		ret->in6.sin6_port = htons(port);
		*ret_len = sizeof ret->in6;
		return true;
	}
	return false;
}

int http_listen_tcp(
    const char *address, uint16_t port, int backlog, uint16_t *ret_port, struct err *e)
{
	union address a;
	socklen_t len;
	int one = 1;
	if (!address_fill(address, port, &a, &len))
		return err_set(e, ERR_INVALID, "'%s' is no IP address", address);
	int fd = socket(a.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return err_sys(e, ERR_IO, errno, "could not open a socket");
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	if (bind(fd, &a.any, len) != 0 || listen(fd, backlog) != 0 ||
	    getsockname(fd, &a.any, &len) != 0)
		return fail(fd, e, "listen on", address);
	if (ret_port != NULL)
		*ret_port = ntohs(a.any.sa_family == AF_INET ? a.in.sin_port : a.in6.sin6_port);
	return fd;
}

/* Whether somebody answers on that socket file: 1, 0 (nobody: it is stale), -1 cannot tell. */
static int answers(const union address *a, socklen_t len)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	int r = connect(fd, &a->any, len);
	int sys = errno;
	(void)close(fd);
	if (r == 0 || sys == EAGAIN || sys == EINPROGRESS)
		return 1;
	return sys == ECONNREFUSED || sys == ENOENT ? 0 : -1;
}

static int remove_stale(const char *path, const union address *a, socklen_t len, struct err *e)
{
	struct stat st;
	if (lstat(path, &st) != 0)
		return errno == ENOENT ? 0
				       : err_sys(e, ERR_IO, errno, "could not look at '%s'", path);
	if (!S_ISSOCK(st.st_mode))
		return err_set(e, ERR_CONFLICT, "'%s' is in the way and is no socket", path);
	switch (answers(a, len)) {
	case 0:
		break;
	case 1:
		return err_set(e, ERR_CONFLICT, "somebody else serves on '%s'", path);
	default:
		return err_sys(
		    e, ERR_IO, errno, "could not tell whether somebody serves on '%s'", path);
	}
	if (unlink(path) != 0 && errno != ENOENT)
		return err_sys(e, ERR_IO, errno, "could not remove the stale socket '%s'", path);
	return 0;
}

int http_listen_unix(const char *path, mode_t mode, struct err *e)
{
	union address a;
	memset(&a, 0, sizeof a);
	a.un.sun_family = AF_UNIX;
	if (!str_copy(str_c(path), a.un.sun_path, sizeof a.un.sun_path))
		return err_set(e, ERR_INVALID, "the socket path '%s' is longer than %zu bytes",
		    path, sizeof a.un.sun_path - 1);
	if (remove_stale(path, &a, sizeof a.un, e) != 0)
		return -1;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return err_sys(e, ERR_IO, errno, "could not open a socket");
	/* Nobody can connect between bind and listen, so the mode is set before the first one gets
	 * in. */
	if (bind(fd, &a.any, sizeof a.un) != 0 || chmod(path, mode) != 0 || listen(fd, 1024) != 0)
		return fail(fd, e, "listen on", path);
	return fd;
}

#define PASSED_FIRST 3 /* SD_LISTEN_FDS_START */

int http_listen_passed(void)
{
	int64_t pid, count;
	bool ours = num_i64(str_c(getenv("LISTEN_PID")), 1, INT32_MAX, &pid) && pid == getpid() &&
		    num_i64(str_c(getenv("LISTEN_FDS")), 1, 64, &count);
	(void)unsetenv("LISTEN_PID");
	(void)unsetenv("LISTEN_FDS");
	(void)unsetenv("LISTEN_FDNAMES");
	if (!ours || fcntl(PASSED_FIRST, F_SETFD, FD_CLOEXEC) != 0)
		return -1;
	int flags = fcntl(PASSED_FIRST, F_GETFL);
	return flags >= 0 && fcntl(PASSED_FIRST, F_SETFL, flags | O_NONBLOCK) == 0 ? PASSED_FIRST
										   : -1;
}
