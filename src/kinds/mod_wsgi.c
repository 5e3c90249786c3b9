/* A WSGI application in Apache's mod_wsgi: an Apache of the process' own, started as the project's user like
 * any other program, with its sandbox and limits, behind the same switch. So nothing of it runs as root, and
 * the edge may be nginx or Apache. Its whole configuration is its arguments, no file; ${…} in them are
 * variables of its environment, which Apache itself puts in.
 *
 * Two processes of four threads, each replaced after 1,000 requests. */
#include "kinds/kind.h"

#include <string.h>

#define MODULES "/usr/lib/apache2/modules/mod_"

/* Apache listens on ports only. Its log goes to its own output by way of cat: /dev/stderr, a pipe that root
 * made, is not its to open. (What stands behind a single bar Apache starts by itself, without a shell.) */
static const char *const fixed[] = {"/usr/sbin/apache2", "-DFOREGROUND", "-d", ".", "-f",
    "/dev/null", "-C", ("LoadModule mpm_event_module " MODULES "mpm_event.so"), "-C",
    ("LoadModule authz_core_module " MODULES "authz_core.so"), "-C",
    ("LoadModule wsgi_module " MODULES "wsgi.so"), "-c", "ServerName localhost", "-c",
    "Listen 127.0.0.1:${PORT}", "-c", "PidFile ${TMPDIR}/apache.pid", "-c",
    "DefaultRuntimeDir ${TMPDIR}", "-c", "DocumentRoot ${TMPDIR}", "-c",
    "ErrorLog \"|/usr/bin/cat\"", "-c", "LogLevel warn", "-c", "ServerTokens Prod", "-c",
    "StartServers 1", "-c", "ServerLimit 2", "-c", "ThreadsPerChild 32", "-c",
    "MaxRequestWorkers 64", "-c", "MinSpareThreads 1", "-c", "MaxSpareThreads 64", "-c",
    "WSGISocketPrefix ${TMPDIR}/wsgi", "-c", "WSGIRestrictEmbedded On", "-c",
    "WSGIProcessGroup web", "-c", "WSGIApplicationGroup %{GLOBAL}", "-c",
    "WSGIPassAuthorization On"};
#define FIXED (sizeof(fixed) / sizeof(*fixed))

static void put_pair(struct kind_work *w, const char **words, size_t *n, struct str directive)
{
	const char *text = arena_cstr(w->a, directive);
	words[(*n)++] = "-c";
	words[(*n)++] = text ? text : "";
}

struct args kind_mod_wsgi(struct kind_work *w, struct str app)
{
	const char *words[FIXED + 8];
	char file[210];
	size_t n = FIXED, colon = str_find(app, ':', 0);
	struct str module = str_slice(app, 0, colon);
	struct str object = colon == SIZE_MAX ? STR("application") : str_from(app, colon + 1);
	(void)!str_copy(module, file, sizeof(file) - 4);
	for (char *at = file; (at = strchr(at, '.')); at++)
		*at = '/';
	memcpy(file + strlen(file), ".py", 4);
	if (!kind_has(w, file))
		kind_fail(w, ERR_NOT_FOUND,
		    "wsgi names a module of the repository, such as shop.wsgi",
		    "wsgi: %.*s is not there: there is no %s", STR_ARG(app), file);
	memcpy(words, fixed, sizeof(fixed));
	put_pair(w, words, &n,
	    kind_text(w,
		"WSGIDaemonProcess web processes=2 threads=4 maximum-requests=1000 home=${PWD} "
		"python-path=${PWD}%s",
		w->python_installed ? " python-home=${PWD}/.venv" : ""));
	put_pair(w, words, &n, kind_text(w, "WSGICallableObject %.*s", STR_ARG(object)));
	put_pair(w, words, &n, kind_text(w, "WSGIScriptAlias / ${PWD}/%s", file));
	words[n] = NULL;
	kind_note(w, "mod_wsgi: this server needs apache2-bin and libapache2-mod-wsgi-py3");
	return kind_argv(w, words);
}
