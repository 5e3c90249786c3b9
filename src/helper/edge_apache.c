/* Apache httpd. Its master ends at a configuration that it cannot read, so all of it is tested before
 * each reload (a graceful restart: processes that serve finish, the listening sockets stay). It
 * listens on no Unix socket, so a generation is a port of 127.0.0.1: a socket of ours, bound and
 * never listening, keeps it from everybody else; workers of the old configuration have all stopped
 * taking connections when the old port refuses. */
#include "helper/edge_net.h"
#include "helper/edge_state.h"

#include "base/fs.h"
#include "base/log.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const struct sockaddr_in loopback = {.sin_family = AF_INET};

static struct sockaddr_in gate_address(uint16_t port)
{
	struct sockaddr_in a = loopback;
	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	a.sin_port = htons(port);
	return a;
}

/* A port that nobody has. SO_REUSEADDR on both sides: Apache binds beside us. */
static int reserve(uint16_t *ret_port, struct err *e)
{
	struct sockaddr_in a = gate_address(0);
	socklen_t n = sizeof(a);
	int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0 &&
	    bind(fd, (const struct sockaddr *)&a, n) == 0 &&
	    getsockname(fd, (struct sockaddr *)&a, &n) == 0) {
		*ret_port = ntohs(a.sin_port);
		return fd;
	}
	err_sys(e, ERR_UNAVAILABLE, errno, "could not find a port for the edge's generation");
	fs_close_fd(&fd);
	return -1;
}

static bool answers(const struct edge *g, uint16_t port)
{
	if (g->o.units)
		return port != 0 && edge_net_listens(g->o.net, INADDR_LOOPBACK, port);
	struct sockaddr_in a = gate_address(port);
	CLEANUP_FD int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	return port != 0 && fd >= 0 && connect(fd, (const struct sockaddr *)&a, sizeof(a)) == 0;
}

static int write_generation(struct edge *g, struct err *e)
{
	char text[512];
	unsigned at = g->generation % 2;
	fs_close_fd(&g->gate[at]);
	g->gate_port[at] = 0;
	if (!g->o.units)
		g->gate[at] = reserve(&g->gate_port[at], e);
	else if ((g->gate_port[at] = edge_net_spare(g->o.net)) == 0)
		return err_set(e, ERR_UNAVAILABLE, "every port below 1024 is taken");
	if (!g->o.units && g->gate[at] < 0)
		return -1;
	long n = render_apache_generation(&g->fields, g->gate_port[at], text, sizeof(text), e);
	return n < 0 ? -1 : fs_write_atomic(g->dir, "generation.conf", text, (size_t)n, 0644, e);
}

static int keep_old(struct edge *g, struct err *e)
{
	(void)g;
	(void)e;
	return 0;
}

static void forget_old(struct edge *g)
{
	(void)g;
}

/* The master writes its number only when it can serve. */
static bool is_new(struct edge *g)
{
	return faccessat(g->dir, "apache.pid", F_OK, AT_SYMLINK_NOFOLLOW) == 0 &&
	       answers(g, g->gate_port[g->generation % 2]);
}

static bool is_old(struct edge *g)
{
	return answers(g, g->gate_port[(g->generation + 1) % 2]);
}

/* The other generation goes on: the next one takes this place again. */
static void drop_new(struct edge *g)
{
	g->generation--;
}

static pid_t start(struct edge *g, struct err *e)
{
	char conf[320];
	if (edge_join(conf, sizeof(conf), g->roots.edge, "/apache.conf") < 0)
		return err_set(e, ERR_SETTINGS, "edge directory is too long");
	(void)unlinkat(g->dir, "apache.pid", 0);
	CLEANUP_FD int out = edge_log_open(g, e);
	const char *const argv[] = {edge_program(g), "-DFOREGROUND", "-f", conf, NULL};
	return out < 0 ? -1 : edge_spawn(g, argv, out, e);
}

static pid_t test(struct edge *g, enum edge_test what, struct err *e)
{
	char conf[320];
	if (edge_join(conf, sizeof(conf), g->roots.edge,
		what == EDGE_TEST_ALL ? "/apache.conf" : "/test/apache.conf") < 0)
		return err_set(e, ERR_SETTINGS, "edge directory is too long");
	CLEANUP_FD int out = edge_output_open(g, e);
	const char *const argv[] = {edge_program(g), "-t", "-f", conf, NULL};
	return out < 0 ? -1 : edge_spawn(g, argv, out, e);
}

/* "[date] [module:emerg] [pid 7:tid 7] AH02572: Failed …" -> "AH02572: Failed …" */
static struct str message(struct str line)
{
	size_t at;
	while (str_starts(line, STR("[")) && (at = str_find(line, ']', 0)) != SIZE_MAX)
		line = str_trim(str_from(line, at + 1));
	return line;
}

/* A refusal is two lines, "AH00526: Syntax error on line 3 of FILE:" and what is wrong there; what
 * goes wrong later is one. Lines without a date are said before there is a log. */
static bool is_complaint(struct str line)
{
	return str_contains(line, STR(":emerg]")) ||
	       (!str_starts(line, STR("[")) && str_contains(line, STR("AH0")));
}

static bool complaint(struct str text, char *out, size_t size)
{
	char both[400];
	struct str line, next = STR_NONE;
	while (text.n > 0 && str_next(&text, '\n', &line)) {
		bool syntax = str_contains(line, STR("Syntax error on line "));
		if (!syntax && !is_complaint(line))
			continue;
		if (syntax && text.n > 0)
			(void)str_next(&text, '\n', &next);
		line = message(line);
		(void)snprintf(both, sizeof(both), "%.*s%s%.*s", STR_ARG(line), next.n ? " " : "",
		    STR_ARG(next));
		log_escape_text(str_c(both), out, size);
		return true;
	}
	return false;
}

const struct edge_server edge_apache = {
    .name = "Apache",
    .package = "apache2-bin",
    .vhosts = "apache",
    .unit = "slipway-edge-apache.service",
    .test_units = {[EDGE_TEST_ONE] = "slipway-edge-apache-test@test-apache.conf.service",
	[EDGE_TEST_ALL] = "slipway-edge-apache-test@apache.conf.service"},
    .reload = SIGUSR1,
    .reopen = SIGUSR1,
    .quit = SIGWINCH,
    .orphans = SIGKILL, /* they hear no other one without their master */
    .tests_all = true,
    .master_reads = true,
    .files = {{"apache.conf", render_apache_main, EDGE_IN_TOP},
	{"common.conf", render_apache_common, EDGE_IN_TOP},
	{"platform.conf", render_apache_platform, EDGE_IN_TOP},
	{"server.conf", render_apache_server, EDGE_IN_TOP},
	{"tls.conf", render_apache_tls, EDGE_IN_TOP},
	{"secure.conf", render_apache_secure, EDGE_IN_TOP},
	{"strict.conf", render_apache_strict, EDGE_IN_TOP},
	{"apache.conf", render_apache_skeleton, EDGE_IN_TEST},
	{"server.conf", render_apache_server, EDGE_IN_TEST},
	{"tls.conf", render_apache_tls, EDGE_IN_TEST},
	{"secure.conf", render_apache_secure, EDGE_IN_TEST},
	{"strict.conf", render_apache_strict, EDGE_IN_TEST}},
    .vhost = render_apache_vhost,
    .write_generation = write_generation,
    .keep_old = keep_old,
    .forget_old = forget_old,
    .is_new = is_new,
    .is_old = is_old,
    .drop_new = drop_new,
    .start = start,
    .test = test,
    .complaint = complaint,
};
