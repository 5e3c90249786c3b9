#include "text/procfile.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/name.h"

#include <string.h>

#define LINE_MAX_BYTES 16384u

struct splitter {
	struct str line;
	size_t at;
	unsigned column; /* of line.p[0] */
	struct arena *a;
	struct err *e;
	struct buf word;
	bool in_word;  /* a word has begun, if only with '' */
	bool quoted;   /* some of it was quoted or escaped */
	size_t equals; /* where its first plain '=' is in `word`; SIZE_MAX none */
	bool marks;    /* some word holds a mark */
	struct str words[LIMIT_ARGV_COUNT];
	size_t count;
	struct manifest_pair env[LIMIT_ARGV_COUNT];
	size_t env_count;
};

/* Columns count characters, not bytes. */
static unsigned column_of(const struct splitter *s, size_t at)
{
	unsigned c = s->column;
	for (size_t i = 0; i < at; i++)
		c += ((unsigned char)s->line.p[i] & 0xc0u) != 0x80u;
	return c;
}

static bool name_start(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool name_char(char c)
{
	return name_start(c) || (c >= '0' && c <= '9');
}

static char peek(const struct splitter *s, size_t ahead)
{
	size_t i = s->at + ahead;
	return i < s->line.n ? s->line.p[i] : '\0';
}

static int fault(struct splitter *s, size_t at, const char *what)
{
	return err_set(s->e, ERR_INVALID, "column %u: %s", column_of(s, at), what);
}

static int no_room(struct splitter *s)
{
	return err_set(
	    s->e, ERR_TOO_LARGE, "column %u: the command is too long", column_of(s, s->at));
}

/* The whole line as one argument of a shell that the project names itself. */
static int hint_shell(struct splitter *s)
{
	struct buf b CLEANUP_BUF;
	buf_init_parser(&b, 300);
	for (size_t i = 0; i < s->line.n; i++)
		buf_c(&b, s->line.p[i] == '\'' ? "'\\''" : (char[]){s->line.p[i], '\0'});
	if (b.full)
		return err_hint(s->e, "put the line into a script of the project and name that, "
				      "or write sh -c '…' around it");
	return err_hint(s->e, "write: sh -c '%.*s'", STR_ARG(buf_view(&b)));
}

static int shell_operator(struct splitter *s)
{
	char c = peek(s, 0);
	bool twice = (c == '&' || c == '|') && peek(s, 1) == c;
	char what[96] = {c, twice ? c : '\0'};
	struct str before = str_trim(str_slice(s->line, 0, s->at));
	bool redirect = c == '<' || c == '>';
	if (redirect && before.n && strchr("012", before.p[before.n - 1]))
		before = str_trim(str_slice(before, 0, before.n - 1));
	err_set(s->e, ERR_INVALID, "column %u: '%s' is for a shell, and none runs this line",
	    column_of(s, s->at), what);
	if (c == '>' && before.n)
		return err_hint(s->e, "output is captured already; write: %.*s", STR_ARG(before));
	if (c == '&' && !twice && before.n)
		return err_hint(
		    s->e, "give each program a line of its own; here: %.*s", STR_ARG(before));
	return hint_shell(s);
}

static int substitution(struct splitter *s)
{
	fault(s, s->at,
	    peek(s, 0) == '`' ? "'`' runs a command inside a command, which needs a shell"
			      : "'$(' runs a command inside a command, which needs a shell");
	return hint_shell(s);
}

static int put(struct splitter *s, char c)
{
	buf_char(&s->word, c);
	s->in_word = true;
	return s->word.full ? no_room(s) : 0;
}

static int bad_expansion(struct splitter *s)
{
	fault(s, s->at, "this expansion is not known");
	return err_hint(s->e, "known are $NAME, ${NAME} and ${NAME:-default}; '$' itself is \\$");
}

/* ${NAME} or ${NAME:-default}; s->at is at the '$'. */
static int braced(struct splitter *s)
{
	size_t close = str_find(s->line, '}', s->at);
	if (close == SIZE_MAX)
		return fault(s, s->at, "'${' has no '}'");
	struct str inner = str_slice(s->line, s->at + 2, close - s->at - 2);
	size_t n = 0;
	while (n < inner.n && name_char(inner.p[n]))
		n++;
	struct str rest = str_from(inner, n);
	bool fallback = str_starts(rest, STR(":-"));
	if (n == 0 || !name_start(inner.p[0]) || (rest.n && !fallback))
		return bad_expansion(s);
	struct str value = str_from(rest, 2);
	for (size_t i = 0; i < value.n; i++)
		if (strchr("$`'\"\\{", value.p[i]))
			return fault(s, close - value.n + i,
			    "a default is plain text without quotes, "
			    "'$', '{' or '\\'");
	buf_char(&s->word, PROCFILE_MARK_OPEN);
	buf_put(&s->word, inner.p, n);
	if (fallback)
		buf_char(&s->word, PROCFILE_MARK_DEFAULT);
	buf_str(&s->word, value);
	s->at = close + 1;
	return put(s, PROCFILE_MARK_CLOSE);
}

static int dollar(struct splitter *s)
{
	char c = peek(s, 1);
	s->marks = true;
	s->quoted = true; /* $A=b is no assignment */
	if (c == '(')
		return substitution(s);
	if (c == '{')
		return braced(s);
	if (name_start(c)) {
		size_t n = 1;
		while (name_char(peek(s, n)))
			n++;
		buf_char(&s->word, PROCFILE_MARK_OPEN);
		buf_put(&s->word, s->line.p + s->at + 1, n - 1);
		s->at += n;
		return put(s, PROCFILE_MARK_CLOSE);
	}
	if (c != '\0' && strchr("0123456789@*#?$!-'\"", c))
		return bad_expansion(s);
	s->at++;
	return put(s, '$');
}

static int single_quoted(struct splitter *s)
{
	size_t close = str_find(s->line, '\'', s->at + 1);
	if (close == SIZE_MAX)
		return fault(s, s->at, "this ' has no end");
	buf_str(&s->word, str_slice(s->line, s->at + 1, close - s->at - 1));
	s->at = close + 1;
	s->in_word = s->quoted = true;
	return s->word.full ? no_room(s) : 0;
}

static int double_quoted(struct splitter *s)
{
	size_t open = s->at++;
	s->in_word = s->quoted = true;
	while (s->at < s->line.n && peek(s, 0) != '"') {
		char c = peek(s, 0);
		int rc;
		if (c == '`') {
			rc = substitution(s);
		} else if (c == '$' && peek(s, 1) == '"') {
			s->at++;
			rc = put(s, '$');
		} else if (c == '$') {
			rc = dollar(s);
		} else {
			bool escape =
			    c == '\\' && peek(s, 1) != '\0' && strchr("\"\\$`", peek(s, 1));
			s->at += escape ? 2 : 1;
			rc = put(s, s->line.p[s->at - 1]);
		}
		if (rc)
			return -1;
	}
	if (s->at >= s->line.n)
		return fault(s, open, "this \" has no end");
	s->at++;
	return 0;
}

static int end_word(struct splitter *s, size_t end)
{
	if (!s->in_word)
		return 0;
	struct str word = arena_str(s->a, buf_view(&s->word));
	if (!word.p || s->count == LIMIT_ARGV_COUNT || s->env_count == LIMIT_ARGV_COUNT)
		return no_room(s);
	if (s->count == 0 && s->equals != SIZE_MAX && s->equals > 0) {
		struct manifest_pair *p = &s->env[s->env_count++];
		*p = (struct manifest_pair){
		    str_slice(word, 0, s->equals), str_from(word, s->equals + 1)};
		if (name_env_key(p->key, s->e))
			return err_prefix(s->e, "column %u", column_of(s, end));
	} else if (s->count > 0 || s->quoted || !str_eq_c(word, "exec")) {
		s->words[s->count++] = word;
	}
	buf_clear(&s->word);
	s->in_word = s->quoted = false;
	s->equals = SIZE_MAX;
	return 0;
}

static int plain(struct splitter *s, char c)
{
	if (c == '=' && s->equals == SIZE_MAX && !s->quoted)
		s->equals = s->word.n;
	s->at++;
	return put(s, c);
}

static int step(struct splitter *s)
{
	char c = peek(s, 0);
	switch (c) {
	case ' ':
	case '\t':
	case '\r':
		s->at++;
		return end_word(s, s->at - 1);
	case '\'':
		return single_quoted(s);
	case '"':
		return double_quoted(s);
	case '$':
		return dollar(s);
	case '`':
		return substitution(s);
	case '\\':
		if (s->at + 1 >= s->line.n)
			return fault(s, s->at, "the line ends in '\\'");
		s->quoted = true;
		s->at += 2;
		return put(s, s->line.p[s->at - 1]);
	case '|':
	case '&':
	case ';':
	case '<':
	case '>':
	case '(':
	case ')':
		return shell_operator(s);
	case '#':
		if (!s->in_word) {
			s->at = s->line.n;
			return 0;
		}
		return plain(s, c);
	default:
		return plain(s, c);
	}
}

static int check_bytes(struct splitter *s)
{
	for (size_t i = 0; i < s->line.n; i++)
		if ((unsigned char)s->line.p[i] <= 3)
			return fault(s, i, "a control byte (0 to 3) stands here");
	return str_utf8_ok(s->line) ? 0 : fault(s, 0, "the command is not UTF-8 text");
}

static int finish(struct splitter *s, struct manifest_command *ret)
{
	if (s->count == 0)
		return fault(s, s->line.n, "there is no command");
	if (s->words[0].n == 0)
		return fault(s, 0, "the program's name is empty");
	*ret = (struct manifest_command){
	    .argv = {arena_array(s->a, s->count, sizeof(struct str)), s->count},
	    .env = arena_array(s->a, s->env_count, sizeof(struct manifest_pair)),
	    .env_count = s->env_count,
	    .expand = s->marks};
	if (!ret->argv.v || !ret->env)
		return no_room(s);
	memcpy(ret->argv.v, s->words, s->count * sizeof(struct str));
	memcpy(ret->env, s->env, s->env_count * sizeof(struct manifest_pair));
	return 0;
}

int procfile_split(
    struct str line, unsigned column, struct arena *a, struct manifest_command *ret, struct err *e)
{
	struct splitter s = {.line = line, .column = column, .a = a, .e = e, .equals = SIZE_MAX};
	if (line.n > LINE_MAX_BYTES)
		return err_set(e, ERR_TOO_LARGE, "the command has %zu bytes, more than %u", line.n,
		    LINE_MAX_BYTES);
	buf_init_parser(&s.word, LIMIT_ARGV_BYTES);
	int rc = check_bytes(&s);
	while (!rc && s.at < line.n)
		rc = step(&s);
	if (!rc)
		rc = end_word(&s, s.at);
	if (!rc)
		rc = finish(&s, ret);
	buf_fini(&s.word);
	return rc;
}

/* "name: command" with the name checked; *ret_column is where the command begins. */
static int read_line(struct str line, const struct manifest_process *sofar, size_t count,
    struct arena *a, struct manifest_process *ret, struct err *e)
{
	size_t colon = str_find(line, ':', 0);
	if (colon == SIZE_MAX) {
		err_set(e, ERR_INVALID, "there is no ':'");
		return err_hint(e, "write NAME: COMMAND, such as web: gunicorn app:app");
	}
	struct str name = str_trim(str_slice(line, 0, colon));
	if (name_process(name, e))
		return -1;
	for (size_t i = 0; i < count; i++)
		if (str_eq(sofar[i].name, name))
			return err_set(e, ERR_INVALID, "process '%.*s' comes twice", STR_ARG(name));
	size_t at = colon + 1;
	while (at < line.n && (line.p[at] == ' ' || line.p[at] == '\t'))
		at++;
	unsigned column = 1;
	for (size_t i = 0; i < at; i++)
		column += ((unsigned char)line.p[i] & 0xc0u) != 0x80u;
	*ret = (struct manifest_process){.name = arena_str(a, name)};
	if (!ret->name.p)
		return err_set(e, ERR_TOO_LARGE, "it is too large to be read");
	return procfile_split(str_trim(str_from(line, at)), column, a, &ret->run, e);
}

int procfile_read(struct str text, const char *file, struct arena *a, struct manifest_process **ret,
    size_t *ret_count, struct err *e)
{
	if (text.n > LIMIT_MANIFEST_BYTES)
		return err_set(e, ERR_TOO_LARGE, "%s has %zu bytes, more than %u", file, text.n,
		    LIMIT_MANIFEST_BYTES);
	*ret_count = 0;
	*ret = arena_array(a, LIMIT_PROCESSES, sizeof(**ret));
	if (!*ret)
		return err_set(e, ERR_TOO_LARGE, "%s is too large to be read", file);
	struct str line;
	for (unsigned number = 1; str_next(&text, '\n', &line); number++) {
		struct str shown = str_trim(line);
		if (shown.n == 0 || shown.p[0] == '#')
			continue;
		if (*ret_count == LIMIT_PROCESSES)
			return err_set(e, ERR_TOO_LARGE, "%s:%u: more than %u processes", file,
			    number, LIMIT_PROCESSES);
		if (read_line(line, *ret, *ret_count, a, &(*ret)[*ret_count], e))
			return err_prefix(e, "%s:%u", file, number);
		(*ret_count)++;
	}
	return 0;
}
