#include "tree/python.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/name.h"
#include "tree/child.h"
#include "tree/copy.h"
#include "tree/lock.h"
#include "tree/say.h"
#include "tree/script.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define INSTALL_MS (28 * 60 * 1000)
#define INCLUDE_DEPTH_MAX 4u
#define FILE_MAX_BYTES (8u << 20)
#define KEPT_MAX 4u /* environments in the cache */
#define ENV_FILES_MAX 500000u
#define ENV_BYTES_MAX (8ull << 30)

extern char **environ;

struct work {
	const struct options *o;
	struct err *e;
	char python[512]; /* the interpreter */
	char here[1024];  /* working directory, absolute */
	char cache[1200]; /* the project's cache, absolute */
	char env[1300];	  /* CACHE/python-KEY */
	char env_python[1400], pip_cache[1300], list[1400];
	uint64_t hash[2];
	struct child_words vars;
	struct buf messages;
	bool own_pip; /* the environment has a pip of its own */
};

static void mix(struct work *w, const void *p, size_t n)
{
	const unsigned char *c = p;
	for (size_t i = 0; i < n;
	     i++) { /* FNV-1a with two beginnings; who could collide it only hits his own cache */
		w->hash[0] = (w->hash[0] ^ c[i]) * 0x100000001b3u;
		w->hash[1] = (w->hash[1] ^ (c[i] + 0x5bu)) * 0x100000001b3u;
	}
	w->hash[0] ^= n + 1;
}

static bool executable(const char *path)
{
	struct stat st;
	return stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, X_OK) == 0;
}

static const char *const folders[] = {"/usr/bin", "/usr/local/bin"};

/* "3.9, 3.11" for a message. */
static void list_versions(char *out, size_t size)
{
	size_t n = 0;
	out[0] = '\0';
	for (unsigned minor = 0; minor < 40; minor++)
		for (size_t i = 0; i < 2; i++) {
			char path[64];
			snprintf(path, sizeof(path), "%s/python3.%u", folders[i], minor);
			if (!executable(path) || n + 8 > size)
				continue;
			n += (size_t)snprintf(out + n, size - n, "%s3.%u", n ? ", " : "", minor);
			break;
		}
}

static int find_python(struct work *w)
{
	struct str want = w->o->python;
	size_t dot = str_find(want, '.', 0),
	       second = dot == SIZE_MAX ? SIZE_MAX : str_find(want, '.', dot + 1);
	want = str_slice(want, 0, second);
	if (want.n == 0)
		want = STR("3");
	for (size_t i = 0; i < 2; i++) {
		snprintf(w->python, sizeof(w->python), "%s/python%.*s", folders[i], STR_ARG(want));
		if (executable(w->python))
			return 0;
	}
	char there[200];
	list_versions(there, sizeof(there));
	return say_fail(SAY_SETTINGS, w->e,
	    "Python %.*s is asked for and not on this machine; there is %s", STR_ARG(want),
	    there[0] ? there : "none");
}

static int mix_interpreter(struct work *w)
{
	char real[4096];
	struct stat st;
	if (!realpath(w->python, real) || stat(real, &st) != 0)
		return err_sys(w->e, ERR_IO, errno, "could not look at '%s'", w->python);
	mix(w, real, strlen(real));
	mix(w, &st.st_size, sizeof(st.st_size));
	mix(w, &st.st_mtim, sizeof(st.st_mtim));
	return 0;
}

/* A requirements file, and the ones it includes by -r or -c. */
static int mix_file(struct work *w, struct str path, unsigned depth)
{
	char name[1100];
	struct buf text CLEANUP_BUF;
	buf_init(&text, FILE_MAX_BYTES);
	if (depth > INCLUDE_DEPTH_MAX)
		return say_fail(SAY_PYTHON, w->e,
		    "requirements files include each other deeper than %u", INCLUDE_DEPTH_MAX);
	if (name_subpath(path, w->e) || !str_copy(path, name, sizeof(name)) ||
	    fs_read(AT_FDCWD, name, &text, w->e))
		return say_fail(SAY_PYTHON, w->e, "could not read '%.*s'", STR_ARG(path));
	mix(w, text.p ? text.p : "", text.n);
	struct str rest = buf_view(&text), line, folder = path;
	while (folder.n && folder.p[folder.n - 1] != '/')
		folder.n--;
	static const char *const words[] = {"-r", "--requirement", "-c", "--constraint"};
	while (str_next(&rest, '\n', &line))
		for (size_t i = 0; i < 4; i++) {
			struct str word = str_c(words[i]), file;
			line = str_trim(line);
			if (!str_starts(line, word) || line.n <= word.n ||
			    !strchr(" \t=", line.p[word.n]))
				continue;
			file = str_trim(str_from(line, word.n + 1));
			char joined[1100];
			snprintf(
			    joined, sizeof(joined), "%.*s%.*s", STR_ARG(folder), STR_ARG(file));
			if (mix_file(w, str_c(joined), depth + 1))
				return -1;
		}
	return 0;
}

