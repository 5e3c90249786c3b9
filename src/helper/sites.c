#include "helper/sites.h"

#include "base/dir.h"
#include "base/fs.h"
#include "helper/edge_state.h"
#include "render/sites.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define PATH_SIZE 800

/* What was sent, in full; nothing of it is believed before check() has seen it. */
static struct list {
	struct render_sites head;
	struct render_site_file files[SITE_FILES_MAX];
	struct site_edit edits[SITE_EDITS_MAX];
	char domains[RENDER_SITES_DOMAINS_BYTES];
} list;

struct stage {
	const struct tenant_roots *t;
	char project[NAME_PROJECT_MAX + 1];
	gid_t gid;		      /* of the project's user */
	int release, live, to, certs; /* directories; live: -1 when nothing is served yet */
	unsigned added, changed, kept;
	struct err *e;
};

/* ---- what was sent ---- */

static bool is_ended(const char *p, size_t size)
{
	return memchr(p, '\0', size) != NULL;
}

static int take(int fd, off_t *at, void *into, size_t n, struct err *e)
{
	ssize_t got = n ? pread(fd, into, n, *at) : 0;
	*at += (off_t)n;
	return got == (ssize_t)n ? 0 : err_set(e, ERR_INVALID, "the list of sites is too short");
}

static int read_list(int fd, struct err *e)
{
	const struct render_sites *h = &list.head;
	struct stat st;
	off_t at = 0;
	if (take(fd, &at, &list.head, sizeof(list.head), e) < 0)
		return -1;
	if (h->version != RENDER_SITES_VERSION || h->file_count > SITE_FILES_MAX ||
	    h->edit_count > SITE_EDITS_MAX || h->domains_bytes > sizeof(list.domains) ||
	    h->closed > 1)
		return err_set(e, ERR_INVALID, "the list of sites is too long, or odd");
	if (take(fd, &at, list.files, h->file_count * sizeof(*list.files), e) < 0 ||
	    take(fd, &at, list.edits, h->edit_count * sizeof(*list.edits), e) < 0 ||
	    take(fd, &at, list.domains, h->domains_bytes, e) < 0)
		return -1;
	if (fstat(fd, &st) < 0 || st.st_size != at)
		return err_set(e, ERR_INVALID, "the list of sites is too long, or odd");
	return 0;
}

static struct str site_of(const struct render_site_file *f)
{
	struct str name = STR_NONE;
	bool disabled;
	return site_file(str_c(f->name), &name, &disabled) && !disabled ? name : STR_NONE;
}

static struct str domains_of(const struct render_site_file *f)
{
	return (struct str){list.domains + f->domains_at, f->domains_n};
}

static int check_file(const struct render_site_file *f, struct err *e)
{
	const struct render_sites *h = &list.head;
	struct str rest, one;
	if (!is_ended(f->name, sizeof(f->name)) || f->snippet > 1 || f->certified > 1 ||
	    f->bytes > SITE_BYTES_MAX || f->first_edit > h->edit_count ||
	    f->edit_count > h->edit_count - f->first_edit || f->domains_at > h->domains_bytes ||
	    f->domains_n > h->domains_bytes - f->domains_at)
		return err_set(e, ERR_INVALID, "a site's fields are out of range");
	if (f->snippet ? name_snippet(str_c(f->name), e) < 0 : name_site(site_of(f), e) < 0)
		return -1;
	for (rest = domains_of(f); rest.n > 0 && str_next(&rest, ' ', &one);)
		if (name_domain(one, e) < 0)
			return -1;
	return 0;
}

static int check(struct err *e)
{
	struct render_sites *h = &list.head;
	if (!is_ended(h->folder, sizeof(h->folder)) || !is_ended(h->snippets, sizeof(h->snippets)))
		return err_set(e, ERR_INVALID, "a folder's name is not ended");
	if (name_subpath(str_c(h->folder), e) < 0 || name_subpath(str_c(h->snippets), e) < 0)
		return -1;
	for (uint32_t i = 0; i < h->file_count; i++)
		if (check_file(&list.files[i], e) < 0)
			return -1;
	return 0;
}

/* ---- files ---- */

