#include "minitwit/jobs.h"

#include "base/mem.h"

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#define WAITING_MAX 256u

/* The first thread hashes at the process's own priority, so that who signs up on a busy machine waits for one hash and not for an idle
   processor. The others help only once so many wait, and only with what nobody else wants. */
#define THREADS 2
#define HELP_FROM 4u
#define HELPERS_NICE 10

struct job {
	jobs_fn *fn;
	void *ctx;
};

struct jobs {
	pthread_mutex_t lock;
	pthread_cond_t work, help;
	struct job ring[WAITING_MAX];
	unsigned first, count;
	bool closing;
	pthread_t threads[THREADS];
	unsigned thread_count;
};

static bool take(struct jobs *j, unsigned at_least, struct job *ret)
{
	pthread_mutex_lock(&j->lock);
	while (j->count < at_least && !j->closing)
		pthread_cond_wait(at_least > 1 ? &j->help : &j->work, &j->lock);
	bool some = j->count > 0;
	if (some) {
		*ret = j->ring[j->first];
		j->first = (j->first + 1) % WAITING_MAX;
		j->count--;
	}
	pthread_mutex_unlock(&j->lock);
	return some;
}

static void *thread_main(void *arg)
{
	struct job job;
	while (take(arg, 1, &job))
		job.fn(job.ctx);
	return NULL;
}

static void *helper_main(void *arg)
{
	struct job job;
	/* Linux keeps this per thread. */
	(void)setpriority(PRIO_PROCESS, (id_t)gettid(), HELPERS_NICE);
	while (take(arg, HELP_FROM, &job))
		job.fn(job.ctx);
	return NULL;
}

struct jobs *jobs_new(struct err *e)
{
	struct jobs *j = mem_alloc(sizeof(*j));
	pthread_mutex_init(&j->lock, NULL);
	pthread_cond_init(&j->work, NULL);
	pthread_cond_init(&j->help, NULL);
	for (; j->thread_count < THREADS; j->thread_count++) {
		int rc = pthread_create(&j->threads[j->thread_count], NULL,
		    j->thread_count ? helper_main : thread_main, j);
		if (rc == 0)
			continue;
		err_sys(e, ERR_UNAVAILABLE, rc, "could not start the threads that hash passwords");
		jobs_free(j);
		return NULL;
	}
	return j;
}

int jobs_add(struct jobs *j, jobs_fn *fn, void *ctx, struct err *e)
{
	pthread_mutex_lock(&j->lock);
	bool room = j->count < WAITING_MAX;
	if (room) {
		j->ring[(j->first + j->count) % WAITING_MAX] = (struct job){fn, ctx};
		j->count++;
		pthread_cond_signal(&j->work);
		if (j->count >= HELP_FROM)
			pthread_cond_signal(&j->help);
	}
	pthread_mutex_unlock(&j->lock);
	if (room)
		return 0;
	err_set(e, ERR_UNAVAILABLE, "too many people sign up or in at this moment");
	return err_hint(e, "try again in a second");
}

void jobs_free(struct jobs *j)
{
	if (!j)
		return;
	pthread_mutex_lock(&j->lock);
	j->closing = true;
	pthread_cond_broadcast(&j->work);
	pthread_cond_broadcast(&j->help);
	pthread_mutex_unlock(&j->lock);
	for (unsigned i = 0; i < j->thread_count; i++)
		pthread_join(j->threads[i], NULL);
	pthread_cond_destroy(&j->work);
	pthread_cond_destroy(&j->help);
	pthread_mutex_destroy(&j->lock);
	free(j);
}
