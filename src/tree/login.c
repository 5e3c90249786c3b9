#include "tree/login.h"
#include "base/ct.h"
#include "base/fs.h"
#include "base/num.h"
#include "tree/say.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define SECRET_MAX_BYTES 65536u
#define HOSTS_MAX_BYTES 16384u
#define ROLE "SLIPWAY_TREE_ROLE"
#define TARGET "SLIPWAY_TREE_HOST"
#define ADDRESS "SLIPWAY_TREE_ADDRESS"
#define ALIAS "SLIPWAY_TREE_ALIAS"
#define SECRET "SLIPWAY_TREE_SECRET"
#define USER "SLIPWAY_TREE_USER"
#define HOSTS "SLIPWAY_TREE_HOSTS"
#define CHECKING "SLIPWAY_TREE_CHECKING"

/* ssh refuses a key that others could read, so the memory file gets a mode of its own. */
static int memory_file(const char *label, struct str bytes, struct err *e)
{
	int fd = memfd_create(label, MFD_CLOEXEC);
	if (fd < 0)
		return err_sys(e, ERR_IO, errno, "could not make a memory file");
	if (fchmod(fd, 0600) != 0 || fs_write_all(fd, bytes.p, bytes.n, e)) {
		close(fd);
		return err_set(e, ERR_IO, "could not fill a memory file");
	}
	return fd;
}

static int read_secret(struct buf *into, struct err *e)
{
	const char *name = getenv("SLIPWAY_SECRET_FD");
	int64_t number;
	if (!name)
		return 0;
	if (!num_i64(str_c(name), 3, 1023, &number))
		return say_fail(SAY_SETTINGS, e, "SLIPWAY_SECRET_FD is not a descriptor");
	int fd CLEANUP_FD = (int)number;
	for (;;) {
		char *p = buf_reserve(into, 4096);
		ssize_t n = p ? read(fd, p, 4096) : -1;
		if (n < 0 && p && errno == EINTR)
			continue;
		if (n < 0)
			return say_fail(SAY_SETTINGS, e, "could not read the secret");
		if (n == 0)
			return 0;
		buf_commit(into, (size_t)n);
	}
}

int login_open(struct login *l, struct str known_hosts, struct err *e)
{
	*l = (struct login){-1, -1, -1, ""};
	ssize_t n = readlink("/proc/self/exe", l->self, sizeof(l->self) - 1);
	if (n < 0)
		return say_fail(SAY_SETTINGS, e, "could not find this program by /proc/self/exe");
	l->self[n] = '\0';
	struct buf secret;
	buf_init(&secret, SECRET_MAX_BYTES + 4096);
	int rc = read_secret(&secret, e);
	unsetenv("SLIPWAY_SECRET_FD");
	if (!rc && secret.n) {
		l->secret_fd = memory_file("slipway-secret", buf_view(&secret), e);
		rc = l->secret_fd < 0 ? -1 : 0;
	}
	buf_wipe(&secret);
	if (!rc && known_hosts.n) {
		l->hosts_fd = memory_file("slipway-hosts", known_hosts, e);
		rc = l->hosts_fd < 0 ? -1 : 0;
	} else if (!rc) {
		l->learned_fd = memory_file("slipway-learned", STR_NONE, e);
		rc = l->learned_fd < 0 ? -1 : 0;
	}
	return rc;
}

void login_close(struct login *l)
{
	fs_close_fd(&l->secret_fd);
	fs_close_fd(&l->hosts_fd);
	fs_close_fd(&l->learned_fd);
}

static void var(struct buf *text, struct child_words *env, const char *key, struct str value)
{
	size_t at = text->n;
	buf_printf(text, "%s=%.*s", key, STR_ARG(value));
	buf_char(text, '\0');
	if (!text->full)
		child_add(env, text->p + at);
}

static void file_var(struct buf *text, struct child_words *env, const char *key, int fd)
{
	char path[64];
	snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)getpid(), fd);
	var(text, env, key, str_c(path));
}

int login_env(const struct login *l, struct str host, uint16_t port,
    const struct host_addresses *addresses, struct str user, struct buf *text,
    struct child_words *env, struct err *e)
{
	char alias[300];
	/* env points into text, which must not move: take all of its room now */
	if (!buf_reserve(text, text->max - text->n))
		return err_set(e, ERR_INTERNAL, "no room for the environment");
	snprintf(alias, sizeof(alias), port == 22 ? "%.*s" : "[%.*s]:%u", STR_ARG(host), port);
	var(text, env, "GIT_ASKPASS", str_c(l->self));
	var(text, env, "SSH_ASKPASS", str_c(l->self));
	var(text, env, "GIT_SSH", str_c(l->self));
	var(text, env, "GIT_SSH_VARIANT", STR("ssh"));
	var(text, env, ROLE, STR("login"));
	if (user.n)
		var(text, env, USER, user);
	if (l->secret_fd >= 0)
		file_var(text, env, SECRET, l->secret_fd);
	if (addresses && addresses->count) {
		var(text, env, TARGET, host);
		var(text, env, ALIAS, str_c(alias));
		var(text, env, ADDRESS, str_c(addresses->text[0]));
		bool pinned = l->hosts_fd >= 0;
		file_var(text, env, HOSTS, pinned ? l->hosts_fd : l->learned_fd);
		var(text, env, CHECKING, pinned ? STR("yes") : STR("accept-new"));
	}
	return text->full ? err_set(e, ERR_TOO_LARGE, "the environment for git is too large") : 0;
}

