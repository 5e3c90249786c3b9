#include "base/limits.h"
#include "base/mem.h"
#include "run/state.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define READ_AT_ONCE_MAX 8 /* pieces per turn of the loop: others want to be heard too */

struct run_lines {
	int fd;
	struct loop_watch *watch;
	run_line_fn *line;
	run_end_fn *end;
	void *ctx;
	size_t n;
	char bytes[LIMIT_LOG_LINE_BYTES];
};

/* Hands over whole lines; a line that fills the buffer goes in pieces. */
static void cut(struct run_lines *r)
{
	size_t from = 0;
	for (;;) {
		struct str rest = {r->bytes + from, r->n - from};
		size_t at = str_find(rest, '\n', 0);
		if (at == SIZE_MAX)
			break;
		size_t n = at > 0 && rest.p[at - 1] == '\r' ? at - 1 : at;
		r->line(r->ctx, str_slice(rest, 0, n));
		from += at + 1;
	}
	memmove(r->bytes, r->bytes + from, r->n - from);
	r->n -= from;
	if (r->n == sizeof(r->bytes)) {
		r->line(r->ctx, (struct str){r->bytes, r->n});
		r->n = 0;
	}
}

/* 1 read something, 0 nothing there, -1 the end. */
static int read_piece(struct run_lines *r)
{
	ssize_t n = read(r->fd, r->bytes + r->n, sizeof(r->bytes) - r->n);
	if (n < 0 && errno == EINTR)
		return 1;
	if (n < 0)
		return errno == EAGAIN ? 0 : -1;
	if (n == 0)
		return -1;
	r->n += (size_t)n;
	cut(r);
	return 1;
}

static void last_line(struct run_lines *r)
{
	if (r->n > 0)
		r->line(r->ctx, (struct str){r->bytes, r->n});
	r->n = 0;
}

static void on_readable(void *ctx)
{
	struct run_lines *r = ctx;
	int rc = 1;
	for (int i = 0; rc == 1 && i < READ_AT_ONCE_MAX; i++)
		rc = read_piece(r);
	if (rc >= 0)
		return;
	last_line(r);
	loop_watch_free(r->watch);
	r->watch = NULL;
	r->end(r->ctx);
}

struct run_lines *run_lines_new(
    struct loop *l, int fd, run_line_fn *line, run_end_fn *end, void *ctx)
{
	struct run_lines *r = mem_alloc(sizeof(*r));
	*r = (struct run_lines){.fd = fd, .line = line, .end = end, .ctx = ctx};
	r->watch = loop_watch_new(l, fd, on_readable, r);
	return r;
}

void run_lines_drain(struct run_lines *r)
{
	while (r->watch && read_piece(r) == 1)
		continue;
	last_line(r);
}

void run_lines_free(struct run_lines *r)
{
	if (!r)
		return;
	if (r->watch)
		loop_watch_free(r->watch);
	close(r->fd);
	free(r);
}
