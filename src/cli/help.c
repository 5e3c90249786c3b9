/* Help and completions, made from the table of commands. */
#include "cli/commands.h"

#include <string.h>

static void print_flags(const struct cli_flag *f, FILE *out)
{
	for (; f->name; f++) {
		char text[64], letter[8] = "    ";
		if (f->letter)
			(void)snprintf(letter, sizeof(letter), "-%c, ", f->letter);
		(void)snprintf(text, sizeof(text), "--%s%s%s", f->name, f->value ? " " : "",
		    f->value ? f->value : "");
		(void)fprintf(out, "  %s%-22s %s\n", letter, text, f->help);
	}
}

static void print_row(const struct cli_command *k, FILE *f)
{
	char text[80];
	(void)snprintf(
	    text, sizeof(text), "%s%s%s", k->name, k->synopsis[0] ? " " : "", k->synopsis);
	int pad = 34 - (int)out_columns(text);
	(void)fprintf(f, "  %s%*s %s\n", text, pad > 0 ? pad : 0, "", k->help);
}

void help_all(FILE *f)
{
	size_t n;
	const struct cli_command *k = cli_commands(&n);
	(void)fprintf(f, "slipway: turn a Linux server into a private application platform\n\n"
			 "usage: slipway COMMAND [flags]\n\ncommands:\n");
	for (size_t i = 0; i < n; i++)
		print_row(&k[i], f);
	(void)fprintf(f, "\nflags of every command:\n");
	print_flags(cli_global_flags(), f);
	(void)fprintf(f,
	    "\nA name that is left out is that of the current directory: its .slipway file or git "
	    "remote.\nexit codes: 0 done, 1 it failed, 64 usage, 65 bad data, 69 cannot reach "
	    "slipwayd,\n    75 try again later, 77 not allowed, 78 bad settings, 130 detached\n\n"
	    "example:\n  slipway create shop --git https://example.org/shop.git\n"
	    "  slipway deploy shop\n");
}

void help_group(const char *group, FILE *f)
{
	size_t n, length = strlen(group);
	const struct cli_command *k = cli_commands(&n);
	(void)fprintf(f, "usage: slipway %s COMMAND [flags]\n\n", group);
	for (size_t i = 0; i < n; i++)
		if (strncmp(k[i].name, group, length) == 0 &&
		    (k[i].name[length] == ' ' || k[i].name[length] == '\0'))
			print_row(&k[i], f);
	for (size_t i = 0; i < n; i++)
		if (strncmp(k[i].name, group, length) == 0 && k[i].name[length] == ' ') {
			(void)fprintf(f, "\nexample:\n  %.*s\n", (int)strcspn(k[i].example, "\n"),
			    k[i].example);
			break;
		}
}

void help_command(const struct cli_command *k, FILE *f)
{
	(void)fprintf(f, "slipway %s: %s\n\nusage: slipway %s%s%s%s\n", k->name, k->help, k->name,
	    k->flags->name ? " [flags]" : "", k->synopsis[0] ? " " : "", k->synopsis);
	if (k->flags->name) {
		(void)fprintf(f, "\nflags:\n");
		print_flags(k->flags, f);
	}
	(void)fprintf(f, "\nflags of every command:\n");
	print_flags(cli_global_flags(), f);
	(void)fprintf(f, "\nexample:\n");
	for (const char *line = k->example; *line;) {
		size_t n = strcspn(line, "\n");
		(void)fprintf(f, "  %.*s\n", (int)n, line);
		line += n + (line[n] == '\n');
	}
}

static bool first_of_its_word(size_t at, const struct cli_command *k)
{
	size_t n = strcspn(k[at].name, " ");
	for (size_t i = 0; i < at; i++)
		if (strcspn(k[i].name, " ") == n && strncmp(k[i].name, k[at].name, n) == 0)
			return false;
	return true;
}

static void bash_words(FILE *f, size_t at, const struct cli_command *k, size_t n)
{
	size_t length = strcspn(k[at].name, " ");
	(void)fprintf(f, "\t%.*s) words=\"", (int)length, k[at].name);
	for (size_t i = 0; i < n; i++) {
		if (strncmp(k[i].name, k[at].name, length) != 0 ||
		    (k[i].name[length] != ' ' && k[i].name[length] != '\0'))
			continue;
		if (k[i].name[length] == ' ')
			(void)fprintf(f, "%s ", k[i].name + length + 1);
		for (const struct cli_flag *g = k[i].flags; g->name; g++)
			(void)fprintf(f, "--%s ", g->name);
	}
	(void)fprintf(f, "\" ;;\n");
}

