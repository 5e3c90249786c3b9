/* What programs say of themselves, as sd_notify(3) has it: that they are ready (READY=1) and alive (WATCHDOG=1). Each instance that
 * may has a socket of its own below RUN/.notify/, its user's alone, so that nobody else speaks for it or fills its queue. Nothing of a
 * message is looked at but whether a line of it is one of the two. */
#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "helper/instances_state.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define MESSAGE_MAX 4096
#define NAME_SIZE 20
#define AT_ONCE 16 /* messages of one instance, and sockets, looked at in a turn */

/* ---- sockets ---- */

static void name_of(const struct instance *in, char out[NAME_SIZE])
{
	(void)snprintf(out, NAME_SIZE, "%016" PRIx64, in->st.id);
}

static int path_of(
    const struct instances *t, const struct instance *in, char out[GUEST_NOTIFY_MAX], struct err *e)
{
	int n =
	    snprintf(out, GUEST_NOTIFY_MAX, "%s/.notify/%016" PRIx64, t->o.roots->run, in->st.id);
	return n > 0 && n < (int)GUEST_NOTIFY_MAX
		   ? 0
		   : err_set(e, ERR_SETTINGS, "the path of the run directory is too long");
}

/* The folder is ours: in one that is the daemon's nothing of it may be another's, nor what is about to be given to one. */
static int open_folder(const struct instances *t, bool make, struct err *e)
{
	struct stat st;
	CLEANUP_FD int run = open(t->o.roots->run, O_PATH | O_DIRECTORY | O_CLOEXEC);
	mode_t old = umask(0);
	bool made = !make || mkdirat(run, ".notify", 0711) == 0 || errno == EEXIST;
	(void)umask(old);
	int dir = made ? openat(run, ".notify", O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) : -1;
	if (dir >= 0 && fstat(dir, &st) == 0 && st.st_uid == geteuid() &&
	    (st.st_mode & 07777) == 0711)
		return dir;
	(void)err_sys(e, ERR_UNAVAILABLE, dir < 0 ? errno : EPERM, "could not make %s/notify",
	    t->o.roots->run);
	fs_close_fd(&dir);
	return -1;
}

static int bind_in(
    const struct instances *t, const struct instance *in, int dir, int sock, struct err *e)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	char name[NAME_SIZE];
	const struct tenant_roots *roots = t->o.roots;
	name_of(in, name);
	(void)snprintf(a.sun_path, sizeof(a.sun_path), "/proc/self/fd/%d/%s", dir, name);
	(void)unlinkat(dir, name, 0);
	mode_t old = umask(0177);
	int rc = bind(sock, (struct sockaddr *)&a, sizeof(a));
	(void)umask(old);
	if (rc == 0 && roots->root)
		rc = fchownat(dir, name, tenant_uid(roots, in->user_number),
		    tenant_gid(roots, in->user_number), AT_SYMLINK_NOFOLLOW);
	return rc == 0 ? 0
		       : err_sys(e, ERR_UNAVAILABLE, errno,
			     "could not make the socket that the program speaks to");
}

static int watch(struct instances *t, const struct instance *in)
{
	struct epoll_event ev = {.events = EPOLLIN, .data.u64 = in->st.id};
	return in->fd[INSTANCE_NOTIFY] < 0
		   ? 0
		   : epoll_ctl(t->notices, EPOLL_CTL_ADD, in->fd[INSTANCE_NOTIFY], &ev);
}

int instance_notice_open(struct instances *t, struct instance *in, struct err *e)
{
	if (in->spec.ready_ms == 0 && in->spec.watchdog_ms == 0)
		return 0;
	CLEANUP_FD int dir = open_folder(t, true, e);
	if (dir < 0)
		return -1;
	CLEANUP_FD int sock = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (sock < 0 || bind_in(t, in, dir, sock, e) != 0)
		return sock < 0 ? err_sys(e, ERR_UNAVAILABLE, errno, "could not make a socket")
				: -1;
	in->fd[INSTANCE_NOTIFY] = sock;
	sock = -1;
	return watch(t, in) == 0 ? 0
				 : err_sys(e, ERR_UNAVAILABLE, errno, "could not watch a socket");
}

int instance_notice_name(
    const struct instances *t, const struct instance *in, char out[GUEST_NOTIFY_MAX], struct err *e)
{
	out[0] = '\0';
	return in->fd[INSTANCE_NOTIFY] < 0 ? 0 : path_of(t, in, out, e);
}

