/* Connections: each request on one of its own, or kept ones; raw epoll, loopback only. Never
 * retries. */
#pragma once

#include "mix.h"

void wire_open(void);
/* Runs a phase until it is over and every answer has come. `rate`: requests a second that begin
 * whatever the answers do, each timed from the moment it was due; 0: each connection's next one
 * begins when its answer has come. */
void wire_run(mix_fn *next, double rate);
