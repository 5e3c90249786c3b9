/* Reads and writes the file of servers, and finds the local socket. */
#include "cli/servers.h"

#include "base/fs.h"
#include "base/name.h"

#include <fcntl.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FILE_BYTES_MAX (256u << 10)
#define UPWARD_MAX 64

static const char *environment(const char *name)
{
	const char *v = getenv(name);
	return v && v[0] ? v : NULL;
}

/* …/slipway, made when it is missing; NULL with e. */
static char *config_dir(struct arena *a, struct err *e)
{
	const char *base = environment("XDG_CONFIG_HOME"), *home = environment("HOME");
	if (base && base[0] == '/')
		return arena_printf(a, "%s/slipway", base);
	if (!home) {
		const struct passwd *who = getpwuid(geteuid());
		home = who ? who->pw_dir : NULL;
	}
	if (!home || home[0] != '/') {
		err_set(e, ERR_SETTINGS, "there is no home directory to keep servers in");
		err_hint(e, "set XDG_CONFIG_HOME");
		return NULL;
	}
	return arena_printf(a, "%s/.config/slipway", home);
}

json_t *servers_read(struct err *e)
{
	struct arena a CLEANUP_ARENA;
	struct buf text CLEANUP_BUF;
	arena_init(&a, 64u << 10);
	buf_init(&text, FILE_BYTES_MAX);
	const char *dir = config_dir(&a, e);
	if (!dir)
		return NULL;
	int fd CLEANUP_FD = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || faccessat(fd, "servers.json", F_OK, 0) < 0)
		return json_object();
	if (fs_read(fd, "servers.json", &text, e) < 0)
		return NULL;
	json_t *j = json_read(buf_view(&text), e);
	if (j && json_is_object(j))
		return j;
	if (j)
		err_set(e, ERR_SETTINGS, "it is no object");
	json_decref(j);
	err_prefix(e, "%s/servers.json", dir);
	e->code = ERR_SETTINGS;
	return NULL;
}

static int write_file(const json_t *j, struct err *e)
{
	struct arena a CLEANUP_ARENA;
	arena_init(&a, 64u << 10);
	const char *dir = config_dir(&a, e);
	if (!dir || fs_mkdirs(dir, 0700, e) < 0)
		return -1;
	int fd CLEANUP_FD = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_set(e, ERR_SETTINGS, "cannot open '%.200s'", dir);
	char *text = json_dumps(j, JSON_INDENT(2));
	if (!text)
		return err_set(e, ERR_INVALID, "the server's name or token is not UTF-8");
	int rc = fs_write_atomic(fd, "servers.json", text, strlen(text), 0600, e);
	free(text);
	return rc;
}

int servers_save(const char *name, const struct net_server *s, struct err *e)
{
	CLEANUP_JSON json_t *all = servers_read(e);
	if (!all)
		return -1;
	json_t *list = json_object_get(all, "servers");
	if (!json_is_object(list)) {
		list = json_object();
		(void)json_object_set_new(all, "servers", list);
	}
	json_t *one =
	    json_pack("{s:s, s:s*, s:s*}", "url", s->url, "token", s->token, "pin", s->pin);
	if (!one)
		return err_set(e, ERR_INVALID, "the server's address or token is not UTF-8");
	if (s->insecure)
		(void)json_object_set_new(one, "insecure", json_true());
	(void)json_object_set_new(list, name, one);
	(void)json_object_set_new(all, "default", json_string(name));
	return write_file(all, e);
}

int servers_forget(const char *name, struct err *e)
{
	CLEANUP_JSON json_t *all = servers_read(e);
	if (!all)
		return -1;
	json_t *list = json_object_get(all, "servers");
	if (json_object_del(list, name) < 0)
		return 0;
	const char *usual = json_string_value(json_object_get(all, "default"));
	if (usual && strcmp(usual, name) == 0)
		(void)json_object_del(all, "default");
	return write_file(all, e) < 0 ? -1 : 1;
}

