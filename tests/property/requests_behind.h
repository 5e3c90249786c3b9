/* What stands behind the door in test_helper_requests.c in the place of what is slow or reaches out of the process: nothing is started,
 * killed or put into a control group, and the edge judges a vhost's fields (render/) without a web server. The linker takes these instead of
 * the library's. Records, descriptors, pending answers and the worker's queue are the real ones. */
#pragma once

#define NOBODYS_PID 0x40000000 /* above what a kernel gives */

static struct {
	pid_t last;
	uint64_t started, signalled;
	const char *fault; /* the helper did to somebody else what it may do to its own */
} behind;

/* ---- processes ---- */

pid_t launch_spawn(const struct launch_spec *s, struct err *e)
{
	struct guest g;
	int n = 0;
	union {
		const char *const *in;
		char *const *out;
	} argv = {.in = s->argv};
	while (s->argv[n])
		n++;
	if (guest_parse(n, argv.out, &g, e) != 0)
		behind.fault = "slipway-exec would refuse its command line";
	for (size_t i = 0; i < LAUNCH_FDS; i++)
		if (s->fds[i] >= 0 && fcntl(s->fds[i], F_GETFD) < 0)
			behind.fault = "a descriptor for a program is not open";
	if (s->group_count != (g.devices != 0) || (g.devices != 0 && g.sandbox != GUEST_RUN))
		behind.fault = "a program gets the group of a device that it may not open";
	behind.started++;
	if (one_in(16))
		return err_set(e, ERR_UNAVAILABLE, "could not start: so it was drawn");
	behind.last = behind.last >= INT32_MAX - 1 ? NOBODYS_PID : behind.last + 1;
	return behind.last;
}

int kill(pid_t pid, int signal)
{
	(void)signal;
	if (pid > -NOBODYS_PID)
		behind.fault = "a process that was not started got a signal";
	behind.signalled++;
	return 0;
}

bool leftovers_kill(pid_t session, const char *key)
{
	(void)key;
	if (session < NOBODYS_PID)
		behind.fault = "a session that was not started was killed";
	return false;
}

void cgroup_open(struct cgroup_base *b, const char *label)
{
	(void)label;
	*b = (struct cgroup_base){.v2 = -1, .memory = -1, .cpu = -1, .pids = -1, .cpuset = -1};
}
void cgroup_close(struct cgroup_base *b)
{
	(void)b;
}
bool cgroup_has_memory(const struct cgroup_base *b)
{
	return b->v2_memory;
}
bool cgroup_has_tasks(const struct cgroup_base *b)
{
	return b->pids >= 0;
}
bool cgroup_has_kill(const struct cgroup_base *b)
{
	return b->v2 >= 0;
}
int cgroup_make(
    const struct cgroup_base *b, const char *name, const struct cgroup_limits *l, struct err *e)
{
	(void)b, (void)name, (void)l;
	return err_set(e, ERR_INTERNAL, "there are no control groups here");
}
size_t cgroup_join_fds(const struct cgroup_base *b, const char *name, int fds[CGROUP_FDS_MAX])
{
	(void)b, (void)name, (void)fds;
	return 0;
}
void cgroup_read_events(const struct cgroup_base *b, const char *name, struct cgroup_events *ret)
{
	(void)b, (void)name;
	*ret = (struct cgroup_events){0};
}
void cgroup_read_turns(const struct cgroup_base *b, const char *name, struct cgroup_turns *ret)
{
	(void)b, (void)name;
	*ret = (struct cgroup_turns){0};
}
void cgroup_read_turns_at(const char *folder, struct cgroup_turns *ret)
{
	(void)folder;
	*ret = (struct cgroup_turns){0};
}
bool cgroup_set_cpus(const struct cgroup_base *b, const char *name, struct processors_range r)
{
	(void)b, (void)name, (void)r;
	return false;
}
void cgroup_read_own_events(struct cgroup_events *ret)
{
	*ret = (struct cgroup_events){0};
}
bool cgroup_kill(const struct cgroup_base *b, const char *name)
{
	(void)b, (void)name;
	return false;
}
bool cgroup_remove(const struct cgroup_base *b, const char *name)
{
	(void)b, (void)name;
	return true;
}

/* A card of the video group's. */
size_t nodes_find(const char *dir, uint32_t devices, struct device_node out[DEVICE_NODES_MAX])
{
	(void)dir;
	if (devices == 0)
		return 0;
	out[0] = (struct device_node){.path = "/dev/nvidia0", .group = 44};
	return 1;
}

