#include "helper/leftovers.h"
#include "base/dir.h"
#include "base/fs.h"
#include "base/num.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static ssize_t read_proc(int proc, const char *pid, const char *file, char *out, size_t size)
{
	char path[64];
	snprintf(path, sizeof(path), "%.16s/%s", pid, file);
	CLEANUP_FD int fd = openat(proc, path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? -1 : read(fd, out, size);
}

/* The environment may be long: a piece at a time, with the end of the last one kept. */
static bool has_key(int proc, const char *pid, const char *key)
{
	char path[64], text[8192], want[80];
	int want_n = snprintf(want, sizeof(want), "SLIPWAY_INSTANCE=%s", key);
	snprintf(path, sizeof(path), "%.16s/environ", pid);
	CLEANUP_FD int fd = openat(proc, path, O_RDONLY | O_CLOEXEC);
	size_t kept = 0;
	for (ssize_t n; fd >= 0 && (n = read(fd, text + kept, sizeof(text) - kept)) > 0;) {
		size_t total = kept + (size_t)n;
		if (memmem(text, total, want, (size_t)want_n + 1))
			return true;
		kept = total < sizeof(want) ? total : sizeof(want);
		memmove(text, text + total - kept, kept);
	}
	return false;
}

static bool in_session(int proc, const char *pid, pid_t session)
{
	char text[512];
	ssize_t n = read_proc(proc, pid, "stat", text, sizeof(text) - 1);
	if (n <= 0)
		return false;
	text[n] = '\0';
	/* pid (name) state ppid pgrp session; the name may hold anything, so from its last ')' on
	 */
	const char *after = strrchr(text, ')');
	struct str rest = str_c(after ? after + 1 : ""), field;
	for (int i = 0; i < 5; i++)
		if (!str_next(&rest, ' ', &field))
			return false;
	int64_t sid;
	return num_i64(field, 1, INT32_MAX, &sid) && sid == session;
}

bool leftovers_kill(pid_t session, const char *key)
{
	struct dir proc CLEANUP_DIR;
	bool found = false;
	dir_take(&proc, open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	for (const struct dirent64 *d; (d = dir_next(&proc));) {
		uint64_t pid;
		if (!num_u64(str_c(d->d_name), 2, INT32_MAX, &pid) || (pid_t)pid == getpid())
			continue;
		if (!in_session(proc.fd, d->d_name, session) && !has_key(proc.fd, d->d_name, key))
			continue;
		found = kill((pid_t)pid, SIGKILL) == 0 || found;
	}
	return found;
}
