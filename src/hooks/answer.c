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

static void webops_say(
    struct http_call *c, int status, const char *key, const char *value, const char *message)
{
	struct json_out w;
	CLEANUP_BUF struct buf b;
	buf_init(&b, 2048);
	json_out_init(&w, &b);
	json_open_object(&w, NULL);
	json_put_str(&w, key, str_c(value));
	if (message)
		json_put_str(&w, "message", str_c(message));
	json_close_object(&w);
	http_reply_json(c, status, buf_view(&b));
}

/* What WebOps says to it, and with which status; text has room for a branch. */
static int webops_words(const struct answer_about *about, const char **ret_state, char text[400])
{
	struct str note = str_c(about->note ? about->note : "");
	const char *said = about->note;
	int status = 200;
	*ret_state = "success";
	if (!note.n || str_eq_c(note, "another branch"))
		(void)snprintf(text, 400,
		    note.n ? "Branch %.*s doesn't match filter"
			   : "Deployment triggered for branch %.*s",
		    STR_ARG(about->branch));
	if (str_eq_c(note, "the hook is paused"))
		said = "Webhook is paused";
	if (str_eq_c(note, "the hook is paused") || str_eq_c(note, "another branch")) {
		*ret_state = "error";
		status = 400;
	} else if (str_eq_c(note, "a ping"))
		said = "Pong! Webhook is configured correctly.";
	else if (note.n)
		*ret_state = "ignored";
	if (said && !str_eq_c(note, "another branch"))
		(void)snprintf(text, 400, "%s", said);
	return status;
}

static int accepted_status(const struct answer_about *about, const struct queue_accepted *got)
{
	const char *state;
	char text[400];
	if (about->manner == ANSWER_WEBOPS)
		return webops_words(about, &state, text);
	return about->manner == ANSWER_DEPLOYER ? 204 : got->repeated ? 200 : 202;
}

void answer_accepted(struct http_call *c, const struct answer_about *about,
    const struct figures_span *span, const struct queue_accepted *got)
{
	const char *state;
	char text[400];
	figures_answered(span, accepted_status(about, got));
	counter_add(got->repeated ? COUNTER_HOOK_REPEATED : COUNTER_HOOK_ACCEPTED, 1);
	if (about->manner == ANSWER_WEBOPS) {
		int status = webops_words(about, &state, text);
		webops_say(c, status, "status", state, text);
	} else if (about->manner == ANSWER_DEPLOYER)
		http_reply(c, 204, NULL, STR_NONE);
	else
		own_accepted(c, got, about->note);
}

static int refused_status(enum answer_manner m, enum sender_verdict verdict, const struct err *e)
{
	int own = err_class_of(e->code)->http_status;
	if (m == ANSWER_WEBOPS && own == 401)
		return 400;
	if (m != ANSWER_DEPLOYER || verdict == SENDER_FITS || e->code == ERR_RATE)
		return own;
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

static void webops_refused(
    struct http_call *c, int status, enum sender_verdict verdict, const struct err *e)
{
	if (e->code == ERR_NOT_FOUND)
		webops_say(c, status, "error", "Webhook not found", NULL);
	else if (verdict == SENDER_FITS && e->code == ERR_INVALID)
		webops_say(c, status, "error", "Invalid JSON", NULL);
	else
		webops_say(c, status, "status", "error",
		    e->code == ERR_UNAUTHORIZED ? "Invalid signature" : e->msg);
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
	else if (m == ANSWER_WEBOPS && status < 500)
		webops_refused(c, status, verdict, e);
	else
		http_reply_problem(c, e);
}
