/* From argv to a command, and back to an exit code. */
#include "cli/commands.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define ARENA_MAX (256u << 20)

static void cli_begin(struct cli *c, const struct cli_command *k)
{
	*c = (struct cli){.command = k};
	arena_init(&c->a, ARENA_MAX);
	out_init(&c->out);
}

static void cli_end(struct cli *c)
{
	net_close(c->net);
	arena_fini(&c->a);
}

/* What could not be written was not said: that is a failure, unless the reader had enough. */
static int flush(struct cli *c, int code)
{
	struct err e;
	errno = 0;
	if (fflush(stdout) == 0 && !ferror(stdout))
		return code;
	err_sys(&e, ERR_IO, errno, "could not write the answer");
	return code ? code : cli_fail(c, &e);
}

/* `slipway`, `slipway --help`, `slipway help`: not a row of its own. */
static bool wants_help(int argc, char *const *argv)
{
	return argc == 0 || strcmp(argv[0], "--help") == 0 || strcmp(argv[0], "-h") == 0;
}

static int run(struct cli *c, int argc, char **argv, struct err *e)
{
	const struct cli_command *k = c->command;
	if (args_parse(argc, argv, k->flags, cli_global_flags(), &c->args, e) < 0)
		return cli_fail(c, e);
	c->json = cli_has(c, "json");
	if (cli_has(c, "help")) {
		help_command(k, stdout);
		return 0;
	}
	if (c->args.rest && !k->rest)
		return cli_usage(c, "nothing may stand behind '--' here");
	if (k->rest && c->args.rest_count == 0)
		return cli_usage(c, "a command is missing behind '--'");
	if (c->args.word_count < k->words_min)
		return cli_usage(c, "something is missing: %s", k->synopsis);
	if (c->args.word_count > k->words_max)
		return cli_usage(c, "'%.60s' is too much", c->args.words[k->words_max]);
	return k->fn(c);
}

/* Flags in front of the command move behind its name. */
static int leading_flags(int argc, char **argv)
{
	int n = 0;
	while (n < argc && argv[n][0] == '-' && argv[n][1] != '\0' && strcmp(argv[n], "--") != 0) {
		const char *name = argv[n] + (argv[n][1] == '-' ? 2 : 1);
		n++;
		for (const struct cli_flag *f = cli_global_flags(); f->name; f++) {
			bool it = strcmp(f->name, name) == 0 ||
				  (f->letter && name[0] == f->letter && name[1] == '\0');
			if (it && f->value && n < argc)
				n++;
		}
	}
	return n;
}

static void rotate(char **argv, int flags, int words)
{
	for (int i = 0; i < words; i++) {
		char *word = argv[flags + i];
		memmove(&argv[i + 1], &argv[i], (size_t)flags * sizeof(*argv));
		argv[i] = word;
	}
}

/* What is typed travels as JSON, which is UTF-8. Refused here, so that no word is lost on the way.
 */
static int words_check(int argc, char *const *argv, struct err *e)
{
	for (int i = 0; i < argc; i++)
		if (!str_utf8_ok(str_c(argv[i])))
			return err_set(
			    e, ERR_USAGE, "word %d of the command line is not UTF-8", i + 1);
	return 0;
}

int cli_main(int argc, char **argv)
{
	static const struct cli_command nothing = {.name = "", .synopsis = ""};
	struct cli c;
	struct err e = {0};
	int used = 1;
	argc -= argc > 0;
	argv++;
	if (argc == 0) {
		help_all(stderr);
		return err_class_of(ERR_USAGE)->exit_code;
	}
	if (wants_help(argc, argv)) {
		help_all(stdout);
		return 0;
	}
	if (strcmp(argv[0], "--version") == 0)
		argv[0] = "version";
	int flags = leading_flags(argc, argv);
	if (flags == argc) {
		flags = 0; /* no command at all: the first flag is told so */
	}
	int words = argc - flags > 1 ? 2 : 1;
	if (flags > 0)
		rotate(argv, flags, argc - flags >= words ? words : 1);
	if (commands_is_group(argv[0]) && !commands_find(argv[0]) && argc > 1 &&
	    (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
		help_group(argv[0], stdout);
		return 0;
	}
	const struct cli_command *k =
	    words_check(argc, argv, &e) < 0 ? NULL : commands_match(argc, argv, &used, &e);
	cli_begin(&c, k ? k : &nothing);
	int code = k ? run(&c, argc - used, argv + used, &e) : cli_fail(&c, &e);
	code = flush(&c, code);
	cli_end(&c);
	return code;
}
