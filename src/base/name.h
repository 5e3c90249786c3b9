/* Every name that a person chooses and that reaches a file, a user, a unit or a vhost is judged here
 * and nowhere else (the helper calls the same functions again). */
#pragma once

#include "base/err.h"
#include "base/str.h"

#define NAME_PROJECT_MAX 29
#define NAME_PROCESS_MAX 16
#define NAME_DOMAIN_MAX 253
#define NAME_SITE_MAX 200
#define NAME_SNIPPET_MAX 100

/* [a-z]([a-z0-9-]{0,27}[a-z0-9])?, no "--", not reserved. */
int name_project(struct str s, struct err *e) WARN_UNUSED;
int name_process(struct str s, struct err *e) WARN_UNUSED; /* [a-z][a-z0-9]{0,15} */
int name_service(struct str s, struct err *e) WARN_UNUSED; /* as a process's */
int name_hook(struct str s, struct err *e) WARN_UNUSED;	   /* as a project's, up to 63 */
int name_operator(struct str s, struct err *e) WARN_UNUSED; /* [a-z][a-z0-9._-]{0,31} */
/* A host name: LDH labels, lower case, at most 253, at least one dot or ending in ".localhost"/"localhost";
 * "*.example.org" is refused. IDNA is the caller's. */
int name_domain(struct str s, struct err *e) WARN_UNUSED;
/* The hosts that a platform answers at itself. NULLs, and an address that names no host: none. */
struct name_platform {
	const char *host, *public_url;
	bool names_below; /* every project also answers as NAME.host */
};
/* Whether the project may have this domain, whoever asks and wherever it is written: ERR_CONFLICT for the platform's own and
 * for what another project has, or would have, by its name. `host` has been through name_domain. */
int name_domain_free(
    struct str host, struct str project, const struct name_platform *p, struct err *e) WARN_UNUSED;
/* Whether one of `names` (a certificate's: one blank between, "*." may begin one) is the host's: itself, or "*." and all
 * but the host's first label (RFC 6125, 6.4.3). */
bool name_covered(struct str host, struct str names);
int name_env_key(struct str s, struct err *e) WARN_UNUSED; /* [A-Za-z_][A-Za-z0-9_]{0,127}, no SLIPWAY_/LD_ prefix */
/* git-check-ref-format(1) for a branch or tag name without refs/heads/; also refuses a leading '-'. */
int name_ref(struct str s, struct err *e) WARN_UNUSED;
int name_commit(struct str s, struct err *e) WARN_UNUSED; /* 40 or 64 lower-case hex digits */
/* A relative path inside a release: no "..", no empty or dot component, no NUL, at most 1024 bytes, no leading '/'. */
int name_subpath(struct str s, struct err *e) WARN_UNUSED;
/* A URL path prefix such as /static: starts with '/', segments of [A-Za-z0-9._~-], at most 200. */
int name_url_prefix(struct str s, struct err *e) WARN_UNUSED;
/* A site of an nginx-site project, as its file is called: [NAME].nginxconf. [A-Za-z0-9_][A-Za-z0-9._-]{0,199}, no "..". */
int name_site(struct str s, struct err *e) WARN_UNUSED;
/* A file of its snippets: as a site's name, at most 100. */
int name_snippet(struct str s, struct err *e) WARN_UNUSED;
