#include "monitor/request.h"
#include "base/limits.h"
#include "base/log.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define RELEASE_MAX 1000000000u
#define TIME_LIMIT_MAX_MS (24u * 3600000u)
#define FILES_MAX 1048576u

struct message {
	const struct priv_request *q;
	const int *fds;
	size_t count;
};

typedef int judge_fn(const struct message *m, struct err *e);

/* ---- fields and descriptors ---- */

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

static int check_timeout(uint32_t ms, struct err *e)
{
	return ms <= REQUEST_TIMEOUT_MAX_MS
		   ? 0
		   : err_set(e, ERR_INVALID, "the stop timeout is out of range");
}

static int check_disk(const struct priv_limits *l, struct err *e)
{
	return l->disk_bytes <= INT64_MAX ? 0 : err_set(e, ERR_INVALID, "a limit is out of range");
}

static int check_devices(const struct priv_limits *l, struct err *e)
{
	return (l->devices & ~DEVICE_ALL) == 0
		   ? 0
		   : err_set(e, ERR_INVALID, "there is no such kind of device");
}

/* ---- a start ---- */

static int check_indices(const struct priv_start *s, size_t count, struct err *e)
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
	return seen == (1u << count) - 1 ? 0 : err_set(e, ERR_INVALID, "a descriptor is not used");
}

static int check_descriptors(const struct priv_start *s, const int *fds, struct err *e)
{
	const struct {
		int8_t at;
		const char *what;
	} sealed[] = {{s->fd_argv, "argument list"}, {s->fd_env, "environment list"},
	    {s->fd_secret, "secret"}};
	for (size_t i = 0; i < sizeof(sealed) / sizeof(*sealed); i++)
		if (sealed[i].at >= 0 && check_sealed(fds[sealed[i].at], sealed[i].what, e) != 0)
			return -1;
	if (s->fd_listen >= 0 &&
	    check_kind(fds[s->fd_listen], S_IFSOCK, "the listening socket", e) != 0)
		return -1;
	if (s->terminal && s->fd_stdin < 0)
		return err_set(e, ERR_INVALID, "the terminal is missing");
	return s->terminal ? check_kind(fds[s->fd_stdin], S_IFCHR, "the terminal", e) : 0;
}

/* A release's own programs; whatever is built, fetched or relayed needs none. */
static bool may_have_devices(const struct priv_start *s)
{
	return s->sandbox == PRIV_SANDBOX_RUN && s->program == PRIV_PROGRAM_TENANT;
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
	if (s->stop_timeout_ms > REQUEST_TIMEOUT_MAX_MS || s->time_limit_ms > TIME_LIMIT_MAX_MS)
		return err_set(e, ERR_INVALID, "a time limit is out of range");
	bool program = s->class == PRIV_SERVICE && s->program == PRIV_PROGRAM_TENANT;
	if (s->ready_ms > REQUEST_TIMEOUT_MAX_MS || s->watchdog_ms > REQUEST_TIMEOUT_MAX_MS ||
	    ((s->ready_ms || s->watchdog_ms) && !program))
		return err_set(e, ERR_INVALID, "what it has to say of itself is out of range");
	if (l->memory_bytes > INT64_MAX || l->files > FILES_MAX || l->cpu_milli > LIMIT_CPU_MILLI ||
	    l->tasks > 1000000)
		return err_set(e, ERR_INVALID, "a limit is out of range");
	if (l->devices != 0 && !may_have_devices(s))
		return err_set(e, ERR_INVALID, "such a program opens no devices");
	if (s->release == 0 && s->sandbox != PRIV_SANDBOX_FETCH && s->program != PRIV_PROGRAM_RELAY)
		return err_set(e, ERR_INVALID, "no release is named");
	return check_devices(l, e) != 0 ? -1 : check_disk(l, e);
}

/* Fields that must go together. */
static int check_shape(const struct priv_start *s, struct err *e)
{
	bool relay = s->program == PRIV_PROGRAM_RELAY;
	if ((s->listen_count == 1) != (s->fd_listen >= 0))
		return err_set(e, ERR_INVALID, "the number of listening sockets is wrong");
	if (relay && (s->port == 0 || s->fd_listen < 0))
		return err_set(e, ERR_INVALID, "the relay needs a port and a socket");
	if (!relay && s->fd_argv < 0)
		return err_set(e, ERR_INVALID, "there is no argument list");
	if (s->class == PRIV_SERVICE &&
	    (s->terminal || s->fd_stdin >= 0 || s->fd_stdout >= 0 || s->time_limit_ms))
		return err_set(e, ERR_INVALID, "a service has no input, report or time limit");
	return 0;
}

