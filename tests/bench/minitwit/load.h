/* The parts of minitwit-load: the simulator of the course against a MiniTwit, every answer checked.
 * One thread.
 *
 * Time is a tick: one more at every request that begins and at every answer that has been read.
 * What ended at a tick below another's beginning had happened before it; nothing else is claimed
 * about order. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NEVER UINT64_MAX
#define REQUEST_MAX 8192

enum kind {
	KIND_REGISTER,
	KIND_POST,
	KIND_FOLLOW,
	KIND_UNFOLLOW,
	KIND_USER,    /* GET /msgs/NAME */
	KIND_FOLLOWS, /* GET /fllws/NAME */
	KIND_PUBLIC,  /* GET /msgs */
	KIND_LATEST,
	KIND_REFUSED, /* what must be refused, and how */
	KIND_COUNT
};
extern const char *const kind_names[KIND_COUNT];

enum refusal { REFUSE_STRANGER, REFUSE_NOBODY, REFUSE_TAKEN, REFUSE_POST, REFUSE_FOLLOW, REFUSALS };

struct request {
	enum kind kind;
	enum refusal refusal;
	int status; /* the right one */
	uint32_t person, whom;
	uint32_t nth;	 /* which of the person's messages */
	int64_t count;	 /* no=; -1: all */
	uint64_t number; /* latest=; 0: not said */
	/* What was known when it began. */
	uint64_t begun;
	uint64_t floor; /* of `latest`: see model_latest_floor */
	uint32_t acked; /* messages of the person, of everybody, that had been answered 204 */
	uint64_t acked_all;
	size_t bytes_n;
	char bytes[REQUEST_MAX];
};

struct options {
	uint16_t port;
	const char *host;
	unsigned connections, persons;
	double seconds, rate;	/* rate 0: closed loop */
	uint64_t count;		/* 0: by seconds */
	unsigned registrations; /* of 10,000 requests */
	unsigned late_ms;
	uint64_t seed;
	bool keep, progress, audit;
	const char *json;
};
extern struct options o;
extern volatile int ending; /* a signal asked for the end */

int64_t now_us(void);
uint64_t rand_next(void);
uint32_t rand_below(uint32_t n);
_Noreturn void die(const char *what);
