/* rooms: base priv render monitor */
/* The monitor between a daemon and a helper that the test plays both: what passes, what is answered in front of the helper, who is shown out, what
 * happens when either side is slow, silent or gone, and when a call fails. Then what is left to a process behind its filter. */
#include "base/fs.h"
#include "base/log.h"
#include "monitor/filter.h"
#include "monitor/pass.h"
#include "monitor/request.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "monitor_world.h"

/* ---- what passes ---- */

static void requests_and_replies_pass(void **unused)
{
	(void)unused;
	struct priv_request q = {.op = PRIV_RELEASE_PREPARE,
				.project = "shop",
				.release = 3,
				.seq = 7},
			    got;
	struct priv_reply r = {.magic = PRIV_MAGIC, .kind = PRIV_REPLY, .seq = 7, .value = 42},
			  answer;
	struct err e = {0};
	size_t count;
	int daemon = knock(), helper = given();
	assert_true(helper >= 0);
	say_hello(daemon);
	assert_true(hear_request(helper, &got) && got.op == PRIV_HELLO);
	say(daemon, &q, NULL, 0);
	assert_true(hear_request(helper, &got));
	q.magic = PRIV_MAGIC;
	assert_memory_equal(&got, &q, sizeof(q));
	/* with descriptors, in both directions */
	int list = fs_memfd("list", "a", 1, &e);
	q = (struct priv_request){.op = PRIV_RELEASE_SEAL, .project = "shop", .release = 3};
	say(daemon, &q, &list, 1);
	assert_true(hear(helper, &got, sizeof(got), &count) && count == 1);
	assert_int_equal(priv_send(helper, &r, sizeof(r), &list, 1, &e), 0);
	turn();
	assert_true(hear(daemon, &answer, sizeof(answer), &count) && count == 1);
	assert_memory_equal(&answer, &r, sizeof(r));
	assert_int_equal(audited("refused"), 0);
	close(list);
	close(daemon);
	close(helper);
}

static void a_broken_rule_is_answered_in_front_of_the_helper(void **unused)
{
	(void)unused;
	struct priv_request got;
	struct priv_reply r;
	struct err e;
	int daemon = knock(), helper = given();
	say(daemon, &(struct priv_request){.op = PRIV_LIST, .seq = 5}, NULL, 0);
	assert_true(hear_reply(daemon, &r) && r.seq == 5 && r.code == ERR_FORBIDDEN);
	say(daemon, &(struct priv_request){.op = PRIV_HELLO, .id = PRIV_VERSION + 1}, NULL, 0);
	assert_true(hear_reply(daemon, &r) && r.code == ERR_UNSUPPORTED);
	assert_int_equal(r.version, PRIV_VERSION);
	assert_false(hear_request(helper, &got));
	say_hello(daemon);
	assert_true(hear_request(helper, &got));
	say(daemon, &(struct priv_request){.op = PRIV_PROJECT_ENSURE, .project = "../x", .seq = 6},
	    NULL, 0);
	assert_true(hear_reply(daemon, &r) && r.seq == 6 && r.code == ERR_INVALID && r.msg[0]);
	/* what came with it is closed */
	int loose = open("/dev/null", O_RDONLY | O_CLOEXEC), before = dup(0);
	close(before);
	say(daemon,
	    &(struct priv_request){.op = PRIV_RELEASE_SEAL, .project = "shop", .release = 1},
	    &loose, 1);
	assert_true(hear_reply(daemon, &r) && r.code == ERR_INVALID);
	int after = dup(0);
	assert_int_equal(after, before);
	close(after);
	assert_false(hear_request(helper, &got));
	assert_int_equal(audited("helper refused op=list"), 1);
	assert_int_equal(audited("helper refused op=hello"), 1);
	assert_int_equal(audited("helper refused op=project-ensure project=\"\""), 1);
	assert_int_equal(audited("helper refused op=release-seal project=shop release=1"), 1);
	/* no message of the protocol */
	struct priv_request none = {.op = PRIV_LIST};
	assert_int_equal(priv_send(daemon, &none, sizeof(none), NULL, 0, &e), 0);
	turn();
	assert_true(hear_reply(daemon, &r) && r.code == ERR_INVALID);
	none.magic = PRIV_MAGIC;
	none.op = PRIV_OP_COUNT + 1;
	assert_int_equal(priv_send(daemon, &none, sizeof(none), NULL, 0, &e), 0);
	turn();
	assert_true(hear_reply(daemon, &r) && r.code == ERR_INVALID);
	assert_int_equal(audited("helper refused op=unknown"), 1);
	close(loose);
	close(daemon);
	close(helper);
}

