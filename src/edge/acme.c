#include "edge/acme.h"

#include "base/clock.h"
#include "base/dir.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/name.h"
#include "base/num.h"
#include "edge/dns_hook.h"
#include "launch/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CHALLENGES ".well-known/acme-challenge"
#define DNS_PREFIX "_acme-challenge."
#define DNS_VALUE_N 43u
#define DNS_PROMPT "Press Enter to Continue"
#define LIMIT_MS (10 * 60 * 1000)
#define LINE_MAX_BYTES 2000u
#define NAMES_MAX 64u
#define ARGS_MAX (2 * NAMES_MAX + 48u)
#define PATH_SIZE 320
#define CERT_NAME_SIZE (NAME_PROJECT_MAX + 2 + NAME_SITE_MAX + 1)

struct acme {
	struct acme_options o;
	char config[PATH_SIZE], work[PATH_SIZE], logs[PATH_SIZE], ca[PATH_SIZE + 32];
	struct acme_run *run; /* under way */
};

struct acme_run {
	struct acme *owner;
	struct acme_callbacks cb;
	pid_t pid;
	int out; /* read end of what it says; -1 */
	struct loop_watch *watch;
	struct loop_timer *limit;
	struct buf line;
	int64_t limited_ms;
	bool cancelled, expired;
	int status;	/* its end */
	struct err why; /* it could not be started, or was given up */
	bool broken;
	/* of an order with `dns` */
	int in;				   /* certbot waits for a line from there; -1 */
	struct dns_hook *hook;		   /* under way */
	char record[NAME_DOMAIN_MAX + 24]; /* _acme-challenge.DOMAIN */
	char value[DNS_VALUE_N + 1];	   /* empty: certbot has not said it yet */
	bool named;			   /* the line before was the record */
	bool added;			   /* to be removed again */
};

/* ---- folders ---- */

static int make_dirs(const struct acme_options *o, struct err *e)
{
	char path[PATH_SIZE];
	if (fs_mkdirs(o->dir, 0700, e) != 0)
		return -1;
	(void)snprintf(path, sizeof(path), "%s/" CHALLENGES, o->webroot);
	if (fs_mkdirs(path, 0755, e) != 0)
		return -1;
	/* whatever the umask said: nginx's workers go through all three */
	if (chmod(path, 0755) != 0 || chmod(o->webroot, 0755) != 0)
		return err_sys(
		    e, ERR_SETTINGS, errno, "could not open '%s' to the web server", path);
	(void)snprintf(path, sizeof(path), "%s/.well-known", o->webroot);
	return chmod(path, 0755) == 0
		   ? 0
		   : err_sys(e, ERR_SETTINGS, errno, "could not open '%s' to the web server", path);
}

struct acme *acme_new(const struct acme_options *o, struct err *e)
{
	if (strlen(o->dir) + 64 > PATH_SIZE || strlen(o->webroot) + 64 > PATH_SIZE) {
		(void)err_set(e, ERR_SETTINGS, "'%s' is too long", o->dir);
		return NULL;
	}
	if (make_dirs(o, e) != 0)
		return NULL;
	struct acme *a = mem_alloc(sizeof(*a));
	*a = (struct acme){.o = *o};
	(void)snprintf(a->config, sizeof(a->config), "%s/config", o->dir);
	(void)snprintf(a->work, sizeof(a->work), "%s/work", o->dir);
	(void)snprintf(a->logs, sizeof(a->logs), "%s/logs", o->dir);
	(void)snprintf(a->ca, sizeof(a->ca), "REQUESTS_CA_BUNDLE=%s", o->ca_file ? o->ca_file : "");
	return a;
}

static void run_free(struct acme_run *r)
{
	loop_watch_free(r->watch);
	loop_timer_free(r->limit);
	fs_close_fd(&r->out);
	fs_close_fd(&r->in);
	dns_hook_free(r->hook);
	buf_fini(&r->line);
	mem_free_ptr(&r);
}

