/* rooms: base loop text priv launch http run */
/* The real slipway-helper as a keeper in a directory of its own, driven through the client that the
 * daemon uses. As root every test runs twice: with tenants of their own, and with the keeper as an
 * ordinary user. */
#include "base/clock.h"
#include "base/fs.h"
#include "launch/rundir.h"
#include "run/run.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uv.h>
#include <cmocka.h>

#define HELPER BUILD_ROOT "/src/slipway-helper"
#define PLAIN_USER 65534

#include "keeper_world.h"

/* ---- jobs ---- */

static void a_job_reports_its_exit_and_output(void **state)
{
	(void)state;
	make_project();
	struct run_spec s = spec("run", SH("echo out; echo err >&2; id -u; umask; exit 3"));
	job(&s, 0);
	assert_int_equal(f.e.code, ERR_NONE);
	assert_true(WIFEXITED(f.wait_status));
	assert_int_equal(WEXITSTATUS(f.wait_status), 3);
	assert_int_equal(f.hit, PRIV_LIMIT_NONE);
	char want[64];
	snprintf(want, sizeof(want), "out\nerr\n%u\n0027\n", tenant());
	assert_string_equal(f.lines, want);
}

static void a_report_is_kept_apart_from_the_output(void **state)
{
	(void)state;
	make_project();
	struct run_spec s = spec("fetch", SH("printf report; echo words >&2"));
	job(&s, 100);
	assert_string_equal(f.report, "report");
	assert_string_equal(f.lines, "words\n");
	s = spec("fetch", SH("printf 0123456789"));
	job(&s, 5);
	assert_int_equal(f.e.code, ERR_TOO_LARGE);
}

static void the_environment_is_ours(void **state)
{
	(void)state;
	make_project();
	struct str env[] = {STR("A=1"), STR("SLIPWAY_INSTANCE=no"), STR("LISTEN_FDS=9")};
	const struct args list = {env, 3};
	struct run_spec s = spec("run", SH("env | sort | cut -d= -f1 | tr '\\n' ' '; echo $HOME "
					   "$LANG $PORT; cat <&$SLIPWAY_SECRET_FD"));
	s.env = &list;
	s.port = 4711;
	s.secret = STR("hush");
	job(&s, 0);
	char want[512];
	snprintf(want, sizeof(want),
	    "A HOME LANG PATH PORT PWD SLIPWAY_INSTANCE SLIPWAY_PROCESS SLIPWAY_RELEASE "
	    "SLIPWAY_SECRET_FD TMPDIR %s/swt-shop/data C.UTF-8 4711\nhush\n",
	    f.projects);
	assert_string_equal(f.lines, want);
}

static void a_missing_program_is_named(void **state)
{
	(void)state;
	make_project();
	const struct args argv = {(struct str[]){STR("gunicorn-no")}, 1};
	struct run_spec s = spec("run", &argv);
	job(&s, 0);
	assert_int_equal(WEXITSTATUS(f.wait_status), 127);
	assert_non_null(strstr(f.lines, "slipway: cannot start 'gunicorn-no': no such file"));
}

static void the_sandbox_denies(void **state)
{
	(void)state;
	make_project();
	put_file("releases/1/mine", "x", 0600);
	struct run_spec s =
	    spec("run", SH("cat mine >/dev/null && echo read; echo x >mine || echo sealed; "
			   "echo y >$HOME/f && echo data; ls ../../cache || echo nocache; "
			   "ls /root || echo noroot; echo t >$TMPDIR/t && echo tmp; "
			   "ls /home || echo nohome; unshare -U true || echo nouser; pwd"));
	job(&s, 0);
	const char *const want[] = {"read\n", "sealed\n", "data\n", "nocache\n", "noroot\n",
	    "tmp\n", "nohome\n", "nouser\n", "/releases/1\n"};
	for (size_t i = 0; i < sizeof(want) / sizeof(*want); i++)
		if (!strstr(f.lines, want[i]))
			fail_msg("no '%s' in: %s", want[i], f.lines);
	s = spec("build", SH("echo x >mine && echo built; ls ../../data || echo nodata; echo z "
			     ">../../cache/z && echo cached; echo $CI"));
	s.sandbox = PRIV_SANDBOX_BUILD;
	job(&s, 0);
	const char *const built[] = {"built\n", "nodata\n", "cached\n", "true\n"};
	for (size_t i = 0; i < sizeof(built) / sizeof(*built); i++)
		if (!strstr(f.lines, built[i]))
			fail_msg("no '%s' in: %s", built[i], f.lines);
}

