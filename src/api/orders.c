/* Everything that becomes a task: deploy, plan, rollback, stop, start, restart, scale, destroy. */
#include "api/order.h"

#include "api/input.h"
#include "api/routes.h"
#include "api/spool.h"
#include "base/clock.h"
#include "base/name.h"
#include "base/num.h"
#include "api/view.h"
#include "kinds/plan.h"
#include "model/project.h"
#include "model/release.h"
#include "model/release_made.h"

#include <inttypes.h>
#include <stdio.h>

static int queue_put(struct api_call *c, struct store_db *db, const struct api_order *o,
    int64_t *ret_task_id, struct err *e)
{
	struct queue_order q = {
	    .project_id = c->who->project_id,
	    .kind = o->kind,
	    .ref = o->ref.p ? o->ref : STR(""),
	    .input_json = o->input.n ? o->input : STR("{}"),
	    .requested_by = c->who->name,
	    .now_ms = clock_wall_ms(),
	};
	c->kick = true;
	return queue_unit_order(db, &q, ret_task_id, e);
}

int api_order_unit(struct api_call *c, struct store_db *db, const struct api_order *o,
    int64_t *ret_task_id, struct err *e)
{
	if (queue_put(c, db, o, ret_task_id, e) < 0)
		return -1;
	return api_audit(c, db, c->who->project, o->input, e);
}

static int task_answer(struct api_call *c, int64_t task_id)
{
	json_open_object(&c->w, NULL);
	json_put_i64(&c->w, "task", task_id);
	json_close_object(&c->w);
	api_location(c, "/api/v1/tasks/%" PRId64, task_id);
	return 0;
}

static int order_unit(struct api_call *c, struct store_db *db, void *ctx, struct err *e)
{
	int64_t id = 0;
	return api_order_unit(c, db, ctx, &id, e) < 0 ? -1 : task_answer(c, id);
}

int api_order(struct api_call *c, const struct api_order *o, struct err *e)
{
	struct api_order copy = *o;
	return api_write(c, order_unit, &copy, e);
}

int api_order_live_unit(struct api_call *c, struct store_db *db, enum model_task_kind kind,
    int64_t *ret_task_id, struct err *e)
{
	int64_t live = 0, previous = 0;
	*ret_task_id = 0;
	int rc = model_live_get(db, c->who->project_id, &live, &previous, e);
	if (rc <= 0 || live == 0)
		return rc < 0 ? -1 : 0;
	struct api_order o = {.kind = kind};
	return queue_put(c, db, &o, ret_task_id, e);
}

int api_order_edge_unit(
    struct api_call *c, struct store_db *db, int64_t *ret_task_id, struct err *e)
{
	return api_order_live_unit(c, db, MODEL_TASK_SCALE, ret_task_id, e);
}

/* Deploy and plan. */

struct deploy_order {
	struct api_order order;
	struct buf input;
	struct str archive;
	bool from_elsewhere;
};

static int deploy_read(struct api_call *c, struct deploy_order *d, bool plan_only, struct err *e)
{
	struct str ref = api_str(c->body, "ref"), url = api_str(c->body, "url");
	d->archive = api_str(c->body, "archive");
	d->from_elsewhere = url.n > 0;
	if (ref.n && api_ref_check(ref, "/ref", e) < 0)
		return -1;
	if (url.n && api_source_url_check(c, url, "/url", e) < 0)
		return -1;
	if (d->archive.n && (ref.n || url.n)) {
		err_set(e, ERR_INVALID, "an archive has neither ref nor url");
		return err_at(e, "/archive");
	}
	struct json_out w;
	json_out_init(&w, &d->input);
	json_open_object(&w, NULL);
	if (ref.n)
		json_put_str(&w, "ref", ref);
	if (url.n)
		json_put_str(&w, "url", url);
	if (d->archive.n)
		json_put_str(&w, "archive", d->archive);
	if (api_bool(c->body, "force", false))
		json_put_bool(&w, "force", true);
	if (plan_only)
		json_put_bool(&w, "plan_only", true);
	json_close_object(&w);
	d->order = (struct api_order){MODEL_TASK_DEPLOY, ref, buf_view(&d->input)};
	return buf_check(&d->input, "the order", e);
}