static void a_surprise_ends_the_connection(void **unused)
{
	(void)unused;
	const struct {
		struct priv_request q;
		char more;
	} long_one = {.q = {.magic = PRIV_MAGIC, .op = PRIV_HELLO, .id = PRIV_VERSION}};
	for (size_t i = 0; i < 2; i++) {
		int daemon = knock(), helper = given();
		size_t n = sizeof(long_one.q) - 1 + 2 * i;
		assert_int_equal(send(daemon, &long_one, n, 0), n);
		turn();
		assert_true(is_over(daemon) && is_over(helper));
		close(daemon);
		close(helper);
	}
	/* the helper's own, too: it is not the helper we know */
	int daemon = knock(), helper = given();
	assert_int_equal(send(helper, "x", 1, 0), 1);
	turn();
	assert_true(is_over(daemon) && is_over(helper));
	assert_int_equal(audited("helper refused op=message"), 3);
	close(daemon);
	close(helper);
}

/* ---- who is there ---- */

static void one_daemon_at_a_time(void **unused)
{
	(void)unused;
	struct priv_reply r;
	struct priv_request q, hello = {.magic = PRIV_MAGIC, .op = PRIV_HELLO, .id = PRIV_VERSION};
	struct err e;
	int first = knock(), helper = given();
	int second = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	assert_int_equal(connect(second, (const struct sockaddr *)&w.address, w.size), 0);
	assert_int_equal(priv_send(second, &hello, sizeof(hello), NULL, 0, &e), 0);
	turn();
	assert_true(hear_reply(second, &r) && r.code == ERR_CONFLICT);
	assert_true(is_over(second) && given() < 0);
	say_hello(first); /* who was there is not disturbed */
	assert_true(hear_request(helper, &q));
	close(second);
	/* one that has gone makes room, whatever is read first */
	for (int read_first = 0; read_first < 2; read_first++) {
		close(first);
		if (read_first) {
			turn();
			assert_true(is_over(helper));
		}
		first = knock();
		int next = given();
		assert_true(next >= 0);
		assert_true(is_over(helper));
		close(helper);
		helper = next;
		say(first, &(struct priv_request){.op = PRIV_LIST}, NULL, 0);
		assert_true(
		    hear_reply(first, &r) && r.code == ERR_FORBIDDEN); /* hello is said anew */
	}
	close(first);
	close(helper);
}

/* The first does not read its answer, so it is not listened to; then a second comes. */
static int second_while_the_first_is_full(int *ret_helper)
{
	*ret_helper = given();
	w.pass.has_reply = true;
	w.pass.reply = (struct priv_reply){.magic = PRIV_MAGIC};
	fails.once = true;
	fails.sendmsg = ENOBUFS;
	int fd = knock();
	fails.once = false;
	return fd;
}

static void a_dead_one_is_found_when_another_comes(void **unused)
{
	(void)unused;
	static const struct {
		bool gone, says;
		int sys;
		bool dead;
	} rows[] = {{true, false, 0, true}, {false, false, ECONNRESET, true},
	    {false, false, EINTR, false}, {false, false, 0, false}, {false, true, 0, false}};
	const struct priv_request hello = {
	    .magic = PRIV_MAGIC, .op = PRIV_HELLO, .id = PRIV_VERSION};
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		int first = knock(), helper;
		if (rows[i].says)
			assert_int_equal(send(first, &hello, sizeof(hello), 0), sizeof(hello));
		if (rows[i].gone)
			close(first);
		fails.recv = rows[i].sys;
		int second = second_while_the_first_is_full(&helper);
		fails.recv = 0;
		struct priv_request q;
		assert_int_equal(rows[i].says, hear_request(helper, &q));
		assert_int_equal(is_over(helper), rows[i].dead);
		int next = given();
		assert_int_equal(next >= 0, rows[i].dead);
		fs_close_fd(&next);
		if (!rows[i].gone)
			close(first);
		close(second);
		close(helper);
		turn();
	}
}

