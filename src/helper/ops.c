#include "helper/ops.h"
#include "base/log.h"
#include "helper/units.h"
#include "render/sites.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define RELEASE_MAX 1000000000u
#define TIMEOUT_MAX_MS 3600000u
#define TIME_LIMIT_MAX_MS (24u * 3600000u)
#define FILES_MAX 1048576u

enum op_flag {
	OP_FIRST = 1,	 /* allowed before HELLO */
	OP_PROJECT = 2,	 /* names a project */
	OP_RELEASE = 4,	 /* names a release */
	OP_INSTANCE = 8, /* names an instance */
	OP_FD = 16,	 /* exactly one descriptor */
	OP_FDS = 32,	 /* as many as the request says */
	OP_ENDING = 64	 /* also while the end has begun */
};

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

/* ---- validation ---- */

static bool is_ended(const char *p, size_t size)
{
	return memchr(p, '\0', size) != NULL;
}

/* A list or secret must not change under us or under a restart. */
static int check_sealed(int fd, const char *what, struct err *e)
{
	int seals = fcntl(fd, F_GET_SEALS), need = F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW;
	if (seals < 0 || (seals & need) != need)
		return err_set(e, ERR_INVALID, "the %s is not a sealed memory file", what);
	return 0;
}

static int check_kind(int fd, mode_t kind, const char *what, struct err *e)
{
	struct stat st;
	if (fstat(fd, &st) != 0 || (st.st_mode & S_IFMT) != kind)
		return err_set(e, ERR_INVALID, "%s is of the wrong kind", what);
	return 0;
}

static int check_fds(const struct priv_start *s, const int *fds, size_t count, struct err *e)
{
	const int8_t index[] = {
	    s->fd_argv, s->fd_env, s->fd_listen, s->fd_stdin, s->fd_stdout, s->fd_secret};
	unsigned seen = 0;
	for (size_t i = 0; i < sizeof(index); i++) {
		if (index[i] == -1)
			continue;
		if (index[i] < 0 || (size_t)index[i] >= count || (seen & (1u << index[i])))
			return err_set(e, ERR_INVALID, "a descriptor's index is wrong");
		seen |= 1u << index[i];
	}
	if (seen != (1u << count) - 1)
		return err_set(e, ERR_INVALID, "a descriptor is not used");
	if (s->fd_argv >= 0 && check_sealed(fds[s->fd_argv], "argument list", e) != 0)
		return -1;
	if (s->fd_env >= 0 && check_sealed(fds[s->fd_env], "environment list", e) != 0)
		return -1;
	if (s->fd_secret >= 0 && check_sealed(fds[s->fd_secret], "secret", e) != 0)
		return -1;
	if (s->fd_listen >= 0 &&
	    check_kind(fds[s->fd_listen], S_IFSOCK, "the listening socket", e) != 0)
		return -1;
	if (s->terminal &&
	    (s->fd_stdin < 0 || check_kind(fds[s->fd_stdin], S_IFCHR, "the terminal", e) != 0))
		return err_set(e, ERR_INVALID, "the terminal is missing or none");
	return 0;
}

static int check_numbers(const struct priv_start *s, struct err *e)
{
	const struct priv_limits *l = &s->limits;
	if (s->class >= PRIV_CLASS_COUNT || s->sandbox >= PRIV_SANDBOX_COUNT ||
	    s->program >= PRIV_PROGRAM_COUNT || s->terminal > 1 || s->listen_count > 1)
		return err_set(
		    e, ERR_INVALID, "class, sandbox, program or terminal is out of range");
	if (s->instance == 0 || s->release > RELEASE_MAX)
		return err_set(e, ERR_INVALID, "instance or release is out of range");
	if (s->stop_timeout_ms > TIMEOUT_MAX_MS || s->time_limit_ms > TIME_LIMIT_MAX_MS)
		return err_set(e, ERR_INVALID, "a time limit is out of range");
	bool program = s->class == PRIV_SERVICE && s->program == PRIV_PROGRAM_TENANT;
	if (s->ready_ms > TIMEOUT_MAX_MS || s->watchdog_ms > TIMEOUT_MAX_MS ||
	    ((s->ready_ms || s->watchdog_ms) && !program))
		return err_set(e, ERR_INVALID, "what it has to say of itself is out of range");
	if (l->memory_bytes > INT64_MAX || l->disk_bytes > INT64_MAX || l->files > FILES_MAX ||
	    l->cpu_milli > 1000000 || l->tasks > 1000000)
		return err_set(e, ERR_INVALID, "a limit is out of range");
	if (s->release == 0 && s->sandbox != PRIV_SANDBOX_FETCH && s->program != PRIV_PROGRAM_RELAY)
		return err_set(e, ERR_INVALID, "no release is named");
	return 0;
}

