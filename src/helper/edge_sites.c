/* Sites of nginx-site projects as part of the edge: what waits in staged/NAME (helper/sites.h) is
 * tested with everything else that is served, then changes places with sites/NAME by one exchange.
 *
 *   sites/NAME/enabled/    included by nginx.conf      snippets/, closed/ beside it: not
 *   whole/                 the configuration as it would be: links to all that is served, sites/NAME
 *                          to what is staged; `nginx -t` runs there
 *   certbot/               what certbot's own configurations include */
#include "helper/edge_state.h"

#include "base/dir.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/site.h"
#include "render/sites.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char options_text[] =
    "# Versions, ciphers and the session cache are the platform's, the same for every site.\n";
/* RFC 7919, ffdhe2048: a group that everybody may know. */
static const char dhparams_text[] =
    "-----BEGIN DH PARAMETERS-----\n"
    "MIIBCAKCAQEA//////////+t+FRYortKmq/cViAnPTzx2LnFg84tNpWp4TZBFGQz\n"
    "+8yTnc4kmz75fS/jY2MMddj2gbICrsRhetPfHtXV/WVhJDP1H18GbtCFY2VVPe0a\n"
    "87VXE15/V8k1mE8McODmi3fipona8+/och3xWKE2rec1MKzKT0g6eXq8CrGCsyT7\n"
    "YdEIqUuyyOP7uWrat2DX9GgdT0Kj3jlN9K5W7edjcrsZCwenyO4KbXCeAvzhzffi\n"
    "7MA0BM0oNC9hkXL+nOmFg/+OTxIy7vKBg8P+OxtMb61zO7X8vC7CIAXFjvGDfRaD\n"
    "ssbzSibBsu/6iGtCOGEoXJf//////////wIBAg==\n"
    "-----END DH PARAMETERS-----\n";

/* ---- folders ---- */

static int make_whole(struct edge *g, struct err *e)
{
	static const char *const links[] = {"common.conf", "server.conf", "plain.conf",
	    "secure.conf", "strict.conf", "pages.conf", "platform.conf", "challenge.conf", "vhosts",
	    "certs", "certbot", "log"};
	char target[40];
	g->whole = fs_dir(g->dir, "whole", 0755, e);
	if (g->whole < 0)
		return -1;
	for (size_t i = 0; i < sizeof(links) / sizeof(*links); i++) {
		(void)snprintf(target, sizeof(target), "../%s", links[i]);
		if (symlinkat(target, g->whole, links[i]) < 0 && errno != EEXIST)
			return err_sys(e, ERR_IO, errno, "could not make the edge's test folder");
	}
	g->whole_sites = fs_dir(g->whole, "sites", 0755, e);
	return g->whole_sites < 0 ? -1 : 0;
}

int edge_sites_prepare(struct edge *g, struct err *e)
{
	g->sites = fs_dir(g->dir, "sites", 0755, e);
	g->staged = g->sites < 0 ? -1 : fs_dir(g->dir, "staged", 0755, e);
	g->site_certs = g->staged < 0 ? -1 : fs_dir(g->certs, "sites", 0700, e);
	if (g->site_certs < 0 || make_whole(g, e) < 0)
		return -1;
	CLEANUP_FD int certbot = fs_dir(g->dir, "certbot", 0755, e);
	return certbot < 0 || fs_write_atomic(certbot, "options-ssl-nginx.conf", options_text,
				  sizeof(options_text) - 1, 0644, e) < 0
		   ? -1
		   : fs_write_atomic(certbot, "ssl-dhparams.pem", dhparams_text,
			 sizeof(dhparams_text) - 1, 0644, e);
}

