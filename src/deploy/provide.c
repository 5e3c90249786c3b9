/* Services of a project: wanted by its plan, made in the step provision, dropped by destroy. The servers are asked on a
 * pool thread, which meanwhile alone touches a struct provide; rows change in units before and after. */
#include "deploy/work.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "services/services.h"

struct one {
	struct services_place place;
	bool failed;
	struct err e;
};

struct provide {
	struct work *w;
	work_then_fn *then;
	struct services *services;
	struct str project;
	struct model_services all; /* as the store had them */
	struct one *each;
	enum services_act act;
};

/* --- wanting --- */

static const struct model_service *find(const struct work *w, struct str name)
{
	for (size_t i = 0; i < w->services.n; i++)
		if (str_eq(w->services.v[i].name, name))
			return &w->services.v[i];
	return NULL;
}

static int want_one(
    struct work *w, struct store_db *db, const struct manifest_service *s, struct err *e)
{
	enum model_service_type type;
	if (model_service_type_parse(s->type, &type, e) != 0)
		return -1;
	return services_want(w->d->o.services, db, &w->a, w->project.id, s->name, type,
		   clock_wall_ms(), e) < 0
		   ? -1
		   : 0;
}

int provide_want(struct work *w, struct store_db *db, struct err *e)
{
	if (w->plan.service_count > 0 && !w->d->o.services)
		return err_set(e, ERR_UNSUPPORTED, "this platform makes no services");
	for (size_t i = 0; i < w->plan.service_count; i++)
		if (want_one(w, db, &w->plan.services[i], e) != 0)
			return -1;
	return model_service_list(db, &w->a, w->project.id, MODEL_EVERYTHING, &w->services, e);
}

int provide_want_all(
    struct work *w, struct store_db *db, const struct model_services *all, struct err *e)
{
	if (!w->d->o.services)
		return err_set(e, ERR_UNSUPPORTED, "this platform makes no services");
	for (size_t i = 0; i < all->n; i++)
		if (services_want(w->d->o.services, db, &w->a, w->project.id, all->v[i].name,
			all->v[i].type, clock_wall_ms(), e) < 0)
			return -1;
	return model_service_list(db, &w->a, w->project.id, MODEL_EVERYTHING, &w->services, e);
}

void provide_check(struct work *w)
{
	for (size_t i = 0; i < w->plan.service_count; i++) {
		struct str name = w->plan.services[i].name;
		const struct model_service *s = find(w, name);
		if (!s || s->made_ms == 0)
			buf_printf(&w->warning,
			    "%sthis release uses the service '%.*s', which is not there",
			    w->warning.n ? "; " : "", STR_ARG(name));
	}
}

/* --- asking the servers --- */

static void on_pool(void *ctx)
{
	struct provide *p = ctx;
	for (size_t i = 0; i < p->all.n; i++) {
		const struct model_service *v = &p->all.v[i];
		struct one *one = &p->each[i];
		int rc = services_do(p->services, p->act, p->project, v, &one->place, &one->e);
		one->failed = rc != 0;
	}
}

static void pool_back(void *ctx)
{
	struct provide *p = ctx;
	struct work *w = p->w;
	w->in_flight--;
	if (!work_bury(w))
		p->then(w);
}

static void fail_group(struct work *w, const struct err *e)
{
	w->op_failed = true;
	w->op_err = *e;
}

/* True: under way, and `then` finds its results in w->provide. */
static bool ask(struct work *w, enum services_act act, work_then_fn *then)
{
	struct err e;
	struct provide *p = arena_alloc(&w->a, sizeof(*p));
	struct one *each = arena_array(&w->a, w->services.n + 1, sizeof(*each));
	w->op_failed = false;
	if (w->services.n == 0)
		return false;
	if (!p || !each || !w->d->o.services) {
		(void)err_set(&e, ERR_UNSUPPORTED, "the project's services cannot be reached");
		fail_group(w, &e);
		return false;
	}
	*p = (struct provide){.w = w,
	    .then = then,
	    .services = w->d->o.services,
	    .project = w->project.name,
	    .all = w->services,
	    .each = each,
	    .act = act};
	memset(each, 0, w->services.n * sizeof(*each));
	if (loop_work(w->d->o.loop, on_pool, pool_back, p, &e) != 0) {
		fail_group(w, &e);
		return false;
	}
	w->provide = p;
	w->in_flight++;
	return true;
}

static const struct one *first_failed(const struct provide *p)
{
	for (size_t i = 0; i < p->all.n; i++)
		if (p->each[i].failed)
			return &p->each[i];
	return NULL;
}

/* --- making --- */