static void a_time_limit_is_named(void **state)
{
	(void)state;
	make_project();
	struct run_spec s = spec("run", SH("trap '' TERM; sleep 60 & while :; do wait; done"));
	s.time_limit_ms = 300;
	s.stop_timeout_ms = 200;
	int64_t start = clock_mono_ms();
	job(&s, 0);
	assert_int_equal(f.hit, PRIV_LIMIT_TIME);
	assert_true(WIFSIGNALED(f.wait_status));
	assert_in_range(clock_mono_ms() - start, 300, 5000);
}

static void a_memory_limit_is_named(void **state)
{
	(void)state;
	make_project();
	struct run_spec s =
	    spec("run", SH("exec python3 -c 'x = b\"1\" * (400 << 20); print(len(x))'"));
	s.limits.memory_bytes = 64u << 20;
	job(&s, 0);
	assert_int_not_equal(f.wait_status, 0);
	if (geteuid() == 0 && !f.plain)
		assert_int_equal(f.hit, PRIV_LIMIT_MEMORY);
}

/* Each file is below the limit; what they are together is not. */
static void a_disk_limit_is_of_all_files_together(void **state)
{
	(void)state;
	static const struct {
		const char *script;
		bool fits;
	} rows[] = {
	    {"for i in 1 2 3 4 5 6; do head -c 1048576 /dev/zero > $i; done", false},
	    {"mkdir -p b/a; cd b/a; chmod 0 ..; for i in 1 2 3 4 5 6; do head -c 1M /dev/zero > "
	     "$i; "
	     "done",
		false},
	    {"for i in 1 2 3; do head -c 1M /dev/zero > $i; done; head -c 2M /dev/zero > "
	     "$HOME/kept",
		false},
	    {"for i in 1 2 3; do head -c 1M /dev/zero > $i; ln $i l$i; ln $i m$i; done", true},
	    {"head -c 3M /dev/zero > 1; rm 1; head -c 3M /dev/zero > 2", true},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		bool hides = strstr(rows[i].script, "chmod") != NULL;
		if (hides && (geteuid() != 0 || f.plain))
			continue;
		make_project();
		struct str words[] = {STR("/bin/sh"), STR("-c"), str_c(rows[i].script)};
		struct args argv = {words, 3};
		struct run_spec s = spec("build", &argv);
		s.sandbox = PRIV_SANDBOX_BUILD;
		s.limits.disk_bytes = 4u << 20;
		job(&s, 0);
		if (f.hit != (rows[i].fits ? PRIV_LIMIT_NONE : PRIV_LIMIT_DISK) ||
		    (rows[i].fits && f.wait_status != 0))
			fail_msg("%s: %d %d %s", rows[i].script, f.hit, f.wait_status, f.lines);
		char kept[256];
		path_of(kept, sizeof(kept), "cache/kept");
		assert_int_not_equal(access(kept, F_OK), 0);
		must(PRIV_RELEASE_REMOVE, "swt-shop", 1);
	}
}

static void a_build_over_its_disk_limit_is_killed_while_it_runs(void **state)
{
	(void)state;
	make_project();
	struct run_spec s =
	    spec("build", SH("for i in 1 2 3 4 5 6; do head -c 1M /dev/zero > $i; done; sleep 60"));
	s.sandbox = PRIV_SANDBOX_BUILD;
	s.limits.disk_bytes = 4u << 20;
	int64_t start = clock_mono_ms();
	job(&s, 0);
	assert_int_equal(f.hit, PRIV_LIMIT_DISK);
	assert_true(WIFSIGNALED(f.wait_status));
	assert_in_range(clock_mono_ms() - start, 0, 5000);
}

