/* The platform's own certificates: certs/_host.pem for the host where API, hooks and health are, and
 * certs/_wildcard.pem for all names right below it, which the vhosts of projects name. Judged by
 * slipway-cert, kept and put back as those of projects are (edge_vhost.c); platform.conf follows
 * what is installed. */
#include "helper/edge_state.h"

#include "base/fs.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define SELF_MAX (64u << 10)

static const char *const own_names[EDGE_OWN_COUNT] = {RENDER_HOST_NAME, RENDER_WILDCARD_NAME};

void edge_own_look(struct edge *g)
{
	struct str names;
	bool trusted = false;
	/* one for the host of before would be another's */
	bool installed = g->o.https_port && edge_pair_head(g, RENDER_HOST_NAME, &names, &trusted) &&
			 name_covered(str_c(g->fields.platform_host), names);
	g->fields.host_installed = installed;
	g->fields.host_trusted = installed && trusted;
}

void edge_own_cover(struct edge *g, const struct render_vhost *v, struct render_tls *tls)
{
	struct str names;
	bool trusted = false;
	if (!edge_pair_head(g, RENDER_WILDCARD_NAME, &names, &trusted))
		return;
	tls->wildcard_trusted = trusted;
	for (unsigned i = 1; i < v->domain_count; i++)
		if (tls->covered[i] == RENDER_SELF && name_covered(str_c(v->domains[i]), names))
			tls->covered[i] = RENDER_WILDCARD;
}

/* ---- requests ---- */

static int check_own(struct edge *g, unsigned which, struct err *e)
{
	if (which >= EDGE_OWN_COUNT)
		return err_set(e, ERR_INVALID, "the platform has no certificate %u", which);
	return edge_must_run(g, e) < 0 ? -1 : edge_must_https(g, e);
}

static int new_job(struct edge *g, uint64_t seq, unsigned which, struct err *e)
{
	int slot = edge_job_new(g, seq, own_names[which], false, e);
	if (slot >= 0)
		g->jobs[slot].own = true;
	return slot;
}

int edge_own_set(
    struct edge *g, uint64_t seq, unsigned which, bool trusted, int fds[2], struct err *e)
{
	int slot = check_own(g, which, e) < 0 ? -1 : new_job(g, seq, which, e);
	if (slot < 0)
		return -1;
	struct edge_job *j = &g->jobs[slot];
	j->pair = j->has_pair = true;
	j->trusted = trusted;
	j->in[0] = -1;
	for (unsigned i = 0; i < 2; i++) {
		j->in[i + 1] = fds[i];
		fds[i] = -1;
	}
	return 1;
}

