/* Is the answer what the model says? Every answer goes through here, once its tick has come. */
#pragma once

#include "load.h"

enum wrong {
	WRONG_STATUS,
	WRONG_SHAPE,   /* not the JSON that was to come */
	WRONG_CONTENT, /* a text or a name that nobody gave */
	WRONG_MISSING, /* a message that is not there */
	WRONG_STALE,   /* what had been acknowledged before the request began is not shown */
	WRONG_ORDER,
	WRONG_DATE,
	WRONG_FOLLOWS,
	WRONG_LATEST,
	WRONG_COUNT
};
extern const char *const wrong_names[WRONG_COUNT];
extern uint64_t wrongs[WRONG_COUNT];

#define EXAMPLES_MAX 10
#define EXAMPLE_SIZE 400
extern char wrong_examples[EXAMPLES_MAX][EXAMPLE_SIZE];

struct answer {
	int status;
	const char *body;
	size_t body_n;
};

/* False: it is wrong, has been counted, and the first few are kept as examples. */
bool check(const struct request *r, const struct answer *a);
uint64_t wrong_all(void);