static int reap(struct acme_run *r)
{
	int status = 0;
	if (r->pid <= 0)
		return 0;
	/* what it started goes with it */
	(void)kill(-r->pid, SIGKILL);
	while (waitpid(r->pid, &status, 0) < 0 && errno == EINTR)
		continue;
	r->pid = 0;
	return status;
}

void acme_free(struct acme *a)
{
	if (!a)
		return;
	if (a->run) {
		(void)reap(a->run);
		run_free(a->run);
	}
	mem_free_ptr(&a);
}

/* ---- the record ---- */

static void hear(struct acme_run *r, struct str line);

static void on_hook_line(void *ctx, struct str line)
{
	struct acme_run *r = ctx;
	char text[LINE_MAX_BYTES + 16];
	(void)snprintf(text, sizeof(text), "dns hook: %.*s", STR_ARG(line));
	hear(r, str_c(text));
}

static struct dns_hook *run_hook(
    struct acme_run *r, bool remove, void (*ended)(void *ctx, const struct err *e), struct err *e)
{
	const struct dns_hook_call c = {.loop = r->owner->o.loop,
	    .program = r->owner->o.dns_hook,
	    .remove = remove,
	    .name = r->record,
	    .value = r->value,
	    .line = on_hook_line,
	    .ended = ended,
	    .ctx = r};
	return dns_hook_start(&c, e);
}

/* The end of its output follows. */
static void give_up(struct acme_run *r, const struct err *e)
{
	r->why = *e;
	r->broken = true;
	if (r->pid > 0)
		(void)kill(-r->pid, SIGKILL);
}

static void on_added(void *ctx, const struct err *e)
{
	struct acme_run *r = ctx;
	struct err why;
	r->hook = NULL;
	if (e)
		give_up(r, e);
	else if (write(r->in, "\n", 1) != 1)
		give_up(r, (err_sys(&why, ERR_IO, errno, "could not tell certbot"), &why));
}

static void add_record(struct acme_run *r)
{
	struct err e;
	if (!r->value[0] || r->added) {
		(void)err_set(&e, ERR_FAILED, "certbot asked for something else than one record");
		give_up(r, &e);
		return;
	}
	r->added = true; /* whatever comes of it: what is not there is no fault of removing */
	r->hook = run_hook(r, false, on_added, &e);
	if (!r->hook)
		give_up(r, &e);
}

/* ---- words ---- */

int64_t acme_retry_after_ms(struct str line)
{
	static const char word[] = "retry after ";
	char text[20];
	struct tm tm = {0};
	size_t at = 0;
	while (at + sizeof(word) - 1 <= line.n && !str_starts(str_from(line, at), str_c(word)))
		at++;
	struct str rest = str_from(line, at + sizeof(word) - 1);
	if (rest.n < sizeof(text) - 1 ||
	    !str_copy(str_slice(rest, 0, sizeof(text) - 1), text, sizeof(text)))
		return 0;
	text[10] = text[10] == 'T' ? ' ' : text[10];
	const char *end = strptime(text, "%Y-%m-%d %H:%M:%S", &tm);
	return end && *end == '\0' ? (int64_t)timegm(&tm) * 1000 : 0;
}

static bool is_value(struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];
		if (!((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
			c == '-' || c == '_'))
			return false;
	}
	return s.n == DNS_VALUE_N;
}

/* certbot names the record, with a dot behind, then its value; each on a line of its own. */
static void hear_record(struct acme_run *r, struct str line)
{
	if (line.n > 0 && str_ends(line, STR(".")) &&
	    str_eq_c(str_slice(line, 0, line.n - 1), r->record))
		r->named = true;
	else if (r->named && is_value(line))
		(void)!str_copy(line, r->value, sizeof(r->value));
}

static void hear(struct acme_run *r, struct str line)
{
	int64_t after = acme_retry_after_ms(line);
	line = str_trim(line);
	if (r->in >= 0)
		hear_record(r, line);
	if (after > r->limited_ms)
		r->limited_ms = after;
	if (line.n > 0 && r->cb.line)
		r->cb.line(r->cb.ctx, line);
}

