#include "helper/ops.h"
#include "helper/units.h"
#include "monitor/request.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct call {
	struct keeper *k;
	const struct priv_request *q;
	struct str project;
	struct instance *in;
	int *fds;
	size_t fd_count;
	struct priv_reply *ret;
	int *ret_fd;
};

typedef int op_fn(struct call *c, struct err *e);

_Static_assert(PRIV_OWN_COUNT == EDGE_OWN_COUNT, "certificates of the platform's own");

/* ---- operations ---- */

static int op_hello(struct call *c, struct err *e)
{
	(void)e;
	c->k->greeted = true;
	return 0;
}

static int defer_site(
    struct call *c, int statics, const char *site, uint64_t disk_bytes, struct err *e)
{
	struct keeper_pending *p = keeper_defer(c->k, c->q, e);
	if (!p)
		return -1;
	struct worker_job j = {.op = (enum priv_op)c->q->op,
	    .release = c->q->release,
	    .statics = statics,
	    .disk_bytes = disk_bytes,
	    .token = p->token};
	memcpy(j.project, c->q->project, sizeof(j.project));
	(void)snprintf(j.site, sizeof(j.site), "%s", site);
	if (worker_add(&c->k->worker, &j, e) != 0) {
		p->used = false;
		return -1;
	}
	return 1;
}

static int defer_work(struct call *c, int statics, uint64_t disk_bytes, struct err *e)
{
	return defer_site(c, statics, "", disk_bytes, e);
}

static int op_work(struct call *c, struct err *e)
{
	return defer_work(c, -1, 0, e);
}

static int op_project_ensure(struct call *c, struct err *e)
{
	uint64_t bytes = c->q->start.limits.disk_bytes;
	return defer_work(c, -1, instances_quota(c->k->instances, c->project, bytes), e);
}

static int op_project_remove(struct call *c, struct err *e)
{
	instances_purge(c->k->instances, c->project);
	if (c->k->o.instances.units)
		units_remove(c->project);
	return defer_work(c, -1, 0, e);
}

static int op_seal(struct call *c, struct err *e)
{
	int rc = defer_work(c, c->fd_count == 1 ? c->fds[0] : -1, 0, e);
	if (rc == 1 && c->fd_count == 1)
		c->fds[0] = -1;
	return rc;
}

/* The edge answers 0, 1 (later, by token) or -1. */
static int settle(struct keeper_pending *p, int rc)
{
	if (rc != 1)
		p->used = false;
	return rc;
}

static int op_vhost_set(struct call *c, struct err *e)
{
	const struct render_vhost *v = request_vhost(c->q, c->fds, e);
	struct keeper_pending *p = v ? keeper_defer(c->k, c->q, e) : NULL;
	return p ? settle(p, edge_vhost_set(c->k->edge, p->token, v, e)) : -1;
}

static int op_cert_set(struct call *c, struct err *e)
{
	const struct render_vhost *v = request_vhost(c->q, c->fds, e);
	struct keeper_pending *p = v ? keeper_defer(c->k, c->q, e) : NULL;
	return p ? settle(
		       p, edge_certificate_set(c->k->edge, p->token, v, c->q->id == 1, c->fds, e))
		 : -1;
}

static int op_cert_remove(struct call *c, struct err *e)
{
	const struct render_vhost *v = request_vhost(c->q, c->fds, e);
	struct keeper_pending *p = v ? keeper_defer(c->k, c->q, e) : NULL;
	return p ? settle(p, edge_certificate_remove(c->k->edge, p->token, v, e)) : -1;
}

static int op_own_cert_set(struct call *c, struct err *e)
{
	struct keeper_pending *p = keeper_defer(c->k, c->q, e);
	return p ? settle(p, edge_own_set(c->k->edge, p->token, (unsigned)(c->q->id / 2),
				 c->q->id % 2 == 1, c->fds, e))
		 : -1;
}

static int op_own_cert_remove(struct call *c, struct err *e)
{
	struct keeper_pending *p = keeper_defer(c->k, c->q, e);
	return p ? settle(p, edge_own_remove(c->k->edge, p->token, (unsigned)c->q->id, e)) : -1;
}

/* Staged by the worker; what becomes of it then is the edge's (keeper.c). */
static int op_sites_set(struct call *c, struct err *e)
{
	if (c->k->o.edge.kind != EDGE_NGINX) {
		err_set(e, ERR_UNSUPPORTED,
		    "nginx-site projects need nginx, and this server's edge is Apache");
		return err_hint(e, "make it a project of another kind, or go back to nginx: "
				   "slipway setup --edge nginx");
	}
	if (!c->k->o.sites) {
		err_set(e, ERR_FORBIDDEN, "this server takes no nginx-site projects");
		return err_hint(e, "root allows them: slipway setup --nginx-sites yes");
	}
	int rc = defer_work(c, c->fds[0], 0, e);
	if (rc == 1)
		c->fds[0] = -1;
	return rc;
}

static int op_site_cert_set(struct call *c, struct err *e)
{
	char site[NAME_SITE_MAX + 4];
	if (request_site(c->fds, site, e) != 0)
		return -1;
	int rc = defer_site(c, c->fds[0], site, 0, e);
	if (rc == 1)
		c->fds[0] = -1;
	return rc;
}

static int op_vhost_remove(struct call *c, struct err *e)
{
	struct keeper_pending *p = keeper_defer(c->k, c->q, e);
	return p ? settle(p, edge_vhost_remove(c->k->edge, p->token, c->project, e)) : -1;
}

