#include "render/unit.h"

#include "base/limits.h"
#include "render/out.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const struct {
	const char *middle; /* slipway-PROJECT.MIDDLE PROCESS */
	const char *word;
} kinds[RENDER_UNIT_KIND_COUNT] = {
    [RENDER_UNIT_SLICE] = {"", ""},
    [RENDER_UNIT_SERVICE] = {"", "process"},
    [RENDER_UNIT_RELAY] = {"relay.", "relay"},
    [RENDER_UNIT_RUN] = {"run.", "job"},
    [RENDER_UNIT_BUILD] = {"build.", "build"},
};

/* ---- names ---- */

#define ESCAPED_SIZE (4 * NAME_PROJECT_MAX + 1)

static void escape(const char *project, char out[ESCAPED_SIZE])
{
	size_t n = 0;
	for (const char *c = project; *c; c++) {
		if (*c != '-') {
			out[n++] = *c;
			continue;
		}
		memcpy(out + n, "\\x2d", 4);
		n += 4;
	}
	out[n] = '\0';
}

static int check_names(const struct render_unit *u, struct err *e)
{
	bool ended = memchr(u->project, '\0', sizeof(u->project)) &&
		     memchr(u->process, '\0', sizeof(u->process));
	if (!ended || (unsigned)u->kind >= RENDER_UNIT_KIND_COUNT)
		return err_set(e, ERR_INVALID, "a name is not ended, or the unit is of no kind");
	if (name_project(str_c(u->project), e) != 0)
		return -1;
	return u->kind == RENDER_UNIT_SLICE ? 0 : name_process(str_c(u->process), e);
}

static int fits(int n, struct err *e)
{
	return n > 0 && (size_t)n < RENDER_UNIT_NAME_SIZE
		   ? 0
		   : err_set(e, ERR_INVALID, "the unit's name is too long");
}

static int name(const struct render_unit *u, const char *at, char *out, struct err *e)
{
	char p[ESCAPED_SIZE];
	if (check_names(u, e) != 0)
		return -1;
	escape(u->project, p);
	return fits(u->kind == RENDER_UNIT_SLICE
			? snprintf(out, RENDER_UNIT_NAME_SIZE, "slipway-%s.slice", p)
			: snprintf(out, RENDER_UNIT_NAME_SIZE, "slipway-%s.%s%s@%s.service",
			      u->project, kinds[u->kind].middle, u->process, at),
	    e);
}

int render_unit_name(const struct render_unit *u, char out[RENDER_UNIT_NAME_SIZE], struct err *e)
{
	return name(u, "", out, e);
}

int render_unit_instance(const struct render_unit *u, uint32_t release, uint16_t instance,
    uint64_t key, char out[RENDER_UNIT_NAME_SIZE], struct err *e)
{
	char at[48];
	if (u->kind == RENDER_UNIT_SLICE || instance == 0 || key == 0)
		return err_set(e, ERR_INVALID, "that is no instance of a unit");
	(void)snprintf(at, sizeof(at), "%u.%u.%016" PRIx64, release, instance, key);
	return name(u, at, out, e);
}

/* ---- texts ---- */

static bool is_tenant(const char *user, size_t size)
{
	bool plain = memchr(user, '\0', size) && strncmp(user, "sw-", 3) == 0 && user[3];
	for (const char *c = user; plain && *c; c++)
		plain = (*c >= 'a' && *c <= 'z') || (*c >= '0' && *c <= '9') || *c == '-';
	return plain;
}

static int check_nodes(const struct render_unit *u, struct err *e)
{
	bool fine = u->node_count == 0 || (u->node_count <= DEVICE_NODES_MAX &&
					       (u->kind == RENDER_UNIT_SERVICE || u->kind == RENDER_UNIT_RUN));
	for (size_t i = 0; fine && i < u->node_count; i++)
		fine = memchr(u->nodes[i].path, '\0', sizeof(u->nodes[i].path)) &&
		       device_has_node(DEVICE_ALL, u->nodes[i].path);
	return fine ? 0 : err_set(e, ERR_INVALID, "a device node is none that can be granted");
}

