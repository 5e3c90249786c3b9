/* The frames of a one-off command (`slipway run`): what both ends of a connection say that was
 * upgraded to `slipway-run` (RFC 9110 §7.8).
 *
 *   offset  size  field
 *        0     1  type, below
 *        1     4  length of the payload, big endian, at most RUN_FRAME_PAYLOAD_MAX
 *        5     n  payload
 *
 *   type  name    from    payload
 *      0  STDIN   client  bytes for the program
 *      1  STDOUT  server  bytes of the program; with a terminal all its output
 *      2  STDERR  server  bytes of the program (not used yet: without a terminal both come as STDOUT)
 *      3  RESIZE  client  rows, columns: 2 bytes each, big endian; terminal only
 *      4  SIGNAL  client  1 byte: the signal's number: 1 HUP, 2 INT, 3 QUIT, 9 KILL, 15 TERM
 *      5  EOF     client  nothing: no more input
 *      6  EXIT    server  4 bytes, big endian: exit status, 128 + n when signal n ended it; the last frame
 *      7  ERROR   server  UTF-8 text: why it could not run or was ended; an EXIT follows
 *
 * Anything else ends the connection; a connection that ends before EXIT ends the program. SIGNAL
 * goes to the program's process group; with a terminal INT and QUIT go through it, and any other
 * ends the program. */
#pragma once

#include "base/buf.h"
#include "base/err.h"

#include <stdint.h>

enum run_frame_type {
	RUN_FRAME_STDIN,
	RUN_FRAME_STDOUT,
	RUN_FRAME_STDERR,
	RUN_FRAME_RESIZE,
	RUN_FRAME_SIGNAL,
	RUN_FRAME_EOF,
	RUN_FRAME_EXIT,
	RUN_FRAME_ERROR,
	RUN_FRAME_TYPE_COUNT
};
#define RUN_FRAME_PROTOCOL "slipway-run"
#define RUN_FRAME_HEAD_BYTES 5
#define RUN_FRAME_PAYLOAD_MAX 65536u

struct run_frame {
	enum run_frame_type type;
	struct str payload; /* points into the bytes given */
};

/* Appends a frame; a payload beyond the maximum becomes several (STDIN, STDOUT, STDERR) or is cut.
 */
void run_frame_pack(struct buf *b, enum run_frame_type type, struct str payload);
/* The first frame of `bytes`: 1 and how many bytes it took; 0: more are needed; -1 with
 * ERR_INVALID: an unknown type, too long, or a payload that the type cannot have. */
int run_frame_next(
    struct str bytes, struct run_frame *ret, size_t *ret_used, struct err *e) WARN_UNUSED;
