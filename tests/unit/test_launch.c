/* rooms: base launch */
#include "base/clock.h"
#include "base/device.h"
#include "launch/cgroup.h"
#include "launch/expand.h"
#include "launch/sandbox.h"
#include "launch/spawn.h"
#include "launch/tool.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "lost_calls.h"

/* ---- expansion ---- */

static void marks_are_replaced(void **state)
{
	(void)state;
	const struct args env = {(struct str[]){STR("A=one"), STR("EMPTY="), STR("AB=two")}, 3};
	const struct {
		const char *in, *out;
	} cases[] = {{"plain", "plain"},
	    {"\x01"
	     "A\x02",
		"one"},
	    {"x\x01"
	     "AB\x02y\x01"
	     "A\x02",
		"xtwoyone"},
	    {"\x01NO\x02|", "|"}, {"\x01NO\x03 d e\x02", " d e"},
	    {"\x01"
	     "EMPTY\x03z\x02",
		"z"},
	    {"\x01"
	     "A\x03z\x02",
		"one"},
	    {"$A", "$A"}};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		CLEANUP_BUF struct buf b;
		struct err e = {0};
		buf_init(&b, 100);
		assert_int_equal(expand_arg(str_c(cases[i].in), &env, &b, &e), 0);
		assert_true(
		    str_eq_c(buf_view(&b), cases[i].out) || (b.n == 0 && cases[i].out[0] == '\0'));
	}
}

static void marks_that_do_not_match_are_refused(void **state)
{
	(void)state;
	const struct args env = {0};
	const char *const bad[] = {"\x01", "\x01X", "\x02", "\x01\x02", "\x01X\x01Y\x02\x02"};
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		CLEANUP_BUF struct buf b;
		struct err e = {0};
		buf_init(&b, 100);
		assert_int_equal(expand_arg(str_c(bad[i]), &env, &b, &e), -1);
		assert_int_equal(e.code, ERR_INVALID);
	}
}

/* ---- the command line ---- */

static void a_line_is_parsed_back(void **state)
{
	(void)state;
	struct guest g = {.sandbox = GUEST_BUILD,
			 .release = 7,
			 .instance = 2,
			 .port = 8123,
			 .argv = true,
			 .env = true,
			 .project_dir = "/srv/p/shop",
			 .process = "web",
			 .subdir = "backend/app",
			 .tmp = "web.2-1f",
			 .key = "0a-1",
			 .program = "/usr/x",
			 .notify = "/run/slipway/notify/1f",
			 .watchdog_ms = 1500,
			 .devices = DEVICE_ALL},
		     back;
	struct guest_line l;
	struct err e = {0};
	assert_int_equal(guest_line(&g, &l, &e), 0);
	union {
		const char *const *in;
		char *const *out;
	} v = {.in = l.v};
	assert_int_equal(guest_parse((int)l.n, v.out, &back, &e), 0);
	assert_memory_equal(&g, &back, sizeof(g));
}

static void a_wrong_line_is_refused(void **state)
{
	(void)state;
	const char *const bad[] = {"--nonsense", "--release=x", "--release=-1", "--subdir=../x",
	    "--subdir=/x", "--tmp=a/b", "--tmp=..", "--key=ZZ", "--project-dir=rel",
	    "--sandbox=none", "--process=Web", "--notify=rel", "--watchdog=-1", "--devices=2", "--devices=gpu"};
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		char text[64];
		snprintf(text, sizeof(text), "%s", bad[i]);
		char name[] = "slipway-exec", dir[] = "--project-dir=/p",
		     process[] = "--process=web", argv_flag[] = "--argv";
		char *argv[] = {name, dir, process, argv_flag, text, NULL};
		struct guest g;
		struct err e = {0};
		assert_int_equal(guest_parse(5, argv, &g, &e), -1);
		assert_int_equal(e.code, ERR_USAGE);
	}
}

/* ---- spawning ---- */

