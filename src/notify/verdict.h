/* What a receiver's answer means for the delivery it was of: taken, to be tried again and when, or
 * given up. Without state and without a clock of its own. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "model/delivery.h"
#include "notify/notify.h"
#include "outbound/outbound.h"

struct verdict_of {
	const struct notify_schedule *schedule;
	bool mail;
	int64_t attempts; /* made before this one */
	int64_t at_ms;	  /* of the answer; wall clock */
};

struct verdict {
	enum model_delivery_state state;
	int64_t due_ms; /* of the next try, when it is MODEL_DELIVERY_WAITING */
	bool gone;	/* the receiver said that it is: its channel is disabled */
	char why[OUTBOUND_TEXT_MAX + 64]; /* "" when it was taken */
};

/* A wait of the schedule is jittered by a tenth; a longer Retry-After of up to a day is kept.
 * Redirections are not followed (SECURITY.md), and count as a failed try. Never tried again: an
 * address that may not be asked, HTTP's 410, and a mail server's 5xx (RFC 5321, 4.2.1). */
void verdict_give(const struct verdict_of *v, const struct outbound_answer *a, struct verdict *ret);
