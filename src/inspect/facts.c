#include "inspect/parts.h"

#include "base/clock.h"
#include "base/fs.h"
#include "base/num.h"
#include "launch/tool.h"

#include <dirent.h>
#include <fcntl.h>
#include <pwd.h>
#include <shadow.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define TOOL_MS 20000

/* ---- accounts ---- */

bool inspect_is_ours(const char *user)
{
	return strcmp(user, "slipway") == 0 || str_starts(str_c(user), STR("sw-"));
}

static bool copy_account(const struct passwd *p, struct inspect_account *a)
{
	a->uid = p->pw_uid;
	a->gid = p->pw_gid;
	return str_copy(str_c(p->pw_name), a->name, sizeof(a->name)) &&
	       str_copy(str_c(p->pw_dir), a->home, sizeof(a->home)) &&
	       str_copy(str_c(p->pw_shell), a->shell, sizeof(a->shell));
}

bool inspect_account_of(const char *name, struct inspect_account *ret)
{
	FILE *f = fopen("/etc/passwd", "re");
	bool found = false;
	for (struct passwd *p; f && !found && (p = fgetpwent(f));)
		found = strcmp(p->pw_name, name) == 0 && copy_account(p, ret);
	if (f)
		(void)fclose(f);
	return found;
}

size_t inspect_each_account(struct inspect *s, inspect_account_fn *fn)
{
	FILE *f = fopen("/etc/passwd", "re");
	size_t n = 0;
	for (struct passwd *p; f && (p = fgetpwent(f));) {
		struct inspect_account a;
		if (!inspect_is_ours(p->pw_name) || !copy_account(p, &a))
			continue;
		n++;
		fn(s, &a);
	}
	if (f)
		(void)fclose(f);
	return n;
}

enum inspect_password inspect_password_of(const char *user)
{
	FILE *f = fopen("/etc/shadow", "re");
	enum inspect_password r = INSPECT_NO_PASSWORD;
	for (struct spwd *p; f && (p = fgetspent(f));) {
		if (strcmp(p->sp_namp, user) != 0)
			continue;
		r = p->sp_pwdp[0] == '\0'			   ? INSPECT_EMPTY
		    : p->sp_pwdp[0] == '!' || p->sp_pwdp[0] == '*' ? INSPECT_LOCKED
								   : INSPECT_SET;
		break;
	}
	if (f)
		(void)fclose(f);
	return r;
}

bool inspect_lets_login(const char *shell)
{
	return !str_ends(str_c(shell), STR("/nologin")) && !str_ends(str_c(shell), STR("/false"));
}

/* ---- files and tools ---- */

bool inspect_read(const char *path, struct buf *into)
{
	const char *slash = strrchr(path, '/');
	char folder[256];
	struct err ignored;
	if (!slash || !str_copy((struct str){path, (size_t)(slash - path)}, folder, sizeof(folder)))
		return false;
	CLEANUP_FD int dir =
	    open(folder[0] ? folder : "/", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return dir >= 0 && fs_read(dir, slash + 1, into, &ignored) == 0;
}

bool inspect_tool(const char *const *argv, int *ret_status, char *out, size_t size)
{
	struct err ignored;
	out[0] = '\0';
	return access(argv[0], X_OK) == 0 && launch_tool_lines(argv, clock_mono_ms() + TOOL_MS,
						 ret_status, out, size, &ignored) == 0;
}

void inspect_property(const char *unit, const char *property, char *out, size_t size)
{
	const char *const argv[] = {
	    "/usr/bin/systemctl", "show", "--value", "--property", property, "--", unit, NULL};
	int status;
	if (!inspect_tool(argv, &status, out, size) || status != 0)
		out[0] = '\0';
}

bool inspect_is_active(const char *unit)
{
	char state[32];
	inspect_property(unit, "ActiveState", state, sizeof(state));
	return strcmp(state, "active") == 0;
}

bool inspect_setting(struct str text, const char *key, uint64_t *ret)
{
	struct str line;
	size_t n = strlen(key);
	while (str_next(&text, '\n', &line))
		if (line.n > n && memcmp(line.p, key, n) == 0 && line.p[n] == '=')
			return num_u64(str_from(line, n + 1), 0, UINT32_MAX, ret);
	return false;
}

/* ---- processes ---- */

/* "Uid:	real	effective …": who acts. */
static bool read_uid(struct str status, uid_t *ret)
{
	struct str line, part;
	uint64_t uid;
	while (str_next(&status, '\n', &line)) {
		if (!str_starts(line, STR("Uid:\t")))
			continue;
		struct str rest = str_from(line, 5);
		if (!str_next(&rest, '\t', &part) || !str_next(&rest, '\t', &part) ||
		    !num_u64(part, 0, UINT32_MAX, &uid))
			return false;
		*ret = (uid_t)uid;
		return true;
	}
	return false;
}

static bool read_process(int proc, const char *number, struct inspect_process *p)
{
	char path[64], text[4096];
	uint64_t pid;
	if (!num_u64(str_c(number), 1, INT32_MAX, &pid))
		return false;
	*p = (struct inspect_process){.pid = (pid_t)pid};
	(void)snprintf(path, sizeof(path), "%.16s/status", number);
	CLEANUP_FD int fd = openat(proc, path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text));
	if (n <= 0 || !read_uid((struct str){text, (size_t)n}, &p->uid))
		return false;
	struct str rest = {text, (size_t)n}, line;
	if (str_next(&rest, '\n', &line) && str_starts(line, STR("Name:\t")))
		(void)!str_copy(str_from(line, 6), p->name, sizeof(p->name));
	(void)snprintf(path, sizeof(path), "%.16s/exe", number);
	n = readlinkat(proc, path, p->exe, sizeof(p->exe) - 1);
	p->exe[n > 0 ? n : 0] = '\0';
	return true;
}

size_t inspect_each_process(struct inspect *s, inspect_process_fn *fn)
{
	DIR *d = opendir("/proc");
	size_t count = 0;
	for (struct dirent *entry; d && (entry = readdir(d));) {
		struct inspect_process p;
		if (!read_process(dirfd(d), entry->d_name, &p))
			continue;
		count++;
		fn(s, &p);
	}
	if (d)
		(void)closedir(d);
	return count;
}