static void what_a_job_leaves_behind_is_killed(void **state)
{
	(void)state;
	make_project();
	char path[256];
	struct run_spec s = spec("run",
	    SH("setsid sh -c 'sleep 0.7; echo late >$HOME/late' >/dev/null 2>&1 & sleep 0.2"));
	job(&s, 0);
	assert_int_equal(f.wait_status, 0);
	usleep(1000000);
	path_of(path, sizeof(path), "data/late");
	assert_int_not_equal(access(path, F_OK), 0);
}

static void a_job_can_be_cancelled(void **state)
{
	(void)state;
	make_project();
	struct run_spec s = spec("run", SH("trap '' TERM; sleep 60 & while :; do wait; done"));
	s.class = PRIV_JOB;
	const struct run_job_callbacks cb = {.output = on_output, .ended = on_ended};
	f.ended = false;
	struct run_job *j = run_job_start(f.run, &s, &cb);
	run_job_cancel(j);
	assert_true(wait_for(is_ended, 10000));
	assert_true(WIFSIGNALED(f.wait_status));
}

/* ---- services ---- */

static const char server_py[] =
    "import os,socket,sys\n"
    "s=socket.socket(fileno=3)\n"
    "s.setblocking(True)\n"
    "print('up',os.environ['LISTEN_FDS'],int(os.environ['LISTEN_PID'])==os.getpid(),flush=True)\n"
    "while True:\n"
    "    c,_=s.accept()\n"
    "    c.sendall(b'%d' % os.getpid())\n"
    "    c.close()\n";

static int ask_pid(const char *path)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
	CLEANUP_FD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (connect(fd, (struct sockaddr *)&a, sizeof(a)) != 0)
		return -1;
	char text[32] = {0};
	ssize_t n = read(fd, text, sizeof(text) - 1);
	return n > 0 ? (int)strtol(text, NULL, 10) : -2;
}

static int make_listener(char *path, size_t size)
{
	struct err e = {0};
	if (rundir_make(f.run_dir, f.projects, STR("swt-shop"), 1, &e) != 0)
		fail_msg("%s", e.msg);
	if (f.plain && geteuid() == 0) { /* the daemon of this test is root, its keeper is not */
		snprintf(path, size, "%s/swt-shop/1", f.run_dir);
		assert_int_equal(chown(path, PLAIN_USER, PLAIN_USER), 0);
	}
	struct rundir_place at = {f.run_dir, STR("swt-shop"), 1, STR("web"), 1};
	int fd = rundir_listen(&at, RUNDIR_SERVES, &e);
	if (fd < 0)
		fail_msg("%s", e.msg);
	snprintf(path, size, "%s/swt-shop/1/web.1.sock", f.run_dir);
	return fd;
}

static void a_killed_service_comes_back_on_the_same_socket(void **state)
{
	(void)state;
	make_project();
	put_file("releases/1/server.py", server_py, 0644);
	char path[128];
	int fd = make_listener(path, sizeof(path));
	const struct args argv = {(struct str[]){STR("python3"), STR("server.py")}, 2};
	struct run_spec s = spec("web", &argv);
	s.listen_fd = fd;
	watched = service(&s);
	close(fd);
	assert_true(wait_for(is_running, 5000));
	int pid = ask_pid(path);
	assert_true(pid > 1);
	assert_int_equal(last(watched)->pid, pid);
	assert_true(wait_for(has_output, 5000));
	assert_string_equal(f.lines, "up 1 True\n");
	assert_int_equal(kill(pid, SIGKILL), 0);
	for (int i = 0; i < 200 && kill(pid, 0) == 0; i++)
		usleep(1000);	   /* a dying one may still accept */
	int again = ask_pid(path); /* waits in the queue until the next one accepts */
	assert_true(again > 1 && again != pid);
	assert_true(wait_for(is_running_again, 5000));
	assert_int_equal(WTERMSIG(last(watched)->wait_status), SIGKILL);
}

