/* A daemon's end, a helper's end and the real monitor between them, and calls that fail; for test_monitor.c, which includes what this needs. */
#pragma once

#define STEPS 64

/* ---- calls that fail when they are told to; the linker takes these instead of libc's ---- */

enum pretence { REALLY, WELL, FAILS };

/* Not static: libc's headers declare some of these calls inline, and clang then wants what they use to be seen. */
struct {
	bool socketpair, getsockopt, accept4, poll;
	bool poll_lies;		 /* everything that was asked for is there */
	int recv;		 /* errno of a look at what is there */
	int sendmsg, recvmsg;	 /* errno of all of them */
	bool once;		 /* of the next one alone */
	bool cut, other_control; /* a message is sent short; what comes beside it is of another kind */
	int flags;		 /* what recvmsg says besides */
	enum pretence capset, no_new_privs, seccomp;
} fails;

/* Whether this call fails: its errno is set. */
bool fails_now(int *sys);

bool fails_now(int *sys)
{
	if (*sys == 0)
		return false;
	errno = *sys;
	*sys = fails.once ? 0 : *sys;
	return true;
}

static int pretend(enum pretence p)
{
	errno = EPERM;
	return p == WELL ? 0 : -1;
}

int socketpair(int domain, int type, int protocol, int fds[2])
{
	if (fails.socketpair) {
		errno = EMFILE;
		return -1;
	}
	return (int)syscall(SYS_socketpair, domain, type, protocol, fds);
}

int getsockopt(int fd, int level, int name, void *restrict value, socklen_t *restrict size)
{
	if (fails.getsockopt) {
		errno = EBADF;
		return -1;
	}
	return (int)syscall(SYS_getsockopt, fd, level, name, value, size);
}

int accept4(int fd, struct sockaddr *restrict a, socklen_t *restrict size, int flags)
{
	if (fails.accept4) {
		errno = EMFILE;
		return -1;
	}
	return (int)syscall(SYS_accept4, fd, a, size, flags);
}

int poll(struct pollfd *fds, nfds_t count, int ms)
{
	if (fails.poll) {
		errno = EINTR;
		return -1;
	}
	struct timespec t = {ms / 1000, ms % 1000 * 1000000l};
	int n = (int)syscall(SYS_ppoll, fds, count, ms < 0 ? NULL : &t, NULL, 8);
	for (nfds_t i = 2; fails.poll_lies && i < count; i++) /* the two connections */
		fds[i].revents = fds[i].fd >= 0 ? fds[i].events : 0;
	return fails.poll_lies ? 1 : n;
}

ssize_t recv(int fd, void *p, size_t n, int flags)
{
	if ((flags & MSG_PEEK) && fails_now(&fails.recv))
		return -1;
	return syscall(SYS_recvfrom, fd, p, n, flags, NULL, NULL);
}

ssize_t sendmsg(int fd, const struct msghdr *m, int flags)
{
	if (fails_now(&fails.sendmsg))
		return -1;
	return syscall(SYS_sendmsg, fd, m, flags) - fails.cut;
}

ssize_t recvmsg(int fd, struct msghdr *m, int flags)
{
	if (fails_now(&fails.recvmsg))
		return -1;
	ssize_t n = syscall(SYS_recvmsg, fd, m, flags);
	m->msg_flags |= fails.flags;
	struct cmsghdr *c = CMSG_FIRSTHDR(m);
	if (n > 0 && c && fails.other_control)
		c->cmsg_level = IPPROTO_IP;
	return n;
}

int capset(struct __user_cap_header_struct *head, const struct __user_cap_data_struct *data);

int capset(struct __user_cap_header_struct *head, const struct __user_cap_data_struct *data)
{
	return fails.capset == REALLY ? (int)syscall(SYS_capset, head, data) : pretend(fails.capset);
}

int prctl(int what, ...)
{
	va_list ap;
	va_start(ap, what);
	unsigned long a = va_arg(ap, unsigned long), b = 0;
	if (what == PR_SET_SECCOMP)
		b = va_arg(ap, unsigned long);
	va_end(ap);
	if (what == PR_SET_NO_NEW_PRIVS && fails.no_new_privs != REALLY)
		return pretend(fails.no_new_privs);
	if (what == PR_SET_SECCOMP && fails.seccomp != REALLY)
		return pretend(fails.seccomp);
	return (int)syscall(SYS_prctl, what, a, b, 0, 0);
}

