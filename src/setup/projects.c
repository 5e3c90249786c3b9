/* What is of projects on this machine: nothing to make, but users and folders to take away. */
#include "setup/parts.h"

#include "base/fs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define TENANT_UID_MIN 70000u

/* The user of a project is who owns its data/; never anybody who was there before Slipway. */
static bool tenant_of(int projects, const char *name, char user[40])
{
	char path[300];
	struct stat st;
	int n = snprintf(path, sizeof(path), "%s/data", name);
	return n > 0 && (size_t)n < sizeof(path) &&
	       fstatat(projects, path, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	       st.st_uid >= TENANT_UID_MIN && setup_user_of(st.st_uid, user) &&
	       str_starts(str_c(user), STR("sw-"));
}

static size_t for_each(int (*fn)(void *ctx, int projects, const char *name), void *ctx, int *ret)
{
	size_t count = 0;
	int fd = setup_dir(SETUP_STATE_DIR "/projects");
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	*ret = 0;
	for (struct dirent *entry; d && *ret == 0 && (entry = readdir(d));)
		if (entry->d_name[0] != '.' && entry->d_type == DT_DIR) {
			count++;
			*ret = fn ? fn(ctx, dirfd(d), entry->d_name) : 0;
		}
	if (d)
		(void)closedir(d);
	return count;
}

int setup_projects_look(struct setup *s, enum setup_state *ret, char *words, struct err *e)
{
	int rc;
	(void)s;
	(void)e;
	*ret = SETUP_DONE;
	(void)snprintf(words, SETUP_WORDS_SIZE, "%zu", for_each(NULL, NULL, &rc));
	return 0;
}

struct receipt {
	char *words;
	struct err *e;
};

static int remove_user(void *ctx, int projects, const char *name)
{
	struct receipt *r = ctx;
	char user[40] = "";
	size_t n = strlen(r->words);
	const char *const argv[] = {"/usr/sbin/userdel", user, NULL};
	if (tenant_of(projects, name, user) && setup_tool(argv, r->e) != 0)
		return -1;
	/* The folder goes with all the others; a long list is cut. */
	(void)snprintf(r->words + n, SETUP_WORDS_SIZE - n, "%s%s%s%s%s", n ? ", " : "", name,
	    user[0] ? " (user " : "", user, user[0] ? ")" : "");
	return 0;
}

int setup_projects_undo(struct setup *s, char *words, struct err *e)
{
	struct receipt r = {words, e};
	int rc;
	(void)s;
	(void)for_each(remove_user, &r, &rc);
	return rc;
}
