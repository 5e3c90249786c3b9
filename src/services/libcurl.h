/* libcurl, loaded when the first broker is asked: a daemon that has none does not carry it and all that it links.
 * What asks others than the operator's own servers is slipway-outbound. */
#pragma once

#include "base/err.h"

/* Its macros check types by calling a function of that name, which is none here. */
#define CURL_DISABLE_TYPECHECK
#include <curl/curl.h>

#define LIBCURL_FUNCTIONS(X)                                                                       \
	X(curl_global_init)                                                                        \
	X(curl_easy_init)                                                                          \
	X(curl_easy_setopt)                                                                        \
	X(curl_easy_perform)                                                                       \
	X(curl_easy_getinfo)                                                                       \
	X(curl_easy_send)                                                                          \
	X(curl_easy_recv)                                                                          \
	X(curl_easy_strerror)                                                                      \
	X(curl_easy_cleanup)                                                                       \
	X(curl_slist_append)                                                                       \
	X(curl_slist_free_all)

struct libcurl {
#define LIBCURL_MEMBER(function) __typeof__ (&(function))(function);
	LIBCURL_FUNCTIONS(LIBCURL_MEMBER)
#undef LIBCURL_MEMBER
};

/* The same for every caller, for the life of the process. NULL with ERR_UNSUPPORTED when libcurl is not installed. Any
 * thread. */
const struct libcurl *libcurl_load(struct err *e);
