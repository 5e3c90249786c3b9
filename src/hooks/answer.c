#include "hooks/answer.h"

#include "base/counters.h"
#include "text/json.h"

#include <stdio.h>

static void own_accepted(struct http_call *c, const struct queue_accepted *got, const char *note)
{
	char text[160];
	int n = snprintf(text, sizeof(text), "{\"event\":%lld", (long long)got->event_id);
	if (got->task_id)
		n += snprintf(
		    text + n, sizeof(text) - (size_t)n, ",\"task\":%lld", (long long)got->task_id);
	if (got->repeated)
		n += snprintf(text + n, sizeof(text) - (size_t)n, ",\"repeated\":true");
	else if (note)
		n += snprintf(text + n, sizeof(text) - (size_t)n, ",\"note\":\"%s\"", note);
	text[n++] = '}';
	http_reply_json(c, got->repeated ? 200 : 202, (struct str){text, (size_t)n});
}

void answer_accepted(struct http_call *c, enum answer_manner m, const struct figures_span *span,
    const struct queue_accepted *got, const char *note)
{
	figures_answered(span, m == ANSWER_DEPLOYER ? 204 : got->repeated ? 200 : 202);
	counter_add(got->repeated ? COUNTER_HOOK_REPEATED : COUNTER_HOOK_ACCEPTED, 1);
	if (m == ANSWER_DEPLOYER)
		http_reply(c, 204, NULL, STR_NONE);
	else
		own_accepted(c, got, note);
}

static int refused_status(enum answer_manner m, enum sender_verdict verdict, const struct err *e)
{
	if (m != ANSWER_DEPLOYER || verdict == SENDER_FITS || e->code == ERR_RATE)
		return err_class_of(e->code)->http_status;
	return verdict == SENDER_MISSING || verdict == SENDER_MALFORMED ? 400 : 403;
}

static void deployer_refused(struct http_call *c, int status, const struct err *e)
{
	struct json_out w;
	CLEANUP_BUF struct buf b;
	buf_init(&b, 1024);
	json_out_init(&w, &b);
	json_open_object(&w, NULL);
	json_put_i64(&w, "status", status);
	json_put_str(&w, "message",
	    status == 400   ? STR("Bad Request")
	    : status == 403 ? STR("Forbidden")
			    : str_c(err_class_of(e->code)->title));
	json_put_str(&w, "description", str_c(e->msg));
	json_close_object(&w);
	http_reply_json(c, status, buf_view(&b));
}

void answer_refused(struct http_call *c, enum answer_manner m, const struct figures_span *span,
    enum sender_verdict verdict, const struct err *e, int64_t wait_ms)
{
	int status = refused_status(m, verdict, e);
	figures_answered(span, status);
	counter_add(COUNTER_HOOK_REFUSED, 1);
	/* who is to come again is told when, in one manner for all */
	if (wait_ms > 0)
		http_reply_later(c, e, wait_ms);
	else if (m == ANSWER_DEPLOYER && status < 500)
		deployer_refused(c, status, e);
	else
		http_reply_problem(c, e);
}
