#include "base/log.h"
#include "source/address.h"
#include "source/source.h"

#include <stdio.h>
#include <sys/wait.h>

/* What went wrong, as far as the job's last lines tell. */
enum cause {
	CAUSE_UNKNOWN,
	CAUSE_DENIED,
	CAUSE_NOT_FOUND,
	CAUSE_HOST_KEY,
	CAUSE_UNREACHABLE,
	CAUSE_CERTIFICATE,
	CAUSE_REDIRECT,
	CAUSE_REF,
	CAUSE_MEMORY,
	CAUSE_COUNT
};

/* git's and ssh's words, most telling first. */
static const struct {
	const char *words;
	enum cause cause;
} signs[] = {
    {"slipway-tree: ref:", CAUSE_REF},
    {"fatal: Out of memory", CAUSE_MEMORY},
    {"Host key verification failed", CAUSE_HOST_KEY},
    {"REMOTE HOST IDENTIFICATION HAS CHANGED", CAUSE_HOST_KEY},
    {"Permission denied", CAUSE_DENIED},
    {"Authentication failed", CAUSE_DENIED},
    {"could not read Username", CAUSE_DENIED},
    {"could not read Password", CAUSE_DENIED},
    {"unable to read askpass response", CAUSE_DENIED},
    {"Access denied", CAUSE_DENIED},
    {"returned error: 401", CAUSE_DENIED},
    {"returned error: 403", CAUSE_DENIED},
    {"returned error: 30", CAUSE_REDIRECT},
    {"SSL certificate problem", CAUSE_CERTIFICATE},
    {"certificate verification failed", CAUSE_CERTIFICATE},
    {"epository not found", CAUSE_NOT_FOUND},
    {"does not appear to be a git repository", CAUSE_NOT_FOUND},
    {"returned error: 404", CAUSE_NOT_FOUND},
    {"' not found", CAUSE_NOT_FOUND},
    {"does not exist", CAUSE_NOT_FOUND},
    {"project you were looking for could not be found", CAUSE_NOT_FOUND},
    {"Connection refused", CAUSE_UNREACHABLE},
    {"Couldn't connect", CAUSE_UNREACHABLE},
    {"Failed to connect", CAUSE_UNREACHABLE},
    {"timed out", CAUSE_UNREACHABLE},
    {"Could not resolve", CAUSE_UNREACHABLE},
    {"No route to host", CAUSE_UNREACHABLE},
    {"Network is unreachable", CAUSE_UNREACHABLE},
    {"Connection reset", CAUSE_UNREACHABLE},
    {"Empty reply from server", CAUSE_UNREACHABLE},
    {"Connection closed by", CAUSE_UNREACHABLE},
};

/* slipway-tree's own last line: "slipway-tree: KIND: text". */
static const struct {
	const char *kind;
	enum err_code code;
	const char *hint;
} own[] = {
    {"host", ERR_UNAVAILABLE, "check the address of the repository, or try again later"},
    {"address", ERR_FORBIDDEN,
	"private networks are closed to sources; the operator may open them (allow_private)"},
    {"ref", ERR_NOT_FOUND, "set the branch with `slipway deploy --ref`, or push it"},
    {"size", ERR_TOO_LARGE, "keep large files out of the repository, or ask the operator for more"},
    {"link", ERR_INVALID,
	"replace the link by the file it points at, or by a relative link inside the tree"},
    {"entry", ERR_INVALID, "remove that entry from the source"},
    {"archive", ERR_INVALID, "send a tar, tar.gz or zip archive"},
    {"timeout", ERR_TIMEOUT, "try again later"},
    {"settings", ERR_SETTINGS, ""},
    {"denied", ERR_FORBIDDEN,
	"make it readable for the project's user, and keep it out of /tmp, which each project has "
	"of its own"},
    {"python", ERR_FAILED, "mend the requirements; the lines above it are pip's own"},
    {"lock", ERR_SETTINGS,
	"mend the lock file, or name another file in slipway.yaml: python: {from: FILE}"},
    {"node", ERR_FAILED, "mend package.json and its lock file; the lines above are the tool's own"},
};