bool edge_sites_installed(struct edge *g, const char *project)
{
	struct stat st;
	return g->sites >= 0 && fstatat(g->sites, project, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

/* ---- test ---- */

static int link_into_whole(struct edge *g, const char *from, const char *project, struct err *e)
{
	char target[NAME_PROJECT_MAX + 32];
	(void)snprintf(target, sizeof(target), "../../%s/%.*s", from, NAME_PROJECT_MAX, project);
	return symlinkat(target, g->whole_sites, project) == 0
		   ? 0
		   : err_sys(e, ERR_IO, errno, "could not put sites up for their test");
}

static void forget_whole(struct edge *g)
{
	struct dir d CLEANUP_DIR;
	dir_open(&d, g->whole_sites);
	for (const struct dirent64 *at; (at = dir_next(&d));)
		(void)unlinkat(g->whole_sites, at->d_name, 0);
}

int edge_sites_try(struct edge *g, const struct edge_job *j, struct err *e)
{
	struct dir now CLEANUP_DIR;
	forget_whole(g);
	dir_open(&now, g->sites);
	for (const struct dirent64 *at; (at = dir_next(&now));)
		if (strcmp(at->d_name, j->project) != 0 &&
		    link_into_whole(g, "sites", at->d_name, e) < 0)
			return -1;
	return link_into_whole(g, "staged", j->project, e);
}

/* ---- in place ---- */

/* What stands in both places changes places. */
static int exchange(struct edge *g, const char *project)
{
	if (renameat2(g->staged, project, g->sites, project, RENAME_EXCHANGE) == 0)
		return 0;
	if (errno != EINVAL && errno != ENOSYS)
		return -1;
	/* a file system without it: nobody reads before the reload */
	return renameat(g->sites, project, g->undo, project) < 0 ||
		       renameat(g->staged, project, g->sites, project) < 0
		   ? -1
		   : renameat(g->undo, project, g->staged, project);
}

static int move(struct edge *g, const struct edge_job *j, bool back)
{
	if (j->had_previous && !j->remove)
		return exchange(g, j->project);
	return j->remove == back ? renameat(g->staged, j->project, g->sites, j->project)
				 : renameat(g->sites, j->project, g->staged, j->project);
}

/* ---- a site's certificate: next.pem in the place of pair.pem, which is prev.pem until the reload
 * has taken effect ---- */

static int open_site(struct edge *g, const struct edge_job *j)
{
	char path[NAME_PROJECT_MAX + NAME_SITE_MAX + 2];
	(void)snprintf(path, sizeof(path), "%s/%s", j->project, j->site);
	return fs_open_beneath(g->site_certs, path, O_RDONLY | O_DIRECTORY, 0);
}

static int install_cert(struct edge *g, const struct edge_job *j, struct err *e)
{
	CLEANUP_FD int dir = open_site(g, j);
	if (dir < 0)
		return err_sys(e, ERR_NOT_FOUND, errno, "site '%s' is not served", j->site);
	(void)unlinkat(dir, "prev.pem", 0);
	if (linkat(dir, "pair.pem", dir, "prev.pem", 0) < 0 ||
	    renameat(dir, "next.pem", dir, "pair.pem") < 0 || fsync(dir) < 0)
		return err_sys(e, ERR_IO, errno, "could not install the certificate");
	return 0;
}

static void put_cert_back(struct edge *g, const struct edge_job *j)
{
	CLEANUP_FD int dir = open_site(g, j);
	if (dir < 0 || faccessat(dir, "prev.pem", F_OK, AT_SYMLINK_NOFOLLOW) < 0)
		return;
	(void)renameat(dir, "pair.pem", dir, "next.pem");
	(void)renameat(dir, "prev.pem", dir, "pair.pem");
	(void)fsync(dir);
}

static void settle_cert(struct edge *g, const struct edge_job *j)
{
	CLEANUP_FD int dir = open_site(g, j);
	if (dir < 0)
		return;
	(void)unlinkat(dir, "next.pem", 0);
	(void)unlinkat(dir, "prev.pem", 0);
}

int edge_site_cert_set(
    struct edge *g, uint64_t seq, struct str project, struct str site, struct err *e)
{
	char name[NAME_PROJECT_MAX + 1];
	if (name_project(project, e) < 0 || name_site(site, e) < 0 || edge_must_run(g, e) < 0)
		return -1;
	if (!str_copy(project, name, sizeof(name)))
		return err_set(e, ERR_INVALID, "project name is too long");
	int slot = edge_job_new(g, seq, name, false, e);
	if (slot < 0)
		return -1;
	g->jobs[slot].sites = true;
	return str_copy(site, g->jobs[slot].site, sizeof(g->jobs[slot].site)) ? 1 : -1;
}

/* ---- all of a project's ---- */

int edge_sites_install(struct edge *g, struct edge_job *j, struct err *e)
{
	if (j->site[0])
		return install_cert(g, j, e);
	j->had_previous = edge_sites_installed(g, j->project);
	if (j->remove && fs_remove_tree(g->staged, j->project, e) < 0)
		return -1;
	if (j->remove && !j->had_previous)
		return 0;
	if (move(g, j, false) < 0)
		return err_sys(e, ERR_IO, errno, "could not install the sites");
	if (fsync(g->sites) == 0)
		return 0;
	err_sys(e, ERR_IO, errno, "could not make the sites durable");
	edge_sites_put_back(g, j);
	return -1;
}

void edge_sites_put_back(struct edge *g, const struct edge_job *j)
{
	if (j->site[0]) {
		put_cert_back(g, j);
		return;
	}
	if (j->remove && !j->had_previous)
		return;
	(void)move(g, j, true);
	(void)fsync(g->sites);
}

static bool is_kept(int project, const char *site)
{
	static const char *const forms[] = {"enabled/[%s].nginxconf", "enabled/[%s].conf",
	    "closed/[%s].nginxconf", "closed/[%s].conf"};
	char path[SITE_FILE_MAX + 16];
	struct stat st;
	for (size_t i = 0; i < sizeof(forms) / sizeof(*forms); i++) {
		size_t n = strcspn(forms[i], "%");
		(void)snprintf(path, sizeof(path), "%.*s%.*s%s", (int)n, forms[i], NAME_SITE_MAX,
		    site, forms[i] + n + 2);
		if (fstatat(project, path, &st, AT_SYMLINK_NOFOLLOW) == 0)
			return true;
	}
	return false;
}

/* In doubt, yes. */
static bool names(int folder, const char *file, const char *project, const char *site)
{
	static char text[RENDER_SITE_TEXT_MAX];
	CLEANUP_FD int fd = fs_open_beneath(folder, file, O_RDONLY | O_NOFOLLOW, 0);
	ssize_t n = fd < 0 ? -1 : pread(fd, text, sizeof(text), 0);
	return n < 0 || render_site_names((struct str){text, (size_t)n}, project, str_c(site));
}

/* By a text of the project's that a push could not have: an older release, or one that includes in a roundabout way. Without
 * the certificate no reload of the edge would succeed any more. */
static bool is_named(int top, const char *project, const char *site)
{
	static const char *const folders[] = {"enabled", "closed", "snippets"};
	bool found = false;
	for (size_t i = 0; !found && i < sizeof(folders) / sizeof(*folders); i++) {
		CLEANUP_FD int folder = fs_open_beneath(top, folders[i], O_RDONLY | O_DIRECTORY, 0);
		struct dir d CLEANUP_DIR;
		dir_open(&d, folder);
		for (const struct dirent64 *at; !found && (at = dir_next(&d));)
			found = names(folder, at->d_name, project, site);
	}
	return found;
}

/* A certificate that is kept was made for what serves now, or is named by it. */
static bool goes(int top, int certs, const char *project, const char *site, bool failed)
{
	char made[NAME_SITE_MAX + sizeof(EDGE_SITE_MADE) + 1];
	(void)snprintf(made, sizeof(made), "%.*s/" EDGE_SITE_MADE, NAME_SITE_MAX, site);
	if (top < 0 || (!is_kept(top, site) && !is_named(top, project, site)))
		return !failed || faccessat(certs, made, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
	if (!failed)
		(void)unlinkat(certs, made, 0);
	return false;
}

/* Certificates of sites that are gone, or never came. */
static void prune(struct edge *g, const char *project, bool failed)
{
	struct err ignored;
	CLEANUP_FD int now = fs_open_beneath(g->sites, project, O_PATH | O_DIRECTORY, 0);
	CLEANUP_FD int certs = fs_open_beneath(g->site_certs, project, O_RDONLY | O_DIRECTORY, 0);
	struct dir d CLEANUP_DIR;
	dir_open(&d, certs);
	for (const struct dirent64 *at; (at = dir_next(&d));)
		if (goes(now, certs, project, at->d_name, failed))
			(void)!fs_remove_tree(certs, at->d_name, &ignored);
}

void edge_sites_drop(struct edge *g, const char *project, bool failed)
{
	struct err ignored;
	if (g->sites < 0)
		return;
	(void)!fs_remove_tree(g->staged, project, &ignored);
	prune(g, project, failed);
}

void edge_sites_settle(struct edge *g, const struct edge_job *j)
{
	if (j->site[0]) {
		settle_cert(g, j);
		return;
	}
	if (g->tester == 0)
		forget_whole(g);
	edge_sites_drop(g, j->project, j->failed);
}

void edge_sites_forget(struct edge *g, const char *project)
{
	struct err ignored;
	if (g->site_certs < 0)
		return;
	(void)!fs_remove_tree(g->staged, project, &ignored);
	(void)!fs_remove_tree(g->site_certs, project, &ignored);
}

int edge_sites_set(struct edge *g, uint64_t seq, struct str project, struct err *e)
{
	char name[NAME_PROJECT_MAX + 1];
	if (name_project(project, e) < 0 || edge_must_run(g, e) < 0)
		return -1;
	if (!str_copy(project, name, sizeof(name)))
		return err_set(e, ERR_INVALID, "project name is too long");
	int slot = edge_job_new(g, seq, name, false, e);
	if (slot < 0)
		return -1;
	g->jobs[slot].sites = true;
	return 1;
}

bool edge_sites_wait(const struct edge *g, const char *project)
{
	return edge_busy(g, project, UINT64_MAX);
}

/* ---- nginx cannot start ---- */

static void lay_aside(struct edge *g, const char *project)
{
	struct err ignored;
	(void)!fs_remove_tree(g->staged, project, &ignored);
	if (renameat(g->sites, project, g->staged, project) == 0)
		log_event(LOG_WARN, "helper", "sites_set_aside", F_C("project", project));
}

static void lay_all_aside(struct edge *g)
{
	struct dir d CLEANUP_DIR;
	dir_open(&d, g->sites);
	for (const struct dirent64 *at; (at = dir_next(&d));)
		lay_aside(g, at->d_name);
}

static bool have_any(struct edge *g)
{
	struct dir d CLEANUP_DIR;
	dir_open(&d, g->sites);
	return dir_next(&d) != NULL;
}

/* The project that stands behind `mark` in the line. */
static bool project_behind(const char *line, const char *mark, char project[NAME_PROJECT_MAX + 1])
{
	const char *at = strstr(line, mark);
	struct err ignored;
	if (!at)
		return false;
	struct str rest = str_c(at + strlen(mark));
	size_t end = str_find(rest, '/', 0);
	rest = str_slice(rest, 0, end == SIZE_MAX ? 0 : end);
	return name_project(rest, &ignored) == 0 && str_copy(rest, project, NAME_PROJECT_MAX + 1);
}

/* The one file that the line names; the others of its project are served. */
static bool lay_one_aside(struct edge *g, const char *line)
{
	char project[NAME_PROJECT_MAX + 1], file[SITE_FILE_MAX + 16];
	const char *at = strstr(line, "/enabled/[");
	struct str name, rest = str_c(at ? at + 1 : "");
	struct err ignored;
	bool disabled;
	size_t end = str_find(rest, ':', 0);
	rest = str_slice(rest, 0, end == SIZE_MAX ? 0 : end);
	if (rest.n == 0 || !project_behind(line, "/sites/", project) ||
	    !site_file(str_from(rest, strlen("enabled/")), &name, &disabled) ||
	    name_site(name, &ignored) < 0 || !str_copy(rest, file, sizeof(file)))
		return false;
	CLEANUP_FD int top = fs_open_beneath(g->sites, project, O_PATH | O_DIRECTORY, 0);
	if (top < 0 || unlinkat(top, file, 0) < 0)
		return false;
	log_event(LOG_WARN, "helper", "site_set_aside", F_C("project", project), F_C("file", file));
	return true;
}

bool edge_sites_set_aside(struct edge *g, const char *line)
{
	char project[NAME_PROJECT_MAX + 1];
	if (g->sites < 0 || !have_any(g))
		return false;
	if (lay_one_aside(g, line))
		return true;
	if (project_behind(line, "/certs/sites/", project) ||
	    project_behind(line, "/sites/", project)) {
		lay_aside(g, project);
		return true;
	}
	/* An address that only a site can want: the edge's own were free a moment ago. */
	if (!strstr(line, "bind() to"))
		return false;
	lay_all_aside(g);
	return true;
}
