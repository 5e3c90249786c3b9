#include "helper/keeper.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/rand.h"
#include "helper/keep.h"
#include "helper/ops.h"
#include "helper/systemctl.h"
#include "monitor/request.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define EVENTS_MAX 8
#define KEPT "keeper"		      /* the socket, under this name (helper/keep.h) */
#define UNIT "slipway-helper.service" /* ours, where that is on */
#define LEAVE_MS 20000		      /* for what the worker does */
#define WORKER_POLL_MS 100
#define SEND_BUFFER_BYTES (1 << 20)

enum tag { TAG_FRONT, TAG_SIGNALS, TAG_DAEMON, TAG_DOOR, TAG_KNOCK, TAG_NOTICE };

/* ---- setting up ---- */

static int watch(struct keeper *k, int op, int fd, enum tag tag, uint32_t events)
{
	struct epoll_event ev = {.events = events, .data.u32 = (uint32_t)tag};
	return epoll_ctl(k->epoll, op, fd, &ev);
}

/* A socket that nobody answers at is a dead keeper's. */
static int remove_stale(const struct sockaddr_un *a, struct err *e)
{
	CLEANUP_FD int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (connect(fd, (const struct sockaddr *)a, sizeof(*a)) == 0 || errno == EAGAIN)
		return err_set(e, ERR_CONFLICT, "another keeper answers at '%s'", a->sun_path);
	struct stat st;
	if (lstat(a->sun_path, &st) == 0 && S_ISSOCK(st.st_mode))
		(void)unlink(a->sun_path);
	return 0;
}

/* Made as the daemon's where the folder is the daemon's: what is given away there by its path may be something else by
 * then. Elsewhere nobody puts anything in its place. */
static int bind_for_daemon(struct keeper *k, const struct sockaddr_un *a)
{
	tenant_as_daemon(&k->o.roots, true);
	(void)umask(0177);
	int rc = bind(k->listen, (const struct sockaddr *)a, sizeof(*a));
	int sys = errno;
	tenant_as_daemon(&k->o.roots, false);
	errno = sys;
	if (rc == 0 || errno != EACCES || !k->o.roots.root)
		return rc;
	mode_t old = umask(0177);
	rc = bind(k->listen, (const struct sockaddr *)a, sizeof(*a));
	sys = errno;
	(void)umask(old);
	errno = sys;
	return rc == 0 ? lchown(a->sun_path, k->o.daemon_uid, k->o.daemon_gid) : rc;
}

static int make_socket(struct keeper *k, struct err *e)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	if (!str_copy(str_c(k->o.socket), a.sun_path, sizeof(a.sun_path)))
		return err_set(e, ERR_SETTINGS, "the socket's path '%s' is too long", k->o.socket);
	if (remove_stale(&a, e) != 0)
		return -1;
	k->listen = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (k->listen < 0 || bind_for_daemon(k, &a) != 0)
		return err_sys(
		    e, ERR_SETTINGS, errno, "could not make the socket '%s'", k->o.socket);
	if (listen(k->listen, 8) != 0)
		return err_sys(e, ERR_SETTINGS, errno, "could not listen at '%s'", k->o.socket);
	keep_put(KEPT, k->listen);
	return 0;
}

/* Whoever knocked while there was no helper is let in by this one. */
static int open_socket(struct keeper *k, struct err *e)
{
	k->listen = access(k->o.socket, F_OK) == 0 ? keep_take(KEPT) : -1;
	return k->listen >= 0 ? 0 : make_socket(k, e);
}

static int open_signals(struct keeper *k, struct err *e)
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	(void)sigprocmask(SIG_BLOCK, &set, NULL);
	(void)signal(SIGPIPE, SIG_IGN);
	(void)signal(SIGHUP, SIG_IGN);
	k->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return k->signals >= 0 ? 0 : err_sys(e, ERR_INTERNAL, errno, "could not watch signals");
}

static void on_edge_done(void *ctx, uint64_t token, const struct err *e);

/* What serves does not wait for a daemon. Nobody asked, so nobody is answered; it will ask. */
static void begin(struct keeper *k)
{
	struct err e;
	if (edge_start(k->edge, 0, &e) < 0)
		log_event(LOG_WARN, "helper", "edge_start", F_ERR(&e));
	instances_boot_open(k->instances, k->o.boot);
}

