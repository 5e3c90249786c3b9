/* The web server as a process, whichever it is: found, started; and the ports that it wants. */
#include "helper/edge_net.h"
#include "helper/edge_unit.h"

#include "base/fs.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

static const char *const environment[] = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C", NULL};

bool edge_has_ipv6(const struct edge *g)
{
	if (g->o.units)
		return edge_net_has_ipv6(g->o.net);
	struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	CLEANUP_FD int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	return fd >= 0 && bind(fd, (const struct sockaddr *)&a, sizeof(a)) == 0;
}

static int port_taken(const struct edge *g, uint16_t port, struct err *e)
{
	err_set(e, ERR_CONFLICT, "could not listen on %s:%u: another program already does",
	    g->o.address, port);
	return err_hint(
	    e, "choose another port for the edge, or end that program (ss -ltnp shows it)");
}

static int port_free(const struct edge *g, uint16_t port, struct err *e)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
	int on = 1;
	if (inet_pton(AF_INET, g->o.address, &a.sin_addr) != 1)
		return err_set(e, ERR_SETTINGS, "the edge's address is not an IPv4 address");
	if (g->o.units)
		return edge_net_listens(g->o.net, ntohl(a.sin_addr.s_addr), port)
			   ? port_taken(g, port, e)
			   : 0;
	CLEANUP_FD int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return err_sys(e, ERR_UNAVAILABLE, errno, "could not make a socket");
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, (const struct sockaddr *)&a, sizeof(a)) == 0 && listen(fd, 1) == 0)
		return 0;
	int sys = errno;
	if (sys == EADDRINUSE)
		return port_taken(g, port, e);
	err_sys(e, ERR_SETTINGS, sys, "could not listen on %s:%u", g->o.address, port);
	return sys == EACCES ? err_hint(e, "ports below 1024 need root; choose a higher one") : -1;
}

int edge_port_free(const struct edge *g, struct err *e)
{
	return port_free(g, g->o.http_port, e) < 0 ? -1
	       : g->o.https_port == 0		   ? 0
						   : port_free(g, g->o.https_port, e);
}

/* Everything between fork and exec is async-signal-safe. */
static void become(const char *const argv[], int out, pid_t parent)
{
	struct sigaction normal = {.sa_handler = SIG_DFL};
	sigset_t none;
	sigemptyset(&none);
	for (int s = 1; s < NSIG; s++)
		(void)sigaction(s, &normal, NULL);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	(void)setpgid(0, 0); /* a Ctrl-C at the keeper's terminal is the keeper's to handle */
	(void)umask(022);
	(void)prctl(PR_SET_PDEATHSIG, SIGTERM); /* a killed keeper leaves nobody on the port */
	if (getppid() != parent)
		_exit(127);
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (null < 0 || dup2(null, 0) < 0 || dup2(out, 1) < 0 || dup2(out, 2) < 0 ||
	    close_range(3, ~0u, 0) < 0)
		_exit(127);
	execve(argv[0], (char *const *)(uintptr_t)argv, (char *const *)(uintptr_t)environment);
	_exit(127);
}

const char *edge_program(const struct edge *g)
{
	return g->o.kind == EDGE_APACHE ? g->o.apache : g->o.nginx;
}

int edge_program_check(const struct edge *g, struct err *e)
{
	if (access(edge_program(g), X_OK) == 0)
		return 0;
	err_set(e, ERR_UNAVAILABLE, "could not find %s at '%s'", g->server->name, edge_program(g));
	return err_hint(e, "apt install %s", g->server->package);
}

pid_t edge_spawn(struct edge *g, const char *const argv[], int out, struct err *e)
{
	if (edge_program_check(g, e) < 0)
		return -1;
	pid_t parent = getpid(), pid = fork();
	if (pid == 0)
		become(argv, out, parent);
	if (pid < 0)
		return err_sys(e, ERR_UNAVAILABLE, errno, "could not start %s", g->server->name);
	(void)setpgid(pid, pid);
	return pid;
}

pid_t edge_server_start(struct edge *g, struct err *e)
{
	return g->o.units ? edge_unit_start(g, e) : g->server->start(g, e);
}

pid_t edge_server_test(struct edge *g, enum edge_test what, struct err *e)
{
	return g->o.units ? edge_unit_test(g, what, e) : g->server->test(g, what, e);
}

int edge_server_signal(const struct edge *g, int signal, struct err *e)
{
	if (g->o.units)
		return edge_unit_signal(g, signal, e);
	return kill(g->master, signal) == 0
		   ? 0
		   : err_sys(e, ERR_INTERNAL, errno, "could not signal %s", g->server->name);
}

int edge_join(char *out, size_t size, const char *a, const char *b)
{
	size_t n = strlen(a), m = strlen(b);
	if (n + m >= size)
		return -1;
	memcpy(out, a, n);
	memcpy(out + n, b, m + 1);
	return 0;
}

int edge_log_open(struct edge *g, struct err *e)
{
	int fd = openat(g->dir, "log/error.log", O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW);
	return fd >= 0 ? fd : err_sys(e, ERR_IO, errno, "could not open the edge's error log");
}

int edge_output_open(struct edge *g, struct err *e)
{
	int fd =
	    openat(g->test, "output", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
	return fd >= 0
		   ? fd
		   : err_sys(e, ERR_IO, errno, "could not write below the edge's test directory");
}