static void restarts_are_further_and_further_apart(void **state)
{
	(void)state;
	make_project();
	struct run_spec s = spec("worker", SH("exit 1"));
	watched = service(&s);
	(void)wait_for(never, 1500); /* 0, 100, 300, 700, 1500 ms */
	assert_in_range(last(watched)->starts, 3, 5);
	f.done = false;
	run_stop(f.run, watched, 0, on_done, NULL);
	assert_true(wait_for(is_done, 5000));
	assert_int_equal(last(watched)->state, PRIV_ENDED);
}

static void whoever_ignores_the_term_signal_is_killed(void **state)
{
	(void)state;
	make_project();
	struct run_spec s =
	    spec("worker", SH("trap '' TERM; echo ready; while :; do sleep 0.1; done"));
	watched = service(&s);
	assert_true(wait_for(has_output, 5000));
	f.done = false;
	int64_t start = clock_mono_ms();
	run_stop(f.run, watched, 400, on_done, NULL);
	assert_true(wait_for(is_done, 5000));
	assert_in_range(clock_mono_ms() - start, 400, 3000);
	assert_int_equal(f.e.code, ERR_NONE);
	assert_true(WIFSIGNALED(last(watched)->wait_status));
	assert_int_equal(WTERMSIG(last(watched)->wait_status), SIGKILL);
}

static void a_daemon_that_comes_back_finds_everything(void **state)
{
	(void)state;
	make_project();
	struct run_spec s =
	    spec("worker", SH("i=0; while :; do i=$((i+1)); echo line $i; sleep 0.05; done"));
	uint64_t a = service(&s);
	s.instance = 2;
	uint64_t b = service(&s);
	assert_true(wait_for(has_output, 5000));
	uint64_t incarnation = run_incarnation(f.run);
	int pid = last(a)->pid;
	close_run();
	usleep(300000);
	f.lines[0] = '\0';
	open_run();
	assert_int_equal(run_incarnation(f.run), incarnation);
	const struct priv_status *const *all;
	assert_int_equal(run_statuses(f.run, &all), 2);
	watched = b;
	assert_true(wait_for(is_running, 5000));
	assert_int_equal(last(a)->pid, pid);
	f.lines[0] = '\0';
	assert_true(wait_for(has_output, 5000));
}

/* The child of the keeper's that stands in front of it; 0: none now. */
static pid_t monitor_now(void)
{
	char path[64], comm[32] = "";
	int pid = 0, found = 0;
	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", f.keeper, f.keeper);
	FILE *children = fopen(path, "re");
	while (children && found == 0 && fscanf(children, "%d", &pid) == 1) {
		snprintf(path, sizeof(path), "/proc/%d/comm", pid);
		FILE *name = fopen(path, "re");
		if (name && fgets(comm, sizeof(comm), name) &&
		    strncmp(comm, "slipway-monitor", 15) == 0)
			found = pid;
		if (name)
			(void)fclose(name);
	}
	if (children)
		(void)fclose(children);
	return found;
}

static void a_monitor_that_dies_is_started_anew(void **state)
{
	(void)state;
	make_project();
	struct run_spec s = spec("worker", SH("sleep 60"));
	watched = service(&s);
	assert_true(wait_for(is_running, 5000));
	uint64_t incarnation = run_incarnation(f.run);
	int pid = last(watched)->pid;
	for (int i = 0; i < 2; i++) {
		pid_t before = monitor_now();
		assert_true(before > 0);
		assert_int_equal(kill(before, SIGKILL), 0);
		assert_true(wait_for(is_lost, 5000));
		close_run();
		f.lost = false;
		open_run();
		assert_int_equal(run_incarnation(f.run), incarnation);
		assert_true(wait_for(is_running, 5000));
		assert_int_equal(last(watched)->pid, pid);
		assert_true(monitor_now() > 0 && monitor_now() != before);
	}
}

static void a_second_daemon_is_refused(void **state)
{
	(void)state;
	struct err e = {0};
	struct run_options o = {.loop = f.loop, .socket_path = f.socket};
	assert_null(run_open(&o, &e));
	assert_int_equal(e.code, ERR_CONFLICT);
}

