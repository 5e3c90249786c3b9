#include "access/access.h"

#include "access/identity.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"
#include "model/project.h"
#include "model/task.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum {
	READ_WAIT_MS = 5000,
	STRANGER_BURST = 60,
	STRANGER_PER_S = 1,
	KNOWN_BURST = 600,
	KNOWN_PER_S = 10,
};

/* How many refusals may still be written down now. */
struct access_bucket {
	int64_t burst, per_s;
	int64_t level_ms; /* in thousandths of a record */
	int64_t at_ms;
	int64_t dropped; /* since the last one written */
};

struct access {
	struct store *store;
	pthread_mutex_t lock;
	struct access_bucket strangers, known;
};

static const struct access_subject nobody = {0};

struct access *access_open(struct store *s, struct err *e)
{
	(void)e;
	struct access *a = mem_alloc(sizeof(*a));
	a->store = s;
	pthread_mutex_init(&a->lock, NULL);
	int64_t now = clock_mono_ms();
	a->strangers =
	    (struct access_bucket){STRANGER_BURST, STRANGER_PER_S, STRANGER_BURST * 1000, now, 0};
	a->known = (struct access_bucket){KNOWN_BURST, KNOWN_PER_S, KNOWN_BURST * 1000, now, 0};
	return a;
}

void access_close(struct access *a)
{
	if (!a)
		return;
	pthread_mutex_destroy(&a->lock);
	free(a);
}

const char *access_need_name(enum access_need n)
{
	static const char *const names[ACCESS_NEED_COUNT] = {
	    NULL, "public", "signed", "login", "viewer", "deployer", "admin", "owner"};
	return n >= ACCESS_PUBLIC && n < ACCESS_NEED_COUNT ? names[n] : "";
}

const struct access_subject *access_subject_of(const struct http_request *r)
{
	return r->subject ? r->subject : &nobody;
}

struct model_viewer access_viewer(const struct access_subject *who, enum model_role least)
{
	return (struct model_viewer){
	    .operator_id = who->operator_id, .everything = who->everything, .least = least};
}

int access_role_on(struct store_db *db, const struct access_subject *who, int64_t project_id,
    enum model_role *ret, struct err *e)
{
	if (who->everything) {
		*ret = MODEL_ROLE_OWNER;
		return 0;
	}
	*ret = MODEL_ROLE_NONE;
	return who->operator_id ? model_role_on(db, who->operator_id, project_id, ret, e) : 0;
}

static bool bucket_take(struct access *a, struct access_bucket *b, int64_t *ret_dropped)
{
	pthread_mutex_lock(&a->lock);
	int64_t now = clock_mono_ms();
	b->level_ms += (now - b->at_ms) * b->per_s;
	if (b->level_ms > b->burst * 1000)
		b->level_ms = b->burst * 1000;
	b->at_ms = now;
	bool taken = b->level_ms >= 1000;
	if (taken) {
		b->level_ms -= 1000;
		*ret_dropped = b->dropped;
		b->dropped = 0;
	} else {
		b->dropped++;
	}
	pthread_mutex_unlock(&a->lock);
	return taken;
}

struct refusal {
	const struct access_subject *who;
	const char *action;
	struct str target, detail;
};

static int refusal_unit(void *ctx, struct store_db *db, struct err *e)
{
	const struct refusal *f = ctx;
	return access_unit_audit(db, f->who, f->action, f->target, "refused", f->detail, e);
}

static bool refusal_counts(const struct access_row *row, const struct err *why)
{
	if (why->code == ERR_NOT_FOUND)
		return row->action != NULL;
	return why->code == ERR_FORBIDDEN || why->code == ERR_UNAUTHORIZED;
}

