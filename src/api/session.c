#include "api/session.h"

#include "text/run_frame.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/limits.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uv.h>

enum {
	SESSIONS_MAX = 64,
	BACKLOG_MAX = 1 << 20, /* unsent bytes to a client: then the program's output waits */
	PATIENCE_MS = 30000,
	PIECE_BYTES = 16 << 10,
	LAST_OUTPUT_MAX = 1 << 20, /* of a terminal, read after its program has ended */
};

struct session {
	struct session *next;
	struct session_order *order;
	struct run_job *job; /* NULL before it began and after it ended */
	uv_pipe_t connection;
	uv_pipe_t program; /* its terminal's other side, or the pipe into its standard input */
	bool program_open, reading_terminal;
	bool throttled; /* the client is not read until the program has taken its input */
	bool gone;	/* the client is */
	bool closing;	/* both handles are being closed */
	unsigned handles;
	struct loop_timer *patience; /* with a client that does not take the last frames */
	struct buf in;		     /* bytes of the client that are no whole frame yet */
	char piece[PIECE_BYTES];
};

/* Those that are open; loop thread. */
static struct session *sessions;
static unsigned session_count;

void session_order_free(struct session_order *o)
{
	if (!o)
		return;
	buf_wipe(&o->packed);
	free(o);
}

static void session_free(struct session *s)
{
	struct session **at = &sessions;
	while (*at != s)
		at = &(*at)->next;
	*at = s->next;
	session_count--;
	loop_timer_free(s->patience);
	session_order_free(s->order);
	buf_fini(&s->in);
	free(s);
}

static void handle_closed(uv_handle_t *h)
{
	struct session *s = h->data;
	if (--s->handles == 0 && !s->job)
		session_free(s);
}

/* Lets go of both descriptors; the memory stays until the job has ended. */
static void session_close(struct session *s)
{
	if (s->closing)
		return;
	s->closing = s->gone = true;
	uv_close((uv_handle_t *)&s->connection, handle_closed);
	if (s->program_open)
		uv_close((uv_handle_t *)&s->program, handle_closed);
	s->program_open = false;
}

static void session_lost(struct session *s)
{
	if (s->job && !s->closing)
		run_job_cancel(s->job);
	session_close(s);
}

/* Writing to either end: the bytes travel with the request. */

struct sending {
	uv_write_t request;
	struct session *session;
	bool last; /* close behind it */
	char bytes[];
};

static void terminal_read_start(struct session *s);
static void client_read_start(struct session *s);

static void sent(uv_write_t *request, int status)
{
	struct sending *w = (struct sending *)request;
	struct session *s = w->session;
	bool to_client = request->handle == (uv_stream_t *)&s->connection;
	bool last = w->last;
	free(w);
	if (s->closing)
		return;
	if (to_client && status < 0)
		session_lost(s);
	else if (last)
		session_close(s);
	else if (to_client)
		terminal_read_start(s);
	else
		client_read_start(s);
}

static void bytes_send(struct session *s, uv_pipe_t *to, struct str bytes, bool last)
{
	struct sending *w = mem_alloc(sizeof(*w) + bytes.n);
	w->session = s;
	w->last = last;
	memcpy(w->bytes, bytes.p, bytes.n);
	uv_buf_t b = uv_buf_init(w->bytes, (unsigned)bytes.n);
	if (uv_write(&w->request, (uv_stream_t *)to, &b, 1, sent) == 0)
		return;
	free(w);
	if (to == &s->connection)
		session_lost(s);
}

static void frame_send(struct session *s, enum run_frame_type type, struct str payload)
{
	struct buf b CLEANUP_BUF = {0};
	if (s->gone)
		return;
	buf_init(&b, 4u << 20);
	run_frame_pack(&b, type, payload);
	bytes_send(s, &s->connection, buf_view(&b), type == RUN_FRAME_EXIT);
}