static int judge_start(const struct message *m, struct err *e)
{
	const struct priv_start *s = &m->q->start;
	if (!is_ended(s->process, sizeof(s->process)) || !is_ended(s->subdir, sizeof(s->subdir)))
		return err_set(e, ERR_INVALID, "a name is not ended");
	if (name_process(str_c(s->process), e) != 0 ||
	    (s->subdir[0] != '\0' && name_subpath(str_c(s->subdir), e) != 0))
		return -1;
	if (check_numbers(s, e) != 0 || check_indices(s, m->count, e) != 0)
		return -1;
	return check_descriptors(s, m->fds, e) != 0 ? -1 : check_shape(s, e);
}

/* ---- vhosts, certificates, sites ---- */

const struct render_vhost *request_vhost(
    const struct priv_request *q, const int *fds, struct err *e)
{
	static struct render_vhost v;
	struct stat st;
	if (fstat(fds[0], &st) != 0 || st.st_size != (off_t)sizeof(v) ||
	    pread(fds[0], &v, sizeof(v), 0) != (ssize_t)sizeof(v))
		(void)err_set(e, ERR_INVALID, "the virtual host has the wrong size");
	else if (!is_ended(v.project, sizeof(v.project)) || strcmp(q->project, v.project) != 0)
		(void)err_set(e, ERR_INVALID, "the virtual host names another project");
	else
		return &v;
	return NULL;
}

int request_site(const int *fds, char out[NAME_SITE_MAX + 4], struct err *e)
{
	struct render_site_cert head;
	if (pread(fds[0], &head, sizeof(head), 0) != (ssize_t)sizeof(head) ||
	    !is_ended(head.site, sizeof(head.site)))
		return err_set(e, ERR_INVALID, "the certificate names no site");
	if (name_site(str_c(head.site), e) != 0)
		return -1;
	memcpy(out, head.site, sizeof(head.site));
	return 0;
}

static int judge_vhost(const struct message *m, struct err *e)
{
	if (check_sealed(m->fds[0], "virtual host", e) != 0)
		return -1;
	const struct render_vhost *v = request_vhost(m->q, m->fds, e);
	return v ? render_vhost_check(v, e) : -1;
}

static int judge_pems(const struct message *m, size_t first, struct err *e)
{
	return check_sealed(m->fds[first], "chain", e) != 0
		   ? -1
		   : check_sealed(m->fds[first + 1], "key", e);
}

static int judge_cert(const struct message *m, struct err *e)
{
	if (m->q->id > 1)
		return err_set(e, ERR_INVALID, "the mark of trust is not 0 or 1");
	return judge_vhost(m, e) != 0 ? -1 : judge_pems(m, 1, e);
}

static int judge_own_cert(const struct message *m, struct err *e)
{
	if (m->q->id >= 2 * PRIV_OWN_COUNT)
		return err_set(e, ERR_INVALID, "the platform has no such certificate");
	return judge_pems(m, 0, e);
}

static int judge_own(const struct message *m, struct err *e)
{
	return m->q->id < PRIV_OWN_COUNT
		   ? 0
		   : err_set(e, ERR_INVALID, "the platform has no such certificate");
}

static int judge_site_cert(const struct message *m, struct err *e)
{
	char site[NAME_SITE_MAX + 4];
	return check_sealed(m->fds[0], "certificate", e) != 0 ? -1 : request_site(m->fds, site, e);
}

static int judge_sites(const struct message *m, struct err *e)
{
	return check_sealed(m->fds[0], "list of sites", e);
}

/* ---- the others ---- */

static int judge_hello(const struct message *m, struct err *e)
{
	if (m->q->id == PRIV_VERSION)
		return 0;
	return err_set(e, ERR_UNSUPPORTED,
	    "the helper speaks version %u of the protocol, the daemon %llu", PRIV_VERSION,
	    (unsigned long long)m->q->id);
}

static int judge_project(const struct message *m, struct err *e)
{
	return check_disk(&m->q->start.limits, e);
}

static int judge_seal(const struct message *m, struct err *e)
{
	return m->count > 0 ? check_sealed(m->fds[0], "list of static paths", e) : 0;
}

static int judge_stop(const struct message *m, struct err *e)
{
	return check_timeout(m->q->stop_timeout_ms, e);
}

static int judge_signal(const struct message *m, struct err *e)
{
	int signal = m->q->signal;
	return signal >= 1 && signal <= 31
		   ? 0
		   : err_set(e, ERR_INVALID, "signal %d is out of range", signal);
}

static int judge_narrow(const struct message *m, struct err *e)
{
	return check_devices(&m->q->start.limits, e);
}

/* ---- the table ---- */

#define PROJECT REQUEST_PROJECT
#define RELEASE REQUEST_RELEASE
#define INSTANCE (REQUEST_INSTANCE | REQUEST_ENDING)

