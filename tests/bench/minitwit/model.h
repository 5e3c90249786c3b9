/* What a MiniTwit must know: who is there, who follows whom, who said what and when, and which
 * request came last. Moved on by what requests begin and what answers acknowledge; a write whose
 * answer never came leaves its person `unsure`, and nobody asks about them again. */
#pragma once

#include "load.h"
#include "say.h"

#define PERSONS_MAX (1u << 17)
#define FOLLOWS_MAX 48
#define RECENT (1u << 17) /* of messages, and of requests; more than can be under way */

struct said {
	uint32_t number;	   /* of all messages the how manieth */
	uint32_t begun_s, ended_s; /* wall clock; ended UINT32_MAX: not yet */
};

struct person {
	char name[SAY_NAME_SIZE];
	size_t name_n;
	struct said *said;
	uint32_t said_count, said_room;
	uint32_t acked; /* of said: said_count, or one less while a message is under way */
	uint32_t follows[FOLLOWS_MAX];
	uint32_t follow_count;
	uint32_t reading;     /* requests for whom they follow, under way */
	bool posting, moving; /* a message, a change of whom they follow, under way */
	bool unsure;
};

struct post {
	uint32_t person, nth;
	uint64_t begun, ended; /* ticks; NEVER: not yet, or nobody knows */
	uint64_t mark;	       /* of the check that saw it */
};

struct model {
	uint64_t tick;
	uint64_t requests; /* numbered ones that began */
	struct person *persons;
	uint32_t person_count;
	uint32_t *known; /* who is registered and sure */
	uint32_t known_count;
	struct post *posts; /* by number, the last RECENT */
	uint32_t post_count;
	uint64_t acked_all;
	struct {
		uint64_t begun, ended;
	} * latest; /* by number of the request, the last RECENT */
	uint64_t
	    latest_floor; /* the highest tick at which a request began that has been answered */
};
extern struct model m;

void model_open(void);
uint32_t model_person_new(void);
struct post *model_post(uint32_t number); /* NULL when too long ago */
/* The request is about to be sent: its number, its tick and what holds now are written into it. */
void model_begin(struct request *r);
/* Its answer was the right one. */
void model_done(const struct request *r);
/* No answer, or a wrong one: what it was to change may have changed or not. */
void model_failed(const struct request *r);
int64_t wall_s(void);