/* The socket that dir/var/cli.json names: 1/0. A file of somebody else's could lead astray. */
static int socket_of(const char *dir, struct arena *a, const char **ret)
{
	struct buf text CLEANUP_BUF;
	struct str socket;
	struct stat st;
	buf_init(&text, 4096);
	const char *path = arena_printf(a, "%s/var", dir);
	int fd CLEANUP_FD = path ? open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	if (fd < 0 || fstatat(fd, "cli.json", &st, AT_SYMLINK_NOFOLLOW) < 0 ||
	    (st.st_uid != geteuid() && st.st_uid != 0) || fs_read(fd, "cli.json", &text, NULL) < 0)
		return 0;
	CLEANUP_JSON json_t *j = json_read(buf_view(&text), NULL);
	if (!json_is_object(j) || json_get_str(j, "socket", &socket, NULL) <= 0)
		return 0;
	*ret = arena_cstr(a, socket);
	return *ret != NULL;
}

static int local_socket(struct arena *a, const char **ret)
{
	char dir[4096];
	if (!getcwd(dir, sizeof(dir)))
		return 0;
	for (int i = 0; i < UPWARD_MAX; i++) {
		if (socket_of(dir, a, ret))
			return 1;
		char *slash = strrchr(dir, '/');
		if (!slash || dir[1] == '\0')
			return 0;
		slash[slash == dir] = '\0';
	}
	return 0;
}

static const char *keep(struct arena *a, const json_t *o, const char *key)
{
	const char *v = json_string_value(json_object_get(o, key));
	return v ? arena_cstr(a, str_c(v)) : NULL;
}

/* A server of the file: 1/0/-1. name NULL: the default. */
static int from_file(const char *name, struct arena *a, struct net_server *ret, struct err *e)
{
	CLEANUP_JSON json_t *all = servers_read(e);
	if (!all)
		return -1;
	if (!name)
		name = json_string_value(json_object_get(all, "default"));
	const json_t *one = name ? json_object_get(json_object_get(all, "servers"), name) : NULL;
	if (!one)
		return 0;
	ret->url = keep(a, one, "url");
	ret->token = keep(a, one, "token");
	ret->pin = keep(a, one, "pin");
	ret->insecure = ret->insecure || json_is_true(json_object_get(one, "insecure"));
	if (!ret->url)
		return err_set(e, ERR_SETTINGS, "the server '%.60s' has no address", name);
	return 1;
}

static int unknown(const char *name, struct err *e)
{
	err_set(e, ERR_USAGE, "there is no server '%.60s'", name);
	return err_hint(
	    e, "'slipway login' lists them, 'slipway login URL --name %.60s' adds it", name);
}

int servers_choose(
    const char *name, bool insecure, struct arena *a, struct net_server *ret, struct err *e)
{
	*ret = (struct net_server){.insecure = insecure};
	if (!name)
		name = environment("SLIPWAY_SERVER");
	bool local = name && strcmp(name, "local") == 0;
	if (name && !local) {
		int found = from_file(name, a, ret, e);
		if (found <= 0)
			return found < 0 ? -1 : unknown(name, e);
	} else {
		const char *given = environment("SLIPWAY_SOCKET");
		ret->socket = given ? arena_cstr(a, str_c(given)) : NULL;
		if (!ret->socket && !local_socket(a, &ret->socket) && !local &&
		    from_file(NULL, a, ret, e) < 0)
			return -1;
		if (!ret->socket && !ret->url)
			ret->socket = SERVERS_DEFAULT_SOCKET;
	}
	const char *token = environment("SLIPWAY_TOKEN");
	if (token)
		ret->token = arena_cstr(a, str_c(token));
	if (ret->token && strpbrk(ret->token, "\r\n"))
		return err_set(e, ERR_USAGE, "the token holds a line break");
	return 0;
}
