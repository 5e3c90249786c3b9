#include "helper/units.h"
#include "base/dir.h"
#include "base/fs.h"
#include "base/log.h"
#include "helper/instances_state.h"
#include "helper/systemctl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define UNIT_DIR "/run/systemd/system"
#define CONTROL_DIR "/run/systemd/system.control" /* what set-property says, in UNIT.d/50-AllowedCPUs.conf */
#define SLICE "slipway.slice"
#define STOP_ALL_MS 60000

static void describe(const struct instance *in, struct render_unit *ret)
{
	const struct priv_start *s = &in->spec;
	*ret = (struct render_unit){.kind = s->program == PRIV_PROGRAM_RELAY ? RENDER_UNIT_RELAY
					    : s->sandbox != PRIV_SANDBOX_RUN ? RENDER_UNIT_BUILD
					    : s->class == PRIV_JOB	     ? RENDER_UNIT_RUN
									     : RENDER_UNIT_SERVICE};
	memcpy(ret->project, in->st.project, sizeof(ret->project) - 1);
	memcpy(ret->process, in->st.process, sizeof(ret->process) - 1);
}

static int name_of(const struct instance *in, char out[RENDER_UNIT_NAME_SIZE], struct err *e)
{
	struct render_unit u;
	describe(in, &u);
	return render_unit_instance(&u, in->st.release, in->st.instance, in->st.id, out, e);
}

static void act(const struct instance *in, const char *verb, const char *option)
{
	char name[RENDER_UNIT_NAME_SIZE];
	struct err e = {0};
	if (name_of(in, name, &e) != 0 ||
	    systemctl(verb, option, NULL, name, SYSTEMCTL_MS, &e) != 0)
		log_event(LOG_WARN, "keeper", "unit", F_C("verb", verb),
		    F_C("project", in->st.project), F_ERR(&e));
}

void units_stop(const struct instance *in)
{
	act(in, "stop", "--no-block");
}

void units_kill(const struct instance *in)
{
	act(in, "kill", "--signal=SIGKILL");
}

void units_end(const struct instance *in)
{
	act(in, "kill", "--signal=SIGTERM");
}

int units_signal(const struct instance *in, int signal, struct err *e)
{
	char name[RENDER_UNIT_NAME_SIZE], option[32];
	(void)snprintf(option, sizeof(option), "--signal=%d", signal);
	return name_of(in, name, e) != 0 ? -1
					 : systemctl("kill", option, NULL, name, SYSTEMCTL_MS, e);
}

/* ---- processors ---- */

int units_set_cpus(const struct instance *in, struct processors_range r, struct err *e)
{
	char name[RENDER_UNIT_NAME_SIZE], text[PROCESSORS_TEXT_SIZE], assignment[PROCESSORS_TEXT_SIZE + 16];
	processors_text(r, text);
	(void)snprintf(assignment, sizeof(assignment), "AllowedCPUs=%s", text);
	return name_of(in, name, e) != 0 ? -1 : systemctl_set(name, assignment, e);
}

static void forget_note(const char *name)
{
	char path[sizeof(CONTROL_DIR) + RENDER_UNIT_NAME_SIZE + 4];
	(void)snprintf(path, sizeof(path), CONTROL_DIR "/%.*s", (int)RENDER_UNIT_NAME_SIZE, name);
	CLEANUP_FD int dir = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dir >= 0 && unlinkat(dir, "50-AllowedCPUs.conf", 0) == 0)
		(void)rmdir(path);
}

void units_forget_cpus(const struct instance *in)
{
	char name[RENDER_UNIT_NAME_SIZE], note[RENDER_UNIT_NAME_SIZE + 2];
	struct err ignored;
	if (name_of(in, name, &ignored) != 0)
		return;
	(void)snprintf(note, sizeof(note), "%s.d", name);
	forget_note(note);
}

