#include "edge/edge.h"

#include "base/buf.h"
#include "base/fs.h"
#include "base/mem.h"
#include "launch/rundir.h"
#include "render/sites.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct edge {
	struct edge_options o;
};

struct edge *edge_new(const struct edge_options *o)
{
	struct edge *g = mem_alloc(sizeof(*g));
	g->o = *o;
	return g;
}

void edge_free(struct edge *g)
{
	mem_free_ptr(&g);
}

/* ---- vhosts: requests to the helper ---- */

/* A refusal that was found before anything was sent; told from the loop, as every other answer is.
 */
struct refusal {
	run_done_fn *fn;
	void *ctx;
	struct err e;
};

static void tell_refusal(void *ctx)
{
	struct refusal *r = ctx;
	r->fn(r->ctx, 0, &r->e);
	mem_free_ptr(&r);
}

static void refuse(struct edge *g, run_done_fn *fn, void *ctx, const struct err *e)
{
	struct refusal *r = mem_alloc(sizeof(*r));
	*r = (struct refusal){.fn = fn, .ctx = ctx, .e = *e};
	loop_post(g->o.loop, tell_refusal, r);
}

static int vhost_request(struct priv_request *q, enum priv_op op, struct str project, struct err *e)
{
	*q = (struct priv_request){.magic = PRIV_MAGIC, .op = (uint32_t)op};
	if (name_project(project, e) < 0)
		return -1;
	if (!str_copy(project, q->project, sizeof(q->project)))
		return err_set(e, ERR_INVALID, "project name is too long");
	return 0;
}

static void send_vhost(
    struct edge *g, enum priv_op op, const struct render_vhost *v, run_done_fn *fn, void *ctx)
{
	struct priv_request q;
	struct err e;
	struct str project = {v->project, strnlen(v->project, sizeof(v->project))};
	CLEANUP_FD int fd = -1;
	if (vhost_request(&q, op, project, &e) == 0)
		fd = fs_memfd("vhost", v, sizeof(*v), &e);
	if (fd < 0)
		refuse(g, fn, ctx, &e);
	else
		run_request(g->o.run, &q, &fd, 1, fn, ctx);
}

void edge_vhost_set(struct edge *g, const struct render_vhost *v, run_done_fn *fn, void *ctx)
{
	send_vhost(g, PRIV_VHOST_SET, v, fn, ctx);
}

void edge_certificate_remove(
    struct edge *g, const struct render_vhost *v, run_done_fn *fn, void *ctx)
{
	send_vhost(g, PRIV_CERT_REMOVE, v, fn, ctx);
}

void edge_certificate_set(struct edge *g, const struct render_vhost *v, bool trusted,
    struct str chain, struct str key, run_done_fn *fn, void *ctx)
{
	struct priv_request q;
	struct err e;
	int fds[3] = {-1, -1, -1};
	struct str project = {v->project, strnlen(v->project, sizeof(v->project))};
	bool ok = vhost_request(&q, PRIV_CERT_SET, project, &e) == 0 &&
		  (fds[0] = fs_memfd("vhost", v, sizeof(*v), &e)) >= 0 &&
		  (fds[1] = fs_memfd("chain", chain.p, chain.n, &e)) >= 0 &&
		  (fds[2] = fs_memfd("key", key.p, key.n, &e)) >= 0;
	q.id = trusted;
	if (ok)
		run_request(g->o.run, &q, fds, 3, fn, ctx);
	else
		refuse(g, fn, ctx, &e);
	for (size_t i = 0; i < 3; i++)
		fs_close_fd(&fds[i]);
}

void edge_own_certificate_set(struct edge *g, enum edge_own which, bool trusted, struct str chain,
    struct str key, run_done_fn *fn, void *ctx)
{
	const struct priv_request q = {
	    .magic = PRIV_MAGIC, .op = PRIV_OWN_CERT_SET, .id = 2 * (uint64_t)which + trusted};
	struct err e;
	int fds[2] = {fs_memfd("chain", chain.p, chain.n, &e), -1};
	if (fds[0] >= 0)
		fds[1] = fs_memfd("key", key.p, key.n, &e);
	if (fds[1] >= 0)
		run_request(g->o.run, &q, fds, 2, fn, ctx);
	else
		refuse(g, fn, ctx, &e);
	fs_close_fd(&fds[0]);
	fs_close_fd(&fds[1]);
}

void edge_own_certificate_remove(struct edge *g, enum edge_own which, run_done_fn *fn, void *ctx)
{
	const struct priv_request q = {
	    .magic = PRIV_MAGIC, .op = PRIV_OWN_CERT_REMOVE, .id = (uint64_t)which};
	run_request(g->o.run, &q, NULL, 0, fn, ctx);
}

void edge_sites_set(struct edge *g, struct str project, uint32_t release, struct str packed,
    run_done_fn *fn, void *ctx)
{
	struct priv_request q;
	struct err e;
	CLEANUP_FD int fd = -1;
	if (vhost_request(&q, PRIV_SITES_SET, project, &e) == 0)
		fd = fs_memfd("sites", packed.p, packed.n, &e);
	q.release = release;
	if (fd < 0)
		refuse(g, fn, ctx, &e);
	else
		run_request(g->o.run, &q, &fd, 1, fn, ctx);
}