static bool is_through(void)
{
	char path[256];
	path_of(path, sizeof(path), "data/through");
	return access(path, F_OK) == 0;
}

/* More than a pipe holds, written while there is no daemon: the program comes to its end. */
static void output_that_nobody_reads_never_blocks(void **state)
{
	(void)state;
	make_project();
	struct run_spec s = spec("worker",
	    SH("until [ -e $HOME/alone ]; do sleep 0.02; done; head -c 2500000 /dev/zero | "
	       "tr '\\0' x; echo; echo through; touch $HOME/through; sleep 60"));
	uint64_t id = service(&s);
	close_run();
	put_file("data/alone", "", 0644);
	assert_true(wait_for(is_through, 30000));
	f.lines[0] = '\0';
	open_run();
	watched = id;
	assert_true(wait_for(is_running, 5000));
	assert_true(last(id)->lost_output_bytes > 1000000);
}

static void without_a_daemon_everything_ends(void **state)
{
	(void)state;
	make_project();
	struct run_spec s = spec("worker", SH("sleep 60"));
	uint64_t id = service(&s);
	watched = id;
	assert_true(wait_for(is_running, 5000));
	int pid = last(id)->pid;
	must(PRIV_PROJECT_REMOVE, "swt-shop", 0); /* the user must go while somebody can say so */
	end_keeper();
	assert_int_not_equal(kill(pid, 0), 0);
	f.lost = false;
	start_keeper("400");
	close_run();
	int status = -1;
	for (int i = 0; i < 100 && waitpid(f.keeper, &status, WNOHANG) == 0; i++)
		usleep(50000);
	assert_int_equal(status, 0);
	f.keeper = 0;
	f.run = NULL;
}

/* ---- refusals ---- */

static void hostile_requests_are_refused(void **state)
{
	(void)state;
	const char *const names[] = {"../x", "Shop", "", "a--b", "root", "x/y"};
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		struct priv_request q = {.op = PRIV_PROJECT_ENSURE};
		request(&q, names[i]);
		assert_int_equal(f.e.code, ERR_INVALID);
	}
	struct priv_request unknown = {.op = 9999}, nobody = {.op = PRIV_STOP, .id = 12345};
	request(&unknown, NULL);
	assert_int_equal(f.e.code, ERR_INVALID);
	request(&nobody, NULL);
	assert_int_equal(f.e.code, ERR_NOT_FOUND);
	/* text of nginx's, which only root lets in */
	struct err e = {0};
	int fd = fs_memfd("sites", "", 0, &e);
	struct priv_request sites = {.op = PRIV_SITES_SET, .release = 1, .project = "swt-shop"};
	f.done = false;
	run_request(f.run, &sites, &fd, 1, on_done, NULL);
	assert_true(wait_for(is_done, 5000));
	assert_int_equal(f.e.code, ERR_FORBIDDEN);
	close(fd);
	struct run_spec s = spec("worker", SH("true"));
	f.done = false;
	run_start(f.run, &s, on_done, NULL);
	assert_true(wait_for(is_done, 5000));
	assert_int_equal(f.e.code, ERR_NOT_FOUND); /* no such project */
	make_project();
	s.subdir = STR("../..");
	f.done = false;
	run_start(f.run, &s, on_done, NULL);
	assert_true(wait_for(is_done, 5000));
	assert_int_equal(f.e.code, ERR_INVALID);
	s = spec("worker", SH("true"));
	s.watchdog_ms = 3600001;
	f.done = false;
	run_start(f.run, &s, on_done, NULL);
	assert_true(wait_for(is_done, 5000));
	assert_int_equal(f.e.code, ERR_INVALID);
	s = spec("worker", SH("true"));
	s.class = PRIV_JOB;
	s.ready_ms = 1000;
	f.done = false;
	run_start(f.run, &s, on_done, NULL);
	assert_true(wait_for(is_done, 5000));
	assert_int_equal(f.e.code, ERR_INVALID);
	s = spec("worker", SH("true"));
	s.release = 0;
	f.done = false;
	run_start(f.run, &s, on_done, NULL);
	assert_true(wait_for(is_done, 5000));
	assert_int_equal(f.e.code, ERR_INVALID);
}

