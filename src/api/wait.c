#include "api/wait.h"

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
