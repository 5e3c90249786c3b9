#include "launch/sandbox.h"
#include "base/fs.h"
#include "launch/nodes.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <sched.h>
#include <seccomp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Newer than the headers of the oldest distribution we build on; the numbers are the kernel's and
 * never change. */
#define ACCESS_REFER (1ULL << 13)
#define ACCESS_TRUNCATE (1ULL << 14)
#define SCOPE_ABSTRACT_SOCKETS (1ULL << 0)
#define SCOPE_SIGNALS (1ULL << 1)
struct ruleset_attr {
	uint64_t fs, net, scoped;
};

#define ACCESS_READ (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define ACCESS_EXEC (ACCESS_READ | LANDLOCK_ACCESS_FS_EXECUTE)
#define ACCESS_ALL_V1 ((1ULL << 13) - 1)
#define ACCESS_DEVICE (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE)
#define ACCESS_FILE_ONLY                                                                           \
	(LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE |                               \
	    LANDLOCK_ACCESS_FS_WRITE_FILE | ACCESS_TRUNCATE)

int sandbox_landlock_version(void)
{
	long v =
	    syscall(SYS_landlock_create_ruleset, NULL, (size_t)0, LANDLOCK_CREATE_RULESET_VERSION);
	return v < 0 ? 0 : (int)v;
}

/* Everything that this kernel can control. */
static uint64_t access_all(int version)
{
	uint64_t all = ACCESS_ALL_V1;
	if (version >= 2)
		all |= ACCESS_REFER;
	if (version >= 3)
		all |= ACCESS_TRUNCATE;
	return all;
}

static int open_ruleset(int version)
{
	struct ruleset_attr attr = {.fs = access_all(version)};
	size_t size = sizeof(attr.fs);
	if (version >= 6) {
		attr.scoped = SCOPE_ABSTRACT_SOCKETS | SCOPE_SIGNALS;
		size = sizeof(attr);
	}
	return (int)syscall(SYS_landlock_create_ruleset, &attr, size, 0);
}

static int allow(int ruleset, const char *path, uint64_t access, struct err *e)
{
	if (!path)
		return 0;
	CLEANUP_FD int fd = open(path, O_PATH | O_CLOEXEC);
	struct stat st;
	if (fd < 0 || fstat(fd, &st) != 0)
		return 0;
	struct landlock_path_beneath_attr rule = {
	    .allowed_access = S_ISDIR(st.st_mode) ? access : access & ACCESS_FILE_ONLY,
	    .parent_fd = fd,
	};
	if (syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) != 0)
		return err_sys(e, ERR_UNAVAILABLE, errno, "could not allow '%s'", path);
	return 0;
}

static int allow_list(
    int ruleset, const char *const *paths, size_t count, uint64_t access, struct err *e)
{
	for (size_t i = 0; i < count; i++)
		if (allow(ruleset, paths[i], access, e) != 0)
			return -1;
	return 0;
}

static int allow_system(int ruleset, enum guest_sandbox s, uint64_t all, struct err *e)
{
	static const char *const programs[] = {
	    "/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/opt"};
	/* what /etc/resolv.conf and /etc/localtime may point to */
	static const char *const settings[] = {"/etc", "/proc", "/sys", "/run/systemd/resolve",
	    "/run/resolvconf", "/run/NetworkManager/resolv.conf", "/run/nscd"};
	static const char *const devices[] = {"/dev/null", "/dev/zero", "/dev/full", "/dev/random",
	    "/dev/urandom", "/dev/tty", "/dev/ptmx", "/dev/pts"};
	static const char *const everything[] = {"/"};
	if (allow_list(ruleset, programs, sizeof(programs) / sizeof(*programs), ACCESS_EXEC, e) ||
	    allow_list(ruleset, settings, sizeof(settings) / sizeof(*settings), ACCESS_READ, e) ||
	    allow_list(ruleset, devices, sizeof(devices) / sizeof(*devices),
		ACCESS_DEVICE | LANDLOCK_ACCESS_FS_READ_DIR, e))
		return -1;
	if (allow(ruleset, "/dev/shm", all, e) != 0)
		return -1;
	return s == GUEST_FETCH ? allow_list(ruleset, everything, 1, ACCESS_READ, e) : 0;
}

/* With their folders listed, as programs look for them. */
static int allow_nodes(int ruleset, uint32_t devices, struct err *e)
{
	struct device_node nodes[DEVICE_NODES_MAX];
	size_t n = nodes_find("/dev", devices, nodes);
	for (size_t i = 0; i < n; i++) {
		char folder[DEVICE_PATH_SIZE];
		memcpy(folder, nodes[i].path, sizeof(folder));
		*strrchr(folder, '/') = '\0';
		if (allow(ruleset, nodes[i].path, ACCESS_DEVICE, e) != 0 ||
		    (strcmp(folder, "/dev") != 0 &&
			allow(ruleset, folder, LANDLOCK_ACCESS_FS_READ_DIR, e) != 0))
			return -1;
	}
	return 0;
}

