/* What people say about sources and limits, checked. Not for other rooms. */
#pragma once

#include "api/call.h"
#include "model/project.h"

struct api_source {
	enum model_source type;
	struct str url, ref; /* url: the path of a path source; empty of an archive */
	bool wants_key;	     /* fetched over ssh: needs a deploy key */
	bool trusted;	     /* the subject may name private networks and paths of the server */
};
/* Reads {type, url|path, ref}. `pointer` is where it stands ("/source"). ERR_INVALID, or
 * ERR_FORBIDDEN when only a global admin may name such a source: a path of the server or an address
 * inside. */
int api_source_read(const struct api_call *c, const json_t *o, const char *pointer,
    struct api_source *ret, struct err *e) WARN_UNUSED;
/* An address given for one deploy. */
int api_source_url_check(
    const struct api_call *c, struct str url, const char *pointer, struct err *e) WARN_UNUSED;
/* A branch, tag or commit. */
int api_ref_check(struct str ref, const char *pointer, struct err *e) WARN_UNUSED;
/* The body's poll_ms, 0 when it has none. */
int api_poll_read(const json_t *body, int64_t *ret_ms, struct err *e) WARN_UNUSED;
/* Only what comes from git can be looked at. */
int api_poll_check(enum model_source source, int64_t ms, struct err *e) WARN_UNUSED;
/* A credential that git will be given on one line: printable ASCII. Empty is fine. */
int api_token_check(struct str token, const char *pointer, struct err *e) WARN_UNUSED;
/* A host name that a project may claim: name_domain and name_domain_free. */
int api_domain_check(
    const struct api_call *c, struct str project, struct str host, struct err *e) WARN_UNUSED;
/* What becomes the edge's own configuration is an operator's of the whole platform. p: the project as it is; NULL: it is being
 * made. kind: what it is to be; p NULL for the same. `what` for the message: "its source". */
int api_site_kind_check(const struct api_call *c, const struct model_project *p, struct str kind, struct err *e) WARN_UNUSED;
int api_site_owner_check(const struct api_call *c, const struct model_project *p, const char *what, struct err *e) WARN_UNUSED;
/* The member "sites" as JSON; NULL text: it was not said. */
int api_sites_read(const struct api_call *c, struct str *ret, struct err *e) WARN_UNUSED;
/* The member "limits" as JSON; they are an admin's of the platform, whatever role somebody has on the project. STR_NONE: not said. */
int api_limits_read(const struct api_call *c, struct str *ret, struct err *e) WARN_UNUSED;
/* The project's settings as JSON for such a source. */
struct str api_source_settings(const struct api_source *s);
/* A member as compact JSON in the arena; STR_NONE when absent. */
int api_json_member(const struct api_call *c, const json_t *o, const char *key, struct str *ret,
    struct err *e) WARN_UNUSED;
