/* A keeper that runs, a loop that talks to it, and a project to play with; for test_keeper.c, which includes what this needs. */
#pragma once

struct fixture {
	char dir[64], socket[96], projects[96], run_dir[96], edge[96], state[96], uid[16],
	    orphan[16];
	bool plain; /* the keeper is not root */
	pid_t keeper;
	struct loop *loop;
	struct run *run;
	/* what was heard last */
	struct priv_status status[64];
	size_t status_count;
	char lines[65536];
	bool lost, done;
	uint64_t value;
	struct err e;
	/* of a job */
	bool ended;
	int wait_status;
	enum priv_limit_hit hit;
	char report[4096];
};

static struct fixture f;
static bool plain_now;

/* ---- running the loop until something holds ---- */

typedef bool cond_fn(void);

static void on_poll(void *ctx)
{
	(void)ctx; /* waking up is all */
}

static bool wait_for(cond_fn *cond, int64_t ms)
{
	int64_t until = clock_mono_ms() + ms;
	struct loop_timer *t = loop_timer_new(f.loop, on_poll, NULL);
	while (!cond() && clock_mono_ms() < until) {
		loop_timer_at(t, clock_mono_ms() + 5);
		uv_run(loop_uv(f.loop), UV_RUN_ONCE);
	}
	loop_timer_free(t);
	return cond();
}

static bool never(void)
{
	return false;
}

static bool is_done(void)
{
	return f.done;
}

static bool is_ended(void)
{
	return f.ended;
}

static bool is_lost(void)
{
	return f.lost;
}

/* ---- callbacks ---- */

static struct priv_status *last(uint64_t id)
{
	for (size_t i = 0; i < f.status_count; i++)
		if (f.status[i].id == id)
			return &f.status[i];
	return NULL;
}

static void on_status(void *ctx, const struct priv_status *s)
{
	(void)ctx;
	struct priv_status *at = last(s->id);
	if (!at) {
		assert_true(f.status_count < 64);
		at = &f.status[f.status_count++];
	}
	*at = *s;
}

static void add_line(struct str line)
{
	size_t n = strlen(f.lines);
	if (n + line.n + 2 < sizeof(f.lines)) {
		memcpy(f.lines + n, line.p, line.n);
		memcpy(f.lines + n + line.n, "\n", 2);
	}
}

static void on_line(void *ctx, const struct priv_status *s, struct str line)
{
	(void)ctx;
	(void)s;
	add_line(line);
}

static void on_lost(void *ctx, const struct err *e)
{
	(void)ctx;
	(void)e;
	f.lost = true;
}

static void on_done(void *ctx, uint64_t value, const struct err *e)
{
	(void)ctx;
	f.done = true;
	f.value = value;
	f.e = e ? *e : (struct err){0};
}

static void on_output(void *ctx, struct str line)
{
	(void)ctx;
	add_line(line);
}

static void on_ended(
    void *ctx, int wait_status, enum priv_limit_hit hit, struct str report, const struct err *e)
{
	(void)ctx;
	f.ended = true;
	f.wait_status = wait_status;
	f.hit = hit;
	f.e = e ? *e : (struct err){0};
	snprintf(f.report, sizeof(f.report), "%.*s", STR_ARG(report));
}

/* ---- the keeper ---- */

static void open_run(void)
{
	struct err e = {0};
	struct run_options o = {.loop = f.loop,
	    .socket_path = f.socket,
	    .on_status = on_status,
	    .on_line = on_line,
	    .on_lost = on_lost};
	f.status_count = 0;
	for (int tries = 0; tries < 200; tries++) {
		f.run = run_open(&o, &e);
		if (f.run)
			return;
		usleep(20000);
	}
	fail_msg("%s", e.msg);
}

static void close_run(void)
{
	run_close(f.run);
	f.run = NULL;
}

static void start_keeper(const char *orphan_ms)
{
	snprintf(f.orphan, sizeof(f.orphan), "%s", orphan_ms);
	f.keeper = fork();
	if (f.keeper == 0) {
		if (f.plain && (setgid(PLAIN_USER) != 0 || setuid(PLAIN_USER) != 0))
			_exit(126);
		char path[96]; /* SWT_LOG=1 shows what the keeper says */
		snprintf(path, sizeof(path), "%s/log", f.dir);
		int log = getenv("SWT_LOG") ? -1 : open(path, O_WRONLY | O_CREAT | O_APPEND, 0600);
		if (log >= 0)
			dup2(log, 2);
		execl(HELPER, "slipway-helper", "--keeper", "--socket", f.socket, "--projects",
		    f.projects, "--run", f.run_dir, "--edge", f.edge, "--state", f.state, "--exec",
		    BUILD_ROOT "/src/slipway-exec", "--tree", BUILD_ROOT "/src/slipway-tree",
		    "--monitor", BUILD_ROOT "/src/slipway-monitor",
		    "--daemon-uid", f.uid, "--uid-base", "71000", "--orphan-ms", f.orphan, NULL);
		_exit(127);
	}
	open_run();
}

static void end_keeper(void)
{
	int status = 0;
	if (f.run) {
		struct priv_request q = {.op = PRIV_SHUTDOWN};
		run_request(f.run, &q, NULL, 0, NULL, NULL);
		(void)wait_for(is_lost, 20000);
		close_run();
	}
	assert_int_equal(waitpid(f.keeper, &status, 0), f.keeper);
	assert_int_equal(status, 0);
}

