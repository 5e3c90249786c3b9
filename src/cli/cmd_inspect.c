/* `slipway validate`, `slipway audit` and its --advice: shows what inspect/ finds. */
#include "cli/commands.h"

#include "base/fs.h"
#include "inspect/inspect.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define REPORT_DIR "/var/log/slipway"
#define REPORT_PREFIX "security-check-"
#define REPORTS_MAX 30
#define EXIT_HIGH 1
#define EXIT_CRITICAL 2

/* What the levels are called. */
static const char *const severities[INSPECT_LEVEL_COUNT] = {
    "INFO", "LOW", "MEDIUM", "HIGH", "CRITICAL"};
static const char *const verdicts[INSPECT_LEVEL_COUNT] = {"pass", "warn", "warn", "fail", "fail"};
static const char *const urgencies[INSPECT_LEVEL_COUNT] = {
    "fine", "minor", "advice", "urgent", "urgent"};

struct table {
	const struct inspect_check *checks;
	size_t count;
	const char *const *words;
};

static json_t *findings_json(const struct inspect *s, const struct table *t, unsigned check)
{
	json_t *findings = json_array();
	for (size_t k = 0; k < s->count; k++) {
		const struct inspect_finding *f = &s->v[k];
		if (f->check != check)
			continue;
		json_t *o = json_pack("{s:s, s:s}", "level", t->words[f->level], "words", f->words);
		if (f->command[0])
			(void)json_object_set_new(o, "command", json_string(f->command));
		(void)json_array_append_new(findings, o);
	}
	return findings;
}

static json_t *as_json(const struct inspect *s, const struct table *t)
{
	json_t *all = json_array();
	for (unsigned i = 0; i < t->count; i++) {
		const struct inspect_check *check = &t->checks[i];
		json_t *o = json_pack("{s:i, s:s, s:s, s:o}", "check", (int)i + 1, "name",
		    check->name, "level", t->words[inspect_worst(s, i, (unsigned)t->count)],
		    "findings", findings_json(s, t, i));
		if (check->reason)
			(void)json_object_update_new(
			    o, json_pack("{s:s, s:s}", "reason", check->reason, "benchmark",
				   check->benchmark));
		(void)json_array_append_new(all, o);
	}
	return all;
}

static void write_line(struct buf *b, const char *what, const char *words)
{
	buf_printf(b, "      %-8s %s\n", what, words);
}

static void write_check(struct buf *b, const struct cli *c, const struct inspect *s,
    const struct table *t, unsigned check)
{
	const struct inspect_check *at = &t->checks[check];
	enum inspect_level worst = inspect_worst(s, check, (unsigned)t->count);
	const char *mark = !c ? ""
			      : out_mark(&c->out, worst < INSPECT_MEDIUM ? OUT_DONE
						  : worst < INSPECT_HIGH ? OUT_SKIPPED
									 : OUT_FAILED);
	buf_printf(
	    b, "%s%s%2u  %-16s %s\n", mark, c ? " " : "", check + 1, at->name, t->words[worst]);
	/* On a terminal the worst is enough; of advice all that is to be done. */
	enum inspect_level from = !c				       ? INSPECT_INFO
				  : at->reason && worst > INSPECT_INFO ? INSPECT_LOW
								       : worst;
	for (size_t k = 0; k < s->count; k++)
		if (s->v[k].check == check && s->v[k].level >= from)
			write_line(b, t->words[s->v[k].level], s->v[k].words);
	if (!at->reason || worst == INSPECT_INFO)
		return;
	write_line(b, "why", at->reason);
	write_line(b, "follows", at->benchmark);
	for (size_t k = 0; k < s->count; k++)
		if (s->v[k].check == check && s->v[k].command[0])
			write_line(b, "type", s->v[k].command);
}

static void write_text(
    struct buf *b, const struct cli *c, const struct inspect *s, const struct table *t)
{
	for (unsigned i = 0; i < t->count; i++)
		write_check(b, c, s, t, i);
}

static size_t count_of(const struct inspect *s, enum inspect_level from, enum inspect_level to)
{
	size_t n = 0;
	for (size_t i = 0; i < s->count; i++)
		n += s->v[i].level >= from && s->v[i].level <= to;
	return n;
}

static void print(struct cli *c, const struct inspect *s, const struct table *t)
{
	CLEANUP_BUF struct buf b;
	if (c->json) {
		CLEANUP_JSON json_t *all = as_json(s, t);
		cli_print_json(all);
		return;
	}
	buf_init(&b, 256 << 10);
	write_text(&b, c, s, t);
	(void)fwrite(b.p, 1, b.n, stdout);
}

int cmd_validate(struct cli *c)
{
	static struct inspect s;
	struct err e = {0};
	struct table t = {.words = verdicts};
	t.checks = inspect_validation(&t.count);
	if (inspect_run(&s, t.checks, t.count, &e) != 0) {
		(void)cli_fail(c, &e);
		return CLI_EXIT_FAILED;
	}
	print(c, &s, &t);
	size_t failed = 0, warned = 0;
	for (unsigned i = 0; i < t.count; i++) {
		enum inspect_level worst = inspect_worst(&s, i, (unsigned)t.count);
		failed += worst >= INSPECT_HIGH;
		warned += worst > INSPECT_INFO && worst < INSPECT_HIGH;
	}
	if (!c->json)
		(void)printf("%zu of %zu checks pass, %zu warn, %zu fail\n",
		    t.count - failed - warned, t.count, warned, failed);
	return failed ? CLI_EXIT_FAILED : 0;
}

