/* secureops: the flags of a classic root program, each said to the daemon by way of `slipway`, the program beside this
 * one. share/man/secureops.1 is its documentation. */
#include "base/err.h"
#include "base/fs.h"
#include "base/name.h"
#include "text/json.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	EXIT_DONE = 0,
	EXIT_FAILED = 1,
	EXIT_SOME = 2, /* files that are not the user's; no broker to delete */
	EXIT_NO_PROGRAM = 255
};
#define ANSWER_MAX 65536
#define BROKER "queue" /* what the project calls the broker that -e makes */
#define USER_SIZE (sizeof("sw-") + NAME_PROJECT_MAX)

static char program[PATH_MAX]; /* slipway */
static char *project;	       /* of the user on the command line */

static void complain(const struct err *e)
{
	(void)fprintf(stderr, "secureops: %s%s%s\n", e->msg, e->hint[0] ? "; " : "", e->hint);
}

/* ---- slipway ---- */

/* Its standard output; NOWHERE: what it says on the other, too. */
enum where { SHOWN, TO_STDERR, NOWHERE };

static void say_to(int from, int to)
{
	if (dup2(from, to) < 0)
		_exit(EXIT_NO_PROGRAM);
}

static void become(const char *const *words, enum where where, int out)
{
	char *argv[16] = {"slipway"};
	size_t n = 1;
	while (*words && n < sizeof(argv) / sizeof(*argv) - 1)
		argv[n++] = (char *)(uintptr_t)*words++;
	int null = where == NOWHERE ? open("/dev/null", O_WRONLY | O_CLOEXEC) : -1;
	if (out >= 0)
		say_to(out, STDOUT_FILENO);
	if (where == TO_STDERR)
		say_to(STDERR_FILENO, STDOUT_FILENO);
	if (null >= 0) {
		say_to(null, STDERR_FILENO);
		say_to(null, STDOUT_FILENO);
	}
	(void)execv(program, argv);
	_exit(EXIT_NO_PROGRAM);
}

/* Its end: one of our exit codes. */
static int ended(pid_t pid)
{
	int status;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return EXIT_FAILED;
	if (!WIFEXITED(status))
		return EXIT_FAILED;
	int code = WEXITSTATUS(status);
	return code == 0 || code == EXIT_NO_PROGRAM ? code : EXIT_FAILED;
}

static int slipway(enum where where, const char *const *words)
{
	(void)fflush(NULL);
	pid_t pid = fork();
	if (pid == 0)
		become(words, where, -1);
	return pid < 0 ? EXIT_FAILED : ended(pid);
}
#define SLIPWAY(where, ...) slipway(where, (const char *const[]){__VA_ARGS__, NULL})

/* What it answers with --json; NULL and *ret_code when it does not. */
static json_t *ask(const char *const *words, int *ret_code)
{
	struct err e;
	int ends[2];
	CLEANUP_BUF struct buf answer;
	buf_init(&answer, ANSWER_MAX);
	*ret_code = EXIT_FAILED;
	if (pipe2(ends, O_CLOEXEC) < 0)
		return NULL;
	(void)fflush(NULL);
	pid_t pid = fork();
	if (pid == 0)
		become(words, SHOWN, ends[1]);
	CLEANUP_FD int in = ends[0];
	fs_close_fd(&ends[1]);
	for (char piece[4096]; pid > 0;) {
		ssize_t n = read(in, piece, sizeof(piece));
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		buf_put(&answer, piece, (size_t)n);
	}
	*ret_code = pid < 0 ? EXIT_FAILED : ended(pid);
	json_t *o = *ret_code == 0 ? json_read(buf_view(&answer), &e) : NULL;
	if (*ret_code == 0 && !o)
		*ret_code = EXIT_FAILED;
	buf_wipe(&answer);
	return o;
}
#define ASK(code, ...) ask((const char *const[]){__VA_ARGS__, "--json", NULL}, code)

/* ---- the flags ---- */

