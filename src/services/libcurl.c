#include "services/libcurl.h"

#include "base/shared.h"

#include <pthread.h>

#define LIBCURL_NAME(function) #function,
static const char *const names[] = {LIBCURL_FUNCTIONS(LIBCURL_NAME)};
static struct libcurl table;
static bool loaded;
static char why[256] = "it does not start";
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void load(void)
{
	loaded = shared_load("libcurl.so.4", names, sizeof(names) / sizeof(*names), &table, why,
		     sizeof(why)) &&
		 table.curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
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
