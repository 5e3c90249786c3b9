/* `slipway backup`, `backups` and `restore`. */
#include "cli/commands.h"

#include "base/fs.h"
#include "base/num.h"
#include "cli/follow.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define PIECE_MAX (5u << 20)
#define PASSPHRASE_MAX 1024u

static const char *size_of(struct cli *c, const json_t *o, const char *key)
{
	char text[32];
	num_size_text((uint64_t)cli_int(o, key), text);
	const char *kept = arena_cstr(&c->a, str_c(text));
	return kept ? kept : "";
}

/* ---- list, show ---- */

static void row(struct cli *c, struct out_table *t, const json_t *o)
{
	const char *cells[] = {cli_text(c, o, "id"), cli_text(c, o, "project"),
	    cli_ago(c, o, "created_at"), cli_num(c, o, "release"), size_of(c, o, "size_bytes"),
	    cli_text(c, o, "until"), cli_true(o, "passphrase") ? "yes" : "no"};
	out_table_row(t, cells);
}

/* Those of a project, or without a name what is left of destroyed ones. */
int cmd_backups_list(struct cli *c)
{
	static const char *const heads[] = {
	    "BACKUP", "PROJECT", "MADE", "RELEASE", "SIZE", "UNTIL", "PASSPHRASE"};
	struct err e = {0};
	size_t at = 0;
	CLEANUP_JSON json_t *all = NULL;
	const char *name = cli_has(c, "destroyed") ? NULL : cli_project(c, &at, &e);
	if (!name && !cli_has(c, "destroyed"))
		return cli_fail(c, &e);
	const char *path =
	    name ? cli_path(c, "projects/{}/backups", name, NULL) : cli_path(c, "backups", NULL);
	if (cli_call(c, "GET", path, NULL, &all, &e) < 0)
		return cli_fail(c, &e);
	return cli_is_empty(c, all, "no backups yet. Make one: slipway backup NAME")
		   ? 0
		   : cli_table(c, all, 7, heads, row);
}

/* NAME and BACKUP; a missing BACKUP is the newest one. 0 or -1. */
static int which(struct cli *c, const char **ret_name, const char **ret_id, struct err *e)
{
	size_t at = 0;
	CLEANUP_JSON json_t *all = NULL;
	*ret_name = cli_project(c, &at, e);
	if (!*ret_name)
		return -1;
	if (at < c->args.word_count) {
		*ret_id = c->args.words[at];
		return 0;
	}
	if (cli_call(c, "GET", cli_path(c, "projects/{}/backups", *ret_name, NULL), NULL, &all, e) <
	    0)
		return -1;
	const char *id = cli_raw(json_array_get(json_object_get(all, "items"), 0), "id");
	if (!id) {
		(void)err_set(e, ERR_NOT_FOUND, "'%s' has no backup", *ret_name);
		return err_hint(e, "make one: slipway backup %s", *ret_name);
	}
	*ret_id = arena_cstr(&c->a, str_c(id));
	return *ret_id ? 0 : err_set(e, ERR_TOO_LARGE, "the answer is too large");
}

int cmd_backups_show(struct cli *c)
{
	struct err e = {0};
	const char *name, *id;
	CLEANUP_JSON json_t *o = NULL;
	if (which(c, &name, &id, &e) < 0 ||
	    cli_call(
		c, "GET", cli_path(c, "projects/{}/backups/{}", name, id, NULL), NULL, &o, &e) < 0)
		return cli_fail(c, &e);
	if (c->json) {
		cli_print_json(o);
		return 0;
	}
	out_pair("backup", cli_text(c, o, "id"));
	out_pair("of", cli_text(c, o, "project"));
	out_pair("kind", cli_text(c, o, "kind"));
	out_pair("made", cli_text(c, o, "created_at"));
	out_pair("by", cli_text(c, o, "by"));
	out_pair("why", cli_text(c, o, "reason"));
	out_pair("until", cli_text(c, o, "until"));
	out_pair("release", cli_num(c, o, "release"));
	out_pair("commit", cli_text(c, o, "commit"));
	out_pair("size", size_of(c, o, "size_bytes"));
	out_pair("holds", size_of(c, o, "files_bytes"));
	out_pair("databases", cli_num(c, o, "databases"));
	out_pair("opened by", cli_true(o, "passphrase") ? "this server's key, or its passphrase"
							: "this server's key");
	return 0;
}

int cmd_backups_delete(struct cli *c)
{
	struct err e = {0};
	const char *name, *id;
	if (which(c, &name, &id, &e) < 0 ||
	    cli_sure(c, name,
		"This deletes a backup of %s. Type the project's name to go on: ", &e) != 0 ||
	    cli_call(c, "DELETE", cli_path(c, "projects/{}/backups/{}", name, id, NULL), NULL, NULL,
		&e) < 0)
		return cli_fail(c, &e);
	if (!c->json)
		(void)printf("deleted %s\n", id);
	return 0;
}

/* ---- download ---- */

