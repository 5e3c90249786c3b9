#include "helper/worker.h"
#include "base/clock.h"
#include "base/fs.h"
#include "helper/seal.h"
#include "helper/sites.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

enum { FD_RESULT = 3, FD_STATICS, FD_USERS, FD_END };

void worker_init(struct worker *w, const struct tenant_roots *roots)
{
	*w = (struct worker){.roots = roots, .result = -1};
}

int worker_add(struct worker *w, const struct worker_job *j, struct err *e)
{
	if (w->count == WORKER_WAITING_MAX)
		return err_set(
		    e, ERR_UNAVAILABLE, "%d operations wait already", WORKER_WAITING_MAX);
	w->waiting[(w->first + w->count++) % WORKER_WAITING_MAX] = *j;
	return 0;
}

/* ---- in the child ---- */

static int read_statics(char *out, size_t size, struct str *ret, struct err *e)
{
	ssize_t n = pread(FD_STATICS, out, size, 0);
	if (n < 0)
		return err_sys(e, ERR_INVALID, errno, "could not read the list of static paths");
	if ((size_t)n == size)
		return err_set(e, ERR_TOO_LARGE, "the list of static paths is too long");
	*ret = (struct str){out, (size_t)n};
	return 0;
}

static int perform(
    const struct tenant_roots *t, const struct worker_job *j, uint64_t *ret_value, struct err *e)
{
	static char statics[SEAL_STATICS_BYTES_MAX];
	struct str project = str_c(j->project), list = STR_NONE;
	switch ((int)j->op) {
	case PRIV_PROJECT_ENSURE:
		return tenant_ensure(t, project, j->disk_bytes, ret_value, e);
	case PRIV_PROJECT_REMOVE:
		return tenant_remove(t, project, e);
	case PRIV_RELEASE_PREPARE:
		return tenant_prepare(t, project, j->release, e);
	case PRIV_RELEASE_REMOVE:
		return tenant_release_remove(t, project, j->release, e);
	case PRIV_RELEASE_SEAL:
		if (j->statics >= 0 && read_statics(statics, sizeof(statics), &list, e) != 0)
			return -1;
		return seal_release(t, project, j->release, list, e);
	case PRIV_SITES_SET:
		return sites_stage(t, project, j->release, FD_STATICS, ret_value, e);
	case PRIV_SITE_CERT_SET:
		*ret_value = 1;
		return sites_stage_cert(t, project, FD_STATICS, e);
	default:
		return err_set(e, ERR_INTERNAL, "operation %d is no work", j->op);
	}
}

static int place(int from, int to)
{
	if (from < 0)
		return close(to) == 0 || errno == EBADF ? 0 : -1;
	return dup2(from, to) == to ? 0 : -1;
}

static _Noreturn void child(const struct worker *w, int result)
{
	/* Nothing of the keeper's stays open here: whoever waits for an end of file must not wait
	 * for us. */
	int high[3] = {fcntl(result, F_DUPFD_CLOEXEC, 100),
	    w->now.statics < 0 ? -1 : fcntl(w->now.statics, F_DUPFD_CLOEXEC, 100),
	    fcntl(w->roots->users->fd, F_DUPFD_CLOEXEC, 100)};
	if (place(high[0], FD_RESULT) != 0 || place(high[1], FD_STATICS) != 0 ||
	    place(high[2], FD_USERS) != 0 || close_range(FD_END, ~0U, 0) != 0)
		_exit(1);
	for (int fd = FD_RESULT; fd < FD_END; fd++)
		(void)fcntl(fd, F_SETFD, FD_CLOEXEC);
	sigset_t none;
	sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	struct users users = {.fd = FD_USERS};
	struct tenant_roots roots = *w->roots;
	roots.users = &users;
	struct err e = {0};
	struct worker_result r = {0};
	if (perform(&roots, &w->now, &r.value, &e) != 0) {
		r.code = (int)e.code;
		r.sys = e.sys;
		memcpy(r.msg, e.msg, sizeof(r.msg));
		memcpy(r.hint, e.hint, sizeof(r.hint));
	}
	_exit(write(FD_RESULT, &r, sizeof(r)) == (ssize_t)sizeof(r) ? 0 : 1);
}

/* ---- in the keeper ---- */

static void start_next(struct worker *w, int64_t now_ms)
{
	w->now = w->waiting[w->first];
	int ends[2];
	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0)
		return; /* tried again at the next tick */
	pid_t pid = fork();
	if (pid == 0)
		child(w, ends[1]);
	close(ends[1]);
	if (pid < 0) {
		close(ends[0]);
		return;
	}
	w->first = (w->first + 1) % WORKER_WAITING_MAX;
	w->count--;
	fs_close_fd(&w->now.statics);
	w->pid = pid;
	w->result = ends[0];
	w->deadline_ms = now_ms + WORKER_TIME_MAX_MS;
}

void worker_postpone(struct worker *w)
{
	const struct worker_job next = w->waiting[w->first];
	w->first = (w->first + 1) % WORKER_WAITING_MAX;
	w->waiting[(w->first + w->count - 1) % WORKER_WAITING_MAX] = next;
}

void worker_tick(struct worker *w, int64_t now_ms)
{
	if (w->pid == 0 && w->count > 0)
		start_next(w, now_ms);
	else if (w->pid != 0 && now_ms >= w->deadline_ms)
		(void)kill(w->pid, SIGKILL);
}

bool worker_reaped(
    struct worker *w, pid_t pid, int wait_status, uint64_t *ret_token, struct worker_result *ret)
{
	if (w->pid == 0 || pid != w->pid)
		return false;
	w->pid = 0;
	*ret_token = w->now.token;
	if (read(w->result, ret, sizeof(*ret)) != (ssize_t)sizeof(*ret)) {
		struct err e;
		(void)err_set(&e, ERR_INTERNAL,
		    "the operation ended with wait status %d and no answer", wait_status);
		*ret = (struct worker_result){.code = (int)e.code};
		memcpy(ret->msg, e.msg, sizeof(ret->msg));
	}
	fs_close_fd(&w->result);
	return true;
}
