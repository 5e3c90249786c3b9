/* Who listens on this machine, for a helper that has no network of its own: it reads the kernel's tables
 * (proc_pid_net(5)) in a folder that shows those of another process. Nothing is kept open. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* Somebody listens on that IPv4 address and port; each address of 0.0.0.0 counts. Addresses in host
 * order. A table that cannot be read says no. */
bool edge_net_listens(const char *net, uint32_t address, uint16_t port);
/* The loopback interface has an IPv6 address. */
bool edge_net_has_ipv6(const char *net);
/* A port of 127.0.0.1 in which nobody has a hand now, one of those that only root's programs get;
 * 0: there is none. */
uint16_t edge_net_spare(const char *net);
