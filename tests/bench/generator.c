/* generator: signed requests, prepared in memory, as fast as one thread can send them; loopback
 * only.
 *
 *   generator --port P --requests FILE [--connections 64] [--seconds 4]
 *
 * FILE holds requests behind each other, each as u32 length, u32 offset of its id, bytes; numbers
 * in the machine's order. The id is ID_BYTES wide and written anew for every request, so that none
 * is sent twice: a run's random half, then a count. Each connection has one of the requests for
 * itself and sends it again as soon as its answer is whole. Nothing is sent twice after a failure,
 * and a connection that fails is not opened again.
 *
 * Of an answer the status, the length and the end are looked at, nothing else: what the generator
 * costs is what the server does not get on a shared machine. So the kernel is asked through a ring:
 * one call for all that is to be sent and all that has come. A turn's answers and the requests they
 * let out share one reading of the clock. Prints one JSON object: ok (2xx),
 * failed, statuses, seconds, rate, latency percentiles in us, cpu_us of this process for each. */
#include "ring.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
	CONNECTIONS_MAX = 1024,
	ID_BYTES = 36,
	ANSWER_MAX = 16384,
	STATUS_END = 600,
	BUCKETS = 4096,
	QUIET_SECONDS = 10, /* nothing came for so long: what is out is lost */
	PIECES = 1024,	    /* buffers for what comes, a power of two */
	PIECE_BYTES = 4096,
	SENDING = 1, /* in a completion's user data, beside the client's address */
};

struct client {
	int fd;
	bool out; /* a request is, its answer not yet here */
	bool failed;
	char *request, *id;
	size_t request_n;
	int64_t begun_ns;
	char *part; /* of an answer that came in pieces; NULL: none */
	size_t part_n;
};

static struct client clients[CONNECTIONS_MAX];
static unsigned connections = 64, waiting;
static double seconds = 4;
static uint16_t port;
static uint64_t sent, ok, failed, statuses[STATUS_END], histogram[BUCKETS];
static char run_id[17];
static struct ring ring;
static int64_t turn_ns; /* when this turn's completions were read */

static void die(const char *what)
{
	fprintf(stderr, "generator: %s: %s\n", what, strerror(errno));
	exit(2);
}

static int64_t now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* 64 buckets per power of two. */
static unsigned bucket_of(uint64_t ns)
{
	unsigned log = 63u - (unsigned)__builtin_clzll(ns | 1);
	unsigned sub =
	    log >= 6 ? (unsigned)(ns >> (log - 6)) & 63u : (unsigned)(ns << (6 - log)) & 63u;
	return log * 64 + sub;
}

static double percentile_us(double p)
{
	uint64_t seen = 0, want = (uint64_t)((double)ok * p);
	for (unsigned b = 0; b < BUCKETS; b++) {
		seen += histogram[b];
		if (seen > want)
			return (double)(1ull << (b / 64)) * (1.0 + (double)(b % 64) / 64.0) / 1000;
	}
	return 0;
}

static void fail(struct client *c)
{
	if (c->failed)
		return;
	failed++;
	waiting -= c->out;
	c->out = false;
	c->failed = true;
	(void)shutdown(c->fd, SHUT_RDWR);
}

/* As a UUID is written. */
static void id_write(char *to, uint64_t n)
{
	static const char hex[] = "0123456789abcdef";
	char digits[16];
	for (unsigned i = 0; i < 16; i++)
		digits[i] = hex[n >> (60 - 4 * i) & 15];
	memcpy(to, run_id, 8);
	memcpy(to + 9, run_id + 8, 4);
	memcpy(to + 14, run_id + 12, 4);
	memcpy(to + 19, digits, 4);
	memcpy(to + 24, digits + 4, 12);
	to[8] = to[13] = to[18] = to[23] = '-';
}

