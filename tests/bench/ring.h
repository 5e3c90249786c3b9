/* What generator and responder ask the kernel through: one ring (io_uring, Linux 6.1), one thread, and
 * buffers that the kernel fills with what comes. Whatever cannot be had ends the process with 2. */
#pragma once

#include <liburing.h>
#include <stddef.h>
#include <stdint.h>

struct ring {
	struct io_uring u;
	struct io_uring_buf_ring *pieces;
	char *bytes;
	unsigned count; /* of buffers, a power of two */
	size_t size;	/* of each */
};

void ring_open(struct ring *r, unsigned entries, unsigned count, size_t size);
/* A free entry; what is there already is submitted when none is left. */
struct io_uring_sqe *ring_entry(struct ring *r);
/* One entry that receives into buffers until the connection ends or none is left; completions carry `data`. */
void ring_receive(struct ring *r, int fd, unsigned flags, uint64_t data);
/* The buffer of a completion with IORING_CQE_F_BUFFER; then it is the kernel's again. */
const char *ring_piece(const struct ring *r, const struct io_uring_cqe *q);
void ring_give_back(struct ring *r, const struct io_uring_cqe *q);
