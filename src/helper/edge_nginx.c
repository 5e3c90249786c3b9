/* nginx. Its master keeps the old configuration when it cannot read the new one. A generation is a
 * socket in the edge's directory: the master takes the old one's name away, so a second name is kept
 * by which the old workers can still be asked. */
#include "helper/edge_state.h"

#include "base/fs.h"
#include "base/log.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static void socket_name(char out[40], uint32_t generation)
{
	(void)snprintf(out, 40, "edge.%u.sock", generation);
}

static bool answers(struct edge *g, const char *socket_name)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int n = snprintf(a.sun_path, sizeof(a.sun_path), "%s/%s", g->roots.edge, socket_name);
	if (n < 0 || (size_t)n >= sizeof(a.sun_path))
		return false;
	CLEANUP_FD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	/* EAGAIN: the backlog is full, so somebody listens */
	return fd >= 0 &&
	       (connect(fd, (const struct sockaddr *)&a, sizeof(a)) == 0 || errno == EAGAIN);
}

static int write_generation(struct edge *g, struct err *e)
{
	char text[512];
	long n = render_nginx_generation(&g->fields, g->generation, text, sizeof(text), e);
	return n < 0 ? -1 : fs_write_atomic(g->dir, "generation.conf", text, (size_t)n, 0644, e);
}

static int keep_old(struct edge *g, struct err *e)
{
	char active[40];
	socket_name(active, g->active);
	(void)unlinkat(g->dir, "edge.old.sock", 0);
	if (linkat(g->dir, active, g->dir, "edge.old.sock", 0) == 0 || errno == ENOENT)
		return 0;
	return err_sys(e, ERR_IO, errno, "could not keep sight of the workers before");
}

static void forget_old(struct edge *g)
{
	(void)unlinkat(g->dir, "edge.old.sock", 0);
}

static bool is_new(struct edge *g)
{
	char fresh[40];
	socket_name(fresh, g->generation);
	return answers(g, fresh);
}

static bool is_old(struct edge *g)
{
	return answers(g, "edge.old.sock");
}

static void drop_new(struct edge *g)
{
	char fresh[40];
	socket_name(fresh, g->generation);
	(void)unlinkat(g->dir, fresh, 0);
}

static pid_t start(struct edge *g, struct err *e)
{
	char conf[320], log[320];
	if (edge_join(conf, sizeof(conf), g->roots.edge, "/nginx.conf") < 0 ||
	    edge_join(log, sizeof(log), g->roots.edge, "/log/error.log") < 0)
		return err_set(e, ERR_SETTINGS, "edge directory is too long");
	CLEANUP_FD int out = edge_log_open(g, e);
	const char *const argv[] = {
	    edge_program(g), "-e", log, "-p", g->roots.edge, "-c", conf, NULL};
	return out < 0 ? -1 : edge_spawn(g, argv, out, e);
}

static pid_t test(struct edge *g, enum edge_test what, struct err *e)
{
	static const char *const below[] = {
	    [EDGE_TEST_ONE] = "/test", [EDGE_TEST_SITES] = "/whole", [EDGE_TEST_ALL] = ""};
	char conf[320], prefix[320];
	if (edge_join(prefix, sizeof(prefix), g->roots.edge, below[what]) < 0 ||
	    edge_join(conf, sizeof(conf), prefix, "/nginx.conf") < 0)
		return err_set(e, ERR_SETTINGS, "edge directory is too long");
	(void)unlinkat(g->test, "test.sock", 0);
	CLEANUP_FD int out = edge_output_open(g, e);
	const char *const argv[] = {
	    edge_program(g), "-q", "-t", "-e", "stderr", "-p", prefix, "-c", conf, NULL};
	return out < 0 ? -1 : edge_spawn(g, argv, out, e);
}

/* "… [emerg] 12#12: unknown directive …" -> "unknown directive …" */
static struct str complaint_text(struct str line)
{
	size_t at = 0;
	while (at < line.n && !str_starts(str_from(line, at), STR("[emerg]")))
		at++;
	struct str text = str_trim(str_from(line, at + strlen("[emerg]")));
	size_t colon = str_find(text, ':', 0);
	size_t digits = 0;
	while (digits < text.n &&
	       ((text.p[digits] >= '0' && text.p[digits] <= '9') || text.p[digits] == '#'))
		digits++;
	return colon != SIZE_MAX && colon > 0 && digits == colon
		   ? str_trim(str_from(text, colon + 1))
		   : text;
}

static bool complaint(struct str text, char *out, size_t size)
{
	struct str line;
	while (text.n > 0 && str_next(&text, '\n', &line)) {
		if (!str_contains(line, STR("[emerg]")))
			continue;
		log_escape_text(complaint_text(line), out, size);
		return true;
	}
	return false;
}

const struct edge_server edge_nginx = {
    .name = "nginx",
    .package = "nginx-light",
    .vhosts = "vhosts",
    .unit = "slipway-edge.service",
    .test_units = {[EDGE_TEST_ONE] = "slipway-edge-test@test.service",
	[EDGE_TEST_SITES] = "slipway-edge-test@whole.service"},
    .reload = SIGHUP,
    .reopen = SIGUSR1,
    .quit = SIGQUIT,
    .orphans = SIGQUIT, /* they finish what they serve and go */
    .files = {{"nginx.conf", render_nginx_main, EDGE_IN_TOP},
	{"common.conf", render_nginx_common, EDGE_IN_TOP},
	{"server.conf", render_nginx_server, EDGE_IN_TOP},
	{"plain.conf", render_nginx_plain, EDGE_IN_TOP},
	{"secure.conf", render_nginx_secure, EDGE_IN_TOP},
	{"strict.conf", render_nginx_strict, EDGE_IN_TOP},
	{"pages.conf", render_nginx_pages, EDGE_IN_TOP},
	{"platform.conf", render_nginx_platform, EDGE_IN_TOP},
	{"challenge.conf", render_nginx_challenge, EDGE_IN_TOP},
	{"nginx.conf", render_nginx_whole, EDGE_IN_WHOLE},
	{"nginx.conf", render_nginx_skeleton, EDGE_IN_TEST},
	{"server.conf", render_nginx_skeleton_server, EDGE_IN_TEST},
	{"plain.conf", render_nginx_skeleton_server, EDGE_IN_TEST},
	{"secure.conf", render_nginx_skeleton_server, EDGE_IN_TEST},
	{"strict.conf", render_nginx_skeleton_server, EDGE_IN_TEST}},
    .vhost = render_nginx_vhost,
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