static int made_unit(struct work *w, struct store_db *db, struct err *e)
{
	const struct provide *p = w->provide;
	for (size_t i = 0; i < p->all.n; i++)
		if (!p->each[i].failed && model_service_made(db, w->project.id, p->all.v[i].name,
					      str_c(p->each[i].place.host), p->each[i].place.port,
					      clock_wall_ms(), e) < 0)
			return -1;
	return model_service_list(db, &w->a, w->project.id, MODEL_EVERYTHING, &w->services, e);
}

static void tell_made(struct work *w)
{
	const struct provide *p = w->provide;
	for (size_t i = 0; i < p->all.n; i++)
		if (p->each[i].place.fresh)
			buf_printf(&w->detail, "%s%s '%.*s' made", w->detail.n ? ", " : "",
			    model_service_type_name(p->all.v[i].type), STR_ARG(p->all.v[i].name));
}

static void made_stored(struct work *w)
{
	const struct provide *p = w->provide;
	const struct one *bad = first_failed(p);
	tell_made(w);
	if (!w->op_failed && bad) {
		fail_group(w, &bad->e);
		(void)err_prefix(
		    &w->op_err, "service '%.*s'", STR_ARG(p->all.v[bad - p->each].name));
	}
	w->provide_then(w);
}

static void made(struct work *w)
{
	work_unit(w, made_unit, made_stored);
}

void provide_fresh(struct work *w, work_then_fn *then)
{
	w->provide_then = then;
	if (!ask(w, SERVICES_FRESH, made))
		then(w);
}

void provide_start(struct work *w, work_then_fn *then)
{
	w->provide_then = then;
	if (!ask(w, SERVICES_MAKE, made))
		then(w);
}

/* --- dropping --- */

static int dropped_unit(struct work *w, struct store_db *db, struct err *e)
{
	const struct provide *p = w->provide;
	for (size_t i = 0; i < p->all.n; i++)
		if (!p->each[i].failed &&
		    model_service_remove(db, w->project.id, p->all.v[i].name, e) < 0)
			return -1;
	return model_service_list(db, &w->a, w->project.id, MODEL_EVERYTHING, &w->services, e);
}

static void receipt_line(struct work *w, const struct model_service *v, const struct one *one)
{
	char what[96], name[SERVICES_NAME_SIZE];
	services_name(w->project.name, v->name, name);
	(void)snprintf(what, sizeof(what), "%s '%s'", model_service_type_name(v->type), name);
	report_receipt(w, what, one->failed ? "stayed" : "removed", one->failed ? one->e.msg : "");
}

/* With --purge what cannot be reached any more holds nobody up; the receipt names it. */
static void dropped_stored(struct work *w)
{
	const struct provide *p = w->provide;
	const struct one *bad = first_failed(p);
	for (size_t i = 0; i < p->all.n; i++)
		receipt_line(w, &p->all.v[i], &p->each[i]);
	if (!w->op_failed && bad && !w->in.purge) {
		fail_group(w, &bad->e);
		(void)err_hint(&w->op_err, "to leave it where it is: slipway destroy %.*s --purge",
		    STR_ARG(w->project.name));
	}
	w->provide_then(w);
}

static void dropped(struct work *w)
{
	work_unit(w, dropped_unit, dropped_stored);
}

static bool was_tried(const struct work *w, const struct model_service *v)
{
	const struct provide *p = w->provide;
	for (size_t i = 0; p && i < p->all.n; i++)
		if (str_eq(p->all.v[i].name, v->name) && str_eq(p->all.v[i].mark, v->mark))
			return true;
	return false;
}

int provide_left(struct work *w, struct store_db *db, struct err *e)
{
	if (model_service_list(db, &w->a, w->project.id, MODEL_EVERYTHING, &w->services, e) < 0)
		return -1;
	for (size_t i = 0; i < w->services.n; i++)
		if (!was_tried(w, &w->services.v[i]))
			return 1;
	return 0;
}

void provide_drop(struct work *w, work_then_fn *then)
{
	w->provide_then = then;
	if (!ask(w, SERVICES_DROP, dropped))
		then(w);
}

/* --- a restore --- */

static void acted(struct work *w)
{
	const struct one *bad = first_failed(w->provide);
	if (bad)
		fail_group(w, &bad->e);
	w->provide_then(w);
}

void provide_act(struct work *w, enum services_act act, work_then_fn *then)
{
	w->provide_then = then;
	if (!ask(w, act, acted))
		then(w);
}

int provide_tool(struct work *w, const struct model_services *which, bool fresh,
    struct args *ret_env, struct err *e)
{
	struct model_services v = {.v = arena_array(&w->a, which->n + 1, sizeof(*v.v))};
	if (!v.v)
		return err_set(e, ERR_TOO_LARGE, "the task's memory is full");
	for (size_t i = 0; i < which->n; i++) {
		const struct model_service *s = find(w, which->v[i].name);
		if (s)
			v.v[v.n++] = *s;
	}
	return services_tool_env(w->d->o.services, &w->a, w->project.name, &v, fresh, ret_env, e);
}