int login_learned(const struct login *l, struct buf *ret, struct err *e)
{
	char part[4096];
	off_t at = 0;
	ssize_t n = 0;
	while (l->learned_fd >= 0 && (n = pread(l->learned_fd, part, sizeof(part), at)) > 0) {
		buf_put(ret, part, (size_t)n);
		at += n;
	}
	return n < 0 ? err_sys(e, ERR_IO, errno, "could not read the learned host keys") : 0;
}

/* git asks "Username for 'https://host': " and "Password for 'https://user@host': ". */
static void serve_askpass(const char *prompt)
{
	const char *user = getenv(USER), *secret = getenv(SECRET);
	char bytes[SECRET_MAX_BYTES];
	struct err e;
	if (strncmp(prompt, "Username", 8) == 0) {
		if (user && fs_write_all(STDOUT_FILENO, user, strlen(user), &e) == 0)
			_exit(fs_write_all(STDOUT_FILENO, "\n", 1, &e) ? 1 : 0);
		_exit(1);
	}
	int fd = user && secret && strncmp(prompt, "Password", 8) == 0
		     ? open(secret, O_RDONLY | O_CLOEXEC)
		     : -1;
	ssize_t n = fd < 0 ? -1 : read(fd, bytes, sizeof(bytes));
	int rc = n <= 0 || fs_write_all(STDOUT_FILENO, bytes, (size_t)n, &e) ||
		 fs_write_all(STDOUT_FILENO, "\n", 1, &e);
	ct_wipe(bytes, sizeof(bytes));
	_exit(rc ? 1 : 0);
}

/* What ssh is told, before port, user and host. */
static void ssh_options(struct child_words *w)
{
	static const char *const fixed[] = {"ssh", "-T", "-F", "/dev/null", "-oBatchMode=yes",
	    "-oIdentitiesOnly=yes", "-oIdentityAgent=none", "-oPasswordAuthentication=no",
	    "-oKbdInteractiveAuthentication=no", "-oPubkeyAuthentication=yes",
	    "-oGlobalKnownHostsFile=/dev/null", "-oUpdateHostKeys=no", "-oHashKnownHosts=no",
	    "-oCheckHostIP=no", "-oVerifyHostKeyDNS=no", "-oProxyCommand=none", "-oProxyJump=none",
	    "-oControlMaster=no", "-oControlPath=none", "-oClearAllForwardings=yes",
	    "-oPermitLocalCommand=no", "-oConnectTimeout=15", "-oServerAliveInterval=15",
	    "-oServerAliveCountMax=4", "-oLogLevel=ERROR"};
	for (size_t i = 0; i < sizeof(fixed) / sizeof(*fixed); i++)
		child_add(w, fixed[i]);
}

static void ssh_option(
    struct child_words *w, char *room, size_t size, const char *name, const char *variable)
{
	const char *value = getenv(variable);
	if (!value)
		return;
	snprintf(room, size, "-o%s=%s", name, value);
	child_add(w, room);
}

/* git calls us as: [-o SendEnv=GIT_PROTOCOL] [-4|-6] [-p PORT] [USER@]HOST COMMAND */
static void serve_ssh(int argc, char **argv)
{
	struct child_words w = {0};
	char alias[400], address[128], key[128], hosts[128], checking[64];
	const char *want = getenv(TARGET);
	int i = 1;
	ssh_options(&w);
	for (; i < argc && argv[i][0] == '-'; i++) {
		if (strcmp(argv[i], "-p") == 0 && i + 1 < argc) {
			child_add(&w, "-p");
			child_add(&w, argv[++i]);
		} else if (strcmp(argv[i], "-o") == 0) {
			i++;
		}
	}
	const char *host = i < argc ? argv[i] : "";
	const char *at = strrchr(host, '@');
	if (!want || i + 2 != argc || strcmp(at ? at + 1 : host, want) != 0) {
		fprintf(stderr, "slipway-tree: address: git wants to reach another host\n");
		_exit(255);
	}
	child_add(&w, "-oSendEnv=GIT_PROTOCOL");
	ssh_option(&w, alias, sizeof(alias), "HostKeyAlias", ALIAS);
	ssh_option(&w, address, sizeof(address), "HostName", ADDRESS);
	ssh_option(&w, hosts, sizeof(hosts), "UserKnownHostsFile", HOSTS);
	ssh_option(&w, checking, sizeof(checking), "StrictHostKeyChecking", CHECKING);
	ssh_option(&w, key, sizeof(key), "IdentityFile", SECRET);
	if (!getenv(SECRET))
		child_add(&w, "-oIdentityFile=none");
	child_add(&w, "--");
	child_add(&w, host);
	child_add(&w, argv[i + 1]);
	execv("/usr/bin/ssh", (char *const *)(uintptr_t)w.v);
	fprintf(stderr, "slipway-tree: settings: 'ssh' is not installed on this machine\n");
	_exit(255);
}

void login_serve(int argc, char **argv)
{
	if (!getenv(ROLE))
		return;
	if (argc == 2)
		serve_askpass(argv[1]);
	serve_ssh(argc, argv);
}
