#include "edge/dns_hook.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "launch/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define LINE_MAX_BYTES 2000u

struct dns_hook {
	struct dns_hook_call c;
	pid_t pid;
	int out;
	struct loop_watch *watch;
	struct loop_timer *limit;
	struct buf line;
	int64_t deadline_ms;
};

static int reap(struct dns_hook *h)
{
	int status = 0;
	if (h->pid <= 0)
		return 0;
	(void)kill(-h->pid, SIGKILL); /* what it started goes with it */
	while (waitpid(h->pid, &status, 0) < 0 && errno == EINTR)
		continue;
	h->pid = 0;
	return status;
}

void dns_hook_free(struct dns_hook *h)
{
	if (!h)
		return;
	(void)reap(h);
	loop_watch_free(h->watch);
	loop_timer_free(h->limit);
	fs_close_fd(&h->out);
	buf_fini(&h->line);
	mem_free_ptr(&h);
}

static void hear(struct dns_hook *h, struct str line)
{
	line = str_trim(line);
	if (line.n > 0)
		h->c.line(h->c.ctx, line);
}

static void take_lines(struct dns_hook *h)
{
	struct str rest = buf_view(&h->line);
	size_t used = 0;
	for (size_t end; (end = str_find(rest, '\n', 0)) != SIZE_MAX; used += end + 1) {
		hear(h, str_slice(rest, 0, end));
		rest = str_from(rest, end + 1);
	}
	if (rest.n >= LINE_MAX_BYTES) {
		hear(h, rest);
		used += rest.n;
	}
	buf_drop_front(&h->line, used);
}

static void end(struct dns_hook *h)
{
	struct err e;
	struct dns_hook_call c = h->c;
	bool expired = clock_mono_ms() >= h->deadline_ms;
	/* closed its output, and may take a moment to end; who goes on is killed at the limit */
	int status = 0;
	if (!expired && waitpid(h->pid, &status, WNOHANG) == 0) {
		loop_watch_free(h->watch);
		h->watch = NULL;
		loop_timer_at(h->limit, clock_mono_ms() + 20);
		return;
	}
	if (expired)
		status = reap(h);
	else
		(void)kill(-h->pid, SIGKILL);
	h->pid = 0;
	bool ok = !expired && WIFEXITED(status) && WEXITSTATUS(status) == 0;
	if (expired)
		(void)err_set(&e, ERR_TIMEOUT, "the DNS hook took longer than %d minutes",
		    DNS_HOOK_LIMIT_MS / 60000);
	else if (!ok)
		(void)err_set(&e, ERR_FAILED,
		    "the DNS hook could not %s the record (exit status %d)",
		    c.remove ? "remove" : "add", WIFEXITED(status) ? WEXITSTATUS(status) : -1);
	dns_hook_free(h);
	c.ended(c.ctx, ok ? NULL : &e);
}

static void on_output(void *ctx)
{
	struct dns_hook *h = ctx;
	char *room = buf_reserve(&h->line, 4096);
	ssize_t n = room ? read(h->out, room, 4096) : 0;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0) {
		buf_commit(&h->line, (size_t)n);
		take_lines(h);
		return;
	}
	hear(h, buf_view(&h->line));
	buf_clear(&h->line);
	end(h);
}

static void on_limit(void *ctx)
{
	struct dns_hook *h = ctx;
	end(h);
}

static int check(const char *program, struct err *e)
{
	struct stat st;
	if (program[0] != '/' || stat(program, &st) != 0 || !S_ISREG(st.st_mode) ||
	    access(program, X_OK) != 0)
		return err_set(e, ERR_SETTINGS, "the DNS hook '%s' is no program", program);
	if (st.st_mode & 022) {
		err_set(e, ERR_SETTINGS, "the DNS hook '%s' can be written by others", program);
		return err_hint(e, "chmod go-w %s", program);
	}
	return 0;
}

struct dns_hook *dns_hook_start(const struct dns_hook_call *c, struct err *e)
{
	int ends[2];
	const char *const argv[] = {"env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
	    "LANG=C.UTF-8", c->program, c->remove ? "remove" : "add", c->name, c->value, NULL};
	if (check(c->program, e) != 0)
		return NULL;
	if (pipe2(ends, O_CLOEXEC) != 0) {
		(void)err_sys(e, ERR_UNAVAILABLE, errno, "could not make a pipe");
		return NULL;
	}
	const struct launch_spec s = {.path = "/usr/bin/env",
	    .argv = argv,
	    .fds = {-1, ends[1], ends[1], -1, -1, -1, -1},
	    .tmp_parent = -1};
	pid_t pid = launch_spawn(&s, e);
	(void)close(ends[1]);
	if (pid <= 0) {
		(void)close(ends[0]);
		return NULL;
	}
	struct dns_hook *h = mem_alloc(sizeof(*h));
	*h = (struct dns_hook){.c = *c, .pid = pid, .out = ends[0]};
	buf_init(&h->line, LINE_MAX_BYTES + 8192);
	h->limit = loop_timer_new(c->loop, on_limit, h);
	h->deadline_ms = clock_mono_ms() + DNS_HOOK_LIMIT_MS;
	loop_timer_at(h->limit, h->deadline_ms);
	h->watch = loop_watch_new(c->loop, h->out, on_output, h);
	return h;
}
