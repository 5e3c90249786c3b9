#include "store/pq.h"

#include "base/shared.h"

#include <pthread.h>

#define PQ_NAME(function) #function,
static const char *const names[] = {PQ_FUNCTIONS(PQ_NAME)};
static struct pq table;
static bool loaded;
static char why[256];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void load(void)
{
	loaded = shared_load(
	    "libpq.so.5", names, sizeof(names) / sizeof(*names), &table, why, sizeof(why));
}

const struct pq *pq_load(struct err *e)
{
	pthread_once(&once, load);
	if (loaded)
		return &table;
	err_set(e, ERR_UNSUPPORTED, "cannot use PostgreSQL: could not load libpq.so.5: %s", why);
	err_hint(e, "install the package libpq5 (version 14 or newer)");
	return NULL;
}