static void make_dir(char *out, size_t size, const char *name)
{
	snprintf(out, size, "%s/%s", f.dir, name);
	assert_int_equal(mkdir(out, 0755), 0);
	if (f.plain && geteuid() == 0)
		assert_int_equal(chown(out, PLAIN_USER, PLAIN_USER), 0);
}

static int set_up(void **state)
{
	(void)state;
	memset(&f, 0, sizeof(f));
	f.plain = plain_now;
	/* not below /tmp for tenants: their /tmp is another */
	strcpy(f.dir, geteuid() == 0 ? "/run/swt-XXXXXX" : "/tmp/swt-XXXXXX");
	if (!mkdtemp(f.dir) || chmod(f.dir, 0755) != 0)
		return -1;
	if (f.plain && geteuid() == 0 && chown(f.dir, PLAIN_USER, PLAIN_USER) != 0)
		return -1;
	snprintf(f.socket, sizeof(f.socket), "%s/helper.sock", f.dir);
	snprintf(f.state, sizeof(f.state), "%s/state", f.dir);
	make_dir(f.projects, sizeof(f.projects), "projects");
	make_dir(f.run_dir, sizeof(f.run_dir), "run");
	make_dir(f.edge, sizeof(f.edge), "edge");
	snprintf(f.uid, sizeof(f.uid), "%u", geteuid());
	f.loop = loop_new(1);
	start_keeper("60000");
	return 0;
}

static void request(struct priv_request *q, const char *project)
{
	f.done = false;
	if (project)
		snprintf(q->project, sizeof(q->project), "%s", project);
	run_request(f.run, q, NULL, 0, on_done, NULL);
	assert_true(wait_for(is_done, 30000));
}

static void must(enum priv_op op, const char *project, uint32_t release)
{
	struct priv_request q = {.op = op, .release = release};
	request(&q, project);
	if (f.e.code != ERR_NONE)
		fail_msg("operation %d: %s", op, f.e.msg);
}

static int tear_down(void **state)
{
	(void)state;
	if (f.run && !f.lost)
		must(PRIV_PROJECT_REMOVE, "swt-shop", 0);
	if (f.run || f.keeper > 0)
		end_keeper();
	loop_free(f.loop);
	struct err e;
	CLEANUP_FD int top = open("/", O_PATH | O_DIRECTORY);
	char *slash = strrchr(f.dir, '/');
	*slash = '\0';
	CLEANUP_FD int parent = openat(top, f.dir + 1, O_RDONLY | O_DIRECTORY);
	return fs_remove_tree(parent, slash + 1, &e);
}

/* ---- a project to play with ---- */

static void path_of(char *out, size_t size, const char *below)
{
	snprintf(out, size, "%s/swt-shop/%s", f.projects, below);
}

static unsigned tenant(void)
{
	char path[256];
	struct stat st;
	path_of(path, sizeof(path), "cache");
	assert_int_equal(stat(path, &st), 0);
	return st.st_uid;
}

static void put_file(const char *below, const char *text, mode_t mode)
{
	char path[256];
	struct stat st;
	path_of(path, sizeof(path), "cache");
	assert_int_equal(stat(path, &st), 0);
	path_of(path, sizeof(path), below);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, mode);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	assert_int_equal(fchown(fd, st.st_uid, st.st_gid), 0);
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
}

static void put_dir(const char *below)
{
	char path[256];
	struct stat st;
	path_of(path, sizeof(path), "cache");
	assert_int_equal(stat(path, &st), 0);
	path_of(path, sizeof(path), below);
	assert_int_equal(mkdir(path, 0755), 0);
	assert_int_equal(chown(path, st.st_uid, st.st_gid), 0);
}

static void make_project(void)
{
	must(PRIV_PROJECT_ENSURE, "swt-shop", 0);
	must(PRIV_RELEASE_PREPARE, "swt-shop", 1);
}

static struct run_spec spec(const char *process, const struct args *argv)
{
	return (struct run_spec){.project = STR("swt-shop"),
	    .release = 1,
	    .process = str_c(process),
	    .instance = 1,
	    .argv = argv,
	    .listen_fd = -1,
	    .terminal_fd = -1,
	    .stdin_fd = -1};
}

static void job(const struct run_spec *base, size_t report_max)
{
	struct run_spec s = *base;
	s.class = PRIV_JOB;
	const struct run_job_callbacks cb = {
	    .output = on_output, .ended = on_ended, .report_max = report_max};
	f.ended = false;
	f.lines[0] = '\0';
	run_job_start(f.run, &s, &cb);
	assert_true(wait_for(is_ended, 20000));
}

#define SH(text) (&(struct args){(struct str[]){STR("/bin/sh"), STR("-c"), STR(text)}, 3})

static uint64_t service(const struct run_spec *s)
{
	f.done = false;
	run_start(f.run, s, on_done, NULL);
	assert_true(wait_for(is_done, 10000));
	if (f.e.code != ERR_NONE)
		fail_msg("%s", f.e.msg);
	return f.value;
}

static uint64_t watched;
static bool is_running_again(void)
{
	const struct priv_status *s = last(watched);
	return s && s->state == PRIV_RUNNING && s->starts >= 2;
}
static bool is_running(void)
{
	const struct priv_status *s = last(watched);
	return s && s->state == PRIV_RUNNING;
}
static bool has_output(void)
{
	return f.lines[0] != '\0';
}
