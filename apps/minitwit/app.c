/* The table of routes, and how answers are given and counted. */
#include "minitwit/app.h"

#include "base/clock.h"
#include "text/json.h"

#include <string.h>

#define BODY_MAX (TEXT_MAX_BYTES * 4u) /* percent-encoded */
#define NAME_MAX_BYTES 1000

const char app_taken[] = "The username is already taken";

int app_authorize(void *ctx, struct http_request *r, struct http_call *c, struct err *e)
{
	(void)ctx;
	(void)c;
	(void)e;
	r->subject = (void *)(uintptr_t)clock_mono_us();
	return 0;
}

void app_reply(struct app *a, struct http_call *c, int status, const char *type,
    const char *extra_lines, struct str body)
{
	struct http_request *r = http_request_of(c);
	int64_t us = clock_mono_us() - (int64_t)(uintptr_t)r->subject;
	metrics_count(a->metrics, r, status, us, body.n);
	http_reply_headers(c, status, type, extra_lines, body);
}

void app_reply_error(struct app *a, struct http_call *c, int status, const char *msg)
{
	CLEANUP_BUF struct buf b;
	struct json_out w;
	buf_init(&b, 4096);
	json_out_init(&w, &b);
	json_open_object(&w, NULL);
	json_put_i64(&w, "status", status);
	json_put_str(&w, "error_msg", str_c(msg));
	json_close_object(&w);
	app_reply(a, c, status, "application/json", NULL, buf_view(&b));
}

void app_reply_err(struct app *a, struct http_call *c, const struct err *e)
{
	int status = err_class_of(e->code)->http_status;
	app_reply_error(a, c, status == 503 ? 503 : 500, e->msg);
}

struct str app_name(struct str s)
{
	return s.n > 0 && s.n <= NAME_MAX_BYTES && str_utf8_ok(s) ? s : STR_NONE;
}

const char *app_register_fault(struct str name, struct str email, struct str password)
{
	if (!app_name(name).p)
		return "You have to enter a username";
	if (str_find(email, '@', 0) == SIZE_MAX || !app_name(email).p)
		return "You have to enter a valid email address";
	return password.n == 0 ? "You have to enter a password" : NULL;
}

int app_read(struct app *a, loop_fn *fn, loop_fn *done, void *ctx, struct err *e)
{
	if (!a->reads_here)
		return loop_work(a->loop, fn, done, ctx, e);
	fn(ctx);
	done(ctx);
	return 0;
}

static void health(struct http_call *c, struct http_request *r, void *ctx)
{
	(void)r;
	app_reply(ctx, c, 200, "application/json", NULL, STR("{\"status\":\"ok\"}"));
}

static void put_gauges(const struct app *a, struct buf *b)
{
	buf_printf(b,
	    "# HELP minitwit_kept_answers_bytes Answers kept in memory.\n"
	    "# TYPE minitwit_kept_answers_bytes gauge\nminitwit_kept_answers_bytes %zu\n"
	    "# HELP minitwit_latest Number of the simulator's latest request.\n"
	    "# TYPE minitwit_latest gauge\nminitwit_latest %lld\n",
	    pages_bytes(a->pages), (long long)board_latest(a->board));
}

static void metrics(struct http_call *c, struct http_request *r, void *ctx)
{
	struct app *a = ctx;
	CLEANUP_BUF struct buf b;
	(void)r;
	buf_init(&b, 1u << 20);
	metrics_write(a->metrics, &b);
	put_gauges(a, &b);
	app_reply(a, c, 200, "text/plain; version=0.0.4", NULL, buf_view(&b));
}

static bool is_json(const struct http_request *r)
{
	struct str type = http_header_get(r, "Content-Type"), body = str_trim(r->body);
	return str_starts(type, STR("application/json")) || (body.n > 0 && body.p[0] == '{');
}

static void on_register(struct http_call *c, struct http_request *r, void *ctx)
{
	if (is_json(r))
		api_register(ctx, c, r);
	else
		web_register(c, r, ctx);
}

#define ROUTE(m, p, h, f, w, max)                                                                  \
	{                                                                                          \
		.method = HTTP_##m, .pattern = (p), .access = &metrics_handlers[h],                \
		.handler = (f), .where = HTTP_ON_##w, .body_max = (max)                            \
	}

/* Literal paths win over names, so nobody's page can hide one of ours. */
static const struct http_route routes[] = {
    ROUTE(GET, "/latest", H_LATEST, api_latest, LOOP, 0),
    ROUTE(GET, "/msgs", H_MSGS, api_msgs, LOOP, 0),
    ROUTE(GET, "/msgs/{user}", H_MSGS_USER, api_msgs_user, LOOP, 0),
    ROUTE(POST, "/msgs/{user}", H_MSGS_USER, api_msgs_add, LOOP, BODY_MAX),
    ROUTE(GET, "/fllws/{user}", H_FLLWS_USER, api_follows, LOOP, 0),
    ROUTE(POST, "/fllws/{user}", H_FLLWS_USER, api_follows_change, LOOP, BODY_MAX),
    ROUTE(POST, "/register", H_REGISTER, on_register, LOOP, BODY_MAX),
    ROUTE(GET, "/register", H_REGISTER, web_register_page, POOL, 0),
    ROUTE(GET, "/", H_TIMELINE, web_timeline, POOL, 0),
    ROUTE(GET, "/public", H_PUBLIC, web_public, POOL, 0),
    ROUTE(POST, "/add_message", H_ADD_MESSAGE, web_add_message, POOL, BODY_MAX),
    ROUTE(GET, "/add_message", H_USER, web_add_message_page, POOL, 0),
    ROUTE(GET, "/login", H_LOGIN, web_login_page, POOL, 0),
    ROUTE(POST, "/login", H_LOGIN, web_login, LOOP, BODY_MAX),
    ROUTE(GET, "/logout", H_LOGOUT, web_logout, POOL, 0),
    ROUTE(GET, "/{user}", H_USER, web_user, POOL, 0),
    ROUTE(GET, "/{user}/follow", H_FOLLOW, web_follow, POOL, 0),
    ROUTE(GET, "/{user}/unfollow", H_UNFOLLOW, web_unfollow, POOL, 0),
    ROUTE(GET, "/static/style.css", H_STYLE, web_style, LOOP, 0),
    ROUTE(GET, "/health", H_HEALTH, health, LOOP, 0),
    ROUTE(GET, "/metrics", H_METRICS, metrics, LOOP, 0),
};

const struct http_route *app_routes(size_t *ret_count)
{
	*ret_count = sizeof(routes) / sizeof(routes[0]);
	return routes;
}