static void take_lines(struct acme_run *r)
{
	struct str rest = buf_view(&r->line), line;
	size_t used = 0;
	for (size_t end; (end = str_find(rest, '\n', 0)) != SIZE_MAX; used += end + 1) {
		line = str_slice(rest, 0, end);
		rest = str_from(rest, end + 1);
		hear(r, line);
	}
	bool asks = r->in >= 0 && str_starts(rest, STR(DNS_PROMPT));
	if (rest.n >= LINE_MAX_BYTES || asks) {
		hear(r, rest);
		used += rest.n;
	}
	buf_drop_front(&r->line, used);
	if (asks)
		add_record(r);
}

/* ---- a run ---- */

static void end(struct acme_run *r);

static void on_removed(void *ctx, const struct err *e)
{
	struct acme_run *r = ctx;
	r->hook = NULL;
	if (e) /* what serves does not depend on it */
		hear(r, str_c(e->msg));
	end(r);
}

/* False: there is nothing to remove, or no way to. */
static bool remove_record(struct acme_run *r)
{
	struct err e;
	if (!r->added)
		return false;
	r->added = false;
	r->hook = run_hook(r, true, on_removed, &e);
	if (!r->hook)
		hear(r, str_c(e.msg));
	return r->hook != NULL;
}

static void end(struct acme_run *r)
{
	dns_hook_free(r->hook);
	r->hook = NULL;
	if (r->pid > 0)
		r->status = reap(r);
	loop_watch_free(r->watch);
	r->watch = NULL;
	if (remove_record(r))
		return;
	struct err e = r->why;
	struct acme_callbacks cb = r->cb;
	int64_t limited = r->limited_ms;
	bool stopped = r->cancelled || r->expired;
	int status = r->status;
	bool ok = !r->broken && !stopped && WIFEXITED(status) && WEXITSTATUS(status) == 0;
	if (!ok && !r->broken) {
		if (r->expired)
			(void)err_set(&e, ERR_TIMEOUT, "certbot took longer than %d minutes",
			    LIMIT_MS / 60000);
		else if (r->cancelled)
			(void)err_set(&e, ERR_CANCELLED, "certbot was stopped");
		else if (limited > 0)
			(void)err_set(&e, ERR_RATE, "the authority takes no more for now");
		else
			(void)err_set(&e, ERR_FAILED, "certbot did not get it (exit status %d)",
			    WIFEXITED(status) ? WEXITSTATUS(status) : -1);
	}
	r->owner->run = NULL;
	run_free(r);
	cb.ended(cb.ctx, limited, ok ? NULL : &e);
}

static void on_output(void *ctx)
{
	struct acme_run *r = ctx;
	char *room = buf_reserve(&r->line, 4096);
	ssize_t n = room ? read(r->out, room, 4096) : 0;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0) {
		buf_commit(&r->line, (size_t)n);
		take_lines(r);
		return;
	}
	hear(r, buf_view(&r->line));
	end(r);
}

static void on_limit(void *ctx)
{
	struct acme_run *r = ctx;
	if (r->pid <= 0) {
		if (!r->hook) /* which has a limit of its own */
			end(r);
		return;
	}
	r->expired = !r->cancelled;
	(void)kill(-r->pid, SIGKILL); /* the end of its output follows */
}

void acme_cancel(struct acme_run *r)
{
	r->cancelled = true;
	if (r->pid > 0) /* the end of its output follows, and of a hook with it */
		(void)kill(-r->pid, SIGKILL);
}

/* No project's name holds "--". */
static int cert_name(struct str project, struct str site, char out[CERT_NAME_SIZE], struct err *e)
{
	bool own = str_eq_c(project, ACME_HOST) || str_eq_c(project, ACME_WILDCARD);
	if (own && site.n == 0 && str_copy(project, out, CERT_NAME_SIZE))
		return 0;
	if (name_project(project, e) != 0 || (site.n > 0 && name_site(site, e) != 0))
		return -1;
	(void)snprintf(
	    out, CERT_NAME_SIZE, "%.*s%s%.*s", STR_ARG(project), site.n ? "--" : "", STR_ARG(site));
	return 0;
}

