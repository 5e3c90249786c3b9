/* Slipway's units: enabled and running, or gone. */
#include "setup/parts.h"

#include "base/clock.h"
#include "base/fs.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define ANSWER_MS 30000

static const char *const units[] = {"slipway-helper.service", "slipwayd.socket",
    "slipwayd-edge.socket", "slipwayd-http.socket", "slipwayd.service", "slipway-audit.timer"};
enum { UNIT_COUNT = sizeof(units) / sizeof(*units) };

/* systemctl VERB [--quiet] UNIT… */
static void fill(const char *argv[UNIT_COUNT + 5], const char *verb, const char *option)
{
	size_t n = 0;
	argv[n++] = "/usr/bin/systemctl";
	argv[n++] = verb;
	argv[n++] = "--quiet";
	if (option)
		argv[n++] = option;
	for (size_t i = 0; i < UNIT_COUNT; i++)
		argv[n++] = units[i];
	argv[n] = NULL;
}

static int all_are(const char *verb, bool *ret, struct err *e)
{
	*ret = true;
	for (size_t i = 0; i < UNIT_COUNT && *ret; i++) {
		const char *const argv[] = {"/usr/bin/systemctl", verb, "--quiet", units[i], NULL};
		int status = 0;
		if (setup_ask(argv, &status, e) != 0)
			return -1;
		*ret = status == 0;
	}
	return 0;
}

int setup_services_look(struct setup *s, enum setup_state *ret, char *words, struct err *e)
{
	bool active, enabled;
	(void)s;
	if (all_are("is-active", &active, e) != 0 || all_are("is-enabled", &enabled, e) != 0)
		return -1;
	*ret = active && enabled ? SETUP_DONE : SETUP_TO_DO;
	(void)snprintf(words, SETUP_WORDS_SIZE,
	    "slipwayd, its sockets and slipway-helper, running now and after each boot");
	return 0;
}

/* Whether somebody serves behind the socket, not only systemd: a request is answered. */
static bool answers(void)
{
	static const char request[] = "GET /health HTTP/1.0\r\n\r\n";
	struct sockaddr_un a = {.sun_family = AF_UNIX, .sun_path = SETUP_RUN_DIR "/api.sock"};
	struct timeval limit = {.tv_sec = ANSWER_MS / 1000};
	char head[16];
	CLEANUP_FD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	return connect(fd, (const struct sockaddr *)&a, sizeof(a)) == 0 &&
	       send(fd, request, sizeof(request) - 1, MSG_NOSIGNAL) > 0 &&
	       recv(fd, head, sizeof(head), MSG_WAITALL) == sizeof(head) &&
	       memcmp(head + 8, " 200 ", 5) == 0;
}

/* The web server is started by the helper, a moment after the daemon answers. 0.0.0.0 connects to
 * this machine. */
static bool web_listens(const struct setup *s)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(s->http_port)};
	CLEANUP_FD int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	return inet_pton(AF_INET, s->address, &a.sin_addr) == 1 &&
	       connect(fd, (const struct sockaddr *)&a, sizeof(a)) == 0;
}

int setup_services_make(struct setup *s, struct err *e)
{
	const char *const reload[] = {"/usr/bin/systemctl", "daemon-reload", NULL};
	/* Sockets stay: systemd holds them, and nobody who knocks meanwhile is turned away. */
	const char *const stop[] = {"/usr/bin/systemctl", "stop", "--quiet", "slipwayd.service",
	    "slipway-helper.service", NULL};
	const char *enable[UNIT_COUNT + 5], *start[UNIT_COUNT + 5];
	fill(enable, "enable", NULL);
	fill(start, "start", NULL);
	if (setup_tool(reload, e) != 0 || (s->restart && setup_tool(stop, e) != 0) ||
	    setup_tool(enable, e) != 0 || setup_tool(start, e) != 0)
		return -1;
	int64_t until = clock_mono_ms() + ANSWER_MS;
	while (!answers() || !web_listens(s)) {
		if (clock_mono_ms() > until) {
			err_set(e, ERR_TIMEOUT, "slipwayd or its web server does not answer");
			return err_hint(e, "journalctl -u slipwayd -u slipway-helper -u 'slipway-edge*' says why");
		}
		usleep(100000);
	}
	s->restart = false;
	return 0;
}

int setup_services_undo(struct setup *s, char *words, struct err *e)
{
	bool active, enabled;
	const char *argv[UNIT_COUNT + 5];
	(void)s;
	if (all_are("is-active", &active, e) != 0 || all_are("is-enabled", &enabled, e) != 0)
		return -1;
	fill(argv, "disable", "--now");
	/* systemd's note of when the timer ran last. */
	const char *const clean[] = {
	    "/usr/bin/systemctl", "clean", "--what=state", "slipway-audit.timer", NULL};
	/* They serve on without the helper. */
	const char *const edge[] = {"/usr/bin/systemctl", "stop", "--quiet", "slipway-edge.service",
	    "slipway-edge-apache.service", NULL};
	int ignored;
	if (setup_tool(argv, e) != 0 || setup_tool(edge, e) != 0 ||
	    setup_ask(clean, &ignored, e) != 0)
		return -1;
	if (active || enabled)
		(void)snprintf(words, SETUP_WORDS_SIZE,
		    "stopped and disabled: slipwayd, its sockets, slipway-helper, the web server");
	return 0;
}
