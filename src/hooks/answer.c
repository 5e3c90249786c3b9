#include "hooks/answer.h"

#include "base/counters.h"
#include "http/wire.h"
#include "text/json.h"

#include <stdio.h>

enum { FULL_WAIT_MS = 30000, BUSY_WAIT_MS = 1000 };

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

/* Who is to come again is told when. */
static const char *later(char line[48], int64_t wait_ms)
{
	if (wait_ms <= 0)
		return NULL;
	(void)snprintf(line, 48, "Retry-After: %lld\r\n", (long long)(wait_ms + 999) / 1000);
	return line;
}

static void webops_say(struct http_call *c, int status, const char *extra, const char *key,
    const char *value, const char *message)
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
	http_reply_headers(c, status, "application/json", extra, buf_view(&b));
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
	if (str_eq_c(note, "not a push")) {
		(void)snprintf(text, 400, "Event type '%.*s' not supported", STR_ARG(about->kind));
		return status;
	}
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
		webops_say(c, status, NULL, "status", state, text);
	} else if (about->manner == ANSWER_DEPLOYER)
		http_reply(c, 204, NULL, STR_NONE);
	else
		own_accepted(c, got, about->note);
}

/* The deployer's 400 is for a request without the header, its 403 for one whose header does not fit,
 * whatever stands there. */
static int deployer_status(struct http_call *c, enum sender_verdict verdict, int own)
{
	if (own != 401 || verdict == SENDER_FITS)
		return own;
	bool sent = http_header_get(http_request_of(c), "X-Hub-Signature-256").p != NULL;
	return verdict == SENDER_MISSING && !sent ? 400 : 403;
}

void answer_not_allowed(struct http_call *c, enum answer_manner m)
{
	static const char line[] = "Allow: POST\r\n";
	if (m == ANSWER_WEBOPS)
		http_reply_headers(c, 405, "text/html; charset=utf-8", line, STR(""));
	else
		http_reply_headers(c, 405, "application/json", line,
		    STR("{\"status\":405,\"message\":\"Method Not Allowed\"}"));
}

static void deployer_refused(
    struct http_call *c, int status, const struct err *e, const char *extra)
{
	struct json_out w;
	CLEANUP_BUF struct buf b;
	buf_init(&b, 1024);
	json_out_init(&w, &b);
	json_open_object(&w, NULL);
	json_put_i64(&w, "status", status);
	json_put_str(&w, "message", str_c(http_wire_reason(status)));
	json_put_str(&w, "description", str_c(e->msg));
	json_close_object(&w);
	http_reply_headers(c, status, "application/json", extra, buf_view(&b));
}

static void webops_refused(struct http_call *c, int status, enum sender_verdict verdict,
    const struct err *e, const char *extra)
{
	if (status >= 500)
		webops_say(c, status, extra, "error", "Internal server error", NULL);
	else if (e->code == ERR_NOT_FOUND)
		webops_say(c, status, extra, "error", "Webhook not found", NULL);
	else if (verdict == SENDER_FITS && e->code == ERR_INVALID)
		webops_say(c, status, extra, "error", "Invalid JSON", NULL);
	else
		webops_say(c, status, extra, "status", "error",
		    e->code == ERR_UNAUTHORIZED ? "Invalid signature" : e->msg);
}

void answer_refused(struct http_call *c, enum answer_manner m, const struct figures_span *span,
    enum sender_verdict verdict, const struct err *e, int64_t wait_ms)
{
	char line[48];
	struct err said = *e;
	/* to a sender a full disk is what it is: not now */
	if (said.code == ERR_NO_SPACE) {
		said.code = ERR_UNAVAILABLE;
		wait_ms = FULL_WAIT_MS;
	}
	int own = err_class_of(said.code)->http_status, status = own;
	if (m == ANSWER_WEBOPS && own == 401)
		status = 400;
	else if (m == ANSWER_DEPLOYER)
		status = deployer_status(c, verdict, own);
	if (status == 503 && wait_ms <= 0)
		wait_ms = BUSY_WAIT_MS;
	figures_answered(span, status);
	counter_add(COUNTER_HOOK_REFUSED, 1);
	figures_refused(e->code);
	if (m == ANSWER_DEPLOYER)
		deployer_refused(c, status, &said, later(line, wait_ms));
	else if (m == ANSWER_WEBOPS)
		webops_refused(c, status, verdict, &said, later(line, wait_ms));
	else if (wait_ms > 0)
		http_reply_later(c, &said, wait_ms);
	else
		http_reply_problem(c, &said);
}
