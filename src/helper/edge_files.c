/* The edge's directory: rendered files, candidates, what is installed and what it replaced. */
#include "helper/edge_state.h"

#include "base/clock.h"
#include "base/dir.h"
#include "base/fs.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define VHOST_MS 10 /* one is read in 0.2 ms, when nobody else wants the processor */
#define CONF_NAME_SIZE (NAME_PROJECT_MAX + sizeof(".conf"))

static void conf_name(char out[CONF_NAME_SIZE], const char *project)
{
	(void)snprintf(out, CONF_NAME_SIZE, "%.*s.conf", NAME_PROJECT_MAX, project);
}

static void slot_name(char out[24], unsigned slot)
{
	(void)snprintf(out, 24, "job.%u", slot);
}

static void names_name(char out[32], unsigned slot)
{
	(void)snprintf(out, 32, "job.%u.names", slot);
}

/* Plain pages: no project's name, nothing of the platform; they must be true for every visitor. */
static const struct {
	const char *name, *title, *text;
} pages[] = {
    {"404.html", "Not found", "There is nothing at this address."},
    {"413.html", "Too large", "The request is larger than this site accepts."},
    {"502.html", "Not available",
	"The program behind this site does not answer. Try again in a moment."},
    {"503.html", "Not available", "This site is busy. Try again in a moment."},
    {"504.html", "No answer in time", "The program behind this site took too long."},
    {"maintenance.html", "Maintenance", "This site is closed for maintenance and will be back."},
};

static int write_pages(int dir, struct err *e)
{
	char text[1024];
	for (size_t i = 0; i < sizeof(pages) / sizeof(*pages); i++) {
		int n = snprintf(text, sizeof(text),
		    "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n"
		    "<meta name=\"viewport\" content=\"width=device-width\">\n<title>%s</title>\n"
		    "<style>body{font:18px/1.5 system-ui,sans-serif;max-width:32em;margin:20vh "
		    "auto;padding:0 1em}"
		    "</style>\n<h1>%s</h1>\n<p>%s</p>\n</html>\n",
		    pages[i].title, pages[i].title, pages[i].text);
		if (fs_write_atomic(dir, pages[i].name, text, (size_t)n, 0644, e) < 0)
			return -1;
	}
	return 0;
}

static int write_rendered(
    struct edge *g, int dir, const char *name, edge_render_fn *render, struct err *e)
{
	static char text[RENDER_MAIN_TEXT_MAX];
	long n = render(&g->fields, text, sizeof(text), e);
	return n < 0 ? -1 : fs_write_atomic(dir, name, text, (size_t)n, 0644, e);
}

int edge_files_render(struct edge *g, const char *name, struct err *e)
{
	const int dirs[] = {
	    [EDGE_IN_TOP] = g->dir, [EDGE_IN_TEST] = g->test, [EDGE_IN_WHOLE] = g->whole};
	for (const struct edge_file *f = g->server->files;
	     f < g->server->files + EDGE_FILES_MAX && f->name; f++)
		if ((!name || strcmp(name, f->name) == 0) &&
		    write_rendered(g, dirs[f->where], f->name, f->render, e) < 0)
			return -1;
	return 0;
}

int edge_files_generation(struct edge *g, struct err *e)
{
	g->generation++;
	return g->server->write_generation(g, e);
}

void edge_files_clean_sockets(struct edge *g)
{
	struct dir d CLEANUP_DIR;
	dir_open(&d, g->dir);
	for (const struct dirent64 *at; (at = dir_next(&d));) {
		struct str name = str_c(at->d_name);
		if (str_starts(name, STR("edge.")) && str_ends(name, STR(".sock")))
			(void)unlinkat(g->dir, at->d_name, 0);
	}
}

static const char *const log_names[] = {"log/access.log", "log/error.log"};
#define LOG_COUNT (sizeof(log_names) / sizeof(*log_names))

/* The folder is the helper's: a taken-over worker must not put a link where root's master opens a
 * log. The files are made here, nginx's worker's to append to (Apache's get them from the master),
 * the daemon's to read, and nobody else's. */
