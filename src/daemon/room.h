/* What a full disk is met with: store/reserve.h in this state's folder, and words for who starts the daemon there. */
#pragma once

#include "daemon/layout.h"
#include "daemon/settings.h"

/* For store_options.full, with the layout: on the writer thread. What comes next, such as the order that makes room, finds some. */
void room_give(void *layout);
/* What a start needs. */
void room_give_to_start(const struct layout *l);
/* On stderr, what is left and what may go: whoever reads this has no API to ask. */
void room_tell(const struct settings *s, const struct layout *l);
