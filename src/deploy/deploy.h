/* The engine: takes claimed tasks from the queue and walks them, deploys step by step:
 *   fetch → plan → build → check → provision → release → start → verify → switch → drain → done
 * The decisions are a pure table (deploy/machine.h); this is the executor: it issues the table's
 * actions through source/, run/ and edge/, commits state before acting, and feeds every answer
 * back.
 *
 * What a task's `input` says is in queue/queue.h.
 * What it leaves in `result`: {"release", "commit", "subject", "url", "ms", "switch_us", "warning",
 * "backup", "plan" (plan_only), "receipt": [{"what", "outcome", "why"}]}, and in `error`: {"step", "code",
 * "message", "hint", "lines": ["…"], "serving"}. Messages of the feed's topic "task/ID": "step"
 * {"step", "state", "ms", "detail"}, "line" {"step", "text"}, "end" {"state", "result" | "error"}.
 */
#pragma once

#include "base/args.h"
#include "crypto/seal.h"
#include "edge/edge.h"
#include "loop/loop.h"
#include "notify/notify.h"
#include "observe/feed.h"
#include "observe/logs.h"
#include "observe/requests.h"
#include "queue/queue.h"
#include "run/run.h"
#include "store/store.h"

struct deploy;
struct acme;
struct services;
struct deploy_options {
	struct loop *loop;
	struct store *store;
	struct run *run;
	struct edge *edge;
	struct feed *feed;
	struct logs *logs;
	struct requests *requests; /* NULL: nobody counts what visitors ask */
	const struct seal_key *seal;
	const char *projects_dir, *run_dir,
	    *spool_dir; /* spool: uploaded archives, ARCHIVE-ID.tar */
	const char *backups_dir; /* backup/shelf.h */
	uint16_t
	    edge_port; /* of the addresses shown, unless it is the scheme's own; 0: not shown */
	uint16_t edge_https_port;   /* the same of projects with a certificate that browsers trust */
	const char *edge_scheme;    /* "http": what the edge says in X-Forwarded-Proto */
	struct notify *notify;	    /* NULL: nobody is woken */
	struct services *services;  /* NULL: nothing is made for projects */
	struct acme *acme;	    /* NULL: no certificates from authorities */
	struct outbound *outbound;  /* NULL: likewise */
	uint16_t acme_http_port;    /* where an authority looks for its answers: 80 */
	const char *host;	    /* the platform's own */
	const char *names_below;    /* projects also answer as NAME below this host; NULL: they do not */
	const char *public_url;	    /* of the API, in links to logs; NULL: none */
	bool allow_private_sources; /* embedded: true */
	/* A project was destroyed, durably. On the loop. */
	void (*forgotten)(void *ctx, int64_t project_id);
	/* An event and its body, in the arena: 1, 0: there is none any more, -1. On the writer
	 * thread. */
	int (*body)(void *ctx, struct store_db *db, int64_t event_id, struct arena *a,
	    struct model_event *ret, struct str *ret_body, struct err *e);
	void *ctx; /* of both */
};
struct deploy *deploy_new(const struct deploy_options *o);
void deploy_free(struct deploy *d);
/* The daemon ends: tasks stay in the store as they are now, for the next life to go on with. What
 * is still heard (processes that end because everything ends) is nobody's failure. */
void deploy_quiesce(struct deploy *d);
/* The queue's callbacks. */
void deploy_run(void *deploy, const struct model_task *t, struct queue_lease lease, bool recovered);
void deploy_cancel(void *deploy, int64_t task_id);
void deploy_bind_queue(struct deploy *d, struct queue *q);
/* The supervisor's news. */
void deploy_on_status(void *deploy, const struct priv_status *s);
void deploy_on_line(void *deploy, const struct priv_status *s, struct str line);
/* At daemon start, after run_open: what the store wants against what runs: starts what should run
 * and does not, stops what should not, sets vhosts, agrees the link `live` (the link is the truth
 * on a running machine, the store after a boot). `done` when settled. */
void deploy_reconcile(struct deploy *d, loop_fn *done, void *ctx);

/* A one-off command in the live release (slipway run). Terminal when terminal_fd >= 0, else its
 * standard input is stdin_fd (-1: empty); both are borrowed. Output to the callbacks or the
 * terminal. */
struct run_job *deploy_one_off(struct deploy *d, struct str project, const struct args *argv,
    int terminal_fd, int stdin_fd, const struct run_job_callbacks *cb, struct err *e);
