/* One run of the program: what was asked for, where it goes, what it prints. Not for other rooms.
 */
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "cli/args.h"
#include "cli/net.h"
#include "cli/out.h"
#include "text/json.h"

#define CLI_EXIT_FAILED 1
#define CLI_EXIT_UNREACHABLE 69
#define CLI_EXIT_DETACHED 130

struct cli {
	const struct cli_command *command;
	struct cli_args args;
	struct arena a; /* of the whole run */
	struct out out;
	struct net *net; /* opened by cli_net */
	bool json;	 /* --json */
};

/* Does the command; the exit code, 0 done. */
typedef int cli_fn(struct cli *c);

/* One row of the table. A name of two words is a subcommand of its first word; a group's `list` is
 * what its first word alone means. */
struct cli_command {
	const char *name;
	const char *synopsis; /* what follows the name, without flags */
	const char *help;     /* one line */
	const char *example;  /* complete lines, without the prompt */
	const struct cli_flag *flags;
	size_t words_min, words_max;
	bool rest; /* takes "-- CMD…" */
	cli_fn *fn;
};
const struct cli_command *cli_commands(size_t *ret_count);
const struct cli_flag *cli_global_flags(void); /* ended by name NULL */

/* The whole of main. */
int cli_main(int argc, char **argv);

/* "slipway: message" and the hint on standard error; the exit code that belongs to e. */
int cli_fail(struct cli *c, const struct err *e);
/* ERR_USAGE with a pointer to the command's help. */
int cli_usage(struct cli *c, const char *fmt, ...) PRINTF_LIKE(2, 3);
const char *cli_flag(const struct cli *c, const char *name); /* its value, or NULL */
bool cli_has(const struct cli *c, const char *name);
/* A number given as text; -1 with ERR_USAGE naming `what`. */
int cli_number(const char *text, const char *what, int64_t min, int64_t max, int64_t *ret,
    struct err *e) WARN_UNUSED;

/* "/api/v1/" and the pattern, each "{}" replaced by the next argument, percent-encoded; the list
 * ends with NULL. Of the arena. */
const char *cli_path(struct cli *c, const char *pattern, ...) __attribute__((sentinel));
/* Appends name=value to a query, percent-encoded; a NULL value adds nothing. */
void cli_query(struct buf *b, const char *name, const char *value);

/* The server, opened at first use; NULL with e. */
struct net *cli_net(struct cli *c, struct err *e);
/* One call with a JSON body (NULL: none, stolen) and a JSON answer (ret NULL: not wanted). */
int cli_call(struct cli *c, const char *method, const char *path, json_t *body, json_t **ret,
    struct err *e) WARN_UNUSED;
/* GET of a list, page by page, at most `max` items: {"items":[…],"next":…}. */
int cli_list(struct cli *c, const char *path, size_t max, json_t **ret, struct err *e) WARN_UNUSED;
/* Prints the value as one line of JSON. */
void cli_print_json(const json_t *j);
/* What cli_list or a call read: as JSON when that is wanted, else a table with what `rows` makes of
 * each item. 0, the command's exit code. */
typedef void cli_rows_fn(struct cli *c, struct out_table *t, const json_t *item);
int cli_table(
    struct cli *c, const json_t *all, size_t columns, const char *const *heads, cli_rows_fn *rows);

/* True when the list holds nothing, people read it and were told so, with what to do. */
bool cli_is_empty(const struct cli *c, const json_t *all, const char *what_to_do);

/* Members of an answer. Text is made safe for a terminal, of the arena; absent or null: "". */
const char *cli_text(struct cli *c, const json_t *o, const char *key);
const char *cli_raw(const json_t *o, const char *key); /* as it is; NULL when absent */
int64_t cli_int(const json_t *o, const char *key);     /* absent: 0 */
const char *cli_words(struct cli *c, const json_t *list); /* texts, one blank between */
bool cli_true(const json_t *o, const char *key);
/* "3 minutes ago", or "" when the member is no time. */
const char *cli_ago(struct cli *c, const json_t *o, const char *key);
/* A number as text, "" for null. */
const char *cli_num(struct cli *c, const json_t *o, const char *key);

/* The project meant: --project, else words[*at] when it looks like a name (then *at moves on), else
 * the current directory's. NULL with ERR_USAGE. */
const char *cli_project(struct cli *c, size_t *at, struct err *e);
/* [NAME] THING: the last word is the thing; the project's name, as above. */
const char *cli_project_thing(struct cli *c, const char **ret_thing, struct err *e);
/* Asks a question on the terminal; 1: the answer is `wanted`, 0: it is not, -1 no terminal. */
int cli_ask(const char *question, const char *wanted, struct err *e) WARN_UNUSED;
/* A destructive act on `thing`, unless --yes was given: asks the question ("%s" is the thing) and
 * expects the thing's name. 0: go on. -1 with ERR_CANCELLED, or ERR_USAGE without a terminal. */
int cli_sure(struct cli *c, const char *thing, const char *question, struct err *e) WARN_UNUSED;
/* Reads standard input to its end, without the last line's end, into the arena. NULL with e. */
const char *cli_stdin(struct cli *c, size_t max, struct err *e);
