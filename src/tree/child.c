#include "tree/child.h"
#include "base/clock.h"
#include "base/fs.h"
#include "tree/say.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

void child_add(struct child_words *w, const char *word)
{
	assert(w->n < CHILD_WORDS_MAX);
	w->v[w->n++] = word;
	w->v[w->n] = NULL;
}

static const char *search_path(const struct child_words *env)
{
	for (size_t i = 0; i < env->n; i++)
		if (strncmp(env->v[i], "PATH=", 5) == 0)
			return env->v[i] + 5;
	return "/usr/local/bin:/usr/bin:/bin";
}

/* execve with each folder of PATH in turn; only returns on failure. */
static void exec_search(const struct child_words *argv, const struct child_words *env)
{
	char *const *args = (char *const *)(uintptr_t)argv->v;
	char *const *vars = (char *const *)(uintptr_t)env->v;
	const char *name = argv->v[0];
	if (strchr(name, '/')) {
		execve(name, args, vars);
		return;
	}
	struct str path = str_c(search_path(env)), folder;
	while (str_next(&path, ':', &folder)) {
		char file[1024];
		struct buf b;
		buf_init(&b, sizeof(file) - 1);
		buf_printf(&b, "%.*s/%s", STR_ARG(folder), name);
		bool fits = str_copy(buf_view(&b), file, sizeof(file));
		buf_fini(&b);
		if (fits)
			execve(file, args, vars);
	}
}

static void become(const struct child_spec *s, int out, int err)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null < 0 || dup2(null, 0) < 0 ||
	    dup2(s->merge   ? err
		 : out >= 0 ? out
			    : null,
		1) < 0 ||
	    dup2(err, 2) < 0)
		_exit(126);
	if (s->directory && chdir(s->directory) != 0)
		_exit(126);
	(void)signal(SIGPIPE, SIG_DFL);
	exec_search(s->argv, s->env);
	_exit(127);
}

/* Keeps the last part of what was said. */
static void keep_end(struct buf *b, const char *p, size_t n)
{
	if (n > b->max) {
		p += n - b->max;
		n = b->max;
	}
	if (b->n + n > b->max)
		buf_drop_front(b, b->n + n - b->max);
	buf_put(b, p, n);
}

struct stream {
	int fd;
	struct buf *keep;
	bool all;  /* keep everything and fail when full, else keep the end */
	bool pass; /* copy to our standard error */
};

/* False when the child must end: the output is larger than allowed. */
static bool take(struct stream *s)
{
	char part[65536];
	ssize_t n = read(s->fd, part, sizeof(part));
	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return true;
	if (n <= 0) {
		fs_close_fd(&s->fd);
		return true;
	}
	if (s->pass)
		say_raw(part, (size_t)n);
	if (s->keep && s->all)
		buf_put(s->keep, part, (size_t)n);
	else if (s->keep)
		keep_end(s->keep, part, (size_t)n);
	return !(s->all && s->keep && s->keep->full);
}

/* Reads both streams to their ends; 0, or -1 at the deadline. */
static int drain(struct stream s[2], int64_t deadline_ms)
{
	while (s[0].fd >= 0 || s[1].fd >= 0) {
		int64_t left = deadline_ms - clock_mono_ms();
		if (left <= 0)
			return -1;
		struct pollfd p[2] = {{s[0].fd, POLLIN, 0}, {s[1].fd, POLLIN, 0}};
		int n = poll(p, 2, left > 60000 ? 60000 : (int)left);
		for (int i = 0; n > 0 && i < 2; i++)
			if (p[i].revents && s[i].fd >= 0 && !take(&s[i]))
				return 1;
	}
	return 0;
}

int child_run(const struct child_spec *s, struct buf *out, struct buf *messages, int *ret_status,
    struct err *e)
{
	int outs[2] = {-1, -1}, errs[2] = {-1, -1};
	if ((out && pipe2(outs, O_CLOEXEC) != 0) || pipe2(errs, O_CLOEXEC) != 0)
		return err_sys(e, ERR_IO, errno, "could not make a pipe");
	pid_t pid = fork();
	if (pid == 0)
		become(s, outs[1], errs[1]);
	fs_close_fd(&outs[1]);
	fs_close_fd(&errs[1]);
	struct stream streams[2] = {
	    {outs[0], out, true, false}, {errs[0], messages, false, !s->quiet}};
	int rc = pid < 0 ? 0 : drain(streams, s->deadline_ms);
	fs_close_fd(&streams[0].fd);
	fs_close_fd(&streams[1].fd);
	if (pid < 0)
		return err_sys(e, ERR_UNAVAILABLE, errno, "could not start '%s'", s->argv->v[0]);
	if (rc)
		kill(pid, SIGKILL);
	while (waitpid(pid, ret_status, 0) < 0 && errno == EINTR)
		;
	if (rc < 0)
		return say_fail(SAY_TIMEOUT, e, "'%s' did not end in time", s->argv->v[0]);
	if (WIFEXITED(*ret_status) && WEXITSTATUS(*ret_status) == 127)
		return say_fail(
		    SAY_SETTINGS, e, "'%s' is not installed on this machine", s->argv->v[0]);
	return 0;
}
