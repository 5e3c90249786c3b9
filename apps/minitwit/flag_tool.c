/* flag_tool: hides messages from every timeline, as the original's tool of that name; with prepared
 * statements, and told to every running MiniTwit by the board. */
#include "minitwit/board.h"
#include "minitwit/data.h"
#include "minitwit/settings.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/num.h"

#include <stdio.h>
#include <string.h>

enum { READ_MS = 5000 };

static const char help[] =
    "usage: flag_tool ID...   hide these messages\n"
    "       flag_tool -i      list all messages: id,author_id,text,flagged\n"
    "       flag_tool -h      this text\n"
    "The database is the one that minitwit uses: DATABASE_URL, or minitwit.db in\n"
    "MINITWIT_DATA, SLIPWAY_DATA_DIR, HOME or the working directory.\n";

struct flagging {
	int64_t id;
	int found;
};

static int unit_flag(void *ctx, struct store_db *db, struct err *e)
{
	struct flagging *f = ctx;
	f->found = data_message_flag(db, f->id, e);
	return f->found < 0 ? -1 : 0;
}

static int flag(struct store *s, const char *word, struct err *e)
{
	struct flagging f = {0};
	if (!num_i64(str_c(word), 1, INT64_MAX, &f.id))
		return err_set(e, ERR_USAGE, "'%s' is no message's id", word);
	if (store_write(s, unit_flag, &f, e) < 0)
		return -1;
	if (f.found == 0)
		return err_set(e, ERR_NOT_FOUND, "there is no message %s", word);
	printf("Flagged entry: %s\n", word);
	return 0;
}

static int list(struct store *s, struct err *e)
{
	struct store_db *db = store_read_begin(s, clock_mono_ms() + READ_MS, e);
	if (!db)
		return -1;
	struct store_stmt *q = store_prepare(
	    db, "SELECT message_id, author_id, text, flagged FROM message ORDER BY message_id", e);
	int rc = q ? 0 : -1;
	while (q && (rc = store_step(q, e)) == 1) {
		char text[4096];
		(void)log_escape_text(store_col_text(q, 2), text, sizeof(text));
		printf("%lld,%lld,%s,%lld\n", (long long)store_col_i64(q, 0),
		    (long long)store_col_i64(q, 1), text, (long long)store_col_i64(q, 3));
	}
	store_read_end(s, db);
	return rc;
}

static int flag_all(struct store *s, const struct settings *set, char **words, struct err *e)
{
	int rc = 0;
	bool fresh;
	for (; *words && rc == 0; words++)
		rc = flag(s, *words, e);
	/* Opening it is enough: whoever opens the board makes everything kept in memory stale. */
	struct board *b = board_open(set->board, &fresh, rc == 0 ? e : NULL);
	if (!b)
		return -1;
	board_close(b);
	return rc;
}

static int run(char **argv, struct err *e)
{
	struct settings set;
	if (settings_read(&set, e) < 0)
		return -1;
	struct store *s = store_open(
	    &(struct store_options){.path = set.database, .shared = true, .readers = 1}, e);
	if (!s)
		return -1;
	int rc = store_write(s, data_migrate, NULL, e);
	if (rc == 0)
		rc = strcmp(argv[1], "-i") == 0 ? list(s, e) : flag_all(s, &set, argv + 1, e);
	store_close(s);
	return rc;
}

int main(int argc, char **argv)
{
	struct err e = {0};
	bool asked = argc == 2 && strcmp(argv[1], "-h") == 0;
	if (argc < 2 || asked || (argv[1][0] == '-' && strcmp(argv[1], "-i") != 0)) {
		(void)fputs(help, asked ? stdout : stderr);
		return asked ? 0 : err_class_of(ERR_USAGE)->exit_code;
	}
	log_open(LOG_WARN, 2);
	if (run(argv, &e) == 0)
		return fflush(stdout) == 0 ? 0 : 1;
	fprintf(stderr, "flag_tool: %s\n%s%s%s", e.msg, e.hint[0] ? "hint: " : "", e.hint,
	    e.hint[0] ? "\n" : "");
	return err_class_of(e.code)->exit_code;
}
