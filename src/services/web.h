/* Requests with JSON to the management API of the operator's broker, one after another. Each blocks, at most
 * WEB_WAIT_S: pool threads only. No redirect is followed, no proxy used, no answer longer than WEB_ANSWER_MAX taken. */
#pragma once

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "services/libcurl.h"

#include <stdbool.h>
#include <stdint.h>

#define WEB_WAIT_S 30
#define WEB_ANSWER_MAX (1u << 20)

struct web_server {
	bool tls;
	const char *host; /* no address of IPv6 */
	uint16_t port;
	const char *ca_file;  /* NULL: the system's authorities */
	const char *user;     /* NULL, with `password`: nobody */
	const char *password; /* stays the caller's secret; libcurl keeps a copy until web_close */
};
struct web {
	const struct libcurl *lib;
	CURL *easy;
	struct curl_slist *headers;
	struct buf answer; /* of the last request */
	bool too_long;
	char root[320], error[CURL_ERROR_SIZE];
};
#define CLEANUP_WEB __attribute__((cleanup(web_close)))

/* Connects to nobody yet. `w` is closed in any case. */
int web_open(struct web *w, const struct web_server *s, struct err *e) WARN_UNUSED;
/* What all transfers have: where, whom to trust, how long. For services/amqp.c, too. */
void web_common(const struct libcurl *lib, CURL *easy, const struct web_server *s);
/* METHOD ROOT/path, which is escaped already. `json` STR_NONE: no body. The status, with w->answer; -1 ERR_UNAVAILABLE when
 * there was no answer. */
int web_ask(
    struct web *w, const char *method, struct str path, struct str json, struct err *e) WARN_UNUSED;
void web_close(struct web *w);

/* All but the unreserved (RFC 3986) as %XX: one segment of a path or part of a URL whatever it holds. */
void web_escape(struct buf *out, struct str s);