/* Only a failure to send completes. */
static void client_send(struct client *c)
{
	struct io_uring_sqe *e = ring_entry(&ring);
	id_write(c->id, sent++);
	c->begun_ns = turn_ns;
	c->out = true;
	waiting++;
	io_uring_prep_send(
	    e, (int)(c - clients), c->request, c->request_n, MSG_NOSIGNAL | MSG_WAITALL);
	io_uring_sqe_set_data64(e, (uint64_t)(uintptr_t)c | SENDING);
	io_uring_sqe_set_flags(e, IOSQE_FIXED_FILE | IOSQE_CQE_SKIP_SUCCESS);
}

static void client_listen(struct client *c)
{
	ring_receive(&ring, (int)(c - clients), IOSQE_FIXED_FILE, (uint64_t)(uintptr_t)c);
}

/* Bytes of the answer that begins at p: 0 when it is not all there, SIZE_MAX when it is none. */
static size_t answer_bytes(const char *p, size_t n, unsigned *ret_status)
{
	static const char name[] = "\r\ncontent-length: ";
	const char *end = memmem(p, n, "\r\n\r\n", 4);
	size_t body = 0;
	if (!end)
		return n < ANSWER_MAX ? 0 : SIZE_MAX;
	*ret_status = (unsigned)strtoul(p + 9, NULL, 10);
	if (memcmp(p, "HTTP/1.1 ", 9) != 0 || *ret_status < 100 || *ret_status >= STATUS_END)
		return SIZE_MAX;
	for (const char *line = p; (line = memmem(line, (size_t)(end - line), "\r\n", 2)); line++) {
		if (strncasecmp(line, name, sizeof(name) - 1) != 0)
			continue;
		body = strtoul(line + sizeof(name) - 1, NULL, 10);
		break;
	}
	size_t all = (size_t)(end - p) + 4 + body;
	return all <= n ? all : all < ANSWER_MAX ? 0 : SIZE_MAX;
}

/* Whatever stands behind an answer was not asked for. */
static void client_answered(struct client *c, const char *p, size_t n, bool more)
{
	unsigned status = 0;
	size_t all = answer_bytes(p, n, &status);
	if (all == 0) {
		if (!c->part && !(c->part = malloc(ANSWER_MAX)))
			die("memory");
		memmove(c->part, p, n);
		c->part_n = n;
		return;
	}
	c->part_n = 0;
	if (all != n) {
		fail(c);
		return;
	}
	statuses[status]++;
	if (status / 100 == 2) {
		ok++;
		histogram[bucket_of((uint64_t)(turn_ns - c->begun_ns))]++;
	} else {
		failed++;
	}
	c->out = false;
	waiting--;
	if (more)
		client_send(c);
}

static void client_received(struct client *c, const char *p, size_t n, bool more)
{
	if (!c->out || c->failed || c->part_n + n > ANSWER_MAX) {
		fail(c);
	} else if (c->part_n > 0) {
		memcpy(&c->part[c->part_n], p, n);
		client_answered(c, c->part, c->part_n + n, more);
	} else {
		client_answered(c, p, n, more);
	}
}

static void completed(const struct io_uring_cqe *q, bool more)
{
	struct client *c = (struct client *)(uintptr_t)(q->user_data & ~(uint64_t)SENDING);
	if (q->user_data & SENDING) {
		fail(c);
		return;
	}
	if (q->flags & IORING_CQE_F_BUFFER) {
		client_received(c, ring_piece(&ring, q), (size_t)q->res, more);
		ring_give_back(&ring, q);
	} else if (q->res != -ENOBUFS) {
		fail(c);
	}
	if (!(q->flags & IORING_CQE_F_MORE) && !c->failed)
		client_listen(c);
}

static void client_open(struct client *c)
{
	struct sockaddr_in a = {.sin_family = AF_INET,
	    .sin_port = htons(port),
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int one = 1, room = 1 << 20;
	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (c->fd < 0 || setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) != 0 ||
	    setsockopt(c->fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof(room)) != 0 ||
	    connect(c->fd, (struct sockaddr *)&a, sizeof(a)) != 0)
		die("connect");
}

