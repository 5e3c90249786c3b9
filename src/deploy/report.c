/* What people see of a task: messages of the feed while it runs, result or error when it ends. */
#include "deploy/work.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "deploy/hints.h"
#include "text/json.h"

static void publish(struct work *w, const char *event, const struct buf *json)
{
	char topic[40];
	(void)snprintf(topic, sizeof(topic), "task/%" PRId64, w->task.id);
	feed_publish(w->d->o.feed, str_c(topic), str_c(event), buf_view(json));
}

void report_step(struct work *w, const char *step, const char *state, int64_t ms, struct str detail)
{
	CLEANUP_BUF struct buf b;
	struct json_out j;
	buf_init(&b, 8u << 10);
	json_out_init(&j, &b);
	json_open_object(&j, NULL);
	json_put_str(&j, "step", str_c(step));
	json_put_str(&j, "state", str_c(state));
	json_put_i64(&j, "ms", ms);
	json_put_str(&j, "detail", detail.p ? detail : STR(""));
	json_close_object(&j);
	publish(w, "step", &b);
}

void report_line(struct work *w, const char *step, struct str line)
{
	CLEANUP_BUF struct buf b;
	struct json_out j;
	buf_init(&b, 128u << 10);
	json_out_init(&j, &b);
	json_open_object(&j, NULL);
	json_put_str(&j, "step", str_c(step));
	json_put_str(&j, "text", line);
	json_close_object(&j);
	publish(w, "line", &b);
}

void report_end(struct work *w, const char *state, struct str result, struct str error)
{
	CLEANUP_BUF struct buf b;
	struct json_out j;
	buf_init(&b, 512u << 10);
	json_out_init(&j, &b);
	json_open_object(&j, NULL);
	json_put_str(&j, "state", str_c(state));
	if (result.n > 0)
		json_put_raw(&j, "result", result);
	if (error.n > 0)
		json_put_raw(&j, "error", error);
	json_close_object(&j);
	publish(w, "end", &b);
}

/* --- last lines --- */

void report_lines_clear(struct work *w)
{
	for (size_t i = 0; i < WORK_LINES; i++)
		mem_free_ptr(&w->lines[i]);
	w->line_count = 0;
}

void report_lines_add(struct work *w, struct str line)
{
	char **slot = &w->lines[w->line_count++ % WORK_LINES];
	mem_free_ptr(slot);
	*slot = mem_dup(str_slice(line, 0, WORK_LINE_BYTES));
}

void report_lines_keep(struct work *w)
{
	if (w->failure_lines || w->line_count == 0)
		return;
	CLEANUP_BUF struct buf b;
	buf_init(&b, WORK_LINES * (WORK_LINE_BYTES + 2));
	size_t first = w->line_count > WORK_LINES ? w->line_count - WORK_LINES : 0;
	for (size_t i = first; i < w->line_count; i++)
		buf_printf(&b, "%s%s", i > first ? "\n" : "", w->lines[i % WORK_LINES]);
	w->failure_lines = mem_dup(buf_view(&b));
}

void report_lines_of(struct work *w, struct str process, int64_t since_ms)
{
	struct logs_line *v;
	size_t n;
	struct err e;
	struct logs_query q = {.project = w->project.name,
	    .process = process,
	    .release = (uint32_t)w->release.number,
	    .since_ms = since_ms,
	    .tail = WORK_LINES};
	if (w->failure_lines || logs_read(w->d->o.logs, &q, &w->a, &v, &n, &e) != 0)
		return;
	report_lines_clear(w);
	for (size_t i = 0; i < n; i++)
		report_lines_add(w, v[i].text);
	report_lines_keep(w);
}

void report_lines_of_release(struct work *w)
{
	report_lines_of(w, STR_NONE, 0);
}

/* --- the end --- */

void report_receipt(struct work *w, const char *what, const char *outcome, const char *why)
{
	struct json_out j;
	if (w->receipt.n > 0)
		buf_char(&w->receipt, ',');
	json_out_init(&j, &w->receipt);
	json_open_object(&j, NULL);
	json_put_str(&j, "what", str_c(what));
	json_put_str(&j, "outcome", str_c(outcome));
	json_put_str(&j, "why", str_c(why));
	json_close_object(&j);
}

static void put_receipt(struct json_out *j, struct work *w)
{
	if (w->receipt.n == 0)
		return;
	CLEANUP_BUF struct buf list;
	buf_init(&list, 32u << 10);
	buf_char(&list, '[');
	buf_str(&list, buf_view(&w->receipt));
	buf_char(&list, ']');
	json_put_raw(j, "receipt", buf_view(&list));
}

struct str report_url(const struct work *w, struct arena *a)
{
	const struct deploy_options *o = &w->d->o;
	if (plan_is_sites(&w->plan)) /* where its sites listen is their own affair */
		return w->plan.site_count > 0 && w->plan.sites[0].domains.n > 0
			   ? str_c(arena_printf(a, "http%s://%.*s",
				 w->plan.sites[0].certified ? "s" : "",
				 STR_ARG(w->plan.sites[0].domains.v[0])))
			   : STR("");
	bool answers = plan_has_web(&w->plan) || w->plan.static_count > 0;
	if (w->first_domain.n == 0 || (w->has_plan && !answers))
		return STR("");
	bool secure =
	    o->edge_https_port && model_certificate_serves(&w->certificate, w->first_domain);
	const char *scheme = secure ? "https" : o->edge_scheme;
	uint16_t port = secure ? o->edge_https_port : o->edge_port,
		 own = strcmp(scheme, "https") == 0 ? 443 : 80;
	return str_c(port == 0 || port == own
			 ? arena_printf(a, "%s://%.*s", scheme, STR_ARG(w->first_domain))
			 : arena_printf(a, "%s://%.*s:%u", scheme, STR_ARG(w->first_domain), port));
}

