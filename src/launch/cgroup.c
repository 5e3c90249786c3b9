#include "launch/cgroup.h"
#include "base/dir.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/num.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define MOUNT "/sys/fs/cgroup"
#define GROUP_DEPTH_MAX 8u
#define CPU_PERIOD_US 100000u

/* ---- small files of the kernel ---- */

static bool write_file(int dir, const char *name, const char *text)
{
	CLEANUP_FD int fd = openat(dir, name, O_WRONLY | O_CLOEXEC);
	size_t n = strlen(text);
	return fd >= 0 && write(fd, text, n) == (ssize_t)n;
}

static bool write_number(int dir, const char *name, uint64_t n)
{
	char text[24];
	snprintf(text, sizeof(text), "%llu", (unsigned long long)n);
	return write_file(dir, name, text);
}

static struct str read_file(int dir, const char *name, char *out, size_t size)
{
	CLEANUP_FD int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, out, size);
	return (struct str){out, n < 0 ? 0 : (size_t)n};
}

static bool copy_file(int from, int to, const char *name)
{
	char text[4096];
	struct str all = read_file(from, name, text, sizeof(text) - 1);
	text[all.n] = '\0';
	return all.n > 1 && write_file(to, name, text);
}

/* The number after "KEY " at the start of a line; 0 when absent. */
static uint64_t keyed(struct str rest, const char *key)
{
	struct str line;
	while (str_next(&rest, '\n', &line)) {
		struct str k = str_c(key);
		uint64_t n;
		if (str_starts(line, k) && line.n > k.n && line.p[k.n] == ' ' &&
		    num_u64(str_from(line, k.n + 1), 0, UINT64_MAX, &n))
			return n;
	}
	return 0;
}

static uint64_t read_keyed(int dir, const char *name, const char *key)
{
	char text[1024];
	return keyed(read_file(dir, name, text, sizeof(text)), key);
}

/* ---- where we are ---- */

static bool has_word(struct str list, const char *word, char sep)
{
	struct str w;
	while (str_next(&list, sep, &w))
		if (str_eq_c(w, word))
			return true;
	return false;
}

/* Our own group in the hierarchy of `controller` ("" is v2), from /proc/self/cgroup: "N:LIST:PATH"
 * per line. */
static bool own_group(const char *controller, char *out, size_t size)
{
	char text[4096];
	struct str rest = read_file(AT_FDCWD, "/proc/self/cgroup", text, sizeof(text)), line;
	while (str_next(&rest, '\n', &line)) {
		struct str number, list;
		if (!str_next(&line, ':', &number) || !str_next(&line, ':', &list) || !line.p)
			continue;
		bool match = controller[0] == '\0' ? list.n == 0 : has_word(list, controller, ',');
		if (match)
			return str_copy(line, out, size);
	}
	return false;
}

