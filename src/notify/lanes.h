/* What is under way, by channel, and what may go beside it. A channel begins with one place and has one more for each try that was
 * answered, up to four; after one that was not it has one again (as TCP's slow start). Those that have one share a part of all places,
 * so that however many receivers hang, those that answer go on. Not for several threads at once: a look has a copy. */
#pragma once

#include "base/str.h"

#include <stdbool.h>

#define LANES_OF_CHANNEL 4u
#define LANES_IN_ALL 48u
#define LANES_UNPROVEN 36u /* of channels with one place */

struct lanes;
struct lanes *lanes_new(void);
/* NULL is fine. */
void lanes_free(struct lanes *l);
struct lanes *lanes_copy(const struct lanes *l);

bool lanes_full(const struct lanes *l);
/* May one more of the channel go? */
bool lanes_room(const struct lanes *l, int64_t channel_id);
/* Is it, or one of its series (empty: none), under way? */
bool lanes_busy(const struct lanes *l, int64_t channel_id, int64_t delivery_id, struct str series);
/* How many of the channel's are under way. */
unsigned lanes_count(const struct lanes *l, int64_t channel_id);

/* Where lanes_room said so. */
void lanes_enter(struct lanes *l, int64_t channel_id, int64_t delivery_id, struct str series);
enum lanes_end {
	LANES_UNASKED,
	LANES_ANSWERED, /* by the receiver, whatever it said */
	LANES_SILENT
};
void lanes_leave(struct lanes *l, int64_t channel_id, int64_t delivery_id, enum lanes_end end);
