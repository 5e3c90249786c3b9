#include "store/pq.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static struct pq table;
static bool loaded;
static char why[256];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static bool find(void *lib, const char *name, void *ret_function, size_t size)
{
	void *f = dlsym(lib, name);
	memcpy(ret_function, &f, size);
	return f != NULL;
}

static void load(void)
{
	void *lib = dlopen("libpq.so.5", RTLD_NOW | RTLD_LOCAL);
	loaded = lib != NULL;
#define PQ_FIND(name) loaded = loaded && find(lib, #name, &table.name, sizeof(table.name));
	PQ_FUNCTIONS(PQ_FIND)
#undef PQ_FIND
	const char *reason = loaded ? NULL : dlerror();
	if (!loaded)
		snprintf(why, sizeof(why), "%s", reason ? reason : "a function is missing");
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