static int piece(struct cli *c, const char *path, struct buf *into, struct err *e)
{
	struct net *n = cli_net(c, e);
	const struct net_request q = {.method = "GET", .path = path};
	buf_clear(into);
	return n ? net_call(n, &q, into, e) : -1;
}

static int fetch_all(
    struct cli *c, const char *name, const char *id, int to, int64_t *ret_bytes, struct err *e)
{
	CLEANUP_BUF struct buf part;
	buf_init(&part, PIECE_MAX);
	for (*ret_bytes = 0;;) {
		char offset[32];
		CLEANUP_BUF struct buf path;
		buf_init(&path, 2048);
		(void)snprintf(offset, sizeof(offset), "%" PRId64, *ret_bytes);
		buf_c(&path, cli_path(c, "projects/{}/backups/{}/content", name, id, NULL));
		cli_query(&path, "offset", offset);
		if (piece(c, path.p, &part, e) < 0)
			return -1;
		if (part.n == 0)
			return 0;
		if (fs_write_all(to, part.p, part.n, e) < 0)
			return -1;
		*ret_bytes += (int64_t)part.n;
	}
}

/* Never over a file that is there; what was begun and failed goes again. */
static int download(
    struct cli *c, const char *name, const char *id, const char *file, struct err *e)
{
	int64_t bytes = 0;
	char size[32];
	CLEANUP_FD int to = open(file, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (to < 0)
		return err_sys(e, ERR_IO, errno, "could not make '%s'", file);
	int rc = fetch_all(c, name, id, to, &bytes, e);
	if (rc == 0 && fsync(to) != 0)
		rc = err_sys(e, ERR_IO, errno, "could not store '%s'", file);
	if (rc != 0) {
		(void)unlink(file);
		return -1;
	}
	num_size_text((uint64_t)bytes, size);
	if (!c->json)
		(void)printf("%s: %s\n", file, size);
	return 0;
}

int cmd_backups_download(struct cli *c)
{
	struct err e = {0};
	const char *name, *id, *file = cli_flag(c, "output");
	if (which(c, &name, &id, &e) < 0)
		return cli_fail(c, &e);
	if (!file)
		file = arena_printf(&c->a, "%s-%s.backup", name, id);
	return download(c, name, id, file ? file : "project.backup", &e) < 0 ? cli_fail(c, &e) : 0;
}

/* ---- making ---- */

static int put_passphrase(struct cli *c, json_t *body, struct err *e)
{
	if (!cli_has(c, "passphrase-stdin"))
		return 0;
	const char *text = cli_stdin(c, PASSPHRASE_MAX, e);
	if (!text)
		return -1;
	return json_object_set_new(body, "passphrase", json_string(text)) == 0
		   ? 0
		   : err_set(e, ERR_USAGE, "the passphrase is no text");
}

static int wait_and_fetch(struct cli *c, const char *name, json_t *answer, struct err *e)
{
	json_t *result = NULL;
	const struct follow_options o = {
	    .headline = "backup", .quiet = true, .ret_result = &result};
	int64_t task = cli_int(answer, "task");
	json_decref(answer);
	int rc = follow_task(c, task, &o);
	const char *id = cli_raw(result, "backup");
	if (rc == 0)
		rc = !id ? err_set(e, ERR_INTERNAL, "the task's result names no backup")
			 : download(c, name, id, cli_flag(c, "output"), e);
	json_decref(result);
	return rc < 0 ? cli_fail(c, e) : rc;
}

int cmd_backup(struct cli *c)
{
	struct err e = {0};
	size_t at = 0;
	json_t *answer = NULL, *body = json_object();
	const char *name = cli_project(c, &at, &e);
	if (!name || put_passphrase(c, body, &e) < 0) {
		json_decref(body);
		return cli_fail(c, &e);
	}
	if (cli_call(c, "POST", cli_path(c, "projects/{}/backups", name, NULL), body, &answer, &e) <
	    0)
		return cli_fail(c, &e);
	if (cli_has(c, "output"))
		return wait_and_fetch(c, name, answer, &e);
	const struct follow_options o = {.headline = "backup"};
	return follow_answer(c, answer, &o);
}

/* ---- restoring ---- */

static int upload(
    struct cli *c, const char *name, const char *file, const char **ret_archive, struct err *e)
{
	struct stat st;
	CLEANUP_BUF struct buf answer;
	CLEANUP_FD int fd = open(file, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) != 0)
		return err_sys(e, ERR_USAGE, errno, "could not read '%s'", file);
	buf_init(&answer, 64u << 10);
	const struct net_request q = {.method = "POST",
	    .path = cli_path(c, "projects/{}/backups/upload", name, NULL),
	    .type = "application/octet-stream",
	    .body_fd = fd,
	    .body_bytes = st.st_size};
	struct net *n = cli_net(c, e);
	if (!n || net_call(n, &q, &answer, e) < 0)
		return -1;
	CLEANUP_JSON json_t *j = json_read(buf_view(&answer), e);
	const char *id = cli_raw(j, "archive");
	*ret_archive = id ? arena_cstr(&c->a, str_c(id)) : NULL;
	return *ret_archive ? 0 : err_set(e, ERR_INTERNAL, "the server's answer names no archive");
}

