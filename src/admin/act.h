/* What the administrator's acts on store and keys share: tools as the daemon's user, and the daemon's units. Not for
 * other rooms. */
#pragma once

#include "base/err.h"

#define ADMIN_STATE_DIR "/var/lib/slipway"
#define AS_DAEMON "/usr/sbin/runuser", "-u", "slipway", "--"

/* Waits for it; -1 with its last words when it ends with another status than 0. */
int admin_tool(const char *const *argv, struct err *e) WARN_UNUSED;
