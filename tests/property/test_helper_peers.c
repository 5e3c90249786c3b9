/* rooms: base priv render launch helper */
/* S8 over the socket: a real helper is sent random requests, with descriptors and hostile lists, and messages that are none; and whoever is
 * not its daemon connects. Nothing that breaks a rule is accepted (requests_oracle.h), no stranger gets one answer, the helper goes on and
 * ends well. Lawful requests are few: each has effects, in namespaces of the test's own.
 * SLIPWAY_SOCKET_REQUESTS, SLIPWAY_PEERS: how many of both, 10,000 strangers in the long tier; SLIPWAY_SEED. */
#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "priv/priv.h"
#include "render/sites.h"
#include "render/vhost.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "requests_oracle.h"
#include "requests_draw.h"
#include "requests_helper.h"
#include "requests_lists.h"

#define REQUESTS_SHORT 100000u
#define PEERS_SHORT 1000u
#define UNANSWERED_MAX 150u
#define LAWFUL_IN 40 /* of those that break no rule one in so many is sent */
#define WORK_IN 800  /* and of those that a worker does, which takes long */
#define LISTS 200    /* of each kind */

/* ---- asking ---- */

static bool has_instance(uint64_t id)
{
	for (size_t i = 0; i < id_count; i++)
		if (ids[i] == id)
			return true;
	return false;
}

static void answered(const struct priv_reply *r)
{
	uint8_t broken = w.broken[r->seq % WINDOW];
	uint8_t op = w.op[r->seq % WINDOW];
	w.broken[r->seq % WINDOW] = 0;
	if (broken == 0 || r->seq >= w.next) {
		(void)snprintf(w.fault, sizeof(w.fault), "an answer to nothing: %llu",
		    (unsigned long long)r->seq);
		return;
	}
	w.unanswered--;
	if (r->code != 0) {
		w.refused++;
		return;
	}
	w.accepted[op]++;
	w.accepted_all++;
	if (broken - 1 != RULE_NONE)
		(void)snprintf(w.fault, sizeof(w.fault),
		    "operation %u accepted against the rule of %s", op, rule_names[broken - 1]);
	if (op == PRIV_START)
		ids[id_count < IDS_MAX ? id_count++ : draw(IDS_MAX)] = r->value;
}

/* False: the connection has ended. */
static bool read_one(void)
{
	struct priv_reply r;
	struct err e;
	int fds[PRIV_FDS_MAX];
	size_t n = 0;
	if (priv_recv(w.conn, &r, sizeof(r), fds, &n, &e) <= 0)
		return false;
	for (size_t i = 0; i < n; i++)
		close(fds[i]);
	if (r.kind == PRIV_REPLY)
		answered(&r);
	return true;
}

/* Until so many are without their answer, and it may be written to. False: the connection has ended, or a minute has gone by. */
static bool read_until(short events, uint64_t unanswered)
{
	int64_t until = clock_mono_ms() + 60000;
	while (clock_mono_ms() < until) {
		bool few = w.unanswered <= unanswered;
		if (few && events == 0)
			return true;
		struct pollfd p = {.fd = w.conn, .events = (short)(few ? POLLIN | events : POLLIN)};
		if (poll(&p, 1, 1000) < 0)
			return false;
		if (p.revents & (POLLIN | POLLHUP)) {
			if (!read_one())
				return false;
		} else if (p.revents & events) {
			return true;
		}
	}
	return false;
}

static void send_request(struct drawn *d, enum rule broken)
{
	struct err e = {0};
	int fds[PRIV_FDS_MAX];
	for (size_t i = 0; i < d->count; i++)
		fds[i] = d->with[i]->fd;
	d->q.seq = w.next++;
	w.broken[d->q.seq % WINDOW] = (uint8_t)(broken + 1);
	w.op[d->q.seq % WINDOW] = (uint8_t)(d->q.op < PRIV_OP_COUNT ? d->q.op : 0);
	w.unanswered++;
	if (priv_send(w.conn, &d->q, sizeof(d->q), fds, d->count, &e) != 0)
		fail_msg("the helper does not take request %llu: %s", (unsigned long long)d->q.seq,
		    e.msg);
}

static void ask(uint32_t op, const char *project)
{
	struct drawn d;
	const struct oracle_state o = {true, true, has_instance};
	draw_lawful(&d, op);
	d.q.release = 1;
	if (project)
		put(d.q.project, sizeof(d.q.project), project);
	send_request(&d, broken_rule(&o, &d));
	assert_true(read_until(0, 0));
}

