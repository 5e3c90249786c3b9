/* escape: tries to reach what is another project's, or the platform's, and says for each way
 * whether it succeeded. The same program as the other project, as root or outside of the sandbox
 * shows that each way is one.
 *
 *   escape KEY=VALUE...   the keys are in the table `ways` below; of their values shm is a key of
 * System V, memory PID:ADDRESS of four bytes "mine", key a serial number, journal a pattern,
 * supply SOCKET:KEY
 *   escape hold NAME      makes what no sandbox lets its own project make: a key "mine" in the user's
 * keyring and the message queue NAME, for everybody to read. Prints the key's serial number
 *
 * Prints one line for each way, "NAME yes" or "NAME no: the reason". A way whose value is not given
 * is left out. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <linux/bpf.h>
#include <linux/keyctl.h>
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
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
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

/* The namespaces and the root of the process: the way around whatever is mounted for it alone. */
static bool enters(const char *pid)
{
	return can_open(in_proc(pid, "root"), O_PATH | O_DIRECTORY);
}

static bool is_mine(const char *bytes, ssize_t n)
{
	return n == 4 && memcmp(bytes, "mine", 4) == 0;
}

/* "PID:ADDRESS" */
static bool memory(const char *value)
{
	char bytes[4], *address, pid[16];
	(void)snprintf(pid, sizeof(pid), "%ld", strtol(value, &address, 10));
	int fd = open(in_proc(pid, "mem"), O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	ssize_t n = pread(fd, bytes, sizeof(bytes), (off_t)strtoull(address + 1, NULL, 10));
	int saved = errno;
	close(fd);
	errno = saved;
	return is_mine(bytes, n);
}

static bool joins(const struct sockaddr_un *a, size_t n)
{
	static const int types[] = {SOCK_STREAM, SOCK_SEQPACKET, SOCK_DGRAM};
	int rc = -1;
	for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++) {
		int fd = socket(AF_UNIX, types[i] | SOCK_CLOEXEC, 0);
		rc = connect(fd, (const struct sockaddr *)a, (socklen_t)n);
		int saved = errno;
		close(fd);
		errno = saved;
		if (rc == 0 || saved != EPROTOTYPE) /* otherwise it is there, and of another type */
			break;
	}
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

static bool queue(const char *name)
{
	return syscall(SYS_mq_open, name, O_RDONLY | O_CLOEXEC, 0, NULL) >= 0;
}

/* ---- what nobody in a sandbox may ---- */

static bool key(const char *serial)
{
	char bytes[4] = "";
	long n =
	    syscall(SYS_keyctl, KEYCTL_READ, (int)strtol(serial, NULL, 10), bytes, sizeof(bytes));
	return is_mine(bytes, n);
}

static bool vm(const char *value)
{
	char bytes[4], *address;
	pid_t pid = (pid_t)strtol(value, &address, 10);
	union {
		unsigned long long number;
		void *at;
	} there = {.number = strtoull(address + 1, NULL, 10)};
	struct iovec to = {bytes, sizeof(bytes)}, from = {there.at, sizeof(bytes)};
	return is_mine(bytes, process_vm_readv(pid, &to, 1, &from, 1, 0));
}

/* The socket that it serves at. */
static bool takes_descriptor(const char *pid)
{
	int fd = (int)syscall(SYS_pidfd_open, strtol(pid, NULL, 10), 0);
	return fd >= 0 && syscall(SYS_pidfd_getfd, fd, 3, 0) >= 0;
}

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

static const char *whose;

static bool join_any(void)
{
	static const char *const kinds[] = {
	    "ns/user", "ns/mnt", "ns/ipc", "ns/net", "ns/pid", "ns/uts", "ns/cgroup"};
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		int fd = open(in_proc(whose, kinds[i]), O_RDONLY | O_CLOEXEC);
		if (fd >= 0 && setns(fd, 0) == 0)
			return true;
	}
	return false;
}

