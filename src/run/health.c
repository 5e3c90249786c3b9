#include "run/health.h"
#include "base/clock.h"
#include "base/mem.h"
#include "http/client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NEED 3
#define INTERVAL_MS 1000
#define TIMEOUT_MS 60000
#define FIRST_PAUSE_MS 20
#define ANSWER_MS 5000 /* one probe */

struct health {
	struct loop *loop;
	struct http_probe_options probe_options;
	char *socket_path, *path, *host, *proto;
	uint16_t status;
	bool path_set, answered;
	unsigned need, tries, right;
	int64_t interval_ms, pause_ms, deadline_ms;
	struct http_probe *probe;
	struct loop_timer *timer;
	char last[600];
	health_fn *fn;
	void *ctx;
};

static void health_free(struct health *h)
{
	if (h->probe)
		http_probe_cancel(h->probe);
	loop_timer_free(h->timer);
	free(h->socket_path);
	free(h->path);
	free(h->host);
	free(h->proto);
	free(h);
}

static bool is_right(const struct health *h, int status)
{
	if (h->status != 0)
		return status == h->status;
	return h->path_set ? status >= 200 && status <= 399 : status >= 100 && status < 500;
}

static void finish(struct health *h, const struct err *e)
{
	health_fn *fn = h->fn;
	void *ctx = h->ctx;
	unsigned tries = h->tries;
	health_free(h);
	fn(ctx, tries, e);
}

static void give_up(struct health *h)
{
	struct err e;
	(void)err_set(&e, h->answered ? ERR_FAILED : ERR_UNAVAILABLE,
	    "did not become healthy: GET %s \xe2\x86\x92 %s (%u %s)", h->path, h->last, h->tries,
	    h->tries == 1 ? "try" : "tries");
	finish(h, &e);
}

/* The first tries come fast, so that a quick program is not waited for; then once an interval. */
static void again(struct health *h)
{
	int64_t pause = h->interval_ms;
	if (h->pause_ms < pause) {
		pause = h->pause_ms;
		h->pause_ms *= 2;
	}
	int64_t at = clock_mono_ms() + pause;
	loop_timer_at(h->timer, at < h->deadline_ms ? at : h->deadline_ms);
}

static void on_answer(void *ctx, int status, const struct err *e)
{
	struct health *h = ctx;
	h->probe = NULL;
	if (status > 0)
		snprintf(h->last, sizeof(h->last), "status %d", status);
	else
		snprintf(h->last, sizeof(h->last), "%s", e ? e->msg : "no answer");
	h->answered = h->answered || status > 0;
	h->right = status > 0 && is_right(h, status) ? h->right + 1 : 0;
	if (h->right >= h->need)
		finish(h, NULL);
	else
		again(h);
}

static void on_timer(void *ctx)
{
	struct health *h = ctx;
	int64_t now = clock_mono_ms();
	if (now >= h->deadline_ms) {
		give_up(h);
		return;
	}
	h->tries++;
	h->probe_options.deadline_ms =
	    now + ANSWER_MS < h->deadline_ms ? now + ANSWER_MS : h->deadline_ms;
	h->probe = http_probe_start(h->loop, &h->probe_options, on_answer, h);
}

static char *copy(const char *s, const char *otherwise)
{
	return mem_dup(str_c(s ? s : otherwise));
}

struct health *health_start(
    struct loop *l, const struct health_options *o, health_fn *fn, void *ctx)
{
	struct health *h = mem_alloc(sizeof(*h));
	*h = (struct health){.loop = l,
	    .socket_path = copy(o->socket_path, ""),
	    .path = copy(o->path, "/"),
	    .host = copy(o->host, "localhost"),
	    .proto = copy(o->proto, "http"),
	    .status = o->status,
	    .path_set = o->path_set,
	    .need = o->need ? o->need : NEED,
	    .interval_ms = o->interval_ms > 0 ? o->interval_ms : INTERVAL_MS,
	    .pause_ms = FIRST_PAUSE_MS,
	    .deadline_ms = clock_mono_ms() + (o->timeout_ms > 0 ? o->timeout_ms : TIMEOUT_MS),
	    .fn = fn,
	    .ctx = ctx};
	h->probe_options = (struct http_probe_options){
	    .unix_path = h->socket_path, .path = h->path, .host = h->host, .proto = h->proto};
	h->timer = loop_timer_new(l, on_timer, h);
	loop_timer_at(h->timer, clock_mono_ms());
	return h;
}

void health_cancel(struct health *h)
{
	if (h)
		health_free(h);
}
