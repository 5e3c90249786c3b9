#include "launch/spawn.h"
#include "base/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/close_range.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/fsuid.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define FD_HIGH 100 /* above every descriptor that is placed */
#define FILES_DEFAULT 65536u

enum step {
	STEP_SESSION,
	STEP_GROUP,
	STEP_TMP,
	STEP_LIMITS,
	STEP_FDS,
	STEP_TERMINAL,
	STEP_USER,
	STEP_FILTER,
	STEP_EXEC,
	STEP_COUNT
};

static const char *const step_text[STEP_COUNT] = {"make a session", "join the control group",
    "make the temporary directory", "set limits", "place descriptors", "take the terminal",
    "become the user", "filter its calls", "execute"};

struct failure {
	int step, sys;
};

/* ---- in the child; nothing here may allocate, or return to the parent's code ---- */

static void reset_signals(void)
{
	for (int s = 1; s < NSIG; s++)
		(void)signal(s, SIG_DFL);
	sigset_t none;
	sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
}

static int join_groups(const struct launch_spec *s)
{
	for (size_t i = 0; i < s->join_count; i++)
		if (write(s->join[i], "0", 1) != 1)
			return -1;
	return 0;
}

/* To the file system this process is that user and no more; CAP_SYS_RESOURCE, which is no right to
 * files, stays, so that a project that has used up its disk quota can still be started. */
static bool files_as(uid_t uid, gid_t gid)
{
	(void)setfsgid(gid);
	(void)setfsuid(uid);
	return (gid_t)setfsgid((gid_t)-1) == gid && (uid_t)setfsuid((uid_t)-1) == uid;
}

/* Makes the tmp directory with the tenant's rights only, so that what he put there can lead nowhere
 * else. */
static int make_tmp(const struct launch_spec *s)
{
	if (s->drop && !files_as(s->uid, s->gid))
		return -1;
	int made = mkdirat(s->tmp_parent, s->tmp_name, 0700);
	int fd = made != 0 && errno != EEXIST ? -1
					      : openat(s->tmp_parent, s->tmp_name,
						    O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	int rc = fd < 0 ? -1 : fchdir(fd);
	int saved = errno;
	fs_close_fd(&fd);
	if (s->drop && !files_as(0, 0))
		return -1;
	errno = saved;
	return rc;
}

/* The current directory becomes /tmp and /var/tmp in a mount namespace of the child's own. Not
 * being allowed to is no failure: then $TMPDIR alone is private, and Landlock closes /tmp. */
static void mount_tmp(void)
{
	if (unshare(CLONE_NEWNS) != 0)
		return;
	if (mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) != 0)
		return;
	(void)mount(".", "/tmp", NULL, MS_BIND, NULL);
	(void)mount(".", "/var/tmp", NULL, MS_BIND, NULL);
	(void)mount("tmpfs", "/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777,size=64M");
}

static int limit(__rlimit_resource_t what, uint64_t n)
{
	struct rlimit old, r = {.rlim_cur = n, .rlim_max = n};
	if (getrlimit(what, &old) == 0 && old.rlim_max != RLIM_INFINITY && n > old.rlim_max)
		r.rlim_cur = r.rlim_max = old.rlim_max;
	return setrlimit(what, &r);
}

static int set_limits(const struct launch_spec *s)
{
	if (limit(RLIMIT_CORE, 0) != 0)
		return -1;
	if (limit(RLIMIT_NOFILE, s->files ? s->files : FILES_DEFAULT) != 0)
		return -1;
	if (s->data_bytes && limit(RLIMIT_DATA, s->data_bytes) != 0)
		return -1;
	return s->file_bytes ? limit(RLIMIT_FSIZE, s->file_bytes) : 0;
}

static int place_fds(const struct launch_spec *s)
{
	int from[LAUNCH_FDS];
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	for (int i = 0; i < LAUNCH_FDS; i++) {
		int fd = s->fds[s->terminal && i <= 2 ? 0 : i];
		if (fd < 0 && i <= 2)
			fd = null;
		from[i] = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, FD_HIGH);
		if (fd >= 0 && from[i] < 0)
			return -1;
	}
	for (int i = 0; i < LAUNCH_FDS; i++) {
		if (from[i] < 0)
			(void)close(i);
		else if (dup2(from[i], i) < 0)
			return -1;
	}
	return 0;
}