static int run_to_end(struct launch_spec *s, char *out, size_t size)
{
	int ends[2], status = -1;
	struct err e = {0};
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	s->fds[1] = s->fds[2] = ends[1];
	pid_t pid = launch_spawn(s, &e);
	if (pid < 0)
		fail_msg("%s", e.msg);
	close(ends[1]);
	size_t n = 0;
	for (ssize_t got; (got = read(ends[0], out + n, size - 1 - n)) > 0;)
		n += (size_t)got;
	out[n] = '\0';
	close(ends[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static struct launch_spec shell(const char *const *argv)
{
	struct launch_spec s = {.path = "/bin/sh", .argv = argv, .tmp_parent = -1};
	for (int i = 0; i < LAUNCH_FDS; i++)
		s.fds[i] = -1;
	return s;
}

static void limits_and_descriptors_are_placed(void **state)
{
	(void)state;
	const char *const argv[] = {"sh", "-c",
	    "ulimit -n; ulimit -c; ls /proc/self/fd | tr '\\n' ' '; grep NoNewPrivs "
	    "/proc/self/status "
	    "| cut -f2; env | cut -d= -f1 | sort | tr '\\n' ' '; exit 5",
	    NULL};
	struct launch_spec s = shell(argv);
	char out[512];
	int stray = open("/dev/null", O_RDONLY); /* not close-on-exec, and still not there */
	s.files = 512;
	s.fds[5] = stray;
	int status = run_to_end(&s, out, sizeof(out));
	assert_int_equal(WEXITSTATUS(status), 5);
	assert_string_equal(out, "512\n0\n0 1 2 3 5 1\nPWD ");
	close(stray);
}

static void a_missing_program_is_an_error_of_the_start(void **state)
{
	(void)state;
	const char *const argv[] = {"x", NULL};
	struct launch_spec s = shell(argv);
	struct err e = {0};
	s.path = "/no/such/program";
	assert_int_equal(launch_spawn(&s, &e), -1);
	assert_int_equal(e.sys, ENOENT);
	assert_non_null(strstr(e.msg, "execute"));
}

static void the_user_and_the_tmp_are_the_tenants(void **state)
{
	(void)state;
	if (geteuid() != 0)
		return;
	char dir[] = "/run/swt-launch-XXXXXX", out[256], want[256];
	assert_non_null(mkdtemp(dir));
	assert_int_equal(chmod(dir, 0711), 0);
	char parent[64];
	snprintf(parent, sizeof(parent), "%s/t", dir);
	assert_int_equal(mkdir(parent, 0700), 0);
	assert_int_equal(chown(parent, 70999, 70999), 0);
	const char *const argv[] = {
	    "sh", "-c", "id -u; id -G; stat -c %u:%a /tmp; echo x >/tmp/mine", NULL};
	struct launch_spec s = shell(argv);
	s.drop = true;
	s.uid = s.gid = 70999;
	s.tmp_parent = open(parent, O_PATH | O_DIRECTORY | O_CLOEXEC);
	s.tmp_name = "web.1";
	s.private_tmp = true;
	assert_int_equal(run_to_end(&s, out, sizeof(out)), 0);
	assert_string_equal(out, "70999\n70999\n70999:700\n");
	snprintf(want, sizeof(want), "%s/web.1/mine", parent);
	assert_int_equal(unlink(want), 0);
	snprintf(want, sizeof(want), "%s/web.1", parent);
	assert_int_equal(rmdir(want), 0);
	assert_int_equal(rmdir(parent), 0);
	assert_int_equal(rmdir(dir), 0);
	close(s.tmp_parent);
}

/* ---- sandbox ---- */

static int in_child(int (*fn)(const char *dir), const char *dir)
{
	pid_t pid = fork();
	if (pid == 0)
		_exit(fn(dir));
	int status;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}

static int denied_outside(const char *dir)
{
	char data[128], release[128], path[160];
	struct err e;
	snprintf(data, sizeof(data), "%s/data", dir);
	snprintf(release, sizeof(release), "%s/release", dir);
	const struct sandbox_paths p = {.data = data, .release = release};
	if (sandbox_files(GUEST_RUN, &p, &e) != 0)
		return 10;
	if (sandbox_landlock_version() == 0)
		return 0;
	snprintf(path, sizeof(path), "%s/f", data);
	if (open(path, O_WRONLY | O_CREAT, 0600) < 0)
		return 11;
	snprintf(path, sizeof(path), "%s/f", release);
	if (open(path, O_WRONLY | O_CREAT, 0600) >= 0 || errno != EACCES)
		return 12;
	if (open(dir, O_RDONLY | O_DIRECTORY) >= 0 || open("/root", O_RDONLY | O_DIRECTORY) >= 0)
		return 13;
	return open("/etc/passwd", O_RDONLY) >= 0 && open("/dev/null", O_RDWR) >= 0 ? 0 : 14;
}

static void landlock_denies(void **state)
{
	(void)state;
	char dir[] = "/tmp/swt-launch-XXXXXX", path[64];
	const char *const below[] = {"data", "release"};
	assert_non_null(mkdtemp(dir));
	for (int i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, below[i]);
		assert_int_equal(mkdir(path, 0700), 0);
	}
	assert_int_equal(in_child(denied_outside, dir), 0);
	snprintf(path, sizeof(path), "%s/data/f", dir);
	(void)unlink(path);
	for (int i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, below[i]);
		assert_int_equal(rmdir(path), 0);
	}
	assert_int_equal(rmdir(dir), 0);
}

static int calls_denied(const char *dir)
{
	(void)dir;
	struct err e;
	if (sandbox_calls(&e) != 0)
		return 10;
	if (unshare(0x10000000) == 0 || errno != EPERM) /* CLONE_NEWUSER */
		return 11;
	pid_t pid = fork(); /* an ordinary child is fine */
	if (pid == 0)
		_exit(0);
	return pid > 0 && waitpid(pid, NULL, 0) == pid ? 0 : 12;
}

static void calls_are_denied(void **state)
{
	(void)state;
	assert_int_equal(in_child(calls_denied, NULL), 0);
}

/* As a unit with SystemCallFilter=~@privileged. */
static bool lose_chown(void)
{
	static const uint32_t calls[] = {
	    SYS_fchown,
	    SYS_fchownat,
#ifdef SYS_chown
	    SYS_chown,
#endif
	};
	return lose_calls(calls, sizeof(calls) / sizeof(*calls), EPERM);
}

/* 0: each call said that it was done; else the first that did not. */
static int chowns(const char *file, bool keep_owners)
{
	char out[512];
	const char *const argv[] = {"python3", "-c",
	    "import os, sys\n"
	    "f, name = os.open(sys.argv[1], os.O_RDONLY), os.path.basename(sys.argv[1])\n"
	    "top = os.open('/tmp', os.O_RDONLY)\n"
	    "for n, call in enumerate((lambda: os.chown(sys.argv[1], -1, 12), lambda: os.chown(f, "
	    "-1, 12),\n"
	    "        lambda: os.chown(name, -1, 12, dir_fd=top))):\n"
	    "    try: call()\n"
	    "    except PermissionError: os._exit(n + 1)\n"
	    "os._exit(0)",
	    file, NULL};
	struct launch_spec s = shell(argv);
	s.path = "/usr/bin/python3";
	s.keep_owners = keep_owners;
	int status = run_to_end(&s, out, sizeof(out));
	return WIFEXITED(status) ? WEXITSTATUS(status) : 100;
}

static int owners_kept_in_a_unit(const char *file)
{
	return lose_chown() ? chowns(file, true) * 10 + chowns(file, false) : 200;
}

static void owners_are_kept(void **state)
{
	(void)state;
	struct stat st;
	char file[] = "/tmp/swt-owner-XXXXXX";
	int fd = mkstemp(file);
	assert_true(fd >= 0);
	assert_int_equal(chowns(file, true), 0);
	/* where the calls are refused, too: and there they are, for all others */
	assert_int_equal(in_child(owners_kept_in_a_unit, file), 1);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_gid, getegid());
	close(fd);
	assert_int_equal(unlink(file), 0);
}

