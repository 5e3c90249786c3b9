/* responder: answers every request with an empty 200 and looks at nothing but lengths; loopback
 * only. What the generator reaches on it is what the generator and the kernel can do on this
 * machine, so it tells whether a server was held up by the generator.
 *
 *   responder THREADS
 *
 * Prints its port and serves until it is killed. A request's head must arrive in one piece and is
 * at most BUFFER_BYTES long; the rest of its body is counted off. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CONNECTIONS_MAX = 4096, BUFFER_BYTES = 65536, EVENTS = 256, THREADS_MAX = 16 };

static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
static size_t left[CONNECTIONS_MAX]; /* of the body under way, by descriptor */

static _Noreturn void die(const char *what)
{
	fprintf(stderr, "responder: %s: %s\n", what, strerror(errno));
	exit(2);
}

/* How many of the n bytes belong to bodies and heads; answers each request that ends in them. */
static int take(int fd, const char *all, size_t n)
{
	static const char name[] = "Content-Length: ";
	size_t at = 0;
	while (at < n) {
		if (left[fd] == 0) {
			const char *end = memmem(&all[at], n - at, "\r\n\r\n", 4);
			if (!end)
				return -1;
			size_t head = (size_t)(end - &all[at]) + 4;
			const char *length = memmem(&all[at], head, name, sizeof(name) - 1);
			left[fd] = length ? strtoul(length + sizeof(name) - 1, NULL, 10) : 0;
			at += head;
		}
		size_t piece = left[fd] < n - at ? left[fd] : n - at;
		left[fd] -= piece;
		at += piece;
		if (left[fd] == 0 &&
		    send(fd, answer, sizeof(answer) - 1, MSG_NOSIGNAL) != sizeof(answer) - 1)
			return -1;
	}
	return 0;
}

static void accept_one(int poller, int listener)
{
	struct epoll_event ev = {.events = EPOLLIN};
	int one = 1, fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd < 0)
		return;
	ev.data.fd = fd;
	if (fd >= CONNECTIONS_MAX ||
	    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) != 0 ||
	    epoll_ctl(poller, EPOLL_CTL_ADD, fd, &ev) != 0)
		die("accept");
	left[fd] = 0;
}

static void *serve(void *arg)
{
	int listener = *(int *)arg, poller = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event ev[EVENTS],
	    own = {.events = EPOLLIN | EPOLLEXCLUSIVE, .data.fd = listener};
	static _Thread_local char buffer[BUFFER_BYTES];
	if (poller < 0 || epoll_ctl(poller, EPOLL_CTL_ADD, listener, &own) != 0)
		die("start");
	for (;;) {
		int n = epoll_wait(poller, ev, EVENTS, -1);
		for (int i = 0; i < n; i++) {
			int fd = ev[i].data.fd;
			if (fd == listener) {
				accept_one(poller, listener);
				continue;
			}
			ssize_t got = recv(fd, buffer, sizeof(buffer), 0);
			if (got < 0 && errno == EAGAIN)
				continue;
			if (got <= 0 || take(fd, buffer, (size_t)got) != 0)
				close(fd);
		}
	}
	return NULL;
}

int main(int argc, char **argv)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof(a);
	pthread_t thread;
	unsigned threads = argc == 2 ? (unsigned)strtoul(argv[1], NULL, 10) : 0;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (threads < 1 || threads > THREADS_MAX)
		return 2;
	if (fd < 0 || bind(fd, (struct sockaddr *)&a, n) != 0 || listen(fd, 1024) != 0 ||
	    getsockname(fd, (struct sockaddr *)&a, &n) != 0)
		die("listen");
	printf("%u\n", ntohs(a.sin_port));
	(void)fflush(stdout);
	for (unsigned i = 1; i < threads; i++)
		if (pthread_create(&thread, NULL, serve, &fd) != 0)
			die("thread");
	serve(&fd);
	return 0;
}