/* A lock file counts with what it is read beside, and by which version of us. */
static int mix_lock(struct work *w)
{
	mix(w, lock_script, strlen(lock_script));
	if (access("pyproject.toml", F_OK) == 0 && mix_file(w, STR("pyproject.toml"), 0))
		return -1;
	return mix_file(w, w->o->lock, 0);
}

static int open_work(struct work *w)
{
	const struct options *o = w->o;
	char real[4096], top[1100];
	if (!getcwd(w->here, sizeof(w->here)) || o->top.n == 0 || !realpath(o->top.p, real) ||
	    !str_copy(str_c(real), top, sizeof(top)))
		return say_fail(
		    SAY_SETTINGS, w->e, "python-env needs --top and a working directory");
	const char *own =
	    getenv("SLIPWAY_CACHE_DIR"); /* of a stranger's build, which shares none */
	if (own && own[0])
		snprintf(w->cache, sizeof(w->cache), "%s", own);
	else
		snprintf(w->cache, sizeof(w->cache), "%s/cache", top);
	if (find_python(w) || mix_interpreter(w))
		return -1;
	for (size_t i = 0; i < o->requirements_count; i++)
		if (mix_file(w, o->requirements[i], 0))
			return -1;
	if (o->project_file.n && mix_file(w, o->project_file, 0))
		return -1;
	if (o->lock.n && mix_lock(w))
		return -1;
	for (size_t i = 0; i < o->also_count; i++)
		mix(w, o->also[i].p, o->also[i].n);
	snprintf(w->env, sizeof(w->env), "%s/python-%016llx%016llx", w->cache,
	    (unsigned long long)w->hash[0], (unsigned long long)w->hash[1]);
	snprintf(w->env_python, sizeof(w->env_python), "%s/bin/python", w->env);
	snprintf(w->pip_cache, sizeof(w->pip_cache), "%s/pip", w->cache);
	for (char **v = environ; *v && w->vars.n < CHILD_WORDS_MAX; v++)
		child_add(&w->vars, *v);
	return fs_mkdirs(w->cache, 0700, w->e);
}

/* 0 done, 1 failed with its words in w->messages, -1 could not be run. */
static int run(struct work *w, const struct child_words *argv, bool quiet, struct buf *out)
{
	int status;
	struct child_spec s = {argv, &w->vars, NULL, clock_mono_ms() + INSTALL_MS, quiet, !out};
	buf_clear(&w->messages);
	if (child_run(&s, out, &w->messages, &status, w->e))
		return -1;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : 1;
}

static int make_venv(struct work *w, bool system)
{
	struct child_words argv = {0};
	child_add(&argv, w->python);
	child_add(&argv, "-m");
	child_add(&argv, "pip");
	child_add(&argv, "--version");
	int pip = run(w, &argv, true, NULL);
	w->own_pip = pip != 0;
	argv = (struct child_words){0};
	child_add(&argv, w->python);
	child_add(&argv, "-m");
	child_add(&argv, "venv");
	if (!w->own_pip)
		child_add(&argv, "--without-pip");
	if (system)
		child_add(&argv, "--system-site-packages");
	child_add(&argv, w->env);
	if (pip < 0 || copy_remove(w->env, w->e))
		return -1;
	int rc = run(w, &argv, false, NULL);
	return rc > 0 ? say_fail(SAY_SETTINGS, w->e,
			    "python -m venv failed; is the package python3-venv installed?")
		      : rc;
}

