/* systemctl, from constant argument templates. Each call takes some ten milliseconds, and blocks. */
#pragma once

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define SYSTEMCTL_MS 20000

/* systemctl --quiet OPTION [MORE] VERB -- UNIT; more may be NULL. -1: it says no, with its words, or took longer than ms. */
int systemctl(const char *verb, const char *option, const char *more, const char *unit, int64_t ms,
    struct err *e) WARN_UNUSED;
/* Until the next boot or the unit's end, also of one that runs; assignment: "AllowedCPUs=1-3", our own bytes. */
int systemctl_set(const char *unit, const char *assignment, struct err *e) WARN_UNUSED;
/* The process that systemd started for the unit; 0: none now. */
pid_t systemctl_main_pid(const char *unit);
/* Whether the unit is being restarted, and not just stopped. */
bool systemctl_restarts(const char *unit);
