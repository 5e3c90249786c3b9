/* MiniTwit's parts, and what all its handlers share. */
#pragma once

#include "http/http.h"
#include "loop/loop.h"
#include "minitwit/board.h"
#include "minitwit/data.h"
#include "minitwit/jobs.h"
#include "minitwit/metrics.h"
#include "minitwit/pages.h"
#include "minitwit/ring.h"
#include "minitwit/writes.h"

#define READ_WAIT_MS 2000

struct app {
	struct loop *loop;
	struct store *store;
	struct board *board;
	struct pages *pages;
	struct ring *ring;
	struct jobs *jobs;
	struct metrics *metrics;
	struct writes *writes;
	struct buf row; /* of a change, as JSON; loop thread */
	struct data_key key;
	/* Reads that take microseconds run on the loop thread (a file); those that wait for a
	 * server run on the pool. */
	bool reads_here;
};

/* All routes, pages and API. */
const struct http_route *app_routes(size_t *ret_count);
/* For http_server_options: notes when the request came. Refuses nothing. */
int app_authorize(void *ctx, struct http_request *r, struct http_call *c, struct err *e);

/* Every answer goes through one of these, so that all are counted. From any thread. */
void app_reply(struct app *a, struct http_call *c, int status, const char *type,
    const char *extra_lines, struct str body);
/* {"status":…,"error_msg":…}, as the simulator's reference. */
void app_reply_error(struct app *a, struct http_call *c, int status, const char *msg);
/* An error of ours. */
void app_reply_err(struct app *a, struct http_call *c, const struct err *e);

/* A name as a path or a field gives it: STR_NONE when nobody can be called so. */
struct str app_name(struct str s);
/* The first complaint about a registration, or NULL; the order is the original's. */
const char *app_register_fault(struct str name, struct str email, struct str password);
extern const char app_taken[];

/* Runs fn(ctx) where reads may be made and then done(ctx) on the loop thread. Loop thread. */
int app_read(struct app *a, loop_fn *fn, loop_fn *done, void *ctx, struct err *e) WARN_UNUSED;

/* api.c and web_*.c: the handlers that app.c lists. */
http_handler api_latest, api_msgs, api_msgs_user, api_msgs_add, api_follows, api_follows_change;
http_handler web_timeline, web_public, web_user, web_add_message_page, web_follow, web_unfollow,
    web_add_message, web_login_page, web_login, web_logout, web_register_page, web_register,
    web_style;
/* POST /register serves both: who sends JSON is the simulator. */
void api_register(struct app *a, struct http_call *c, struct http_request *r);