int keeper_open(struct keeper *k, const struct keeper_options *o, struct err *e)
{
	k->o = *o;
	k->epoll = k->listen = k->signals = k->daemon = -1;
	rand_bytes(&k->incarnation, sizeof(k->incarnation));
	/* What a program forks away comes back to us, and ends with it. */
	if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0)
		return err_sys(e, ERR_INTERNAL, errno, "could not become the reaper");
	if (open_signals(k, e) != 0 || open_socket(k, e) != 0)
		return -1;
	k->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (front_open(&k->front, o->monitor, k->listen, o->daemon_uid, e) != 0)
		return -1;
	if (k->epoll < 0 || watch(k, EPOLL_CTL_ADD, k->front.control, TAG_FRONT, EPOLLIN) != 0 ||
	    watch(k, EPOLL_CTL_ADD, k->signals, TAG_SIGNALS, EPOLLIN) != 0)
		return err_sys(e, ERR_INTERNAL, errno, "could not watch the socket");
	if (o->supply && (door_open(&k->door, o->supply, e) != 0 ||
			     watch(k, EPOLL_CTL_ADD, k->door.epoll, TAG_DOOR, EPOLLIN) != 0))
		return -1;
	k->users = *o->roots.users;
	k->o.roots.users = &k->users;
	k->o.instances.roots = &k->o.roots;
	k->o.instances.incarnation = k->incarnation;
	k->instances = instances_open(&k->o.instances);
	k->incarnation = instances_incarnation(k->instances);
	if (watch(k, EPOLL_CTL_ADD, instances_knock_fd(k->instances), TAG_KNOCK, EPOLLIN) != 0 ||
	    watch(k, EPOLL_CTL_ADD, instances_notice_fd(k->instances), TAG_NOTICE, EPOLLIN) != 0)
		return err_sys(e, ERR_INTERNAL, errno, "could not watch what programs say");
	worker_init(&k->worker, &k->o.roots);
	k->o.edge.done = on_edge_done;
	k->o.edge.ctx = k;
	k->edge = edge_open(&k->o.edge);
	if (o->boot)
		begin(k);
	k->alone_since_ms = clock_mono_ms();
	return 0;
}

void keeper_close(struct keeper *k)
{
	if (k->listen >= 0 && !k->leaving)
		(void)unlink(k->o.socket);
	instances_close(k->instances, k->leaving);
	front_close(&k->front);
	int *const fds[] = {&k->listen, &k->daemon, &k->signals, &k->epoll, &k->users.fd};
	for (size_t i = 0; i < sizeof(fds) / sizeof(*fds); i++)
		fs_close_fd(fds[i]);
}

/* ---- the daemon's connection ---- */

static void lose_daemon(struct keeper *k)
{
	if (k->daemon < 0)
		return;
	fs_close_fd(&k->daemon);
	for (; k->reply_count > 0; k->reply_count--) {
		fs_close_fd(&k->replies[k->reply_first].fd);
		k->reply_first = (k->reply_first + 1) % KEEPER_REPLIES_MAX;
	}
	size_t at = 0;
	for (struct instance *in; (in = instances_next(k->instances, &at));)
		in->output_taken = false;
	k->alone_since_ms = clock_mono_ms();
	log_event(LOG_INFO, "keeper", "daemon_gone", F_I64("connection", k->connection));
}

/* 1 sent, 0 the socket is full, -1 the daemon is gone. */
static int send_one(struct keeper *k, const struct priv_reply *r, int fd)
{
	struct err e = {0};
	if (priv_send(k->daemon, r, sizeof(*r), &fd, fd >= 0 ? 1 : 0, &e) == 0)
		return 1;
	if (e.sys == EAGAIN || e.sys == ENOBUFS)
		return 0;
	lose_daemon(k);
	return -1;
}