/* Writes the refusal down. What cannot be written changes nothing: it stays refused. */
static void refuse(struct access *a, const struct access_row *row, struct http_request *r,
    struct http_call *c, const struct access_subject *who, const struct err *why)
{
	int64_t dropped = 0;
	struct access_bucket *bucket = who->name.n ? &a->known : &a->strangers;
	if (!refusal_counts(row, why) || !bucket_take(a, bucket, &dropped))
		return;
	struct str target = http_param(c, row->scope == ACCESS_TASK ? "task" : "project");
	if (!target.p)
		target = r->path;
	char shown[160];
	log_escape(target, shown, sizeof(shown));
	const char *more =
	    dropped > 0
		? arena_printf(r->arena, "%s (and %" PRId64 " not written down)", why->msg, dropped)
		: why->msg;
	struct refusal f = {
	    .who = who,
	    .action = row->action ? row->action : "read",
	    .target = str_c(shown),
	    .detail = str_c(more ? more : why->msg),
	};
	struct err ignored;
	if (store_write(a->store, refusal_unit, &f, &ignored) < 0)
		return;
}

struct noted {
	char action[48], target[64], why[512];
};

static int noted_unit(void *ctx, struct store_db *db, struct err *e)
{
	const struct noted *n = ctx;
	return access_unit_audit(
	    db, NULL, n->action, str_c(n->target), "refused", str_c(n->why), e);
}

static void noted_done(void *ctx, int rc, const struct err *e)
{
	if (rc < 0)
		log_event(LOG_ERROR, "access", "refusal_lost", F_ERR(e));
	free(ctx);
}

void access_note_refusal(struct access *a, const char *action, struct str target, struct str why)
{
	struct err e;
	int64_t dropped = 0;
	if (!bucket_take(a, &a->known, &dropped))
		return;
	struct noted *n = mem_alloc(sizeof(*n));
	(void)snprintf(n->action, sizeof(n->action), "%s", action);
	(void)log_escape(target, n->target, sizeof(n->target));
	size_t at = log_escape(why, n->why, sizeof(n->why));
	if (dropped > 0)
		(void)snprintf(n->why + at, sizeof(n->why) - at,
		    " (and %" PRId64 " not written down)", dropped);
	if (store_submit(a->store, noted_unit, noted_done, n, &e) != 0)
		noted_done(n, -1, &e);
}

static enum model_role role_needed(enum access_need n)
{
	switch (n) {
	case ACCESS_VIEW:
		return MODEL_ROLE_VIEWER;
	case ACCESS_DEPLOY:
		return MODEL_ROLE_DEPLOYER;
	case ACCESS_ADMIN:
		return MODEL_ROLE_ADMIN;
	case ACCESS_OWNER:
		return MODEL_ROLE_OWNER;
	case ACCESS_PUBLIC:
	case ACCESS_SIGNED:
	case ACCESS_LOGIN:
	case ACCESS_NEED_COUNT:
		break;
	}
	return MODEL_ROLE_NONE;
}

static int role_check(enum access_need need, enum model_role has, const char *where, struct err *e)
{
	enum model_role least = role_needed(need);
	if (has >= least)
		return 0;
	if (has == MODEL_ROLE_NONE)
		err_set(e, ERR_FORBIDDEN, "you have no role %s; this needs %s", where,
		    model_role_name(least));
	else
		err_set(e, ERR_FORBIDDEN, "you are %s %s; this needs %s", model_role_name(has),
		    where, model_role_name(least));
	return err_hint(e, "ask an owner: slipway grants");
}

static int no_project(struct str name, struct err *e)
{
	char shown[80];
	log_escape(name, shown, sizeof(shown));
	err_set(e, ERR_NOT_FOUND, "there is no project '%s'", shown);
	return err_hint(e, "slipway list shows the projects that you may see");
}

/* Turns {project} into the subject's project and role. */
static int project_find(struct store_db *db, struct http_request *r, struct http_call *c,
    struct access_subject *who, struct err *e)
{
	struct str name = http_param(c, "project");
	struct model_project p;
	int found =
	    model_project_get(db, r->arena, name, access_viewer(who, MODEL_ROLE_VIEWER), &p, e);
	if (found < 0)
		return -1;
	if (found == 0)
		return no_project(name, e);
	who->project_id = p.id;
	who->project = p.name;
	return access_role_on(db, who, p.id, &who->project_role, e);
}