static double run(void)
{
	struct __kernel_timespec quiet = {.tv_sec = QUIET_SECONDS};
	int64_t begun = turn_ns = now_ns(), end = begun + (int64_t)(seconds * 1e9);
	for (unsigned i = 0; i < connections; i++) {
		client_listen(&clients[i]);
		client_send(&clients[i]);
	}
	while (waiting > 0) {
		struct io_uring_cqe *q;
		unsigned head, n = 0;
		int rc = io_uring_submit_and_wait_timeout(&ring.u, &q, 1, &quiet, NULL);
		if (rc == -ETIME)
			break;
		turn_ns = now_ns();
		io_uring_for_each_cqe(&ring.u, head, q)
		{
			completed(q, turn_ns < end);
			n++;
		}
		io_uring_cq_advance(&ring.u, n);
	}
	failed += waiting;
	return (double)(now_ns() - begun) / 1e9;
}

static void report(double took)
{
	struct rusage u;
	getrusage(RUSAGE_SELF, &u);
	double cpu_us = (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1e6 +
			(double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
	printf("{\"ok\": %llu, \"failed\": %llu, \"statuses\": {", (unsigned long long)ok,
	    (unsigned long long)failed);
	const char *comma = "";
	for (unsigned s = 0; s < STATUS_END; s++) {
		if (statuses[s] == 0)
			continue;
		printf("%s\"%u\": %llu", comma, s, (unsigned long long)statuses[s]);
		comma = ", ";
	}
	printf(
	    "}, \"seconds\": %.3f, \"rate\": %.1f, \"p50_us\": %.1f, \"p90_us\": %.1f, \"p99_us\": "
	    "%.1f, \"cpu_us\": %.2f}\n",
	    took, (double)ok / took, percentile_us(0.5), percentile_us(0.9), percentile_us(0.99),
	    cpu_us / (double)(ok ? ok : 1));
}

/* Each connection its own copy, since an id is written into it. */
static void requests_read(const char *path)
{
	FILE *f = fopen(path, "rbe");
	uint32_t head[2];
	if (!f)
		die(path);
	for (unsigned i = 0; i < connections; i++) {
		struct client *c = &clients[i];
		if (fread(head, sizeof(head), 1, f) != 1) {
			rewind(f);
			if (i == 0 || fread(head, sizeof(head), 1, f) != 1)
				die("the file of requests is empty");
		}
		if (head[0] > 1u << 20 || head[1] + ID_BYTES > head[0])
			die("the file of requests is none");
		c->request_n = head[0];
		c->request = malloc(head[0]);
		if (!c->request || fread(c->request, head[0], 1, f) != 1)
			die("the file of requests is cut short");
		c->id = c->request + head[1];
	}
	(void)fclose(f);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {{"port", 1, 0, 'p'}, {"connections", 1, 0, 'c'},
	    {"seconds", 1, 0, 's'}, {"requests", 1, 0, 'r'}, {0}};
	const char *path = NULL;
	uint64_t random;
	for (int id; (id = getopt_long(argc, argv, "", options, NULL)) != -1;) {
		if (id == 'p')
			port = (uint16_t)strtoul(optarg, NULL, 10);
		else if (id == 'c')
			connections = (unsigned)strtoul(optarg, NULL, 10);
		else if (id == 's')
			seconds = strtod(optarg, NULL);
		else if (id == 'r')
			path = optarg;
		else
			return 2;
	}
	if (!port || !path || connections < 1 || connections > CONNECTIONS_MAX) {
		fprintf(stderr, "generator: --port and --requests are needed\n");
		return 2;
	}
	if (getrandom(&random, sizeof(random), 0) != sizeof(random))
		die("getrandom");
	(void)snprintf(run_id, sizeof(run_id), "%016llx", (unsigned long long)random);
	requests_read(path);
	int fds[CONNECTIONS_MAX];
	for (unsigned i = 0; i < connections; i++) {
		client_open(&clients[i]);
		fds[i] = clients[i].fd;
	}
	ring_open(&ring, 2 * CONNECTIONS_MAX, PIECES, PIECE_BYTES);
	errno = -io_uring_register_files(&ring.u, fds, connections);
	if (errno != 0)
		die("io_uring's files");
	report(run());
	return 0;
}
