/* The distribution's nginx serves its welcome page on the port that projects are to have. It is
 * stopped when that is all it does, and comes back at the end. */
#include "setup/parts.h"

#include "base/fs.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* In the settings' folder: that we stopped it, so that the end knows. */
#define NOTE "nginx-was-enabled"

static bool port_is_free(const struct setup *s, uint16_t port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
	int on = 1;
	CLEANUP_FD int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	return inet_pton(AF_INET, s->address, &a.sin_addr) == 1 &&
	       bind(fd, (const struct sockaddr *)&a, sizeof(a)) == 0 && listen(fd, 1) == 0;
}

static int is_active(const char *unit, bool *ret, struct err *e)
{
	const char *const argv[] = {"/usr/bin/systemctl", "is-active", "--quiet", unit, NULL};
	int status = 1;
	if (setup_ask(argv, &status, e) != 0)
		return -1;
	*ret = status == 0;
	return 0;
}

/* Whether a folder holds only entries named in `known`. */
static bool holds_only(const char *path, const char *known)
{
	int fd = setup_dir(path);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	bool only = true;
	for (struct dirent *entry; d && only && (entry = readdir(d));)
		only = entry->d_name[0] == '.' || strcmp(entry->d_name, known) == 0;
	if (d)
		(void)closedir(d);
	return only;
}

int setup_nginx_look(struct setup *s, enum setup_state *ret, char *words, struct err *e)
{
	bool ours = false, theirs = false;
	*ret = SETUP_DONE;
	(void)snprintf(
	    words, SETUP_WORDS_SIZE, "nginx of our own, on %s:%u", s->address, s->http_port);
	if (access("/usr/sbin/nginx", X_OK) != 0) {
		err_set(e, ERR_UNAVAILABLE, "there is no /usr/sbin/nginx");
		return err_hint(e, "apt install nginx-light");
	}
	if (is_active("slipway-helper.service", &ours, e) != 0 ||
	    is_active("nginx.service", &theirs, e) != 0)
		return -1;
	if (ours && !theirs)
		return 0;
	if (s->https_port && !port_is_free(s, s->https_port) && !theirs) {
		err_set(e, ERR_CONFLICT, "another program listens on port %u", s->https_port);
		return err_hint(
		    e, "end it (ss -ltnp shows it), or choose another port with --https, or none");
	}
	if (port_is_free(s, s->http_port))
		return 0;
	if (!theirs) {
		err_set(e, ERR_CONFLICT, "another program listens on port %u", s->http_port);
		return err_hint(
		    e, "end it (ss -ltnp shows it), or choose another port with --http");
	}
	if (!holds_only("/etc/nginx/sites-enabled", "default") ||
	    !holds_only("/etc/nginx/conf.d", "")) {
		err_set(e, ERR_CONFLICT, "this machine's nginx serves sites of yours on port %u",
		    s->http_port);
		return err_hint(
		    e, "choose another port with --http and let nginx pass requests on");
	}
	*ret = SETUP_TO_DO;
	(void)snprintf(words, SETUP_WORDS_SIZE,
	    "stop and disable nginx.service, which shows only its welcome page; one of our own "
	    "takes "
	    "%s:%u",
	    s->address, s->http_port);
	return 0;
}

int setup_nginx_make(struct setup *s, struct err *e)
{
	(void)s;
	const char *const argv[] = {
	    "/usr/bin/systemctl", "--quiet", "disable", "--now", "nginx.service", NULL};
	CLEANUP_FD int dir = setup_dir(SETUP_CONF_DIR);
	if (fs_write_atomic(dir, NOTE, "", 0, 0644, e) != 0)
		return -1;
	return setup_tool(argv, e);
}

int setup_nginx_undo(struct setup *s, char *words, struct err *e)
{
	(void)s;
	const char *const argv[] = {
	    "/usr/bin/systemctl", "--quiet", "enable", "--now", "nginx.service", NULL};
	if (access(SETUP_CONF_DIR "/" NOTE, F_OK) != 0)
		return 0;
	struct err why;
	if (setup_tool(argv, &why) != 0)
		(void)snprintf(
		    words, SETUP_WORDS_SIZE, "nginx.service did not come back: %.300s", why.msg);
	else
		(void)snprintf(words, SETUP_WORDS_SIZE, "nginx.service runs again, as before");
	(void)e;
	return 0;
}