static int check_start(const struct priv_start *s, const int *fds, size_t count, struct err *e)
{
	if (!is_ended(s->process, sizeof(s->process)) || !is_ended(s->subdir, sizeof(s->subdir)))
		return err_set(e, ERR_INVALID, "a name is not ended");
	if (name_process(str_c(s->process), e) != 0 ||
	    (s->subdir[0] != '\0' && name_subpath(str_c(s->subdir), e) != 0))
		return -1;
	if (check_numbers(s, e) != 0 || check_fds(s, fds, count, e) != 0)
		return -1;
	bool relay = s->program == PRIV_PROGRAM_RELAY;
	if ((s->listen_count == 1) != (s->fd_listen >= 0))
		return err_set(e, ERR_INVALID, "the number of listening sockets is wrong");
	if (relay ? s->port == 0 || s->fd_listen < 0 : s->fd_argv < 0)
		return err_set(e, ERR_INVALID, "%s",
		    relay ? "the relay needs a port and a socket" : "there is no argument list");
	if (s->class == PRIV_SERVICE &&
	    (s->terminal || s->fd_stdin >= 0 || s->fd_stdout >= 0 || s->time_limit_ms))
		return err_set(e, ERR_INVALID, "a service has no input, report or time limit");
	return 0;
}

/* ---- operations ---- */

