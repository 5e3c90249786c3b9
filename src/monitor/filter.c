#include "monitor/filter.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#if defined(__x86_64__)
#define ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCH AUDIT_ARCH_AARCH64
#else
// cppcheck-suppress preprocessorErrorDirective
#error "the monitor's filter knows x86-64 and aarch64"
#endif

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED
#endif
#endif

static const uint32_t calls[] = {
    /* messages, and what came with them */
    SYS_ppoll,
    SYS_accept4,
    SYS_getsockopt,
    SYS_setsockopt,
    SYS_socketpair,
    SYS_recvfrom,
    SYS_recvmsg,
    SYS_sendmsg,
    SYS_close,
    SYS_fcntl,
    SYS_fstat,
    SYS_newfstatat,
    SYS_pread64,
#ifdef SYS_poll
    SYS_poll,
#endif
    /* the log, and the end */
    SYS_write,
    SYS_clock_gettime,
    SYS_restart_syscall,
    SYS_rt_sigreturn,
    SYS_exit,
    SYS_exit_group,
#ifdef SANITIZED
    /* what a sanitizer does, most of it when it has something to say */
    SYS_mmap,
    SYS_munmap,
    SYS_mprotect,
    SYS_madvise,
    SYS_futex,
    SYS_openat,
    SYS_readlink,
    SYS_read,
    SYS_lseek,
    SYS_getpid,
    SYS_gettid,
    SYS_sigaltstack,
    SYS_rt_sigaction,
    SYS_rt_sigprocmask,
    SYS_prctl,
    SYS_sched_yield,
    SYS_getrlimit,
    SYS_prlimit64,
#endif
};
enum { CALLS = sizeof(calls) / sizeof(*calls) };

size_t filter_count(void)
{
	return CALLS;
}

/* Of libc's, which says so in no header of its own; libcap's is not needed for it. */
int capset(struct __user_cap_header_struct *head, const struct __user_cap_data_struct *data);

static int drop_capabilities(struct err *e)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct none[2] = {0};
	if (capset(&head, none) != 0)
		return err_sys(e, ERR_UNSUPPORTED, errno, "could not give capabilities up");
	return 0;
}

/* Architecture, then one comparison for each call; whatever comes last is what the others get. */
static int install(struct err *e)
{
	struct sock_filter code[CALLS + 7];
	size_t n = 0;
	code[n++] = (struct sock_filter)BPF_STMT(
	    BPF_LD | BPF_W | BPF_ABS, (uint32_t)offsetof(struct seccomp_data, arch));
	code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCH, 1, 0);
	code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
	code[n++] = (struct sock_filter)BPF_STMT(
	    BPF_LD | BPF_W | BPF_ABS, (uint32_t)offsetof(struct seccomp_data, nr));
	for (size_t i = 0; i < CALLS; i++)
		code[n++] = (struct sock_filter)BPF_JUMP(
		    BPF_JMP | BPF_JEQ | BPF_K, calls[i], (uint8_t)(CALLS - i), 0);
	code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
	code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	struct sock_fprog program = {.len = (unsigned short)n, .filter = code};
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
		return err_sys(e, ERR_UNSUPPORTED, errno, "could not filter system calls");
	return 0;
}

int filter_enter(struct err *e)
{
	return drop_capabilities(e) != 0 ? -1 : install(e);
}
