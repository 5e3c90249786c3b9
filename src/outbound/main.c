/* slipway-outbound: asks others for the daemon. Standard input is a stream socket with
 * outbound/frame.h's frames, both ways. It ends with that socket. Before the first request it
 * closes to itself everything that asking does not need: the file tree but for reading the system's
 * own, and the system calls of launch/sandbox.h. */
#include "base/clock.h"
#include "base/log.h"
#include "launch/sandbox.h"
#include "outbound/job.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SOCKET = STDIN_FILENO, WAIT_MS = 1000, EXIT_USAGE = 64, EXIT_SOFTWARE = 70, JOBS_MAX = 256 };

struct outbound {
	CURLM *multi;
	struct guard guard;
	const char *ca_file;
	struct buf in, out;
	size_t jobs;
	bool closed;
};

static void answer(struct outbound *o, uint64_t id, const struct outbound_answer *a)
{
	/* Nobody reads: the daemon is gone, or stuck. */
	if (!frame_pack_answer(&o->out, id, a))
		o->closed = true;
}

static void begin(struct outbound *o, const struct frame *f)
{
	const char *why = job_refusal(&f->request);
	if (!why && o->jobs >= JOBS_MAX)
		why = "too many requests are under way";
	if (why) {
		const struct outbound_answer a = {.outcome = OUTBOUND_REFUSED, .text = str_c(why)};
		answer(o, f->id, &a);
		return;
	}
	struct job *j = job_new(f->id, &f->request, &o->guard, o->ca_file);
	o->jobs++;
	if (curl_multi_add_handle(o->multi, j->easy) != CURLM_OK)
		abort();
}

static void finish(struct outbound *o)
{
	int left;
	for (CURLMsg *m; (m = curl_multi_info_read(o->multi, &left));) {
		struct job *j = NULL;
		if (m->msg != CURLMSG_DONE)
			continue;
		CURL *easy = m->easy_handle;
		CURLcode rc = m->data.result;
		curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **)&j);
		const struct outbound_answer a = job_answer(j, rc);
		answer(o, j->id, &a);
		curl_multi_remove_handle(o->multi, easy);
		job_free(j);
		o->jobs--;
	}
}

static void take_in(struct outbound *o)
{
	struct frame f;
	size_t used = 0;
	struct err e;
	char *room = buf_reserve(&o->in, 64u << 10);
	ssize_t n = room ? recv(SOCKET, room, 64u << 10, MSG_DONTWAIT) : 0;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		o->closed = true;
		return;
	}
	buf_commit(&o->in, (size_t)n);
	int got;
	while ((got = frame_next(buf_view(&o->in), &f, &used, &e)) == 1) {
		if (f.kind == OUTBOUND_ANSWER)
			break;
		begin(o, &f);
		buf_drop_front(&o->in, used);
	}
	if (got != 0)
		o->closed = true;
}

static void send_out(struct outbound *o)
{
	while (o->out.n) {
		ssize_t n = send(SOCKET, o->out.p, o->out.n, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno == EAGAIN)
			return;
		if (n < 0 && errno != EINTR)
			o->closed = true;
		if (o->closed)
			return;
		buf_drop_front(&o->out, n > 0 ? (size_t)n : 0);
	}
}

static void serve(struct outbound *o)
{
	while (!o->closed) {
		int running;
		struct curl_waitfd fd = {.fd = SOCKET, .events = CURL_WAIT_POLLIN};
		if (o->out.n)
			fd.events |= CURL_WAIT_POLLOUT;
		if (curl_multi_poll(o->multi, &fd, 1, WAIT_MS, NULL) != CURLM_OK ||
		    curl_multi_perform(o->multi, &running) != CURLM_OK)
			abort();
		finish(o);
		if (fd.revents)
			take_in(o);
		send_out(o);
	}
}

static int usage(const char *what)
{
	fprintf(stderr,
	    "slipway-outbound: %s\nusage: slipway-outbound [--allow RANGE]... [--ca FILE]\n"
	    "Started by slipwayd, with a socket as its standard input.\n",
	    what);
	return EXIT_USAGE;
}

static int arguments(struct outbound *o, int argc, char **argv)
{
	for (int i = 1; i < argc; i += 2) {
		struct err e;
		if (i + 1 == argc)
			return usage("an option without its value");
		if (strcmp(argv[i], "--ca") == 0)
			o->ca_file = argv[i + 1];
		else if (strcmp(argv[i], "--allow") != 0)
			return usage("an unknown option");
		else if (o->guard.allow_count == GUARD_RANGES_MAX)
			return usage("too many ranges");
		else if (cidr_parse(
			     str_c(argv[i + 1]), &o->guard.allow[o->guard.allow_count++], &e) != 0)
			return usage(e.msg);
	}
	return 0;
}

static int close_in(const struct outbound *o, struct err *e)
{
	const struct sandbox_paths p = {.release = o->ca_file};
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
		return err_sys(e, ERR_INTERNAL, errno, "could not hide its memory");
	return sandbox_files(GUEST_RUN, &p, e) != 0 ? -1 : sandbox_calls(e);
}

#if defined(__SANITIZE_ADDRESS__)
/* What we close to ourselves is what looking for leaks needs. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "detect_leaks=0";
}
#endif

int main(int argc, char **argv)
{
	static struct outbound o;
	struct err e;
	log_open(LOG_INFO, STDERR_FILENO);
	(void)signal(SIGPIPE, SIG_IGN);
	int wrong = arguments(&o, argc, argv);
	if (wrong)
		return wrong;
	if (close_in(&o, &e) != 0) {
		log_event(LOG_ERROR, "outbound", "cannot_start", F_ERR(&e));
		return EXIT_SOFTWARE;
	}
	buf_init(&o.in, OUTBOUND_FRAME_MAX + (64u << 10) + 64);
	buf_init(&o.out, 32u << 20);
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK || !(o.multi = curl_multi_init()))
		return EXIT_SOFTWARE;
	serve(&o);
	return 0;
}
