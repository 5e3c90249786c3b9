/* What the store knows of a task's project, and the task's own memory between lives (its progress
 * column). */
#include "deploy/work.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "model/device.h"
#include "model/release_made.h"
#include "model/site_certificate.h"
#include "text/json.h"

int64_t facts_count(const struct work *w, struct str process)
{
	for (size_t i = 0; i < w->scales.n; i++)
		if (str_eq(w->scales.v[i].process, process))
			return w->scales.v[i].count > LIMIT_INSTANCES ? LIMIT_INSTANCES
								      : w->scales.v[i].count;
	return 1;
}

/* The release this task is about: made by it, asked for, or the live one. */
static int pick_release(struct work *w, struct store_db *db, struct err *e)
{
	if (w->release.number > 0 || w->st.flow == DEPLOY_FLOW_DESTROY)
		return 0;
	/* A crash may have come between the number and the first record of it. */
	if (w->st.flow == DEPLOY_FLOW_DEPLOY || w->st.flow == DEPLOY_FLOW_CHECK)
		return model_release_made_by(db, w->project.id, w->task.id, w->task.attempt,
			   &w->release.number, e) < 0
			   ? -1
			   : 0;
	if (w->st.flow != DEPLOY_FLOW_ROLLBACK) {
		w->release.number = w->project.live;
		return 0;
	}
	if (w->in.release > 0) {
		w->release.number = w->in.release;
		return 0;
	}
	struct model_release before;
	int rc = model_release_before(db, &w->a, w->project.id,
	    w->project.live > 0 ? w->project.live : INT64_MAX, &before, e);
	if (rc < 0)
		return -1;
	if (rc == 0)
		return err_set(e, ERR_NOT_FOUND, "'%.*s' has no release to go back to",
		    STR_ARG(w->project.name));
	w->release.number = before.number;
	return 0;
}

static int load_release(struct work *w, struct store_db *db, struct err *e)
{
	int64_t number = w->release.number;
	if (number == 0)
		return 0;
	int rc =
	    model_release_get(db, &w->a, w->project.id, number, MODEL_EVERYTHING, &w->release, e);
	if (rc < 0)
		return -1;
	if (rc == 0) {
		memset(&w->release, 0, sizeof(w->release));
		/* Undone and forgotten; only the end was not told any more. */
		if (w->st.phase == DEPLOY_FINISH)
			return 0;
		return err_set(e, ERR_NOT_FOUND, "'%.*s' has no release %" PRId64,
		    STR_ARG(w->project.name), number);
	}
	if (!w->has_plan && w->release.plan.n > 2) {
		if (plan_unpack(w->release.plan, &w->a, &w->plan, e) != 0)
			return err_prefix(e, "the plan of release %" PRId64, number);
		w->has_plan = true;
	}
	return model_env_list(db, &w->a, w->project.id, w->release.env_version, MODEL_EVERYTHING,
		   &w->envs, e) < 0
		   ? -1
		   : 0;
}

/* The first domain that a person chose, else the one that always works. */
static int pick_domain(struct work *w, struct err *e)
{
	for (size_t i = 0; i < w->domains.n; i++)
		if (!str_ends(w->domains.v[i].host, STR(".localhost"))) {
			w->first_domain = w->domains.v[i].host;
			return 0;
		}
	w->first_domain = str_c(arena_printf(&w->a, "%.*s.localhost", STR_ARG(w->project.name)));
	return w->first_domain.n > 0 ? 0 : err_set(e, ERR_TOO_LARGE, "the task's memory is full");
}

int facts_domains(struct work *w, struct store_db *db, struct err *e)
{
	return model_domain_list(
		   db, &w->a, w->project.id, STR(""), MODEL_EVERYTHING, &w->domains, e) < 0
		   ? -1
		   : pick_domain(w, e);
}

static int load_devices(struct work *w, struct store_db *db, struct err *e)
{
	struct model_device_grants grants;
	w->devices = 0;
	if (model_device_list(db, &w->a, w->project.id, MODEL_EVERYTHING, &grants, e) < 0)
		return -1;
	for (size_t i = 0; i < grants.n; i++)
		if (grants.v[i].device < DEVICE_COUNT)
			w->devices |= 1u << grants.v[i].device;
	return 0;
}

/* Only its end was not told any more. */
static bool was_erased(struct work *w)
{
	w->erased = w->st.flow == DEPLOY_FLOW_DESTROY &&
		    (w->st.phase == DEPLOY_ERASE || w->st.phase == DEPLOY_FINISH);
	if (w->erased)
		w->project =
		    (struct model_project){.id = w->task.project_id, .name = w->task.project};
	return w->erased;
}

