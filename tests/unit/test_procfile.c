/* rooms: base text */
#include "text/procfile.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Words joined by '|', environment in front as KEY=VALUE, marks shown as they are. */
static const struct {
	const char *line, *words;
	bool expand;
} good[] = {
    {"gunicorn app:app", "gunicorn|app:app", false},
    {"  a\t b  ", "a|b", false},
    {"a 'b c' \"d e\" f\\ g", "a|b c|d e|f g", false},
    {"a ''", "a|", false},
    {"a \"x\\\"y\\n\\$z\"", "a|x\"y\\n$z", false},
    {"a 'it'\\''s'", "a|it's", false},
    {"A=b C='d e' prog x=y", "{A=b}{C=d e}prog|x=y", false},
    {"A= prog", "{A=}prog", false},
    {"exec prog -x", "prog|-x", false},
    {"prog --bind 0.0.0.0:$PORT", "prog|--bind|0.0.0.0:\x01PORT\x02", true},
    {"prog ${PORT:-80 80} \"$A b\"",
	"prog|\x01PORT\x03"
	"80 80\x02|\x01"
	"A\x02 b",
	true},
    {"prog ${A}${B}x",
	"prog|\x01"
	"A\x02\x01"
	"B\x02x",
	true},
    {"prog '$A' \\$B a$", "prog|$A|$B|a$", true},
    {"A=$B prog",
	"{A=\x01"
	"B\x02}prog",
	true},
    {"prog a#b # comment", "prog|a#b", false},
    {"prog *.c [x] ~", "prog|*.c|[x]|~", false},
    {"sh -c 'a && b | c'", "sh|-c|a && b | c", false},
    {"\"A\"=b", "A=b", false},
    {"prog \xc3\xa9", "prog|\xc3\xa9", false},
};

static const struct {
	const char *line, *message, *hint;
} bad[] = {
    {"a && b", "column 3: '&&'", "sh -c 'a && b'"},
    {"a || b", "column 3: '||'", "sh -c"},
    {"a | b", "column 3: '|'", "sh -c 'a | b'"},
    {"a; b", "column 2: ';'", "sh -c"},
    {"a & b", "column 3: '&'", "line of its own"},
    {"a > log", "column 3: '>'", "write: a"},
    {"a b 2>&1", "column 6: '>'", "write: a b"},
    {"a < in", "column 3: '<'", "sh -c"},
    {"a $(b)", "column 3: '$('", "sh -c 'a $(b)'"},
    {"a `b`", "column 3: '`'", ""},
    {"a \"`b`\"", "column 4: '`'", ""},
    {"a \"$(b)\"", "column 4: '$('", ""},
    {"(a)", "column 1: '('", ""},
    {"a 'b", "column 3: this ' has no end", ""},
    {"a \"b", "column 3: this \" has no end", ""},
    {"a b\\", "column 4: the line ends", ""},
    {"a ${B", "column 3: '${' has no '}'", ""},
    {"a ${B:=x}", "column 3: this expansion", "${NAME:-default}"},
    {"a ${1}", "column 3: this expansion", ""},
    {"a $1", "column 3: this expansion", ""},
    {"a $$", "column 3: this expansion", ""},
    {"a ${B:-$C}", "a default is plain text", ""},
    {"", "there is no command", ""},
    {"A=b", "there is no command", ""},
    {"'' x", "name is empty", ""},
    {"a \x01"
     "B\x02",
	"column 3: a control byte", ""},
    {"LD_PRELOAD=x a", "variable name 'LD_PRELOAD'", ""},
    {"\xc3\xa9 | b", "column 3: '|'", ""},
    {"it's | 'x'", "", ""},
};

static void show(const struct manifest_command *c, struct buf *b)
{
	for (size_t i = 0; i < c->env_count; i++)
		buf_printf(b, "{%.*s=%.*s}", STR_ARG(c->env[i].key), STR_ARG(c->env[i].value));
	for (size_t i = 0; i < c->argv.n; i++) {
		buf_c(b, i ? "|" : "");
		buf_str(b, c->argv.v[i]);
	}
}

static void splits(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
		struct arena a CLEANUP_ARENA;
		struct buf b CLEANUP_BUF;
		struct manifest_command c;
		struct err e = {0};
		arena_init(&a, 1u << 20);
		buf_init(&b, 4096);
		if (procfile_split(str_c(good[i].line), 1, &a, &c, &e))
			fail_msg("%s -> %s", good[i].line, e.msg);
		show(&c, &b);
		if (!str_eq_c(buf_view(&b), good[i].words) || c.expand != good[i].expand)
			fail_msg("%s -> %s", good[i].line, b.p);
	}
}

static void refuses(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct arena a CLEANUP_ARENA;
		struct manifest_command c;
		struct err e = {0};
		arena_init(&a, 1u << 20);
		int rc = procfile_split(str_c(bad[i].line), 1, &a, &c, &e);
		if (rc != -1 || !strstr(e.msg, bad[i].message) || !strstr(e.hint, bad[i].hint))
			fail_msg("%s -> %d '%s' '%s'", bad[i].line, rc, e.msg, e.hint);
	}
}

static void reads_files(void **state)
{
	(void)state;
	struct arena a CLEANUP_ARENA;
	struct manifest_process *p;
	size_t n;
	struct err e = {0};
	arena_init(&a, 1u << 20);
	assert_int_equal(procfile_read(STR("# c\r\nweb: gunicorn x\r\n\nworker :a b\nrelease: r"),
			     "Procfile", &a, &p, &n, &e),
	    0);
	assert_int_equal(n, 3);
	assert_true(str_eq_c(p[0].name, "web") && p[0].run.argv.n == 2);
	assert_true(str_eq_c(p[0].run.argv.v[1], "x"));
	assert_true(str_eq_c(p[1].name, "worker"));
	assert_true(str_eq_c(p[2].name, "release"));
	assert_int_equal(procfile_read(STR("web: a\nweb: b\n"), "Procfile", &a, &p, &n, &e), -1);
	assert_string_equal(e.msg, "Procfile:2: process 'web' comes twice");
	assert_int_equal(procfile_read(STR("a\n"), "Procfile", &a, &p, &n, &e), -1);
	assert_string_equal(e.msg, "Procfile:1: there is no ':'");
	assert_int_equal(
	    procfile_read(STR("web: x\nweb2: a | b\n"), "Procfile", &a, &p, &n, &e), -1);
	assert_non_null(strstr(e.msg, "Procfile:2: column 9: '|'"));
	assert_int_equal(procfile_read(STR("Web: x\n"), "Procfile", &a, &p, &n, &e), -1);
	assert_int_equal(procfile_read(STR("web: x \xff\n"), "Procfile", &a, &p, &n, &e), -1);
	assert_int_equal(procfile_read(STR(""), "Procfile", &a, &p, &n, &e), 0);
	assert_int_equal(n, 0);
}

static void small_arenas_fail_cleanly(void **state)
{
	(void)state;
	for (size_t cap = 0; cap < 4000; cap += 64) {
		struct arena a CLEANUP_ARENA;
		struct manifest_command c;
		struct err e = {0};
		arena_init(&a, cap);
		if (procfile_split(STR("A=b prog one two three"), 1, &a, &c, &e) == 0)
			return;
		assert_int_equal(e.code, ERR_TOO_LARGE);
	}
	fail_msg("never fitted");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(splits),
	    cmocka_unit_test(refuses),
	    cmocka_unit_test(reads_files),
	    cmocka_unit_test(small_arenas_fail_cleanly),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