static const struct row {
	unsigned flags;
	size_t least, most; /* descriptors */
	judge_fn *judge;    /* NULL: what the row says is all */
} rows[PRIV_OP_COUNT] = {
    [PRIV_HELLO] = {0, 0, 0, judge_hello},
    [PRIV_PROJECT_ENSURE] = {PROJECT, 0, 0, judge_project},
    [PRIV_PROJECT_REMOVE] = {PROJECT, 0, 0, NULL},
    [PRIV_RELEASE_PREPARE] = {PROJECT | RELEASE, 0, 0, NULL},
    [PRIV_RELEASE_SEAL] = {PROJECT | RELEASE, 0, 1, judge_seal},
    [PRIV_RELEASE_REMOVE] = {PROJECT | RELEASE, 0, 0, NULL},
    [PRIV_VHOST_SET] = {PROJECT, 1, 1, judge_vhost},
    [PRIV_VHOST_REMOVE] = {PROJECT, 0, 0, NULL},
    [PRIV_EDGE_CHECK] = {0, 0, 0, NULL},
    [PRIV_EDGE_RELOAD] = {0, 0, 0, NULL},
    [PRIV_SITES_SET] = {PROJECT | RELEASE, 1, 1, judge_sites},
    [PRIV_SITE_CERT_SET] = {PROJECT, 1, 1, judge_site_cert},
    [PRIV_OWN_CERT_SET] = {0, 2, 2, judge_own_cert},
    [PRIV_OWN_CERT_REMOVE] = {0, 0, 0, judge_own},
    [PRIV_CERT_SET] = {PROJECT, 3, 3, judge_cert},
    [PRIV_CERT_REMOVE] = {PROJECT, 1, 1, judge_vhost},
    [PRIV_START] = {PROJECT, 0, PRIV_FDS_MAX, judge_start},
    [PRIV_STOP] = {INSTANCE, 0, 0, judge_stop},
    [PRIV_SIGNAL] = {INSTANCE, 0, 0, judge_signal},
    [PRIV_LIST] = {REQUEST_ENDING, 0, 0, NULL},
    [PRIV_TAKE_OUTPUT] = {INSTANCE, 0, 0, NULL},
    [PRIV_FORGET] = {INSTANCE, 0, 0, NULL},
    [PRIV_SLEEP] = {REQUEST_INSTANCE, 0, 0, NULL},
    [PRIV_NARROW] = {REQUEST_INSTANCE, 0, 0, judge_narrow},
    [PRIV_SHUTDOWN] = {REQUEST_ENDING, 0, 0, NULL},
};

static const struct row *find_row(uint32_t op)
{
	return priv_op_name(op) ? &rows[op] : NULL;
}

unsigned request_flags(uint32_t op)
{
	const struct row *row = find_row(op);
	return row ? row->flags : 0;
}

static int check_names(const struct priv_request *q, unsigned flags, struct err *e)
{
	if (flags & REQUEST_PROJECT) {
		if (!is_ended(q->project, sizeof(q->project)))
			return err_set(e, ERR_INVALID, "the project's name is not ended");
		if (name_project(str_c(q->project), e) != 0)
			return -1;
	}
	if ((flags & REQUEST_RELEASE) && (q->release == 0 || q->release > RELEASE_MAX))
		return err_set(e, ERR_INVALID, "release %u is out of range", q->release);
	return 0;
}

int request_judge(
    const struct priv_request *q, const int *fds, size_t fd_count, bool greeted, struct err *e)
{
	const struct message m = {q, fds, fd_count};
	const struct row *row = find_row(q->op);
	if (q->magic != PRIV_MAGIC)
		return err_set(e, ERR_INVALID, "the message is not of this protocol");
	if (!row)
		return err_set(e, ERR_INVALID, "there is no operation %u", q->op);
	if (!greeted && q->op != PRIV_HELLO)
		return err_set(e, ERR_FORBIDDEN, "the first message must be hello");
	if (fd_count < row->least || fd_count > row->most)
		return err_set(e, ERR_INVALID, "%zu descriptors came with the request", fd_count);
	if (check_names(q, row->flags, e) != 0)
		return -1;
	return row->judge ? row->judge(&m, e) : 0;
}

/* ---- the audit ---- */

void request_audit(
    uint32_t op, const char *project, uint32_t release, uint64_t id, const struct err *e)
{
	const char *name = priv_op_name(op);
	log_event(e ? LOG_WARN : LOG_INFO, "helper", e ? "refused" : "performed",
	    F_C("op", name ? name : "unknown"), F_C("project", project), F_I64("release", release),
	    F_I64("id", id), F_C("error", e ? e->msg : ""));
}

void request_audit_message(const struct priv_request *q, uint64_t id, const struct err *e)
{
	struct err no_name;
	bool named = (request_flags(q->op) & REQUEST_PROJECT) &&
		     is_ended(q->project, sizeof(q->project)) &&
		     name_project(str_c(q->project), &no_name) == 0;
	request_audit(q->op, named ? q->project : "",
	    q->op == PRIV_START ? q->start.release : q->release, id, e);
}
