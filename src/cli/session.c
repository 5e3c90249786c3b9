/* One poll loop over terminal, connection and signals. */
#include "cli/session.h"

#include "text/run_frame.h"

#include <curl/curl.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

#define BUFFER_MAX (4u << 20)
#define BACKLOG_MAX (1u << 20) /* beyond it nothing more is read from the terminal */

struct joined {
	struct session *s;
	int signals;
	sigset_t old_mask;
	struct termios old_mode;
	bool raw, input_open;
	int code;
	bool ended;
};

void session_init(struct session *s)
{
	buf_init(&s->in, BUFFER_MAX);
	buf_init(&s->out, BUFFER_MAX);
}

void session_fini(struct session *s)
{
	buf_fini(&s->in);
	buf_fini(&s->out);
}

static int join(struct joined *j, struct err *e)
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGQUIT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGWINCH);
	if (sigprocmask(SIG_BLOCK, &set, &j->old_mask) < 0)
		return err_sys(e, ERR_INTERNAL, errno, "could not take over signals");
	j->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (j->signals < 0)
		return err_sys(e, ERR_INTERNAL, errno, "could not take over signals");
	j->input_open = true;
	if (!j->s->terminal || tcgetattr(STDIN_FILENO, &j->old_mode) < 0)
		return 0;
	struct termios mode = j->old_mode;
	cfmakeraw(&mode);
	j->raw = tcsetattr(STDIN_FILENO, TCSADRAIN, &mode) == 0;
	return 0;
}

static void part(struct joined *j)
{
	struct signalfd_siginfo info;
	if (j->raw)
		(void)tcsetattr(STDIN_FILENO, TCSADRAIN, &j->old_mode);
	while (j->signals >= 0 && read(j->signals, &info, sizeof(info)) > 0)
		;
	if (j->signals >= 0)
		(void)close(j->signals);
	(void)sigprocmask(SIG_SETMASK, &j->old_mask, NULL);
}

static void take_signals(struct joined *j)
{
	struct signalfd_siginfo info;
	while (read(j->signals, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		struct winsize w;
		if (info.ssi_signo == SIGWINCH) {
			if (!j->s->terminal || ioctl(STDIN_FILENO, TIOCGWINSZ, &w) < 0)
				continue;
			const char size[4] = {(char)(w.ws_row >> 8), (char)(w.ws_row & 255),
			    (char)(w.ws_col >> 8), (char)(w.ws_col & 255)};
			run_frame_pack(&j->s->out, RUN_FRAME_RESIZE, (struct str){size, 4});
		} else {
			const char number = (char)info.ssi_signo;
			run_frame_pack(&j->s->out, RUN_FRAME_SIGNAL, (struct str){&number, 1});
		}
	}
}

static void take_keys(struct joined *j)
{
	char keys[4096];
	ssize_t n = read(STDIN_FILENO, keys, sizeof(keys));
	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n > 0) {
		run_frame_pack(&j->s->out, RUN_FRAME_STDIN, (struct str){keys, (size_t)n});
		return;
	}
	j->input_open = false;
	run_frame_pack(&j->s->out, RUN_FRAME_EOF, STR(""));
}

/* The whole of it, as it is: this is the person's own program talking to the person's terminal. */
static void show(int fd, struct str bytes)
{
	while (bytes.n) {
		ssize_t n = write(fd, bytes.p, bytes.n);
		struct pollfd p = {.fd = fd, .events = POLLOUT};
		if (n < 0 && errno == EAGAIN && poll(&p, 1, -1) > 0)
			continue;
		if (n < 0 && errno != EINTR)
			return;
		if (n > 0)
			bytes = str_from(bytes, (size_t)n);
	}
}

static void take_frame(struct joined *j, const struct run_frame *f)
{
	const unsigned char *p = (const unsigned char *)f->payload.p;
	switch (f->type) {
	case RUN_FRAME_STDOUT:
		show(STDOUT_FILENO, f->payload);
		break;
	case RUN_FRAME_STDERR:
		show(STDERR_FILENO, f->payload);
		break;
	case RUN_FRAME_ERROR:
		(void)snprintf(j->s->why, sizeof(j->s->why), "%.*s", STR_ARG(f->payload));
		break;
	case RUN_FRAME_EXIT:
		j->code = (int)p[3]; /* big endian; a status has eight bits */
		j->ended = true;
		break;
	case RUN_FRAME_STDIN:
	case RUN_FRAME_RESIZE:
	case RUN_FRAME_SIGNAL:
	case RUN_FRAME_EOF:
	case RUN_FRAME_TYPE_COUNT:
		break; /* not the server's to send */
	}
}

static int take_frames(struct joined *j, struct err *e)
{
	struct run_frame f;
	size_t used;
	int rc;
	while (!j->ended && j->s->in.n &&
	       (rc = run_frame_next(buf_view(&j->s->in), &f, &used, e)) != 0) {
		if (rc < 0)
			return -1;
		take_frame(j, &f);
		buf_drop_front(&j->s->in, used);
	}
	return 0;
}

/* 1: something came, 0: not now, -1: it is over. */
static int receive(struct joined *j, struct err *e)
{
	char bytes[16 << 10];
	size_t n = 0;
	CURLcode rc = curl_easy_recv(j->s->curl, bytes, sizeof(bytes), &n);
	if (rc == CURLE_AGAIN)
		return 0;
	if (rc != CURLE_OK || n == 0)
		return err_set(
		    e, ERR_UNAVAILABLE, "the connection broke; the command was ended with it");
	buf_put(&j->s->in, bytes, n);
	return take_frames(j, e) < 0 ? -1 : 1;
}

static int transmit(struct joined *j, struct err *e)
{
	struct buf *out = &j->s->out;
	while (out->n) {
		size_t n = 0;
		CURLcode rc = curl_easy_send(j->s->curl, out->p, out->n, &n);
		if (rc == CURLE_AGAIN)
			return 0;
		if (rc != CURLE_OK)
			return err_set(e, ERR_UNAVAILABLE,
			    "the connection broke; the command was ended with it");
		buf_drop_front(out, n);
	}
	return 0;
}

static int turn(struct joined *j, struct err *e)
{
	struct session *s = j->s;
	struct pollfd p[3] = {
	    {.fd = s->fd, .events = (short)(POLLIN | (s->out.n ? POLLOUT : 0))},
	    {.fd = j->signals, .events = POLLIN},
	    {.fd = j->input_open && s->out.n < BACKLOG_MAX ? STDIN_FILENO : -1, .events = POLLIN},
	};
	if (poll(p, 3, -1) < 0 && errno != EINTR)
		return err_sys(e, ERR_INTERNAL, errno, "could not wait");
	if (p[1].revents)
		take_signals(j);
	if (p[2].revents)
		take_keys(j);
	int rc = transmit(j, e);
	/* TLS may hold more than the socket shows. */
	while (rc == 0 && !j->ended && (rc = receive(j, e)) > 0)
		rc = 0;
	return rc;
}

int session_run(struct session *s, int *ret_code, struct err *e)
{
	struct joined j = {.s = s, .signals = -1};
	int rc = join(&j, e);
	if (rc == 0)
		rc = take_frames(&j, e);
	while (rc == 0 && !j.ended)
		rc = turn(&j, e);
	part(&j);
	*ret_code = j.code;
	return rc;
}
