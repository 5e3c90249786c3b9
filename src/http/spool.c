/* Bodies that go to a file. Who sends one is asked for before any of it is taken, so that nobody fills the disk who may not;
 * and its pieces are written on the pool, so that a disk that stands still holds up nobody else.
 *
 * Meanwhile the connection is CONN_ASIDE: what comes is gathered in c->in, which is bounded. */
#include "http/server.h"

#include "base/clock.h"
#include "base/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

int http_spool_open(struct http_call *call, struct err *e)
{
	const char *dir = call->server->o.spool_dir;
	if (dir == NULL)
		return err_set(e, ERR_UNAVAILABLE, "there is no folder for uploads");
	call->body_fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (call->body_fd >= 0)
		return 0;
	if (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL)
		return err_sys(e, ERR_IO, errno, "could not open a file for the body");
	/* A file system without O_TMPFILE. */
	CLEANUP_BUF struct buf path;
	buf_init(&path, 4096);
	buf_printf(&path, "%s/body.XXXXXX", dir);
	call->body_fd = mkostemp(path.p, O_CLOEXEC);
	if (call->body_fd < 0)
		return err_sys(e, ERR_IO, errno, "could not open a file for the body");
	(void)unlink(path.p);
	return 0;
}

static void set_aside(struct http_call *call, loop_fn *work, loop_fn *done)
{
	struct http_conn *c = call->conn;
	struct http_spool *s = &call->spool;
	c->state = CONN_ASIDE;
	c->call_out = true;
	s->rc = 0;
	s->began_ms = clock_mono_ms();
	if (loop_work(call->server->o.loop, work, done, call, &s->e) == 0)
		return;
	s->rc = -1;
	done(call);
}

/* Is the connection still there? What the disk took is not the peer's time. */
static bool came_back(struct http_call *call)
{
	struct http_conn *c = call->conn;
	c->call_out = false;
	if (c->state == CONN_CLOSED) {
		http_conn_abandon(c);
		return false;
	}
	c->state = CONN_BODY;
	c->since_ms += clock_mono_ms() - call->spool.began_ms;
	return true;
}

static void admit(void *ctx)
{
	struct http_call *call = ctx;
	const struct http_server_options *o = &call->server->o;
	if (o->authorize != NULL)
		call->spool.rc = o->authorize(o->ctx, &call->request, call, &call->spool.e);
}

static void admitted(void *ctx)
{
	struct http_call *call = ctx;
	if (!came_back(call))
		return;
	if (call->spool.rc != 0) {
		call->keep_alive = false;
		http_reply_problem(call, &call->spool.e);
		return;
	}
	http_conn_body_begin(call->conn);
}

void http_spool_admit(struct http_call *call)
{
	set_aside(call, admit, admitted);
}

static void write_piece(void *ctx)
{
	struct http_call *call = ctx;
	call->spool.rc = fs_write_all(call->body_fd, call->body.p, call->body.n, &call->spool.e);
}

static void written(void *ctx)
{
	struct http_call *call = ctx;
	if (!came_back(call))
		return;
	buf_clear(&call->body);
	if (call->spool.rc == 0)
		http_conn_body_taken(call->conn, call->spool.last);
	else
		http_conn_refuse(call->conn, &call->spool.e);
}

void http_spool_write(struct http_call *call, bool last)
{
	call->spool.last = last;
	if (call->body.n > 0)
		set_aside(call, write_piece, written);
	else if (last)
		http_conn_body_taken(call->conn, true);
}