/* ---- the world ---- */

static struct {
	struct pass pass;
	int listen, control; /* control: the helper's end */
	int ends[2];
	struct sockaddr_un address;
	socklen_t size;
	int audit;
} w;

static int set_up(void **unused)
{
	(void)unused;
	memset(&fails, 0, sizeof(fails));
	memset(&w, 0, sizeof(w));
	w.listen = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	w.address.sun_family = AF_UNIX;
	w.size = sizeof(w.address);
	assert_int_equal(bind(w.listen, (struct sockaddr *)&w.address, sizeof(sa_family_t)), 0);
	assert_int_equal(getsockname(w.listen, (struct sockaddr *)&w.address, &w.size), 0);
	assert_int_equal(listen(w.listen, 8), 0);
	assert_int_equal(
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, w.ends), 0);
	w.control = w.ends[0];
	w.audit = memfd_create("audit", MFD_CLOEXEC);
	log_open(LOG_INFO, w.audit);
	pass_open(&w.pass, w.listen, w.ends[1], geteuid(), geteuid());
	return 0;
}

static int tear_down(void **unused)
{
	(void)unused;
	memset(&fails, 0, sizeof(fails));
	pass_close(&w.pass);
	int *const fds[] = {&w.listen, &w.control, &w.ends[1], &w.audit};
	log_open(LOG_INFO, STDERR_FILENO);
	for (size_t i = 0; i < sizeof(fds) / sizeof(*fds); i++)
		fs_close_fd(fds[i]);
	return 0;
}

/* As often as there may be something to do; what the last step said. */
static bool turn(void)
{
	bool on = true;
	for (int i = 0; i < STEPS && on; i++)
		on = pass_step(&w.pass, 0);
	return on;
}

static int knock(void)
{
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	assert_int_equal(connect(fd, (const struct sockaddr *)&w.address, w.size), 0);
	turn();
	return fd;
}

/* The end that the helper was given; -1: none. */
static int given(void)
{
	struct pass_connection c;
	struct err e;
	int fds[PRIV_FDS_MAX];
	size_t count = 0;
	if (priv_recv(w.control, &c, sizeof(c), fds, &count, &e) <= 0)
		return -1;
	assert_int_equal(c.magic, PRIV_MAGIC);
	assert_int_equal(c.what, PASS_CONNECT);
	assert_int_equal(count, 1);
	return fds[0];
}

static void say(int fd, const struct priv_request *q, const int *fds, size_t count)
{
	struct err e;
	struct priv_request whole = *q;
	whole.magic = PRIV_MAGIC;
	assert_int_equal(priv_send(fd, &whole, sizeof(whole), fds, count, &e), 0);
	turn();
}

static void say_hello(int fd)
{
	say(fd, &(struct priv_request){.op = PRIV_HELLO, .id = PRIV_VERSION, .seq = 1}, NULL, 0);
}

/* Descriptors that come with it are closed; how many is said. False: nothing is there. */
static bool hear(int fd, void *message, size_t size, size_t *ret_fds)
{
	struct err e = {0};
	int fds[PRIV_FDS_MAX];
	size_t count = 0;
	int rc = priv_recv(fd, message, size, fds, &count, &e);
	for (size_t i = 0; rc > 0 && i < count; i++)
		close(fds[i]);
	if (ret_fds)
		*ret_fds = count;
	return rc > 0;
}

static bool hear_request(int fd, struct priv_request *q)
{
	return hear(fd, q, sizeof(*q), NULL);
}

static bool hear_reply(int fd, struct priv_reply *r)
{
	return hear(fd, r, sizeof(*r), NULL);
}

/* Whether its connection has ended. */
static bool is_over(int fd)
{
	char byte[sizeof(struct priv_reply)];
	return syscall(SYS_recvfrom, fd, byte, sizeof(byte), MSG_DONTWAIT, NULL, NULL) == 0;
}

static size_t audited(const char *text)
{
	char line[4096];
	size_t n = 0;
	FILE *f = fdopen(dup(w.audit), "r");
	assert_non_null(f);
	rewind(f);
	while (fgets(line, sizeof(line), f))
		n += strstr(line, text) != NULL;
	(void)fclose(f);
	return n;
}
