/* Well-known complaints of programs, and what helps. */
#include "deploy/hints.h"

#include <stdio.h>
#include <string.h>

struct complaint {
	const char *before; /* what stands before the name; NULL-name hints have no %s */
	char until;	    /* what ends the name; 0: there is no name */
	const char *advice; /* one %.*s when there is a name */
};

static const struct complaint complaints[] = {
    {"ModuleNotFoundError: No module named '", '\'', "add '%.*s' to requirements.txt"},
    {"ImportError: No module named '", '\'', "add '%.*s' to requirements.txt"},
    {"Error: Cannot find module '", '\'', "add '%.*s' to package.json"},
    {"Cannot find package '", '\'', "add '%.*s' to package.json"},
    {"KeyError: '", '\'', "is a variable missing? slipway env set %.*s=…"},
    {"Address already in use", 0, "let it listen on $PORT or take its socket (LISTEN_FDS)"},
    {"EADDRINUSE", 0, "let it listen on $PORT or take its socket (LISTEN_FDS)"},
    {"Permission denied", 0,
	"writable are data/ ($SLIPWAY_DATA_DIR) and the temporary folder; a build has its own "
	"folder instead of data/"},
    {"Read-only file system", 0,
	"writable are data/ ($SLIPWAY_DATA_DIR) and the temporary folder; a build has its own "
	"folder instead of data/"},
    {"File too large", 0, "a file met limits.disk, the disk limit; raise it in slipway.yaml"},
    {"isk quota exceeded", 0,
	"the project's files met limits.disk, the disk limit: remove some, or raise it"},
    {"Too many open files", 0,
	"it met limits.files, the limit on open files; raise it in slipway.yaml"},
    {"EMFILE", 0, "it met limits.files, the limit on open files; raise it in slipway.yaml"},
    {"no such table", 0, "let a release command run the migrations"},
    {"DisallowedHost", 0, "allow the hosts in $SLIPWAY_DOMAINS"},
    {"no such file in the release", 0,
	"if a build makes it, say `kind: make` or `build:` in slipway.yaml"},
    {"MemoryError", 0, "raise limits.memory in slipway.yaml"},
    {"heap out of memory", 0, "raise limits.memory in slipway.yaml"},
};

static size_t find(struct str s, const char *needle)
{
	size_t n = strlen(needle);
	for (size_t i = 0; n <= s.n && i + n <= s.n; i++)
		if (memcmp(s.p + i, needle, n) == 0)
			return i;
	return SIZE_MAX;
}

/* A name goes into a sentence for people: short and plain, or not at all. */
static bool plain(struct str s)
{
	if (s.n == 0 || s.n > 80)
		return false;
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] < 0x21 || s.p[i] > 0x7e)
			return false;
	return true;
}

static bool advise(const struct complaint *c, struct str lines, char *out, size_t size)
{
	size_t at = find(lines, c->before);
	if (at == SIZE_MAX)
		return false;
	if (c->until == 0) {
		(void)snprintf(out, size, "%s", c->advice);
		return true;
	}
	size_t from = at + strlen(c->before), end = str_find(lines, c->until, from);
	struct str name = end == SIZE_MAX ? STR_NONE : str_slice(lines, from, end - from);
	if (!plain(name))
		return false;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral" /* the formats are the table's */
	(void)snprintf(out, size, c->advice, STR_ARG(name));
#pragma GCC diagnostic pop
	return true;
}

bool hints_find(struct str lines, char *out, size_t size)
{
	for (size_t i = 0; i < sizeof(complaints) / sizeof(complaints[0]); i++)
		if (advise(&complaints[i], lines, out, size))
			return true;
	return false;
}