static int no_task(struct str id, struct err *e)
{
	char shown[40];
	log_escape(id, shown, sizeof(shown));
	return err_set(e, ERR_NOT_FOUND, "there is no task '%s'", shown);
}

/* Turns {task} into the subject's task, its project and role. */
static int task_find(struct store_db *db, struct http_request *r, struct http_call *c,
    struct access_subject *who, struct err *e)
{
	struct str text = http_param(c, "task");
	int64_t id = 0;
	if (!num_i64(text, 1, INT64_MAX, &id))
		return no_task(text, e);
	struct model_task t;
	int found = model_task_get(db, r->arena, id, access_viewer(who, MODEL_ROLE_VIEWER), &t, e);
	if (found < 0)
		return -1;
	if (found == 0)
		return no_task(text, e);
	who->task_id = t.id;
	who->project_id = t.project_id;
	who->project = t.project;
	return access_role_on(db, who, t.project_id, &who->project_role, e);
}

static int scope_check(struct store_db *db, const struct access_row *row, struct http_request *r,
    struct http_call *c, struct access_subject *who, struct err *e)
{
	switch (row->scope) {
	case ACCESS_PROJECT:
		if (project_find(db, r, c, who, e) < 0)
			return -1;
		break;
	case ACCESS_TASK:
		if (task_find(db, r, c, who, e) < 0)
			return -1;
		break;
	case ACCESS_ABOVE:
		if (project_find(db, r, c, who, e) < 0)
			return -1;
		return role_check(row->need, who->global_role, "on this platform", e);
	case ACCESS_GLOBAL:
	case ACCESS_SCOPE_COUNT:
		return role_check(row->need, who->global_role, "on this platform", e);
	}
	char where[48];
	snprintf(where, sizeof(where), "on '%.*s'", STR_ARG(who->project));
	return role_check(row->need, who->project_role, where, e);
}

int access_unit_recheck(struct store_db *db, const struct access_row *row,
    const struct access_subject *who, struct err *e)
{
	enum model_role role;
	if (row->need <= ACCESS_LOGIN)
		return 0;
	if (access_role_on(db, who, row->scope == ACCESS_GLOBAL ? 0 : who->project_id, &role, e) <
	    0)
		return -1;
	if (row->scope != ACCESS_GLOBAL && role == MODEL_ROLE_NONE)
		return no_project(who->project, e);
	if (row->scope == ACCESS_ABOVE && access_role_on(db, who, 0, &role, e) < 0)
		return -1;
	return role_check(row->need, role, "here any more", e);
}

static int authorize(struct access *a, const struct access_row *row, struct http_request *r,
    struct http_call *c, struct access_subject *who, struct err *e)
{
	struct store_db *db = store_read_begin(a->store, clock_mono_ms() + READ_WAIT_MS, e);
	if (!db)
		return -1;
	bool touch = false;
	int rc = access_identify(db, r, row, who, &touch, e);
	if (rc == 0)
		rc = scope_check(db, row, r, c, who, e);
	store_read_end(a->store, db);
	if (touch)
		access_touch_token(a->store, who->token_id);
	return rc;
}

int access_authorize(void *ctx, struct http_request *r, struct http_call *c, struct err *e)
{
	struct access *a = ctx;
	const struct access_row *row = r->access;
	if (row->need == ACCESS_PUBLIC || row->need == ACCESS_SIGNED)
		return 0;
	struct access_subject *who = arena_alloc(r->arena, sizeof(*who));
	if (!who)
		return err_set(e, ERR_TOO_LARGE, "the request needs too much memory");
	if (authorize(a, row, r, c, who, e) < 0) {
		refuse(a, row, r, c, who, e);
		return -1;
	}
	r->subject = who;
	return 0;
}