/* As seal.h leaves it: else the daemon could have us read what is root's, by a link or in a release of its own making. */
static bool is_sealed(const struct stage *s, const struct stat *st)
{
	return !s->t->root ||
	       (st->st_uid == 0 && st->st_gid == s->gid && (st->st_mode & 0222) == 0);
}

/* A plain file of a sealed release, as long as it was when it was planned. */
static int read_file(struct stage *s, const struct render_site_file *f, char *text)
{
	char path[PATH_SIZE];
	struct stat st;
	(void)snprintf(path, sizeof(path), "%s/%s",
	    f->snippet ? list.head.snippets : list.head.folder, f->name);
	CLEANUP_FD int fd =
	    fs_open_beneath(s->release, path, O_RDONLY | O_NONBLOCK | O_NOFOLLOW, 0);
	if (fd < 0)
		return err_sys(s->e, errno == ENOENT ? ERR_NOT_FOUND : ERR_INVALID, errno,
		    "could not open '%s' of the release", path);
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || !is_sealed(s, &st))
		return err_set(s->e, ERR_INVALID, "'%s' of the release is no sealed file", path);
	if (st.st_size != (off_t)f->bytes || pread(fd, text, f->bytes, 0) != (ssize_t)f->bytes)
		return err_set(
		    s->e, ERR_CONFLICT, "'%s' is not what was read when it was planned", path);
	return 0;
}

static const char *folder_of(const struct render_site_file *f)
{
	return f->snippet ? "snippets" : list.head.closed ? "closed" : "enabled";
}

/* 1: what is served is just that; 0: something else is; -1: nothing. */
static int compare(struct stage *s, const char *path, const char *text, size_t n)
{
	static char have[RENDER_SITE_TEXT_MAX];
	CLEANUP_FD int fd =
	    s->live < 0 ? -1 : fs_open_beneath(s->live, path, O_RDONLY | O_NOFOLLOW, 0);
	ssize_t got = fd < 0 ? -1 : pread(fd, have, sizeof(have), 0);
	if (got < 0)
		return -1;
	return (size_t)got == n && memcmp(have, text, n) == 0;
}

static int stage_file(struct stage *s, const struct render_site_file *f)
{
	static char text[SITE_BYTES_MAX], out[RENDER_SITE_TEXT_MAX];
	char path[PATH_SIZE];
	if (read_file(s, f, text) < 0)
		return -1;
	long n = render_site((struct str){text, f->bytes}, list.edits + f->first_edit,
	    f->edit_count, s->project, out, sizeof(out), s->e);
	if (n < 0)
		return err_prefix(s->e, "'%s'", f->name);
	/* Another project's may go without this one being asked. An older release may do what no push may any more;
	 * stopped it serves nothing. */
	if (!list.head.closed &&
	    render_site_names((struct str){out, (size_t)n}, s->project, STR("..")))
		return err_set(s->e, ERR_INVALID,
		    "'%s' names a certificate beside the folders of its project's sites", f->name);
	(void)snprintf(path, sizeof(path), "%s/%s", folder_of(f), f->name);
	int same = compare(s, path, out, (size_t)n);
	if (same == 1 && linkat(s->live, path, s->to, path, 0) == 0) {
		s->kept++;
		return 0;
	}
	s->added += same < 0;
	s->changed += same >= 0;
	CLEANUP_FD int dir = fs_open_beneath(s->to, folder_of(f), O_RDONLY | O_DIRECTORY, 0);
	return dir < 0 ? err_sys(s->e, ERR_IO, errno, "could not open a folder of the edge")
		       : fs_write_atomic(dir, f->name, out, (size_t)n, 0644, s->e);
}

static unsigned count_in(int top, const char *folder)
{
	struct dir d CLEANUP_DIR;
	unsigned n = 0;
	dir_take(&d, top < 0 ? -1 : fs_open_beneath(top, folder, O_RDONLY | O_DIRECTORY, 0));
	while (dir_next(&d))
		n++;
	return n;
}

/* ---- certificates that sign themselves ---- */

static int make_links(int dir, struct err *e)
{
	static const char *const names[] = {
	    "fullchain.pem", "privkey.pem", "cert.pem", "chain.pem"};
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (symlinkat("pair.pem", dir, names[i]) < 0 && errno != EEXIST)
			return err_sys(e, ERR_IO, errno, "could not link a certificate");
	return 0;
}