static void exit_send(struct session *s, int code)
{
	uint32_t n = (uint32_t)code;
	const char payload[4] = {(char)(n >> 24), (char)(n >> 16), (char)(n >> 8), (char)n};
	frame_send(s, RUN_FRAME_EXIT, (struct str){payload, sizeof(payload)});
}

static void error_send(struct session *s, const struct err *e)
{
	char text[sizeof(e->msg) + sizeof(e->hint) + 8];
	int n = snprintf(text, sizeof(text), "%s%s%s", e->msg, e->hint[0] ? "\n" : "", e->hint);
	frame_send(s, RUN_FRAME_ERROR, (struct str){text, (size_t)n});
}

/* The program's side. */

static void piece_give(uv_handle_t *h, size_t suggested, uv_buf_t *ret)
{
	(void)suggested;
	struct session *s = h->data;
	*ret = uv_buf_init(s->piece, sizeof(s->piece));
}

static void terminal_read(uv_stream_t *h, ssize_t n, const uv_buf_t *b)
{
	struct session *s = h->data;
	if (n == 0)
		return;
	if (n < 0) { /* EIO: the other side is closed; `ended` comes */
		uv_read_stop(h);
		s->reading_terminal = false;
		return;
	}
	frame_send(s, RUN_FRAME_STDOUT, (struct str){b->base, (size_t)n});
	if (!s->closing &&
	    uv_stream_get_write_queue_size((uv_stream_t *)&s->connection) > BACKLOG_MAX) {
		uv_read_stop(h);
		s->reading_terminal = false;
	}
}

static void terminal_read_start(struct session *s)
{
	if (!s->program_open || !s->order->terminal || s->reading_terminal || !s->job)
		return;
	if (uv_stream_get_write_queue_size((uv_stream_t *)&s->connection) > BACKLOG_MAX / 2)
		return;
	s->reading_terminal =
	    uv_read_start((uv_stream_t *)&s->program, piece_give, terminal_read) == 0;
}

/* What the program wrote before it ended and nobody has read yet. */
static void terminal_drain(struct session *s)
{
	uv_os_fd_t fd;
	size_t sum = 0;
	ssize_t n;
	if (!s->program_open || !s->order->terminal ||
	    uv_fileno((uv_handle_t *)&s->program, &fd) != 0)
		return;
	uv_read_stop((uv_stream_t *)&s->program);
	while (sum < LAST_OUTPUT_MAX && (n = read(fd, s->piece, sizeof(s->piece))) > 0) {
		frame_send(s, RUN_FRAME_STDOUT, (struct str){s->piece, (size_t)n});
		sum += (size_t)n;
	}
}

static void job_output(void *ctx, struct str line)
{
	struct session *s = ctx;
	struct buf b CLEANUP_BUF = {0};
	if (s->gone)
		return;
	if (uv_stream_get_write_queue_size((uv_stream_t *)&s->connection) > 8 * BACKLOG_MAX) {
		session_lost(s); /* a client that does not read is cut off */
		return;
	}
	buf_init(&b, LIMIT_LOG_LINE_BYTES + 1);
	buf_str(&b, line);
	buf_char(&b, '\n');
	frame_send(s, RUN_FRAME_STDOUT, buf_view(&b));
}

static void patience_over(void *ctx)
{
	session_close(ctx);
}

static void job_ended(void *ctx, int wait_status, enum priv_limit_hit limit_hit, struct str report,
    const struct err *e)
{
	(void)report;
	struct session *s = ctx;
	s->job = NULL;
	if (!s->closing) {
		terminal_drain(s);
		int code = WIFSIGNALED(wait_status) ? 128 + WTERMSIG(wait_status)
						    : WEXITSTATUS(wait_status);
		if (e)
			error_send(s, e);
		else if (limit_hit != PRIV_LIMIT_NONE)
			frame_send(s, RUN_FRAME_ERROR, STR("a limit of the project ended it"));
		exit_send(s, e ? 1 : code);
		loop_timer_at(s->patience, clock_mono_ms() + PATIENCE_MS);
	} else if (s->handles == 0) {
		session_free(s);
	}
}

