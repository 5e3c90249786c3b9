/* responder: answers every request with an empty 200 and looks at nothing but lengths; loopback
 * only. What the generator reaches on it is what the generator and the kernel can do on this
 * machine, so it tells whether a server was held up by the generator.
 *
 *   responder
 *
 * Prints its port and serves until it is killed, one thread on one ring (io_uring). A request's
 * head must arrive in one piece and is at most PIECE_BYTES long; the rest of its body is counted
 * off. */
#include "ring.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	CONNECTIONS_MAX = 4096,
	ENTRIES = 4096,
	PIECES = 2048, /* buffers for what comes, a power of two */
	PIECE_BYTES = 16384,
	ACCEPTING = -1, /* a completion's user data is the connection or one of these */
	SENDING = -2,
};

static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
static size_t left[CONNECTIONS_MAX]; /* of the body under way, by descriptor */
static struct ring ring;

static _Noreturn void die(const char *what)
{
	fprintf(stderr, "responder: %s: %s\n", what, strerror(errno));
	exit(2);
}

static void answer_send(int fd)
{
	struct io_uring_sqe *e = ring_entry(&ring);
	io_uring_prep_send(e, fd, answer, sizeof(answer) - 1, MSG_NOSIGNAL | MSG_WAITALL);
	io_uring_sqe_set_flags(e, IOSQE_CQE_SKIP_SUCCESS);
	io_uring_sqe_set_data64(e, (uint64_t)SENDING);
}

static void listen_to(int fd)
{
	ring_receive(&ring, fd, 0, (uint64_t)fd);
}

static void accept_all(int listener)
{
	struct io_uring_sqe *e = ring_entry(&ring);
	io_uring_prep_multishot_accept(e, listener, NULL, NULL, SOCK_CLOEXEC);
	io_uring_sqe_set_data64(e, (uint64_t)ACCEPTING);
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
		if (left[fd] == 0)
			answer_send(fd);
	}
	return 0;
}

static void accepted(int fd)
{
	int one = 1;
	if (fd >= CONNECTIONS_MAX ||
	    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) != 0)
		die("accept");
	left[fd] = 0;
	listen_to(fd);
}

static void received(int fd, const struct io_uring_cqe *q)
{
	bool over = q->res <= 0 && q->res != -ENOBUFS;
	if (q->flags & IORING_CQE_F_BUFFER) {
		if (q->res > 0 && take(fd, ring_piece(&ring, q), (size_t)q->res) != 0)
			(void)shutdown(fd, SHUT_RDWR); /* then its end is received */
		ring_give_back(&ring, q);
	}
	if (over)
		close(fd);
	else if (!(q->flags & IORING_CQE_F_MORE))
		listen_to(fd);
}

static _Noreturn void serve(int listener)
{
	accept_all(listener);
	for (;;) {
		struct io_uring_cqe *q;
		unsigned head, n = 0;
		(void)io_uring_submit_and_wait(&ring.u, 1);
		io_uring_for_each_cqe(&ring.u, head, q)
		{
			int64_t what = (int64_t)q->user_data;
			n++;
			if (what >= 0)
				received((int)what, q);
			if (what == ACCEPTING && q->res >= 0)
				accepted(q->res);
			if (what == ACCEPTING && !(q->flags & IORING_CQE_F_MORE))
				accept_all(listener);
		}
		io_uring_cq_advance(&ring.u, n);
	}
}

int main(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&a, n) != 0 || listen(fd, 1024) != 0 ||
	    getsockname(fd, (struct sockaddr *)&a, &n) != 0)
		die("listen");
	printf("%u\n", ntohs(a.sin_port));
	(void)fflush(stdout);
	ring_open(&ring, ENTRIES, PIECES, PIECE_BYTES);
	serve(fd);
}
