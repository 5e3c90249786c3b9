#include "helper/keep.h"

#include "base/fs.h"
#include "base/log.h"
#include "base/num.h"
#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define FIRST_FD 3 /* sd_listen_fds(3) */

static struct {
	struct sockaddr_un to;
	socklen_t to_size;
	int sock; /* 0: nothing is kept */
	struct {
		char name[KEEP_NAME_SIZE];
		int fd; /* -1: taken */
	} handed[KEEP_MAX];
	size_t count;
} keep;

/* $LISTEN_FDNAMES has a name for each, with ':' between them. What is not named as ours are is none of ours. */
static void take_over(struct str names, uint64_t count)
{
	for (uint64_t i = 0; i < count; i++) {
		int fd = FIRST_FD + (int)i;
		size_t end = str_find(names, ':', 0), n = end < names.n ? end : names.n;
		const struct str name = {names.p, n};
		if (keep.count < KEEP_MAX && fcntl(fd, F_SETFD, FD_CLOEXEC) == 0 &&
		    str_copy(name, keep.handed[keep.count].name, KEEP_NAME_SIZE))
			keep.handed[keep.count++].fd = fd;
		else
			close(fd);
		names.p += n < names.n ? n + 1 : n;
		names.n -= n < names.n ? n + 1 : n;
	}
}

void keep_open(void)
{
	const char *socket_name = getenv("NOTIFY_SOCKET"), *pid = getenv("LISTEN_PID"),
		   *fds = getenv("LISTEN_FDS"), *names = getenv("LISTEN_FDNAMES");
	uint64_t id, count;
	if (!socket_name || (socket_name[0] != '/' && socket_name[0] != '@') ||
	    !str_copy(str_c(socket_name), keep.to.sun_path, sizeof(keep.to.sun_path)))
		return;
	int sock = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (sock < 0)
		return;
	keep.to.sun_family = AF_UNIX;
	keep.to_size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(socket_name) +
				   (socket_name[0] == '/'));
	if (socket_name[0] == '@')
		keep.to.sun_path[0] = '\0';
	if (pid && fds && names && num_u64(str_c(pid), 1, INT32_MAX, &id) &&
	    (pid_t)id == getpid() && num_u64(str_c(fds), 1, INT32_MAX / 2, &count))
		take_over(str_c(names), count);
	keep.sock = sock;
}

bool keep_is_on(void)
{
	return keep.sock > 0;
}

int keep_take(const char *name)
{
	for (size_t i = 0; i < keep.count; i++)
		if (keep.handed[i].fd >= 0 && strcmp(keep.handed[i].name, name) == 0) {
			int fd = keep.handed[i].fd;
			keep.handed[i].fd = -1;
			return fd;
		}
	return -1;
}

bool keep_next(size_t *at, char *name, int *ret_fd)
{
	for (; *at < keep.count; ++*at) {
		if (keep.handed[*at].fd < 0)
			continue;
		memcpy(name, keep.handed[*at].name, KEEP_NAME_SIZE);
		*ret_fd = keep.handed[*at].fd;
		keep.handed[*at].fd = -1;
		return true;
	}
	return false;
}

/* One message to systemd, with a descriptor when it is not -1. */
static void tell(const char *text, int fd)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} with = {0};
	struct iovec words = {.iov_base = (void *)(uintptr_t)text, .iov_len = strlen(text)};
	struct msghdr m = {
	    .msg_name = &keep.to, .msg_namelen = keep.to_size, .msg_iov = &words, .msg_iovlen = 1};
	if (fd >= 0) {
		m.msg_control = with.bytes;
		m.msg_controllen = sizeof(with.bytes);
		struct cmsghdr *c = CMSG_FIRSTHDR(&m);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	}
	ssize_t n;
	do
		n = sendmsg(keep.sock, &m, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	if (n >= 0)
		return;
	struct err e;
	(void)err_sys(&e, ERR_UNAVAILABLE, errno, "systemd does not take '%s'", text);
	(void)err_hint(&e, "what it belongs to ends with the helper");
	log_event(LOG_WARN, "helper", "not_kept", F_ERR(&e));
}

void keep_put(const char *name, int fd)
{
	char text[64];
	if (!keep_is_on() || fd < 0)
		return;
	(void)snprintf(text, sizeof(text), "FDSTORE=1\nFDPOLL=0\nFDNAME=%s", name);
	tell(text, fd);
}

void keep_drop(const char *name)
{
	char text[64];
	if (!keep_is_on())
		return;
	(void)snprintf(text, sizeof(text), "FDSTOREREMOVE=1\nFDNAME=%s", name);
	tell(text, -1);
}