static bool joins_namespace(const char *pid)
{
	whose = pid;
	return in_child(join_any);
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

static bool supplied(const struct sockaddr_un *a, unsigned op, unsigned long long instance)
{
	struct { /* launch/supply.h */
		unsigned magic, op;
		unsigned long long key;
		int wait_status;
		unsigned zero;
		unsigned long long events[2];
	} ask = {.magic = 0x59505553, .op = op, .key = instance};
	char answer[4096];
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	ssize_t n = connect(fd, (const struct sockaddr *)a, sizeof(*a)) == 0 &&
			    send(fd, &ask, sizeof(ask), MSG_NOSIGNAL) == sizeof(ask)
			? recv(fd, answer, sizeof(answer), 0)
			: -1;
	int saved = n == 0 ? EACCES : errno;
	close(fd);
	errno = saved;
	return n > 0;
}

/* "SOCKET:KEY". Asks for what the instance was given, and tells that it has ended: that nobody
 * answers. */
static bool supply(const char *value)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	const char *instance = strrchr(value, ':');
	if (!instance)
		return false;
	(void)snprintf(a.sun_path, sizeof(a.sun_path), "%.*s", (int)(instance - value), value);
	unsigned long long number = strtoull(instance + 1, NULL, 16);
	return supplied(&a, 1, number) || supplied(&a, 2, number);
}

static bool first_of(const char *pattern)
{
	glob_t g = {0};
	bool found = glob(pattern, GLOB_BRACE, NULL, &g) == 0 && reads(g.gl_pathv[0]);
	int saved = errno ? errno : ENOENT;
	globfree(&g);
	errno = saved;
	return found;
}

static const struct way {
	const char *name, *key; /* key NULL: needs none */
	try_fn *fn;
} ways[] = {{"environment", "pid", environment}, {"descriptors", "pid", descriptors},
    {"program", "pid", program}, {"root", "pid", enters}, {"signal", "pid", sends_signal},
    {"memory", "memory", memory}, {"read", "file", reads}, {"write", "file", writes},
    {"list", "dir", lists}, {"release", "release", reads}, {"tmp", "tmp", reads},
    {"socket", "socket", connects}, {"abstract", "abstract", abstract},
    {"notify", "notify", connects}, {"shm", "shm", shares_memory}, {"posix", "posix", writes},
    {"queue", "queue", queue}, {"port", "port", reaches}, {"keyring", NULL, keyring},
    {"key", "key", key}, {"namespace", NULL, namespaces}, {"mount", NULL, mounts},
    {"trace", NULL, traces}, {"vm", "memory", vm}, {"steal", "pid", takes_descriptor},
    {"join", "pid", joins_namespace}, {"bpf", NULL, bpf}, {"api", "api", commands},
    {"front", "front", connects}, {"keeper", "keeper", connects}, {"live", "live", connects},
    {"group", "group", writes}, {"log", "log", reads}, {"store", "store", reads},
    {"events", "events", lists}, {"seal", "seal", reads}, {"saved", "saved", lists},
    {"journal", "journal", first_of}, {"manager", "manager", connects},
    {"supply", "supply", supply}};

static int hold(const char *name)
{
	(void)umask(0);
	long serial =
	    syscall(SYS_add_key, "user", "escape", "mine", (size_t)4, KEY_SPEC_USER_KEYRING);
	if (serial < 0 || syscall(SYS_keyctl, KEYCTL_SETPERM, serial, 0x3f3f3f3f) < 0 ||
	    syscall(SYS_mq_open, name, O_CREAT | O_RDWR | O_CLOEXEC, 0666, NULL) < 0) {
		perror("escape");
		return 1;
	}
	(void)printf("%ld\n", serial);
	return 0;
}

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
	if (argc == 3 && strcmp(argv[1], "hold") == 0)
		return hold(argv[2]);
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
