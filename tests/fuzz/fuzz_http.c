/* rooms: base loop crypto text http */
/* covers: http/scan.c http/wire.c */
/* The raw scan and the parser's adapter, as the server uses them. Beside not crashing, three things
 * must hold: looking at bytes one by one and all at once gives the same verdict; whoever accepts a
 * body agrees where it ends; nothing that was accepted holds a control byte where a header or a
 * target should be. */
#include "http/scan.h"
#include "http/wire.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool b)
{
	if (!b)
		abort();
}

static int count_body(void *ctx, const char *p, size_t n)
{
	(void)p;
	*(size_t *)ctx += n;
	return 0;
}

static bool printable(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (((unsigned char)s.p[i] < 0x20 && s.p[i] != '\t') || s.p[i] == 0x7f)
			return false;
	return true;
}

/* The end of the head, found with the bytes coming in two pieces at every split; `at` is what one
 * look found. Beyond the limit of a head it only matters that it is refused. */
static void check_split(const char *p, size_t n, size_t split, enum http_scan whole, size_t at)
{
	const char *why;
	size_t again = 0;
	enum http_scan r = http_scan_end(p, split, &again, &why);
	if (r == HTTP_SCAN_MORE)
		r = http_scan_end(p, n, &again, &why);
	must(r == whole || n > LIMIT_HEADER_BYTES);
	must(r != HTTP_SCAN_OK || (whole == HTTP_SCAN_OK && again == at));
}

static void check_chunks(struct http_wire *w, const char *p, size_t n)
{
	struct http_chunks whole = {0}, pieces = {0};
	const char *why;
	size_t used = 0, at = 0, one, body = 0;
	enum http_scan r = http_scan_chunks(&whole, p, n, &used, &why), s = HTTP_SCAN_MORE;
	while (at < n && s == HTTP_SCAN_MORE) {
		s = http_scan_chunks(&pieces, p + at, 1, &one, &why);
		at += one;
	}
	must(s == r && at == used);
	bool done = false;
	if (r != HTTP_SCAN_BAD && http_wire_body(w, p, used, count_body, &body, &done) == 0)
		must(done == (r == HTTP_SCAN_OK) && body <= used);
}

static void check_head(const struct http_head *h)
{
	must(h->path.n > 0 && h->path.p[0] == '/' && printable(h->target) && printable(h->method));
	must(!(h->chunked && h->has_length) && (!h->chunked || h->http_1_1));
	for (size_t i = 0; i < h->header_count; i++)
		must(h->headers[i].name.n > 0 && printable(h->headers[i].name) &&
		     printable(h->headers[i].value));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct http_head h;
	const char *p = (const char *)data, *why;
	size_t at = 0;
	(void)!http_wire_answer(p, size);
	enum http_scan r = http_scan_end(p, size, &at, &why);
	check_split(p, size, size / 2, r, at);
	check_split(p, size, size > 3 ? size - 3 : 0, r, at);
	if (r != HTTP_SCAN_OK || http_scan_head(p, at, &h) != HTTP_SCAN_OK)
		return 0;
	check_head(&h);
	struct http_wire w;
	struct http_wire_head wh;
	if (http_wire_head(&w, h.method, p, at, &wh) != 0)
		return 0;
	must(str_eq(wh.target, h.target) && wh.chunked == h.chunked &&
	     wh.content_length == h.content_length);
	must(wh.body == (h.chunked || h.content_length > 0));
	if (h.chunked)
		check_chunks(&w, p + at, size - at);
	return 0;
}