/* The client's side. */

static void resize(struct session *s, struct str p)
{
	uv_os_fd_t fd;
	const uint8_t *b = (const uint8_t *)p.p;
	struct winsize size = {.ws_row = (unsigned short)(b[0] << 8 | b[1]),
	    .ws_col = (unsigned short)(b[2] << 8 | b[3])};
	if (s->program_open && uv_fileno((uv_handle_t *)&s->program, &fd) == 0)
		(void)ioctl(fd, TIOCSWINSZ, &size);
}

/* Those that a terminal knows go through it to the foreground job; the others end the whole.
 * Without a terminal the program gets what the client got. */
static void signal_give(struct session *s, int number)
{
	uv_os_fd_t fd;
	if (s->job && !s->order->terminal) {
		run_job_signal(s->job, number);
		return;
	}
	if (number == SIGINT || number == SIGQUIT) {
		if (s->program_open && uv_fileno((uv_handle_t *)&s->program, &fd) == 0 &&
		    ioctl(fd, TIOCSIG, number) == 0)
			return;
	}
	if (s->job)
		run_job_cancel(s->job);
}

/* A terminal whose buffer is full loses what is typed; a pipe loses nothing. */
static void input_give(struct session *s, struct str bytes)
{
	if (!s->program_open || !bytes.n)
		return;
	bool full = uv_stream_get_write_queue_size((uv_stream_t *)&s->program) > BACKLOG_MAX;
	if (full && s->order->terminal)
		return;
	bytes_send(s, &s->program, bytes, false);
	if (full && !s->throttled) {
		s->throttled = true;
		uv_read_stop((uv_stream_t *)&s->connection);
	}
}

static void input_ended(uv_shutdown_t *request, int status)
{
	(void)status;
	struct session *s = request->handle->data;
	free(request);
	if (!s->program_open)
		return;
	s->program_open = false;
	uv_close((uv_handle_t *)&s->program, handle_closed);
}

/* Behind what was given. */
static void input_end(struct session *s)
{
	if (s->order->terminal) {
		input_give(s, STR("\004"));
		return;
	}
	uv_shutdown_t *request = mem_alloc(sizeof(*request));
	if (!s->program_open || uv_shutdown(request, (uv_stream_t *)&s->program, input_ended) != 0)
		free(request);
}

static int frame_take(struct session *s, const struct run_frame *f, struct err *e)
{
	switch (f->type) {
	case RUN_FRAME_STDIN:
		input_give(s, f->payload);
		return 0;
	case RUN_FRAME_RESIZE:
		resize(s, f->payload);
		return 0;
	case RUN_FRAME_SIGNAL:
		signal_give(s, f->payload.p[0]);
		return 0;
	case RUN_FRAME_EOF:
		input_end(s);
		return 0;
	case RUN_FRAME_STDOUT:
	case RUN_FRAME_STDERR:
	case RUN_FRAME_EXIT:
	case RUN_FRAME_ERROR:
	case RUN_FRAME_TYPE_COUNT:
		break;
	}
	return err_set(e, ERR_INVALID, "a client does not send frames of type %d", f->type);
}

static void client_took(struct session *s, struct str bytes)
{
	struct err e = {0};
	struct run_frame f;
	size_t used = 0;
	int rc;
	buf_str(&s->in, bytes);
	while (!s->closing && (rc = run_frame_next(buf_view(&s->in), &f, &used, &e)) != 0) {
		if (rc < 0 || frame_take(s, &f, &e) < 0) {
			session_lost(s);
			return;
		}
		buf_drop_front(&s->in, used);
	}
}

static void client_read(uv_stream_t *h, ssize_t n, const uv_buf_t *b)
{
	struct session *s = h->data;
	if (n < 0)
		session_lost(s);
	else if (n > 0)
		client_took(s, (struct str){b->base, (size_t)n});
}

