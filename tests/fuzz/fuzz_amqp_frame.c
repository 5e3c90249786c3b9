/* rooms: base crypto text store model services */
/* covers: services/amqp_frame.c */
/* Any bytes as a frame of AMQP: as it is, cut at every place, and as the arguments of a Close. What is accepted is written
 * again and read back alike; what is cut is never more than asked for. */
#include "services/amqp_frame.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool b)
{
	if (!b)
		abort();
}

static void again(const struct amqp_frame *f, struct str whole)
{
	struct amqp_frame back;
	struct buf b;
	size_t size;
	buf_init(&b, AMQP_FRAME_MAX);
	amqp_frame_write(&b, (enum amqp_frame_method)f->method, f->arguments);
	must(!b.full && str_eq(buf_view(&b), whole));
	must(amqp_frame_read(buf_view(&b), &back, &size) == 1 && size == b.n);
	must(back.method == f->method && str_eq(back.arguments, f->arguments));
	buf_fini(&b);
}

static void look(struct str s)
{
	struct amqp_frame f;
	size_t size = 0;
	int got = amqp_frame_read(s, &f, &size);
	must(size <= AMQP_FRAME_MAX);
	if (got == 1) {
		must(size <= s.n);
		again(&f, str_slice(s, 0, size));
	} else if (got == 0) {
		must(size > s.n);
	}
}

static void close_of(struct str arguments)
{
	struct str text;
	struct buf b;
	if (!amqp_frame_close_text(arguments, &text))
		return;
	must(str_utf8_ok(text) && text.n + 3 <= arguments.n);
	buf_init(&b, 512);
	amqp_frame_put_number(&b, 320, 2);
	amqp_frame_put_short(&b, text);
	must(str_eq(str_from(buf_view(&b), 2), str_slice(arguments, 2, text.n + 1)));
	buf_fini(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str s = {(const char *)data, size};
	struct buf b;
	look(s);
	for (size_t n = 0; n < size && n < 64; n++)
		look(str_slice(s, 0, n));
	close_of(s);
	if (size > 4096)
		return 0;
	buf_init(&b, AMQP_FRAME_MAX);
	amqp_frame_write(&b, AMQP_FRAME_CLOSE, s);
	look(buf_view(&b));
	buf_fini(&b);
	return 0;
}