/* ---- the report ---- */

/* The newest stay; the names sort by time. */
static void drop_old_reports(int dir)
{
	for (;;) {
		char oldest[64] = "";
		size_t count = 0;
		int again = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		DIR *d = again < 0 ? NULL : fdopendir(again);
		for (struct dirent *entry; d && (entry = readdir(d));) {
			if (strncmp(entry->d_name, REPORT_PREFIX, sizeof(REPORT_PREFIX) - 1) != 0)
				continue;
			count++;
			if (!oldest[0] || strcmp(entry->d_name, oldest) < 0)
				(void)!str_copy(str_c(entry->d_name), oldest, sizeof(oldest));
		}
		if (d)
			(void)closedir(d);
		if (count <= REPORTS_MAX || unlinkat(dir, oldest, 0) != 0)
			return;
	}
}

static int write_report(
    const struct inspect *s, const struct table *t, char path[96], struct err *e)
{
	CLEANUP_BUF struct buf b;
	char name[64];
	time_t now = time(NULL);
	struct tm tm;
	buf_init(&b, 256 << 10);
	write_text(&b, NULL, s, t);
	if (!localtime_r(&now, &tm) ||
	    strftime(name, sizeof(name), REPORT_PREFIX "%Y%m%d_%H%M%S.log", &tm) == 0)
		return err_set(e, ERR_INTERNAL, "the time cannot be told");
	if (fs_mkdirs(REPORT_DIR, 0700, e) != 0)
		return -1;
	CLEANUP_FD int dir = open(REPORT_DIR, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dir < 0)
		return err_set(e, ERR_IO, "could not open %s", REPORT_DIR);
	if (fs_write_atomic(dir, name, b.p, b.n, 0600, e) != 0)
		return -1;
	drop_old_reports(dir);
	(void)snprintf(path, 96, "%s/%s", REPORT_DIR, name);
	return 0;
}

/* What is CRITICAL goes to whoever the platform's channels reach. That the daemon does not answer
 * must not hide what was found. */
static void tell(struct cli *c, const struct inspect *s, const char *report)
{
	CLEANUP_BUF struct buf b;
	struct err e = {0};
	json_t *body;
	buf_init(&b, 3900);
	for (size_t i = 0; i < s->count; i++)
		if (s->v[i].level == INSPECT_CRITICAL)
			buf_printf(&b, "%s%s", b.n ? "\n" : "", s->v[i].words);
	body = json_pack("{s:s%, s:s}", "message", b.p, b.n, "report", report);
	if (!body || cli_call(c, "POST", "/api/v1/server-audits", body, NULL, &e) != 0)
		(void)fprintf(stderr, "slipway: nobody was told: %s\n",
		    e.msg[0] ? out_safe(&c->a, str_c(e.msg)) : "out of memory");
}

/* No report, nobody is told, and no exit status: it is advice. */
static int advise(struct cli *c)
{
	static struct inspect s;
	struct err e = {0};
	struct table t = {.words = urgencies};
	size_t fine = 0;
	t.checks = inspect_advice(&t.count);
	if (inspect_run(&s, t.checks, t.count, &e) != 0)
		return cli_fail(c, &e);
	print(c, &s, &t);
	for (unsigned i = 0; i < t.count; i++)
		fine += inspect_worst(&s, i, (unsigned)t.count) == INSPECT_INFO;
	if (!c->json)
		(void)printf(
		    "%zu of %zu are fine; nothing was changed, and Slipway needs none of it\n",
		    fine, t.count);
	return 0;
}

int cmd_audit(struct cli *c)
{
	static struct inspect s;
	char path[96] = "";
	struct err e = {0};
	struct table t = {.words = severities};
	if (cli_has(c, "advice") && cli_has(c, "tell"))
		return cli_usage(c, "nobody is told of advice: either --advice or --tell");
	if (cli_has(c, "advice"))
		return advise(c);
	t.checks = inspect_audit(&t.count);
	if (inspect_run(&s, t.checks, t.count, &e) != 0 ||
	    (!cli_has(c, "no-report") && write_report(&s, &t, path, &e) != 0))
		return cli_fail(c, &e);
	print(c, &s, &t);
	if (!c->json) {
		(void)printf("%zu critical, %zu high, %zu medium, %zu low\n",
		    count_of(&s, INSPECT_CRITICAL, INSPECT_CRITICAL),
		    count_of(&s, INSPECT_HIGH, INSPECT_HIGH),
		    count_of(&s, INSPECT_MEDIUM, INSPECT_MEDIUM),
		    count_of(&s, INSPECT_LOW, INSPECT_LOW));
		if (path[0])
			(void)printf("report: %s\n", path);
	}
	enum inspect_level worst = inspect_worst(&s, (unsigned)t.count, (unsigned)t.count);
	if (worst == INSPECT_CRITICAL && cli_has(c, "tell"))
		tell(c, &s, path);
	return worst == INSPECT_CRITICAL ? EXIT_CRITICAL : worst == INSPECT_HIGH ? EXIT_HIGH : 0;
}