/* A message that is none: too short, too long, or with a descriptor too many. The connection ends without a word to it. */
static void send_surprise(void)
{
	struct drawn d;
	char bytes[sizeof(d.q) + 64] = {0};
	draw_lawful(&d, PRIV_PROJECT_ENSURE);
	memcpy(bytes, &d.q, sizeof(d.q));
	size_t size = one_in(3)	  ? 1 + draw(sizeof(d.q) - 1)
		      : one_in(2) ? sizeof(d.q) + 1 + draw(63)
				  : sizeof(d.q);
	int fds[12];
	size_t count = size != sizeof(d.q) ? draw(3) : PRIV_FDS_MAX + 1 + draw(5);
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(fds))];
	} control = {0};
	for (size_t i = 0; i < count; i++)
		fds[i] = draw_thing(0, false)->fd;
	struct iovec iov = {bytes, size};
	struct msghdr m = {.msg_iov = &iov,
	    .msg_iovlen = 1,
	    .msg_control = control.bytes,
	    .msg_controllen = CMSG_SPACE(sizeof(int) * count)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	if (count > 0) {
		*c = (struct cmsghdr){.cmsg_level = SOL_SOCKET,
		    .cmsg_type = SCM_RIGHTS,
		    .cmsg_len = CMSG_LEN(sizeof(int) * count)};
		memcpy(CMSG_DATA(c), fds, sizeof(int) * count);
	} else {
		m.msg_control = NULL;
		m.msg_controllen = 0;
	}
	assert_int_equal(sendmsg(w.conn, &m, MSG_NOSIGNAL), (ssize_t)size);
	while (w.fault[0] == '\0' && read_one())
		continue;
	memset(w.broken, 0, sizeof(w.broken)); /* answers that waited are nobody's now */
	w.unanswered = 0;
	w.ended++;
	close(w.conn);
	w.conn = connect_to_it();
	assert_true(w.conn >= 0);
	ask(PRIV_HELLO, NULL);
}

static bool is_work(uint32_t op)
{
	return op == PRIV_PROJECT_ENSURE || op == PRIV_PROJECT_REMOVE ||
	       op == PRIV_RELEASE_PREPARE || op == PRIV_RELEASE_SEAL || op == PRIV_RELEASE_REMOVE ||
	       op == PRIV_SITES_SET || op == PRIV_SITE_CERT_SET;
}

static void draw_and_send(void)
{
	struct drawn d;
	const struct oracle_state o = {true, true, has_instance};
	enum rule broken;
	do {
		draw_request(&d);
		broken = broken_rule(&o, &d);
	} while (broken == RULE_NONE &&
		 (d.q.op == PRIV_SHUTDOWN || !one_in(is_work(d.q.op) ? WORK_IN : LAWFUL_IN)));
	send_request(&d, broken);
}

/* ---- what is in a sealed file ---- */

/* A release of the first project with a site, so that a list of sites has something to name. */
static void make_site(void)
{
	char path[192];
	struct stat st;
	ask(PRIV_RELEASE_REMOVE, project_names[0]);
	ask(PRIV_RELEASE_PREPARE, project_names[0]);
	(void)snprintf(path, sizeof(path), "%s/%s/cache", w.projects, project_names[0]);
	assert_int_equal(stat(path, &st), 0);
	(void)snprintf(path, sizeof(path), "%s/%s/releases/1/sites", w.projects, project_names[0]);
	assert_int_equal(mkdir(path, 0755), 0);
	assert_int_equal(chown(path, st.st_uid, st.st_gid), 0);
	(void)snprintf(path, sizeof(path), "%s/%s/releases/1/sites/[a.org].nginxconf", w.projects,
	    project_names[0]);
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	assert_int_equal(write(fd, site_text, strlen(site_text)), (ssize_t)strlen(site_text));
	assert_int_equal(fchown(fd, st.st_uid, st.st_gid), 0);
	close(fd);
}

/* It is judged by the worker, after the table: in a process of its own, which must not die of it. */
static void send_list(uint32_t op)
{
	static uint8_t bytes[20000];
	struct drawn d;
	draw_noise(bytes, sizeof(bytes));
	size_t n = one_in(6)		  ? draw(sizeof(bytes))
		   : op == PRIV_SITES_SET ? fill_sites(bytes, sizeof(bytes))
					  : fill_statics(bytes, sizeof(bytes));
	struct thing t = {memory_file(bytes, n, ALL_SEALS), S_IFREG, true, NULL, n};
	draw_lawful(&d, op);
	put(d.q.project, sizeof(d.q.project), project_names[0]);
	d.q.release = 1;
	d.with[0] = one_in(12) ? draw_thing(0, true) : &t;
	d.count = 1;
	send_request(&d, RULE_NONE);
	close(t.fd);
	if (!read_until(0, 0))
		fail_msg("a list is not answered");
}