static int op_hello(struct call *c, struct err *e)
{
	if (c->q->id != PRIV_VERSION)
		return err_set(e, ERR_UNSUPPORTED,
		    "the helper speaks version %u of the protocol, the daemon %llu", PRIV_VERSION,
		    (unsigned long long)c->q->id);
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
	if (bytes > INT64_MAX)
		return err_set(e, ERR_INVALID, "a limit is out of range");
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
	if (c->fd_count > 1)
		return err_set(e, ERR_INVALID, "more than one list of static paths");
	if (c->fd_count == 1 && check_sealed(c->fds[0], "list of static paths", e) != 0)
		return -1;
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

/* The first descriptor: the fields of this project's vhost. */
static const struct render_vhost *read_vhost(struct call *c, struct err *e)
{
	static struct render_vhost v;
	struct stat st;
	if (check_sealed(c->fds[0], "virtual host", e) != 0)
		return NULL;
	if (fstat(c->fds[0], &st) != 0 || st.st_size != (off_t)sizeof(v) ||
	    pread(c->fds[0], &v, sizeof(v), 0) != (ssize_t)sizeof(v))
		(void)err_set(e, ERR_INVALID, "the virtual host has the wrong size");
	else if (!is_ended(v.project, sizeof(v.project)) || !str_eq_c(c->project, v.project))
		(void)err_set(e, ERR_INVALID, "the virtual host names another project");
	else
		return &v;
	return NULL;
}

static int op_vhost_set(struct call *c, struct err *e)
{
	const struct render_vhost *v = read_vhost(c, e);
	if (!v)
		return -1;
	struct keeper_pending *p = keeper_defer(c->k, c->q, e);
	return p ? settle(p, edge_vhost_set(c->k->edge, p->token, v, e)) : -1;
}

static int op_cert_set(struct call *c, struct err *e)
{
	if (c->fd_count != 3)
		return err_set(
		    e, ERR_INVALID, "%zu descriptors came with a certificate, not 3", c->fd_count);
	if (c->q->id > 1)
		return err_set(e, ERR_INVALID, "the mark of trust is not 0 or 1");
	const struct render_vhost *v = read_vhost(c, e);
	if (!v || check_sealed(c->fds[1], "chain", e) != 0 ||
	    check_sealed(c->fds[2], "key", e) != 0)
		return -1;
	struct keeper_pending *p = keeper_defer(c->k, c->q, e);
	return p ? settle(
		       p, edge_certificate_set(c->k->edge, p->token, v, c->q->id == 1, c->fds, e))
		 : -1;
}

static int op_cert_remove(struct call *c, struct err *e)
{
	const struct render_vhost *v = read_vhost(c, e);
	struct keeper_pending *p = v ? keeper_defer(c->k, c->q, e) : NULL;
	return p ? settle(p, edge_certificate_remove(c->k->edge, p->token, v, e)) : -1;
}

static int op_own_cert_set(struct call *c, struct err *e)
{
	if (c->fd_count != 2)
		return err_set(
		    e, ERR_INVALID, "%zu descriptors came with a certificate, not 2", c->fd_count);
	if (check_sealed(c->fds[0], "chain", e) != 0 || check_sealed(c->fds[1], "key", e) != 0)
		return -1;
	if (c->q->id >= 2 * EDGE_OWN_COUNT)
		return err_set(e, ERR_INVALID, "the platform has no such certificate");
	struct keeper_pending *p = keeper_defer(c->k, c->q, e);
	return p ? settle(p, edge_own_set(c->k->edge, p->token, (unsigned)(c->q->id / 2),
				 c->q->id % 2 == 1, c->fds, e))
		 : -1;
}

static int op_own_cert_remove(struct call *c, struct err *e)
{
	if (c->q->id >= EDGE_OWN_COUNT)
		return err_set(e, ERR_INVALID, "the platform has no such certificate");
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
	if (check_sealed(c->fds[0], "list of sites", e) != 0)
		return -1;
	int rc = defer_work(c, c->fds[0], 0, e);
	if (rc == 1)
		c->fds[0] = -1;
	return rc;
}

static int op_site_cert_set(struct call *c, struct err *e)
{
	struct render_site_cert head;
	if (check_sealed(c->fds[0], "certificate", e) != 0)
		return -1;
	if (pread(c->fds[0], &head, sizeof(head), 0) != (ssize_t)sizeof(head) ||
	    !is_ended(head.site, sizeof(head.site)))
		return err_set(e, ERR_INVALID, "the certificate names no site");
	if (name_site(str_c(head.site), e) != 0)
		return -1;
	int rc = defer_site(c, c->fds[0], head.site, 0, e);
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
	const struct priv_start *s = &c->q->start;
	if (check_start(s, c->fds, c->fd_count, e) != 0 ||
	    instances_start(c->k->instances, c->project, s, c->fds, &c->ret->value, e) != 0)
		return -1;
	for (size_t i = 0; i < c->fd_count; i++)
		c->fds[i] = -1;
	return 0;
}

static int op_stop(struct call *c, struct err *e)
{
	if (c->q->stop_timeout_ms > TIMEOUT_MAX_MS)
		return err_set(e, ERR_INVALID, "the stop timeout is out of range");
	instances_stop(c->k->instances, c->in, c->q->stop_timeout_ms);
	return 0;
}

static int op_sleep(struct call *c, struct err *e)
{
	return instances_sleep(c->k->instances, c->in, e);
}

static int op_signal(struct call *c, struct err *e)
{
	if (c->q->signal < 1 || c->q->signal > 31)
		return err_set(e, ERR_INVALID, "signal %d is out of range", c->q->signal);
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

static const struct op_row {
	const char *name;
	unsigned flags;
	op_fn *perform;
} rows[PRIV_OP_COUNT] = {
    [PRIV_HELLO] = {"hello", OP_FIRST, op_hello},
    [PRIV_PROJECT_ENSURE] = {"project-ensure", OP_PROJECT, op_project_ensure},
    [PRIV_PROJECT_REMOVE] = {"project-remove", OP_PROJECT, op_project_remove},
    [PRIV_RELEASE_PREPARE] = {"release-prepare", OP_PROJECT | OP_RELEASE, op_work},
    [PRIV_RELEASE_SEAL] = {"release-seal", OP_PROJECT | OP_RELEASE | OP_FDS, op_seal},
    [PRIV_RELEASE_REMOVE] = {"release-remove", OP_PROJECT | OP_RELEASE, op_work},
    [PRIV_VHOST_SET] = {"vhost-set", OP_PROJECT | OP_FD, op_vhost_set},
    [PRIV_VHOST_REMOVE] = {"vhost-remove", OP_PROJECT, op_vhost_remove},
    [PRIV_EDGE_CHECK] = {"edge-check", 0, op_edge_check},
    [PRIV_EDGE_RELOAD] = {"edge-reload", 0, op_edge_reload},
    [PRIV_SITES_SET] = {"sites-set", OP_PROJECT | OP_RELEASE | OP_FD, op_sites_set},
    [PRIV_SITE_CERT_SET] = {"site-certificate-set", OP_PROJECT | OP_FD, op_site_cert_set},
    [PRIV_OWN_CERT_SET] = {"own-certificate-set", OP_FDS, op_own_cert_set},
    [PRIV_OWN_CERT_REMOVE] = {"own-certificate-remove", 0, op_own_cert_remove},
    [PRIV_CERT_SET] = {"certificate-set", OP_PROJECT | OP_FDS, op_cert_set},
    [PRIV_CERT_REMOVE] = {"certificate-remove", OP_PROJECT | OP_FD, op_cert_remove},
    [PRIV_START] = {"start", OP_PROJECT | OP_FDS, op_start},
    [PRIV_STOP] = {"stop", OP_INSTANCE | OP_ENDING, op_stop},
    [PRIV_SIGNAL] = {"signal", OP_INSTANCE | OP_ENDING, op_signal},
    [PRIV_LIST] = {"list", OP_ENDING, op_list},
    [PRIV_TAKE_OUTPUT] = {"take-output", OP_INSTANCE | OP_ENDING, op_take_output},
    [PRIV_FORGET] = {"forget", OP_INSTANCE | OP_ENDING, op_forget},
    [PRIV_SLEEP] = {"sleep", OP_INSTANCE, op_sleep},
    [PRIV_SHUTDOWN] = {"shutdown", OP_ENDING, op_shutdown},
};

static const struct op_row *find_row(uint32_t op)
{
	return op < PRIV_OP_COUNT && rows[op].perform ? &rows[op] : NULL;
}

void ops_audit(uint32_t op, const char *project, uint32_t release, uint64_t id, const struct err *e)
{
	const struct op_row *row = find_row(op);
	log_event(e ? LOG_WARN : LOG_INFO, "helper", e ? "refused" : "performed",
	    F_C("op", row ? row->name : "unknown"), F_C("project", project),
	    F_I64("release", release), F_I64("id", id), F_C("error", e ? e->msg : ""));
}

static int check(const struct op_row *row, struct call *c, struct err *e)
{
	const struct priv_request *q = c->q;
	if (!(row->flags & OP_FIRST) && !c->k->greeted)
		return err_set(e, ERR_FORBIDDEN, "the first message must be hello");
	if (c->k->ending && !(row->flags & OP_ENDING))
		return err_set(e, ERR_UNAVAILABLE, "the helper is ending");
	size_t least = row->flags & OP_FD ? 1 : 0,
	       most = row->flags & OP_FDS ? PRIV_FDS_MAX : least;
	if (c->fd_count < least || c->fd_count > most)
		return err_set(
		    e, ERR_INVALID, "%zu descriptors came with the request", c->fd_count);
	if (row->flags & OP_PROJECT) {
		if (!is_ended(q->project, sizeof(q->project)))
			return err_set(e, ERR_INVALID, "the project's name is not ended");
		c->project = str_c(q->project);
		if (name_project(c->project, e) != 0)
			return -1;
	}
	if ((row->flags & OP_RELEASE) && (q->release == 0 || q->release > RELEASE_MAX))
		return err_set(e, ERR_INVALID, "release %u is out of range", q->release);
	if (row->flags & OP_INSTANCE) {
		c->in = instances_find(c->k->instances, q->id);
		if (!c->in)
			return err_set(e, ERR_NOT_FOUND, "no such instance");
	}
	return 0;
}

int ops_perform(struct keeper *k, const struct priv_request *q, int *fds, size_t fd_count,
    struct priv_reply *ret, int *ret_fd, struct err *e)
{
	struct call c = {
	    .k = k, .q = q, .fds = fds, .fd_count = fd_count, .ret = ret, .ret_fd = ret_fd};
	const struct op_row *row = find_row(q->op);
	int rc = -1;
	*ret_fd = -1;
	if (q->magic != PRIV_MAGIC)
		(void)err_set(e, ERR_INVALID, "the message is not of this protocol");
	else if (!row)
		(void)err_set(e, ERR_INVALID, "there is no operation %u", q->op);
	else if (check(row, &c, e) == 0)
		rc = row->perform(&c, e);
	/* What is a name is shown as one; anything else is not shown at all. */
	const char *project = c.project.p ? c.project.p : "";
	uint32_t release = q->op == PRIV_START ? q->start.release : q->release;
	if (rc != 1)
		ops_audit(q->op, project, release, q->op == PRIV_START ? ret->value : q->id,
		    rc == 0 ? NULL : e);
	return rc;
}