/* The key is in no memory but the caller's and the sealed file's. */
static int pack_site_cert(
    struct str site, bool trusted, struct str chain, struct str key, struct err *e)
{
	struct render_site_cert head = {.version = RENDER_SITE_CERT_VERSION,
	    .chain_bytes = (uint32_t)chain.n,
	    .key_bytes = (uint32_t)key.n,
	    .trusted = trusted};
	struct buf b;
	if (!str_copy(site, head.site, sizeof(head.site)))
		return err_set(e, ERR_INVALID, "the site's name is too long");
	buf_init(&b, sizeof(head) + 2 * RENDER_SITE_PEM_MAX);
	buf_put(&b, &head, sizeof(head));
	buf_str(&b, chain);
	buf_str(&b, key);
	int fd =
	    buf_check(&b, "the certificate", e) < 0 ? -1 : fs_memfd("certificate", b.p, b.n, e);
	buf_wipe(&b);
	return fd;
}

void edge_site_certificate_set(struct edge *g, struct str project, struct str site, bool trusted,
    struct str chain, struct str key, run_done_fn *fn, void *ctx)
{
	struct priv_request q;
	struct err e;
	CLEANUP_FD int fd = -1;
	if (vhost_request(&q, PRIV_SITE_CERT_SET, project, &e) == 0)
		fd = pack_site_cert(site, trusted, chain, key, &e);
	if (fd < 0)
		refuse(g, fn, ctx, &e);
	else
		run_request(g->o.run, &q, &fd, 1, fn, ctx);
}

void edge_vhost_remove(struct edge *g, struct str project, run_done_fn *fn, void *ctx)
{
	struct priv_request q;
	struct err e;
	if (vhost_request(&q, PRIV_VHOST_REMOVE, project, &e) < 0)
		refuse(g, fn, ctx, &e);
	else
		run_request(g->o.run, &q, NULL, 0, fn, ctx);
}

/* ---- the switch ---- */

static int open_project(struct edge *g, struct str project, struct err *e)
{
	char name[NAME_PROJECT_MAX + 1];
	if (name_project(project, e) < 0)
		return -1;
	if (!str_copy(project, name, sizeof(name)))
		return err_set(e, ERR_INVALID, "project name is too long");
	CLEANUP_FD int top = open(g->o.projects_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	int fd = top < 0 ? -1 : openat(top, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd >= 0 ? fd
		       : err_sys(e, ERR_IO, errno, "could not open the directory of '%s'", name);
}

static int target_of(
    struct edge *g, struct str project, uint32_t release, char out[PATH_MAX], struct err *e)
{
	int n = snprintf(out, PATH_MAX, "%s/%.*s/%u", g->o.run_dir, STR_ARG(project), release);
	return n > 0 && n < PATH_MAX ? 0 : err_set(e, ERR_SETTINGS, "run directory is too long");
}

/* What dir/name points at; "" when there is no such link. */
static int read_link(int dir, const char *name, char out[PATH_MAX], struct err *e)
{
	ssize_t n = readlinkat(dir, name, out, PATH_MAX - 1);
	if (n < 0 && errno != ENOENT)
		return err_sys(e, ERR_IO, errno, "could not read the link '%s'", name);
	out[n < 0 ? 0 : n] = '\0';
	return 0;
}

/* Back to the release before is one exchange of both links: set one after the other, files that
 * only the release coming back has would be behind neither link for a moment. 1 done, 0 not such a
 * case. */
static int exchange(int dir, const char *target, const char *before, struct err *e)
{
	char live[PATH_MAX], previous[PATH_MAX];
	if (read_link(dir, "live", live, e) < 0 || read_link(dir, "previous", previous, e) < 0)
		return -1;
	if (strcmp(live, before) != 0 || strcmp(previous, target) != 0)
		return 0;
	if (renameat2(dir, "live", dir, "previous", RENAME_EXCHANGE) < 0)
		return 0; /* a file system without it: one after the other */
	if (fsync(dir) < 0)
		return err_sys(e, ERR_IO, errno, "could not make the switch durable");
	return 1;
}

int edge_switch(
    struct edge *g, struct str project, uint32_t release, uint32_t previous, struct err *e)
{
	char target[PATH_MAX], before[PATH_MAX];
	if (release == 0 || release == previous)
		return err_set(
		    e, ERR_INVALID, "cannot switch from release %u to %u", previous, release);
	CLEANUP_FD int dir = open_project(g, project, e);
	if (dir < 0 || target_of(g, project, release, target, e) < 0)
		return -1;
	if (previous > 0) {
		if (target_of(g, project, previous, before, e) < 0)
			return -1;
		int rc = exchange(dir, target, before, e);
		if (rc != 0)
			return rc < 0 ? -1 : 0;
		if (fs_link_swap(dir, "previous", before, e) < 0)
			return -1;
	}
	return fs_link_swap(dir, "live", target, e);
}

int edge_live(struct edge *g, struct str project, uint32_t *ret_release, struct err *e)
{
	char link[PATH_MAX];
	CLEANUP_FD int dir = open_project(g, project, e);
	if (dir < 0 || read_link(dir, "live", link, e) < 0)
		return -1;
	if (link[0] == '\0')
		return 0;
	if (!rundir_release(g->o.run_dir, project, str_c(link), ret_release))
		return err_set(
		    e, ERR_INVALID, "the link 'live' of '%.*s' points elsewhere", STR_ARG(project));
	return 1;
}