static int deploy_unit(struct api_call *c, struct store_db *db, void *ctx, struct err *e)
{
	struct deploy_order *d = ctx;
	struct model_project p;
	int found = model_project_get_id(db, c->r->arena, c->who->project_id, api_viewer(c), &p, e);
	if (found <= 0)
		return found < 0 ? -1 : api_absent("project", c->who->project, e);
	if ((d->archive.n || d->from_elsewhere) &&
	    api_site_owner_check(c, &p, "an archive or another address", e) < 0)
		return -1;
	/* Here, since a repeat of an order that has ended already is answered all the same. */
	if (d->archive.n && api_spool_check(c, d->archive, e) < 0)
		return err_at(e, "/archive");
	if (p.source == MODEL_SOURCE_ARCHIVE && !d->archive.n) {
		err_set(e, ERR_INVALID, "'%.*s' is deployed from archives, and none was given",
		    STR_ARG(p.name));
		err_hint(e, "from a directory: slipway deploy %.*s DIRECTORY", STR_ARG(p.name));
		return err_at(e, "/archive");
	}
	if (!d->order.ref.n && !d->archive.n)
		d->order.ref = p.source_ref;
	return order_unit(c, db, &d->order, e);
}

static int deploy_order(struct api_call *c, bool plan_only, struct err *e)
{
	struct deploy_order d = {0};
	buf_init(&d.input, 8192);
	int rc = deploy_read(c, &d, plan_only, e);
	if (rc == 0)
		rc = api_write(c, deploy_unit, &d, e);
	buf_fini(&d.input);
	return rc;
}

int api_deploy_create(struct api_call *c, struct err *e)
{
	return deploy_order(c, false, e);
}

int api_plan_create(struct api_call *c, struct err *e)
{
	return deploy_order(c, true, e);
}

/* The others. */

static int live_needed(struct api_call *c, struct store_db *db, int64_t *ret_live, struct err *e)
{
	int64_t previous = 0;
	int rc = model_live_get(db, c->who->project_id, ret_live, &previous, e);
	if (rc < 0)
		return -1;
	if (rc > 0 && *ret_live > 0)
		return 0;
	err_set(e, ERR_CONFLICT, "nothing of '%.*s' was deployed yet", STR_ARG(c->who->project));
	return err_hint(e, "slipway deploy %.*s", STR_ARG(c->who->project));
}

struct rollback_order {
	struct api_order order;
	int64_t release;
};

/* What is stopped is started, not gone back to. */
static int not_stopped(struct api_call *c, struct store_db *db, int64_t release, struct err *e)
{
	struct model_project p;
	int found = model_project_get_id(db, c->r->arena, c->who->project_id, api_viewer(c), &p, e);
	if (found <= 0)
		return found < 0 ? -1 : api_absent("project", c->who->project, e);
	if (p.desired_running)
		return 0;
	err_set(e, ERR_CONFLICT, "release %" PRId64 " is live already, and stopped", release);
	err_hint(e, "slipway start %.*s", STR_ARG(c->who->project));
	return err_at(e, "/release");
}

/* What a rollback to `release` (0: not said) goes to, and from where. */
static int rollback_target(struct api_call *c, struct store_db *db, int64_t release,
    struct model_release *ret, int64_t *ret_live, struct err *e)
{
	if (live_needed(c, db, ret_live, e) < 0)
		return -1;
	int found =
	    release ? model_release_get(
			  db, c->r->arena, c->who->project_id, release, api_viewer(c), ret, e)
		    : model_release_before(db, c->r->arena, c->who->project_id, *ret_live, ret, e);
	if (found < 0)
		return -1;
	if (found == 0 && !release)
		return err_set(
		    e, ERR_CONFLICT, "there is no earlier release than %" PRId64, *ret_live);
	if (found > 0 && ret->state == MODEL_RELEASE_SEALED)
		return ret->number == *ret_live ? not_stopped(c, db, release, e) : 0;
	err_set(e, found ? ERR_CONFLICT : ERR_NOT_FOUND,
	    found ? "release %" PRId64 " was not kept or never finished"
		  : "there is no release %" PRId64,
	    release);
	err_hint(e, "slipway releases %.*s", STR_ARG(c->who->project));
	return err_at(e, "/release");
}

static int rollback_unit(struct api_call *c, struct store_db *db, void *ctx, struct err *e)
{
	struct rollback_order *o = ctx;
	struct model_release r;
	int64_t live = 0;
	if (rollback_target(c, db, o->release, &r, &live, e) < 0)
		return -1;
	return order_unit(c, db, &o->order, e);
}

int api_rollback_get(struct api_call *c, struct err *e)
{
	struct model_release r;
	int64_t live = 0, migrated = 0, release = 0;
	struct str asked = http_query(c->r, "release");
	if (asked.p && !num_i64(asked, 1, UINT32_MAX, &release)) {
		err_set(e, ERR_INVALID, "'release' is no number of a release");
		return err_at(e, "/release");
	}
	struct store_db *db = api_reading(c, e);
	if (!db || rollback_target(c, db, release, &r, &live, e) < 0)
		return -1;
	int found =
	    model_release_migrated_between(db, c->who->project_id, r.number, live, &migrated, e);
	if (found < 0)
		return -1;
	json_open_object(&c->w, NULL);
	json_put_i64(&c->w, "from", live);
	json_put_i64(&c->w, "to", r.number);
	api_put_text(&c->w, "commit", r.commit);
	api_put_text(&c->w, "subject", r.subject);
	if (found > 0)
		json_put_str(&c->w, "warning",
		    str_c(arena_printf(c->r->arena,
			"release %" PRId64
			" ran its release command (a migration?); going back to release "
			"%" PRId64 " does not undo what that did to the data",
			migrated, r.number)));
	else
		json_put_null(&c->w, "warning");
	json_close_object(&c->w);
	return 0;
}