static void strangers_are_shown_out(void **unused)
{
	(void)unused;
	w.pass.daemon_uid = w.pass.own_uid = geteuid() + 1;
	int fd = knock();
	assert_true(is_over(fd) && given() < 0);
	close(fd);
	assert_int_equal(audited("helper refused op=connect uid="), 1);
	w.pass.daemon_uid = geteuid(); /* the daemon's user alone, and root's own alone */
	fd = knock();
	int helper = given();
	assert_true(helper >= 0);
	close(fd);
	close(helper);
	turn();
	w.pass.own_uid = geteuid();
	w.pass.daemon_uid = geteuid() + 1;
	fd = knock();
	helper = given();
	assert_true(helper >= 0);
	close(helper);
	close(fd);
	turn();
	fails.getsockopt = true; /* who cannot be asked for is nobody */
	fd = knock();
	assert_true(is_over(fd) && given() < 0);
	close(fd);
}

/* ---- the helper's end ---- */

static void what_the_helper_has_said_still_passes(void **unused)
{
	(void)unused;
	struct priv_reply r = {.magic = PRIV_MAGIC, .kind = PRIV_REPLY}, got;
	struct err e;
	int daemon = knock(), helper = given();
	for (r.seq = 1; r.seq <= 3; r.seq++)
		assert_int_equal(priv_send(helper, &r, sizeof(r), NULL, 0, &e), 0);
	close(helper);
	fs_close_fd(&w.control);
	assert_false(turn());
	for (uint64_t i = 1; i <= 3; i++)
		assert_true(hear_reply(daemon, &got) && got.seq == i);
	assert_true(is_over(daemon));
	close(daemon);
}

/* It goes on with who is there, and lets nobody in: the next helper's monitor will. */
static void a_helper_that_leaves_gets_nobody_new(void **unused)
{
	(void)unused;
	struct priv_request q;
	int daemon = knock(), helper = given();
	fs_close_fd(&w.control);
	int second = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	assert_int_equal(connect(second, (const struct sockaddr *)&w.address, w.size), 0);
	assert_true(turn());
	say_hello(daemon);
	assert_true(hear_request(helper, &q));
	struct pollfd waiting = {.fd = w.listen, .events = POLLIN};
	assert_int_equal(poll(&waiting, 1, 0), 1);
	close(second);
	close(daemon);
	assert_false(turn());
	close(helper);
}

/* ---- who is slow ---- */

static void nothing_is_lost_where_one_is_slow(void **unused)
{
	(void)unused;
	struct priv_reply r = {.magic = PRIV_MAGIC, .kind = PRIV_REPLY}, got;
	struct priv_request q = {.magic = PRIV_MAGIC, .op = PRIV_LIST}, heard;
	struct err e = {0};
	int daemon = knock(), helper = given();
	say_hello(daemon);
	assert_true(hear_request(helper, &heard));
	/* until nothing more goes in */
	uint64_t sent = 0, asked = 0, n = 0;
	for (int idle = 0; idle < 3; turn()) {
		r.seq = sent + 1;
		bool in = priv_send(helper, &r, sizeof(r), NULL, 0, &e) == 0;
		sent += in;
		idle = in ? 0 : idle + 1;
	}
	for (int idle = 0; idle < 3; turn()) {
		q.seq = asked + 1;
		bool in = priv_send(daemon, &q, sizeof(q), NULL, 0, &e) == 0;
		asked += in;
		idle = in ? 0 : idle + 1;
	}
	assert_true(sent > 10 && asked > 10);
	while (hear_reply(daemon, &got)) {
		assert_int_equal(got.seq, ++n);
		turn();
	}
	assert_int_equal(n, sent);
	for (n = 0; hear_request(helper, &heard); turn())
		assert_int_equal(heard.seq, ++n);
	assert_int_equal(n, asked);
	print_message("%llu replies and %llu requests held, none lost\n", (unsigned long long)sent,
	    (unsigned long long)asked);
	close(daemon);
	close(helper);
}

static void who_goes_while_something_is_at_hand_ends_it(void **unused)
{
	(void)unused;
	struct priv_request q = {.magic = PRIV_MAGIC, .op = PRIV_HELLO, .id = PRIV_VERSION};
	struct priv_reply r = {.magic = PRIV_MAGIC};
	struct err e;
	int daemon = knock(), helper = given();
	assert_int_equal(priv_send(daemon, &q, sizeof(q), NULL, 0, &e), 0);
	(void)pass_step(&w.pass, 0);
	assert_true(w.pass.has_request);
	close(helper);
	turn();
	assert_true(is_over(daemon));
	close(daemon);
	daemon = knock();
	helper = given();
	assert_int_equal(priv_send(helper, &r, sizeof(r), NULL, 0, &e), 0);
	(void)pass_step(&w.pass, 0);
	assert_true(w.pass.has_reply);
	close(daemon);
	turn();
	assert_true(is_over(helper));
	close(helper);
}

