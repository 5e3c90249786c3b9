/* deploy and plan: from the project's source, or from a directory here. */
#include "cli/archive.h"
#include "cli/commands.h"
#include "cli/follow.h"

#include "base/fs.h"
#include "base/num.h"

#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct upload {
	bool shown;
	int last_percent;
};

static void tell(void *ctx, int64_t sent, int64_t total)
{
	struct upload *u = ctx;
	char a[32], b[32];
	int percent = (int)(sent * 100 / total);
	if (percent == u->last_percent)
		return;
	u->last_percent = percent;
	u->shown = true;
	num_size_text((uint64_t)sent, a);
	num_size_text((uint64_t)total, b);
	(void)fprintf(stderr, "\r\x1b[Kuploading %s of %s", a, b);
}

static int upload(struct cli *c, const char *project, const struct archive_made *made,
    const char **ret_id, struct err *e)
{
	struct upload u = {.last_percent = -1};
	CLEANUP_BUF struct buf answer;
	bool show = isatty(STDERR_FILENO) && !c->json;
	struct net_request q = {.method = "POST",
	    .path = cli_path(c, "projects/{}/archives", project, NULL),
	    .type = "application/gzip",
	    .body_fd = made->fd,
	    .body_bytes = made->bytes,
	    .progress = show ? tell : NULL,
	    .ctx = &u};
	buf_init(&answer, 64u << 10);
	struct net *n = cli_net(c, e);
	int rc = n ? net_call(n, &q, &answer, e) : -1;
	if (u.shown)
		(void)fputs("\r\x1b[K", stderr);
	CLEANUP_JSON json_t *j = rc == 0 ? json_read(buf_view(&answer), e) : NULL;
	const char *id = cli_raw(j, "archive");
	if (rc == 0 && !id)
		rc = err_set(e, ERR_INTERNAL, "the server's answer names no archive");
	*ret_id = rc == 0 ? arena_cstr(&c->a, str_c(id)) : NULL;
	return rc;
}

const char *upload_directory(struct cli *c, const char *project, const char *dir, struct err *e)
{
	struct archive_made made;
	char size[32];
	const char *id = NULL;
	if (archive_make(dir, &made, e) < 0)
		return NULL;
	num_size_text((uint64_t)made.bytes, size);
	if (!c->json)
		(void)fprintf(stderr, "%u files, %s packed%s\n", made.files, size,
		    made.ignored ? ", without what git ignores" : "");
	if (made.skipped)
		(void)fprintf(stderr, "left out: %u sockets, pipes or devices\n", made.skipped);
	(void)upload(c, project, &made, &id, e);
	fs_close_fd(&made.fd);
	return id;
}

/* [NAME] [DIR]: a word with '/' or '.' in it is a directory, and so is a second one. */
static const char *directory_of(struct cli *c)
{
	const char *dir = cli_flag(c, "dir");
	size_t n = c->args.word_count;
	const char *last = n ? c->args.words[n - 1] : "";
	if (!dir && (n == 2 || strpbrk(last, "./"))) {
		dir = last;
		c->args.word_count--;
	}
	return dir;
}

static int order(
    struct cli *c, const char *what, json_t **ret, const char **ret_name, struct err *e)
{
	size_t at = 0;
	const char *dir = directory_of(c), *ref = cli_flag(c, "ref"), *url = cli_flag(c, "url");
	const char *name = *ret_name = cli_project(c, &at, e);
	if (!name)
		return -1;
	if (at < c->args.word_count)
		return err_set(e, ERR_USAGE, "'%.60s' is too much", c->args.words[at]);
	if (dir && (ref || url))
		return err_set(e, ERR_USAGE, "a directory has neither --ref nor --url");
	json_t *body = json_object();
	const char *archive = dir ? upload_directory(c, name, dir, e) : NULL;
	if (dir && !archive) {
		json_decref(body);
		return -1;
	}
	if (archive)
		(void)json_object_set_new(body, "archive", json_string(archive));
	if (ref)
		(void)json_object_set_new(body, "ref", json_string(ref));
	if (url)
		(void)json_object_set_new(body, "url", json_string(url));
	if (cli_has(c, "force"))
		(void)json_object_set_new(body, "force", json_true());
	return cli_call(c, "POST",
	    cli_path(c, strcmp(what, "plan") == 0 ? "projects/{}/plan" : "projects/{}/deploys",
		name, NULL),
	    body, ret, e);
}

int cmd_deploy(struct cli *c)
{
	struct err e = {0};
	json_t *answer = NULL;
	const char *name;
	struct follow_options o = {0};
	if (order(c, "deploy", &answer, &name, &e) < 0)
		return cli_fail(c, &e);
	return follow_answer(c, answer, &o);
}

