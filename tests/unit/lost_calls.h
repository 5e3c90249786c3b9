/* System calls that this process and all that it starts lose, as under a filter of systemd's; for tests in a child of their own. */
#pragma once

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>

#define LOST_CALLS_MAX 8

/* Each then fails with this errno. */
static bool lose_calls(const uint32_t *calls, size_t count, uint32_t error)
{
	struct sock_filter f[2 * LOST_CALLS_MAX + 2] = {
	    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr))};
	size_t n = 1;
	for (size_t i = 0; i < count && i < LOST_CALLS_MAX; i++) {
		f[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, calls[i], 0, 1);
		f[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error);
	}
	f[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	struct sock_fprog p = {.len = (unsigned short)n, .filter = f};
	return count <= LOST_CALLS_MAX && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
	       prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &p) == 0;
}