/* A file of the project's user that nobody else may touch, as the classic program made them: 0770 and 0660 at most. */
static int look_at(const char *file, const struct passwd *user)
{
	struct stat st;
	const char *wrong = NULL;
	if (lstat(file, &st) < 0)
		wrong = strerror(errno);
	else if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
		wrong = "it is neither a file nor a directory";
	else if (!user || st.st_uid != user->pw_uid)
		wrong = "it is not the project's, and nothing is given away: put it into the "
			"repository, or write it with 'slipway run'";
	else if (st.st_mode & S_IRWXO)
		wrong = "others may touch it: slipway admin fix-permissions";
	if (wrong)
		(void)fprintf(stderr, "secureops: '%s': %s\n", file, wrong);
	return wrong ? -1 : 0;
}

static int create_user(char **files, int count)
{
	char name[USER_SIZE];
	int code = SLIPWAY(NOWHERE, "info", project);
	if (code == EXIT_FAILED)
		code = SLIPWAY(SHOWN, "create", project);
	if (code != 0 || count == 0)
		return code;
	(void)snprintf(name, sizeof(name), "sw-%s", project);
	const struct passwd *user = getpwnam(name);
	for (int i = 0; i < count; i++)
		if (look_at(files[i], user) != 0)
			code = EXIT_SOME;
	return code;
}

static int delete_user(char **rest, int count)
{
	(void)rest, (void)count;
	return SLIPWAY(SHOWN, "destroy", project, "--yes");
}

static int reload(char **rest, int count)
{
	(void)rest, (void)count;
	return SLIPWAY(SHOWN, "edge", "reload");
}

/* The password alone goes to standard output. */
static int create_broker(char **rest, int count)
{
	(void)rest, (void)count;
	int code = SLIPWAY(TO_STDERR, "services", "add", project, "rabbitmq", "--name", BROKER);
	if (code != 0)
		return code;
	CLEANUP_JSON json_t *o = ASK(&code, "services", "credentials", project, BROKER);
	const char *password = json_string_value(json_object_get(o, "password"));
	if (password)
		(void)puts(password);
	return code == 0 && !password ? EXIT_FAILED : code;
}

static int delete_broker(char **rest, int count)
{
	(void)rest, (void)count;
	int code;
	bool found = false;
	size_t i;
	json_t *one;
	CLEANUP_JSON json_t *all = ASK(&code, "services", "list", project);
	if (!all)
		return code;
	json_array_foreach(json_object_get(all, "items"), i, one)
	{
		const char *name = json_string_value(json_object_get(one, "name"));
		found = found || (name && strcmp(name, BROKER) == 0);
	}
	if (!found) {
		(void)fprintf(stderr, "secureops: '%s' has no broker '" BROKER "'\n", project);
		return EXIT_SOME;
	}
	return SLIPWAY(SHOWN, "services", "remove", project, BROKER, "--yes");
}

/* DIR -S|-T|-H. The directory is the project's own, whatever is said. */
static int supervise(char **rest, int count)
{
	(void)count;
	static const struct {
		const char *flag, *word;
	} acts[] = {{"-S", "start"}, {"-T", "stop"}, {"-H", "restart"}};
	for (size_t i = 0; i < sizeof(acts) / sizeof(*acts); i++)
		if (strcmp(rest[1], acts[i].flag) == 0)
			return SLIPWAY(SHOWN, acts[i].word, project);
	(void)fprintf(stderr, "secureops: '%s' is none of -S, -T and -H\n", rest[1]);
	return EXIT_FAILED;
}

static int kill_all(char **rest, int count)
{
	(void)rest, (void)count;
	return SLIPWAY(SHOWN, "stop", project);
}

/* [PYTHON DJANGOADMIN]: those of the release, whatever is said. */
static int sync_database(char **rest, int count)
{
	(void)rest, (void)count;
	return SLIPWAY(SHOWN, "run", project, "--", "python3", "manage.py", "migrate", "--noinput");
}