static int send_statuses(struct keeper *k)
{
	size_t at = 0;
	for (struct instance *in; (in = instances_next(k->instances, &at));) {
		if (!in->changed)
			continue;
		struct priv_reply r = {.magic = PRIV_MAGIC,
		    .kind = PRIV_EVENT_STATUS,
		    .incarnation = k->incarnation,
		    .status = in->st};
		int rc = send_one(k, &r, -1);
		if (rc <= 0)
			return rc;
		instances_told(k->instances, in);
	}
	return 1;
}

/* Half of the ring stays free for answers that were put off. */
static bool has_room(const struct keeper *k)
{
	return k->reply_count < KEEPER_REPLIES_MAX / 2;
}

/* Statuses first: whoever asked for the list has all of it when its reply comes. */
static void flush(struct keeper *k)
{
	int rc = k->daemon >= 0 && k->greeted ? send_statuses(k) : 1;
	while (rc == 1 && k->daemon >= 0 && k->reply_count > 0) {
		struct keeper_reply *p = &k->replies[k->reply_first];
		rc = send_one(k, &p->r, p->fd);
		if (rc != 1)
			break;
		fs_close_fd(&p->fd);
		k->reply_first = (k->reply_first + 1) % KEEPER_REPLIES_MAX;
		k->reply_count--;
	}
	uint32_t wanted = (has_room(k) ? EPOLLIN : 0u) | (rc == 0 ? EPOLLOUT : 0u);
	if (k->daemon >= 0 && wanted != k->wanted) {
		(void)watch(k, EPOLL_CTL_MOD, k->daemon, TAG_DAEMON, wanted);
		k->wanted = wanted;
	}
}

static void put_reply(struct keeper *k, struct priv_reply *r, int fd, const struct err *e)
{
	r->magic = PRIV_MAGIC;
	r->kind = PRIV_REPLY;
	r->incarnation = k->incarnation;
	r->version = PRIV_VERSION;
	r->is_root = k->o.roots.root;
	r->has_quota = k->o.roots.quota;
	if (e) {
		r->code = (int)e->code;
		r->sys = e->sys;
		memcpy(r->msg, e->msg, sizeof(r->msg));
		memcpy(r->hint, e->hint, sizeof(r->hint));
	}
	unsigned at = (k->reply_first + k->reply_count) % KEEPER_REPLIES_MAX;
	k->replies[at] = (struct keeper_reply){*r, fd};
	k->reply_count++;
}

struct keeper_pending *keeper_defer(struct keeper *k, const struct priv_request *q, struct err *e)
{
	for (size_t i = 0; i < KEEPER_PENDING_MAX; i++) {
		struct keeper_pending *p = &k->pending[i];
		if (p->used)
			continue;
		*p = (struct keeper_pending){.used = true,
		    .connection = k->connection,
		    .op = q->op,
		    .seq = q->seq,
		    .token = ++k->next_token * KEEPER_PENDING_MAX + i,
		    .release = q->release};
		memcpy(p->project, q->project, sizeof(p->project) - 1);
		return p;
	}
	(void)err_set(e, ERR_UNAVAILABLE, "%u operations wait already", KEEPER_PENDING_MAX);
	return NULL;
}

/* The answer of a request that was put off. When the daemon that asked is gone there is only the
 * audit line. */
static void settle(struct keeper *k, uint64_t token, uint64_t value, const struct err *e)
{
	struct keeper_pending *p = &k->pending[token % KEEPER_PENDING_MAX];
	if (!p->used || p->token != token)
		return;
	p->used = false;
	request_audit(p->op, p->project, p->release, 0, e);
	if (k->daemon < 0 || p->connection != k->connection)
		return;
	if (k->reply_count == KEEPER_REPLIES_MAX) {
		/* The daemon has not read 64 answers: it is not the daemon we know. */
		lose_daemon(k);
		return;
	}
	struct priv_reply r = {.seq = p->seq, .value = value ? value : p->value};
	put_reply(k, &r, -1, e);
}

static void on_edge_done(void *ctx, uint64_t token, const struct err *e)
{
	settle(ctx, token, 0, e);
}

static void perform(struct keeper *k, const struct priv_request *q, int *fds, size_t fd_count)
{
	struct priv_reply r = {.seq = q->seq};
	struct err e = {0};
	int fd = -1, rc = ops_perform(k, q, fds, fd_count, &r, &fd, &e);
	for (size_t i = 0; i < fd_count; i++)
		fs_close_fd(&fds[i]);
	if (rc != 1)
		put_reply(k, &r, fd, rc == 0 ? NULL : &e);
}