static int allow_project(
    int ruleset, enum guest_sandbox s, const struct sandbox_paths *p, uint64_t all, struct err *e)
{
	bool run = s == GUEST_RUN, kept = !run && s != GUEST_STRANGER;
	const char *const writable[] = {run ? p->data : p->release, kept ? p->cache : NULL,
	    kept ? p->mirror : NULL, p->tmp, p->private_tmp ? "/tmp" : NULL,
	    p->private_tmp ? "/var/tmp" : NULL};
	if (allow_list(ruleset, writable, sizeof(writable) / sizeof(*writable), all, e) != 0)
		return -1;
	if (run && allow(ruleset, p->release, ACCESS_EXEC, e) != 0)
		return -1;
	return allow(ruleset, p->program, ACCESS_EXEC, e) != 0
		   ? -1
		   : allow_nodes(ruleset, p->devices, e);
}

int sandbox_files(enum guest_sandbox s, const struct sandbox_paths *p, struct err *e)
{
	int version = sandbox_landlock_version();
	if (version == 0)
		return 0;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		return err_sys(e, ERR_UNAVAILABLE, errno, "could not give up new rights");
	CLEANUP_FD int ruleset = open_ruleset(version);
	if (ruleset < 0)
		return err_sys(e, ERR_UNAVAILABLE, errno, "could not make a Landlock ruleset");
	uint64_t all = access_all(version);
	if (allow_system(ruleset, s, all, e) != 0 || allow_project(ruleset, s, p, all, e) != 0)
		return -1;
	if (syscall(SYS_landlock_restrict_self, ruleset, 0) != 0)
		return err_sys(e, ERR_UNAVAILABLE, errno, "could not enter the Landlock sandbox");
	return 0;
}

/* ---- system calls ---- */

static const int denied[] = {SCMP_SYS(mount), SCMP_SYS(umount2), SCMP_SYS(pivot_root),
    SCMP_SYS(move_mount), SCMP_SYS(open_tree), SCMP_SYS(fsopen), SCMP_SYS(fsconfig),
    SCMP_SYS(fsmount), SCMP_SYS(fspick), SCMP_SYS(mount_setattr), SCMP_SYS(setns),
    SCMP_SYS(init_module), SCMP_SYS(finit_module), SCMP_SYS(delete_module), SCMP_SYS(kexec_load),
    SCMP_SYS(kexec_file_load), SCMP_SYS(bpf), SCMP_SYS(perf_event_open), SCMP_SYS(userfaultfd),
    SCMP_SYS(keyctl), SCMP_SYS(add_key), SCMP_SYS(request_key), SCMP_SYS(ptrace),
    SCMP_SYS(process_vm_readv), SCMP_SYS(process_vm_writev), SCMP_SYS(pidfd_getfd),
    SCMP_SYS(open_by_handle_at), SCMP_SYS(swapon), SCMP_SYS(swapoff), SCMP_SYS(reboot),
    SCMP_SYS(quotactl), SCMP_SYS(quotactl_fd), SCMP_SYS(acct), SCMP_SYS(syslog),
    SCMP_SYS(settimeofday), SCMP_SYS(clock_settime), SCMP_SYS(sethostname), SCMP_SYS(setdomainname),
    SCMP_SYS(vhangup), SCMP_SYS(iopl), SCMP_SYS(ioperm), SCMP_SYS(lookup_dcookie),
    SCMP_SYS(nfsservctl)};
static const int missing[] = {SCMP_SYS(io_uring_setup), SCMP_SYS(io_uring_enter),
    SCMP_SYS(io_uring_register), SCMP_SYS(clone3)};

static int add_rules(scmp_filter_ctx f)
{
	int rc = 0;
	for (size_t i = 0; rc == 0 && i < sizeof(denied) / sizeof(*denied); i++)
		rc = seccomp_rule_add(f, SCMP_ACT_ERRNO(EPERM), denied[i], 0);
	for (size_t i = 0; rc == 0 && i < sizeof(missing) / sizeof(*missing); i++)
		rc = seccomp_rule_add(f, SCMP_ACT_ERRNO(ENOSYS), missing[i], 0);
	const struct scmp_arg_cmp userns =
	    SCMP_A0_64(SCMP_CMP_MASKED_EQ, CLONE_NEWUSER, CLONE_NEWUSER);
	if (rc == 0)
		rc = seccomp_rule_add(f, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(unshare), 1, userns);
	if (rc == 0)
		rc = seccomp_rule_add(f, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1, userns);
	if (rc == 0)
		rc = seccomp_rule_add(f, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(ioctl), 1,
		    SCMP_A1_64(SCMP_CMP_MASKED_EQ, 0xffffffffu, TIOCSTI));
	return rc;
}

int sandbox_calls(struct err *e)
{
	scmp_filter_ctx f = seccomp_init(SCMP_ACT_ALLOW);
	if (!f)
		return err_set(e, ERR_UNAVAILABLE, "could not make a system-call filter");
	(void)seccomp_attr_set(f, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	int rc = add_rules(f);
	if (rc == 0)
		rc = seccomp_load(f);
	seccomp_release(f);
	/* A kernel without filters says EINVAL or ENOSYS; libseccomp may fold that into ECANCELED.
	 */
	if (rc == 0 || rc == -EINVAL || rc == -ENOSYS)
		return 0;
	return err_sys(e, ERR_UNAVAILABLE, -rc, "could not load the system-call filter");
}