struct line { /* of arguments; what is not a literal is a name that was validated, or an operator's
		 setting */
	const char *v[ARGS_MAX + 1];
	size_t n;
	char text[NAMES_MAX + 1][NAME_DOMAIN_MAX + 3];
	size_t texts;
	char name[CERT_NAME_SIZE]; /* the certificate's */
};

static void add(struct line *l, const char *word)
{
	if (l->n < ARGS_MAX)
		l->v[l->n++] = word;
}

static int add_name(struct line *l, const char *flag, struct str s, struct err *e)
{
	if (l->texts > NAMES_MAX || !str_copy(s, l->text[l->texts], sizeof(l->text[0])))
		return err_set(e, ERR_TOO_LARGE, "more than %u names, or one too long", NAMES_MAX);
	add(l, flag);
	add(l, l->text[l->texts++]);
	return 0;
}

static int issue_line(struct acme *a, const struct acme_order *o, struct line *l, struct err *e)
{
	static const char *const fixed[] = {"certonly", "--agree-tos", "--no-eff-email",
	    "--no-directory-hooks", "--force-renewal", "--renew-with-new-domains", "--key-type",
	    "ecdsa", "--elliptic-curve", "secp256r1", "--preferred-challenges"};
	static const char *const by_http[] = {
	    "http", "--non-interactive", "--webroot", "--webroot-path"};
	static const char *const by_dns[] = {"dns", "--manual", "--force-interactive"};
	for (size_t i = 0; i < sizeof(fixed) / sizeof(*fixed); i++)
		add(l, fixed[i]);
	for (size_t i = 0; !o->dns && i < sizeof(by_http) / sizeof(*by_http); i++)
		add(l, by_http[i]);
	for (size_t i = 0; o->dns && i < sizeof(by_dns) / sizeof(*by_dns); i++)
		add(l, by_dns[i]);
	if (!o->dns)
		add(l, a->o.webroot);
	add(l, "--server");
	add(l, o->staging ? a->o.staging_server : a->o.server);
	if (a->o.mail && a->o.mail[0]) {
		add(l, "--email");
		add(l, a->o.mail);
	} else {
		add(l, "--register-unsafely-without-email");
	}
	for (size_t i = 0; i < o->name_count; i++)
		if (name_domain(o->dns ? str_from(o->names[i], 2) : o->names[i], e) != 0 ||
		    add_name(l, "--domain", o->names[i], e) != 0)
			return -1;
	return o->name_count > 0 ? 0 : err_set(e, ERR_INVALID, "there is no name to ask for");
}

static int make_line(struct acme *a, const struct acme_order *o, struct line *l, struct err *e)
{
	*l = (struct line){.n = 0};
	add(l, "env");
	add(l, "-i");
	add(l, "PATH=/usr/bin:/bin");
	add(l, "LANG=C.UTF-8");
	add(l, "PYTHONDONTWRITEBYTECODE=1");
	if (o->dns)
		add(l, "PYTHONUNBUFFERED=1");
	if (a->o.ca_file)
		add(l, a->ca);
	add(l, a->o.certbot);
	if (cert_name(o->project, o->site, l->name, e) != 0)
		return -1;
	if (o->what == ACME_ISSUE && issue_line(a, o, l, e) != 0)
		return -1;
	if (o->what == ACME_REVOKE) {
		add(l, "revoke");
		add(l, "--non-interactive");
		add(l, "--delete-after-revoke");
	}
	add(l, "--config-dir");
	add(l, a->config);
	add(l, "--work-dir");
	add(l, a->work);
	add(l, "--logs-dir");
	add(l, a->logs);
	add(l, "--max-log-backups");
	add(l, "20");
	add(l, "--cert-name");
	add(l, l->name);
	return 0;
}

