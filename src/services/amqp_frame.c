#include "services/amqp_frame.h"

#include <assert.h>

#define HEAD 7u
#define METHOD_HEAD (HEAD + 4)
#define END 0xCEu
#define TYPE_METHOD 1u
#define CLASS_CONNECTION 10u

/* --- writing --- */

void amqp_frame_put_number(struct buf *out, uint32_t v, unsigned size_bytes)
{
	while (size_bytes-- > 0)
		buf_char(out, (char)(uint8_t)(v >> (8 * size_bytes)));
}

void amqp_frame_put_short(struct buf *out, struct str s)
{
	assert(s.n <= UINT8_MAX);
	amqp_frame_put_number(out, (uint32_t)s.n, 1);
	buf_str(out, s);
}

void amqp_frame_write(struct buf *out, enum amqp_frame_method m, struct str arguments)
{
	assert(arguments.n <= AMQP_FRAME_MAX - METHOD_HEAD - 1);
	amqp_frame_put_number(out, TYPE_METHOD, 1);
	amqp_frame_put_number(out, 0, 2);
	amqp_frame_put_number(out, (uint32_t)arguments.n + 4, 4);
	amqp_frame_put_number(out, CLASS_CONNECTION, 2);
	amqp_frame_put_number(out, m, 2);
	buf_str(out, arguments);
	amqp_frame_put_number(out, END, 1);
}

/* --- reading --- */

static uint32_t number(struct str s, size_t at, unsigned size)
{
	uint32_t v = 0;
	for (unsigned i = 0; i < size; i++)
		v = v << 8 | (uint8_t)s.p[at + i];
	return v;
}

int amqp_frame_read(struct str in, struct amqp_frame *ret, size_t *ret_size)
{
	*ret_size = METHOD_HEAD + 1;
	if (in.n < METHOD_HEAD)
		return 0;
	uint32_t size = number(in, 3, 4);
	if (number(in, 0, 1) != TYPE_METHOD || number(in, 1, 2) != 0 || size < 4 ||
	    size > AMQP_FRAME_MAX - HEAD - 1 || number(in, HEAD, 2) != CLASS_CONNECTION)
		return -1;
	*ret_size = HEAD + size + 1;
	if (in.n < *ret_size)
		return 0;
	*ret = (struct amqp_frame){.method = (uint16_t)number(in, HEAD + 2, 2),
	    .arguments = str_slice(in, METHOD_HEAD, size - 4)};
	return number(in, HEAD + size, 1) == END ? 1 : -1;
}

bool amqp_frame_close_text(struct str arguments, struct str *ret)
{
	if (arguments.n < 3)
		return false;
	size_t n = number(arguments, 2, 1);
	*ret = str_slice(arguments, 3, n);
	return ret->n == n && str_utf8_ok(*ret);
}
