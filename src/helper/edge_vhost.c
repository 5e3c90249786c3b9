/* What is asked of the edge for one project: a vhost, a certificate for it, that they go. Each
 * becomes a job of edge.c's.
 *
 * A certificate that came from outside is judged by slipway-cert first; then its vhost is rendered
 * anew, both are tested together, and both are put back when the server refuses. It stands in
 * certs/NAME.pem, 0600, with "# trusted" or "# untrusted" as its second line. */
#include "helper/edge_state.h"

#include "base/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define HEAD_MAX (EDGE_NAMES_SIZE + 64u)

/* ---- what is installed ---- */

static void pair_name(char out[EDGE_PAIR_NAME_SIZE], const char *project)
{
	(void)snprintf(out, EDGE_PAIR_NAME_SIZE, "%.*s.pem", NAME_PROJECT_MAX, project);
}

static void cover(const struct render_vhost *v, struct str names, struct render_tls *tls)
{
	for (unsigned i = 1; i < v->domain_count; i++)
		tls->covered[i] =
		    name_covered(str_c(v->domains[i]), names) ? RENDER_OWN : RENDER_SELF;
}

bool edge_pair_head(struct edge *g, const char *project, struct str *ret_names, bool *ret_trusted)
{
	static char head[HEAD_MAX];
	char file[EDGE_PAIR_NAME_SIZE];
	struct str line, rest;
	pair_name(file, project);
	CLEANUP_FD int fd = openat(g->certs, file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	ssize_t n = fd < 0 ? -1 : pread(fd, head, sizeof(head), 0);
	rest = (struct str){head, n < 0 ? 0 : (size_t)n};
	if (rest.n == 0 || !str_next(&rest, '\n', &line) || !str_starts(line, STR("# ")))
		return false;
	*ret_names = str_from(line, 2);
	*ret_trusted = str_starts(rest, STR("# trusted\n"));
	return true;
}

/* What the installed certificates say of these domains. */
static void look_installed(struct edge *g, const struct render_vhost *v, struct render_tls *tls)
{
	struct str names;
	bool trusted = false;
	if (edge_pair_head(g, v->project, &names, &trusted)) {
		tls->installed = 1;
		tls->trusted = trusted;
		cover(v, names, tls);
	}
	edge_own_cover(g, v, tls);
}

/* ---- vhosts ---- */

/* The vhost's text and the names of the certificate that it still needs become the job's files. */
static int prepare(struct edge *g, unsigned slot, const struct render_vhost *v,
    const struct render_tls *tls, struct err *e)
{
	static char text[RENDER_VHOST_TEXT_MAX], names_text[EDGE_NAMES_SIZE];
	long n = g->server->vhost(v, tls, &g->roots, text, sizeof(text), e);
	if (n < 0 || edge_files_candidate(g, slot, text, (size_t)n, e) < 0)
		return -1;
	if (!tls)
		return 0;
	struct str names = edge_cert_names(v, names_text);
	g->jobs[slot].needs_self = !edge_cert_is_for(g, v->project, names);
	return g->jobs[slot].needs_self ? edge_files_names(g, slot, names, e) : 0;
}

static int abandon(struct edge *g, int slot)
{
	edge_files_settle(g, (unsigned)slot);
	g->jobs[slot] = (struct edge_job){.state = EDGE_JOB_FREE};
	return -1;
}

/* Validates all of it; true: this is what is installed. */
static int is_same(struct edge *g, const struct render_vhost *v, const struct render_tls *tls,
    bool *ret, struct err *e)
{
	static char text[RENDER_VHOST_TEXT_MAX], names[EDGE_NAMES_SIZE];
	long n = g->server->vhost(v, tls, &g->roots, text, sizeof(text), e);
	if (n < 0 || (tls && edge_cert_check(v, e) < 0))
		return -1;
	*ret = !edge_busy(g, v->project, UINT64_MAX) &&
	       edge_files_same(g, v->project, text, (size_t)n) &&
	       (!tls || edge_cert_is_for(g, v->project, edge_cert_names(v, names)));
	return 0;
}

/* Whose text is still to be rendered: another would not know of it. */
static int check_pairs(const struct edge *g, const char *project, struct err *e)
{
	for (unsigned i = 0; i < EDGE_JOBS_MAX; i++)
		if (g->jobs[i].state != EDGE_JOB_FREE &&
		    (g->jobs[i].has_pair || g->jobs[i].drops) &&
		    strcmp(g->jobs[i].project, project) == 0)
			return err_set(
			    e, ERR_CONFLICT, "a certificate of '%s' is being installed", project);
	return 0;
}

int edge_must_run(const struct edge *g, struct err *e)
{
	if (g->phase != EDGE_DOWN && g->phase != EDGE_STOPPING)
		return 0;
	err_set(e, ERR_UNAVAILABLE, "the edge does not run");
	return err_hint(e, "the daemon starts it when it starts");
}

int edge_vhost_set(struct edge *g, uint64_t seq, const struct render_vhost *v, struct err *e)
{
	struct render_tls installed = {.https_port = g->o.https_port},
			  *tls = g->o.https_port ? &installed : NULL;
	bool same;
	/* before anything is believed of the fields that name a file */
	if (edge_must_run(g, e) < 0 || is_same(g, v, tls, &same, e) < 0 ||
	    check_pairs(g, v->project, e) < 0)
		return -1;
	if (tls) {
		look_installed(g, v, tls);
		if (is_same(g, v, tls, &same, e) < 0)
			return -1;
	}
	if (same)
		return 0;
	int slot = edge_job_new(g, seq, v->project, false, e);
	if (slot < 0)
		return -1;
	return prepare(g, (unsigned)slot, v, tls, e) < 0 ? abandon(g, slot) : 1;
}

int edge_vhost_remove(struct edge *g, uint64_t seq, struct str project, struct err *e)
{
	char name[NAME_PROJECT_MAX + 1];
	if (name_project(project, e) < 0 || edge_must_run(g, e) < 0)
		return -1;
	if (!str_copy(project, name, sizeof(name)))
		return err_set(e, ERR_INVALID, "project name is too long");
	bool sites = edge_sites_installed(g, name);
	if (!edge_busy(g, name, UINT64_MAX) && !edge_files_installed(g, name) && !sites) {
		edge_cert_forget(g, name);
		edge_sites_forget(g, name);
		return 0;
	}
	int slot = edge_job_new(g, seq, name, true, e);
	if (slot >= 0)
		g->jobs[slot].sites = sites;
	return slot < 0 ? -1 : 1;
}

/* ---- certificates ---- */

int edge_must_https(const struct edge *g, struct err *e)
{
	if (g->o.https_port)
		return 0;
	err_set(e, ERR_UNSUPPORTED, "the edge has no HTTPS");
	return err_hint(
	    e, "start the daemon with --https PORT (setup: slipway setup --https PORT)");
}

int edge_certificate_set(struct edge *g, uint64_t seq, const struct render_vhost *v, bool trusted,
    int fds[3], struct err *e)
{
	struct render_tls tls = {.https_port = g->o.https_port};
	bool same;
	if (edge_must_run(g, e) < 0 || edge_must_https(g, e) < 0 ||
	    is_same(g, v, &tls, &same, e) < 0 || check_pairs(g, v->project, e) < 0)
		return -1;
	int slot = edge_job_new(g, seq, v->project, false, e);
	if (slot < 0)
		return -1;
	struct edge_job *j = &g->jobs[slot];
	j->pair = j->has_pair = true;
	j->trusted = trusted;
	for (unsigned i = 0; i < 3; i++) {
		j->in[i] = fds[i];
		fds[i] = -1;
	}
	return 1;
}

int edge_certificate_remove(
    struct edge *g, uint64_t seq, const struct render_vhost *v, struct err *e)
{
	struct render_tls tls = {.https_port = g->o.https_port};
	char file[EDGE_PAIR_NAME_SIZE];
	bool same;
	if (edge_must_run(g, e) < 0 || edge_must_https(g, e) < 0 ||
	    is_same(g, v, &tls, &same, e) < 0 || check_pairs(g, v->project, e) < 0)
		return -1;
	edge_own_cover(g, v, &tls);
	pair_name(file, v->project);
	if (same && faccessat(g->certs, file, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
		return 0;
	int slot = edge_job_new(g, seq, v->project, false, e);
	if (slot < 0)
		return -1;
	g->jobs[slot].drops = true;
	return prepare(g, (unsigned)slot, v, &tls, e) < 0 ? abandon(g, slot) : 1;
}

/* It is for at least one of the domains that a person chose. */
static int check_cover(const struct render_vhost *v, const struct render_tls *tls, struct err *e)
{
	for (unsigned i = 1; i < v->domain_count; i++)
		if (tls->covered[i] == RENDER_OWN)
			return 0;
	err_set(e, ERR_INVALID, "the certificate is for none of the domains of '%s'", v->project);
	return err_hint(e, "slipway domains list %s says which it has", v->project);
}

int edge_pair_take(struct edge *g, unsigned slot, int wait_status, struct err *e)
{
	static struct render_vhost v;
	struct edge_job *j = &g->jobs[slot];
	struct edge_answer a;
	struct render_tls tls = {
	    .https_port = g->o.https_port, .installed = 1, .trusted = j->trusted};
	char file[EDGE_PAIR_NAME_SIZE];
	if (j->own)
		return edge_own_take(g, slot, wait_status, e);
	if (edge_cert_answer(g->maker_answer, wait_status, &a, e) < 0)
		return -1;
	if (pread(j->in[0], &v, sizeof(v), 0) != (ssize_t)sizeof(v))
		return err_set(e, ERR_INTERNAL, "could not read the vhost again");
	cover(&v, a.names, &tls);
	edge_own_cover(g, &v, &tls);
	pair_name(file, j->project);
	if (check_cover(&v, &tls, e) < 0 ||
	    edge_cert_write(g->test_certs, file, &a, j->trusted ? "# trusted\n" : "# untrusted\n",
		0600, e) < 0 ||
	    prepare(g, slot, &v, &tls, e) < 0)
		return -1;
	for (unsigned i = 0; i < 3; i++)
		fs_close_fd(&j->in[i]);
	j->pair = false;
	return 0;
}

/* ---- files of a job ---- */

static int put_up(struct edge *g, const char *project, struct err *e)
{
	char file[EDGE_PAIR_NAME_SIZE];
	pair_name(file, project);
	(void)unlinkat(g->test_certs, file, 0);
	if (linkat(g->certs, file, g->test_certs, file, 0) < 0 && errno != ENOENT)
		return err_sys(e, ERR_IO, errno, "could not put a certificate up for its test");
	return 0;
}

/* A wildcard that is being judged waits there under its name; this test does not name it yet, or
 * names it again. */
static bool wildcard_waits(const struct edge *g)
{
	return edge_busy(g, RENDER_WILDCARD_NAME, UINT64_MAX);
}

int edge_pair_try(struct edge *g, const struct edge_job *j, struct err *e)
{
	if (g->o.https_port == 0)
		return 0;
	if (!wildcard_waits(g) && put_up(g, RENDER_WILDCARD_NAME, e) < 0)
		return -1;
	return j->has_pair ? 0 : put_up(g, j->project, e);
}

int edge_pair_install(struct edge *g, struct edge_job *j, struct err *e)
{
	char file[EDGE_PAIR_NAME_SIZE];
	if (!j->has_pair && !j->drops)
		return 0;
	pair_name(file, j->project);
	(void)unlinkat(g->undo, file, 0);
	j->had_pair = linkat(g->certs, file, g->undo, file, 0) == 0;
	if (!j->had_pair && errno != ENOENT)
		return err_sys(e, ERR_IO, errno, "could not keep the certificate before");
	if (j->drops ? unlinkat(g->certs, file, 0) < 0 && errno != ENOENT
		     : renameat(g->test_certs, file, g->certs, file) < 0)
		return err_sys(e, ERR_IO, errno, "could not install the certificate");
	if (fsync(g->certs) < 0) {
		err_sys(e, ERR_IO, errno, "could not make the certificate durable");
		edge_pair_put_back(g, j);
		return -1;
	}
	return 0;
}

void edge_pair_put_back(struct edge *g, const struct edge_job *j)
{
	char file[EDGE_PAIR_NAME_SIZE];
	if (!j->has_pair && !j->drops)
		return;
	pair_name(file, j->project);
	if (j->has_pair)
		(void)renameat(g->certs, file, g->test_certs, file);
	if (j->had_pair)
		(void)renameat(g->undo, file, g->certs, file);
	(void)fsync(g->certs);
}

void edge_pair_settle(struct edge *g, const char *project, bool gone)
{
	char file[EDGE_PAIR_NAME_SIZE];
	pair_name(file, project);
	(void)unlinkat(g->test_certs, file, 0);
	(void)unlinkat(g->undo, file, 0);
	if (gone)
		(void)unlinkat(g->certs, file, 0);
}