pid_t disk_look(const struct disk_place *p, uint64_t bytes_max)
{
	(void)p, (void)bytes_max;
	return -1;
}
bool disk_is_over(int wait_status)
{
	return wait_status != 0;
}
pid_t disk_drop_cache(const struct disk_place *p)
{
	(void)p;
	return -1;
}
pid_t disk_remove_tmp(const struct disk_place *p)
{
	(void)p;
	return -1;
}
void disk_answered(struct disk_watch *w, int wait_status, int64_t now_ms)
{
	(void)w, (void)wait_status, (void)now_ms;
}
bool disk_settle(struct disk_watch *w, const struct disk_place *p, bool well, int64_t now_ms)
{
	(void)w, (void)p, (void)well, (void)now_ms;
	return false;
}
int64_t disk_tick(struct disk_watch *w, const struct disk_place *p, int64_t now_ms)
{
	(void)w, (void)p, (void)now_ms;
	return INT64_MAX;
}

/* ---- what the worker's child would do ---- */

int sites_stage(const struct tenant_roots *t, struct str project, uint32_t release, int fd,
    uint64_t *ret_changes, struct err *e)
{
	(void)t, (void)project, (void)release, (void)fd, (void)ret_changes;
	return err_set(e, ERR_INTERNAL, "there is no worker here");
}
int sites_stage_cert(const struct tenant_roots *t, struct str project, int fd, struct err *e)
{
	(void)t, (void)project, (void)fd;
	return err_set(e, ERR_INTERNAL, "there is no worker here");
}

/* ---- the edge ---- */

struct edge {
	int unused;
};

static int later(struct err *e)
{
	return one_in(8) ? err_set(e, ERR_UNAVAILABLE, "the edge is not running: so it was drawn")
			 : (int)draw(2);
}

/* The real judge of a vhost's fields. */
static int judged(const struct render_vhost *v, struct err *e)
{
	static char text[RENDER_VHOST_TEXT_MAX];
	static const struct render_roots roots = {"/run/p", "/run", "/run/edge"};
	return render_nginx_vhost(v, NULL, &roots, text, sizeof(text), e) < 0 ? -1 : later(e);
}

static int taken(int *fds, size_t n, int rc)
{
	for (size_t i = 0; rc == 1 && i < n; i++)
		fs_close_fd(&fds[i]);
	return rc;
}

struct edge *edge_open(const struct edge_options *o)
{
	static struct edge g;
	(void)o;
	return &g;
}
int edge_start(struct edge *g, uint64_t seq, struct err *e)
{
	(void)g, (void)seq;
	return later(e);
}
int edge_reload(struct edge *g, uint64_t seq, struct err *e)
{
	(void)g, (void)seq;
	return later(e);
}
int edge_vhost_set(struct edge *g, uint64_t seq, const struct render_vhost *v, struct err *e)
{
	(void)g, (void)seq;
	return judged(v, e);
}
int edge_vhost_remove(struct edge *g, uint64_t seq, struct str project, struct err *e)
{
	(void)g, (void)seq;
	return name_project(project, e) != 0 ? -1 : later(e);
}
int edge_certificate_set(struct edge *g, uint64_t seq, const struct render_vhost *v, bool trusted,
    int fds[3], struct err *e)
{
	(void)g, (void)seq, (void)trusted;
	return taken(fds, 3, judged(v, e));
}
int edge_certificate_remove(
    struct edge *g, uint64_t seq, const struct render_vhost *v, struct err *e)
{
	(void)g, (void)seq;
	return judged(v, e);
}
int edge_own_set(
    struct edge *g, uint64_t seq, unsigned which, bool trusted, int fds[2], struct err *e)
{
	(void)g, (void)seq, (void)trusted;
	if (which >= EDGE_OWN_COUNT)
		behind.fault = "the edge was given a certificate that the platform has not";
	return taken(fds, 2, later(e));
}
int edge_own_remove(struct edge *g, uint64_t seq, unsigned which, struct err *e)
{
	(void)g, (void)seq;
	if (which >= EDGE_OWN_COUNT)
		behind.fault = "the edge was told to drop a certificate that the platform has not";
	return later(e);
}
int edge_sites_set(struct edge *g, uint64_t seq, struct str project, struct err *e)
{
	(void)g, (void)seq, (void)project;
	return later(e);
}
int edge_site_cert_set(
    struct edge *g, uint64_t seq, struct str project, struct str site, struct err *e)
{
	(void)g, (void)seq, (void)project, (void)site;
	return later(e);
}
void edge_sites_drop(struct edge *g, const char *project, bool failed)
{
	(void)g, (void)project, (void)failed;
}
bool edge_sites_wait(const struct edge *g, const char *project)
{
	(void)g, (void)project;
	return false;
}
int64_t edge_tick(struct edge *g, int64_t now_ms)
{
	(void)g, (void)now_ms;
	return INT64_MAX;
}
bool edge_reaped(struct edge *g, pid_t pid, int wait_status)
{
	(void)g, (void)pid, (void)wait_status;
	return false;
}
void edge_stop(struct edge *g, bool graceful)
{
	(void)g, (void)graceful;
}
bool edge_running(const struct edge *g)
{
	(void)g;
	return false;
}