static void bash_write(FILE *f)
{
	size_t n;
	const struct cli_command *k = cli_commands(&n);
	(void)fprintf(f, "# bash completion for slipway\n_slipway()\n{\n\tlocal words "
			 "cur=${COMP_WORDS[COMP_CWORD]}\n"
			 "\tif [ \"$COMP_CWORD\" -le 1 ]; then\n\t\twords=\"");
	for (size_t i = 0; i < n; i++)
		if (first_of_its_word(i, k))
			(void)fprintf(f, "%.*s ", (int)strcspn(k[i].name, " "), k[i].name);
	(void)fprintf(f, "\"\n\telse\n\tcase ${COMP_WORDS[1]} in\n");
	for (size_t i = 0; i < n; i++)
		if (first_of_its_word(i, k))
			bash_words(f, i, k, n);
	(void)fprintf(f, "\tesac\n\tfi\n\twords+=\"");
	for (const struct cli_flag *g = cli_global_flags(); g->name; g++)
		(void)fprintf(f, " --%s", g->name);
	(void)fprintf(f, "\"\n\tmapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$cur\")\n}\n"
			 "complete -o default -F _slipway slipway\n");
}

/* Text inside single quotes of a shell. */
static void put_quoted(FILE *f, const char *text)
{
	for (; *text; text++) {
		if (*text == '\'')
			(void)fputs("'\\''", f);
		else
			(void)fputc(*text, f);
	}
}

static void zsh_write(FILE *f)
{
	size_t n;
	const struct cli_command *k = cli_commands(&n);
	(void)fprintf(
	    f, "#compdef slipway\n_slipway() {\n\tlocal -a commands words\n\tcommands=(\n");
	for (size_t i = 0; i < n; i++)
		if (first_of_its_word(i, k)) {
			(void)fprintf(f, "\t\t'%.*s:", (int)strcspn(k[i].name, " "), k[i].name);
			put_quoted(f, k[i].help);
			(void)fprintf(f, "'\n");
		}
	(void)fprintf(f,
	    "\t)\n\tif (( CURRENT == 2 )); then\n\t\t_describe command commands\n\t\treturn\n"
	    "\tfi\n\tcase $words[2] in\n");
	for (size_t i = 0; i < n; i++) {
		if (!first_of_its_word(i, k))
			continue;
		int length = (int)strcspn(k[i].name, " ");
		(void)fprintf(f, "\t%.*s) compadd --", length, k[i].name);
		for (size_t j = i; j < n; j++) {
			if (strncmp(k[j].name, k[i].name, (size_t)length) != 0 ||
			    (k[j].name[length] != ' ' && k[j].name[length] != '\0'))
				continue;
			if (k[j].name[length] == ' ')
				(void)fprintf(f, " %s", k[j].name + length + 1);
			for (const struct cli_flag *g = k[j].flags; g->name; g++)
				(void)fprintf(f, " --%s", g->name);
		}
		for (const struct cli_flag *g = cli_global_flags(); g->name; g++)
			(void)fprintf(f, " --%s", g->name);
		(void)fprintf(f, " ;;\n");
	}
	(void)fprintf(f, "\tesac\n\t_files\n}\ncompdef _slipway slipway\n");
}

static void fish_flags(FILE *f, const char *condition, const struct cli_flag *g)
{
	for (; g->name; g++) {
		(void)fprintf(f, "complete -c slipway%s -l %s%s -d '", condition, g->name,
		    g->value ? " -r" : "");
		put_quoted(f, g->help);
		(void)fprintf(f, "'\n");
	}
}

static void fish_write(FILE *f)
{
	size_t n;
	const struct cli_command *k = cli_commands(&n);
	(void)fprintf(f, "# fish completion for slipway\n");
	for (size_t i = 0; i < n; i++) {
		int length = (int)strcspn(k[i].name, " ");
		char condition[96];
		if (first_of_its_word(i, k)) {
			(void)fprintf(f,
			    "complete -c slipway -n __fish_use_subcommand -f -a %.*s -d '", length,
			    k[i].name);
			put_quoted(f, k[i].help);
			(void)fprintf(f, "'\n");
		}
		(void)snprintf(condition, sizeof(condition),
		    " -n '__fish_seen_subcommand_from %.*s'", length, k[i].name);
		if (k[i].name[length] == ' ') {
			(void)fprintf(f, "complete -c slipway%s -f -a %s -d '", condition,
			    k[i].name + length + 1);
			put_quoted(f, k[i].help);
			(void)fprintf(f, "'\n");
		}
		fish_flags(f, condition, k[i].flags);
	}
	fish_flags(f, "", cli_global_flags());
}

int completion_write(const char *shell, FILE *f)
{
	if (strcmp(shell, "bash") == 0)
		bash_write(f);
	else if (strcmp(shell, "zsh") == 0)
		zsh_write(f);
	else if (strcmp(shell, "fish") == 0)
		fish_write(f);
	else
		return -1;
	return 0;
}