/* The dependencies of pyproject.toml's [project] as a requirements file in the environment. */
static int project_requirements(struct work *w, char *path, size_t size)
{
	static const char script[] = "import sys\n"
				     "try:\n import tomllib as t\n"
				     "except ImportError:\n import pip._vendor.tomli as t\n"
				     "print('\\n'.join(t.load(open(sys.argv[1], "
				     "'rb')).get('project', {}).get('dependencies', [])))\n";
	struct child_words argv = {0};
	struct buf out CLEANUP_BUF;
	buf_init(&out, FILE_MAX_BYTES);
	child_add(&argv, w->python);
	child_add(&argv, "-I"); /* what lies in the project is no module of ours */
	child_add(&argv, "-c");
	child_add(&argv, script);
	child_add(&argv, w->o->project_file.p);
	int rc = run(w, &argv, false, &out);
	if (rc)
		return rc < 0 ? -1 : say_fail(SAY_PYTHON, w->e, "pyproject.toml could not be read");
	snprintf(path, size, "%s/project-requirements.txt", w->env);
	int fd CLEANUP_FD = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd < 0)
		return err_sys(w->e, ERR_IO, errno, "could not write '%s'", path);
	return fs_write_all(fd, out.p ? out.p : "", out.n, w->e);
}

static void pip_words(struct work *w, bool offline, struct child_words *argv)
{
	static const char *const fixed[] = {"install", "--no-input", "--disable-pip-version-check",
	    "--no-warn-script-location", "--prefer-binary", "--progress-bar", "off", "--retries",
	    "1", "--timeout", "15"};
	*argv = (struct child_words){0};
	child_add(argv, w->own_pip ? w->env_python : w->python);
	child_add(argv, "-m");
	child_add(argv, "pip");
	if (!w->own_pip) {
		child_add(argv, "--python");
		child_add(argv, w->env_python);
	}
	for (size_t i = 0; i < sizeof(fixed) / sizeof(*fixed); i++)
		child_add(argv, fixed[i]);
	child_add(argv, offline ? "--no-index" : "--cache-dir");
	if (!offline)
		child_add(argv, w->pip_cache);
}

static void add_file(struct work *w, struct child_words *argv, const char *option, const char *name)
{
	snprintf(w->list, sizeof(w->list), "%s/%s", w->env, name);
	child_add(argv, option);
	child_add(argv, w->list);
}

/* Everything in the lock file and nothing else, each held to its hashes; then what the kind needs
 * beside it, which may not move what is locked. */
static int install_locked(struct work *w, bool offline)
{
	struct child_words argv;
	const struct lock_job job = {
	    w->own_pip ? w->env_python : w->python, w->o->lock.p, w->env, &w->vars};
	if (lock_requirements(&job, w->e))
		return -1;
	pip_words(w, offline, &argv);
	child_add(&argv, "--require-hashes");
	child_add(&argv, "--no-deps");
	add_file(w, &argv, "-r", LOCK_REQUIREMENTS);
	int rc = run(w, &argv, false, NULL);
	if (rc || w->o->also_count == 0)
		return rc;
	pip_words(w, offline, &argv);
	add_file(w, &argv, "-c", LOCK_CONSTRAINTS);
	for (size_t i = 0; i < w->o->also_count; i++)
		child_add(&argv, w->o->also[i].p);
	return run(w, &argv, false, NULL);
}

static int pip_install(struct work *w, bool offline)
{
	struct child_words argv;
	char project[1400];
	if (w->o->lock.n)
		return install_locked(w, offline);
	if (w->o->requirements_count + w->o->also_count == 0 && !w->o->project_file.n)
		return 0;
	pip_words(w, offline, &argv);
	for (size_t i = 0; i < w->o->requirements_count; i++) {
		child_add(&argv, "-r");
		child_add(&argv, w->o->requirements[i].p);
	}
	if (w->o->project_file.n) {
		if (project_requirements(w, project, sizeof(project)))
			return -1;
		child_add(&argv, "-r");
		child_add(&argv, project);
	}
	for (size_t i = 0; i < w->o->also_count; i++)
		child_add(&argv, w->o->also[i].p);
	return run(w, &argv, false, NULL);
}

static bool no_index_answers(struct work *w)
{
	static const char *const signs[] = {"Failed to establish a new connection",
	    "Connection refused", "name resolution", "Name or service not known",
	    "Network is unreachable", "No route to host", "timed out", "ConnectTimeoutError",
	    "NewConnectionError", "ProxyError", "Connection to ", "Max retries exceeded"};
	for (size_t i = 0; i < sizeof(signs) / sizeof(*signs); i++)
		if (str_contains(buf_view(&w->messages), str_c(signs[i])))
			return true;
	return false;
}