/* ---- calls that fail ---- */

static void a_call_that_fails_costs_one_connection_at_most(void **unused)
{
	(void)unused;
	struct priv_reply r;
	bool *const each[] = {&fails.socketpair, &fails.accept4};
	for (size_t i = 0; i < sizeof(each) / sizeof(*each); i++) {
		*each[i] = true;
		int fd = knock();
		assert_true(given() < 0);
		*each[i] = false;
		turn();
		close(fd);
		turn();
		int left = given();
		fs_close_fd(&left);
	}
	fails.sendmsg = ENOBUFS; /* the helper cannot be told of it */
	int fd = knock();
	assert_true(is_over(fd) && given() < 0);
	close(fd);
	fails.sendmsg = 0;
	assert_int_equal(audited("helper no_connection"), 2);
	fd = knock();
	int helper = given();
	fails.sendmsg = EPIPE; /* a refusal that cannot be told */
	int second = knock();
	fails.sendmsg = 0;
	assert_false(hear_reply(second, &r));
	assert_int_equal(audited("keeper refusal_lost"), 1);
	fails.poll = true;
	assert_true(pass_step(&w.pass, 0));
	close(second);
	close(fd);
	close(helper);
}

/* Interrupted, cut, or with something beside it that is no descriptor. */
static void messages_as_the_kernel_may_give_them(void **unused)
{
	(void)unused;
	struct priv_reply r = {.magic = PRIV_MAGIC, .kind = PRIV_REPLY}, got;
	struct priv_request q = {.magic = PRIV_MAGIC, .op = PRIV_HELLO, .id = PRIV_VERSION}, heard;
	struct err e = {0};
	int daemon = knock(), helper = given();
	fails.once = true;
	fails.sendmsg = EINTR;
	assert_int_equal(priv_send(helper, &r, sizeof(r), NULL, 0, &e), 0);
	fails.recvmsg = EINTR;
	turn();
	assert_true(hear_reply(daemon, &got));
	fails.recvmsg = ECONNRESET;
	assert_int_equal(
	    priv_recv(daemon, &got, sizeof(got), (int[PRIV_FDS_MAX]){0}, &(size_t){0}, &e), 0);
	fails.recvmsg = EIO;
	assert_int_equal(
	    priv_recv(daemon, &got, sizeof(got), (int[PRIV_FDS_MAX]){0}, &(size_t){0}, &e), -1);
	fails.poll_lies = true; /* it says that something is there, and nothing is */
	turn();
	fails.poll_lies = false;
	assert_true(w.pass.daemon >= 0);
	fails.sendmsg = EAGAIN; /* full after all: it waits */
	q.seq = 9;
	assert_int_equal(send(daemon, &q, sizeof(q), 0), sizeof(q));
	turn();
	assert_int_equal(fails.sendmsg, 0);
	assert_true(hear_request(helper, &heard) && heard.seq == 9);
	/* what is no descriptor is left alone: neither an id of who sent it, nor what is of another level */
	assert_int_equal(setsockopt(helper, SOL_SOCKET, SO_PASSCRED, &(int){1}, sizeof(int)), 0);
	say(daemon, &q, NULL, 0);
	assert_true(hear_request(helper, &heard));
	fails.other_control = true;
	say(daemon, &q, NULL, 0);
	assert_true(hear_request(helper, &heard));
	fails.other_control = false;
	fails.flags = MSG_CTRUNC;
	assert_int_equal(priv_send(daemon, &q, sizeof(q), NULL, 0, &e), 0);
	turn();
	assert_true(is_over(daemon));
	fails.flags = 0;
	fails.cut = true;
	assert_int_equal(priv_send(w.control, &q, sizeof(q), NULL, 0, &e), -1);
	fails.cut = false;
	close(daemon);
	close(helper);
}

/* ---- rules that a kernel must be asked for ---- */