/* What stands for a variable in a plan (launch/expand.h), as a Procfile has it. */
static void put_word(struct buf *b, const char *word)
{
	static const char *const marks[] = {"", "${", "}", ":-"};
	for (; *word; word++) {
		if (*word > 0 && *word < 4)
			buf_c(b, marks[(size_t)*word]);
		else
			buf_char(b, *word);
	}
}

static const char *argv_text(struct cli *c, const json_t *argv)
{
	CLEANUP_BUF struct buf b;
	buf_init(&b, 4000);
	for (size_t i = 0; i < json_array_size(argv); i++) {
		const char *word = json_string_value(json_array_get(argv, i));
		bool plain = word && word[0] && !strpbrk(word, " \t\n\"'\\$");
		buf_c(&b, i ? " " : "");
		buf_c(&b, plain ? "" : "'");
		put_word(&b, word ? word : "");
		buf_c(&b, plain ? "" : "'");
	}
	return out_safe(&c->a, b.n ? buf_view(&b) : STR(""));
}

static void print_commands(struct cli *c, const json_t *list, const char *what)
{
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *k = json_array_get(list, i);
		const char *label = cli_text(c, k, "label");
		(void)printf("  %-10s %s%s%s\n", what, label, label[0] ? ": " : "",
		    argv_text(c, json_object_get(k, "argv")));
	}
}

static void print_plan(struct cli *c, const json_t *plan)
{
	const char *reason = cli_text(c, plan, "reason"), *root = cli_text(c, plan, "root");
	(void)printf("  %-10s %s%s%s%s\n", "kind", cli_text(c, plan, "kind"), reason[0] ? " (" : "",
	    reason, reason[0] ? ")" : "");
	if (root[0])
		(void)printf("  %-10s %s\n", "root", root);
	print_commands(c, json_object_get(plan, "build"), "build");
	print_commands(c, json_object_get(plan, "checks"), "check");
	const json_t *release = json_object_get(plan, "release");
	if (json_array_size(json_object_get(release, "argv")))
		(void)printf(
		    "  %-10s %s\n", "release", argv_text(c, json_object_get(release, "argv")));
	const json_t *list = json_object_get(plan, "processes");
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *p = json_array_get(list, i), *run = json_object_get(p, "run");
		const json_t *argv = json_object_get(run ? run : p, "argv");
		(void)printf(
		    "  %-10s %s: %s\n", "process", cli_text(c, p, "name"), argv_text(c, argv));
	}
	list = json_object_get(plan, "statics");
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *s = json_array_get(list, i);
		const char *from = cli_text(c, s, "path");
		(void)printf("  %-10s %s from %s%s\n", "static", cli_text(c, s, "url"),
		    cli_true(s, "data") ? "data/" : "", from[0] ? from : "the top");
	}
	list = json_object_get(plan, "sites");
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *s = json_array_get(list, i);
		(void)printf("  %-10s %s: %s%s\n", "site", cli_text(c, s, "name"),
		    cli_words(c, json_object_get(s, "domains")),
		    cli_true(s, "certified") ? ", with a certificate" : "");
	}
	const char *path = cli_text(c, json_object_get(plan, "health"), "path");
	if (path[0])
		(void)printf("  %-10s GET %s\n", "health", path);
	list = json_object_get(plan, "notes");
	for (size_t i = 0; i < json_array_size(list); i++) {
		const char *note = json_string_value(json_array_get(list, i));
		(void)printf(
		    "  %-10s %s\n", i ? "" : "notes", note ? out_safe(&c->a, str_c(note)) : "");
	}
}

int cmd_plan(struct cli *c)
{
	struct err e = {0};
	json_t *answer = NULL, *result = NULL;
	const char *name;
	struct follow_options o = {.quiet = true, .ret_result = &result};
	if (order(c, "plan", &answer, &name, &e) < 0)
		return cli_fail(c, &e);
	int code = follow_answer(c, answer, &o);
	if (code == 0 && c->json) {
		cli_print_json(result ? result : json_null());
	} else if (code == 0) {
		char commit[8];
		(void)snprintf(commit, sizeof(commit), "%s", cli_text(c, result, "commit"));
		(void)printf("%s%s%s\n", name, commit[0] ? "  at " : "", commit);
		print_plan(c, json_object_get(result, "plan"));
		(void)printf("nothing was done. Do it: slipway deploy %s\n", name);
	}
	json_decref(result);
	return code;
}