static void hostile_lists(void)
{
	struct drawn d;
	ask(PRIV_PROJECT_ENSURE, project_names[0]);
	make_site();
	for (unsigned i = 0; i < LISTS; i++)
		send_list(PRIV_RELEASE_SEAL);
	draw_lawful(&d, PRIV_RELEASE_SEAL); /* without a list it is sealed */
	put(d.q.project, sizeof(d.q.project), project_names[0]);
	d.q.release = 1;
	d.count = 0;
	send_request(&d, RULE_NONE);
	assert_true(read_until(0, 0));
	assert_true(w.accepted[PRIV_RELEASE_SEAL] > 0);
	for (unsigned i = 0; i < LISTS; i++)
		send_list(PRIV_SITES_SET);
}

static void random_requests_over_the_socket(void **unused)
{
	(void)unused;
	uint64_t count = number_of("SLIPWAY_SOCKET_REQUESTS", REQUESTS_SHORT);
	make_things();
	make_vhosts();
	make_certificates();
	ask(PRIV_HELLO, NULL);
	for (size_t i = 0; i < 4; i++) {
		ask(PRIV_PROJECT_ENSURE, project_names[i]);
		ask(PRIV_RELEASE_PREPARE, project_names[i]);
	}
	for (uint64_t i = 0; i < count && w.fault[0] == '\0'; i++) {
		if (!read_until(POLLOUT, UNANSWERED_MAX))
			fail_msg("request %llu: the connection has ended", (unsigned long long)i);
		draw_and_send();
		if (one_in(3000))
			send_surprise();
	}
	if (w.fault[0] != '\0' || !read_until(0, 0))
		fail_msg("%s", w.fault[0] ? w.fault : "answers are missing");
	hostile_lists();
	for (size_t i = 0; i < PROJECTS; i++)
		ask(PRIV_PROJECT_REMOVE, project_names[i]);
	assert_string_equal(w.fault, "");
	print_message("%llu requests: %llu refused, %llu accepted (%llu starts, %llu seals, %llu "
		      "sites), %llu connections ended by a message that is none\n",
	    (unsigned long long)w.next, (unsigned long long)w.refused,
	    (unsigned long long)w.accepted_all, (unsigned long long)w.accepted[PRIV_START],
	    (unsigned long long)w.accepted[PRIV_RELEASE_SEAL],
	    (unsigned long long)w.accepted[PRIV_SITES_SET], (unsigned long long)w.ended);
	assert_true(w.accepted[PRIV_START] > 0 && w.accepted[PRIV_PROJECT_ENSURE] > 0);
	assert_int_equal(count_in_log("Sanitizer") + count_in_log("runtime error"), 0);
	drop_drawn(vhosts, VHOSTS);
	drop_drawn(certificates, CERTIFICATES);
}

/* ---- strangers ---- */

/* Whoever it is, in a process of his own; a name of his own world's root is none here. */
static const struct stranger {
	uid_t real, effective;
	gid_t group;
	bool own_world;
} strangers[] = {{65534, 65534, 65534, false}, {1, 1, 1, false}, {33, 33, 33, false},
    {DAEMON_USER - 1, DAEMON_USER - 1, DAEMON_USER, false},
    {DAEMON_USER + 1, DAEMON_USER + 1, DAEMON_USER, false}, {70000, 70000, 0, false},
    {71001, 71001, 71001, false}, {UINT32_MAX - 1, UINT32_MAX - 1, 0, false},
    {DAEMON_USER << 8, DAEMON_USER << 8, 0, false}, {DAEMON_USER, 65534, DAEMON_USER, false},
    {0, 65533, 0, false}, {65532, 65532, 65532, true}};
#define STRANGERS (sizeof(strangers) / sizeof(*strangers))

static struct { /* what they saw */
	uint64_t tried, kept_out, shown_out, answered, other_worlds;
} * seen;