static int check(const struct render_unit *u, const struct render_unit_roots *r, struct err *e)
{
	const struct {
		const char *what, *path;
	} paths[] = {{"projects directory", r->projects}, {"slipway-exec", r->exec},
	    {"supply socket", r->supply}};
	for (size_t i = 0; i < sizeof(paths) / sizeof(*paths); i++)
		if (out_path_check(paths[i].what, paths[i].path, e) != 0)
			return -1;
	if (check_names(u, e) != 0)
		return -1;
	if (!is_tenant(u->user, sizeof(u->user)))
		return err_set(e, ERR_INVALID, "the user is no tenant");
	if (u->stop_timeout_s == 0 || u->stop_timeout_s > RENDER_UNIT_SECONDS_MAX)
		return err_set(e, ERR_INVALID, "the stop timeout is out of range");
	if (check_nodes(u, e) != 0)
		return -1;
	if (u->memory_bytes > INT64_MAX || u->disk_bytes > INT64_MAX || u->cpu_milli > LIMIT_CPU_MILLI ||
	    u->cpu_share > 100 || u->cpu_first > u->cpu_last || u->cpu_last >= LIMIT_PROCESSORS)
		return err_set(e, ERR_INVALID, "a limit is out of range");
	return 0;
}

static void put_slice(struct out *o, const char *project)
{
	char p[ESCAPED_SIZE];
	escape(project, p);
	out_put(o, "Slice=slipway-");
	/* The backslash is no inert byte: it comes from here only. */
	for (char *c = p, *back; *c; c = back + 1) {
		back = strchr(c, '\\');
		if (back)
			*back = '\0';
		if (*c)
			out_put(o, "%s", c);
		if (!back)
			break;
		out_put(o, "\\");
	}
	out_put(o, ".slice\n");
}

static void put_limits(struct out *o, const struct render_unit *u)
{
	if (u->memory_bytes)
		out_put(
		    o, "MemoryMax=%llu\nMemorySwapMax=0\n", (unsigned long long)u->memory_bytes);
	if (u->cpu_milli) /* thousandths of a processor; whole percents, at least one */
		out_put(o, "CPUQuota=%llu%%\n",
		    (unsigned long long)(u->cpu_milli < 10 ? 1 : u->cpu_milli / 10));
	if (u->cpu_share)
		out_put(o, "CPUWeight=%llu\n", (unsigned long long)u->cpu_share);
	if (u->cpu_last)
		out_put(o, "AllowedCPUs=%llu-%llu\n", (unsigned long long)u->cpu_first,
		    (unsigned long long)u->cpu_last);
	if (u->tasks)
		out_put(o, "TasksMax=%llu\n", (unsigned long long)u->tasks);
	else
		out_put(o, "TasksMax=infinity\n");
	out_put(o, "LimitNOFILE=%llu\n", (unsigned long long)(u->files ? u->files : 65536));
	if (u->disk_bytes)
		out_put(o, "LimitFSIZE=%llu\n", (unsigned long long)u->disk_bytes);
}

/* What no program of a tenant needs, whatever it is. slipway-exec closes the file tree further. To
 * give a file to oneself, or become who one is, needs no privilege (tar does, and gunicorn), nor
 * does a sandbox of one's own. RestrictSUIDSGID= would take openat2(2) away from all of them (its
 * filter cannot look into the argument), and with it the way into a tree that no link leads out of;
 * such a bit gives nobody more than the tenant has. */
static const char closed[] =
    "LimitCORE=0\n"
    "UMask=0027\n"
    "NoNewPrivileges=yes\n"
    "CapabilityBoundingSet=\n"
    "AmbientCapabilities=\n"
    "ProtectSystem=strict\n"
    "ProtectClock=yes\n"
    "ProtectControlGroups=yes\n"
    "ProtectHostname=yes\n"
    "ProtectKernelLogs=yes\n"
    "ProtectKernelModules=yes\n"
    "ProtectKernelTunables=yes\n"
    "ProtectProc=invisible\n"
    "PrivateDevices=yes\n"
    "PrivateIPC=yes\n"
    "PrivateTmp=yes\n"
    "PrivateUsers=yes\n"
    "TemporaryFileSystem=/dev/shm:size=64M,mode=1777\n"
    "LockPersonality=yes\n"
    "RemoveIPC=yes\n"
    "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK\n"
    "RestrictNamespaces=yes\n"
    "RestrictRealtime=yes\n"
    "SystemCallArchitectures=native\n"
    "SystemCallFilter=@system-service seccomp landlock_create_ruleset landlock_add_rule "
    "landlock_restrict_self\n"
    "SystemCallFilter=~@privileged\n"
    "SystemCallFilter=@chown @setuid\n"
    "SystemCallErrorNumber=EPERM\n";