/* ---- control groups ---- */

static void what_is_shared_by_key_ends_with_it(void **state)
{
	(void)state;
	char out[256], line[256];
	if (geteuid() != 0)
		skip();
	const char *const argv[] = {"sh", "-c", "ipcmk -M 4096 -Q -S 2 >/dev/null; ipcs -m -q -s -c | grep -c 644", NULL};
	static const char *const tables[] = {"/proc/sysvipc/shm", "/proc/sysvipc/msg", "/proc/sysvipc/sem"};
	struct launch_spec s = shell(argv);
	s.drop = true;
	s.uid = s.gid = 70998;
	assert_int_equal(run_to_end(&s, out, sizeof(out)), 0);
	assert_string_equal(out, "3\n");
	for (size_t i = 0; i < sizeof(tables) / sizeof(*tables); i++) {
		FILE *f = fopen(tables[i], "re");
		assert_non_null(f);
		while (fgets(line, sizeof(line), f))
			assert_null(strstr(line, " 70998 "));
		(void)fclose(f);
	}
}

static int number_in(int folder, const char *name)
{
	char text[32] = "";
	int fd = openat(folder, name, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0 && read(fd, text, sizeof(text) - 1) > 0);
	close(fd);
	return atoi(text);
}

static struct processors_range last_processor(void)
{
	struct processors p;
	processors_find(&p);
	const uint16_t last = p.number[p.count - 1];
	return (struct processors_range){last, last};
}

static int processors_of(pid_t pid)
{
	cpu_set_t set;
	assert_int_equal(sched_getaffinity(pid, sizeof(set), &set), 0);
	return CPU_COUNT(&set);
}

static pid_t spawn_in(const struct cgroup_base *b, const char *name, const char *const *argv)
{
	struct err e = {0};
	struct launch_spec s = shell(argv);
	int joins[CGROUP_FDS_MAX];
	s.join = joins;
	s.join_count = cgroup_join_fds(b, name, joins);
	pid_t pid = launch_spawn(&s, &e);
	assert_true(pid > 0);
	for (size_t i = 0; i < s.join_count; i++)
		close(joins[i]);
	return pid;
}