/* Of instances of another helper's. */
static void forget_all_notes(void)
{
	CLEANUP_DIR struct dir d;
	dir_take(&d, open(CONTROL_DIR, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
	for (const struct dirent64 *entry; (entry = dir_next(&d));) {
		struct str n = str_c(entry->d_name);
		if (str_starts(n, STR("slipway-")) && str_find(n, '@', 0) < n.n &&
		    str_ends(n, STR(".service.d")))
			forget_note(entry->d_name);
	}
}

void units_read_turns(const struct instance *in, struct cgroup_turns *ret)
{
	struct render_unit u;
	char name[RENDER_UNIT_NAME_SIZE], slice[RENDER_UNIT_NAME_SIZE],
	    path[2 * RENDER_UNIT_NAME_SIZE + sizeof(SLICE) + 2];
	struct err ignored;
	*ret = (struct cgroup_turns){0};
	describe(in, &u);
	u.kind = RENDER_UNIT_SLICE;
	if (name_of(in, name, &ignored) != 0 || render_unit_name(&u, slice, &ignored) != 0)
		return;
	(void)snprintf(path, sizeof(path), SLICE "/%s/%s", slice, name);
	cgroup_read_turns_at(path, ret);
}

/* ---- files ---- */

static bool is_the_same(int dir, const char *name, const char *text, size_t n)
{
	char have[RENDER_UNIT_TEXT_MAX];
	CLEANUP_FD int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	ssize_t got = fd < 0 ? -1 : read(fd, have, sizeof(have));
	return got == (ssize_t)n && memcmp(have, text, n) == 0;
}

static int put_file(
    int dir, const struct render_unit *u, const struct render_unit_roots *r, struct err *e)
{
	char name[RENDER_UNIT_NAME_SIZE], text[RENDER_UNIT_TEXT_MAX];
	long n = render_unit_name(u, name, e) == 0 ? render_unit(u, r, text, sizeof(text), e) : -1;
	if (n < 0)
		return -1;
	if (is_the_same(dir, name, text, (size_t)n))
		return 0;
	return fs_write_atomic(dir, name, text, (size_t)n, 0644, e);
}

static int fill(const struct instances_options *o, const struct instance *in, struct render_unit *u,
    struct err *e)
{
	const struct priv_limits *l = &in->spec.limits;
	struct users_record r;
	int rc = users_find(o->roots->users, str_c(in->st.project), &r, e);
	if (rc <= 0)
		return rc < 0 ? -1 : err_set(e, ERR_NOT_FOUND, "no project '%s'", in->st.project);
	describe(in, u);
	if (!str_copy(str_c(r.user), u->user, sizeof(u->user)))
		return err_set(e, ERR_INTERNAL, "the user's name is too long");
	u->memory_bytes = l->memory_bytes;
	u->disk_bytes = l->disk_bytes;
	u->cpu_milli = l->cpu_milli;
	u->cpu_share = in->spec.class == PRIV_JOB ? PRIV_JOB_CPU_PERCENT : 0;
	if (in->spec.class == PRIV_JOB) { /* a confined service is a matter between its instance and systemd */
		u->cpu_first = instance_cpus(in).first;
		u->cpu_last = instance_cpus(in).last;
	}
	u->tasks = l->tasks;
	u->files = l->files;
	u->port = in->spec.port;
	uint32_t ms =
	    in->spec.stop_timeout_ms ? in->spec.stop_timeout_ms : INSTANCES_STOP_DEFAULT_MS;
	u->stop_timeout_s = (ms + 999) / 1000;
	return 0;
}

int units_start(const struct instances_options *o, const struct instance *in,
    const struct device_node *nodes, size_t node_count, struct err *e)
{
	struct render_unit u, slice;
	char name[RENDER_UNIT_NAME_SIZE];
	if (fill(o, in, &u, e) != 0)
		return -1;
	slice = u;
	slice.kind = RENDER_UNIT_SLICE;
	memcpy(u.nodes, nodes, node_count * sizeof(*nodes));
	u.node_count = node_count;
	CLEANUP_FD int dir = -1;
	if (fs_mkdirs(UNIT_DIR, 0755, e) != 0)
		return -1;
	dir = open(UNIT_DIR, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dir < 0)
		return err_sys(e, ERR_UNAVAILABLE, errno, "could not open %s", UNIT_DIR);
	if (put_file(dir, &slice, o->units, e) != 0 || put_file(dir, &u, o->units, e) != 0 ||
	    name_of(in, name, e) != 0)
		return -1;
	return systemctl("start", "--no-block", NULL, name, SYSTEMCTL_MS, e);
}

/* "slipway-shop.web@.service" of `shop`, "slipway-shop\x2deu.slice" of `shop-eu`; of any without a
 * project. */
static bool is_file_of(const char *name, struct str project)
{
	struct render_unit u = {.kind = RENDER_UNIT_SLICE};
	char slice[RENDER_UNIT_NAME_SIZE], begin[NAME_PROJECT_MAX + 16];
	struct err ignored;
	struct str n = str_c(name);
	if (project.n == 0)
		return str_starts(n, STR("slipway-")) &&
		       (str_ends(n, STR(".slice")) ||
			   (str_ends(n, STR("@.service")) && str_find(n, '.', 0) + 9 < n.n));
	(void)snprintf(begin, sizeof(begin), "slipway-%.*s.", STR_ARG(project));
	if (str_starts(n, str_c(begin)) && str_ends(n, STR("@.service")))
		return true;
	return str_copy(project, u.project, sizeof(u.project)) &&
	       render_unit_name(&u, slice, &ignored) == 0 && strcmp(name, slice) == 0;
}

/* An empty one would stay, with its control groups. Not waited for: what ends in it tells this process. */
static void stop_slice(struct str project)
{
	struct render_unit u = {.kind = RENDER_UNIT_SLICE};
	char name[RENDER_UNIT_NAME_SIZE];
	struct err e = {0};
	if (!str_copy(project, u.project, sizeof(u.project)) ||
	    render_unit_name(&u, name, &e) != 0 ||
	    systemctl("is-active", "--quiet", NULL, name, SYSTEMCTL_MS, &e) != 0)
		return;
	if (systemctl("stop", "--no-block", NULL, name, SYSTEMCTL_MS, &e) != 0)
		log_event(LOG_WARN, "keeper", "slice", F_C("project", u.project), F_ERR(&e));
}

void units_remove(struct str project)
{
	if (project.n > 0)
		stop_slice(project);
	CLEANUP_DIR struct dir d;
	dir_take(&d, open(UNIT_DIR, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
	for (const struct dirent64 *entry; (entry = dir_next(&d));)
		if (is_file_of(entry->d_name, project))
			(void)unlinkat(d.fd, entry->d_name, 0);
}

void units_clear(void)
{
	struct err e = {0};
	/* A slice that is not there is no news. */
	if (systemctl("is-active", "--quiet", NULL, SLICE, SYSTEMCTL_MS, &e) == 0) {
		(void)!systemctl("kill", "--signal=SIGKILL", NULL, SLICE, SYSTEMCTL_MS, &e);
		if (systemctl("stop", "--quiet", NULL, SLICE, STOP_ALL_MS, &e) != 0)
			log_event(LOG_WARN, "keeper", "slice", F_ERR(&e));
	}
	units_remove(STR_NONE);
	forget_all_notes();
}

/* ---- who is who ---- */

bool units_owns(const struct instance *in, pid_t pid)
{
	char name[RENDER_UNIT_NAME_SIZE];
	struct err ignored;
	return name_of(in, name, &ignored) == 0 && systemctl_main_pid(name) == pid;
}
