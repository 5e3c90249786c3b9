/* The web server: nginx or Apache of our own. The distribution's serves its welcome page on the port
 * that projects are to have; it is stopped when that is all it does, and comes back at the end. */
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

/* What the distribution has, each as it comes. */
static const struct theirs {
	const char *name, *unit;
	const char *sites, *welcome; /* its folder of sites, and the one that is there at first */
	const char *more;	     /* a folder that is empty at first, or NULL */
	const char *note; /* in the settings' folder: that we stopped it, so that the end knows */
} servers[] = {
    {"nginx", "nginx.service", "/etc/nginx/sites-enabled", "default", "/etc/nginx/conf.d",
	"nginx-was-enabled"},
    {"Apache", "apache2.service", "/etc/apache2/sites-enabled", "000-default.conf", NULL,
	"apache2-was-enabled"},
};
#define SERVERS (sizeof(servers) / sizeof(*servers))

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

/* Ours, of either kind. */
static int edge_runs(bool *ret, struct err *e)
{
	if (is_active("slipway-edge.service", ret, e) != 0)
		return -1;
	return *ret ? 0 : is_active("slipway-edge-apache.service", ret, e);
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

static int find_program(const struct setup *s, struct err *e)
{
	bool apache = strcmp(s->edge, "apache") == 0;
	const char *program = apache ? "/usr/sbin/apache2" : "/usr/sbin/nginx";
	if (access(program, X_OK) == 0)
		return 0;
	err_set(e, ERR_UNAVAILABLE, "there is no %s", program);
	return err_hint(e, apache ? "apt install apache2-bin"
				  : "apt install nginx-light, or use Apache (apache2-bin): slipway "
				    "setup --edge apache");
}

/* The distribution's that runs; NULL: none. */
static int find_theirs(const struct theirs **ret, struct err *e)
{
	*ret = NULL;
	for (size_t i = 0; i < SERVERS && !*ret; i++) {
		bool active = false;
		if (is_active(servers[i].unit, &active, e) != 0)
			return -1;
		if (active)
			*ret = &servers[i];
	}
	return 0;
}

static int port_taken(uint16_t port, const char *hint, struct err *e)
{
	err_set(e, ERR_CONFLICT, "another program listens on port %u", port);
	return err_hint(e, "%s", hint);
}

int setup_web_look(struct setup *s, enum setup_state *ret, char *words, struct err *e)
{
	bool ours = false;
	const struct theirs *theirs;
	*ret = SETUP_DONE;
	(void)snprintf(words, SETUP_WORDS_SIZE, "%s of our own, on %s:%u",
	    strcmp(s->edge, "apache") == 0 ? "Apache" : "nginx", s->address, s->http_port);
	if (find_program(s, e) != 0 || is_active("slipway-helper.service", &ours, e) != 0 ||
	    find_theirs(&theirs, e) != 0)
		return -1;
	if (ours && !theirs)
		return 0;
	/* What holds the port may be our own. */
	if (s->http_port == s->settled_port && edge_runs(&ours, e) != 0)
		return -1;
	if (s->http_port == s->settled_port && ours)
		return 0;
	if (s->https_port && !port_is_free(s, s->https_port) && !theirs)
		return port_taken(s->https_port,
		    "end it (ss -ltnp shows it), or choose another port with --https, or none", e);
	if (port_is_free(s, s->http_port))
		return 0;
	if (!theirs)
		return port_taken(s->http_port,
		    "end it (ss -ltnp shows it), or choose another port with --http", e);
	if (!holds_only(theirs->sites, theirs->welcome) ||
	    (theirs->more && !holds_only(theirs->more, ""))) {
		err_set(e, ERR_CONFLICT, "this machine's %s serves sites of yours on port %u",
		    theirs->name, s->http_port);
		return err_hint(e, "choose another port with --http and let it pass requests on");
	}
	*ret = SETUP_TO_DO;
	(void)snprintf(words, SETUP_WORDS_SIZE,
	    "stop and disable %s, which shows only its welcome page; one of our own takes %s:%u",
	    theirs->unit, s->address, s->http_port);
	return 0;
}

int setup_web_make(struct setup *s, struct err *e)
{
	(void)s;
	const struct theirs *theirs;
	if (find_theirs(&theirs, e) != 0)
		return -1;
	if (!theirs)
		return 0;
	const char *const argv[] = {
	    "/usr/bin/systemctl", "--quiet", "disable", "--now", theirs->unit, NULL};
	CLEANUP_FD int dir = setup_dir(SETUP_CONF_DIR);
	if (fs_write_atomic(dir, theirs->note, "", 0, 0644, e) != 0)
		return -1;
	return setup_tool(argv, e);
}

int setup_web_undo(struct setup *s, char *words, struct err *e)
{
	(void)s;
	(void)e;
	CLEANUP_FD int dir = setup_dir(SETUP_CONF_DIR);
	for (size_t i = 0; i < SERVERS && dir >= 0; i++) {
		const char *const argv[] = {
		    "/usr/bin/systemctl", "--quiet", "enable", "--now", servers[i].unit, NULL};
		struct err why;
		if (faccessat(dir, servers[i].note, F_OK, 0) != 0)
			continue;
		if (setup_tool(argv, &why) != 0)
			(void)snprintf(words, SETUP_WORDS_SIZE, "%s did not come back: %.300s",
			    servers[i].unit, why.msg);
		else
			(void)snprintf(
			    words, SETUP_WORDS_SIZE, "%s runs again, as before", servers[i].unit);
	}
	return 0;
}
