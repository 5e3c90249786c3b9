/* Starts git without a shell, reads its answer. */
#include "cli/git.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define ARGS_MAX 12

extern char **environ;

static int start(const char *const *argv, int out, pid_t *ret_pid)
{
	posix_spawn_file_actions_t acts;
	char *own[ARGS_MAX + 8];
	size_t n = 0;
	for (; argv[n]; n++)
		memcpy(
		    &own[n], &argv[n], sizeof(own[n])); /* posix_spawn takes, but keeps, char * */
	own[n] = NULL;
	if (posix_spawn_file_actions_init(&acts) != 0)
		return ENOMEM;
	int rc = posix_spawn_file_actions_addopen(&acts, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	if (rc == 0)
		rc = posix_spawn_file_actions_adddup2(&acts, out, STDOUT_FILENO);
	if (rc == 0)
		rc = posix_spawn_file_actions_addopen(
		    &acts, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
	if (rc == 0)
		rc = posix_spawnp(ret_pid, "git", &acts, NULL, own, environ);
	(void)posix_spawn_file_actions_destroy(&acts);
	return rc;
}

int git_ask(const char *dir, const char *const *args, struct buf *out, struct err *e)
{
	/* A checkout may name programs for git to run; none of these questions needs one. */
	const char *argv[ARGS_MAX + 8] = {
	    "git", "-C", dir, "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null"};
	size_t n = 7;
	int ends[2], status = 0;
	pid_t pid;
	for (size_t i = 0; i < ARGS_MAX && args[i]; i++)
		argv[n++] = args[i];
	argv[n] = NULL;
	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_sys(e, ERR_INTERNAL, errno, "could not make a pipe");
	int rc = start(argv, ends[1], &pid);
	(void)close(ends[1]);
	if (rc != 0) {
		(void)close(ends[0]);
		return 0;
	}
	for (;;) {
		char part[8192];
		ssize_t got = read(ends[0], part, sizeof(part));
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			break;
		buf_put(out, part, (size_t)got);
		if (out->full)
			break;
	}
	(void)close(ends[0]);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (buf_check(out, "what git prints", e) < 0)
		return -1;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* "git@host:a/b.git", "ssh://git@host:22/a/b", "https://host/a/b/" to host and path. */
static void take_apart(struct str s, struct str *ret_host, struct str *ret_path)
{
	bool scheme = false;
	for (size_t i = 0; i + 2 < s.n && !scheme; i++)
		if (memcmp(s.p + i, "://", 3) == 0) {
			s = str_from(s, i + 3);
			scheme = true;
		}
	size_t slash = str_find(s, '/', 0), colon = str_find(s, ':', 0);
	size_t cut = !scheme && colon < slash ? colon : slash;
	*ret_host = cut == SIZE_MAX ? STR("") : str_slice(s, 0, cut);
	*ret_path = cut == SIZE_MAX ? s : str_from(s, cut + 1);
	size_t at = str_find(*ret_host, '@', 0);
	if (at != SIZE_MAX)
		*ret_host = str_from(*ret_host, at + 1);
	*ret_host = str_slice(*ret_host, 0, str_find(*ret_host, ':', 0));
	while (str_starts(*ret_path, STR("/")))
		*ret_path = str_from(*ret_path, 1);
	while (str_ends(*ret_path, STR("/")))
		ret_path->n--;
	if (str_ends(*ret_path, STR(".git")))
		ret_path->n -= 4;
}

bool git_same_address(struct str a, struct str b)
{
	struct str host_a, path_a, host_b, path_b;
	take_apart(a, &host_a, &path_a);
	take_apart(b, &host_b, &path_b);
	return path_a.n > 0 && str_eq_nocase(host_a, host_b) && str_eq(path_a, path_b);
}