/* PIP REQUIREMENTS: those of the project, into the environment of a new release. */
static int install(char **rest, int count)
{
	(void)rest, (void)count;
	return SLIPWAY(SHOWN, "deploy", project, "--force");
}

static const struct row {
	char flag;
	const char *rest;
	bool has_user;
	int least, most; /* words behind the user */
	int (*perform)(char **rest, int count);
	const char *help;
} rows[] = {
    {'c', "USER [FILE...]", true, 0, INT_MAX, create_user,
	"make the project and its user; look whether the files are its own"},
    {'d', "USER", true, 0, 0, delete_user,
	"destroy the project, with its user; a sealed archive is kept"},
    {'r', "", false, 0, 0, reload, "have the web server read everything anew, gracefully"},
    {'e', "USER", true, 0, 0, create_broker,
	"make a broker for the project; its password on standard output"},
    {'b', "USER", true, 0, 0, delete_broker, "delete that broker"},
    {'s', "USER DIR -S|-T|-H", true, 2, 2, supervise,
	"start, stop or restart the project's processes"},
    {'k', "USER", true, 0, 0, kill_all, "end all of the project's processes"},
    {'y', "USER [PYTHON DJANGOADMIN]", true, 0, 2, sync_database,
	"migrate the project's database, as its user"},
    {'i', "USER PIP REQUIREMENTS", true, 2, 2, install,
	"install the project's requirements, in a new release"},
};
enum { ROWS = sizeof(rows) / sizeof(*rows) };

static int usage(FILE *to)
{
	(void)fprintf(to,
	    "usage: secureops FLAG [USER ...]\nUSER is opusNAME or sw-NAME, NAME a project's.\n\n");
	for (int i = 0; i < ROWS; i++)
		(void)fprintf(to, "  -%c %-26s %s\n", rows[i].flag, rows[i].rest, rows[i].help);
	(void)fprintf(to, "\nExit status: 0 done; 1 it was not; 2 some files are not the user's, "
			  "or there was no broker;\n"
			  "255 slipway cannot be started. Each flag is a command of slipway(1).\n");
	return to == stdout ? EXIT_DONE : EXIT_FAILED;
}

static int take_user(char *user, struct err *e)
{
	struct str s = str_c(user), name;
	if (str_starts(s, STR("opus")))
		name = str_from(s, sizeof("opus") - 1);
	else if (str_starts(s, STR("sw-")))
		name = str_from(s, sizeof("sw-") - 1);
	else
		return err_set(
		    e, ERR_INVALID, "'%.64s' is no project's user: opusNAME or sw-NAME", user);
	project = user + (s.n - name.n);
	return name_project(name, e);
}

static int find_program(struct err *e)
{
	ssize_t n = readlink("/proc/self/exe", program, sizeof(program) - sizeof("slipway"));
	if (n <= 0)
		return err_sys(e, ERR_IO, errno, "cannot tell where this program is");
	program[n] = '\0';
	memcpy(strrchr(program, '/') + 1, "slipway", sizeof("slipway"));
	return 0;
}

int main(int argc, char **argv)
{
	struct err e = {0};
	if (argc == 2 && strcmp(argv[1], "--help") == 0)
		return usage(stdout);
	const struct row *row = NULL;
	bool is_flag = argc > 1 && argv[1][0] == '-' && argv[1][1] != '\0' && argv[1][2] == '\0';
	for (int i = 0; i < ROWS && is_flag; i++)
		if (argv[1][1] == rows[i].flag)
			row = &rows[i];
	int used = 2 + (row && row->has_user);
	if (!row || argc < used + row->least || argc - used > row->most)
		return usage(stderr);
	if ((row->has_user && take_user(argv[2], &e) != 0) || find_program(&e) != 0) {
		complain(&e);
		return EXIT_FAILED;
	}
	if (access(program, X_OK) != 0) {
		(void)fprintf(
		    stderr, "secureops: cannot start '%s': %s\n", program, strerror(errno));
		return EXIT_NO_PROGRAM;
	}
	return row->perform(argv + used, argc - used);
}
