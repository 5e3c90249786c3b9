/* Certificates of the edge. Each file holds key and chain together, so that one rename replaces
 * both; its first line is "# NAMES". slipway-cert makes and judges them, as nobody.
 *   certs/self/NAME.localhost   signs itself   0640, for nginx's workers, which read it when
 * somebody comes certs/self/_, HOST          the same, for names that nobody has and for the
 * platform's own host */
#include "helper/edge_state.h"

#include "base/fs.h"
#include "base/log.h"
#include "launch/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#define NOBODY 65534
#define ANSWER_MAX (160u << 10)
#define FIRST_LIMIT_MS 10000 /* of those made before the edge starts */
#define CERT_FILES_MAX 32

static void self_name(char out[EDGE_CERT_NAME_SIZE], const char *project)
{
	(void)snprintf(out, EDGE_CERT_NAME_SIZE, "%.*s.localhost", NAME_PROJECT_MAX, project);
}

int edge_cert_check(const struct render_vhost *v, struct err *e)
{
	char own[EDGE_CERT_NAME_SIZE];
	self_name(own, v->project);
	if (strcmp(v->domains[0], own) == 0)
		return 0;
	err_set(e, ERR_INVALID, "the first domain of a vhost is its project's own, '%s'", own);
	return err_at(e, "/domains/0");
}

/* ---- what a file says of itself ---- */

/* The first line without "# ", empty when there is no such file. */
static struct str head_of(int dir, const char *file, char *out, size_t size)
{
	CLEANUP_FD int fd = openat(dir, file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	ssize_t n = fd < 0 ? -1 : pread(fd, out, size, 0);
	struct str rest = {out, n < 0 ? 0 : (size_t)n}, line = STR_NONE;
	if (rest.n > 0)
		(void)str_next(&rest, '\n', &line);
	return rest.p && str_starts(line, STR("# ")) ? str_from(line, 2) : STR_NONE;
}

struct str edge_cert_head(int dir, const char *file, char *out, size_t size)
{
	return head_of(dir, file, out, size);
}

bool edge_cert_is_for(struct edge *g, const char *project, struct str names)
{
	static char head[EDGE_NAMES_SIZE + 64];
	char file[EDGE_CERT_NAME_SIZE];
	self_name(file, project);
	return str_eq(head_of(g->self, file, head, sizeof(head)), names);
}

struct str edge_cert_names(const struct render_vhost *v, char out[EDGE_NAMES_SIZE])
{
	size_t n = 0;
	for (unsigned i = 0; i < v->domain_count; i++)
		n += (size_t)snprintf(
		    out + n, EDGE_NAMES_SIZE - n, "%s%s", i ? " " : "", v->domains[i]);
	return (struct str){out, n};
}

/* ---- slipway-cert ---- */

/* With in[0] as its input, in[1] and in[2] as descriptors 3 and 4 (-1: none). */
static pid_t spawn(
    const char *program, const char *what, const int in[3], int *ret_answer, struct err *e)
{
	const char *const argv[] = {"slipway-cert", what, NULL};
	struct launch_spec s = {.path = program,
	    .argv = argv,
	    .drop = geteuid() == 0,
	    .uid = NOBODY,
	    .gid = NOBODY,
	    .fds = {in[0], -1, -1, in[1], in[2], -1, -1},
	    .file_bytes = ANSWER_MAX,
	    .files = CERT_FILES_MAX,
	    .tmp_parent = -1};
	*ret_answer = s.fds[1] = memfd_create("certificate", MFD_CLOEXEC);
	if (s.fds[1] < 0)
		return err_sys(e, ERR_UNAVAILABLE, errno, "could not make a memory file");
	pid_t pid = launch_spawn(&s, e);
	if (pid < 0)
		fs_close_fd(ret_answer);
	return pid;
}

/* What OpenSSL writes, and nothing that ends a line early or hides. */
static bool is_pem(struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];
		bool word =
		    (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
		if (!word && !(c != '\0' && strchr("+/=- \n", c)))
			return false;
	}
	return str_starts(s, STR("-----BEGIN PRIVATE KEY-----\n")) &&
	       str_contains(s, STR("-----BEGIN CERTIFICATE-----\n"));
}

static bool are_names(struct str names)
{
	struct str rest = names, one;
	struct err ignored;
	while (rest.n > 0 && str_next(&rest, ' ', &one))
		if (name_domain(str_starts(one, STR("*.")) ? str_from(one, 2) : one, &ignored) < 0)
			return false;
	return names.n > 0;
}

static int complaint(struct str said, struct err *e)
{
	char why[300], hint[300];
	struct str line = STR_NONE, next = STR_NONE;
	if (said.n > 0 && str_next(&said, '\n', &line) && said.n > 0)
		(void)str_next(&said, '\n', &next);
	if (line.n == 0)
		return err_set(e, ERR_INTERNAL, "slipway-cert ended without a word");
	log_escape(line, why, sizeof(why));
	log_escape(next, hint, sizeof(hint));
	err_set(e, ERR_INVALID, "%s", why);
	return hint[0] ? err_hint(e, "%s", hint) : -1;
}

int edge_cert_answer(int answer, int wait_status, struct edge_answer *ret, struct err *e)
{
	static char text[ANSWER_MAX + 1];
	ssize_t n = pread(answer, text, ANSWER_MAX, 0);
	struct str said = {text, n < 0 ? 0 : (size_t)n}, line;
	*ret = (struct edge_answer){.names = STR(""), .pem = STR("")};
	if (n < 0)
		return err_sys(e, ERR_IO, errno, "could not read slipway-cert's answer");
	if (!WIFEXITED(wait_status) || WEXITSTATUS(wait_status) != 0)
		return complaint(said, e);
	if (said.n > 0 && str_next(&said, '\n', &line) && str_starts(line, STR("# "))) {
		*ret = (struct edge_answer){.names = str_from(line, 2), .pem = said};
		if (are_names(ret->names) && is_pem(ret->pem))
			return 0;
	}
	return err_set(e, ERR_INTERNAL, "slipway-cert's answer is none");
}

