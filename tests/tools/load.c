/* load: an HTTP/1.1 load generator for tests and benches. One thread, epoll, loopback only.
 *
 *   load --port P [--connections 64] [--seconds S | --count N] [--rate R] [--close] [--get PATH |
 * --post PATH --body FILE]
 *        [--mixed]  every second request is a POST of its id to the --post path; the others GET the
 * --get path
 *        [--header "Name: value"]… [--unique NAME]  header NAME carries the request's id
 *        [--ids FILE]  ids of requests answered 2xx are appended, one a line, after their answer
 *        [--values FILE]  bodies of GETs seen, appended as "COUNT BODY": with 1 when one is first seen, with their counts at the end
 *
 * --close makes a new connection for every request. --rate is open loop: R requests a second are
 * begun, whatever the answers do. Never retries. An answer that is not 2xx, is cut short, or a
 * connection that fails is a failure and is counted by kind. The first SIGINT or SIGTERM ends it as
 * if the time were over. Prints one JSON object: requests, ok, failed {status_5xx, status_other,
 * connect, closed, cut, timeout}, seconds, rate, latency percentiles in µs. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
	HEADERS_MAX = 16,
	CONNECTIONS_MAX = 4096,
	ANSWER_MAX = 65536,
	TIMEOUT_US = 30 * 1000000,
	VALUES_MAX = 256,
	BUCKETS = 4096
};
enum failure {
	FAIL_5XX,
	FAIL_STATUS,
	FAIL_CONNECT,
	FAIL_CLOSED,
	FAIL_CUT,
	FAIL_TIMEOUT,
	FAIL_COUNT
};
static const char *const failure_names[] = {
    "status_5xx", "status_other", "connect", "closed", "cut", "timeout"};

struct client {
	int fd;
	bool busy, post, reused;
	char id[40];
	char *out;
	size_t out_n, out_at, in_n;
	size_t body_at, body_need; /* body_need SIZE_MAX: until the end of the connection */
	bool head_done;
	int status;
	int64_t begun_us;
	char in[ANSWER_MAX];
};

static struct {
	uint16_t port;
	unsigned connections;
	double seconds, rate;
	uint64_t count;
	bool close, mixed;
	const char *get, *post, *unique, *host;
	const char *headers[HEADERS_MAX];
	unsigned header_count;
	char *body;
	size_t body_n;
	FILE *ids, *values;
} o = {.connections = 64, .seconds = 5, .host = "localhost"};

static struct client *clients;
static int poller;
static volatile sig_atomic_t stop;
static uint64_t begun, done, ok, failed[FAIL_COUNT], histogram[BUCKETS];
static int64_t worst_us;
static char run_id[17];
static struct {
	char text[64];
	uint64_t count;
} values[VALUES_MAX];

