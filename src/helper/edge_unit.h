/* On a server the web server is a unit of systemd's (share/units/slipway-edge*.service): the helper is neither its parent
 * nor needs what it needs. Private to the edge. */
#pragma once

#include "helper/edge_state.h"

/* Of edge_server's unit. Each blocks for the ten milliseconds that systemctl takes. */
bool edge_unit_runs(const struct edge *g);
/* The unit of the other server, if that was the edge before, ends. */
void edge_unit_stop_other(const struct edge *g);
/* To the master, or (SIGKILL) to all of it. */
int edge_unit_signal(const struct edge *g, int signal, struct err *e) WARN_UNUSED;

/* The process that stands for the unit: it ends when the unit does. Where the unit runs already it stays as it is. */
pid_t edge_unit_start(struct edge *g, struct err *e);
/* One that ends when the test does, with 0 when it went well; what the server said is in test/output. */
pid_t edge_unit_test(struct edge *g, enum edge_test what, struct err *e);
