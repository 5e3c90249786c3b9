/* Which server a run talks to, and the file that remembers them:
 * $XDG_CONFIG_HOME/slipway/servers.json (else ~/.config/…), 0600:
 *   {"default": "NAME", "servers": {"NAME": {"url", "token", "pin", "insecure"}}} */
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "cli/net.h"
#include "text/json.h"

#define SERVERS_DEFAULT_SOCKET "/run/slipway/api.sock"

/* Chooses, in this order: `name` (--server; "local" is the socket), $SLIPWAY_SERVER,
 * $SLIPWAY_SOCKET, var/cli.json {"socket": "…"} from the current directory upward (only when its
 * owner is this user or root), the default of the file, the system's socket. $SLIPWAY_TOKEN wins
 * over a kept token. Strings live in the arena. */
int servers_choose(const char *name, bool insecure, struct arena *a, struct net_server *ret,
    struct err *e) WARN_UNUSED;

/* Adds or replaces one and makes it the default; durable on return. */
int servers_save(const char *name, const struct net_server *s, struct err *e) WARN_UNUSED;
/* Takes one away. 1/0/-1. */
int servers_forget(const char *name, struct err *e) WARN_UNUSED;
/* The whole file; an empty object when there is none. NULL with e. */
json_t *servers_read(struct err *e);
