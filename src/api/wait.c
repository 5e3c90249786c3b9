#include "api/wait.h"

#include "base/mem.h"
#include "loop/loop.h"
#include "run/run.h"

#include <stdlib.h>
#include <time.h>

void api_wait_init(struct api_wait *w)
{
	sem_init(&w->answered, 0, 0);
	atomic_store(&w->holders, 2);
}

void api_wait_answer(struct api_wait *w)
{
	sem_post(&w->answered);
	api_wait_release(w);
}

bool api_wait_for(struct api_wait *w, int64_t limit_ms)
{
	struct timespec until;
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += limit_ms / 1000;
	return sem_clockwait(&w->answered, CLOCK_MONOTONIC, &until) == 0;
}

void api_wait_release(struct api_wait *w)
{
	if (atomic_fetch_sub(&w->holders, 1) > 1)
		return;
	sem_destroy(&w->answered);
	free(w);
}

/* ---- the helper ---- */

struct asked {
	struct api_wait wait;
	struct run *run;
	struct priv_request q;
	bool failed;
	struct err why;
};

static void helper_answered(void *ctx, uint64_t value, const struct err *e)
{
	(void)value;
	struct asked *a = ctx;
	a->failed = e != NULL;
	if (e)
		a->why = *e;
	api_wait_answer(&a->wait);
}

static void helper_ask(void *ctx)
{
	struct asked *a = ctx;
	run_request(a->run, &a->q, NULL, 0, helper_answered, a);
}

int api_ask_helper(
    const struct api_call *c, const struct priv_request *q, int64_t limit_ms, struct err *e)
{
	struct asked *a = mem_alloc(sizeof(*a));
	*a = (struct asked){.run = c->cx->run, .q = *q};
	api_wait_init(&a->wait);
	loop_post(c->cx->loop, helper_ask, a);
	int rc = 0;
	if (!api_wait_for(&a->wait, limit_ms)) {
		rc = err_set(e, ERR_UNAVAILABLE, "the helper did not answer");
	} else if (a->failed) {
		*e = a->why;
		rc = -1;
	}
	api_wait_release(&a->wait);
	return rc;
}
