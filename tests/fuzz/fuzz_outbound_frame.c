/* rooms: base loop launch outbound */
/* covers: outbound/frame.c */
/* Any bytes as a frame, once under the length that they deserve: what is accepted is packed again
 * and read back alike. */
#include "outbound/frame.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void again(const struct frame *f)
{
	struct buf b;
	struct frame back;
	struct err e;
	size_t used;
	buf_init(&b, 8u << 20);
	bool packed = f->kind == OUTBOUND_ANSWER ? frame_pack_answer(&b, f->id, &f->answer)
						 : frame_pack_request(&b, f->id, &f->request);
	if (packed) {
		if (frame_next(buf_view(&b), &back, &used, &e) != 1 || used != b.n ||
		    back.id != f->id || back.kind != f->kind ||
		    back.request.header_count != f->request.header_count ||
		    back.request.to_count != f->request.to_count ||
		    !str_eq(back.request.url, f->request.url) ||
		    !str_eq(back.request.body, f->request.body) ||
		    back.answer.status != f->answer.status ||
		    !str_eq(back.answer.body, f->answer.body))
			abort();
	} else if (b.n != 0) {
		abort();
	}
	buf_fini(&b);
}

static void look(struct str s)
{
	struct frame f;
	struct err e = {.code = ERR_NONE};
	size_t used = 0;
	int got = frame_next(s, &f, &used, &e);
	if (got == 1) {
		if (used > s.n)
			abort();
		again(&f);
	} else if (got < 0 && e.code != ERR_INVALID) {
		abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf b;
	look((struct str){(const char *)data, size});
	buf_init(&b, size + 8);
	const uint8_t length[4] = {
	    (uint8_t)size, (uint8_t)(size >> 8), (uint8_t)(size >> 16), (uint8_t)(size >> 24)};
	buf_put(&b, length, sizeof(length));
	buf_put(&b, data, size);
	look(buf_view(&b));
	buf_fini(&b);
	return 0;
}
