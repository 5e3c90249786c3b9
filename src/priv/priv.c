#include "priv/priv.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const char *const names[PRIV_OP_COUNT] = {
    [PRIV_HELLO] = "hello",
    [PRIV_PROJECT_ENSURE] = "project-ensure",
    [PRIV_PROJECT_REMOVE] = "project-remove",
    [PRIV_RELEASE_PREPARE] = "release-prepare",
    [PRIV_RELEASE_SEAL] = "release-seal",
    [PRIV_RELEASE_REMOVE] = "release-remove",
    [PRIV_VHOST_SET] = "vhost-set",
    [PRIV_VHOST_REMOVE] = "vhost-remove",
    [PRIV_EDGE_CHECK] = "edge-check",
    [PRIV_EDGE_RELOAD] = "edge-reload",
    [PRIV_SITES_SET] = "sites-set",
    [PRIV_SITE_CERT_SET] = "site-certificate-set",
    [PRIV_OWN_CERT_SET] = "own-certificate-set",
    [PRIV_OWN_CERT_REMOVE] = "own-certificate-remove",
    [PRIV_CERT_SET] = "certificate-set",
    [PRIV_CERT_REMOVE] = "certificate-remove",
    [PRIV_START] = "start",
    [PRIV_STOP] = "stop",
    [PRIV_SIGNAL] = "signal",
    [PRIV_LIST] = "list",
    [PRIV_TAKE_OUTPUT] = "take-output",
    [PRIV_FORGET] = "forget",
    [PRIV_SLEEP] = "sleep",
    [PRIV_NARROW] = "narrow",
    [PRIV_SHUTDOWN] = "shutdown",
};

const char *priv_op_name(uint32_t op)
{
	return op < PRIV_OP_COUNT ? names[op] : NULL;
}

union control {
	struct cmsghdr align;
	/* Room for more than is allowed, so that surplus descriptors are seen, and closed. */
	char bytes[CMSG_SPACE(sizeof(int) * (PRIV_FDS_MAX + 2))];
};

int priv_send(
    int sock, const void *msg, size_t size, const int *fds, size_t fd_count, struct err *e)
{
	if (fd_count > PRIV_FDS_MAX)
		return err_set(e, ERR_INVALID, "%zu descriptors in one message", fd_count);
	struct iovec iov;
	memcpy(&iov.iov_base, &msg, sizeof(msg)); /* sendmsg(2) does not write through it */
	iov.iov_len = size;
	union control control = {0};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
	if (fd_count > 0) {
		m.msg_control = control.bytes;
		m.msg_controllen = CMSG_SPACE(sizeof(int) * fd_count);
		struct cmsghdr *c = CMSG_FIRSTHDR(&m);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * fd_count);
		memcpy(CMSG_DATA(c), fds, sizeof(int) * fd_count);
	}
	ssize_t sent;
	do
		sent = sendmsg(sock, &m, MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	if (sent < 0)
		return err_sys(e, ERR_UNAVAILABLE, errno, "could not send to the other end");
	if ((size_t)sent != size)
		return err_set(e, ERR_INVALID, "message was cut to %zd bytes", sent);
	return 0;
}

static void close_all(int *fds, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		close(fds[i]);
		fds[i] = -1;
	}
}

/* Collects the descriptors; those beyond PRIV_FDS_MAX are closed. Returns how many there were. */
static size_t take_fds(struct msghdr *m, int fds[PRIV_FDS_MAX])
{
	size_t count = 0;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < n; i++) {
			int fd;
			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
			if (count < PRIV_FDS_MAX)
				fds[count] = fd;
			else
				close(fd);
			count++;
		}
	}
	return count;
}

int priv_recv(
    int sock, void *msg, size_t size, int fds[PRIV_FDS_MAX], size_t *ret_fd_count, struct err *e)
{
	char surplus;
	struct iovec iov[2] = {
	    {.iov_base = msg, .iov_len = size}, {.iov_base = &surplus, .iov_len = 1}};
	union control control;
	struct msghdr m = {.msg_iov = iov,
	    .msg_iovlen = 2,
	    .msg_control = control.bytes,
	    .msg_controllen = sizeof(control.bytes)};
	*ret_fd_count = 0;
	ssize_t got;
	do
		got = recvmsg(sock, &m, MSG_CMSG_CLOEXEC);
	while (got < 0 && errno == EINTR);
	if (got < 0 && errno == ECONNRESET)
		return 0;
	if (got < 0)
		return err_sys(e, ERR_UNAVAILABLE, errno, "could not receive from the other end");
	size_t count = take_fds(&m, fds);
	bool fits = (size_t)got == size && count <= PRIV_FDS_MAX && !(m.msg_flags & MSG_CTRUNC);
	if (fits) {
		*ret_fd_count = count;
		return 1;
	}
	close_all(fds, count < PRIV_FDS_MAX ? count : PRIV_FDS_MAX);
	if (got == 0)
		return 0;
	if ((size_t)got != size)
		return err_set(e, ERR_INVALID, "message of %zd bytes instead of %zu", got, size);
	return err_set(e, ERR_INVALID, "message with too many descriptors");
}
