/* A real helper of a test's own, and a connection to it; for test_helper_peers.c, which includes what this needs. */
#pragma once

#define DAEMON_USER 61000u
#define WINDOW 65536u /* requests that may be without their answer, by number */

static struct {
	char dir[64], socket[96], projects[96], run[96], edge[96], state[96], log[96], uid[16];
	pid_t pid;
	int conn;
	uint64_t next, unanswered;
	uint8_t broken[WINDOW]; /* enum rule + 1 of what is not answered, else 0 */
	uint8_t op[WINDOW];
	uint64_t accepted[PRIV_OP_COUNT], accepted_all, refused, ended;
	char fault[256];
} w;

static uint64_t number_of(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);
	return text ? strtoull(text, NULL, 10) : otherwise;
}

static struct sockaddr_un address(void)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	memcpy(a.sun_path, w.socket,
	    sizeof(a.sun_path) < sizeof(w.socket) ? sizeof(a.sun_path) : sizeof(w.socket));
	return a;
}

/* -1 with errno. */
static int connect_to_it(void)
{
	const struct sockaddr_un a = address();
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (connect(fd, (const struct sockaddr *)&a, sizeof(a)) == 0)
		return fd;
	int sys = errno;
	close(fd);
	errno = sys;
	return -1;
}

/* ---- the helper ---- */

static void make_dir(char *out, size_t size, const char *name)
{
	(void)snprintf(out, size, "%s/%s", w.dir, name);
	assert_int_equal(mkdir(out, 0755), 0);
}

static _Noreturn void become_helper(void)
{
	int log = open(w.log, O_WRONLY | O_CREAT | O_APPEND, 0600);
	if (log < 0 || dup2(log, 2) != 2)
		_exit(126);
	execl(BUILD_ROOT "/src/slipway-helper", "slipway-helper", "--keeper", "--socket", w.socket,
	    "--projects", w.projects, "--run", w.run, "--edge", w.edge, "--state", w.state,
	    "--exec", BUILD_ROOT "/src/slipway-exec", "--tree", BUILD_ROOT "/src/slipway-tree",
	    "--monitor", BUILD_ROOT "/src/slipway-monitor",
	    "--daemon-uid", w.uid, "--uid-base", "71000", "--nginx-sites", "yes", "--cert",
	    BUILD_ROOT "/src/slipway-cert", "--nginx", "/nowhere/nginx", (char *)NULL);
	_exit(127);
}

static int set_up(void **unused)
{
	(void)unused;
	char path[96];
	memset(&w, 0, sizeof(w));
	seed = number_of("SLIPWAY_SEED", 1);
	bool root = geteuid() == 0;
	const char *inside = getenv("SLIPWAY_NAMESPACE");
	if (root && (!inside || strcmp(inside, "inside") != 0))
		fail_msg("as root only in namespaces of its own: tools/in-namespace");
	strcpy(w.dir, root ? "/run/swt-XXXXXX" : "/tmp/swt-XXXXXX");
	if (!mkdtemp(w.dir) || chmod(w.dir, 0755) != 0)
		return -1;
	(void)snprintf(w.socket, sizeof(w.socket), "%s/helper.sock", w.dir);
	(void)snprintf(w.state, sizeof(w.state), "%s/state", w.dir);
	(void)snprintf(w.log, sizeof(w.log), "%s/log", w.dir);
	(void)snprintf(w.uid, sizeof(w.uid), "%u", root ? DAEMON_USER : geteuid());
	make_dir(w.projects, sizeof(w.projects), "projects");
	make_dir(w.run, sizeof(w.run), "run");
	make_dir(w.edge, sizeof(w.edge), "edge");
	make_dir(path, sizeof(path), "edge/staged"); /* as a web server that ran has left it */
	make_dir(path, sizeof(path), "edge/certs");
	make_dir(path, sizeof(path), "edge/certs/sites");
	w.pid = fork();
	if (w.pid == 0)
		become_helper();
	for (int i = 0; i < 500 && (w.conn = connect_to_it()) < 0; i++)
		usleep(20000);
	return w.conn >= 0 ? 0 : -1;
}

/* What a sanitizer said, and how often a text stands in the log. */
static size_t count_in_log(const char *text)
{
	static char line[8192];
	size_t n = 0;
	FILE *f = fopen(w.log, "re");
	assert_non_null(f);
	while (fgets(line, sizeof(line), f))
		n += strstr(line, text) != NULL;
	(void)fclose(f);
	return n;
}

static int tear_down(void **unused)
{
	(void)unused;
	if (w.conn >= 0)
		close(w.conn);
	(void)kill(w.pid, SIGTERM);
	int status = 0;
	(void)waitpid(w.pid, &status, 0);
	char *slash = strrchr(w.dir, '/');
	struct err e;
	*slash = '\0';
	CLEANUP_FD int parent = open(w.dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fs_remove_tree(parent, slash + 1, &e) != 0 || status != 0 ? -1 : 0;
}