int facts_load(struct work *w, struct store_db *db, struct err *e)
{
	int rc =
	    model_project_get_id(db, &w->a, w->task.project_id, MODEL_EVERYTHING, &w->project, e);
	if (rc < 0)
		return -1;
	if (rc == 0)
		return was_erased(w) ? 0 : err_set(e, ERR_NOT_FOUND, "the project is gone");
	if (facts_domains(w, db, e) != 0 ||
	    model_scale_list(db, &w->a, w->project.id, MODEL_EVERYTHING, &w->scales, e) < 0 ||
	    model_service_list(db, &w->a, w->project.id, MODEL_EVERYTHING, &w->services, e) < 0 ||
	    load_devices(w, db, e) < 0)
		return -1;
	if (pick_release(w, db, e) != 0)
		return -1;
	int had = w->in.site.n > 0 ? model_site_certificate_get(db, &w->a, w->project.id,
					 w->in.site, MODEL_EVERYTHING, &w->certificate, e)
				   : model_certificate_get(db, &w->a, w->project.id,
					 MODEL_EVERYTHING, &w->certificate, e);
	if (had < 0)
		return -1;
	return load_release(w, db, e);
}

/* --- input --- */

static int read_argv(struct work *w, const json_t *o, struct err *e)
{
	const json_t *argv = json_object_get(o, "argv");
	size_t n = json_array_size(argv);
	struct str *v = arena_array(&w->a, n + 1, sizeof(*v));
	if (w->st.flow != DEPLOY_FLOW_RUN)
		return 0;
	if (!v || n == 0)
		return err_set(e, ERR_INVALID, "the task's input names no command");
	for (size_t i = 0; i < n; i++) {
		const json_t *one = json_array_get(argv, i);
		v[i] =
		    arena_str(&w->a, (struct str){json_string_value(one), json_string_length(one)});
		if (!json_is_string(one) || !v[i].p)
			return err_set(e, ERR_INVALID, "the task's input names no command");
	}
	w->in.argv = (struct args){.v = v, .n = n};
	return 0;
}

int facts_input(struct work *w, struct err *e)
{
	w->in.ref = w->task.ref;
	if (w->task.input.n == 0)
		return 0;
	CLEANUP_JSON json_t *o = json_read(w->task.input, e);
	if (!o)
		return err_prefix(e, "the task's input");
	struct {
		const char *key;
		struct str *into;
	} const texts[] = {{"ref", &w->in.ref}, {"url", &w->in.url}, {"archive", &w->in.archive},
	    {"process", &w->in.process}, {"action", &w->in.action}, {"backup", &w->in.backup},
	    {"key", &w->in.key}, {"slot", &w->in.slot}, {"site", &w->in.site}};
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct str v;
		int rc = json_get_str(o, texts[i].key, &v, e);
		if (rc < 0)
			return -1;
		if (rc == 1)
			*texts[i].into = arena_str(&w->a, v);
	}
	if (json_get_bool(o, "force", &w->in.force, e) < 0 ||
	    json_get_bool(o, "plan_only", &w->in.plan_only, e) < 0 ||
	    json_get_bool(o, "staging", &w->in.staging, e) < 0 ||
	    json_get_bool(o, "look", &w->in.look, e) < 0 ||
	    json_get_bool(o, "purge", &w->in.purge, e) < 0 ||
	    json_get_bool(o, "data_only", &w->in.data_only, e) < 0 ||
	    json_get_bool(o, "admin", &w->in.admin, e) < 0 ||
	    json_get_bool(o, "stranger", &w->in.stranger, e) < 0 ||
	    json_get_i64(o, "release", 1, INT32_MAX, &w->in.release, e) < 0 ||
	    json_get_i64(o, "timeout_ms", 1, INT32_MAX, &w->in.timeout_ms, e) < 0 ||
	    json_get_i64(o, "event", 1, INT64_MAX, &w->in.event, e) < 0)
		return -1;
	return read_argv(w, o, e);
}

int facts_head_ref(const struct work *w, struct store_db *db, struct str *ret, struct err *e)
{
	int rc = model_branch_head_remote(db, w->task.id, e);
	*ret = rc == 1 ? STR("") : w->release.ref;
	return rc < 0 ? -1 : 0;
}

/* --- progress --- */

void facts_progress_write(const struct work *w, const struct deploy_state *st, struct buf *out)
{
	struct json_out j;
	json_out_init(&j, out);
	json_open_object(&j, NULL);
	json_put_str(&j, "phase", str_c(deploy_phase_name(st->phase)));
	json_put_str(&j, "outcome", str_c(deploy_outcome_name(st->outcome)));
	json_put_str(&j, "failed_at", str_c(deploy_phase_name(st->failed_at)));
	json_put_i64(&j, "attempt", st->attempt);
	json_put_i64(&j, "release", w->release.number);
	json_put_i64(&j, "from", w->from_release);
	json_put_i64(&j, "was_running", w->was_running);
	json_put_i64(&j, "had", w->had_count);
	json_put_i64(&j, "switch_us", w->switch_us);
	if (w->failed) {
		json_put_i64(&j, "code", w->failure.code);
		json_put_str(&j, "message", str_c(w->failure.msg));
		json_put_str(&j, "hint", str_c(w->failure.hint));
		json_put_str(&j, "lines", str_c(w->failure_lines ? w->failure_lines : ""));
	}
	if (w->backup_id.n > 0)
		json_put_str(&j, "backup", w->backup_id);
	if (w->warning.n > 0)
		json_put_str(&j, "warning", buf_view(&w->warning));
	if (w->receipt.n > 0)
		json_put_str(&j, "receipt", buf_view(&w->receipt));
	json_open_array(&j, "claimed");
	for (size_t i = 0; i < w->claimed.n; i++)
		json_put_str(&j, NULL, w->claimed.v[i]);
	json_close_array(&j);
	json_close_object(&j);
}