static void read_requests(struct keeper *k)
{
	while (k->daemon >= 0 && has_room(k)) {
		static struct priv_request q;
		int fds[PRIV_FDS_MAX];
		size_t fd_count = 0;
		struct err e = {0};
		int rc = priv_recv(k->daemon, &q, sizeof(q), fds, &fd_count, &e);
		if (rc < 0 && e.sys == EAGAIN)
			return;
		if (rc <= 0) {
			if (rc < 0) /* a surprise in the protocol is the end of the connection */
				log_event(
				    LOG_WARN, "helper", "refused", F_C("op", "message"), F_ERR(&e));
			lose_daemon(k);
			return;
		}
		perform(k, &q, fds, fd_count);
		flush(k);
	}
}

/* The monitor lets in one at a time: the one before has ended, and what it said is heard first. */
static void connected(struct keeper *k)
{
	read_requests(k);
	int fd = front_take(&k->front);
	if (fd < 0)
		return;
	lose_daemon(k);
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &(int){SEND_BUFFER_BYTES}, sizeof(int));
	if (watch(k, EPOLL_CTL_ADD, fd, TAG_DAEMON, EPOLLIN) != 0) {
		fs_close_fd(&fd);
		return;
	}
	k->daemon = fd;
	k->greeted = false;
	k->wanted = EPOLLIN;
	k->connection++;
	log_event(LOG_INFO, "keeper", "daemon_connected", F_I64("connection", k->connection));
}

/* ---- children ---- */

/* Sites that were staged are the edge's to judge. */
static void worked(struct keeper *k, uint64_t token, const struct worker_result *result)
{
	const struct worker_job *j = &k->worker.now;
	struct err e = {.code = (enum err_code)result->code, .sys = result->sys};
	memcpy(e.msg, result->msg, sizeof(e.msg));
	memcpy(e.hint, result->hint, sizeof(e.hint));
	int rc = result->code == 0 ? 0 : -1;
	if (rc == 0 && j->op == PRIV_SITES_SET && result->value != 0)
		rc = edge_sites_set(k->edge, token, str_c(j->project), &e);
	if (rc == 0 && j->op == PRIV_SITE_CERT_SET)
		rc = edge_site_cert_set(k->edge, token, str_c(j->project), str_c(j->site), &e);
	if (rc != 1) {
		if (j->op == PRIV_SITES_SET)
			edge_sites_drop(k->edge, j->project, rc < 0);
		settle(k, token, result->value, rc == 0 ? NULL : &e);
		return;
	}
	k->pending[token % KEEPER_PENDING_MAX].value = result->value;
}

static void reap(struct keeper *k)
{
	int status;
	pid_t pid;
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		uint64_t token;
		struct worker_result result;
		if (instances_reaped(k->instances, pid, status, clock_mono_ms()) ||
		    edge_reaped(k->edge, pid, status) ||
		    front_reaped(&k->front, pid, status, clock_mono_ms()))
			continue;
		if (!worker_reaped(&k->worker, pid, status, &token, &result))
			continue;
		worked(k, token, &result);
	}
}

/* Another helper follows at once: it finds all as it is. What the worker does is finished. */
static void leave(struct keeper *k)
{
	k->leaving = true;
	k->end_by_ms = clock_mono_ms() + LEAVE_MS;
	k->worker.count = 0;	/* whoever wants it asks again */
	front_close(&k->front); /* who knocks now waits for the next */
	instances_steady(k->instances);
	log_event(LOG_INFO, "keeper", "leaving",
	    F_I64("instances", (int64_t)instances_alive(k->instances)));
}

static void told_to_end(struct keeper *k)
{
	if (keep_is_on() && !k->ending && systemctl_restarts(UNIT))
		leave(k);
	else
		keeper_end(k);
}

static void on_signal(struct keeper *k)
{
	struct signalfd_siginfo info;
	while (read(k->signals, &info, sizeof(info)) == (ssize_t)sizeof(info))
		if (info.ssi_signo == SIGTERM || info.ssi_signo == SIGINT)
			told_to_end(k);
	reap(k);
}