static void a_busy_group_is_seen(void **state)
{
	(void)state;
	struct cgroup_base b;
	struct cgroup_turns turns;
	struct err e = {0};
	char label[32];
	snprintf(label, sizeof(label), "turns-%d", (int)getpid());
	cgroup_open(&b, label);
	if (b.cpu < 0 && !b.v2_cpu) {
		cgroup_close(&b);
		skip();
	}
	const struct cgroup_limits l = {.cpu_milli = 50};
	assert_int_equal(cgroup_make(&b, "x", &l, &e), 0);
	const char *const argv[] = {"sh", "-c", "while :; do :; done", NULL};
	int status;
	pid_t pid = spawn_in(&b, "x", argv);
	do {
		usleep(50000);
		cgroup_read_turns(&b, "x", &turns);
	} while (turns.periods < 4);
	assert_true(2 * turns.throttled >= turns.periods);
	assert_true(cgroup_kill(&b, "x"));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	cgroup_close(&b);
}

static void a_group_kills_all_and_goes(void **state)
{
	(void)state;
	struct cgroup_base b;
	struct err e = {0};
	char label[32];
	snprintf(label, sizeof(label), "test-%d", (int)getpid());
	cgroup_open(&b, label);
	if (!cgroup_has_kill(&b)) {
		cgroup_close(&b);
		skip();
	}
	const struct cgroup_limits l = {
	    .memory_bytes = 64 << 20, .cpu_milli = 500, .tasks = 20, .cpu_share = 25, .cpus = last_processor()};
	assert_int_equal(cgroup_make(&b, "x", &l, &e), 0);
	if (b.cpu >= 0)
		assert_int_equal(number_in(b.cpu, "x/cpu.shares"), 256);
	else if (b.v2_cpu)
		assert_int_equal(number_in(b.v2, "x/cpu.weight"), 25);
	const char *const argv[] = {"sh", "-c", "setsid sleep 60 & sleep 60", NULL};
	pid_t pid = spawn_in(&b, "x", argv);
	usleep(100000);
	if (b.cpuset >= 0 || b.v2_cpuset) {
		const struct processors_range all = {0, 0};
		assert_int_equal(processors_of(pid), 1);
		assert_true(cgroup_set_cpus(&b, "x", all));
		assert_int_equal(processors_of(pid), processors_of(0));
		assert_true(cgroup_set_cpus(&b, "x", l.cpus));
		assert_int_equal(processors_of(pid), 1);
	}
	assert_true(cgroup_kill(&b, "x"));
	int status;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(WTERMSIG(status), SIGKILL);
	bool gone = false;
	for (int i = 0; i < 200 && !gone; i++) {
		gone = cgroup_remove(&b, "x");
		usleep(10000);
	}
	assert_true(gone);
	assert_true(cgroup_remove(&b, "x"));
	cgroup_close(&b);
}

/* ---- tools ---- */

static void a_tool_is_run_and_bounded(void **state)
{
	(void)state;
	const char *const ok[] = {"/bin/sh", "-c", "echo said; exit 4", NULL}, *const slow[] = {
										   "/bin/sleep",
										   "60", NULL};
	char out[32];
	int status = 0;
	struct err e = {0};
	assert_int_equal(launch_tool(ok, clock_mono_ms() + 5000, &status, out, sizeof(out), &e), 0);
	assert_int_equal(status, 4);
	assert_string_equal(out, "said");
	assert_int_equal(
	    launch_tool(slow, clock_mono_ms() + 200, &status, out, sizeof(out), &e), -1);
	assert_int_equal(e.code, ERR_TIMEOUT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(marks_are_replaced),
	    cmocka_unit_test(marks_that_do_not_match_are_refused),
	    cmocka_unit_test(a_line_is_parsed_back),
	    cmocka_unit_test(a_wrong_line_is_refused),
	    cmocka_unit_test(limits_and_descriptors_are_placed),
	    cmocka_unit_test(a_missing_program_is_an_error_of_the_start),
	    cmocka_unit_test(the_user_and_the_tmp_are_the_tenants),
	    cmocka_unit_test(landlock_denies),
	    cmocka_unit_test(calls_are_denied),
	    cmocka_unit_test(owners_are_kept),
	    cmocka_unit_test(what_is_shared_by_key_ends_with_it),
	    cmocka_unit_test(a_group_kills_all_and_goes),
	    cmocka_unit_test(a_busy_group_is_seen),
	    cmocka_unit_test(a_tool_is_run_and_bounded),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
