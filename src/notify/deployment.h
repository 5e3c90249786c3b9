/* A deploy told to GitHub as its deployment: found by our own name for it, else made, then given the
 * state of now. Three requests, of which what is known already needs one. Pure.
 * https://docs.github.com/rest/deployments */
#pragma once

#include "notify/shape.h"

/* Deliveries that tell of deployments have keys that begin so, and series of their own. */
#define DEPLOYMENT_KEY "deployment/"

/* Whether there is a deployment in the event. */
bool deployment_tells(struct str event);

enum deployment_stage {
	DEPLOYMENT_FIND,
	DEPLOYMENT_MAKE,
	DEPLOYMENT_STATE,
	DEPLOYMENT_STAGE_COUNT
};
struct deployment {
	struct outbound_request request[DEPLOYMENT_STAGE_COUNT]; /* the last without its url */
	struct str target;
	enum deployment_stage stage; /* which is next */
	int64_t id;		     /* GitHub's; 0: not known yet */
};
/* Of s->message; id 0: not known. Texts live in the arena. ERR_INVALID: there is no commit. */
int deployment_begin(const struct shape *s, int64_t id, struct arena *a, struct deployment *ret,
    struct err *e) WARN_UNUSED;
/* The request of the stage. ERR_TOO_LARGE. */
int deployment_request(
    struct deployment *d, struct arena *a, struct outbound_request *ret, struct err *e) WARN_UNUSED;
/* A 2xx: 1: another request follows, 0: that was the last, -1: it is not what GitHub says, and e
 * says so. */
int deployment_answered(
    struct deployment *d, const struct outbound_answer *a, struct err *e) WARN_UNUSED;