static enum deploy_outcome outcome_parse(struct str s)
{
	for (unsigned o = 0; o < DEPLOY_OUTCOME_COUNT; o++)
		if (str_eq_c(s, deploy_outcome_name((enum deploy_outcome)o)))
			return (enum deploy_outcome)o;
	return DEPLOY_OUT_NONE;
}

static void read_phase(const json_t *o, const char *key, enum deploy_phase *ret)
{
	struct str v;
	char name[32];
	struct err e;
	if (json_get_str(o, key, &v, &e) == 1 && str_copy(v, name, sizeof(name)))
		(void)deploy_phase_parse(name, ret);
}

static int64_t read_i64(const json_t *o, const char *key, int64_t otherwise)
{
	int64_t v = otherwise;
	struct err e;
	return json_get_i64(o, key, INT64_MIN, INT64_MAX, &v, &e) == 1 ? v : otherwise;
}

static void read_failure(struct work *w, const json_t *o)
{
	struct str msg, hint, lines;
	struct err e;
	int64_t code = read_i64(o, "code", 0);
	if (code <= ERR_NONE || code >= ERR_CODE_COUNT || json_get_str(o, "message", &msg, &e) != 1)
		return;
	(void)err_set(&w->failure, (enum err_code)code, "%.*s", STR_ARG(msg));
	if (json_get_str(o, "hint", &hint, &e) == 1 && hint.n > 0)
		(void)err_hint(&w->failure, "%.*s", STR_ARG(hint));
	if (json_get_str(o, "lines", &lines, &e) == 1 && lines.n > 0)
		w->failure_lines = mem_dup(lines);
	w->failed = true;
}

static void read_claimed(struct work *w, const json_t *o)
{
	const json_t *list = json_object_get(o, "claimed");
	size_t n = json_array_size(list);
	struct str *v = arena_array(&w->a, n + 1, sizeof(*v));
	w->claimed = (struct args){.v = v};
	for (size_t i = 0; v && i < n; i++) {
		const json_t *one = json_array_get(list, i);
		v[w->claimed.n++] =
		    arena_str(&w->a, (struct str){json_string_value(one), json_string_length(one)});
	}
}

void facts_progress_read(struct work *w)
{
	struct err e;
	if (w->task.progress.n == 0)
		return;
	CLEANUP_JSON json_t *o = json_read(w->task.progress, &e);
	struct str v;
	if (!o)
		return;
	read_phase(o, "phase", &w->st.phase);
	read_phase(o, "failed_at", &w->st.failed_at);
	if (json_get_str(o, "outcome", &v, &e) == 1)
		w->st.outcome = outcome_parse(v);
	w->st.attempt = (uint32_t)read_i64(o, "attempt", 0);
	w->release.number = read_i64(o, "release", 0);
	w->from_release = (uint32_t)read_i64(o, "from", 0);
	w->was_running = read_i64(o, "was_running", 0) != 0;
	w->had_count = read_i64(o, "had", -1);
	w->switch_us = read_i64(o, "switch_us", 0);
	if (json_get_str(o, "backup", &v, &e) == 1)
		w->backup_id = arena_str(&w->a, v);
	if (json_get_str(o, "warning", &v, &e) == 1)
		buf_str(&w->warning, v);
	if (json_get_str(o, "receipt", &v, &e) == 1)
		buf_str(&w->receipt, v);
	read_claimed(w, o);
	read_failure(w, o);
}

static void blame_release(struct work *w)
{
	struct err e;
	(void)err_set(&e, ERR_FAILED,
	    "the release command of release %" PRId64
	    " was running when the daemon ended; it is never run twice by itself",
	    w->release.number);
	(void)err_hint(&e,
	    "look at what it did (slipway logs %.*s --process release), then deploy again",
	    STR_ARG(w->task.project));
	work_blame(w, &e);
}

static void blame_command(struct work *w)
{
	struct err e;
	(void)err_set(&e, ERR_FAILED,
	    "the hook's command was running when the daemon ended; it is never run twice by "
	    "itself");
	(void)err_hint(&e,
	    "look at what it did (slipway logs %.*s --process run), then replay the event",
	    STR_ARG(w->task.project));
	work_blame(w, &e);
}

bool facts_was_done(struct work *w)
{
	if (w->erased && w->st.phase == DEPLOY_ERASE) {
		erase_tell(w);
		return true;
	}
	if (w->st.phase == DEPLOY_COMMAND)
		blame_command(w);
	if (w->st.phase != DEPLOY_RELEASE)
		return false;
	bool none = w->has_plan && w->plan.release.argv.n == 0;
	if (!none && !w->release.migrated) {
		blame_release(w);
		return false;
	}
	w->skipped = true;
	buf_c(&w->detail, none ? "none" : "ran already");
	return true;
}
