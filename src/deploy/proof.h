/* Whether a name leads here: what came of asking it for a file that only we know. */
#pragma once

#include "outbound/outbound.h"

struct proof_question {
	struct str host;
	uint16_t port;
	const char *token;
	const char *give_up; /* a command that gives the name up; may be NULL */
};
/* -1 with what to change. */
int proof_judge(
    const struct proof_question *q, const struct outbound_answer *a, struct err *e) WARN_UNUSED;
