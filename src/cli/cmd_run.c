/* run: the command's terminal is here. Frames: text/run_frame.h. */
#include "cli/commands.h"
#include "cli/session.h"

#include "base/num.h"
#include "base/rand.h"

#include <curl/curl.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define ANSWER_HEAD_MAX (32u << 10)
#define ANSWER_WAIT_MS 60000
#define REFUSAL_MAX (64u << 10)

static json_t *order(struct cli *c, bool terminal)
{
	json_t *body = json_object(), *argv = json_array();
	struct winsize w = {.ws_row = 24, .ws_col = 80};
	for (size_t i = 0; i < c->args.rest_count; i++)
		(void)json_array_append_new(argv, json_string(c->args.rest[i]));
	bool whole = json_array_size(argv) == c->args.rest_count;
	(void)json_object_set_new(body, "argv", argv);
	if (terminal) {
		(void)ioctl(STDIN_FILENO, TIOCGWINSZ, &w);
		(void)json_object_set_new(body, "terminal",
		    json_pack("{s:i, s:i}", "rows", w.ws_row ? w.ws_row : 24, "cols",
			w.ws_col ? w.ws_col : 80));
	}
	if (whole)
		return body;
	json_decref(body);
	return NULL;
}

static int send_all(void *curl, int fd, struct str bytes, struct err *e)
{
	while (bytes.n) {
		size_t n = 0;
		CURLcode rc = curl_easy_send(curl, bytes.p, bytes.n, &n);
		struct pollfd p = {.fd = fd, .events = POLLOUT};
		if (rc == CURLE_AGAIN && poll(&p, 1, ANSWER_WAIT_MS) > 0)
			continue;
		if (rc != CURLE_OK)
			return err_set(e, ERR_UNAVAILABLE, "could not send the order: %s",
			    curl_easy_strerror(rc));
		bytes = str_from(bytes, n);
	}
	return 0;
}

/* Appends what comes; 1 some, 0 the end, -1 with e. */
static int receive(void *curl, int fd, struct buf *b, struct err *e)
{
	char part[4096];
	size_t n = 0;
	for (;;) {
		CURLcode rc = curl_easy_recv(curl, part, sizeof(part), &n);
		struct pollfd p = {.fd = fd, .events = POLLIN};
		if (rc == CURLE_OK)
			break;
		if (rc != CURLE_AGAIN || poll(&p, 1, ANSWER_WAIT_MS) <= 0)
			return err_set(e, ERR_UNAVAILABLE, "the server did not answer");
	}
	buf_put(b, part, n);
	if (buf_check(b, "the server's answer", e) < 0)
		return -1;
	return n > 0;
}

/* Where the head ends (behind the empty line), or 0. */
static size_t head_end(struct str s)
{
	for (size_t i = 0; i + 4 <= s.n; i++)
		if (memcmp(s.p + i, "\r\n\r\n", 4) == 0)
			return i + 4;
	return 0;
}

/* Reads the answer's head. 101: `b` holds what came behind it; else the error. */
static int read_answer(void *curl, int fd, struct buf *b, struct err *e)
{
	size_t end;
	int64_t status;
	while (!(end = head_end(buf_view(b)))) {
		int rc = receive(curl, fd, b, e);
		if (rc <= 0)
			return rc < 0 ? -1
				      : err_set(
					    e, ERR_UNAVAILABLE, "the server closed the connection");
	}
	struct str head = buf_view(b);
	if (!str_starts(head, STR("HTTP/1.1 ")) ||
	    !num_i64(str_slice(head, 9, 3), 100, 599, &status))
		return err_set(e, ERR_INVALID, "the server does not answer in HTTP/1.1");
	buf_drop_front(b, end);
	if (status == 101)
		return 0;
	/* The request says "close": the body is what comes until the end. */
	struct err ignored;
	CLEANUP_JSON json_t *whole = NULL;
	while (!(whole = json_read(b->n ? buf_view(b) : STR(""), &ignored)) &&
	       receive(curl, fd, b, &ignored) > 0)
		;
	return net_problem((int)status, b->n ? buf_view(b) : STR(""), e);
}

static void write_request(struct cli *c, const char *path, const char *body, struct buf *b)
{
	buf_printf(b, "POST %s HTTP/1.1\r\n", path);
	net_raw_headers(c->net, b);
	buf_printf(b,
	    "Connection: Upgrade\r\nUpgrade: slipway-run\r\n"
	    "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
	    strlen(body), body);
}

static int begin(struct cli *c, const char *name, bool terminal, struct session *s, struct err *e)
{
	CLEANUP_BUF struct buf request;
	buf_init(&request, 1u << 20);
	CLEANUP_JSON json_t *body = order(c, terminal);
	char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
	if (!text)
		return err_set(e, ERR_USAGE, "the command is not UTF-8");
	write_request(c, cli_path(c, "projects/{}/run", name, NULL), text, &request);
	free(text);
	if (buf_check(&request, "the command", e) < 0)
		return -1;
	s->curl = net_raw_open(c->net, &s->fd, e);
	if (!s->curl || send_all(s->curl, s->fd, buf_view(&request), e) < 0)
		return -1;
	return read_answer(s->curl, s->fd, &s->in, e);
}

int cmd_run(struct cli *c)
{
	struct err e = {0};
	size_t at = 0;
	int code = 0;
	bool terminal = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
	struct session s = {.fd = -1, .terminal = terminal};
	const char *name = cli_project(c, &at, &e);
	if (!name || !cli_net(c, &e))
		return cli_fail(c, &e);
	session_init(&s);
	if (begin(c, name, terminal, &s, &e) < 0 || session_run(&s, &code, &e) < 0)
		code = cli_fail(c, &e);
	if (s.why[0])
		(void)fprintf(stderr, "slipway: %s\n", out_safe(&c->a, str_c(s.why)));
	if (s.why[0] && code == 0)
		code = CLI_EXIT_FAILED;
	net_raw_close(s.curl);
	session_fini(&s);
	return code;
}