static int spawn(struct acme_run *r, const struct line *l, bool dns, struct err *e)
{
	CLEANUP_FD int stdin_end = -1;
	int ends[2], in[2];
	if (access(r->owner->o.certbot, X_OK) != 0) {
		err_set(e, ERR_UNAVAILABLE, "there is no certbot at '%s'", r->owner->o.certbot);
		return err_hint(e, "apt install certbot");
	}
	if (dns && pipe2(in, O_CLOEXEC) != 0)
		return err_sys(e, ERR_UNAVAILABLE, errno, "could not make a pipe");
	if (dns) {
		stdin_end = in[0];
		r->in = in[1];
	}
	if (pipe2(ends, O_CLOEXEC) != 0)
		return err_sys(e, ERR_UNAVAILABLE, errno, "could not make a pipe");
	const struct launch_spec s = {.path = "/usr/bin/env",
	    .argv = l->v,
	    .fds = {stdin_end, ends[1], ends[1], -1, -1, -1, -1},
	    .tmp_parent = -1,
	    /* A renewed key gets the group of the one before, which it has; our unit lets nobody ask. */
	    .keep_owners = true};
	r->pid = launch_spawn(&s, e);
	r->out = ends[0];
	(void)close(ends[1]);
	return r->pid > 0 ? 0 : -1;
}

static bool is_known(const struct acme *a, struct str project)
{
	char path[PATH_SIZE + 64];
	(void)snprintf(path, sizeof(path), "%s/renewal/%.*s.conf", a->config, STR_ARG(project));
	return access(path, F_OK) == 0;
}

/* One name, *.DOMAIN, and somebody who can put a record there. */
static int check_dns(struct acme_run *r, const struct acme_order *o)
{
	if (!o->dns)
		return 0;
	r->broken = true;
	if (!r->owner->o.dns_hook)
		return err_set(&r->why, ERR_SETTINGS, "there is no DNS hook");
	if (o->name_count != 1 || !str_starts(o->names[0], STR("*.")))
		return err_set(&r->why, ERR_INVALID, "by DNS one name is asked for, *.DOMAIN");
	(void)snprintf(
	    r->record, sizeof(r->record), DNS_PREFIX "%.*s", STR_ARG(str_from(o->names[0], 2)));
	r->broken = false;
	return 0;
}

struct acme_run *acme_start(
    struct acme *a, const struct acme_order *o, const struct acme_callbacks *cb)
{
	static struct line l;
	if (a->run)
		return NULL;
	struct acme_run *r = mem_alloc(sizeof(*r));
	*r = (struct acme_run){.owner = a, .cb = *cb, .out = -1, .in = -1};
	buf_init(&r->line, LINE_MAX_BYTES + 8192);
	r->limit = loop_timer_new(a->o.loop, on_limit, r);
	a->run = r;
	int64_t now = clock_mono_ms();
	if (check_dns(r, o) != 0) {
		loop_timer_at(r->limit, now);
		return r;
	}
	bool unknown = o->what == ACME_REVOKE && !is_known(a, o->project);
	if (unknown)
		(void)err_set(&r->why, ERR_NOT_FOUND, "certbot has no certificate '%.*s'",
		    STR_ARG(o->project));
	r->broken =
	    unknown || make_line(a, o, &l, &r->why) != 0 || spawn(r, &l, o->dns, &r->why) != 0;
	if (!r->broken)
		r->watch = loop_watch_new(a->o.loop, r->out, on_output, r);
	loop_timer_at(r->limit, r->broken ? now : now + LIMIT_MS);
	return r;
}

/* ---- files ---- */

static int read_file(const char *path, struct buf *b, const char *what, struct err *e)
{
	/* certbot's own links, in folders that are ours alone */
	CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
	(void)buf_reserve(b, 16384);
	for (ssize_t n = 1; fd >= 0 && n > 0;) {
		char *room = buf_reserve(b, 4096);
		n = room ? read(fd, room, 4096) : -1;
		if (n < 0)
			return err_sys(
			    e, ERR_IO, errno, "could not read the %s that certbot got", what);
		buf_commit(b, (size_t)n);
	}
	return fd >= 0 ? 0
		       : err_sys(e, ERR_IO, errno, "could not open the %s that certbot got", what);
}

