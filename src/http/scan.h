/* The raw scan: our own look at the bytes of a request before the parser sees them. Pure functions,
 * no allocation, no I/O. They refuse what RFC 9110/9112 leaves room to misread: NUL, lone CR or LF,
 * folded lines, a blank before the colon, a name that is no token, control bytes in values,
 * Transfer-Encoding together with Content-Length or on HTTP/1.0 or other than `chunked`, a second
 * Content-Length, Transfer-Encoding or Host, no Host on 1.1, an absolute-form target of another
 * authority; in chunked bodies: sizes beyond 8 digits, blanks around a size, lone CR or LF anywhere
 * in the framing, extensions and trailers without bound. */
#pragma once

#include "base/limits.h"
#include "http/http.h"

enum http_scan {
	HTTP_SCAN_OK,
	HTTP_SCAN_MORE,	       /* so far good, not complete */
	HTTP_SCAN_BAD,	       /* 400 */
	HTTP_SCAN_URL_LONG,    /* 414 */
	HTTP_SCAN_HEAD_LARGE,  /* 431 */
	HTTP_SCAN_VERSION,     /* 505: well-formed, but neither 1.0 nor 1.1 */
	HTTP_SCAN_EXPECTATION, /* 417 */
	HTTP_SCAN_COUNT
};

/* A request's head, taken apart; every str points into the bytes that were scanned. */
struct http_head {
	struct str method, target, path, query, host;
	struct str upgrade; /* value of Upgrade when Connection names it, else STR_NONE */
	struct http_header headers[LIMIT_HEADER_COUNT];
	size_t header_count;
	size_t size_bytes; /* of the whole head, final blank line included */
	uint64_t content_length;
	bool http_1_1, has_length, chunked, keep_alive, expect_continue;
	const char *why; /* static text, set when the scan refuses */
};

/* Looks for the end of a head in p[0..n), of which the first *at bytes have been looked at before
 * (start with 0). OK: the head ends before *at. MORE: *at moved on. Else refused, *ret_why says
 * why. One CRLF before the request line is skipped over (RFC 9112 §2.2). */
enum http_scan http_scan_end(const char *p, size_t n, size_t *at, const char **ret_why);

/* Takes apart a complete head of n bytes that http_scan_end has let through: OK, or the reason for
 * refusal in ret->why. Never MORE. */
enum http_scan http_scan_head(const char *p, size_t n, struct http_head *ret);

/* The framing of one chunked body (RFC 9112 §7.1); start with a zeroed struct. */
struct http_chunks {
	unsigned state, digits;
	uint64_t left;
	size_t extra_bytes; /* extensions and trailers together */
};
/* OK: the body ends after *ret_used of these n bytes. MORE: all of them belong to it. BAD:
 * *ret_why. */
enum http_scan http_scan_chunks(
    struct http_chunks *s, const char *p, size_t n, size_t *ret_used, const char **ret_why);
