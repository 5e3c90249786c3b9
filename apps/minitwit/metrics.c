#include "minitwit/metrics.h"

#include "base/mem.h"

#include <stdatomic.h>
#include <stdlib.h>

const struct metrics_handler metrics_handlers[HANDLER_COUNT] = {
    [H_LATEST] = {"/latest"},
    [H_REGISTER] = {"/register"},
    [H_MSGS] = {"/msgs"},
    [H_MSGS_USER] = {"/msgs/{user}"},
    [H_FLLWS_USER] = {"/fllws/{user}"},
    [H_TIMELINE] = {"/"},
    [H_PUBLIC] = {"/public"},
    [H_USER] = {"/{user}"},
    [H_FOLLOW] = {"/{user}/follow"},
    [H_UNFOLLOW] = {"/{user}/unfollow"},
    [H_ADD_MESSAGE] = {"/add_message"},
    [H_LOGIN] = {"/login"},
    [H_LOGOUT] = {"/logout"},
    [H_STYLE] = {"/static/style.css"},
    [H_HEALTH] = {"/health"},
    [H_METRICS] = {"/metrics"},
};

/* Everything that is answered; others count as the last. */
static const int statuses[] = {200, 204, 302, 400, 401, 403, 404, 415, 500, 503};
enum { STATUS_COUNT = sizeof(statuses) / sizeof(statuses[0]) };

static const int64_t bounds_us[] = {
    100, 250, 500, 1000, 2500, 5000, 10000, 25000, 50000, 100000, 300000, 1000000};
enum { BOUND_COUNT = sizeof(bounds_us) / sizeof(bounds_us[0]) };

struct histogram {
	_Atomic uint64_t buckets[BOUND_COUNT + 1], sum_us, in_bytes, out_bytes;
};

struct metrics {
	_Atomic uint64_t requests[HANDLER_COUNT][HTTP_METHOD_COUNT][STATUS_COUNT];
	struct histogram times[HANDLER_COUNT];
};

struct metrics *metrics_new(void)
{
	return mem_alloc(sizeof(struct metrics));
}

void metrics_free(struct metrics *m)
{
	free(m);
}

static void add(_Atomic uint64_t *to, uint64_t n)
{
	atomic_fetch_add_explicit(to, n, memory_order_relaxed);
}

static uint64_t get(const _Atomic uint64_t *from)
{
	return atomic_load_explicit(from, memory_order_relaxed);
}

void metrics_count(
    struct metrics *m, const struct http_request *r, int status, int64_t us, size_t answer_bytes)
{
	size_t h = (size_t)((const struct metrics_handler *)r->access - metrics_handlers);
	size_t s = 0, b = 0;
	while (s + 1 < STATUS_COUNT && statuses[s] != status)
		s++;
	while (b < BOUND_COUNT && us > bounds_us[b])
		b++;
	add(&m->requests[h][r->method][s], 1);
	add(&m->times[h].buckets[b], 1);
	add(&m->times[h].sum_us, (uint64_t)us);
	add(&m->times[h].in_bytes, r->body.n);
	add(&m->times[h].out_bytes, answer_bytes);
}

static void put_head(struct buf *b, const char *name, const char *type, const char *help)
{
	buf_printf(b, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void put_requests(const struct metrics *m, struct buf *b)
{
	put_head(b, "http_requests_total", "counter", "Requests answered.");
	for (size_t h = 0; h < HANDLER_COUNT; h++)
		for (size_t method = 0; method < HTTP_METHOD_COUNT; method++)
			for (size_t s = 0; s < STATUS_COUNT; s++) {
				uint64_t n = get(&m->requests[h][method][s]);
				if (n > 0)
					buf_printf(b,
					    "http_requests_total{handler=\"%s\",method=\"%s\","
					    "status=\"%d\"} %llu\n",
					    metrics_handlers[h].name,
					    http_method_name((enum http_method)method), statuses[s],
					    (unsigned long long)n);
			}
}

static uint64_t put_buckets(const struct histogram *t, const char *name, struct buf *b)
{
	uint64_t n = 0;
	for (size_t i = 0; i < BOUND_COUNT; i++) {
		n += get(&t->buckets[i]);
		buf_printf(b,
		    "http_request_duration_seconds_bucket{handler=\"%s\",le=\"%g\"} %llu\n", name,
		    (double)bounds_us[i] / 1e6, (unsigned long long)n);
	}
	n += get(&t->buckets[BOUND_COUNT]);
	buf_printf(b, "http_request_duration_seconds_bucket{handler=\"%s\",le=\"+Inf\"} %llu\n",
	    name, (unsigned long long)n);
	buf_printf(b, "http_request_duration_seconds_sum{handler=\"%s\"} %.6f\n", name,
	    (double)get(&t->sum_us) / 1e6);
	buf_printf(b, "http_request_duration_seconds_count{handler=\"%s\"} %llu\n", name,
	    (unsigned long long)n);
	return n;
}

static void put_sizes(const struct metrics *m, struct buf *b, const char *metric, const char *help,
    bool answers, const uint64_t counts[HANDLER_COUNT])
{
	put_head(b, metric, "summary", help);
	for (size_t h = 0; h < HANDLER_COUNT; h++) {
		const struct histogram *t = &m->times[h];
		if (counts[h] == 0)
			continue;
		buf_printf(b, "%s_sum{handler=\"%s\"} %llu\n%s_count{handler=\"%s\"} %llu\n",
		    metric, metrics_handlers[h].name,
		    (unsigned long long)get(answers ? &t->out_bytes : &t->in_bytes), metric,
		    metrics_handlers[h].name, (unsigned long long)counts[h]);
	}
}

void metrics_write(const struct metrics *m, struct buf *b)
{
	uint64_t counts[HANDLER_COUNT] = {0};
	put_requests(m, b);
	put_head(b, "http_request_duration_seconds", "histogram",
	    "From the whole request to the whole answer.");
	for (size_t h = 0; h < HANDLER_COUNT; h++) {
		for (size_t i = 0; i <= BOUND_COUNT; i++)
			counts[h] += get(&m->times[h].buckets[i]);
		if (counts[h] > 0)
			put_buckets(&m->times[h], metrics_handlers[h].name, b);
	}
	put_sizes(m, b, "http_request_size_bytes", "Bodies received.", false, counts);
	put_sizes(m, b, "http_response_size_bytes", "Bodies sent.", true, counts);
}
