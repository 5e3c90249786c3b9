/* Rows of the store as JSON. Not for other rooms. */
#pragma once

#include "api/call.h"
#include "model/certificate.h"
#include "model/project.h"
#include "model/release.h"
#include "model/step.h"
#include "model/task.h"

/* Empty text becomes null. */
void api_put_text(struct json_out *w, const char *key, struct str v);
/* Stored JSON as it is; "" and anything that is no JSON text become null. */
void api_put_stored(struct json_out *w, const char *key, struct str json);

struct api_project_extra {
	enum model_role role;
	const struct str *domains; /* may be NULL: not asked for */
	size_t domain_count;
	const struct model_task *task; /* may be NULL */
	bool with_task;
	struct str detected;				/* kind of the live release; empty: none */
	struct model_certificate certificate, wildcard; /* the platform's, for NAME.HOST */
};
void api_project_json(
    struct api_call *c, const struct model_project *p, const struct api_project_extra *x);
/* The kind that the live release was built as; empty when there is none. */
struct str api_kind_of_live(struct api_call *c, struct store_db *db, const struct model_project *p);
/* The same read from db, with domains and, when asked for, its task. */
int api_project_show(
    struct api_call *c, struct store_db *db, int64_t id, bool with_task, struct err *e) WARN_UNUSED;
/* The task of the path, as its viewer may see it, and its steps. */
int api_task_read(struct api_call *c, struct model_task *t, struct model_steps *steps, struct err *e) WARN_UNUSED;
void api_task_json(struct json_out *w, const char *key, const struct model_task *t,
    const struct model_steps *steps); /* steps NULL: none are shown */
void api_step_json(struct json_out *w, const struct model_step *s);
void api_release_json(struct json_out *w, const struct model_release *r, bool with_plan);
/* Where to paste a deploy key for this address; empty when we do not know. Written into out. */
struct str api_key_page(struct str url, char out[512]);
/* Where to enter a hook; the same. */
struct str api_hook_page(struct str url, char out[512]);
/* The members of a certificate, whether there is a row or not; `platform` is "" or which of the
 * platform's. */
void api_certificate_members(struct json_out *w, struct str project, const char *platform,
    const struct model_certificate *c);
