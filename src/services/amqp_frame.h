/* Methods of a connection in frames of AMQP 0-9-1 (its specification, 2.3.5 and 4.2), written and read. Pure.
 *
 * A frame:
 *   offset  size  field
 *        0     1  type: 1, a method
 *        1     2  channel: 0 is the connection's
 *        3     4  size n of what follows, without the end
 *        7     2  class: 10, a connection
 *        9     2  method
 *       11   n-4  arguments
 *      7+n     1  0xCE
 * All numbers have their highest byte first. A short text is a byte of length and its bytes. */
#pragma once

#include "base/buf.h"
#include "base/str.h"

#include <stddef.h>
#include <stdint.h>

#define AMQP_FRAME_MAX 16384u

enum amqp_frame_method {
	AMQP_FRAME_START = 10,
	AMQP_FRAME_START_OK = 11,
	AMQP_FRAME_TUNE = 30,
	AMQP_FRAME_TUNE_OK = 31,
	AMQP_FRAME_OPEN = 40,
	AMQP_FRAME_OPEN_OK = 41,
	AMQP_FRAME_CLOSE = 50
};

struct amqp_frame {
	uint16_t method;      /* any that was sent */
	struct str arguments; /* within what was read */
};
/* The frame at the start of `in`. 1: *ret is filled, *ret_size is its bytes; 0: more is needed, *ret_size bytes
 * altogether as far as can be told; -1: no such frame, or one of more than AMQP_FRAME_MAX bytes. */
int amqp_frame_read(struct str in, struct amqp_frame *ret, size_t *ret_size) WARN_UNUSED;
/* Why the other side closes, from a Close's arguments: valid UTF-8 within them. False: malformed. */
bool amqp_frame_close_text(struct str arguments, struct str *ret) WARN_UNUSED;

void amqp_frame_write(struct buf *out, enum amqp_frame_method m, struct str arguments);
void amqp_frame_put_number(struct buf *out, uint32_t v, unsigned size_bytes);
void amqp_frame_put_short(struct buf *out, struct str s); /* at most 255 bytes */
