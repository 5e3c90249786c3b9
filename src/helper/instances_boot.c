/* After a boot, and wherever nothing is left of the helper before: what the live releases of projects ran is started again from what was
 * saved of it (helper/saved.h), without waiting for a daemon. That finds it running when it comes. What cannot be started here is
 * started by it, as ever. */
#include "base/clock.h"
#include "base/dir.h"
#include "base/fs.h"
#include "base/log.h"
#include "helper/instances_state.h"
#include "helper/saved.h"
#include "launch/rundir.h"
#include "monitor/request.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

static bool final; /* what ends now ends with us, and is wanted again */

/* ---- saving ---- */

void instance_boot_put(const struct instance *in)
{
	struct saved_start s = {.user_number = in->user_number, .spec = in->spec};
	const int lists[SAVED_LISTS] = {in->fd[INSTANCE_ARGV], in->fd[INSTANCE_ENV], in->fd[INSTANCE_SECRET]};
	struct err e;
	if (in->st.class != PRIV_SERVICE)
		return;
	memcpy(s.project, in->st.project, sizeof(s.project));
	if (saved_put(&s, lists, &e) != 0)
		log_event(LOG_WARN, "keeper", "not_saved", F_C("project", in->st.project), F_C("process", in->st.process), F_ERR(&e),
		    F_C("hint", "after a boot it waits for the daemon"));
}

static bool is_of(const struct instance *in, const char *project, const struct priv_start *spec)
{
	return in->st.class == PRIV_SERVICE && in->st.state != PRIV_ENDED && in->st.release == spec->release &&
	       in->st.instance == spec->instance && in->st.program == spec->program &&
	       strcmp(in->st.process, spec->process) == 0 && strcmp(in->st.project, project) == 0;
}

/* While it is restarted there is a second one under the same name. */
void instance_boot_drop(struct instances *t, const struct instance *in)
{
	size_t at = 0;
	if (in->st.class != PRIV_SERVICE || final)
		return;
	for (const struct instance *other; (other = instances_next(t, &at));)
		if (other != in && !other->stopping && is_of(other, in->st.project, &in->spec)) {
			instance_boot_put(other);
			return;
		}
	saved_drop(in->st.project, &in->spec);
}

void instances_boot_final(void)
{
	final = true;
}

/* ---- bringing back ---- */