/* One that signs itself, as NAME.pem of that folder: whatever names it can be read. */
static int put_self(struct edge *g, int dir, const char *name, struct err *e)
{
	static char text[SELF_MAX];
	char file[EDGE_PAIR_NAME_SIZE];
	CLEANUP_FD int self =
	    openat(g->self, g->fields.platform_host, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	ssize_t n = self < 0 ? -1 : pread(self, text, sizeof(text), 0);
	(void)snprintf(file, sizeof(file), "%s.pem", name);
	int rc = n > 0 ? fs_write_atomic(dir, file, text, (size_t)n, 0600, e)
		       : err_sys(e, ERR_IO, errno, "could not read the certificate of the host");
	explicit_bzero(text, sizeof(text));
	return rc;
}

/* Vhosts go on naming the wildcard until each is set anew: one that signs itself takes its place. */
static int remove_wildcard(struct edge *g, uint64_t seq, struct err *e)
{
	struct str names;
	bool trusted;
	if (!edge_busy(g, RENDER_WILDCARD_NAME, UINT64_MAX) &&
	    (!edge_pair_head(g, RENDER_WILDCARD_NAME, &names, &trusted) ||
		!str_starts(names, STR("*."))))
		return 0;
	if (edge_busy(g, RENDER_WILDCARD_NAME, UINT64_MAX))
		return err_set(e, ERR_CONFLICT, "a certificate of the platform is being installed");
	int slot = put_self(g, g->test_certs, RENDER_WILDCARD_NAME, e) < 0
		       ? -1
		       : new_job(g, seq, EDGE_OWN_WILDCARD, e);
	if (slot >= 0)
		g->jobs[slot].has_pair = true;
	return slot < 0 ? -1 : 1;
}

int edge_own_remove(struct edge *g, uint64_t seq, unsigned which, struct err *e)
{
	char file[EDGE_PAIR_NAME_SIZE];
	if (check_own(g, which, e) < 0)
		return -1;
	if (which == EDGE_OWN_WILDCARD)
		return remove_wildcard(g, seq, e);
	(void)snprintf(file, sizeof(file), "%s.pem", own_names[which]);
	if (!edge_busy(g, own_names[which], UINT64_MAX) &&
	    faccessat(g->certs, file, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
		return 0;
	int slot = new_job(g, seq, which, e);
	if (slot >= 0)
		g->jobs[slot].drops = true;
	return slot < 0 ? -1 : 1;
}

/* For the host itself; or for whatever stands right below it. */
static int check_names(
    const struct edge *g, const struct edge_job *j, struct str names, struct err *e)
{
	bool host = strcmp(j->project, RENDER_HOST_NAME) == 0;
	char below[NAME_DOMAIN_MAX + 8];
	(void)snprintf(below, sizeof(below), "*.%s", g->fields.platform_host);
	struct str rest = names, one;
	while (!host && rest.n > 0 && str_next(&rest, ' ', &one))
		if (str_eq_c(one, below))
			return 0;
	if (host && name_covered(str_c(g->fields.platform_host), names))
		return 0;
	return err_set(e, ERR_INVALID, "the certificate is not for '%s'",
	    host ? g->fields.platform_host : below);
}

int edge_own_take(struct edge *g, unsigned slot, int wait_status, struct err *e)
{
	struct edge_job *j = &g->jobs[slot];
	struct edge_answer a;
	char file[EDGE_PAIR_NAME_SIZE];
	(void)snprintf(file, sizeof(file), "%s.pem", j->project);
	if (edge_cert_answer(g->maker_answer, wait_status, &a, e) < 0 ||
	    check_names(g, j, a.names, e) < 0 ||
	    edge_cert_write(
		g->test_certs, file, &a, j->trusted ? "# trusted\n" : "# untrusted\n", 0600, e) < 0)
		return -1;
	for (unsigned i = 1; i < 3; i++)
		fs_close_fd(&j->in[i]);
	j->pair = false;
	return 0;
}

/* ---- files of a job ---- */

static int follow(struct edge *g, const struct edge_job *j, struct err *e)
{
	if (strcmp(j->project, RENDER_HOST_NAME) != 0)
		return 0;
	edge_own_look(g);
	return edge_files_render(g, "platform.conf", e);
}

int edge_own_install(struct edge *g, struct edge_job *j, struct err *e)
{
	if (edge_pair_install(g, j, e) < 0)
		return -1;
	if (follow(g, j, e) == 0)
		return 0;
	edge_own_put_back(g, j);
	return -1;
}

void edge_own_put_back(struct edge *g, const struct edge_job *j)
{
	struct err e;
	edge_pair_put_back(g, j);
	if (follow(g, j, &e) < 0)
		log_event(LOG_ERROR, "helper", "platform_not_written", F_ERR(&e));
}

/* ---- the server cannot start ---- */

static bool replace(struct edge *g, const char *name)
{
	struct err e = {0};
	bool done = put_self(g, g->certs, name, &e) == 0;
	log_event(LOG_WARN, "helper", "certificate_set_aside", F_C("name", name), F_ERR(&e));
	return done;
}

bool edge_own_set_aside(struct edge *g, const char *line)
{
	char mark[EDGE_PAIR_NAME_SIZE + 8];
	for (unsigned i = 0; i < EDGE_OWN_COUNT; i++) {
		(void)snprintf(mark, sizeof(mark), "/certs/%s.pem", own_names[i]);
		if (strstr(line, mark))
			return replace(g, own_names[i]);
	}
	return false;
}