static int become_user(const struct launch_spec *s, pid_t starter)
{
	if (s->drop && (setgroups(s->group_count, s->groups) != 0 || setresgid(s->gid, s->gid, s->gid) != 0 ||
			   setresuid(s->uid, s->uid, s->uid) != 0))
		return -1;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		return -1;
	/* After the change of user, which clears it. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0)
		return -1;
	if (getppid() != starter)
		_exit(127);
	umask(027);
	return 0;
}

#ifdef SYS_chown
#define CHOWN_OLD SYS_chown
#else
#define CHOWN_OLD SYS_fchownat
#endif

/* Of two filters that give an error number the later one's counts: so also where systemd's says EPERM.
 * No wall, so numbers of other architectures do not matter. */
static int filter_owners(void)
{
	struct sock_filter f[] = {
	    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
	    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, CHOWN_OLD, 2, 0),
	    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_fchown, 1, 0),
	    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_fchownat, 0, 1),
	    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | 0),
	    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog p = {.len = sizeof(f) / sizeof(*f), .filter = f};
	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &p, 0, 0);
}

static enum step run_steps(const struct launch_spec *s, pid_t starter)
{
	reset_signals();
	if (setsid() < 0)
		return STEP_SESSION;
	if (join_groups(s) != 0)
		return STEP_GROUP;
	if (s->tmp_parent >= 0 && make_tmp(s) != 0)
		return STEP_TMP;
	if (s->tmp_parent >= 0 && s->private_tmp)
		mount_tmp();
	/* What it shares by key (System V, POSIX queues) is its own and ends with it; without the right to that it stays its user's. */
	if (s->drop)
		(void)unshare(CLONE_NEWIPC);
	if (place_fds(s) != 0 || chdir("/") != 0)
		return STEP_FDS;
	/* Everything else goes at exec. */
	if (close_range(LAUNCH_FDS, ~0U, CLOSE_RANGE_CLOEXEC) != 0)
		return STEP_FDS;
	if (s->terminal && ioctl(0, TIOCSCTTY, 0) != 0)
		return STEP_TERMINAL;
	if (set_limits(s) != 0)
		return STEP_LIMITS;
	if (become_user(s, starter) != 0)
		return STEP_USER;
	return s->keep_owners && filter_owners() != 0 ? STEP_FILTER : STEP_EXEC;
}

static _Noreturn void child(const struct launch_spec *s, int report, pid_t starter)
{
	static const char *const no_env[] = {NULL};
	/* Out of the way of the descriptors that are placed. */
	int high = fcntl(report, F_DUPFD_CLOEXEC, FD_HIGH);
	enum step step = high < 0 ? STEP_FDS : run_steps(s, starter);
	if (step == STEP_EXEC) {
		union {
			const char *const *in;
			char *const *out;
		} argv = {.in = s->argv}, env = {.in = no_env};
		execve(s->path, argv.out, env.out);
	}
	struct failure f = {.step = (int)step, .sys = errno};
	ssize_t ignored = write(high < 0 ? report : high, &f, sizeof(f));
	(void)ignored;
	_exit(127);
}

/* ---- in the parent ---- */

pid_t launch_spawn(const struct launch_spec *s, struct err *e)
{
	int ends[2];
	if (pipe2(ends, O_CLOEXEC) != 0)
		return err_sys(e, ERR_UNAVAILABLE, errno, "could not make a pipe");
	/* Signals must not reach the child while it still has our handlers. */
	sigset_t all, old;
	sigfillset(&all);
	(void)sigprocmask(SIG_SETMASK, &all, &old);
	pid_t starter = getpid(), pid = fork();
	if (pid == 0)
		child(s, ends[1], starter);
	int sys = errno;
	(void)sigprocmask(SIG_SETMASK, &old, NULL);
	close(ends[1]);
	CLEANUP_FD int report = ends[0];
	if (pid < 0)
		return err_sys(e, ERR_UNAVAILABLE, sys, "could not fork");
	struct failure f;
	ssize_t got;
	do
		got = read(report, &f, sizeof(f));
	while (got < 0 && errno == EINTR);
	if (got == 0)
		return pid;
	(void)kill(pid, SIGKILL);
	(void)waitpid(pid, NULL, 0);
	if (got != (ssize_t)sizeof(f) || f.step < 0 || f.step >= STEP_COUNT)
		return err_set(e, ERR_UNAVAILABLE, "could not start '%s'", s->path);
	return err_sys(
	    e, ERR_UNAVAILABLE, f.sys, "could not start '%s': %s", s->path, step_text[f.step]);
}
