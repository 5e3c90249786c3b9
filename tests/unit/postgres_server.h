/* A PostgreSQL server of the test's own: in a temporary folder, on a socket there, without fsync.
 * Started as root it runs as the user 'postgres', because it refuses to be root. */
#pragma once

#include <fcntl.h>
#include <glob.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

struct postgres_server {
	char dir[64], bin[128], url[192];
	uint16_t port; /* 0: none, the socket alone */
	pid_t pid;
};

static inline void postgres_become(void)
{
	const struct passwd *p = geteuid() == 0 ? getpwnam("postgres") : NULL;
	if (p && (setgroups(0, NULL) != 0 || setgid(p->pw_gid) != 0 || setuid(p->pw_uid) != 0))
		_exit(99);
	/* after the change of user, which clears it */
	if (prctl(PR_SET_PDEATHSIG, SIGQUIT) != 0)
		_exit(99);
}

/* Runs one of the server's programs as the server's user, its output in DIR/log. argv[0] becomes
 * its path: initdb looks for the others beside itself, and by a mere name only in PATH. */
static inline pid_t postgres_spawn(
    const struct postgres_server *s, const char *program, char *argv[])
{
	char path[192], log[96];
	snprintf(path, sizeof(path), "%s/%s", s->bin, program);
	snprintf(log, sizeof(log), "%s/log", s->dir);
	pid_t pid = fork();
	if (pid != 0)
		return pid;
	postgres_become();
	argv[0] = path;
	int fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (chdir(s->dir) != 0 || fd < 0 || dup2(fd, 1) < 0 || dup2(fd, 2) < 0)
		_exit(98);
	execv(path, argv);
	_exit(97);
}

static inline bool postgres_answers(const struct postgres_server *s)
{
	int status;
	char ready[] = "pg_isready", q[] = "-q", h[] = "-h", dir[64], p[] = "-p", port[8];
	snprintf(dir, sizeof(dir), "%s", s->dir);
	snprintf(port, sizeof(port), "%u", s->port ? s->port : 5432);
	char *argv[] = {ready, q, h, dir, p, port, NULL};
	pid_t pid = postgres_spawn(s, ready, argv);
	return waitpid(pid, &status, 0) == pid && status == 0;
}

static inline bool postgres_start(struct postgres_server *s)
{
	char data[96], listen[48], port[8];
	snprintf(data, sizeof(data), "%s/data", s->dir);
	snprintf(listen, sizeof(listen), "listen_addresses=%s", s->port ? "127.0.0.1" : "");
	snprintf(port, sizeof(port), "%u", s->port ? s->port : 5432);
	char postgres[] = "postgres", d[] = "-D", k[] = "-k", c[] = "-c", p[] = "-p",
	     fsync[] = "fsync=off";
	char *argv[] = {postgres, d, data, k, s->dir, c, listen, c, fsync, p, port, NULL};
	s->pid = postgres_spawn(s, "postgres", argv);
	for (int i = 0; i < 500 && !postgres_answers(s); i++)
		usleep(20000);
	return postgres_answers(s);
}

/* 1: runs, s->url reaches it; 0: PostgreSQL is not installed; -1: it did not start. With a port it listens on
 * 127.0.0.1 too, where it asks for passwords. */
static inline int postgres_open_at(struct postgres_server *s, uint16_t at)
{
	glob_t found;
	int status;
	memset(s, 0, sizeof(*s));
	s->port = at;
	if (glob("/usr/lib/postgresql/*/bin/initdb", 0, NULL, &found) != 0)
		return 0;
	snprintf(s->bin, sizeof(s->bin), "%s", found.gl_pathv[found.gl_pathc - 1]);
	globfree(&found);
	*strrchr(s->bin, '/') = '\0';
	snprintf(s->dir, sizeof(s->dir), "/tmp/slipway-pg-XXXXXX");
	const struct passwd *p = getpwnam("postgres");
	if (!mkdtemp(s->dir) ||
	    (geteuid() == 0 && (!p || chown(s->dir, p->pw_uid, p->pw_gid) != 0)))
		return -1;
	char initdb[] = "initdb", n[] = "-N", a[] = "--auth-local=trust",
	     h[] = "--auth-host=scram-sha-256", u[] = "-U", user[] = "postgres", d[] = "-D",
	     data[] = "data", enc[] = "--encoding=UTF8", locale[] = "--locale=C.UTF-8";
	char *argv[] = {initdb, n, a, h, u, user, d, data, enc, locale, NULL};
	pid_t pid = postgres_spawn(s, "initdb", argv);
	if (waitpid(pid, &status, 0) != pid || status != 0 || !postgres_start(s))
		return -1;
	snprintf(s->url, sizeof(s->url), "postgresql:///postgres?host=%s&user=postgres&port=%u",
	    s->dir, at ? at : 5432);
	return 1;
}

static inline int postgres_open(struct postgres_server *s)
{
	return postgres_open_at(s, 0);
}

/* At once, as a power cut: what was acknowledged is in its log. */
static inline void postgres_kill(struct postgres_server *s)
{
	int status;
	kill(s->pid, SIGQUIT);
	waitpid(s->pid, &status, 0);
}

static inline void postgres_close(struct postgres_server *s)
{
	char path[128];
	if (s->pid > 0)
		postgres_kill(s);
	snprintf(path, sizeof(path), "%s", s->dir);
	char rm[] = "rm", rf[] = "-rf";
	char *const argv[] = {rm, rf, path, NULL};
	pid_t pid = fork();
	if (pid == 0) {
		execv("/bin/rm", argv);
		_exit(97);
	}
	waitpid(pid, NULL, 0);
}