static int op_edge_check(struct call *c, struct err *e)
{
	struct keeper_pending *p = keeper_defer(c->k, c->q, e);
	return p ? settle(p, edge_start(c->k->edge, p->token, e)) : -1;
}

static int op_edge_reload(struct call *c, struct err *e)
{
	struct keeper_pending *p = keeper_defer(c->k, c->q, e);
	return p ? settle(p, edge_reload(c->k->edge, p->token, e)) : -1;
}

static int op_start(struct call *c, struct err *e)
{
	if (instances_start(c->k->instances, c->project, &c->q->start, c->fds, &c->ret->value, e) !=
	    0)
		return -1;
	for (size_t i = 0; i < c->fd_count; i++)
		c->fds[i] = -1;
	return 0;
}

static int op_stop(struct call *c, struct err *e)
{
	(void)e;
	instances_stop(c->k->instances, c->in, c->q->stop_timeout_ms);
	return 0;
}

static int op_sleep(struct call *c, struct err *e)
{
	return instances_sleep(c->k->instances, c->in, e);
}

static int op_narrow(struct call *c, struct err *e)
{
	(void)e;
	instances_narrow(c->in, c->q->start.limits.devices);
	return 0;
}

static int op_signal(struct call *c, struct err *e)
{
	return instances_signal(c->k->instances, c->in, c->q->signal, e);
}

static int op_list(struct call *c, struct err *e)
{
	(void)e;
	size_t at = 0;
	for (struct instance *in; (in = instances_next(c->k->instances, &at));)
		in->changed = true;
	c->ret->value = instances_count(c->k->instances);
	return 0;
}

static int op_take_output(struct call *c, struct err *e)
{
	if (c->in->out_read < 0)
		return err_set(e, ERR_NOT_FOUND, "the instance has no output");
	*c->ret_fd = fcntl(c->in->out_read, F_DUPFD_CLOEXEC, 3);
	if (*c->ret_fd < 0)
		return err_sys(e, ERR_UNAVAILABLE, errno, "could not duplicate the output");
	c->in->output_taken = true;
	c->ret->value = c->in->st.lost_output_bytes;
	return 0;
}

static int op_forget(struct call *c, struct err *e)
{
	return instances_forget(c->k->instances, c->in, e);
}

static int op_shutdown(struct call *c, struct err *e)
{
	(void)e;
	keeper_end(c->k);
	return 0;
}

static op_fn *const operations[PRIV_OP_COUNT] = {
    [PRIV_HELLO] = op_hello,
    [PRIV_PROJECT_ENSURE] = op_project_ensure,
    [PRIV_PROJECT_REMOVE] = op_project_remove,
    [PRIV_RELEASE_PREPARE] = op_work,
    [PRIV_RELEASE_SEAL] = op_seal,
    [PRIV_RELEASE_REMOVE] = op_work,
    [PRIV_VHOST_SET] = op_vhost_set,
    [PRIV_VHOST_REMOVE] = op_vhost_remove,
    [PRIV_EDGE_CHECK] = op_edge_check,
    [PRIV_EDGE_RELOAD] = op_edge_reload,
    [PRIV_SITES_SET] = op_sites_set,
    [PRIV_SITE_CERT_SET] = op_site_cert_set,
    [PRIV_OWN_CERT_SET] = op_own_cert_set,
    [PRIV_OWN_CERT_REMOVE] = op_own_cert_remove,
    [PRIV_CERT_SET] = op_cert_set,
    [PRIV_CERT_REMOVE] = op_cert_remove,
    [PRIV_START] = op_start,
    [PRIV_STOP] = op_stop,
    [PRIV_SIGNAL] = op_signal,
    [PRIV_LIST] = op_list,
    [PRIV_TAKE_OUTPUT] = op_take_output,
    [PRIV_FORGET] = op_forget,
    [PRIV_SLEEP] = op_sleep,
    [PRIV_NARROW] = op_narrow,
    [PRIV_SHUTDOWN] = op_shutdown,
};

/* What the message alone does not say. */
static int check_moment(struct call *c, struct err *e)
{
	unsigned flags = request_flags(c->q->op);
	if (c->k->ending && !(flags & REQUEST_ENDING))
		return err_set(e, ERR_UNAVAILABLE, "the helper is ending");
	if (flags & REQUEST_PROJECT)
		c->project = str_c(c->q->project);
	c->in = flags & REQUEST_INSTANCE ? instances_find(c->k->instances, c->q->id) : NULL;
	if ((flags & REQUEST_INSTANCE) && !c->in)
		return err_set(e, ERR_NOT_FOUND, "no such instance");
	return 0;
}

int ops_perform(struct keeper *k, const struct priv_request *q, int *fds, size_t fd_count,
    struct priv_reply *ret, int *ret_fd, struct err *e)
{
	struct call c = {
	    .k = k, .q = q, .fds = fds, .fd_count = fd_count, .ret = ret, .ret_fd = ret_fd};
	*ret_fd = -1;
	int rc = request_judge(q, fds, fd_count, k->greeted, e);
	if (rc == 0)
		rc = check_moment(&c, e);
	if (rc == 0)
		rc = operations[q->op](&c, e);
	if (rc != 1)
		request_audit_message(
		    q, q->op == PRIV_START ? ret->value : q->id, rc == 0 ? NULL : e);
	return rc;
}
