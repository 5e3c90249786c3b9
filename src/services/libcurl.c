#include "services/libcurl.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static struct libcurl table;
static bool loaded;
static char why[256];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static bool find(void *lib, const char *name, void *ret_function, size_t size)
{
	void *f = dlsym(lib, name);
	memcpy(ret_function, &f, size);
	return f != NULL;
}

static bool start(void *lib)
{
	__typeof__(&curl_global_init) init;
	return find(lib, "curl_global_init", &init, sizeof(init)) &&
	       init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
}

static void load(void)
{
	void *lib = dlopen("libcurl.so.4", RTLD_NOW | RTLD_LOCAL);
	loaded = lib != NULL;
#define LIBCURL_FIND(name) loaded = loaded && find(lib, #name, &table.name, sizeof(table.name));
	LIBCURL_FUNCTIONS(LIBCURL_FIND)
#undef LIBCURL_FIND
	loaded = loaded && start(lib);
	const char *reason = loaded ? NULL : dlerror();
	if (!loaded)
		(void)snprintf(why, sizeof(why), "%s", reason ? reason : "a function is missing");
}

const struct libcurl *libcurl_load(struct err *e)
{
	(void)pthread_once(&once, load);
	if (loaded)
		return &table;
	(void)err_set(
	    e, ERR_UNSUPPORTED, "cannot ask RabbitMQ: could not load libcurl.so.4: %s", why);
	(void)err_hint(e, "install the package libcurl4");
	return NULL;
}
