/* Who is at the other end. */
#include "http/server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

void http_peer_learn(struct http_conn *c, int fd)
{
	union {
		struct sockaddr any;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
		struct sockaddr_storage room;
	} a = {.room.ss_family = AF_UNSPEC};
	socklen_t len = sizeof a;
	if (c->unix_peer) {
		struct ucred cred = {.uid = (uid_t)-1};
		len = sizeof cred;
		if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) != 0)
			cred.uid = (uid_t)-1;
		c->peer_uid = cred.uid;
		c->peer_pid = cred.pid;
	} else if (getpeername(fd, &a.any, &len) == 0) {
		const void *ip =
		    a.any.sa_family == AF_INET6 ? (const void *)&a.in6.sin6_addr : &a.in.sin_addr;
		(void)inet_ntop(a.any.sa_family, ip, c->peer_address, sizeof c->peer_address);
	}
}