/* HELLO and what would hurt most; true: there was an answer. */
static bool is_answered(int conn)
{
	static const uint32_t ops[] = {
	    PRIV_LIST, PRIV_SHUTDOWN, PRIV_PROJECT_ENSURE, PRIV_PROJECT_REMOVE};
	struct drawn d;
	struct err e;
	struct priv_reply r;
	int fds[PRIV_FDS_MAX];
	size_t n;
	draw_lawful(&d, PRIV_HELLO);
	if (priv_send(conn, &d.q, sizeof(d.q), NULL, 0, &e) == 0) {
		draw_lawful(&d, ops[draw(4)]);
		if (priv_send(conn, &d.q, sizeof(d.q), NULL, 0, &e) != 0)
			n = 0; /* shown out between both */
	}
	return priv_recv(conn, &r, sizeof(r), fds, &n, &e) != 0 && r.magic == PRIV_MAGIC;
}

static _Noreturn void be_stranger(const struct stranger *s, uint64_t times)
{
	if (setgroups(0, NULL) != 0 || setresgid(s->group, s->group, s->group) != 0 ||
	    setresuid(s->real, s->effective, s->real) != 0)
		_exit(1);
	(void)prctl(PR_SET_DUMPABLE, 1, 0, 0, 0); /* else its own /proc is root's */
	if (s->own_world && unshare(CLONE_NEWUSER) == 0) {
		int map = open("/proc/self/uid_map", O_WRONLY | O_CLOEXEC);
		char text[32];
		(void)snprintf(text, sizeof(text), "0 %u 1", s->effective);
		seen->other_worlds +=
		    map >= 0 && write(map, text, strlen(text)) > 0 && geteuid() == 0 ? times : 0;
	}
	for (uint64_t i = 0; i < times; i++) {
		seen->tried++;
		int conn = connect_to_it();
		if (conn < 0) {
			seen->kept_out += errno == EACCES;
			continue;
		}
		if (is_answered(conn))
			seen->answered++;
		else
			seen->shown_out++;
		close(conn);
	}
	_exit(0);
}

static void let_them_try(uint64_t times)
{
	for (size_t i = 0; i < STRANGERS; i++) {
		pid_t pid = fork();
		if (pid == 0)
			be_stranger(&strangers[i], times);
		int status = -1;
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_int_equal(status, 0);
	}
}

/* The one who may: as his own user, and answered. */
static void let_the_daemon_try(void)
{
	pid_t pid = fork();
	if (pid == 0) {
		if (setresuid(DAEMON_USER, DAEMON_USER, DAEMON_USER) != 0)
			_exit(2);
		struct drawn d;
		struct err e;
		struct priv_reply r;
		int conn = connect_to_it(), fds[PRIV_FDS_MAX];
		size_t n;
		draw_lawful(&d, PRIV_HELLO);
		if (conn < 0 || priv_send(conn, &d.q, sizeof(d.q), NULL, 0, &e) != 0)
			_exit(3);
		_exit(priv_recv(conn, &r, sizeof(r), fds, &n, &e) == 1 && r.code == 0 ? 0 : 4);
	}
	int status = -1;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

/* By the socket's mode alone they do not get that far; so it is opened to everybody, as if somebody had. */
static void no_stranger_is_answered(void **unused)
{
	(void)unused;
	if (geteuid() != 0)
		skip();
	uint64_t each =
	    (number_of("SLIPWAY_PEERS", PEERS_SHORT) + 2 * STRANGERS - 1) / (2 * STRANGERS);
	seen = mmap(NULL, sizeof(*seen), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(seen, MAP_FAILED);
	let_them_try(1);
	assert_int_equal(seen->kept_out, STRANGERS);
	assert_int_equal(chmod(w.socket, 0666), 0);
	ask(PRIV_HELLO, NULL);
	let_them_try(each); /* while the daemon is there */
	ask(PRIV_LIST, NULL);
	close(w.conn);
	let_them_try(each); /* and while it is not */
	let_the_daemon_try();
	w.conn = connect_to_it();
	ask(PRIV_HELLO, NULL);
	print_message("%llu connections of %zu strangers: %llu kept out by the socket's mode, %llu "
		      "shown out, %llu of root in a world of his own; "
		      "%llu answered\n",
	    (unsigned long long)seen->tried, STRANGERS, (unsigned long long)seen->kept_out,
	    (unsigned long long)seen->shown_out, (unsigned long long)seen->other_worlds,
	    (unsigned long long)seen->answered);
	assert_int_equal(seen->answered, 0);
	assert_int_equal(seen->shown_out, 2 * each * STRANGERS);
	assert_int_equal(count_in_log("helper refused op=connect uid="), seen->shown_out);
	assert_int_equal(count_in_log("Sanitizer") + count_in_log("runtime error"), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(random_requests_over_the_socket, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(no_stranger_is_answered, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