int acme_read(struct acme *a, struct str project, struct str site, struct buf *chain,
    struct buf *key, struct err *e)
{
	char name[CERT_NAME_SIZE];
	char path[PATH_SIZE + 64 + CERT_NAME_SIZE];
	if (cert_name(project, site, name, e) != 0)
		return -1;
	(void)snprintf(path, sizeof(path), "%s/live/%s/fullchain.pem", a->config, name);
	if (read_file(path, chain, "chain", e) != 0)
		return -1;
	(void)snprintf(path, sizeof(path), "%s/live/%s/privkey.pem", a->config, name);
	return read_file(path, key, "key", e);
}

struct forgetting {
	struct str name; /* of the certificate */
	bool own, sites; /* it; those of the project's sites */
	bool (*is_kept)(void *ctx, struct str site);
	void *ctx;
};

/* FILE belongs to what is to be forgotten. */
static bool is_gone(const struct forgetting *f, const char *file, const char *ending)
{
	struct str rest = str_c(file), end = str_c(ending);
	if (!str_ends(rest, end))
		return false;
	rest.n -= end.n;
	if (str_eq(rest, f->name))
		return f->own;
	if (!f->sites || !str_starts(rest, f->name) ||
	    !str_starts(str_from(rest, f->name.n), STR("--")))
		return false;
	return !f->is_kept || !f->is_kept(f->ctx, str_from(rest, f->name.n + 2));
}

static int forget_in(int dir, const struct forgetting *f, const char *ending, struct err *e)
{
	struct dir d CLEANUP_DIR;
	dir_open(&d, dir);
	for (const struct dirent64 *at; (at = dir_next(&d));)
		if (is_gone(f, at->d_name, ending) && fs_remove_tree(dir, at->d_name, e) != 0)
			return -1;
	return 0;
}

static int forget(struct acme *a, const struct forgetting *f, struct err *e)
{
	static const char *const folders[] = {"live", "archive", "renewal"};
	CLEANUP_FD int config = open(a->config, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (size_t i = 0; config >= 0 && i < sizeof(folders) / sizeof(*folders); i++) {
		CLEANUP_FD int dir =
		    openat(config, folders[i], O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (dir >= 0 && forget_in(dir, f, i < 2 ? "" : ".conf", e) != 0)
			return -1;
	}
	return 0;
}

int acme_forget(struct acme *a, struct str project, struct str site, struct err *e)
{
	char name[CERT_NAME_SIZE];
	if (cert_name(project, site, name, e) != 0)
		return -1;
	return forget(
	    a, &(struct forgetting){.name = str_c(name), .own = true, .sites = site.n == 0}, e);
}

int acme_forget_sites(struct acme *a, struct str project,
    bool (*is_kept)(void *ctx, struct str site), void *ctx, struct err *e)
{
	if (name_project(project, e) != 0)
		return -1;
	return forget(a,
	    &(struct forgetting){.name = project, .sites = true, .is_kept = is_kept, .ctx = ctx},
	    e);
}

static int open_challenges(struct acme *a)
{
	char path[PATH_SIZE];
	(void)snprintf(path, sizeof(path), "%s/" CHALLENGES, a->o.webroot);
	return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

int acme_token_put(struct acme *a, const char *token, struct err *e)
{
	CLEANUP_FD int dir = open_challenges(a);
	if (dir < 0) {
		if (make_dirs(&a->o, e) != 0)
			return -1;
		dir = open_challenges(a);
	}
	CLEANUP_FD int fd =
	    dir < 0 ? -1 : openat(dir, token, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (fd < 0 || fchmod(fd, 0644) != 0)
		return err_sys(e, ERR_IO, errno, "could not write below '%s'", a->o.webroot);
	return fs_write_all(fd, token, strlen(token), e);
}

void acme_token_remove(struct acme *a, const char *token)
{
	CLEANUP_FD int dir = open_challenges(a);
	if (dir >= 0)
		(void)unlinkat(dir, token, 0);
}