static void a_vhost_must_be_whole(void **unused)
{
	(void)unused;
	static struct render_vhost v;
	struct priv_request q = {.magic = PRIV_MAGIC, .op = PRIV_VHOST_SET, .project = "shop"};
	struct render_site_cert c = {.site = "a.org"};
	struct err e = {0};
	char site[NAME_SITE_MAX + 4];
	strcpy(v.project, "shop");
	int fd = fs_memfd("vhost", &v, sizeof(v), &e);
	assert_non_null(request_vhost(&q, &fd, &e));
	int is_pipe[2];
	assert_int_equal(pipe2(is_pipe, O_CLOEXEC), 0);
	assert_null(request_vhost(&q, &is_pipe[0], &e));
	close(fd);
	assert_null(request_vhost(&q, &fd, &e)); /* none at all */
	fd = memfd_create("sparse", MFD_CLOEXEC);
	assert_int_equal(write(fd, &v, sizeof(v)), sizeof(v));
	int unreadable = open("/proc/self/fd/0", O_PATH | O_CLOEXEC);
	assert_null(request_vhost(&q, &unreadable, &e));
	close(unreadable);
	char path[40];
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	int only_written = open(path, O_WRONLY | O_CLOEXEC);
	assert_null(request_vhost(&q, &only_written, &e));
	close(only_written);
	close(fd);
	fd = fs_memfd("certificate", &c, sizeof(c), &e);
	assert_int_equal(request_site(&fd, site, &e), 0);
	assert_string_equal(site, "a.org");
	close(fd);
	close(is_pipe[0]);
	close(is_pipe[1]);
	assert_int_equal(request_flags(PRIV_OP_COUNT), 0);
	v = (struct render_vhost){.version = RENDER_VHOST_VERSION,
	    .project = "shop",
	    .domains = {"a.org"},
	    .domain_count = 1,
	    .static_count = 1,
	    .body_max_bytes = 1,
	    .request_timeout_s = 1};
	strcpy(v.statics[0].url, "/static");
	assert_int_equal(render_vhost_check(&v, &e), 0);
	static const char *const taken[] = {
	    "/.slipway", "/.slipway/a", "/.well-known/acme-challenge"};
	for (size_t i = 0; i < sizeof(taken) / sizeof(*taken); i++) {
		strcpy(v.statics[0].url, taken[i]);
		assert_int_equal(render_vhost_check(&v, &e), -1);
	}
}

static void a_descriptor_must_be_one(void **unused)
{
	(void)unused;
	struct err e = {0};
	struct priv_request q = {.magic = PRIV_MAGIC,
	    .op = PRIV_START,
	    .project = "shop",
	    .start = {.release = 1,
		.instance = 1,
		.class = PRIV_SERVICE,
		.listen_count = 1,
		.process = "web",
		.fd_argv = 0,
		.fd_env = -1,
		.fd_listen = 1,
		.fd_stdin = -1,
		.fd_stdout = -1,
		.fd_secret = -1}};
	int fds[] = {fs_memfd("list", "a", 1, &e), w.listen};
	assert_int_equal(request_judge(&q, fds, 2, true, &e), 0);
	int closed = dup(0);
	close(closed);
	fds[1] = closed;
	assert_int_equal(request_judge(&q, fds, 2, true, &e), -1);
	fds[1] = fds[0];
	assert_int_equal(request_judge(&q, fds, 2, true, &e), -1);
	close(fds[0]);
}

/* ---- behind the filter ---- */

static const struct forbidden {
	const char *what;
	long call, a, b, c;
} forbidden[] = {
    {"openat", SYS_openat, AT_FDCWD, (long)"/etc/passwd", O_RDONLY},
    {"execve", SYS_execve, (long)"/bin/true", 0, 0},
    {"kill", SYS_kill, 1, 0, 0},
    {"socket", SYS_socket, AF_INET, SOCK_STREAM, 0},
    {"connect", SYS_connect, 0, 0, 0},
    {"clone", SYS_clone, SIGCHLD, 0, 0},
    {"unlinkat", SYS_unlinkat, AT_FDCWD, (long)"x", 0},
    {"setuid", SYS_setuid, 0, 0, 0},
    {"ptrace", SYS_ptrace, 0, 0, 0},
    {"mount", SYS_mount, 0, 0, 0},
    {"bpf", SYS_bpf, 0, 0, 0},
    {"seccomp", SYS_seccomp, 0, 0, 0},
    {"ioctl", SYS_ioctl, 0, 0, 0},
    {"dup", SYS_dup, 0, 0, 0},
    {"mremap", SYS_mremap, 0, 0, 0},
    {"io_uring_setup", 425, 1, 0, 0},
};

