#include "helper/disk.h"
#include "base/clock.h"
#include "base/dir.h"
#include "base/fs.h"
#include "launch/guest.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define LOOK_MS 1000
#define LOOK_SHARE 20 /* a look may take one part in so many of the time */
#define LOOK_SECONDS_MAX 120
#define ENTRY_BYTES 512u
#define DEPTH_MAX 256u /* deeper is over: nothing hides there */
#define EXIT_OVER 9

struct sum {
	uint64_t bytes, bytes_max;
	dev_t device;
};

static bool add_folder(struct sum *s, int fd, unsigned depth);

/* False when the sum is over. */
static bool add_entry(struct sum *s, int dir, const char *name, unsigned depth)
{
	struct stat st;
	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return true; /* gone meanwhile */
	bool folder = S_ISDIR(st.st_mode);
	uint64_t names = folder || st.st_nlink == 0 ? 1 : st.st_nlink;
	s->bytes += ENTRY_BYTES + ((uint64_t)st.st_blocks * 512 + names - 1) / names;
	if (s->bytes > s->bytes_max)
		return false;
	if (!folder || st.st_dev != s->device)
		return true;
	int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 || add_folder(s, fd, depth + 1);
}

/* Takes fd. What cannot be listed counts as it is. */
static bool add_folder(struct sum *s, int fd, unsigned depth)
{
	struct dir d CLEANUP_DIR;
	bool fits = depth <= DEPTH_MAX;
	dir_take(&d, fd);
	for (const struct dirent64 *entry; fits && (entry = dir_next(&d));)
		fits = add_entry(s, d.fd, entry->d_name, depth);
	return fits;
}

static int open_project(const struct disk_place *p)
{
	char path[GUEST_PATH_MAX];
	int n = snprintf(path, sizeof(path), "%s/%s", p->roots->projects, p->project);
	return n < 0 || (size_t)n >= sizeof(path)
		   ? -1
		   : open(path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

static _Noreturn void look(const struct disk_place *p, uint64_t bytes_max)
{
	char release[32], tmp[GUEST_TMP_MAX + 8];
	const char *const places[] = {release, "mirror", tmp, p->cache ? "cache" : NULL};
	struct sum s = {.bytes_max = bytes_max};
	struct stat st;
	snprintf(release, sizeof(release), "releases/%u", p->release);
	snprintf(tmp, sizeof(tmp), "tmp/%s", p->tmp);
	(void)alarm(LOOK_SECONDS_MAX);
	int dir = open_project(p);
	if (dir < 0 || fstat(dir, &st) != 0)
		_exit(1);
	s.device = st.st_dev;
	for (size_t i = 0; i < sizeof(places) / sizeof(*places) && places[i]; i++) {
		int fd = fs_open_beneath(
		    dir, places[i], O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, 0);
		if (fd >= 0 && !add_folder(&s, fd, 0))
			_exit(EXIT_OVER);
	}
	_exit(0);
}

/* The folder itself stays: it is not the tenant's to remove. */
static _Noreturn void drop_cache(int project)
{
	struct dir d;
	struct err ignored;
	bool well = true;
	dir_take(&d, openat(project, "cache", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
	for (const struct dirent64 *entry; (entry = dir_next(&d));)
		well = fs_remove_tree(d.fd, entry->d_name, &ignored) == 0 && well;
	_exit(well && d.error == 0 ? 0 : 1);
}

static _Noreturn void remove_tmp(int project, const char *name)
{
	struct err e;
	int dir = openat(project, "tmp", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	/* a last write of a process that is just dying */
	for (int tries = 0; dir >= 0 && fs_remove_tree(dir, name, &e) != 0 && tries < 20; tries++)
		usleep(20000);
	_exit(0);
}

/* Nothing of the keeper's stays open in a child, and no signal stays blocked. */
static pid_t begin_child(void)
{
	pid_t pid = fork();
	if (pid != 0)
		return pid;
	sigset_t none;
	sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	(void)close_range(3, ~0U, 0);
	return 0;
}

pid_t disk_look(const struct disk_place *p, uint64_t bytes_max)
{
	pid_t pid = begin_child();
	if (pid == 0)
		look(p, bytes_max);
	return pid;
}

bool disk_is_over(int wait_status)
{
	return WIFEXITED(wait_status) && WEXITSTATUS(wait_status) == EXIT_OVER;
}

static int become_tenant(const struct disk_place *p)
{
	struct err e;
	if (tenant_become(p->roots, p->number, &e) != 0)
		_exit(1);
	return open_project(p);
}

pid_t disk_drop_cache(const struct disk_place *p)
{
	pid_t pid = begin_child();
	if (pid == 0)
		drop_cache(become_tenant(p));
	return pid;
}

pid_t disk_remove_tmp(const struct disk_place *p)
{
	pid_t pid = begin_child();
	if (pid == 0)
		remove_tmp(become_tenant(p), p->tmp);
	return pid;
}

/* ---- watching ---- */

void disk_answered(struct disk_watch *w, int wait_status, int64_t now_ms)
{
	int64_t pause = (now_ms - w->began_ms) * LOOK_SHARE;
	w->pid = 0;
	w->over = w->over || disk_is_over(wait_status);
	w->due_ms = now_ms + (pause > LOOK_MS ? pause : LOOK_MS);
}

static bool begin(struct disk_watch *w, pid_t pid, int64_t now_ms)
{
	w->pid = pid > 0 ? pid : 0;
	w->began_ms = now_ms;
	return pid > 0;
}

bool disk_settle(struct disk_watch *w, const struct disk_place *p, bool well, int64_t now_ms)
{
	if (w->bytes_max == 0 || w->pid != 0)
		return w->pid != 0;
	bool drop = w->over && p->cache;
	if (w->last && !drop)
		return false;
	w->last = true;
	if (drop) {
		w->bytes_max = 0; /* the last that is done */
		return begin(w, disk_drop_cache(p), now_ms);
	}
	return well && begin(w, disk_look(p, w->bytes_max), now_ms);
}

int64_t disk_tick(struct disk_watch *w, const struct disk_place *p, int64_t now_ms)
{
	if (w->bytes_max == 0 || w->pid != 0)
		return DEADLINE_NEVER;
	if (w->due_ms == 0)
		w->due_ms = now_ms + LOOK_MS;
	if (now_ms < w->due_ms)
		return w->due_ms;
	if (begin(w, disk_look(p, w->bytes_max), now_ms))
		return DEADLINE_NEVER;
	w->due_ms = now_ms + LOOK_MS;
	return w->due_ms;
}