/* The last of slipway-tree's own lines, and the hint when the one before it was that. */
static struct str last_own_line(struct str lines, struct str *ret_hint)
{
	struct str line, found = STR_NONE, before = STR_NONE;
	while (str_next(&lines, '\n', &line)) {
		if (!str_starts(line, STR("slipway-tree: ")))
			continue;
		before = found;
		found = str_trim(str_from(line, 14));
	}
	*ret_hint = str_starts(before, STR("hint: ")) ? str_from(before, 6) : STR_NONE;
	return found;
}

static enum cause cause_of(struct str lines)
{
	for (size_t i = 0; i < sizeof(signs) / sizeof(*signs); i++)
		if (str_contains(lines, str_c(signs[i].words)))
			return signs[i].cause;
	return CAUSE_UNKNOWN;
}

/* Which key to add where: the page, for the hosts whose pages are known. */
static void hint_key(
    const struct source_spec *s, const struct source_address *at, const char *before, struct err *e)
{
	static const struct {
		const char *host, *page;
	} pages[] = {{"github.", "settings/keys"}, {"gitlab", "-/settings/repository"},
	    {"bitbucket.org", "admin/access-keys/"}, {"codeberg.", "settings/keys"},
	    {"gitea.", "settings/keys"}};
	struct str repo = source_address_repository(at);
	struct str key = s->public_key.n && s->public_key.n < 180
			     ? s->public_key
			     : STR("the public key that `slipway info` prints");
	for (size_t i = 0; i < sizeof(pages) / sizeof(*pages); i++)
		if (str_contains(at->host, str_c(pages[i].host))) {
			err_hint(e, "%sadd at https://%.*s/%.*s/%s, read-only: %.*s", before,
			    STR_ARG(at->host), STR_ARG(repo), pages[i].page, STR_ARG(key));
			return;
		}
	err_hint(e, "%sadd on %.*s, as a key that may read '%.*s': %.*s", before, STR_ARG(at->host),
	    STR_ARG(repo), STR_ARG(key));
}

static void denied(const struct source_spec *s, const struct source_address *at, struct err *e)
{
	struct str repo = source_address_repository(at);
	if (at->scheme == SOURCE_SSH && s->deploy_key.n) {
		err_set(e, ERR_FORBIDDEN, "%.*s does not let the project's deploy key read '%.*s'",
		    STR_ARG(at->host), STR_ARG(repo));
		hint_key(s, at, "", e);
	} else if (at->scheme == SOURCE_SSH) {
		err_set(e, ERR_FORBIDDEN,
		    "%.*s asks for a key to read '%.*s', and the project has none",
		    STR_ARG(at->host), STR_ARG(repo));
		err_hint(
		    e, "make a deploy key for the project, or use the https address with a token");
	} else if (at->scheme == SOURCE_LOCAL) {
		err_set(
		    e, ERR_FORBIDDEN, "the project's user cannot read '%.*s'", STR_ARG(at->path));
		err_hint(e, "let it read the directory, or serve the repository over http");
	} else if (s->https_token.n) {
		err_set(e, ERR_FORBIDDEN, "%.*s does not accept the project's token for '%.*s'",
		    STR_ARG(at->host), STR_ARG(repo));
		err_hint(
		    e, "make a token that may read this repository, and set it for the project");
	} else {
		err_set(e, ERR_FORBIDDEN, "%.*s asks for a login to read '%.*s'", STR_ARG(at->host),
		    STR_ARG(repo));
		err_hint(
		    e, "set a token for the project, or use the ssh address with its deploy key");
	}
}

static void not_found(const struct source_spec *s, const struct source_address *at, struct err *e)
{
	struct str repo = source_address_repository(at);
	bool keyless = !s->https_token.n && !s->deploy_key.n && at->scheme != SOURCE_LOCAL;
	if (at->scheme == SOURCE_LOCAL)
		err_set(
		    e, ERR_NOT_FOUND, "there is no git repository at '%.*s'", STR_ARG(at->path));
	else
		err_set(e, ERR_NOT_FOUND, "%.*s knows no repository '%.*s', or does not show it",
		    STR_ARG(at->host), STR_ARG(repo));
	if (at->scheme == SOURCE_SSH && s->deploy_key.n) {
		hint_key(s, at, "check the address; if it is private, ", e);
	} else {
		err_hint(
		    e, keyless
			   ? "check the address; a private repository needs a token or a deploy key"
			   : "check the address and what the key or token may read");
	}
}

