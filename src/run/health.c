#include "run/health.h"

#include "base/clock.h"
#include "base/mem.h"
#include "http/client.h"

#include <stdio.h>
#include <stdlib.h>

enum { FIRST_PAUSE_MS = 20, PROBE_MS = 5000, TEXT_SIZE = 256 };

struct health {
	struct loop *loop;
	struct health_options o;
	char socket_path[TEXT_SIZE], path[TEXT_SIZE], host[TEXT_SIZE], proto[8];
	health_fn *fn;
	void *ctx;
	struct loop_timer *timer;
	struct http_probe *probe;
	unsigned tries, right;
	int64_t deadline_ms, pause_ms;
	char last[512]; /* what the last answer was, in words */
};

static void health_probe(void *ctx);

static void health_end(struct health *h, const struct err *e)
{
	health_fn *fn = h->fn;
	void *ctx = h->ctx;
	unsigned tries = h->tries;
	struct err copy;
	if (e)
		copy = *e; /* may lie in the probe that is freed now */
	health_cancel(h);
	fn(ctx, tries, e ? &copy : NULL);
}

static bool status_right(const struct health *h, int status)
{
	if (h->o.status)
		return status == h->o.status;
	return h->o.path_set ? status >= 200 && status < 400 : status >= 100 && status < 500;
}

/* The first answers are asked for quickly, so that a program that starts in 50 ms is not waited for
 * a second. */
static void health_pause(struct health *h)
{
	int64_t now = clock_mono_ms();
	if (now >= h->deadline_ms) {
		struct err e;
		err_set(&e, ERR_TIMEOUT, "GET %s → %s (%u %s)", h->path, h->last, h->tries,
		    h->tries == 1 ? "try" : "tries");
		health_end(h, &e);
		return;
	}
	int64_t at = now + h->pause_ms;
	h->pause_ms = h->pause_ms * 2 < h->o.interval_ms ? h->pause_ms * 2 : h->o.interval_ms;
	loop_timer_at(h->timer, at < h->deadline_ms ? at : h->deadline_ms);
}

static void health_answer(void *ctx, int status, const struct err *e)
{
	struct health *h = ctx;
	h->probe = NULL;
	h->tries++;
	if (status && status_right(h, status)) {
		snprintf(h->last, sizeof(h->last), "%d", status);
		if (++h->right == h->o.need) {
			health_end(h, NULL);
			return;
		}
		health_pause(h);
		return;
	}
	if (status && h->right == 0 && h->pause_ms < h->o.interval_ms)
		h->pause_ms = h->o.interval_ms; /* it serves, but not rightly: no hurry */
	h->right = 0;
	if (status)
		snprintf(h->last, sizeof(h->last), "%d", status);
	else
		snprintf(h->last, sizeof(h->last), "%s", e->msg);
	health_pause(h);
}

static void health_probe(void *ctx)
{
	struct health *h = ctx;
	int64_t now = clock_mono_ms(), until = now + PROBE_MS;
	/* the last probe gets at least a second, so that a slow start is told from a dead one */
	if (until > h->deadline_ms)
		until = h->deadline_ms > now + 1000 ? h->deadline_ms : now + 1000;
	const struct http_probe_options p = {.unix_path = h->socket_path,
	    .path = h->path,
	    .host = h->host,
	    .proto = h->proto,
	    .deadline_ms = until};
	h->probe = http_probe_start(h->loop, &p, health_answer, h);
}

struct health *health_start(
    struct loop *l, const struct health_options *o, health_fn *fn, void *ctx)
{
	struct health *h = mem_alloc(sizeof(*h));
	h->loop = l;
	h->o = *o;
	h->fn = fn;
	h->ctx = ctx;
	snprintf(h->socket_path, sizeof(h->socket_path), "%s", o->socket_path);
	snprintf(h->path, sizeof(h->path), "%s", o->path);
	snprintf(h->host, sizeof(h->host), "%s", o->host);
	snprintf(h->proto, sizeof(h->proto), "%s", o->proto);
	snprintf(h->last, sizeof(h->last), "no answer");
	if (!h->o.need)
		h->o.need = 3;
	if (h->o.interval_ms <= 0)
		h->o.interval_ms = 1000;
	if (h->o.timeout_ms <= 0)
		h->o.timeout_ms = 60000;
	h->pause_ms = FIRST_PAUSE_MS < h->o.interval_ms ? FIRST_PAUSE_MS : h->o.interval_ms;
	h->deadline_ms = clock_mono_ms() + h->o.timeout_ms;
	h->timer = loop_timer_new(l, health_probe, h);
	loop_timer_at(h->timer, clock_mono_ms());
	return h;
}

void health_cancel(struct health *h)
{
	if (!h)
		return;
	if (h->probe)
		http_probe_cancel(h->probe);
	loop_timer_free(h->timer);
	free(h);
}