int edge_cert_write(int dir, const char *file, const struct edge_answer *a, const char *mark,
    mode_t mode, struct err *e)
{
	static char text[ANSWER_MAX + 64];
	int n = snprintf(text, sizeof(text), "# %.*s\n%s", STR_ARG(a->names), mark);
	if (n < 0 || (size_t)n + a->pem.n > sizeof(text))
		return err_set(e, ERR_TOO_LARGE, "the certificate is too long");
	memcpy(text + n, a->pem.p, a->pem.n);
	int rc = fs_write_atomic(dir, file, text, (size_t)n + a->pem.n, mode, e);
	explicit_bzero(text, sizeof(text));
	return rc;
}

pid_t edge_cert_start(struct edge *g, unsigned slot, struct err *e)
{
	const struct edge_job *j = &g->jobs[slot];
	g->maker_job = slot;
	g->maker_order = j->order;
	if (j->pair)
		return spawn(
		    g->o.cert, "pair", (const int[]){-1, j->in[1], j->in[2]}, &g->maker_answer, e);
	CLEANUP_FD int names = edge_files_names_open(g, slot, e);
	return names < 0
		   ? -1
		   : spawn(g->o.cert, "self", (const int[]){names, -1, -1}, &g->maker_answer, e);
}

int edge_cert_take(struct edge *g, const char *project, int wait_status, struct err *e)
{
	struct edge_answer c;
	char file[EDGE_CERT_NAME_SIZE];
	self_name(file, project);
	return edge_cert_answer(g->maker_answer, wait_status, &c, e) < 0
		   ? -1
		   : edge_cert_write(g->self, file, &c, "", 0640, e);
}

void edge_cert_forget(struct edge *g, const char *project)
{
	char file[EDGE_CERT_NAME_SIZE];
	self_name(file, project);
	(void)unlinkat(g->self, file, 0);
	edge_pair_settle(g, project, true);
}

/* ---- the edge's own ---- */

/* One from outside has a mark as its second line. */
static bool is_done(int dir, const char *file, struct str names)
{
	static char head[EDGE_NAMES_SIZE + 64];
	CLEANUP_FD int fd = openat(dir, file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	ssize_t n = fd < 0 ? -1 : pread(fd, head, sizeof(head), 0);
	struct str rest = {head, n < 0 ? 0 : (size_t)n}, line = STR_NONE;
	if (rest.n == 0 || !str_next(&rest, '\n', &line))
		return false;
	return str_starts(rest, STR("# ")) ||
	       (str_starts(line, STR("# ")) && str_eq(str_from(line, 2), names));
}

/* It is nobody's: on a server the helper has no right over processes of others, but may become whose
 * it is. */
void edge_cert_kill(pid_t pid)
{
	pid_t other = geteuid() == 0 ? fork() : -1;
	if (other == 0) {
		if (setresuid(NOBODY, NOBODY, NOBODY) == 0)
			(void)kill(pid, SIGKILL);
		_exit(0);
	}
	if (other < 0)
		(void)kill(pid, SIGKILL);
}

/* Waits for its answer. */
static int ask_now(
    const char *program, const char *what, const int in[3], struct edge_answer *ret, struct err *e)
{
	int status = 0;
	CLEANUP_FD int answer = -1;
	pid_t pid = spawn(program, what, in, &answer, e);
	if (pid < 0)
		return -1;
	CLEANUP_FD int ended = pidfd_open(pid, 0);
	struct pollfd p = {.fd = ended, .events = POLLIN};
	if (ended < 0 || poll(&p, 1, FIRST_LIMIT_MS) != 1)
		edge_cert_kill(pid);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		continue;
	return edge_cert_answer(answer, status, ret, e);
}

int edge_cert_judge(const char *program, int chain, int key, struct edge_answer *ret, struct err *e)
{
	return ask_now(program, "pair", (const int[]){-1, chain, key}, ret, e);
}

static int make_now(const char *program, int dir, const char *file, struct str name, struct err *e)
{
	struct edge_answer c;
	CLEANUP_FD int names = fs_memfd("names", name.p, name.n, e);
	return names < 0 || ask_now(program, "self", (const int[]){names, -1, -1}, &c, e) < 0
		   ? -1
		   : edge_cert_write(dir, file, &c, "", 0640, e);
}

int edge_cert_make_self(
    const char *program, int dir, const char *file, struct str names, struct err *e)
{
	return is_done(dir, file, names) ? 0 : make_now(program, dir, file, names, e);
}

int edge_cert_prepare(struct edge *g, struct err *e)
{
	if (g->o.https_port == 0)
		return 0;
	if (!g->o.cert || access(g->o.cert, X_OK) < 0)
		return err_set(e, ERR_SETTINGS, "could not find slipway-cert at '%s'",
		    g->o.cert ? g->o.cert : "");
	/* Strictly, who asks for an unknown name gets no certificate, and the handshake ends. Apache
	 * cannot do that: it has one for the server that answers 404. */
	if (g->o.preset == RENDER_PRESET_STRICT && !g->server->master_reads)
		(void)unlinkat(g->self, "_", 0);
	else if (edge_cert_make_self(g->o.cert, g->self, "_", STR("default.invalid"), e) < 0)
		return -1;
	return edge_cert_make_self(
	    g->o.cert, g->self, g->fields.platform_host, str_c(g->fields.platform_host), e);
}