/* ---- trees ---- */

static void expect_stat(const char *below, int64_t uid, mode_t mode)
{
	char path[256];
	struct stat st;
	path_of(path, sizeof(path), below);
	if (lstat(path, &st) != 0)
		fail_msg("'%s': %s", path, strerror(errno));
	if (uid >= 0 && geteuid() == 0 && !f.plain)
		assert_int_equal(st.st_uid, uid);
	if ((st.st_mode & 07777) != mode)
		fail_msg("'%s' has mode %o, not %o", path, st.st_mode & 07777, mode);
}

static void seal(const char *list, size_t n, enum err_code want)
{
	struct err e = {0};
	struct priv_request q = {.op = PRIV_RELEASE_SEAL, .release = 1};
	snprintf(q.project, sizeof(q.project), "swt-shop");
	CLEANUP_FD int fd = fs_memfd("statics", list, n, &e);
	f.done = false;
	run_request(f.run, &q, &fd, 1, on_done, NULL);
	assert_true(wait_for(is_done, 20000));
	if (f.e.code != want)
		fail_msg("%d instead of %d: %s", f.e.code, want, f.e.msg);
}

static void a_sealed_release_cannot_be_changed(void **state)
{
	(void)state;
	make_project();
	put_dir("releases/1/static");
	put_dir("releases/1/static/css");
	put_dir("releases/1/static/.git");
	put_file("releases/1/static/css/site.css", "body{}", 0664);
	put_file("releases/1/static/.git/config", "secret", 0664);
	put_file("releases/1/run.sh", "#!/bin/sh\n", 06777);
	char path[256];
	path_of(path, sizeof(path), "releases/1/static/passwd");
	assert_int_equal(symlink("/etc/passwd", path), 0);
	if (geteuid() == 0) {
		struct stat st;
		char cache[256];
		path_of(cache, sizeof(cache), "cache");
		assert_int_equal(stat(cache, &st), 0);
		assert_int_equal(lchown(path, st.st_uid, st.st_gid), 0);
	}
	path_of(path, sizeof(path), "releases/1/fifo");
	assert_int_equal(mkfifo(path, 0600), 0);
	if (geteuid() == 0)
		assert_int_equal(chown(path, tenant(), 0), 0);
	static const char list[] = "/static\0static"; /* ends in a NUL of its own */
	for (int again = 0; again < 2; again++) {
		seal(list, sizeof(list), ERR_NONE);
		expect_stat("releases/1", 0, 0550);
		expect_stat("releases/1/static/css", 0, 0550);
		expect_stat("releases/1/run.sh", 0, 0550);
		expect_stat("releases/1/static/css/site.css", 0, 0444);
		expect_stat("public/1/static/css/site.css", 0, 0444);
		expect_stat("public/1/static", 0, 0750);
	}
	const char *const absent[] = {
	    "releases/1/fifo", "public/1/static/passwd", "public/1/static/.git"};
	for (size_t i = 0; i < 3; i++) {
		struct stat st;
		path_of(path, sizeof(path), absent[i]);
		assert_int_not_equal(lstat(path, &st), 0);
	}
	struct priv_request q = {.op = PRIV_RELEASE_PREPARE, .release = 1};
	request(&q, "swt-shop");
	assert_int_equal(f.e.code, ERR_CONFLICT);
	static const char outside[] = "/static\0../../data";
	seal(outside, sizeof(outside), ERR_INVALID);
	static const char gone[] = "/static\0nowhere";
	seal(gone, sizeof(gone), ERR_NOT_FOUND);
	struct run_spec s = spec(
	    "run", SH("cat run.sh; echo x >run.sh || echo denied; rm -rf static || echo kept"));
	job(&s, 0);
	assert_non_null(strstr(f.lines, "#!/bin/sh"));
	assert_non_null(strstr(f.lines, "denied"));
	assert_non_null(strstr(f.lines, "kept"));
	must(PRIV_RELEASE_REMOVE, "swt-shop", 1);
	path_of(path, sizeof(path), "releases/1");
	assert_int_not_equal(access(path, F_OK), 0);
	must(PRIV_RELEASE_REMOVE, "swt-shop", 1);
}