static void put_trees(struct out *o, const struct render_unit *u, const struct render_unit_roots *r)
{
	static const char *const built[] = {"releases", "cache", "mirror", "tmp"};
	if (u->kind == RENDER_UNIT_RELAY) {
		out_put(o, "ProtectHome=yes\nMemoryDenyWriteExecute=yes\nProcSubset=pid\n"
			   "RestrictSUIDSGID=yes\n");
		return;
	}
	if (u->kind != RENDER_UNIT_BUILD) {
		out_put(o, "ProtectHome=yes\nReadWritePaths=%s/%s/data\n", r->projects, u->project);
		out_put(o, "ReadWritePaths=%s/%s/tmp\n", r->projects, u->project);
		return;
	}
	/* A source may be a folder of this machine. */
	out_put(o, "ProtectHome=read-only\n");
	for (size_t i = 0; i < sizeof(built) / sizeof(*built); i++)
		out_put(o, "ReadWritePaths=%s/%s/%s\n", r->projects, u->project, built[i]);
}

/* Of the ports of projects a program listens on its own project's only. */
static void put_ports(struct out *o, const struct render_unit *u)
{
	const unsigned long long first = LIMIT_PORT_FIRST, each = LIMIT_PORTS_PER_PROJECT, block = (u->port - first) / each;
	if (u->port >= first && block < LIMIT_PORT_BLOCKS && u->kind != RENDER_UNIT_RELAY)
		out_put(o, "SocketBindAllow=tcp:%llu-%llu\n", first + block * each, first + block * each + each - 1);
	out_put(o, "SocketBindDeny=tcp:%llu-%llu\n", first, first + LIMIT_PORT_BLOCKS * each - 1);
}

/* Its own /dev has these beside the pseudo devices, and the control group lets it open no others. One that has gone by the next start is
 * not missed. */
static void put_nodes(struct out *o, const struct render_unit *u)
{
	for (size_t i = 0; i < u->node_count; i++) {
		const struct device_node *n = &u->nodes[i];
		out_put(o, "BindPaths=-%s\nDeviceAllow=%s rw\n", n->path, n->path);
		if (n->group)
			out_put(o, "SupplementaryGroups=%llu\n", (unsigned long long)n->group);
	}
}

static void put_service(
    struct out *o, const struct render_unit *u, const struct render_unit_roots *r)
{
	out_put(o, "CollectMode=inactive-or-failed\nStartLimitIntervalSec=0\n\n[Service]\n");
	out_put(o, "Type=exec\nExecStart=%s --supply %s %%i\n", r->exec, r->supply);
	out_put(o, "ExecStopPost=+%s --ended %s %%i\n", r->exec, r->supply);
	out_put(o, "User=%s\nGroup=%s\n", u->user, u->user);
	put_slice(o, u->project);
	out_put(o, "TimeoutStopSec=%llu\nOOMPolicy=kill\n", (unsigned long long)u->stop_timeout_s);
	put_limits(o, u);
	put_ports(o, u);
	out_put(o, closed);
	put_trees(o, u, r);
	put_nodes(o, u);
}

long render_unit(const struct render_unit *u, const struct render_unit_roots *r, char *out,
    size_t size, struct err *e)
{
	struct out o;
	out_init(&o, out, size);
	if (check(u, r, e) != 0)
		return -1;
	out_put(&o, "# Made by slipway-helper, which writes it again when limits change.\n[Unit]\n"
		    "Documentation=man:slipwayd(8)\nDescription=Slipway: ");
	if (u->kind != RENDER_UNIT_SLICE)
		out_put(&o, "%s %s of ", kinds[u->kind].word, u->process);
	out_put(&o, "project %s\n", u->project);
	if (u->kind == RENDER_UNIT_SLICE)
		out_put(&o,
		    "\n[Slice]\nMemoryAccounting=yes\nCPUAccounting=yes\nTasksAccounting=yes\n");
	else
		put_service(&o, u, r);
	return out_end(&o, "the unit", e);
}