void instance_notice_close(struct instances *t, struct instance *in)
{
	char name[NAME_SIZE];
	struct err ignored;
	if (in->fd[INSTANCE_NOTIFY] < 0)
		return;
	/* not by its path: the daemon may have put a link in it */
	CLEANUP_FD int dir = open_folder(t, false, &ignored);
	name_of(in, name);
	if (dir >= 0)
		(void)unlinkat(dir, name, 0);
	instance_close(in, &in->fd[INSTANCE_NOTIFY]);
}

/* ---- what is said ---- */

static bool says(struct str message, const char *line)
{
	struct str one;
	while (str_next(&message, '\n', &one))
		if (str_eq_c(one, line))
			return true;
	return false;
}

static void alive(struct instance *in, int64_t now_ms)
{
	in->alive_by_ms = in->spec.watchdog_ms ? now_ms + in->spec.watchdog_ms : 0;
}

void instance_notice_begin(struct instance *in)
{
	char gone[MESSAGE_MAX];
	int64_t now_ms = clock_mono_ms();
	in->ready_by_ms = in->alive_by_ms = 0;
	if (in->fd[INSTANCE_NOTIFY] < 0)
		return;
	/* what an earlier run of it said is over */
	for (int i = 0;
	     i < 1000 && recv(in->fd[INSTANCE_NOTIFY], gone, sizeof(gone), MSG_DONTWAIT) >= 0; i++)
		continue;
	if (in->spec.ready_ms)
		in->ready_by_ms = now_ms + in->spec.ready_ms;
	else
		alive(in, now_ms);
}

void instance_notice_adopt(struct instances *t, struct instance *in, int64_t now_ms)
{
	bool heard = watch(t, in) == 0; /* who is not cannot be blamed */
	if (in->ready_by_ms != 0)
		in->ready_by_ms = heard ? now_ms + in->spec.ready_ms : 0;
	if (in->alive_by_ms != 0)
		in->alive_by_ms = heard ? now_ms + in->spec.watchdog_ms : 0;
}

static void hear(struct instance *in, struct str message, int64_t now_ms)
{
	if (in->st.state == PRIV_STARTING && says(message, "READY=1")) {
		in->ready_by_ms = 0;
		instance_set_state(in, PRIV_RUNNING);
		alive(in, now_ms);
	}
	if (in->alive_by_ms != 0 && says(message, "WATCHDOG=1"))
		alive(in, now_ms);
}

void instances_noticed(struct instances *t)
{
	struct epoll_event events[AT_ONCE];
	char text[MESSAGE_MAX];
	int n = epoll_wait(t->notices, events, AT_ONCE, 0);
	for (int i = 0; i < n; i++) {
		struct instance *in = instances_find(t, events[i].data.u64);
		for (int k = 0; in && k < AT_ONCE; k++) {
			ssize_t got =
			    recv(in->fd[INSTANCE_NOTIFY], text, sizeof(text), MSG_DONTWAIT);
			if (got < 0)
				break;
			hear(in, (struct str){text, (size_t)got}, clock_mono_ms());
		}
	}
}

int instances_notice_fd(const struct instances *t)
{
	return t->notices;
}

static void silent(
    struct instances *t, struct instance *in, enum priv_limit_hit limit, int64_t *by_ms)
{
	*by_ms = 0;
	in->st.limit_hit = (uint8_t)limit;
	log_event(LOG_WARN, "keeper", limit == PRIV_LIMIT_READY ? "not_ready" : "watchdog",
	    F_C("project", in->st.project), F_C("process", in->st.process),
	    F_I64("instance", in->st.instance), F_I64("pid", in->st.pid));
	instance_kill(t, in);
}

int64_t instance_notice_tick(struct instances *t, struct instance *in, int64_t now_ms)
{
	if (in->st.state != PRIV_STARTING && in->st.state != PRIV_RUNNING)
		return 0;
	if (in->ready_by_ms != 0 && now_ms >= in->ready_by_ms)
		silent(t, in, PRIV_LIMIT_READY, &in->ready_by_ms);
	if (in->alive_by_ms != 0 && now_ms >= in->alive_by_ms)
		silent(t, in, PRIV_LIMIT_WATCHDOG, &in->alive_by_ms);
	return in->ready_by_ms != 0 ? in->ready_by_ms : in->alive_by_ms;
}