static int64_t now_us(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void die(const char *what)
{
	fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
	exit(2);
}

static void on_signal(int s)
{
	(void)s;
	stop = 1;
}

/* About 1.5 % wide buckets: 64 per power of two. */
static unsigned bucket_of(int64_t us)
{
	uint64_t v = us < 1 ? 1 : (uint64_t)us;
	unsigned log = 63u - (unsigned)__builtin_clzll(v);
	unsigned sub =
	    log >= 6 ? (unsigned)(v >> (log - 6)) & 63u : (unsigned)(v << (6 - log)) & 63u;
	return log * 64 + sub;
}

static double bucket_us(unsigned b)
{
	return (double)(1ull << (b / 64)) * (1.0 + (double)(b % 64) / 64.0);
}

static double percentile(double p)
{
	uint64_t seen = 0, want = (uint64_t)((double)ok * p);
	for (unsigned b = 0; b < BUCKETS; b++) {
		seen += histogram[b];
		if (seen > want)
			return bucket_us(b);
	}
	return 0;
}

static void client_close(struct client *c)
{
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
	c->reused = false;
}

static void request_write(struct client *c)
{
	uint64_t n = begun++;
	snprintf(c->id, sizeof(c->id), "%s-%llu", run_id, (unsigned long long)n);
	c->post = o.mixed ? n % 2 == 1 : o.post != NULL;
	const char *body = o.body ? o.body : c->id;
	size_t body_n = !c->post ? 0 : o.body ? o.body_n : strlen(c->id);
	size_t room = 4096 + body_n;
	for (unsigned i = 0; i < o.header_count; i++)
		room += strlen(o.headers[i]) + 2;
	c->out = realloc(c->out, room);
	if (!c->out)
		die("memory");
	int at = snprintf(c->out, room, "%s %s HTTP/1.1\r\nHost: %s\r\n", c->post ? "POST" : "GET",
	    c->post ? o.post : o.get, o.host);
	for (unsigned i = 0; i < o.header_count; i++)
		at += snprintf(c->out + at, room - (size_t)at, "%s\r\n", o.headers[i]);
	if (o.unique)
		at += snprintf(c->out + at, room - (size_t)at, "%s: %s\r\n", o.unique, c->id);
	if (c->post)
		at += snprintf(c->out + at, room - (size_t)at, "Content-Length: %zu\r\n", body_n);
	at += snprintf(c->out + at, room - (size_t)at, "Connection: %s\r\n\r\n",
	    o.close ? "close" : "keep-alive");
	memcpy(c->out + at, body, body_n);
	c->out_n = (size_t)at + body_n;
	c->out_at = c->in_n = 0;
	c->head_done = false;
	c->busy = true;
}

/* The body's first bytes, of a chunked one its first chunk's. */
static void value_count(const struct client *c)
{
	const char *p = c->in + c->body_at, *end = c->in + c->in_n;
	size_t n = (size_t)(end - p);
	if (c->body_need == SIZE_MAX - 1) {
		const char *line = memmem(p, n, "\r\n", 2);
		size_t chunk = strtoul(p, NULL, 16);
		p = line ? line + 2 : end;
		n = chunk < (size_t)(end - p) ? chunk : (size_t)(end - p);
	}
	n = n > 63 ? 63 : n;
	for (unsigned i = 0; i < VALUES_MAX; i++) {
		if (values[i].count &&
		    (strlen(values[i].text) != n || memcmp(values[i].text, p, n) != 0))
			continue;
		memcpy(values[i].text, p, n);
		values[i].text[n] = '\0';
		if (values[i].count++ == 0) {
			fprintf(o.values, "1 %s\n", values[i].text);
			fflush(o.values);
		}
		return;
	}
}

static void client_done(struct client *c, int failure)
{
	int64_t took = now_us() - c->begun_us;
	done++;
	c->busy = false;
	if (failure >= 0) {
		failed[failure]++;
		client_close(c);
		return;
	}
	ok++;
	histogram[bucket_of(took)]++;
	worst_us = took > worst_us ? took : worst_us;
	if (o.ids && c->post)
		fprintf(o.ids, "%s\n", c->id);
	if (o.values && !c->post)
		value_count(c);
	if (o.close)
		client_close(c);
	else
		c->reused = true;
}

static bool client_connect(struct client *c)
{
	struct sockaddr_in a = {.sin_family = AF_INET,
	    .sin_port = htons(o.port),
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int one = 1;
	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (c->fd < 0)
		die("socket");
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (connect(c->fd, (struct sockaddr *)&a, sizeof(a)) != 0 && errno != EINPROGRESS)
		return false;
	struct epoll_event ev = {
	    .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = c};
	if (epoll_ctl(poller, EPOLL_CTL_ADD, c->fd, &ev) != 0)
		die("epoll_ctl");
	return true;
}

static void client_send(struct client *c)
{
	while (c->busy && c->out_at < c->out_n) {
		ssize_t n = send(c->fd, c->out + c->out_at, c->out_n - c->out_at, MSG_NOSIGNAL);
		if (n > 0) {
			c->out_at += (size_t)n;
			continue;
		}
		if (n < 0 && (errno == EAGAIN || errno == ENOTCONN))
			return;
		if (n < 0 && errno == EPIPE)
			return; /* an early answer may still be there to read */
		client_done(c, errno == ECONNREFUSED ? FAIL_CONNECT : FAIL_CLOSED);
	}
}

static void client_begin(struct client *c)
{
	request_write(c);
	c->begun_us = now_us();
	if (c->fd < 0 && !client_connect(c)) {
		client_done(c, FAIL_CONNECT);
		return;
	}
	client_send(c);
}

static bool head_parse(struct client *c)
{
	char *end = memmem(c->in, c->in_n, "\r\n\r\n", 4);
	if (!end)
		return false;
	*end = '\0';
	c->head_done = true;
	c->body_at = (size_t)(end - c->in) + 4;
	c->status = c->in_n > 12 ? (int)strtol(c->in + 9, NULL, 10) : 0;
	char *length = strcasestr(c->in, "\r\nContent-Length:");
	c->body_need = length ? strtoul(length + 17, NULL, 10) : SIZE_MAX;
	if (c->status == 204)
		c->body_need = 0;
	if (!length && strcasestr(c->in, "\r\nTransfer-Encoding:"))
		c->body_need = SIZE_MAX - 1; /* chunked: ends with its last chunk */
	return true;
}

static bool answer_complete(const struct client *c, bool eof)
{
	if (!c->head_done)
		return false;
	if (c->body_need == SIZE_MAX)
		return eof;
	if (c->body_need == SIZE_MAX - 1)
		return c->in_n >= c->body_at + 5 &&
		       memcmp(c->in + c->in_n - 5, "0\r\n\r\n", 5) == 0;
	return c->in_n - c->body_at >= c->body_need;
}

static void client_receive(struct client *c)
{
	for (;;) {
		bool eof = false;
		ssize_t n = recv(c->fd, c->in + c->in_n, sizeof(c->in) - c->in_n, 0);
		if (n < 0 && errno == EAGAIN)
			return;
		if (n <= 0) {
			if (!c->busy) {
				client_close(c);
				return;
			}
			eof = true;
		} else {
			c->in_n += (size_t)n;
		}
		if (!c->busy || (!c->head_done && !head_parse(c) && !eof))
			continue;
		if (answer_complete(c, eof)) {
			client_done(c, c->status >= 500			    ? FAIL_5XX
				       : c->status < 200 || c->status > 299 ? FAIL_STATUS
									    : -1);
			if (eof)
				client_close(c);
			return;
		}
		if (eof) {
			client_done(c, n < 0 && errno == ECONNREFUSED ? FAIL_CONNECT
				       : c->in_n		      ? FAIL_CUT
								      : FAIL_CLOSED);
			return;
		}
		if (c->in_n == sizeof(c->in)) { /* only the length matters from here */
			size_t body = c->in_n - c->body_at;
			c->body_need -= c->body_need < SIZE_MAX - 1 ? body : 0;
			c->in_n = c->body_at;
		}
	}
}

static bool more_wanted(int64_t start_us)
{
	if (stop || (o.count && begun >= o.count))
		return false;
	return o.count || (double)(now_us() - start_us) < o.seconds * 1e6;
}

static void begin_idle(int64_t start_us)
{
	for (unsigned i = 0; i < o.connections && more_wanted(start_us); i++) {
		if (clients[i].busy)
			continue;
		if (o.rate > 0 && (double)begun >= (double)(now_us() - start_us) * o.rate / 1e6)
			return;
		client_begin(&clients[i]);
	}
}

static bool any_busy(void)
{
	int64_t now = now_us();
	bool busy = false;
	for (unsigned i = 0; i < o.connections; i++) {
		if (clients[i].busy && now - clients[i].begun_us > TIMEOUT_US)
			client_done(&clients[i], FAIL_TIMEOUT);
		busy |= clients[i].busy;
	}
	return busy;
}

static void run(void)
{
	struct epoll_event ev[256];
	int64_t start_us = now_us();
	for (unsigned turn = 0;; turn++) {
		bool more = more_wanted(start_us);
		if (more)
			begin_idle(start_us);
		if ((!more || turn % 1024 == 0) && !any_busy() && !more)
			break;
		int n = epoll_wait(poller, ev, 256, o.rate > 0 ? 1 : 20);
		for (int i = 0; i < n; i++) {
			struct client *c = ev[i].data.ptr;
			if (c->fd < 0)
				continue;
			if (ev[i].events & EPOLLOUT)
				client_send(c);
			if (c->fd >= 0 &&
			    ev[i].events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
				client_receive(c);
		}
	}
	double seconds = (double)(now_us() - start_us) / 1e6;
	uint64_t all = 0;
	for (int i = 0; i < FAIL_COUNT; i++)
		all += failed[i];
	printf("{\"requests\": %llu, \"ok\": %llu, \"failed\": %llu", (unsigned long long)done,
	    (unsigned long long)ok, (unsigned long long)all);
	for (int i = 0; i < FAIL_COUNT; i++)
		printf(", \"%s\": %llu", failure_names[i], (unsigned long long)failed[i]);
	printf(", \"seconds\": %.3f, \"rate\": %.1f, \"p50_us\": %.0f, \"p90_us\": %.0f, "
	       "\"p99_us\": %.0f, \"max_us\": %lld}\n",
	    seconds, (double)ok / seconds, percentile(0.5), percentile(0.9), percentile(0.99),
	    (long long)worst_us);
}

static void read_body(const char *path)
{
	FILE *f = fopen(path, "rb");
	if (!f)
		die(path);
	o.body = malloc(32 << 20);
	if (!o.body)
		die("memory");
	o.body_n = fread(o.body, 1, 32 << 20, f);
	fclose(f);
}

static FILE *open_append(const char *path)
{
	FILE *f = fopen(path, "ae");
	if (!f)
		die(path);
	return f;
}

static void parse(int argc, char **argv)
{
	static const struct option options[] = {{"port", 1, 0, 'p'}, {"connections", 1, 0, 'c'},
	    {"seconds", 1, 0, 's'}, {"count", 1, 0, 'n'}, {"rate", 1, 0, 'r'}, {"close", 0, 0, 'x'},
	    {"mixed", 0, 0, 'm'}, {"get", 1, 0, 'g'}, {"post", 1, 0, 'P'}, {"body", 1, 0, 'b'},
	    {"header", 1, 0, 'h'}, {"unique", 1, 0, 'u'}, {"ids", 1, 0, 'i'}, {"values", 1, 0, 'v'},
	    {"host", 1, 0, 'H'}, {0}};
	for (int id; (id = getopt_long(argc, argv, "", options, NULL)) != -1;) {
		switch (id) {
		case 'p':
			o.port = (uint16_t)strtoul(optarg, NULL, 10);
			break;
		case 'c':
			o.connections = (unsigned)strtoul(optarg, NULL, 10);
			break;
		case 's':
			o.seconds = strtod(optarg, NULL);
			break;
		case 'n':
			o.count = strtoull(optarg, NULL, 10);
			break;
		case 'r':
			o.rate = strtod(optarg, NULL);
			break;
		case 'x':
			o.close = true;
			break;
		case 'm':
			o.mixed = true;
			break;
		case 'g':
			o.get = optarg;
			break;
		case 'P':
			o.post = optarg;
			break;
		case 'b':
			read_body(optarg);
			break;
		case 'u':
			o.unique = optarg;
			break;
		case 'H':
			o.host = optarg;
			break;
		case 'i':
			o.ids = open_append(optarg);
			break;
		case 'v':
			o.values = open_append(optarg);
			break;
		case 'h':
			if (o.header_count == HEADERS_MAX)
				exit(2);
			o.headers[o.header_count++] = optarg;
			break;
		default:
			exit(2);
		}
	}
	if (!o.port || !o.connections || o.connections > CONNECTIONS_MAX || (!o.get && !o.post) ||
	    (o.mixed && (!o.get || !o.post))) {
		fprintf(stderr, "load: --port and --get or --post (both for --mixed) are needed\n");
		exit(2);
	}
}

int main(int argc, char **argv)
{
	uint8_t r[8];
	parse(argc, argv);
	if (getrandom(r, sizeof(r), 0) != sizeof(r))
		die("getrandom");
	for (int i = 0; i < 8; i++)
		snprintf(run_id + (size_t)(2 * i), 3, "%02x", r[i]);
	clients = calloc(o.connections, sizeof(*clients));
	poller = epoll_create1(EPOLL_CLOEXEC);
	if (!clients || poller < 0)
		die("start");
	for (unsigned i = 0; i < o.connections; i++)
		clients[i].fd = -1;
	signal(SIGINT, on_signal);
	signal(SIGTERM, on_signal);
	run();
	for (unsigned i = 0; o.values && i < VALUES_MAX && values[i].count; i++)
		fprintf(o.values, "%llu %s\n", (unsigned long long)values[i].count, values[i].text);
	return 0;
}
