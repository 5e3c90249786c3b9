/* How slipway-monitor is started: MONITOR DAEMON-UID, an empty environment, these descriptors and standard error. It ends with the other end
 * of the control socket. */
#pragma once

enum monitor_fd { MONITOR_FD_LISTEN = 3, MONITOR_FD_CONTROL, MONITOR_FD_END };