static void by_cause(
    const struct source_spec *s, const struct source_address *at, enum cause cause, struct err *e)
{
	switch (cause) {
	case CAUSE_DENIED:
		denied(s, at, e);
		break;
	case CAUSE_NOT_FOUND:
		not_found(s, at, e);
		break;
	case CAUSE_HOST_KEY:
		err_set(e, ERR_FORBIDDEN, "the host key of %.*s is not the one that was pinned",
		    STR_ARG(at->host));
		err_hint(e,
		    "if the server has a new key, give the project its source again (PATCH it by "
		    "the API): that forgets the old one; otherwise somebody stands between");
		break;
	case CAUSE_UNREACHABLE:
		err_set(e, ERR_UNAVAILABLE, "could not reach %.*s on port %u", STR_ARG(at->host),
		    at->port);
		err_hint(e, "check that the server runs and that this machine may connect to it");
		break;
	case CAUSE_CERTIFICATE:
		err_set(e, ERR_FORBIDDEN, "the certificate of %.*s cannot be verified",
		    STR_ARG(at->host));
		err_hint(e, "add its authority to the certificates of this machine");
		break;
	case CAUSE_REDIRECT:
		err_set(e, ERR_INVALID, "%.*s answers with a redirection, which is not followed",
		    STR_ARG(at->host));
		err_hint(e, "open the address in a browser and use the one it ends at");
		break;
	case CAUSE_MEMORY:
		err_set(e, ERR_FAILED, "git ran out of memory");
		err_hint(e, "keep very large files out of the repository, or ask the operator for "
			    "more (limits.build_memory_bytes of the project)");
		break;
	case CAUSE_REF:
	case CAUSE_UNKNOWN:
	case CAUSE_COUNT:
		break;
	}
}

static bool by_own_line(struct str lines, struct err *e)
{
	struct str hint, line = last_own_line(lines, &hint);
	for (size_t i = 0; i < sizeof(own) / sizeof(*own); i++) {
		struct str kind = str_c(own[i].kind);
		if (!str_starts(line, kind) || !str_starts(str_from(line, kind.n), STR(": ")))
			continue;
		char shown[440], help[300];
		log_escape(str_from(line, kind.n + 2), shown, sizeof(shown));
		log_escape(hint, help, sizeof(help));
		err_set(e, own[i].code, "%s", shown);
		err_hint(e, "%s", hint.n ? help : own[i].hint);
		return true;
	}
	return false;
}

bool source_own_words(struct str last_lines, struct err *e)
{
	return by_own_line(last_lines, e);
}

static void unknown(int wait_status, struct str lines, struct err *e)
{
	char shown[300] = "";
	struct str line, last = STR_NONE;
	while (str_next(&lines, '\n', &line))
		if (str_trim(line).n)
			last = str_trim(line);
	log_escape(last, shown, sizeof(shown));
	if (WIFSIGNALED(wait_status))
		err_set(e, ERR_FAILED, "the fetch was ended by signal %d%s%s",
		    WTERMSIG(wait_status), last.n ? "; its last line: " : "", shown);
	else
		err_set(e, ERR_FAILED, "the fetch failed with status %d%s%s",
		    WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : -1, last.n ? ": " : "",
		    shown);
}

void source_explain(
    const struct source_spec *s, int wait_status, struct str last_lines, struct err *e)
{
	struct source_address at = {0};
	if (by_own_line(last_lines, e))
		return;
	bool git = s->type == SOURCE_GIT && source_address_parse(s->url, &at, NULL) == 0;
	enum cause cause = git ? cause_of(last_lines) : CAUSE_UNKNOWN;
	if (cause != CAUSE_UNKNOWN && cause != CAUSE_REF)
		by_cause(s, &at, cause, e);
	else
		unknown(wait_status, last_lines, e);
}
