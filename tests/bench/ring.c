#include "ring.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { GROUP = 0 };

static _Noreturn void die(const char *what)
{
	fprintf(stderr, "%s: %s: %s\n", program_invocation_short_name, what, strerror(errno));
	exit(2);
}

static void add(struct ring *r, unsigned id)
{
	io_uring_buf_ring_add(r->pieces, &r->bytes[id * r->size], (unsigned)r->size,
	    (unsigned short)id, io_uring_buf_ring_mask(r->count), 0);
	io_uring_buf_ring_advance(r->pieces, 1);
}

void ring_open(struct ring *r, unsigned entries, unsigned count, size_t size)
{
	struct io_uring_params p = {
	    .flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_CQSIZE,
	    .cq_entries = 4 * entries};
	struct io_uring_buf_reg own = {.ring_entries = count, .bgid = GROUP};
	*r = (struct ring){.count = count, .size = size};
	errno = -io_uring_queue_init_params(entries, &r->u, &p);
	if (errno != 0)
		die("io_uring");
	r->pieces = aligned_alloc(4096, count * sizeof(struct io_uring_buf));
	r->bytes = malloc(count * size);
	if (!r->pieces || !r->bytes)
		die("memory");
	own.ring_addr = (uint64_t)(uintptr_t)r->pieces;
	io_uring_buf_ring_init(r->pieces);
	errno = -io_uring_register_buf_ring(&r->u, &own, 0);
	if (errno != 0)
		die("io_uring's buffers");
	for (unsigned i = 0; i < count; i++)
		add(r, i);
}

struct io_uring_sqe *ring_entry(struct ring *r)
{
	struct io_uring_sqe *e = io_uring_get_sqe(&r->u);
	if (!e) {
		(void)io_uring_submit(&r->u);
		e = io_uring_get_sqe(&r->u);
	}
	if (!e)
		die("the ring is full");
	return e;
}

void ring_receive(struct ring *r, int fd, unsigned flags, uint64_t data)
{
	struct io_uring_sqe *e = ring_entry(r);
	io_uring_prep_recv_multishot(e, fd, NULL, 0, 0);
	io_uring_sqe_set_flags(e, flags | IOSQE_BUFFER_SELECT);
	e->buf_group = GROUP;
	io_uring_sqe_set_data64(e, data);
}

static unsigned id_of(const struct io_uring_cqe *q)
{
	return q->flags >> IORING_CQE_BUFFER_SHIFT;
}

const char *ring_piece(const struct ring *r, const struct io_uring_cqe *q)
{
	return &r->bytes[id_of(q) * r->size];
}

void ring_give_back(struct ring *r, const struct io_uring_cqe *q)
{
	add(r, id_of(q));
}
