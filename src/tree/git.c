#include "tree/git.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/name.h"
#include "base/num.h"
#include "tree/checkout.h"
#include "tree/fetch.h"
#include "tree/say.h"
#include "tree/scan.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#define FETCH_DEADLINE_MS (20 * 60 * 1000)
#define RETRY_WHILE_MS 30000
#define FIELD_MAX_BYTES 4000u

struct commit {
	char id[65];
	int64_t seconds;
	char author[FIELD_MAX_BYTES], subject[FIELD_MAX_BYTES];
};

static void take_field(struct str *rest, char *out, size_t size)
{
	struct str line = STR_NONE;
	if (!str_next(rest, '\n', &line))
		line = STR_NONE;
	snprintf(out, size, "%.*s", (int)(line.n < size ? line.n : size - 1), line.p ? line.p : "");
}

static int read_commit(struct repository *r, struct commit *ret, struct err *e)
{
	struct child_words w;
	struct buf out CLEANUP_BUF;
	char seconds[32];
	buf_init(&out, 1u << 20);
	repository_words(r, &w);
	REPOSITORY_WORDS(&w, "log", "-1", "--no-color", "--no-notes", "--encoding=UTF-8",
	    "--format=%H%n%at%n%an <%ae>%n%s", "--end-of-options", "refs/slipway/head^{commit}");
	int rc = repository_run(r, &w, false, &out, e);
	struct str rest = buf_view(&out);
	*ret = (struct commit){0};
	take_field(&rest, ret->id, sizeof(ret->id));
	take_field(&rest, seconds, sizeof(seconds));
	take_field(&rest, ret->author, sizeof(ret->author));
	take_field(&rest, ret->subject, sizeof(ret->subject));
	struct err why;
	if (rc < 0)
		return -1;
	if (rc || name_commit(str_c(ret->id), &why))
		return say_fail(SAY_REF, e, "what was fetched is not a commit");
	if (!num_i64(str_c(seconds), INT32_MIN, INT64_C(1) << 40, &ret->seconds))
		ret->seconds = 0;
	return 0;
}

/* A push is seen before the head moves on some hosts: look again while it is the old one. */
static int fetch_settled(struct repository *r, struct commit *c, struct err *e)
{
	int64_t until = clock_mono_ms() + RETRY_WHILE_MS;
	for (unsigned wait_ms = 250;; wait_ms = wait_ms < 4000 ? wait_ms * 2 : 4000) {
		if (fetch_ref(r, r->o->ref, e) || read_commit(r, c, e))
			return -1;
		if (r->o->retry_while.n == 0 || !str_eq_c(r->o->retry_while, c->id) ||
		    clock_mono_ms() + wait_ms > until)
			return 0;
		usleep(wait_ms * 1000);
	}
}

static void put_text(struct buf *b, char letter, struct str s)
{
	buf_printf(b, "%c %zu\n", letter, s.n);
	buf_str(b, s);
	buf_char(b, '\n');
}

static int put_header(
    const struct commit *c, const struct login *l, struct buf *report, struct err *e)
{
	struct buf keys CLEANUP_BUF;
	buf_init(&keys, 16384);
	if (login_learned(l, &keys, e))
		return -1;
	buf_printf(report, "C %s\nT %lld\n", c->id, (long long)c->seconds);
	put_text(report, 'A', str_c(c->author));
	put_text(report, 'S', str_c(c->subject));
	if (keys.n)
		put_text(report, 'K', buf_view(&keys));
	return 0;
}

static int fetch_into(struct repository *r, struct buf *report, struct err *e)
{
	struct commit c;
	char into[64];
	if (fetch_settled(r, &c, e) || put_header(&c, r->login, report, e))
		return -1;
	if (r->o->unless.n && str_eq_c(r->o->unless, c.id)) {
		buf_c(report, "U\nE 0 0\n");
		return 0;
	}
	snprintf(into, sizeof(into), "releases/%u", r->o->release);
	int dir CLEANUP_FD = open(into, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dir < 0)
		return err_sys(e, ERR_IO, errno, "could not open '%s'", into);
	if (checkout_tree(r, c.id, into, 0, e))
		return -1;
	return scan_tree(dir, r->o->files_max, r->o->bytes_max, report, e);
}

int git_fetch(const struct options *o, struct buf *report, struct err *e)
{
	struct login login;
	struct repository r;
	if (o->release == 0 || o->url.n == 0)
		return say_fail(SAY_SETTINGS, e, "fetch-git needs --release and --url");
	int rc = login_open(&login, o->known_hosts, e);
	if (!rc) {
		rc = repository_open(
		    &r, o, &login, o->url.p, "mirror", clock_mono_ms() + FETCH_DEADLINE_MS, e);
		if (!rc)
			rc = fetch_into(&r, report, e);
		repository_close(&r);
	}
	login_close(&login);
	return rc;
}
