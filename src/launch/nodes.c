#include "launch/nodes.h"
#include "base/dir.h"
#include "base/fs.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static bool fill(
    int dir, const char *folder, const char *name, uint32_t devices, struct device_node *ret)
{
	struct stat st;
	*ret = (struct device_node){0};
	int n =
	    snprintf(ret->path, sizeof(ret->path), "/dev/%s%s%s", folder, *folder ? "/" : "", name);
	if (n < 0 || (size_t)n >= sizeof(ret->path) || !device_has_node(devices, ret->path) ||
	    fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISCHR(st.st_mode) ||
	    st.st_uid != 0)
		return false;
	if ((st.st_mode & 0006) != 0006 && (st.st_mode & 0060) == 0060)
		ret->group = st.st_gid;
	return true;
}

static int by_path(const void *a, const void *b)
{
	const struct device_node *x = a, *y = b;
	return strcmp(x->path, y->path);
}

size_t nodes_find(const char *dir, uint32_t devices, struct device_node out[DEVICE_NODES_MAX])
{
	size_t n = 0;
	const char *folder;
	CLEANUP_FD int top = devices ? open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
	for (size_t i = 0; top >= 0 && (folder = device_folder(i)); i++) {
		CLEANUP_DIR struct dir d;
		dir_take(&d, openat(top, *folder ? folder : ".",
				 O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
		for (const struct dirent64 *entry; n < DEVICE_NODES_MAX && (entry = dir_next(&d));)
			n += fill(d.fd, folder, entry->d_name, devices, &out[n]);
	}
	qsort(out, n, sizeof(*out), by_path);
	return n;
}
