/* Signed events from outside: POST /hooks/{hook}. Verified over the raw bytes in constant time,
 * stored durably once per (hook, delivery id), and only then acknowledged.
 *
 * Answers: 202 {"event", "task"?, "note"?} accepted ("task" only where the store itself was waited
 * for: with a journal the event tells it a moment later); 200 with the first event's id for a
 * repeat; 400 malformed; 401 missing or wrong signature; 403 from an address that the hook does not
 * take; 404 unknown hook; 413; 415; 429 with Retry-After: more than the hook takes, or too many
 * refusals from that address; 503 when the store cannot take it. */
#pragma once

#include "crypto/seal.h"
#include "hooks/answer.h"
#include "http/http.h"
#include "queue/intake.h"
#include "store/store.h"

struct ranges;
struct hooks;
struct hooks_options {
	struct loop *loop;
	struct store *store;
	struct intake *intake;
	const struct seal_key *seal;
	const struct ranges *github; /* its published addresses; NULL: those built in */
};
/* Reads every hook and its secret into memory; blocks; at start only. NULL on error. */
struct hooks *hooks_open(const struct hooks_options *o, struct err *e);
void hooks_close(struct hooks *h);
/* The hook of that name was added, changed or removed, durably: reads it again and returns when
 * deliveries see it (at most 10 s; where it cannot be read in that time, a little later). From pool threads only: it reads the store and waits for the
 * loop. */
void hooks_changed(struct hooks *h, struct str name);
/* The project's branch was changed, durably: the same for each of its hooks. */
void hooks_project_changed(struct hooks *h, int64_t project_id);
/* The project is gone, and its hooks with it: they are unknown at once. On the loop. */
void hooks_forget(struct hooks *h, int64_t project_id);
/* A request to a hook, whichever, was refused before its handler heard of it. Any thread. */
void hooks_turned_away(const struct http_route *route, const struct err *e);
/* The handler of POST /hooks/{hook}; runs on the loop. */
void hooks_receive(struct hooks *h, struct http_call *c, struct http_request *r);
/* The same for the hook of that name, whatever the path, and answered in that manner. */
void hooks_receive_as(struct hooks *h, struct http_call *c, struct http_request *r, struct str name,
    enum answer_manner manner);
/* The hook whose secret that is, where it has 64 hexadecimal digits; all empty when there is none.
 * Takes as long whatever fits. On the loop; until the hook changes. */
struct hooks_found {
	struct str name, project;
	bool paused;
};
struct hooks_found hooks_of_secret(struct hooks *h, struct str secret);