static void put_url(struct json_out *j, struct work *w)
{
	struct str url = report_url(w, &w->a);
	if (url.n)
		json_put_str(j, "url", url);
}

void report_result(struct work *w, struct buf *out)
{
	struct json_out j;
	json_out_init(&j, out);
	json_open_object(&j, NULL);
	if (w->st.outcome == DEPLOY_OUT_UP_TO_DATE && !w->in.plan_only)
		json_put_bool(&j, "up_to_date", true);
	bool backup = w->st.flow == DEPLOY_FLOW_BACKUP;
	if (w->release.number > 0 && w->st.outcome == DEPLOY_OUT_DONE &&
	    w->st.flow != DEPLOY_FLOW_CHECK && !backup)
		json_put_i64(&j, "release", w->release.number);
	if (w->release.commit.n > 0 && !backup) {
		json_put_str(&j, "commit", w->release.commit);
		json_put_str(&j, "subject", w->release.subject);
		json_put_str(&j, "author", w->release.author);
		json_put_str(&j, "ref", w->release.ref);
	}
	if (w->st.flow != DEPLOY_FLOW_DESTROY && w->st.flow != DEPLOY_FLOW_STOP &&
	    w->st.flow != DEPLOY_FLOW_CHECK && w->st.flow != DEPLOY_FLOW_RUN && !backup)
		put_url(&j, w);
	json_put_i64(&j, "ms", clock_wall_ms() - w->begun_wall_ms);
	if (w->switch_us > 0)
		json_put_i64(&j, "switch_us", w->switch_us);
	if (w->backup_id.n > 0)
		json_put_str(&j, "backup", w->backup_id);
	if (w->from_release > 0)
		json_put_i64(&j, "from", w->from_release);
	if (w->warning.n > 0)
		json_put_str(&j, "warning", buf_view(&w->warning));
	if (w->plan_json.n > 0)
		json_put_raw(&j, "plan", buf_view(&w->plan_json));
	put_receipt(&j, w);
	json_close_object(&j);
}

static void put_lines(struct json_out *j, const struct work *w)
{
	if (!w->failure_lines)
		return;
	struct str rest = str_c(w->failure_lines), line;
	json_open_array(j, "lines");
	while (str_next(&rest, '\n', &line) == 1)
		json_put_str(j, NULL, line);
	json_close_array(j);
}

/* What still answers after the failure, in words. */
static void put_serving(struct json_out *j, const struct work *w)
{
	CLEANUP_BUF struct buf b;
	buf_init(&b, 256);
	if (w->st.flow == DEPLOY_FLOW_DESTROY)
		return;
	int64_t live = w->project.live;
	if (live == w->release.number && w->st.flow == DEPLOY_FLOW_DEPLOY)
		live = w->from_release;
	if (live == 0)
		buf_c(&b, "nothing was serving before and nothing is");
	else if (!w->project.desired_running || w->st.flow == DEPLOY_FLOW_START)
		buf_printf(&b, "release %" PRId64 " is stopped as before", live);
	else
		buf_printf(&b, "release %" PRId64 " is still serving", live);
	json_put_str(j, "serving", buf_view(&b));
}

static void put_hint(struct json_out *j, struct work *w)
{
	CLEANUP_BUF struct buf b;
	char own[256];
	buf_init(&b, 1024);
	if (w->failure.hint[0])
		buf_c(&b, w->failure.hint);
	else if (w->failure_lines && hints_find(str_c(w->failure_lines), own, sizeof(own)))
		buf_c(&b, own);
	bool ran = w->st.failed_at >= DEPLOY_RELEASE && w->st.failed_at <= DEPLOY_HANDOVER;
	if (ran && w->release.number > 0 && w->plan.process_count > 0)
		buf_printf(&b, "%slook: slipway logs %.*s --release %" PRId64,
		    b.n > 0 ? ", or " : "", STR_ARG(w->project.name), w->release.number);
	if (b.n > 0)
		json_put_str(j, "hint", buf_view(&b));
}

void report_error(struct work *w, struct buf *out)
{
	struct json_out j;
	const char *step = deploy_phase_step(w->st.failed_at);
	if (!w->failed && w->st.outcome == DEPLOY_OUT_CANCELLED)
		(void)err_set(&w->failure, ERR_CANCELLED, "it was cancelled");
	else if (!w->failed)
		(void)err_set(&w->failure, ERR_INTERNAL, "it failed without a reason");
	json_out_init(&j, out);
	json_open_object(&j, NULL);
	json_put_str(&j, "step", str_c(step ? step : ""));
	json_put_str(&j, "code", str_c(err_class_of(w->failure.code)->name));
	json_put_str(&j, "message", str_c(w->failure.msg));
	if (w->st.outcome != DEPLOY_OUT_CANCELLED)
		put_hint(&j, w);
	put_lines(&j, w);
	put_serving(&j, w);
	if (w->release.number > 0 && w->st.flow != DEPLOY_FLOW_CHECK &&
	    w->st.flow != DEPLOY_FLOW_BACKUP)
		json_put_i64(&j, "release", w->release.number);
	put_receipt(&j, w);
	json_close_object(&j);
}
