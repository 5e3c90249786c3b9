#include "helper/users.h"
#include "base/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#define MAGIC 0x53575552u
#define WINDOW_RECORDS 64u
#define HINTS 16384u

struct record {
	uint32_t magic, number;
	uint8_t state, zero[7];
	char project[32];
	char user[40];
	uint64_t sum;
};
_Static_assert(sizeof(struct record) == 96, "the layout on disk");

static uint64_t sum_of(const struct record *r)
{
	const uint8_t *p = (const uint8_t *)r;
	uint64_t h = 0xcbf29ce484222325u;
	for (size_t i = 0; i < offsetof(struct record, sum); i++)
		h = (h ^ p[i]) * 0x100000001b3u;
	return h;
}

int users_open(struct users *u, const char *state_dir, struct err *e)
{
	u->fd = -1;
	if (fs_mkdirs(state_dir, 0700, e) != 0)
		return -1;
	CLEANUP_FD int dir = open(state_dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;
	if (dir < 0 || fstat(dir, &st) != 0)
		return err_sys(e, ERR_IO, errno, "could not open '%s'", state_dir);
	if (st.st_uid != geteuid())
		return err_set(e, ERR_SETTINGS, "'%s' belongs to user %u, not to the helper",
		    state_dir, st.st_uid);
	int fd = openat(dir, "users", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0 || fstat(fd, &st) != 0)
		return err_sys(e, ERR_IO, errno, "could not open '%s/users'", state_dir);
	u->fd = fd;
	if (st.st_uid != geteuid() || !S_ISREG(st.st_mode))
		return err_set(e, ERR_SETTINGS, "'%s/users' is not the helper's file", state_dir);
	return fsync(dir) == 0 ? 0 : err_sys(e, ERR_IO, errno, "could not sync '%s'", state_dir);
}

/* Several records at once: a registry of 10,000 is read in 160 steps. */
struct window {
	uint32_t first, count; /* numbers first … first + count - 1 are in v */
	struct record v[WINDOW_RECORDS];
};

static int fill(const struct users *u, uint32_t number, struct window *w, struct err *e)
{
	off_t at = (off_t)(number - 1) * (off_t)sizeof(struct record);
	ssize_t n = pread(u->fd, w->v, sizeof(w->v), at);
	if (n < 0)
		return err_sys(e, ERR_IO, errno, "could not read the registry of users");
	w->first = number;
	w->count = (uint32_t)((size_t)n / sizeof(struct record));
	return 0;
}

/* 1 a record, good until the next call; 0 the end (a torn last record counts as the end), -1. `w`
 * begins as zeros. */
static int read_record(const struct users *u, uint32_t number, struct window *w,
    const struct record **ret, struct err *e)
{
	if ((number < w->first || number - w->first >= w->count) && fill(u, number, w, e) != 0)
		return -1;
	if (w->count == 0)
		return 0;
	const struct record *r = *ret = &w->v[number - w->first];
	if (r->magic == MAGIC && r->number == number && r->sum == sum_of(r))
		return 1;
	char after;
	if (pread(u->fd, &after, 1, (off_t)number * (off_t)sizeof(*r)) <= 0)
		return 0;
	return err_set(e, ERR_IO, "record %u of the registry of users is damaged", number);
}

static void to_public(const struct record *r, struct users_record *ret)
{
	*ret = (struct users_record){.number = r->number, .state = (enum users_state)r->state};
	memcpy(ret->project, r->project, sizeof(ret->project) - 1);
	memcpy(ret->user, r->user, sizeof(ret->user) - 1);
}

/* Where a project's record was last: looked at first, and worth nothing when it is not there any
 * more. */
static uint32_t *hint_of(struct str project)
{
	static uint32_t hints[HINTS];
	uint32_t h = 0x811c9dc5u;
	for (size_t i = 0; i < project.n; i++)
		h = (h ^ (uint8_t)project.p[i]) * 0x01000193u;
	return &hints[h % HINTS];
}

static bool is_of(const struct record *r, struct str project, struct users_record *ret)
{
	to_public(r, ret);
	return ret->state != USERS_RETIRED && str_eq_c(project, ret->project);
}

int users_find(const struct users *u, struct str project, struct users_record *ret, struct err *e)
{
	struct window w = {0};
	const struct record *r;
	uint32_t *hint = hint_of(project);
	if (*hint != 0 && read_record(u, *hint, &w, &r, e) > 0 && is_of(r, project, ret))
		return 1;
	for (uint32_t number = 1; number <= USERS_MAX; number++) {
		int rc = read_record(u, number, &w, &r, e);
		if (rc <= 0)
			return rc;
		if (!is_of(r, project, ret))
			continue;
		*hint = number;
		return 1;
	}
	return 0;
}

static int write_record(const struct users *u, const struct record *r, off_t at)
{
	const uint8_t *p = (const uint8_t *)r;
	for (size_t done = 0; done < sizeof(*r);) {
		ssize_t n = pwrite(u->fd, p + done, sizeof(*r) - done, at + (off_t)done);
		if (n == 0)
			errno = EIO;
		if (n <= 0 && errno != EINTR)
			return -1;
		done += n > 0 ? (size_t)n : 0;
	}
	return fdatasync(u->fd);
}

int users_put(const struct users *u, const struct users_record *r, struct err *e)
{
	struct record raw, before;
	memset(&raw, 0, sizeof(raw)); /* what lies between the fields is summed, too */
	raw.magic = MAGIC;
	raw.number = r->number;
	raw.state = (uint8_t)r->state;
	memcpy(raw.project, r->project, strlen(r->project));
	memcpy(raw.user, r->user, strlen(r->user));
	raw.sum = sum_of(&raw);
	off_t at = (off_t)(r->number - 1) * (off_t)sizeof(raw);
	bool had = pread(u->fd, &before, sizeof(before), at) == (ssize_t)sizeof(before);
	if (write_record(u, &raw, at) == 0)
		return 0;
	(void)err_sys(e, ERR_IO, errno, "could not write the registry of users");
	if (had) /* half of each would be no record, and its number lost */
		(void)!write_record(u, &before, at);
	return -1;
}

int users_add(const struct users *u, struct str project, struct users_record *ret, struct err *e)
{
	struct window w = {0};
	const struct record *r;
	*ret = (struct users_record){.number = 1, .state = USERS_ALLOTTED};
	if (!str_copy(project, ret->project, sizeof(ret->project)))
		return err_set(e, ERR_INVALID, "project name is too long");
	for (int rc; (rc = read_record(u, ret->number, &w, &r, e)) != 0; ret->number++)
		if (rc < 0)
			return -1;
	/* It stands there in full, and is none: torn while it was overwritten. Its number is
	 * somebody's. */
	if (ret->number >= w.first && ret->number - w.first < w.count) {
		struct users_record torn = {.number = ret->number++, .state = USERS_RETIRED};
		if (users_put(u, &torn, e) != 0)
			return -1;
	}
	if (ret->number > USERS_MAX)
		return err_set(e, ERR_UNAVAILABLE, "all %u user numbers are used up", USERS_MAX);
	return users_put(u, ret, e);
}
