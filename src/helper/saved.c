#include "helper/saved.h"

#include "base/ct.h"
#include "base/fs.h"
#include "base/limits.h"
#include "crypto/seal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FOLDER "boot"
#define KEY "boot.key"
#define TEMP ".new"
#define SECRET_MAX (64u << 10)
#define CLEAR_MAX (sizeof(struct saved_start) + LIMIT_ARGV_BYTES + LIMIT_ENV_BYTES + SECRET_MAX)

static struct {
	int dir;
	struct seal_key *key; /* NULL: nothing is saved */
	_Alignas(struct saved_start) char clear[CLEAR_MAX];
	char sealed[CLEAR_MAX + SEAL_BYTES];
} saved;

int saved_open(const char *state_dir, struct err *e)
{
	CLEANUP_FD int state = open(state_dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (state < 0)
		return err_sys(e, ERR_SETTINGS, errno, "could not open '%s'", state_dir);
	saved.dir = fs_dir(state, FOLDER, 0700, e);
	if (saved.dir < 0)
		return -1;
	(void)unlinkat(saved.dir, TEMP, 0);
	saved.key = seal_key_load(state, KEY, e);
	return saved.key ? 0 : -1;
}

bool saved_is_open(void)
{
	return saved.key != NULL;
}

static void name_of(const char *project, const struct priv_start *s, char out[SAVED_NAME_SIZE])
{
	(void)snprintf(out, SAVED_NAME_SIZE, "%s.%u.%s.%u.%u", project, s->release, s->process,
	    s->instance, s->program);
}

/* ---- writing ---- */

/* The rest of the clear text; 0, or -1 when it does not fit. */
static int add_list(int fd, size_t *n, uint32_t *ret_bytes, struct err *e)
{
	struct stat st;
	*ret_bytes = SAVED_NONE;
	if (fd < 0)
		return 0;
	if (fstat(fd, &st) != 0 || st.st_size < 0 || (uint64_t)st.st_size > CLEAR_MAX - *n)
		return err_set(e, ERR_TOO_LARGE, "a list is too long to be saved");
	size_t bytes = (size_t)st.st_size;
	if (pread(fd, saved.clear + *n, bytes, 0) != (ssize_t)bytes)
		return err_sys(e, ERR_IO, errno, "could not read a list");
	*ret_bytes = (uint32_t)bytes;
	*n += bytes;
	return 0;
}

static int write_file(const char *name, size_t n, struct err *e)
{
	CLEANUP_FD int fd = openat(saved.dir, TEMP, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_sys(e, ERR_IO, errno, "could not make a file");
	if (fs_write_all(fd, saved.sealed, n, e) == 0 && renameat(saved.dir, TEMP, saved.dir, name) == 0)
		return 0;
	(void)unlinkat(saved.dir, TEMP, 0);
	return err_sys(e, ERR_IO, errno, "could not write '%s'", name);
}

int saved_put(struct saved_start *s, const int lists[SAVED_LISTS], struct err *e)
{
	char name[SAVED_NAME_SIZE];
	size_t n = sizeof(*s);
	int rc = 0;
	if (!saved.key)
		return 0;
	s->version = PRIV_VERSION;
	s->size = sizeof(*s);
	for (size_t i = 0; i < SAVED_LISTS && rc == 0; i++)
		rc = add_list(lists[i], &n, &s->bytes[i], e);
	memcpy(saved.clear, s, sizeof(*s));
	name_of(s->project, &s->spec, name);
	if (rc == 0) {
		seal_into(saved.key, str_c(name), (struct str){saved.clear, n}, saved.sealed);
		rc = write_file(name, n + SEAL_BYTES, e);
	}
	ct_wipe(saved.clear, n);
	if (rc != 0) /* none is better than one of before */
		saved_forget(name);
	return rc;
}

void saved_drop(const char *project, const struct priv_start *spec)
{
	char name[SAVED_NAME_SIZE];
	name_of(project, spec, name);
	saved_forget(name);
}

void saved_forget(const char *name)
{
	if (saved.key)
		(void)unlinkat(saved.dir, name, 0);
}

/* ---- reading ---- */

void saved_list(struct dir *d)
{
	dir_open(d, saved.dir);
}

/* What is longer than anything of ours is cut, and then does not open. */
static int read_file(const char *name, size_t *ret_n, struct err *e)
{
	CLEANUP_FD int fd = openat(saved.dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0)
		return err_sys(e, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, errno, "could not open '%s'", name);
	size_t n = 0;
	for (ssize_t got = 1; got > 0 && n < sizeof(saved.sealed); n += (size_t)got) {
		got = read(fd, saved.sealed + n, sizeof(saved.sealed) - n);
		if (got < 0)
			return err_sys(e, ERR_IO, errno, "could not read '%s'", name);
	}
	*ret_n = n;
	return 0;
}

/* The head, and that it and the lists are all there is. */
static int read_head(const char *name, size_t n, struct saved_start *ret, struct err *e)
{
	char own[SAVED_NAME_SIZE];
	size_t want = sizeof(*ret);
	if (n < sizeof(*ret))
		return err_set(e, ERR_INVALID, "'%s' is cut short", name);
	memcpy(ret, saved.clear, sizeof(*ret));
	if (ret->version != PRIV_VERSION || ret->size != sizeof(*ret))
		return err_set(e, ERR_UNSUPPORTED, "'%s' is of another version", name);
	ret->project[sizeof(ret->project) - 1] = '\0';
	ret->spec.process[sizeof(ret->spec.process) - 1] = '\0';
	name_of(ret->project, &ret->spec, own);
	for (size_t i = 0; i < SAVED_LISTS; i++)
		want += ret->bytes[i] == SAVED_NONE ? 0 : ret->bytes[i];
	return want == n && strcmp(own, name) == 0 ? 0 : err_set(e, ERR_INVALID, "'%s' is not what it is named", name);
}

static int make_lists(const struct saved_start *s, int lists[SAVED_LISTS], struct err *e)
{
	static const char *const labels[SAVED_LISTS] = {"argv", "env", "secret"};
	const char *at = saved.clear + sizeof(*s);
	for (size_t i = 0; i < SAVED_LISTS; i++) {
		if (s->bytes[i] == SAVED_NONE)
			continue;
		lists[i] = fs_memfd(labels[i], at, s->bytes[i], e);
		if (lists[i] < 0)
			return -1;
		at += s->bytes[i];
	}
	return 0;
}

int saved_get(const char *name, struct saved_start *ret, int lists[SAVED_LISTS], struct err *e)
{
	size_t n = 0;
	for (size_t i = 0; i < SAVED_LISTS; i++)
		lists[i] = -1;
	if (!saved.key)
		return err_set(e, ERR_NOT_FOUND, "nothing is saved");
	if (read_file(name, &n, e) != 0)
		return -1;
	size_t clear = 0;
	int rc = seal_open_into(saved.key, str_c(name), (struct str){saved.sealed, n}, saved.clear, &clear, e);
	if (rc == 0)
		rc = read_head(name, clear, ret, e) != 0 ? -1 : make_lists(ret, lists, e);
	ct_wipe(saved.clear, clear);
	if (rc != 0)
		for (size_t i = 0; i < SAVED_LISTS; i++)
			fs_close_fd(&lists[i]);
	return rc;
}