static int make_log(struct edge *g, const char *name, struct err *e)
{
	CLEANUP_FD int fd =
	    openat(g->dir, name, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0640);
	uid_t owner = g->server->master_reads ? 0 : g->o.web_uid;
	if (fd < 0 || fchmod(fd, 0640) < 0 ||
	    (g->o.web_user && fchown(fd, owner, g->o.log_gid) < 0))
		return err_sys(e, ERR_IO, errno, "could not make '%s' of the edge", name);
	return 0;
}

static int make_logs(struct edge *g, struct err *e)
{
	CLEANUP_FD int log = fs_dir(g->dir, "log", 0751, e);
	if (log < 0)
		return -1;
	if (g->o.web_user && (fchown(log, 0, g->o.log_gid) < 0 || fchmod(log, 0751) < 0))
		return err_sys(e, ERR_IO, errno, "could not give the edge's log directory away");
	for (size_t i = 0; i < LOG_COUNT; i++)
		if (make_log(g, log_names[i], e) < 0)
			return -1;
	return 0;
}

/* As root: from the edge's directory up to the top only root may rename what lies there. */
static int check_ownership(const struct edge *g, struct err *e)
{
	struct stat st, above;
	CLEANUP_FD int at = dup(g->dir);
	if (geteuid() != 0)
		return 0;
	for (unsigned depth = 0; depth < 64; depth++) {
		int up = at < 0 || fstat(at, &st) < 0
			     ? -1
			     : openat(at, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (up < 0 || fstat(up, &above) < 0) {
			err_sys(e, ERR_IO, errno, "could not look above the edge's directory");
			fs_close_fd(&up);
			return -1;
		}
		if (st.st_uid != 0 || ((st.st_mode & 022) && !(st.st_mode & S_ISVTX))) {
			fs_close_fd(&up);
			err_set(e, ERR_SETTINGS,
			    "edge directory '%.200s' can be replaced by somebody who is not root",
			    g->o.edge_dir);
			return err_hint(e, "it and each directory above it must be root's, and "
					   "writable for others only with the sticky bit");
		}
		fs_close_fd(&at);
		at = up;
		if (st.st_ino == above.st_ino && st.st_dev == above.st_dev)
			return 0;
	}
	return err_set(e, ERR_SETTINGS, "edge directory lies too deep");
}

/* What nginx's workers read when somebody comes is theirs to read; installed keys are not, and none
 * is Apache's workers'. New files in self/ take its group. The test of a vhost that names one finds
 * it by a link. */
static int make_cert_dirs(struct edge *g, struct err *e)
{
	mode_t mode = g->server->master_reads ? 02700 : 02750;
	g->certs = fs_dir(g->dir, "certs", 0711, e);
	g->self = g->certs < 0 ? -1 : fs_dir(g->certs, "self", 02750, e);
	g->test_certs = g->self < 0 ? -1 : fs_dir(g->test, "certs", 0700, e);
	if (g->test_certs < 0)
		return -1;
	if ((g->o.web_user && fchown(g->self, 0, g->o.web_gid) < 0) || fchmod(g->self, mode) < 0)
		return err_sys(e, ERR_IO, errno, "could not give the edge's certificates away");
	return fs_link_swap(g->test_certs, "self", "../../certs/self", e);
}

static void forget_leftovers(int dir)
{
	struct dir d CLEANUP_DIR;
	dir_open(&d, dir);
	for (const struct dirent64 *at; (at = dir_next(&d));)
		if (at->d_type == DT_REG)
			(void)unlinkat(dir, at->d_name, 0);
}

/* Vhosts of the server that was chosen before: this one cannot read them, and the daemon names each
 * project's again. */
static void forget_others(struct edge *g)
{
	const struct edge_server *other = g->server == &edge_nginx ? &edge_apache : &edge_nginx;
	CLEANUP_FD int dir =
	    openat(g->dir, other->vhosts, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dir < 0)
		return;
	forget_leftovers(dir);
	(void)unlinkat(g->dir, other->vhosts, AT_REMOVEDIR);
}

static int make_dirs(struct edge *g, struct err *e)
{
	static const char *const more[] = {"tmp", "test/tmp"};
	if (fs_mkdirs(g->o.edge_dir, 0755, e) < 0)
		return -1;
	g->dir = open(g->o.edge_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	g->run = open(g->o.run_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (g->dir < 0 || g->run < 0)
		return err_sys(e, ERR_IO, errno, "could not open the edge's or the run directory");
	if (check_ownership(g, e) < 0)
		return -1;
	if (fchmod(g->dir, 0755) < 0)
		return err_sys(e, ERR_IO, errno, "could not set the mode of the edge's directory");
	forget_others(g);
	g->vhosts = fs_dir(g->dir, g->server->vhosts, 0755, e);
	g->undo = g->vhosts < 0 ? -1 : fs_dir(g->dir, "undo", 0755, e);
	g->test = g->undo < 0 ? -1 : fs_dir(g->dir, "test", 0755, e);
	if (g->test < 0)
		return -1;
	for (size_t i = 0; i < sizeof(more) / sizeof(*more); i++) {
		CLEANUP_FD int fd = fs_dir(g->dir, more[i], 0755, e);
		if (fd < 0)
			return -1;
	}
	if (make_cert_dirs(g, e) < 0)
		return -1;
	if (edge_sites_prepare(g, e) < 0)
		return -1;
	CLEANUP_FD int page_dir = fs_dir(g->dir, "pages", 0755, e);
	return page_dir < 0 || write_pages(page_dir, e) < 0 ? -1 : make_logs(g, e);
}

/* Paths as the configuration names them. A clone may lie anywhere and be called anything: its
 * projects are named through RUN/.p, and, when not root, the edge's directory through RUN/.e if its
 * own path is not plain. As root that link would let whoever owns RUN choose root's configuration,
 * so there the path itself must be plain. */
static int make_paths(struct edge *g, struct err *e)
{
	const char *run = g->o.run_dir;
	if (render_path_check("run directory", run, e) < 0)
		return -1;
	if (strlen(run) > EDGE_RUN_DIR_MAX)
		return err_set(e, ERR_SETTINGS, "run directory '%s' is longer than %u bytes", run,
		    EDGE_RUN_DIR_MAX);
	if (fs_link_swap(g->run, ".p", g->o.projects_dir, e) < 0)
		return -1;
	bool plain = strlen(g->o.edge_dir) <= RENDER_EDGE_PATH_MAX &&
		     render_path_check("edge directory", g->o.edge_dir, e) == 0;
	if (!plain && geteuid() == 0)
		return err_set(e, ERR_SETTINGS,
		    "edge directory '%.200s' is too long, or not of letters, digits, '.', '_', '-'",
		    g->o.edge_dir);
	if (!plain && fs_link_swap(g->run, ".e", g->o.edge_dir, e) < 0)
		return -1;
	(void)snprintf(g->projects_path, sizeof(g->projects_path), "%s/.p", run);
	if (plain)
		(void)snprintf(g->edge_path, sizeof(g->edge_path), "%s", g->o.edge_dir);
	else
		(void)snprintf(g->edge_path, sizeof(g->edge_path), "%s/.e", run);
	if (g->o.api_socket)
		(void)snprintf(g->api_socket, sizeof(g->api_socket), "%s", g->o.api_socket);
	else
		(void)snprintf(g->api_socket, sizeof(g->api_socket), "%s/edge-api.sock", run);
	return 0;
}

static void make_fields(struct edge *g)
{
	long processors = sysconf(_SC_NPROCESSORS_ONLN);
	unsigned workers = g->o.workers	    ? g->o.workers
			   : processors < 1 ? 1
			   : processors > 8 ? 8
					    : (unsigned)processors;
	g->roots = (struct render_roots){
	    .projects = g->projects_path, .run = g->o.run_dir, .edge = g->edge_path};
	g->fields = (struct render_edge){
	    .roots = &g->roots,
	    .http_port = g->o.http_port,
	    .https_port = g->o.https_port,
	    .preset = g->o.preset,
	    .address = g->o.address,
	    .ipv6 = edge_has_ipv6(g),
	    .user = g->o.web_user,
	    .workers = workers,
	    .trusted_proxies = g->o.trusted_proxies ? g->o.trusted_proxies : "",
	    .platform_host = g->o.platform_host ? g->o.platform_host : "slipway.localhost",
	    .api_socket = g->api_socket,
	};
}

int edge_files_prepare(struct edge *g, struct err *e)
{
	if (g->dir < 0 && (make_dirs(g, e) < 0 || make_paths(g, e) < 0)) {
		int *const fds[] = {&g->dir, &g->run, &g->vhosts, &g->undo, &g->test, &g->certs,
		    &g->self, &g->test_certs, &g->sites, &g->staged, &g->site_certs, &g->whole,
		    &g->whole_sites};
		for (size_t i = 0; i < sizeof(fds) / sizeof(*fds); i++)
			fs_close_fd(fds[i]);
		return -1;
	}
	make_fields(g);
	bool busy = false;
	for (unsigned i = 0; i < EDGE_JOBS_MAX; i++)
		busy = busy || g->jobs[i].state != EDGE_JOB_FREE;
	if (!busy) {
		forget_leftovers(g->test);
		forget_leftovers(g->test_certs);
		forget_leftovers(g->undo);
	}
	if (edge_cert_prepare(g, e) < 0)
		return -1;
	edge_own_look(g);
	if (edge_files_render(g, NULL, e) < 0)
		return -1;
	if (!g->adopting)
		edge_files_clean_sockets(g);
	/* A master that is still ending removes its own socket's name; so no two masters of one
	 * boot share a generation, whichever helper started them. */
	g->generation = (uint32_t)clock_mono_ms();
	return edge_files_generation(g, e);
}

bool edge_files_installed(struct edge *g, const char *project)
{
	char name[CONF_NAME_SIZE];
	struct stat st;
	conf_name(name, project);
	return fstatat(g->vhosts, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

int64_t edge_files_patience_ms(struct edge *g, int64_t least_ms)
{
	struct dir d CLEANUP_DIR;
	int64_t count = 0;
	dir_open(&d, g->vhosts);
	while (dir_next(&d))
		count++;
	return least_ms + count * VHOST_MS;
}

bool edge_files_same(struct edge *g, const char *project, const char *text, size_t n)
{
	static char have[RENDER_VHOST_TEXT_MAX];
	char name[CONF_NAME_SIZE];
	conf_name(name, project);
	CLEANUP_FD int fd = openat(g->vhosts, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	ssize_t got = fd < 0 ? -1 : read(fd, have, sizeof(have));
	return got >= 0 && (size_t)got == n && memcmp(have, text, n) == 0;
}

int edge_files_candidate(struct edge *g, unsigned slot, const char *text, size_t n, struct err *e)
{
	char name[24];
	slot_name(name, slot);
	return fs_write_atomic(g->test, name, text, n, 0644, e);
}

int edge_files_names(struct edge *g, unsigned slot, struct str names, struct err *e)
{
	char name[32];
	names_name(name, slot);
	return fs_write_atomic(g->test, name, names.p, names.n, 0600, e);
}

int edge_files_names_open(struct edge *g, unsigned slot, struct err *e)
{
	char name[32];
	names_name(name, slot);
	int fd = openat(g->test, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	return fd >= 0 ? fd : err_sys(e, ERR_IO, errno, "could not open a list of names");
}

int edge_files_try(struct edge *g, unsigned slot, struct err *e)
{
	char name[24];
	if (g->jobs[slot].sites)
		return edge_sites_try(g, &g->jobs[slot], e);
	if (edge_pair_try(g, &g->jobs[slot], e) < 0)
		return -1;
	slot_name(name, slot);
	(void)unlinkat(g->test, "candidate.conf", 0);
	if (linkat(g->test, name, g->test, "candidate.conf", 0) < 0)
		return err_sys(e, ERR_IO, errno, "could not put a vhost up for its test");
	return 0;
}

int edge_files_install(struct edge *g, unsigned slot, struct err *e)
{
	struct edge_job *j = &g->jobs[slot];
	char from[24], to[CONF_NAME_SIZE];
	if (j->anew)
		return 0;
	if (j->sites)
		return edge_sites_install(g, j, e);
	if (j->own)
		return edge_own_install(g, j, e);
	slot_name(from, slot);
	conf_name(to, j->project);
	(void)unlinkat(g->undo, to, 0);
	j->had_previous = linkat(g->vhosts, to, g->undo, to, 0) == 0;
	if (!j->had_previous && errno != ENOENT)
		return err_sys(e, ERR_IO, errno, "could not keep the vhost before");
	if (j->has_pair && edge_pair_install(g, j, e) < 0)
		return -1;
	if (j->remove ? unlinkat(g->vhosts, to, 0) < 0 && errno != ENOENT
		      : renameat(g->test, from, g->vhosts, to) < 0) {
		err_sys(e, ERR_IO, errno, "could not install the vhost");
		edge_pair_put_back(g, j);
		return -1;
	}
	if (j->drops && edge_pair_install(g, j, e) < 0) {
		edge_files_put_back(g, slot);
		return -1;
	}
	if (fsync(g->vhosts) < 0) {
		err_sys(e, ERR_IO, errno, "could not make the vhost durable");
		edge_files_put_back(g, slot);
		return -1;
	}
	return 0;
}

void edge_files_put_back(struct edge *g, unsigned slot)
{
	struct edge_job *j = &g->jobs[slot];
	char candidate[24], name[CONF_NAME_SIZE];
	if (j->anew)
		return;
	if (j->sites) {
		edge_sites_put_back(g, j);
		return;
	}
	if (j->own) {
		edge_own_put_back(g, j);
		return;
	}
	slot_name(candidate, slot);
	conf_name(name, j->project);
	edge_pair_put_back(g, j);
	if (!j->remove)
		(void)renameat(g->vhosts, name, g->test, candidate);
	if (j->had_previous)
		(void)renameat(g->undo, name, g->vhosts, name);
	(void)fsync(g->vhosts);
}

void edge_files_settle(struct edge *g, unsigned slot)
{
	char candidate[24], name[CONF_NAME_SIZE];
	char names[32];
	if (g->jobs[slot].anew)
		return;
	if (g->jobs[slot].sites) {
		edge_sites_settle(g, &g->jobs[slot]);
		return;
	}
	if (g->jobs[slot].own) {
		edge_pair_settle(g, g->jobs[slot].project, false);
		return;
	}
	slot_name(candidate, slot);
	names_name(names, slot);
	conf_name(name, g->jobs[slot].project);
	(void)unlinkat(g->test, candidate, 0);
	(void)unlinkat(g->test, names, 0);
	(void)unlinkat(g->undo, name, 0);
	edge_pair_settle(g, g->jobs[slot].project, false);
}

bool edge_files_set_aside(struct edge *g, const char *line)
{
	char vhosts[24];
	(void)snprintf(vhosts, sizeof(vhosts), "/%s/", g->server->vhosts);
	const char *at = strstr(line, vhosts), *cert = strstr(line, "/certs/");
	struct str name = str_c(at ? at + strlen(vhosts) : cert ? cert + strlen("/certs/") : "");
	size_t end = str_find(name, '.', 0);
	struct err ignored;
	char conf[CONF_NAME_SIZE], project[NAME_PROJECT_MAX + 1];
	name = str_slice(name, 0, end == SIZE_MAX ? 0 : end);
	if (name_project(name, &ignored) < 0 || !str_copy(name, project, sizeof(project)))
		return false;
	conf_name(conf, project);
	return renameat(g->vhosts, conf, g->undo, conf) == 0;
}

void edge_files_rotate(struct edge *g)
{
	static const char *const kept[LOG_COUNT] = {"log/access.log.1", "log/error.log.1"};
	struct err ignored; /* the next round tries again */
	bool moved = false;
	for (size_t i = 0; i < LOG_COUNT; i++) {
		struct stat st;
		if (fstatat(g->dir, log_names[i], &st, AT_SYMLINK_NOFOLLOW) < 0 ||
		    st.st_size <= EDGE_LOG_MAX_BYTES ||
		    renameat(g->dir, log_names[i], g->dir, kept[i]) < 0)
			continue;
		moved = make_log(g, log_names[i], &ignored) == 0 || moved;
	}
	if (moved && edge_server_signal(g, g->server->reopen, &ignored) != 0)
		log_event(LOG_WARN, "helper", "edge_logs", F_ERR(&ignored));
}

bool edge_files_complaint(struct edge *g, bool tester, char *out, size_t size)
{
	char text[4096];
	CLEANUP_FD int fd = openat(tester ? g->test : g->dir, tester ? "output" : "log/error.log",
	    O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	ssize_t n = fd < 0 ? -1 : pread(fd, text, sizeof(text), tester ? 0 : g->log_offset);
	return g->server->complaint((struct str){text, n < 0 ? 0 : (size_t)n}, out, size);
}
