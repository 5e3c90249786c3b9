/* What senders are answered: in our own manner, or in that of the program that had their path before.
 * durhack's deployer: 204 at once; 400 without a signature, 403 for one that does not fit, however
 * it is written, or for an address that is not GitHub's; errors, 405 too, as {"status", "message",
 * "description"}. WebOps: 200 or 400 with {"status", "message"}; 404, broken JSON and whatever is
 * our fault with {"error"}; 405 without a body. A full disk is 503 with Retry-After in all three. */
#pragma once

#include "hooks/figures.h"
#include "hooks/sender.h"
#include "queue/queue.h"

enum answer_manner { ANSWER_OWN, ANSWER_DEPLOYER, ANSWER_WEBOPS, ANSWER_MANNER_COUNT };

struct answer_about {
	enum answer_manner manner;
	const char *note; /* why nothing follows, or NULL */
	struct str branch, kind;
};
/* From any thread. */
void answer_accepted(struct http_call *c, const struct answer_about *about,
    const struct figures_span *span, const struct queue_accepted *got);
/* `verdict`: of the proof; SENDER_FITS when something else was the matter. wait_ms 0: not said. */
void answer_refused(struct http_call *c, enum answer_manner m, const struct figures_span *span,
    enum sender_verdict verdict, const struct err *e, int64_t wait_ms);
/* For another method than POST. */
void answer_not_allowed(struct http_call *c, enum answer_manner m);