int api_rollback_create(struct api_call *c, struct err *e)
{
	char input[64] = "{}";
	struct rollback_order o = {.release = api_int(c->body, "release", 0)};
	if (o.release)
		snprintf(input, sizeof(input), "{\"release\":%" PRId64 "}", o.release);
	o.order = (struct api_order){MODEL_TASK_ROLLBACK, STR_NONE, str_c(input)};
	return api_write(c, rollback_unit, &o, e);
}

int api_stop_create(struct api_call *c, struct err *e)
{
	return api_order(c, &(struct api_order){.kind = MODEL_TASK_STOP}, e);
}

int api_project_destroy(struct api_call *c, struct err *e)
{
	struct api_order o = {.kind = MODEL_TASK_DESTROY};
	bool purge;
	if (api_query_purge(c, &purge, e) != 0)
		return -1;
	if (purge)
		o.input = STR("{\"purge\":true}");
	return api_order(c, &o, e);
}

static int live_order_unit(struct api_call *c, struct store_db *db, void *ctx, struct err *e)
{
	int64_t live = 0;
	return live_needed(c, db, &live, e) < 0 ? -1 : order_unit(c, db, ctx, e);
}

int api_start_create(struct api_call *c, struct err *e)
{
	struct api_order o = {.kind = MODEL_TASK_START};
	return api_write(c, live_order_unit, &o, e);
}

/* With something live its plan knows the processes; before that any name may be given a number. */
static int process_check(struct api_call *c, struct store_db *db, struct str process, struct err *e)
{
	int64_t live = 0, previous = 0;
	struct model_release r;
	struct plan plan;
	int rc = model_live_get(db, c->who->project_id, &live, &previous, e);
	if (rc <= 0 || live == 0)
		return rc < 0 ? -1 : 0;
	rc = model_release_get(db, c->r->arena, c->who->project_id, live, api_viewer(c), &r, e);
	if (rc <= 0)
		return rc;
	if (plan_unpack(r.plan, c->r->arena, &plan, e) < 0)
		return -1;
	for (size_t i = 0; i < plan.process_count; i++)
		if (str_eq(plan.processes[i].name, process))
			return 0;
	return api_absent("process", process, e);
}

struct restart_order {
	struct api_order order;
	struct str process;
};

static int restart_unit(struct api_call *c, struct store_db *db, void *ctx, struct err *e)
{
	struct restart_order *o = ctx;
	if (o->process.n && process_check(c, db, o->process, e) < 0)
		return err_at(e, "/process");
	return live_order_unit(c, db, &o->order, e);
}

int api_restart_create(struct api_call *c, struct err *e)
{
	char input[64] = "{}";
	struct restart_order o = {.process = api_str(c->body, "process")};
	if (o.process.n && name_process(o.process, e) < 0)
		return err_at(e, "/process");
	if (o.process.n)
		snprintf(input, sizeof(input), "{\"process\":\"%.*s\"}", STR_ARG(o.process));
	o.order = (struct api_order){MODEL_TASK_RESTART, STR_NONE, str_c(input)};
	return api_write(c, restart_unit, &o, e);
}

/* Scale: the wish goes into the store, the task makes it so. */

struct scale_order {
	struct api_order order;
	struct str process;
	int64_t count;
};

static int scale_unit(struct api_call *c, struct store_db *db, void *ctx, struct err *e)
{
	struct scale_order *o = ctx;
	if (process_check(c, db, o->process, e) < 0 ||
	    model_scale_set(db, c->who->project_id, o->process, o->count, e) < 0)
		return -1;
	return order_unit(c, db, &o->order, e);
}

int api_process_scale(struct api_call *c, struct err *e)
{
	char input[96];
	struct scale_order o = {
	    .process = http_param(c->http, "process"), .count = api_int(c->body, "count", 1)};
	if (name_process(o.process, e) < 0)
		return -1;
	snprintf(input, sizeof(input), "{\"process\":\"%.*s\",\"count\":%" PRId64 "}",
	    STR_ARG(o.process), o.count);
	o.order = (struct api_order){MODEL_TASK_SCALE, STR_NONE, str_c(input)};
	return api_write(c, scale_unit, &o, e);
}