/* ---- the end ---- */

void keeper_end(struct keeper *k)
{
	if (k->ending)
		return;
	k->ending = true;
	k->end_by_ms = clock_mono_ms() + KEEPER_SHUTDOWN_MS;
	instances_boot_final();
	log_event(LOG_INFO, "keeper", "ending", F_I64("instances", instances_alive(k->instances)));
	size_t at = 0;
	for (struct instance *in; (in = instances_next(k->instances, &at));)
		instances_stop(k->instances, in, 0);
	edge_stop(k->edge, false);
}

static bool has_ended(struct keeper *k, int64_t now_ms)
{
	if (k->leaving)
		return k->worker.pid == 0 || now_ms >= k->end_by_ms;
	if (!k->ending)
		return false;
	bool idle = k->worker.pid == 0 && k->worker.count == 0;
	if (instances_alive(k->instances) == 0 && !edge_running(k->edge) && idle)
		return true;
	if (now_ms < k->end_by_ms)
		return false;
	if (now_ms > k->end_by_ms + 2000)
		return true;
	size_t at = 0;
	for (struct instance *in; (in = instances_next(k->instances, &at));)
		instances_stop(k->instances, in, 1);
	return false;
}

/* Sites that are staged may have to come back while their reload is under way. */
static bool must_wait(const struct keeper *k)
{
	const struct worker *w = &k->worker;
	const struct worker_job *next = &w->waiting[w->first];
	return w->pid == 0 && w->count > 0 &&
	       (next->op == PRIV_SITES_SET || next->op == PRIV_SITE_CERT_SET) &&
	       edge_sites_wait(k->edge, next->project);
}

static int64_t tick(struct keeper *k)
{
	int64_t now = clock_mono_ms(), front_due = DEADLINE_NEVER;
	int64_t due = instances_tick(k->instances, now, k->daemon >= 0);
	int64_t edge_due = edge_tick(k->edge, now);
	due = edge_due < due ? edge_due : due;
	for (unsigned i = 0; i < k->worker.count && must_wait(k); i++)
		worker_postpone(&k->worker); /* the others go on */
	if (!must_wait(k))
		worker_tick(&k->worker, now);
	if (!k->leaving && front_tick(&k->front, now, &front_due))
		(void)watch(k, EPOLL_CTL_ADD, k->front.control, TAG_FRONT, EPOLLIN);
	due = front_due < due ? front_due : due;
	if (k->worker.pid != 0 || k->worker.count > 0 || k->ending)
		due = now + WORKER_POLL_MS < due ? now + WORKER_POLL_MS : due;
	if (k->daemon < 0 && !k->ending) {
		int64_t end = k->alone_since_ms + k->o.orphan_ms;
		if (now >= end) {
			log_event(
			    LOG_WARN, "keeper", "no_daemon", F_I64("waited_ms", k->o.orphan_ms));
			keeper_end(k);
			return now;
		}
		due = end < due ? end : due;
	}
	return due;
}

static int until(int64_t due)
{
	int64_t left = due - clock_mono_ms();
	if (due == DEADLINE_NEVER || left > 60000)
		return 60000;
	return left < 0 ? 0 : (int)left;
}

void keeper_run(struct keeper *k)
{
	for (;;) {
		int64_t due = tick(k);
		flush(k);
		if (has_ended(k, clock_mono_ms()))
			break;
		struct epoll_event events[EVENTS_MAX];
		int n = epoll_wait(k->epoll, events, EVENTS_MAX, until(due));
		for (int i = 0; i < n; i++) {
			enum tag tag = (enum tag)events[i].data.u32;
			if (tag == TAG_SIGNALS)
				on_signal(k);
			else if (tag == TAG_FRONT)
				connected(k);
			else if (tag == TAG_DOOR)
				door_serve(&k->door, k->instances);
			else if (tag == TAG_KNOCK)
				instances_knocked(k->instances);
			else if (tag == TAG_NOTICE)
				instances_noticed(k->instances);
		}
		flush(k);
		if (!k->leaving)
			read_requests(k);
	}
	flush(k);
}