static int try_folder(const char *mount, const char *group, const char *label, char path[256])
{
	if (strcmp(group, "/") == 0)
		group = "";
	int n = snprintf(path, 256, "%s%s/slipway-%s", mount, group, label);
	if (n < 0 || n >= 256 || (mkdir(path, 0755) != 0 && errno != EEXIST))
		return -1;
	return open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

static int open_v1(const char *controller, const char *label, char path[256])
{
	char mount[64], group[256];
	snprintf(mount, sizeof(mount), MOUNT "/%s", controller);
	if (!own_group(controller, group, sizeof(group)))
		return -1;
	int fd = try_folder(mount, group, label, path);
	/* In a container the group may be named from outside: then the mount is our group. */
	return fd >= 0 ? fd : try_folder(mount, "/", label, path);
}

/* A new group of this hierarchy has no processors and no memory, and nothing can join it: what our folder has is what ours above has, and
 * whatever is made in it has the same (clone_children). */
static void open_cpuset_v1(struct cgroup_base *b, const char *label)
{
	b->cpuset = open_v1("cpuset", label, b->path[4]);
	if (b->cpuset < 0)
		return;
	CLEANUP_FD int parent = openat(b->cpuset, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (copy_file(parent, b->cpuset, "cpuset.mems") &&
	    copy_file(parent, b->cpuset, "cpuset.cpus") &&
	    write_file(b->cpuset, "cgroup.clone_children", "1"))
		return;
	(void)rmdir(b->path[4]);
	fs_close_fd(&b->cpuset);
}

/* A controller is there only when every group above hands it down; systemd hands cpu down only
 * where a unit asks for it. Above the top is no control group. */
static void enable_above(int folder, const char *word, unsigned levels)
{
	CLEANUP_FD int parent = openat(folder, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (levels == 0 || faccessat(parent, "cgroup.subtree_control", F_OK, 0) != 0)
		return;
	enable_above(parent, word, levels - 1);
	(void)write_file(parent, "cgroup.subtree_control", word);
}

/* Controllers must be enabled in the parent and in the folder; the parent refuses while it has
 * processes. */
static bool enable(int folder, const char *controller)
{
	char word[16];
	snprintf(word, sizeof(word), "+%s", controller);
	enable_above(folder, word, GROUP_DEPTH_MAX);
	return write_file(folder, "cgroup.subtree_control", word);
}

static void open_v2_at(
    struct cgroup_base *b, const char *mount, const char *group, const char *label)
{
	b->v2 = try_folder(mount, group, label, b->path[0]);
	if (b->v2 < 0)
		return;
	b->v2_memory = enable(b->v2, "memory");
	b->v2_cpu = enable(b->v2, "cpu");
	b->v2_pids = enable(b->v2, "pids");
	b->v2_cpuset = enable(b->v2, "cpuset");
}

static void leave_v2(struct cgroup_base *b)
{
	fs_close_fd(&b->v2);
	if (b->path[0][0] != '\0')
		(void)rmdir(b->path[0]);
	b->path[0][0] = '\0';
}

/* Our own group, its parent (our own has processes: us), the top: the first that gives the memory
 * controller. On a hybrid machine v2 has no controllers, and our own group is right. */
static void open_v2(struct cgroup_base *b, const char *label)
{
	bool pure = access(MOUNT "/cgroup.controllers", F_OK) == 0;
	const char *mount = pure ? MOUNT : MOUNT "/unified";
	char group[256], parent[256];
	if (!own_group("", group, sizeof(group)))
		return;
	memcpy(parent, group, sizeof(parent));
	char *slash = strrchr(parent, '/');
	if (slash)
		*slash = '\0';
	const char *const places[] = {group, parent, "/"};
	for (size_t i = 0; pure && i < 3 && !b->v2_memory; i++) {
		leave_v2(b);
		open_v2_at(b, mount, places[i], label);
	}
	for (size_t i = 0; i < 3 && b->v2 < 0; i++)
		open_v2_at(b, mount, places[i], label);
}

/* Of v2 first: only there one write kills all. */
static void folders_of(const struct cgroup_base *b, int out[CGROUP_FDS_MAX])
{
	const int all[CGROUP_FDS_MAX] = {b->v2, b->memory, b->pids, b->cpu, b->cpuset};
	memcpy(out, all, sizeof(all));
}

static int open_group(int folder, const char *name)
{
	return folder < 0 ? -1
			  : openat(folder, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* ---- what is left of an end, or of a keeper that crashed ---- */

static void sweep(const struct cgroup_base *b, int folder)
{
	struct dir d CLEANUP_DIR;
	dir_open(&d, folder);
	for (const struct dirent64 *entry; (entry = dir_next(&d));) {
		if (entry->d_type != DT_DIR || entry->d_name[0] == '.')
			continue;
		for (int tries = 0; tries < 100 && !cgroup_remove(b, entry->d_name); tries++) {
			cgroup_kill(b, entry->d_name);
			usleep(5000);
		}
	}
}

void cgroup_open(struct cgroup_base *b, const char *label)
{
	memset(b, 0, sizeof(*b));
	b->v2 = b->memory = b->cpu = b->pids = b->cpuset = -1;
	open_v2(b, label);
	if (!b->v2_memory)
		b->memory = open_v1("memory", label, b->path[1]);
	if (!b->v2_cpu)
		b->cpu = open_v1("cpu", label, b->path[2]);
	if (!b->v2_pids)
		b->pids = open_v1("pids", label, b->path[3]);
	if (!b->v2_cpuset)
		open_cpuset_v1(b, label);
	int folders[CGROUP_FDS_MAX];
	folders_of(b, folders);
	for (size_t i = 0; i < CGROUP_FDS_MAX; i++)
		sweep(b, folders[i]);
}

void cgroup_close(struct cgroup_base *b)
{
	int *const folders[] = {&b->v2, &b->memory, &b->cpu, &b->pids, &b->cpuset};
	/* Groups whose last process was still dying when their instance ended. */
	for (size_t i = 0; i < CGROUP_FDS_MAX; i++)
		sweep(b, *folders[i]);
	for (size_t i = 0; i < CGROUP_FDS_MAX; i++) {
		if (*folders[i] >= 0)
			(void)rmdir(b->path[i]);
		fs_close_fd(folders[i]);
	}
}

bool cgroup_has_memory(const struct cgroup_base *b)
{
	return b->v2_memory || b->memory >= 0;
}

bool cgroup_has_tasks(const struct cgroup_base *b)
{
	return b->v2_pids || b->pids >= 0;
}

bool cgroup_has_kill(const struct cgroup_base *b)
{
	return b->v2 >= 0 || b->memory >= 0 || b->cpu >= 0 || b->pids >= 0;
}

/* ---- one group ---- */

static bool limit_memory(const struct cgroup_base *b, const char *name, uint64_t bytes)
{
	if (bytes == 0)
		return true;
	CLEANUP_FD int v1 = open_group(b->memory, name);
	CLEANUP_FD int v2 = b->v2_memory ? open_group(b->v2, name) : -1;
	if (v1 >= 0) {
		bool ok = write_number(v1, "memory.limit_in_bytes", bytes);
		(void)write_number(v1, "memory.memsw.limit_in_bytes", bytes);
		return ok;
	}
	/* no swapping out of the limit, and all of the instance ends together */
	(void)write_file(v2, "memory.swap.max", "0");
	(void)write_file(v2, "memory.oom.group", "1");
	return v2 < 0 || write_number(v2, "memory.max", bytes);
}

static bool limit_cpu(const struct cgroup_base *b, const char *name, uint32_t milli)
{
	if (milli == 0)
		return true;
	uint64_t quota = (uint64_t)milli * CPU_PERIOD_US / 1000;
	if (quota < 1000)
		quota = 1000; /* the kernel's least */
	CLEANUP_FD int v1 = open_group(b->cpu, name);
	CLEANUP_FD int v2 = b->v2_cpu ? open_group(b->v2, name) : -1;
	if (v1 >= 0)
		return write_number(v1, "cpu.cfs_period_us", CPU_PERIOD_US) &&
		       write_number(v1, "cpu.cfs_quota_us", quota);
	char text[48];
	snprintf(text, sizeof(text), "%llu %u", (unsigned long long)quota, CPU_PERIOD_US);
	return v2 < 0 || write_file(v2, "cpu.max", text);
}

/* 1024 and 100 are what a new group has. */
static bool set_cpu_share(const struct cgroup_base *b, const char *name, uint32_t percent)
{
	if (percent == 0)
		return true;
	CLEANUP_FD int v1 = open_group(b->cpu, name);
	CLEANUP_FD int v2 = b->v2_cpu ? open_group(b->v2, name) : -1;
	if (v1 >= 0)
		return write_number(v1, "cpu.shares", 1024 * (uint64_t)percent / 100);
	return v2 < 0 || write_number(v2, "cpu.weight", percent);
}

static bool limit_tasks(const struct cgroup_base *b, const char *name, uint32_t tasks)
{
	if (tasks == 0)
		return true;
	CLEANUP_FD int v1 = open_group(b->pids, name);
	CLEANUP_FD int v2 = b->v2_pids ? open_group(b->v2, name) : -1;
	return (v1 < 0 && v2 < 0) || write_number(v1 >= 0 ? v1 : v2, "pids.max", tasks);
}

bool cgroup_set_cpus(const struct cgroup_base *b, const char *name, struct processors_range r)
{
	char text[PROCESSORS_TEXT_SIZE];
	processors_text(r, text);
	CLEANUP_FD int v1 = open_group(b->cpuset, name);
	CLEANUP_FD int v2 = b->v2_cpuset ? open_group(b->v2, name) : -1;
	if (v1 >= 0)
		return r.last ? write_file(v1, "cpuset.cpus", text) : copy_file(b->cpuset, v1, "cpuset.cpus");
	return v2 >= 0 && write_file(v2, "cpuset.cpus", r.last ? text : "\n");
}

int cgroup_make(
    const struct cgroup_base *b, const char *name, const struct cgroup_limits *l, struct err *e)
{
	int folders[CGROUP_FDS_MAX];
	folders_of(b, folders);
	for (size_t i = 0; i < CGROUP_FDS_MAX; i++)
		if (folders[i] >= 0 && mkdirat(folders[i], name, 0755) != 0 && errno != EEXIST)
			return err_sys(
			    e, ERR_UNAVAILABLE, errno, "could not make control group '%s'", name);
	if (!limit_memory(b, name, l->memory_bytes))
		return err_sys(
		    e, ERR_UNAVAILABLE, errno, "could not set the memory limit of '%s'", name);
	if (!limit_cpu(b, name, l->cpu_milli) || !set_cpu_share(b, name, l->cpu_share))
		return err_sys(
		    e, ERR_UNAVAILABLE, errno, "could not set the processor limit of '%s'", name);
	if (!limit_tasks(b, name, l->tasks))
		return err_sys(
		    e, ERR_UNAVAILABLE, errno, "could not set the task limit of '%s'", name);
	(void)cgroup_set_cpus(b, name, l->cpus); /* where it yields, and no limit of its own */
	return 0;
}

size_t cgroup_join_fds(const struct cgroup_base *b, const char *name, int fds[CGROUP_FDS_MAX])
{
	int folders[CGROUP_FDS_MAX];
	folders_of(b, folders);
	size_t n = 0;
	for (size_t i = 0; i < CGROUP_FDS_MAX; i++) {
		CLEANUP_FD int group = open_group(folders[i], name);
		int fd = group < 0 ? -1 : openat(group, "cgroup.procs", O_RDWR | O_CLOEXEC);
		if (fd >= 0)
			fds[n++] = fd;
	}
	return n;
}

void cgroup_read_events(const struct cgroup_base *b, const char *name, struct cgroup_events *ret)
{
	*ret = (struct cgroup_events){0};
	CLEANUP_FD int memory = open_group(b->v2_memory ? b->v2 : b->memory, name);
	CLEANUP_FD int pids = open_group(b->v2_pids ? b->v2 : b->pids, name);
	if (memory >= 0)
		ret->oom_kills = read_keyed(
		    memory, b->v2_memory ? "memory.events" : "memory.oom_control", "oom_kill");
	if (pids >= 0)
		ret->tasks_refused = read_keyed(pids, "pids.events", "max");
}

/* Often asked, so by one path. */
static void read_turns(int folder, const char *path, struct cgroup_turns *ret)
{
	char name[512], text[1024];
	int n = snprintf(name, sizeof(name), "%s/cpu.stat", path);
	bool fits = folder >= 0 && n > 0 && (size_t)n < sizeof(name);
	struct str all = fits ? read_file(folder, name, text, sizeof(text)) : STR_NONE;
	ret->periods = keyed(all, "nr_periods");
	ret->throttled = keyed(all, "nr_throttled");
}

void cgroup_read_turns(const struct cgroup_base *b, const char *name, struct cgroup_turns *ret)
{
	read_turns(b->v2_cpu ? b->v2 : b->cpu, name, ret);
}

void cgroup_read_turns_at(const char *path, struct cgroup_turns *ret)
{
	CLEANUP_FD int top = open(MOUNT, O_PATH | O_DIRECTORY | O_CLOEXEC);
	bool v2 = faccessat(top, "cgroup.controllers", F_OK, 0) == 0;
	read_turns(v2 ? top : -1, path, ret);
}

/* A counter of our own group: in the hierarchy v1 of the controller, else in v2. */
static uint64_t read_own(const char *controller, const char *v1, const char *v2, const char *key)
{
	char group[512], path[768];
	bool old = own_group(controller, group, sizeof(group));
	if (!old && !own_group("", group, sizeof(group)))
		return 0;
	int n = snprintf(path, sizeof(path), "%s%s%s%s/%s", MOUNT, old ? "/" : "",
	    old ? controller : "", group, old ? v1 : v2);
	return n < 0 || (size_t)n >= sizeof(path) ? 0 : read_keyed(AT_FDCWD, path, key);
}

void cgroup_read_own_events(struct cgroup_events *ret)
{
	ret->oom_kills = read_own("memory", "memory.oom_control", "memory.events", "oom_kill");
	ret->tasks_refused = read_own("pids", "pids.events", "pids.events", "max");
}

/* One pass over cgroup.procs. */
static bool kill_listed(int group)
{
	char text[8192];
	struct str rest = read_file(group, "cgroup.procs", text, sizeof(text)), line;
	bool any = false;
	while (str_next(&rest, '\n', &line)) {
		uint64_t pid;
		if (!rest.p || !num_u64(line, 2, INT32_MAX, &pid))
			continue; /* the last piece may be cut */
		any = true;
		(void)kill((pid_t)pid, SIGKILL);
	}
	return any;
}

bool cgroup_kill(const struct cgroup_base *b, const char *name)
{
	int folders[CGROUP_FDS_MAX];
	folders_of(b, folders);
	for (size_t i = 0; i < CGROUP_FDS_MAX; i++) {
		CLEANUP_FD int group = open_group(folders[i], name);
		if (group < 0)
			continue;
		char one[16];
		bool any = read_file(group, "cgroup.procs", one, sizeof(one)).n > 0;
		/* cgroup.kill (Linux 5.14) also gets what forks meanwhile; otherwise pass by pass.
		 */
		if (i == 0 && any && write_file(group, "cgroup.kill", "1"))
			return true;
		for (int pass = 0; any && pass < 64; pass++)
			if (!kill_listed(group))
				break;
		return any;
	}
	return false;
}

bool cgroup_remove(const struct cgroup_base *b, const char *name)
{
	int folders[CGROUP_FDS_MAX];
	folders_of(b, folders);
	bool gone = true;
	for (size_t i = 0; i < CGROUP_FDS_MAX; i++)
		if (folders[i] >= 0 && unlinkat(folders[i], name, AT_REMOVEDIR) != 0 &&
		    errno != ENOENT)
			gone = false;
	return gone;
}
