/* escape: tries to reach what is another project's, or the platform's, and says for each way
 * whether it succeeded. The same program as the other project, as root or outside of the sandbox
 * shows that each way is one.
 *
 *   escape KEY=VALUE...   pid, file, dir, socket, abstract, shm (a key), port, api, keeper,
 * live, group, log, store
 *
 * Prints one line for each way, "NAME yes" or "NAME no: the reason". A way whose value is not given
 * is left out. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

typedef bool try_fn(const char *value);

static bool can_open(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC);
	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

static const char *in_proc(const char *pid, const char *what)
{
	static char path[64];
	(void)snprintf(path, sizeof(path), "/proc/%s/%s", pid, what);
	return path;
}

/* ---- what is the other project's ---- */

static bool environment(const char *pid)
{
	char byte;
	int fd = open(in_proc(pid, "environ"), O_RDONLY | O_CLOEXEC);
	bool got = fd >= 0 && read(fd, &byte, 1) == 1;
	if (fd >= 0)
		close(fd);
	return got;
}

static bool descriptors(const char *pid)
{
	DIR *d = opendir(in_proc(pid, "fd"));
	if (d)
		(void)closedir(d);
	return d != NULL;
}

static bool program(const char *pid)
{
	char target[256];
	return readlink(in_proc(pid, "exe"), target, sizeof(target)) > 0;
}

static bool sends_signal(const char *pid)
{
	return kill((pid_t)strtol(pid, NULL, 10), 0) == 0;
}

static bool reads(const char *path)
{
	return can_open(path, O_RDONLY);
}

static bool writes(const char *path)
{
	return can_open(path, O_WRONLY | O_APPEND);
}

static bool lists(const char *path)
{
	return can_open(path, O_RDONLY | O_DIRECTORY);
}

static bool joins(const struct sockaddr_un *a, size_t n)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int rc = connect(fd, (const struct sockaddr *)a, (socklen_t)n), saved = errno;
	if (rc != 0 && errno == EPROTOTYPE) { /* it is there, and of another type */
		close(fd);
		fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
		rc = connect(fd, (const struct sockaddr *)a, (socklen_t)n);
		saved = errno;
	}
	close(fd);
	errno = saved;
	return rc == 0;
}

static bool connects(const char *path)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	(void)snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
	return joins(&a, sizeof(a));
}

static bool abstract(const char *name)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	(void)snprintf(a.sun_path + 1, sizeof(a.sun_path) - 1, "%s", name);
	return joins(&a, offsetof(struct sockaddr_un, sun_path) + 1 + strlen(name));
}

static bool reaches(const char *port)
{
	struct sockaddr_in a = {.sin_family = AF_INET,
	    .sin_port = htons((uint16_t)strtoul(port, NULL, 10)),
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int rc = connect(fd, (const struct sockaddr *)&a, sizeof(a)), saved = errno;
	close(fd);
	errno = saved;
	return rc == 0;
}

static bool shares_memory(const char *key)
{
	int id = shmget((key_t)strtol(key, NULL, 10), 0, 0);
	void *at = id < 0 ? (void *)-1 : shmat(id, NULL, SHM_RDONLY);
	return at != (void *)-1;
}

/* ---- what nobody in a sandbox may ---- */

static bool keyring(const char *value)
{
	(void)value;
	return syscall(SYS_add_key, "user", "escape", "x", (size_t)1, -2 /* the process's own */) >
	       0;
}

/* In a child, which a new namespace or a tracer would change: its errno is its status. */
static bool in_child(bool (*fn)(void))
{
	int status = 0;
	pid_t pid = fork();
	if (pid == 0)
		_exit(fn() ? 0 : errno);
	(void)waitpid(pid, &status, 0);
	errno = WIFEXITED(status) ? WEXITSTATUS(status) : EINTR;
	return status == 0;
}

static bool leave_users(void)
{
	return unshare(CLONE_NEWUSER) == 0;
}

static bool leave_and_mount(void)
{
	return (unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0 || geteuid() == 0) &&
	       mount("tmpfs", "/tmp", "tmpfs", 0, NULL) == 0;
}

static bool be_traced(void)
{
	return ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0;
}

static bool namespaces(const char *value)
{
	(void)value;
	return in_child(leave_users);
}

static bool mounts(const char *value)
{
	(void)value;
	return in_child(leave_and_mount);
}

static bool traces(const char *value)
{
	(void)value;
	return in_child(be_traced);
}

static bool bpf(const char *value)
{
	(void)value;
	union bpf_attr a = {
	    .map_type = BPF_MAP_TYPE_HASH, .key_size = 4, .value_size = 4, .max_entries = 1};
	return syscall(SYS_bpf, BPF_MAP_CREATE, &a, sizeof(a)) >= 0;
}

/* ---- the platform ---- */

static bool commands(const char *path)
{
	static const char ask[] = "GET /api/v1/projects HTTP/1.0\r\nHost: localhost\r\n\r\n";
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	char head[13] = "";
	(void)snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool got = connect(fd, (const struct sockaddr *)&a, sizeof(a)) == 0 &&
		   send(fd, ask, sizeof(ask) - 1, MSG_NOSIGNAL) > 0 &&
		   recv(fd, head, 12, MSG_WAITALL) == 12;
	close(fd);
	errno = got ? EACCES : errno;
	return got && memcmp(head + 9, "200", 3) == 0;
}

static const struct way {
	const char *name, *key; /* key NULL: needs none */
	try_fn *fn;
} ways[] = {{"environment", "pid", environment}, {"descriptors", "pid", descriptors},
    {"program", "pid", program}, {"signal", "pid", sends_signal}, {"read", "file", reads},
    {"write", "file", writes}, {"list", "dir", lists}, {"socket", "socket", connects},
    {"abstract", "abstract", abstract}, {"shm", "shm", shares_memory}, {"port", "port", reaches}, {"keyring", NULL, keyring},
    {"namespace", NULL, namespaces}, {"mount", NULL, mounts}, {"trace", NULL, traces},
    {"bpf", NULL, bpf}, {"api", "api", commands}, {"keeper", "keeper", connects},
    {"live", "live", connects}, {"group", "group", writes}, {"log", "log", reads},
    {"store", "store", reads}};

static const char *value_of(const char *key, int argc, char **argv)
{
	size_t n = strlen(key);
	for (int i = 1; i < argc; i++)
		if (strncmp(argv[i], key, n) == 0 && argv[i][n] == '=')
			return argv[i] + n + 1;
	return NULL;
}

int main(int argc, char **argv)
{
	for (size_t i = 0; i < sizeof(ways) / sizeof(*ways); i++) {
		const struct way *w = &ways[i];
		const char *value = w->key ? value_of(w->key, argc, argv) : "";
		if (!value)
			continue;
		errno = 0;
		if (w->fn(value))
			(void)printf("%s yes\n", w->name);
		else
			(void)printf("%s no: %s\n", w->name, strerror(errno));
		(void)fflush(stdout);
	}
	return 0;
}
