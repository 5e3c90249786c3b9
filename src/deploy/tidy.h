/* The clock for archives: those whose time is over go, and so do uploads. At the start, and then every hour, on a pool thread. */
#pragma once

#include "loop/loop.h"

#define TIDY_EVERY_MS (3600 * 1000)

struct tidy;
struct tidy *tidy_open(
    struct loop *l, const char *backups_dir, const char *spool_dir); /* both borrowed */
/* Its last look may still be under way; then it frees itself at the end of that. NULL is fine. */
void tidy_close(struct tidy *t);