/* The child's wait status; of what a sanitizer needs nothing is asked. */
static int behind_the_filter(const struct forbidden *f)
{
	pid_t pid = fork();
	if (pid == 0) {
		struct err e;
		(void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0); /* no core of it */
		if (filter_enter(&e) != 0)
			_exit(3);
		if (f)
			(void)syscall(f->call, f->a, f->b, f->c, 0, 0, 0);
		(void)pass_step(&w.pass, 0);
		_exit(0);
	}
	int status = -1;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void nothing_else_is_left_behind_the_filter(void **unused)
{
	(void)unused;
	size_t tried = 0;
	bool sanitized = filter_count() > 25;
	int status = behind_the_filter(NULL);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	for (size_t i = 0; i < sizeof(forbidden) / sizeof(*forbidden); i++) {
		if (sanitized && forbidden[i].call == SYS_openat)
			continue;
		status = behind_the_filter(&forbidden[i]);
		if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGSYS)
			fail_msg("%s: wait status %d, not ended by the filter", forbidden[i].what,
			    status);
		tried++;
	}
	print_message(
	    "%zu calls let through; %zu others tried, each the end\n", filter_count(), tried);
	assert_true(sanitized || filter_count() <= 40);
}

static void without_its_filter_it_reads_nothing(void **unused)
{
	(void)unused;
	struct err e = {0};
	fails.capset = fails.no_new_privs = fails.seccomp = WELL;
	assert_int_equal(filter_enter(&e), 0);
	enum pretence *const each[] = {&fails.capset, &fails.no_new_privs, &fails.seccomp};
	for (size_t i = 0; i < 3; i++) {
		*each[i] = FAILS;
		assert_int_equal(filter_enter(&e), -1);
		assert_int_equal(e.code, ERR_UNSUPPORTED);
		*each[i] = WELL;
	}
}

static void capabilities_are_gone(void **unused)
{
	(void)unused;
	int ends[2], status;
	char text[8192] = "", path[40];
	assert_int_equal((int)syscall(SYS_pipe2, ends, O_CLOEXEC), 0);
	pid_t pid = fork();
	if (pid == 0) {
		struct err e;
		fs_close_fd(&w.control); /* it is the parent's to close */
		char byte = filter_enter(&e) == 0 ? '0' : '1';
		(void)!write(ends[1], &byte, 1);
		(void)pass_step(&w.pass, -1); /* until the helper's end is closed */
		_exit(0);
	}
	char byte = 0;
	assert_int_equal(read(ends[0], &byte, 1), 1);
	assert_int_equal(byte, '0');
	(void)snprintf(path, sizeof(path), "/proc/%d/status", pid);
	CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(read(fd, text, sizeof(text) - 1) > 0);
	fs_close_fd(&w.control);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_non_null(strstr(text, "CapPrm:\t0000000000000000"));
	assert_non_null(strstr(text, "CapEff:\t0000000000000000"));
	assert_non_null(strstr(text, "NoNewPrivs:\t1"));
	assert_non_null(strstr(text, "Seccomp:\t2"));
	close(ends[0]);
	close(ends[1]);
}

#define WORLD(t) cmocka_unit_test_setup_teardown(t, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    WORLD(requests_and_replies_pass),
	    WORLD(a_broken_rule_is_answered_in_front_of_the_helper),
	    WORLD(a_surprise_ends_the_connection),
	    WORLD(one_daemon_at_a_time),
	    WORLD(a_dead_one_is_found_when_another_comes),
	    WORLD(strangers_are_shown_out),
	    WORLD(what_the_helper_has_said_still_passes),
	    WORLD(a_helper_that_leaves_gets_nobody_new),
	    WORLD(nothing_is_lost_where_one_is_slow),
	    WORLD(who_goes_while_something_is_at_hand_ends_it),
	    WORLD(a_call_that_fails_costs_one_connection_at_most),
	    WORLD(messages_as_the_kernel_may_give_them),
	    WORLD(a_vhost_must_be_whole),
	    WORLD(a_descriptor_must_be_one),
	    WORLD(without_its_filter_it_reads_nothing),
	    WORLD(nothing_else_is_left_behind_the_filter),
	    WORLD(capabilities_are_gone),
	};
	tzset();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