static void something_of_another_owner_is_not_sealed(void **state)
{
	(void)state;
	if (geteuid() != 0 || f.plain)
		return;
	make_project();
	char path[256];
	path_of(path, sizeof(path), "releases/1/foreign");
	int fd = open(path, O_WRONLY | O_CREAT, 0644);
	assert_true(fd >= 0);
	close(fd);
	seal("", 0, ERR_INVALID);
}

static int pid_watched;

/* With one user for all nobody but the keeper waits for what it killed. */
static bool is_reaped(void)
{
	return kill(pid_watched, 0) != 0;
}

static void removal_leaves_nothing(void **state)
{
	(void)state;
	make_project();
	uint64_t number = 0;
	must(PRIV_PROJECT_ENSURE, "swt-shop", 0);
	number = f.value;
	struct run_spec s = spec("worker", SH("mkdir -p $HOME/a/b; chmod 0 $HOME/a/b; sleep 60"));
	watched = service(&s);
	assert_true(wait_for(is_running, 5000));
	pid_watched = last(watched)->pid;
	seal("", 0, ERR_NONE);
	/* what a build left closed, and deeper than anybody goes at once */
	must(PRIV_RELEASE_PREPARE, "swt-shop", 2);
	struct run_spec b = spec("build",
	    SH("i=0; while [ $i -lt 300 ]; do mkdir d && cd d || exit 1; i=$((i + 1)); done; "
	       "chmod 0 . $HOME"));
	b.sandbox = PRIV_SANDBOX_BUILD;
	b.release = 2;
	job(&b, 0);
	must(PRIV_PROJECT_REMOVE, "swt-shop", 0);
	assert_true(wait_for(is_reaped, 2000));
	char path[256];
	snprintf(path, sizeof(path), "%s/swt-shop", f.projects);
	assert_int_not_equal(access(path, F_OK), 0);
	snprintf(path, sizeof(path), "%s/swt-shop", f.run_dir);
	assert_int_not_equal(access(path, F_OK), 0);
	must(PRIV_PROJECT_REMOVE, "swt-shop", 0);
	make_project();
	must(PRIV_PROJECT_ENSURE, "swt-shop", 0);
	assert_true(f.value > number); /* a number never comes back */
}

#define T(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

static int run_all(void)
{
	const struct CMUnitTest tests[] = {
	    T(a_job_reports_its_exit_and_output),
	    T(a_report_is_kept_apart_from_the_output),
	    T(the_environment_is_ours),
	    T(a_missing_program_is_named),
	    T(the_sandbox_denies),
	    T(a_time_limit_is_named),
	    T(a_memory_limit_is_named),
	    T(a_disk_limit_is_of_all_files_together),
	    T(a_build_over_its_disk_limit_is_killed_while_it_runs),
	    T(what_a_job_leaves_behind_is_killed),
	    T(a_job_can_be_cancelled),
	    T(a_killed_service_comes_back_on_the_same_socket),
	    T(restarts_are_further_and_further_apart),
	    T(whoever_ignores_the_term_signal_is_killed),
	    T(a_daemon_that_comes_back_finds_everything),
	    T(a_monitor_that_dies_is_started_anew),
	    T(a_second_daemon_is_refused),
	    T(output_that_nobody_reads_never_blocks),
	    T(without_a_daemon_everything_ends),
	    T(hostile_requests_are_refused),
	    T(a_sealed_release_cannot_be_changed),
	    T(something_of_another_owner_is_not_sealed),
	    T(removal_leaves_nothing),
	};
	return cmocka_run_group_tests_name(plain_now ? "one user" : "as we are", tests, NULL, NULL);
}

int main(void)
{
	int failed = run_all();
	if (geteuid() == 0) {
		plain_now = true;
		failed += run_all();
	}
	return failed;
}