static void client_read_start(struct session *s)
{
	if (!s->throttled ||
	    uv_stream_get_write_queue_size((uv_stream_t *)&s->program) > BACKLOG_MAX / 2)
		return;
	s->throttled = false;
	if (uv_read_start((uv_stream_t *)&s->connection, piece_give, client_read) != 0)
		session_lost(s);
}

/* Beginning. */

static int program_watch(struct session *s, int fd, struct err *e)
{
	uv_pipe_init(loop_uv(s->order->cx->loop), &s->program, 0);
	s->program.data = s;
	s->handles++;
	s->program_open = true;
	if (uv_pipe_open(&s->program, fd) == 0)
		return 0;
	close(fd);
	return err_set(e, ERR_INTERNAL, "cannot watch the program's side");
}

static int input_make(struct session *s, int *ret_program, struct err *e)
{
	int ends[2];
	if (pipe2(ends, O_CLOEXEC) != 0)
		return err_sys(e, ERR_UNAVAILABLE, errno, "could not make a pipe");
	*ret_program = ends[0];
	return program_watch(s, ends[1], e);
}

static int terminal_make(struct session *s, int *ret_program, struct err *e)
{
	int master, slave;
	struct winsize size = {.ws_row = s->order->rows, .ws_col = s->order->cols};
	if (openpty(&master, &slave, NULL, NULL, &size) != 0)
		return err_sys(e, ERR_UNAVAILABLE, errno, "could not make a terminal");
	fcntl(master, F_SETFD, FD_CLOEXEC);
	fcntl(slave, F_SETFD, FD_CLOEXEC);
	fcntl(master, F_SETFL, O_RDWR | O_NONBLOCK);
	*ret_program = slave;
	return program_watch(s, master, e);
}

static int job_begin(struct session *s, struct err *e)
{
	int program CLEANUP_FD = -1;
	struct arena room CLEANUP_ARENA;
	struct args argv;
	struct run_job_callbacks cb = {.output = job_output, .ended = job_ended, .ctx = s};
	arena_init(&room, 2 * LIMIT_ARGV_BYTES);
	if (args_unpack(buf_view(&s->order->packed), LIMIT_ARGV_COUNT, &room, &argv, e) < 0)
		return -1;
	if (session_count > SESSIONS_MAX)
		return err_set(e, ERR_RATE, "%d commands run already", SESSIONS_MAX);
	bool terminal = s->order->terminal;
	if ((terminal ? terminal_make(s, &program, e) : input_make(s, &program, e)) < 0)
		return -1;
	s->job = deploy_one_off(s->order->cx->deploy, str_c(s->order->project), &argv,
	    terminal ? program : -1, terminal ? -1 : program, &cb, e);
	return s->job ? 0 : -1;
}

void session_begin(void *ctx, int fd, struct str early)
{
	struct session_order *o = ctx;
	struct err e = {0};
	if (fd < 0) {
		session_order_free(o);
		return;
	}
	struct session *s = mem_alloc(sizeof(*s));
	s->order = o;
	s->next = sessions;
	sessions = s;
	session_count++;
	s->handles = 1;
	s->patience = loop_timer_new(o->cx->loop, patience_over, s);
	buf_init(&s->in, 4 * RUN_FRAME_PAYLOAD_MAX);
	uv_pipe_init(loop_uv(o->cx->loop), &s->connection, 0);
	s->connection.data = s;
	if (uv_pipe_open(&s->connection, fd) != 0) {
		close(fd);
		session_close(s);
		return;
	}
	if (job_begin(s, &e) < 0) {
		error_send(s, &e);
		exit_send(s, 1);
		loop_timer_at(s->patience, clock_mono_ms() + PATIENCE_MS);
		return;
	}
	terminal_read_start(s);
	client_took(s, early);
	if (!s->closing &&
	    uv_read_start((uv_stream_t *)&s->connection, piece_give, client_read) != 0)
		session_lost(s);
}

void api_end_sessions(void)
{
	for (struct session *s = sessions; s; s = s->next)
		session_lost(s);
}
