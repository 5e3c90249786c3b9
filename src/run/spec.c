/* From a run_spec to the request and descriptors of PRIV_START. */
#include "base/fs.h"
#include "base/limits.h"
#include "run/run.h"
#include "run/state.h"

static int add_memfd(const struct args *list, size_t max, const char *label, int *fds, size_t *n,
    int8_t *ret_index, int *made, struct err *e)
{
	CLEANUP_BUF struct buf b;
	buf_init(&b, max);
	*ret_index = -1;
	if (!list)
		return 0;
	args_pack_all(&b, list);
	if (buf_check(&b, label, e) != 0)
		return -1;
	*made = fs_memfd(label, b.p ? b.p : "", b.n, e);
	if (*made < 0)
		return -1;
	*ret_index = (int8_t)*n;
	fds[(*n)++] = *made;
	return 0;
}

static int8_t add_fd(int fd, int *fds, size_t *n)
{
	if (fd < 0)
		return -1;
	fds[*n] = fd;
	return (int8_t)(*n)++;
}

int run_spec_request(const struct run_spec *s, int report_fd, struct priv_request *q,
    int fds[PRIV_FDS_MAX], size_t *ret_count, int made[3], struct err *e)
{
	struct priv_start *p = &q->start;
	made[0] = made[1] = made[2] = -1;
	*ret_count = 0;
	*q = (struct priv_request){.op = PRIV_START, .release = s->release};
	*p = (struct priv_start){.release = s->release,
	    .instance = s->instance,
	    .class = (uint8_t)s->class,
	    .sandbox = (uint8_t)s->sandbox,
	    .program = (uint8_t)s->program,
	    .terminal = s->terminal_fd >= 0,
	    .port = s->port,
	    .stop_timeout_ms = s->stop_timeout_ms,
	    .time_limit_ms = s->time_limit_ms,
	    .watchdog_ms = s->watchdog_ms,
	    .ready_ms = s->ready_ms,
	    .limits = s->limits};
	if (!str_copy(s->project, q->project, sizeof(q->project)) ||
	    !str_copy(s->process, p->process, sizeof(p->process)) ||
	    !str_copy(s->subdir, p->subdir, sizeof(p->subdir)))
		return err_set(e, ERR_INVALID, "a name or folder of the process is too long");
	bool relay = s->program == PRIV_PROGRAM_RELAY;
	if (add_memfd(relay ? NULL : s->argv, LIMIT_ARGV_BYTES, "argv", fds, ret_count, &p->fd_argv,
		&made[0], e) != 0 ||
	    add_memfd(relay ? NULL : s->env, LIMIT_ENV_BYTES, "env", fds, ret_count, &p->fd_env,
		&made[1], e) != 0)
		return -1;
	p->fd_secret = -1;
	if (s->secret.n > 0) {
		made[2] = fs_memfd("secret", s->secret.p, s->secret.n, e);
		if (made[2] < 0)
			return -1;
		p->fd_secret = add_fd(made[2], fds, ret_count);
	}
	p->fd_listen = add_fd(s->listen_fd, fds, ret_count);
	p->listen_count = s->listen_fd >= 0;
	p->fd_stdin = add_fd(s->terminal_fd >= 0 ? s->terminal_fd : s->stdin_fd, fds, ret_count);
	p->fd_stdout = add_fd(report_fd, fds, ret_count);
	return 0;
}
