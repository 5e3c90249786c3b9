/* The relay of a program that can listen on a port only: accepts on a Unix socket that outlives the
 * program, and passes each connection on to 127.0.0.1:port, both ways, with half-close. */
#pragma once

#include "base/err.h"

#include <stdint.h>

/* Runs until SIGTERM has come and all connections have ended; then returns 0. While the program
 * does not accept yet (connection refused) a connection waits up to 10 s. At most
 * RELAY_CONNECTIONS_MAX at a time; more wait in the socket's queue. */
#define RELAY_CONNECTIONS_MAX 1024
int relay_run(int listen_fd, uint16_t port, struct err *e) WARN_UNUSED;
