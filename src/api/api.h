/* The REST interface, /api/v1: one table names every route with its access row, body limit, schemas
 * and documentation; the OpenAPI document is made from it. Everything that a person can do is here
 * first.
 *
 * Handlers run on the pool and block there on the store; nothing of them runs on the loop but the
 * end of a few answers and the streams. Changes are one store unit with their audit record, and
 * with the kept answer of an `Idempotency-Key`: all durable before the answer, or nothing. */
#pragma once

#include "access/access.h"
#include "crypto/seal.h"
#include "deploy/deploy.h"
#include "hooks/hooks.h"
#include "http/http.h"
#include "loop/loop.h"
#include "observe/feed.h"
#include "notify/notify.h"
#include "observe/logs.h"
#include "observe/requests.h"
#include "queue/queue.h"
#include "run/run.h"
#include "store/store.h"

struct catchup;
struct own;
struct ranges;
struct services;

/* What handlers use; the server's ctx. Everything is borrowed and outlives the server. */
struct api_context {
	struct loop *loop;
	struct store *store;
	struct access *access;
	struct queue *queue;
	const struct seal_key *seal;
	struct feed *feed;
	struct logs *logs;
	struct intake *intake;	/* has the bodies of events; NULL: the store has all */
	struct hooks *hooks;	/* NULL: nobody is told of changed hooks */
	struct outbound *outbound; /* NULL: nobody is asked what our certificate is worth */
	struct notify *notify;	/* NULL: nobody is woken for what is to be told */
	struct own *own;	 /* NULL: the platform has no certificates */
	const char *host;	 /* the platform's own */
	bool names_below;	 /* every project also answers as NAME.HOST, and a wildcard may serve it */
	struct catchup *catchup; /* NULL: nobody is woken to ask GitHub */
	struct ranges *ranges;	/* NULL: GitHub's addresses are those built in */
	const char *github_api;	/* of hooks that say no other: "https://api.github.com" */
	struct run *run;	/* NULL: no instances are shown */
	struct requests *requests; /* NULL: nobody counts what visitors ask */
	struct services *services; /* NULL: none are made */
	struct deploy *deploy;	/* NULL: `run` is ERR_UNAVAILABLE */
	const char *spool_dir;	/* uploaded archives, ID.tar, 0600 */
	const char *backups_dir; /* backup/shelf.h; NULL: none are kept */
	const char *public_url; /* where senders reach POST /hooks/NAME: "http://127.0.0.1:8000", no
				   '/' behind */
	const char *edge_scheme; /* "http": of the addresses shown for projects */
	uint16_t edge_port;	 /* shown unless it is the scheme's own; 0: not shown */
	uint16_t edge_https_port; /* of projects with a certificate that browsers trust; 0: no HTTPS */
	bool edge_localhost;	 /* every project also answers as NAME.localhost */
	int64_t started_ms;	 /* wall clock, for the metrics */
};

/* Every route but POST /hooks/{hook}, which is hooks/'s. Lives as long as the process. First called
 * before threads start. */
const struct http_route *api_routes(size_t *ret_count);
/* GET /metrics for everybody: for a listener of its own, that only the machine can reach. */
const struct http_route *api_metrics_routes(size_t *ret_count);
/* http_authorize_fn for a server whose ctx is a struct api_context. */
int api_authorize(void *ctx, struct http_request *r, struct http_call *c, struct err *e);

/* A task changed its state (the queue's `changed`): reads it and tells the watchers of "task/ID":
 * event "end" with the task once it has ended, else "state". From any thread. */
void api_task_changed(const struct api_context *cx, int64_t task_id);

/* Ends every one-off command that somebody watches (`slipway run`); before the loop is stopped, or
 * the loop would wait for them. Loop thread. */
void api_end_sessions(void);

/* Writes the OpenAPI 3.1 document of the table. */
void api_openapi_write(struct buf *b);
