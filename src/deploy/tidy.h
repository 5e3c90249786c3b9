/* The clock for archives: those whose time is over go, and so do uploads; what is kept free for a full disk is seen to. At the start, and then every hour, on a pool thread. */
#pragma once

#include "loop/loop.h"

#define TIDY_EVERY_MS (3600 * 1000)

struct tidy;
/* All borrowed. */
struct tidy_options {
	struct loop *loop;
	const char *backups_dir, *spool_dir;
	const char *reserve; /* store/reserve.h: made anew once there is room for it */
};
struct tidy *tidy_open(const struct tidy_options *o);
/* Its last look may still be under way; then it frees itself at the end of that. NULL is fine. */
void tidy_close(struct tidy *t);