static int live_release(const struct tenant_roots *roots, const char *project, uint32_t *ret, struct err *e)
{
	char link[PATH_MAX];
	CLEANUP_FD int projects = open(roots->projects, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CLEANUP_FD int dir = fs_open_beneath(projects, project, O_PATH | O_DIRECTORY | O_NOFOLLOW, 0);
	ssize_t n = dir < 0 ? -1 : readlinkat(dir, "live", link, sizeof(link));
	if (n < 0 && errno == ENOENT)
		return err_set(e, ERR_NOT_FOUND, "'%s' has no live release", project);
	if (n < 0)
		return err_sys(e, ERR_IO, errno, "could not read what is live of '%s'", project);
	if (!rundir_release(roots->run, str_c(project), (struct str){link, (size_t)n}, ret))
		return err_set(e, ERR_INVALID, "the link 'live' of '%s' points elsewhere", project);
	return 0;
}

/* The folder in RUN of what is live: files of a static site are served from there, too. */
static int bring_folder(const struct tenant_roots *roots, const char *project, struct err *e)
{
	uint32_t number, release;
	if (tenant_number(roots, str_c(project), &number, e) != 0 || live_release(roots, project, &release, e) != 0 ||
	    tenant_run_folder(roots, project, e) != 0)
		return -1;
	tenant_as_daemon(roots, true);
	int rc = rundir_make(roots->run, roots->projects, str_c(project), release, e);
	tenant_as_daemon(roots, false);
	return rc;
}

static void bring_folders(const struct tenant_roots *roots)
{
	CLEANUP_DIR struct dir d;
	struct err e;
	dir_take(&d, open(roots->projects, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	for (const struct dirent64 *entry; (entry = dir_next(&d));)
		if (bring_folder(roots, entry->d_name, &e) != 0 && e.code != ERR_NOT_FOUND)
			log_event(LOG_WARN, "keeper", "no_folder", F_C("project", entry->d_name), F_ERR(&e));
}

static bool runs_already(struct instances *t, const struct saved_start *s)
{
	size_t at = 0;
	for (const struct instance *in; (in = instances_next(t, &at));)
		if (is_of(in, s->project, &s->spec))
			return true;
	return false;
}

static int listen_again(const struct tenant_roots *roots, const struct saved_start *s, struct err *e)
{
	struct rundir_place p = {roots->run, str_c(s->project), s->spec.release, str_c(s->spec.process), s->spec.instance};
	tenant_as_daemon(roots, true);
	int fd = rundir_listen(&p, RUNDIR_SERVES, e);
	tenant_as_daemon(roots, false);
	return fd;
}

/* As the daemon's request would be: judged by the same rules. fds are taken on success. */
static int start(struct instances *t, const struct saved_start *s, const int lists[SAVED_LISTS], int listen, struct err *e)
{
	struct priv_request q = {.magic = PRIV_MAGIC, .op = PRIV_START, .start = s->spec};
	int8_t *const index[] = {&q.start.fd_argv, &q.start.fd_env, &q.start.fd_secret, &q.start.fd_listen};
	const int all[] = {lists[0], lists[1], lists[2], listen};
	int fds[PRIV_FDS_MAX];
	size_t n = 0;
	memcpy(q.project, s->project, sizeof(q.project));
	q.start.fd_stdin = q.start.fd_stdout = -1;
	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) {
		*index[i] = all[i] < 0 ? -1 : (int8_t)n;
		if (all[i] >= 0)
			fds[n++] = all[i];
	}
	uint64_t id = 0;
	int rc = request_judge(&q, fds, n, true, e);
	if (rc == 0)
		rc = instances_start_soon(t, str_c(s->project), &q.start, fds, &id, e);
	request_audit(PRIV_START, s->project, s->spec.release, id, rc == 0 ? NULL : e);
	return rc;
}

/* Whether it was started: not when it runs, or is not what is live. */
static int bring_back(struct instances *t, const char *name, const struct saved_start *s, int lists[SAVED_LISTS], struct err *e)
{
	const struct tenant_roots *roots = t->o.roots;
	uint32_t number, live;
	if (runs_already(t, s))
		return 0;
	saved_forget(name); /* a start that ends this process is not tried again */
	if (tenant_number(roots, str_c(s->project), &number, e) != 0 || live_release(roots, s->project, &live, e) != 0)
		return e->code == ERR_NOT_FOUND ? 0 : -1;
	if (number != s->user_number || live != s->spec.release)
		return 0;
	CLEANUP_FD int listen = s->spec.listen_count == 1 ? listen_again(roots, s, e) : -1;
	if ((s->spec.listen_count == 1 && listen < 0) || start(t, s, lists, listen, e) != 0)
		return -1;
	listen = lists[0] = lists[1] = lists[2] = -1;
	return 1;
}

/* 1 it will be started, 0 it will not and need not, -1. */
static int bring_one(struct instances *t, const char *name)
{
	struct saved_start s;
	struct err e;
	int lists[SAVED_LISTS], rc = saved_get(name, &s, lists, &e);
	if (rc != 0)
		saved_forget(name);
	else
		rc = bring_back(t, name, &s, lists, &e);
	for (size_t i = 0; i < SAVED_LISTS; i++)
		fs_close_fd(&lists[i]);
	if (rc < 0)
		log_event(LOG_WARN, "keeper", "not_brought_back", F_C("what", name), F_ERR(&e), F_C("hint", "the daemon starts it"));
	return rc;
}

static void bring_all(struct instances *t)
{
	int64_t began_ms = clock_mono_ms(), brought = 0, failed = 0;
	CLEANUP_DIR struct dir d;
	saved_list(&d);
	for (const struct dirent64 *entry; (entry = dir_next(&d));) {
		int rc = entry->d_name[0] == '.' ? 0 : bring_one(t, entry->d_name);
		brought += rc > 0;
		failed += rc < 0;
	}
	log_event(LOG_INFO, "keeper", "brought_back", F_I64("instances", brought), F_I64("failed", failed),
	    F_I64("ms", clock_mono_ms() - began_ms));
}

void instances_boot_open(struct instances *t, const char *state_dir)
{
	struct err e;
	if (saved_open(state_dir, &e) != 0) {
		log_event(LOG_WARN, "keeper", "nothing_saved", F_ERR(&e), F_C("hint", "after a boot projects wait for the daemon"));
		return;
	}
	if (t->next_serial > 1) /* taken over from the helper before, which runs on */
		return;
	bring_folders(t->o.roots);
	bring_all(t);
}