/* pip's own last complaint. */
static int install_failed(struct work *w, const char *before)
{
	struct str rest = buf_view(&w->messages), line, last = STR("see the lines above");
	while (str_next(&rest, '\n', &line))
		if (str_starts(str_trim(line), STR("ERROR: ")))
			last = str_from(str_trim(line), 7);
	return say_fail(
	    SAY_PYTHON, w->e, "%s: %.*s", before, (int)(last.n < 300 ? last.n : 300), last.p);
}

static int build(struct work *w)
{
	char mark[1400];
	if (make_venv(w, false))
		return -1;
	int rc = pip_install(w, false);
	if (rc > 0 && !no_index_answers(w))
		return install_failed(w, "pip could not install the requirements");
	if (rc > 0) {
		say_note("no package index answers; trying the packages of the system");
		if (make_venv(w, true))
			return -1;
		rc = pip_install(w, true);
		if (rc > 0)
			return install_failed(w,
			    "no package index answers, and the system's packages are not enough");
		if (!rc)
			say_note("every requirement is met by the packages of the system; they are "
				 "used");
	}
	snprintf(mark, sizeof(mark), "%s/.complete", w->env);
	int fd CLEANUP_FD = rc ? -1 : open(mark, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	return rc ? -1 : fd < 0 ? err_sys(w->e, ERR_IO, errno, "could not write '%s'", mark) : 0;
}

static int rewrite_scripts(struct work *w, int venv)
{
	char path[1100];
	snprintf(path, sizeof(path), "%s/.venv", w->here);
	int bin = openat(venv, "bin", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *d = bin < 0 ? NULL : fdopendir(bin);
	if (!d) {
		fs_close_fd(&bin);
		return err_sys(w->e, ERR_IO, errno, "could not open the environment's bin");
	}
	int rc = 0;
	for (struct dirent *entry; rc == 0 && (entry = readdir(d));)
		rc = script_rewrite(bin, entry->d_name, str_c(w->env), str_c(path), w->e);
	closedir(d);
	return rc;
}

static int copy_into_release(struct work *w)
{
	const struct copy_limits limits = {ENV_FILES_MAX, ENV_BYTES_MAX, false};
	if (fs_remove_tree(AT_FDCWD, ".venv", w->e))
		return -1;
	int from CLEANUP_FD = open(w->env, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	int to CLEANUP_FD = fs_dir(AT_FDCWD, ".venv", 0755, w->e);
	if (from < 0 || to < 0)
		return err_sys(w->e, ERR_IO, errno, "could not open the environment");
	(void)futimens(from, NULL); /* used just now: the last to be pruned */
	return copy_tree(from, to, &limits, w->e) ? -1 : rewrite_scripts(w, to);
}

/* Drops the environments that were not used for longest. */
static void prune(struct work *w)
{
	for (;;) {
		char oldest[300] = "";
		struct timespec least = {0};
		unsigned count = 0;
		struct err ignored;
		int cache CLEANUP_FD = open(w->cache, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		DIR *d = opendir(w->cache);
		for (struct dirent *entry; d && cache >= 0 && (entry = readdir(d));) {
			struct stat st;
			if (strncmp(entry->d_name, "python-", 7) != 0 ||
			    fstatat(cache, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0)
				continue;
			if (count++ == 0 || st.st_mtim.tv_sec < least.tv_sec) {
				least = st.st_mtim;
				snprintf(oldest, sizeof(oldest), "%s", entry->d_name);
			}
		}
		if (d)
			closedir(d);
		if (count <= KEPT_MAX || fs_remove_tree(cache, oldest, &ignored))
			return;
	}
}

int python_env(const struct options *o, struct buf *report, struct err *e)
{
	struct work *w =
	    &(struct work){.o = o, .e = e, .hash = {0xcbf29ce484222325u, 0x84222325cbf29ce4u}};
	char mark[2400];
	(void)report;
	buf_init(&w->messages, 65536);
	int rc = open_work(w);
	snprintf(mark, sizeof(mark), "%.*s/.complete", (int)sizeof(w->env), w->env);
	if (!rc && access(mark, F_OK) != 0)
		rc = build(w);
	else if (!rc)
		say_note("cached environment %.4s", w->env + strlen(w->cache) + strlen("/python-"));
	if (!rc)
		rc = copy_into_release(w);
	if (!rc)
		prune(w);
	buf_fini(&w->messages);
	return rc;
}
