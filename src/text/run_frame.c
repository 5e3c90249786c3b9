#include "text/run_frame.h"

static void head_put(struct buf *b, enum run_frame_type type, size_t n)
{
	const uint8_t head[RUN_FRAME_HEAD_BYTES] = {
	    (uint8_t)type, (uint8_t)(n >> 24), (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n};
	buf_put(b, head, sizeof(head));
}

void run_frame_pack(struct buf *b, enum run_frame_type type, struct str payload)
{
	do {
		struct str piece = str_slice(payload, 0, RUN_FRAME_PAYLOAD_MAX);
		head_put(b, type, piece.n);
		buf_str(b, piece);
		payload = str_from(payload, piece.n);
	} while (payload.n && type <= RUN_FRAME_STDERR);
}

static bool payload_fits(enum run_frame_type type, size_t n)
{
	switch (type) {
	case RUN_FRAME_RESIZE:
	case RUN_FRAME_EXIT:
		return n == 4;
	case RUN_FRAME_SIGNAL:
		return n == 1;
	case RUN_FRAME_EOF:
		return n == 0;
	case RUN_FRAME_STDIN:
	case RUN_FRAME_STDOUT:
	case RUN_FRAME_STDERR:
	case RUN_FRAME_ERROR:
	case RUN_FRAME_TYPE_COUNT:
		break;
	}
	return n <= RUN_FRAME_PAYLOAD_MAX;
}

int run_frame_next(struct str bytes, struct run_frame *ret, size_t *ret_used, struct err *e)
{
	const uint8_t *p = (const uint8_t *)bytes.p;
	if (bytes.n >= 1 && p[0] >= RUN_FRAME_TYPE_COUNT)
		return err_set(e, ERR_INVALID, "there is no frame of type %d", p[0]);
	if (bytes.n < RUN_FRAME_HEAD_BYTES)
		return 0;
	size_t n = (size_t)p[1] << 24 | (size_t)p[2] << 16 | (size_t)p[3] << 8 | p[4];
	if (!payload_fits((enum run_frame_type)p[0], n))
		return err_set(e, ERR_INVALID, "a frame of type %d cannot have %zu bytes", p[0], n);
	if (bytes.n - RUN_FRAME_HEAD_BYTES < n)
		return 0;
	ret->type = (enum run_frame_type)p[0];
	ret->payload = str_slice(bytes, RUN_FRAME_HEAD_BYTES, n);
	*ret_used = RUN_FRAME_HEAD_BYTES + n;
	return 1;
}