/* One that was not there says so, until it serves. */
static int open_cert(struct stage *s, const char *name)
{
	bool there = faccessat(s->certs, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
	int dir = fs_dir(s->certs, name, 0700, s->e);
	if (dir >= 0 && !there) {
		int made = openat(dir, EDGE_SITE_MADE, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
		if (made >= 0)
			(void)close(made);
	}
	return dir;
}

static int stage_cert(struct stage *s, const struct render_site_file *f)
{
	char name[SITE_FILE_MAX];
	struct str site = site_of(f), names = domains_of(f);
	struct err ignored;
	if (!f->certified || f->snippet)
		return 0;
	if (!str_copy(site, name, sizeof(name)))
		return err_set(s->e, ERR_INVALID, "a site's name is too long");
	if (names.n == 0)
		names = name_domain(site, &ignored) == 0 ? site : STR("site.invalid");
	CLEANUP_FD int dir = open_cert(s, name);
	if (dir < 0 || edge_cert_make_self(s->t->cert, dir, "pair.pem", names, s->e) < 0)
		return -1;
	return make_links(dir, s->e);
}

/* ---- all of it ---- */

static int open_dirs(struct stage *s, int edge)
{
	char path[PATH_SIZE];
	struct err *e = s->e;
	(void)snprintf(path, sizeof(path), "sites/%s", s->project);
	s->live = fs_open_beneath(edge, path, O_RDONLY | O_DIRECTORY, 0);
	CLEANUP_FD int staged = fs_open_beneath(edge, "staged", O_RDONLY | O_DIRECTORY, 0);
	CLEANUP_FD int certs = fs_open_beneath(edge, "certs/sites", O_RDONLY | O_DIRECTORY, 0);
	if (staged < 0 || certs < 0)
		return err_sys(e, ERR_UNAVAILABLE, errno, "the edge's folders are not made yet");
	if (fs_remove_tree(staged, s->project, e) < 0)
		return -1;
	s->to = fs_dir(staged, s->project, 0755, e);
	s->certs = s->to < 0 ? -1 : fs_dir(certs, s->project, 0700, e);
	if (s->certs < 0)
		return -1;
	static const char *const folders[] = {"enabled", "closed", "snippets"};
	for (size_t i = 0; i < sizeof(folders) / sizeof(*folders); i++) {
		CLEANUP_FD int made = fs_dir(s->to, folders[i], 0755, e);
		if (made < 0)
			return -1;
	}
	return 0;
}

static int open_release(struct stage *s, struct str project, uint32_t release)
{
	struct users_record r;
	struct stat st;
	char n[16];
	int rc = users_find(s->t->users, project, &r, s->e);
	if (rc <= 0)
		return rc < 0 ? -1
			      : err_set(s->e, ERR_NOT_FOUND, "no project '%.*s'", STR_ARG(project));
	(void)snprintf(n, sizeof(n), "%u", release);
	s->gid = tenant_gid(s->t, r.number);
	CLEANUP_FD int projects = open(s->t->projects, O_PATH | O_DIRECTORY | O_CLOEXEC);
	CLEANUP_FD int dir =
	    fs_open_beneath(projects, r.project, O_PATH | O_DIRECTORY | O_NOFOLLOW, 0);
	if (dir < 0)
		return err_sys(s->e, ERR_NOT_FOUND, errno, "could not open '%s'", r.project);
	CLEANUP_FD int releases = tenant_open_releases(s->t, dir, s->e);
	if (releases < 0)
		return -1;
	s->release = fs_open_beneath(releases, n, O_PATH | O_DIRECTORY | O_NOFOLLOW, 0);
	if (s->release < 0 || fstat(s->release, &st) < 0)
		return err_sys(s->e, ERR_NOT_FOUND, errno, "could not open release %u", release);
	return is_sealed(s, &st) ? 0
				 : err_set(s->e, ERR_INVALID, "release %u is not sealed", release);
}

static int stage_all(struct stage *s)
{
	for (uint32_t i = 0; i < list.head.file_count; i++)
		if (stage_file(s, &list.files[i]) < 0 || stage_cert(s, &list.files[i]) < 0)
			return -1;
	return fsync(s->to) == 0 ? 0 : err_sys(s->e, ERR_IO, errno, "could not sync the sites");
}

int sites_stage(const struct tenant_roots *t, struct str project, uint32_t release, int fd,
    uint64_t *ret_changes, struct err *e)
{
	struct stage s = {.t = t, .release = -1, .live = -1, .to = -1, .certs = -1, .e = e};
	if (!str_copy(project, s.project, sizeof(s.project)))
		return err_set(e, ERR_INVALID, "project name is too long");
	CLEANUP_FD int edge = open(t->edge, O_PATH | O_DIRECTORY | O_CLOEXEC);
	int rc = read_list(fd, e) < 0 || check(e) < 0 || open_release(&s, project, release) < 0 ||
			 open_dirs(&s, edge) < 0 || stage_all(&s) < 0
		     ? -1
		     : 0;
	if (rc == 0) {
		unsigned had = count_in(s.live, "enabled") + count_in(s.live, "closed") +
			       count_in(s.live, "snippets");
		uint64_t removed = had - s.kept - s.changed;
		*ret_changes = s.added | (uint64_t)s.changed << 16 | removed << 32;
	}
	fs_close_fd(&s.release);
	fs_close_fd(&s.live);
	fs_close_fd(&s.to);
	fs_close_fd(&s.certs);
	return rc;
}

/* ---- a certificate from outside ---- */

/* For one of the names that what is served now is for. */
static int check_cover(int dir, struct str names, struct err *e)
{
	static char head[EDGE_NAMES_SIZE + 64];
	struct str rest = edge_cert_head(dir, "pair.pem", head, sizeof(head)), one;
	while (rest.n > 0 && str_next(&rest, ' ', &one))
		if (name_covered(one, names))
			return 0;
	return err_set(e, ERR_INVALID, "the certificate is for none of the site's names");
}

static int read_pem(int fd, off_t at, size_t n, const char *label, struct err *e)
{
	static char pem[RENDER_SITE_PEM_MAX];
	if (n > sizeof(pem) || pread(fd, pem, n, at) != (ssize_t)n)
		return err_set(e, ERR_INVALID, "the %s is too long, or cut off", label);
	int copy = fs_memfd(label, pem, n, e);
	explicit_bzero(pem, sizeof(pem));
	return copy;
}

int sites_stage_cert(const struct tenant_roots *t, struct str project, int fd, struct err *e)
{
	struct render_site_cert head;
	struct edge_answer answer;
	char path[PATH_SIZE];
	if (pread(fd, &head, sizeof(head), 0) != (ssize_t)sizeof(head) ||
	    head.version != RENDER_SITE_CERT_VERSION || head.trusted > 1 ||
	    !is_ended(head.site, sizeof(head.site)))
		return err_set(e, ERR_INVALID, "a certificate's fields are out of range");
	if (name_project(project, e) < 0 || name_site(str_c(head.site), e) < 0)
		return -1;
	(void)snprintf(path, sizeof(path), "certs/sites/%.*s/%s", STR_ARG(project), head.site);
	CLEANUP_FD int edge = open(t->edge, O_PATH | O_DIRECTORY | O_CLOEXEC);
	CLEANUP_FD int dir = fs_open_beneath(edge, path, O_RDONLY | O_DIRECTORY, 0);
	if (dir < 0)
		return err_sys(e, ERR_NOT_FOUND, errno, "site '%s' is not served", head.site);
	CLEANUP_FD int chain = read_pem(fd, sizeof(head), head.chain_bytes, "chain", e);
	CLEANUP_FD int key = chain < 0 ? -1
				       : read_pem(fd, (off_t)(sizeof(head) + head.chain_bytes),
					     head.key_bytes, "key", e);
	if (key < 0 || edge_cert_judge(t->cert, chain, key, &answer, e) < 0 ||
	    check_cover(dir, answer.names, e) < 0)
		return -1;
	return edge_cert_write(
	    dir, "next.pem", &answer, head.trusted ? "# trusted\n" : "# untrusted\n", 0600, e);
}
