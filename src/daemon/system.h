/* What systemd gives and wants: passed sockets by name (sd_listen_fds(3)) and word of readiness
 * (sd_notify(3)), spoken without its library. */
#pragma once

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

enum system_socket {
	SYSTEM_SOCKET_API,	/* "api": local users */
	SYSTEM_SOCKET_EDGE_API, /* "edge-api": the web server */
	SYSTEM_SOCKET_HTTP,	/* "http": TCP */
	SYSTEM_SOCKET_COUNT
};

/* Each socket's descriptor, close-on-exec and non-blocking, or -1 when it was not passed; others
 * that were passed are closed. Unsets the variables, so that no child believes they are its own. */
void system_sockets_take(int ret[SYSTEM_SOCKET_COUNT]);
/* How often systemd wants to hear "WATCHDOG=1" at the least, halved, since one may come late; 0: never. Unsets the
 * variables. */
int64_t system_watchdog_ms(void);
/* "READY=1", "STOPPING=1", "WATCHDOG=1"; does nothing when nobody wants to know. */
void system_notify(const char *state);
/* How it, or a person, says that it is to end: a descriptor for signalfd(2) of SIGTERM and SIGINT, which no longer end the process by
 * themselves, nor does SIGPIPE; -1. */
int system_signals(struct err *e) WARN_UNUSED;