static int exists(struct cli *c, const char *name, struct err *e)
{
	if (cli_call(c, "GET", cli_path(c, "projects/{}", name, NULL), NULL, NULL, e) == 0)
		return 1;
	return e->code == ERR_NOT_FOUND ? 0 : -1;
}

static int make_project(struct cli *c, const char *name, struct err *e)
{
	json_t *body = json_pack("{s:s, s:{s:s}}", "name", name, "source", "type", "archive");
	return cli_call(c, "POST", cli_path(c, "projects", NULL), body, NULL, e);
}

/* What is kept of a destroyed project of that name; NULL with e. */
static const char *find_destroyed(struct cli *c, const char *name, const char *id, struct err *e)
{
	CLEANUP_JSON json_t *all = NULL;
	if (cli_call(c, "GET", cli_path(c, "backups", NULL), NULL, &all, e) < 0)
		return NULL;
	const json_t *items = json_object_get(all, "items");
	for (size_t i = 0; i < json_array_size(items); i++) {
		const json_t *o = json_array_get(items, i);
		const char *of = cli_raw(o, "project"), *its = cli_raw(o, "id");
		bool fits = of && its && (id ? strcmp(id, its) == 0 : strcmp(of, name) == 0);
		if (fits)
			return arena_cstr(&c->a, str_c(its));
	}
	(void)err_set(
	    e, ERR_NOT_FOUND, "there is no project '%s', and nothing is kept of one", name);
	(void)err_hint(e, "from a file: slipway restore %s --from FILE --passphrase-stdin", name);
	return NULL;
}

static int take_in(struct cli *c, json_t *body, const char **ret_id, struct err *e)
{
	CLEANUP_JSON json_t *o = NULL;
	if (cli_call(c, "POST", cli_path(c, "backups", NULL), body, &o, e) < 0)
		return -1;
	const char *id = cli_raw(o, "id");
	*ret_id = id ? arena_cstr(&c->a, str_c(id)) : NULL;
	return *ret_id ? 0 : err_set(e, ERR_INTERNAL, "the server's answer names no backup");
}

static int made_for_nothing(const char *name, bool made, struct err *e)
{
	if (made && !e->hint[0])
		(void)err_hint(
		    e, "'%s' was made for it and is empty: slipway destroy %s --purge", name, name);
	return -1;
}

static int from_file(struct cli *c, const char *name, bool made, const char **ret_id, struct err *e)
{
	const char *archive = NULL;
	json_t *body = json_pack("{s:s}", "project", name);
	if (put_passphrase(c, body, e) < 0 ||
	    upload(c, name, cli_flag(c, "from"), &archive, e) < 0) {
		json_decref(body);
		return made_for_nothing(name, made, e);
	}
	(void)json_object_set_new(body, "archive", json_string(archive));
	return take_in(c, body, ret_id, e) < 0 ? made_for_nothing(name, made, e) : 0;
}

/* The archive becomes one of the project's; the project is made when it is not there. */
static int prepare(
    struct cli *c, const char *name, const char *word, const char **ret_id, struct err *e)
{
	int there = exists(c, name, e);
	const char *destroyed = NULL;
	if (there < 0)
		return -1;
	if (there == 0 && !cli_has(c, "from") && !(destroyed = find_destroyed(c, name, word, e)))
		return -1;
	if (there == 0 && make_project(c, name, e) < 0)
		return -1;
	if (cli_has(c, "from"))
		return from_file(c, name, there == 0, ret_id, e);
	if (destroyed)
		return take_in(
		    c, json_pack("{s:s, s:s}", "project", name, "destroyed", destroyed), ret_id, e);
	return which(c, &name, ret_id, e);
}

int cmd_restore(struct cli *c)
{
	struct err e = {0};
	size_t at = 0;
	json_t *answer = NULL;
	const char *id = NULL, *name = cli_project(c, &at, &e);
	if (!name)
		return cli_fail(c, &e);
	const char *word = at < c->args.word_count ? c->args.words[at] : NULL;
	const char *question = "This puts a backup in the place of what %s has now. Type the "
			       "project's name to go on: ";
	if (cli_sure(c, name, question, &e) != 0 || prepare(c, name, word, &id, &e) < 0)
		return cli_fail(c, &e);
	json_t *body = json_object();
	if (cli_has(c, "data-only"))
		(void)json_object_set_new(body, "data_only", json_true());
	if (cli_call(c, "POST", cli_path(c, "projects/{}/backups/{}/restore", name, id, NULL), body,
		&answer, &e) < 0)
		return cli_fail(c, &e);
	const struct follow_options o = {.headline = "restore"};
	return follow_answer(c, answer, &o);
}
