/* The operator's program that puts a TXT record into the DNS and takes it away again, for an
 * authority that asks there (RFC 8555, 8.4). Without a shell, as the daemon's own user, with these
 * words and nothing of our environment:
 *
 *   PROGRAM add NAME VALUE       ends with 0 once NAME's servers answer with VALUE, beside others
 *   PROGRAM remove NAME VALUE    ends with 0 once VALUE is gone, or was not there
 *
 * NAME is _acme-challenge.DOMAIN without a dot behind, VALUE 43 letters, digits, '-' and '_'. PATH is
 * /usr/sbin:/usr/bin:/sbin:/bin, LANG C.UTF-8; standard input is empty, what it prints is shown. After
 * DNS_HOOK_LIMIT_MS it is killed, with what it started. On the loop thread. */
#pragma once

#include "base/err.h"
#include "base/str.h"
#include "loop/loop.h"

#define DNS_HOOK_LIMIT_MS (5 * 60 * 1000)

struct dns_hook_call { /* borrowed until dns_hook_start returns */
	struct loop *loop;
	const char *program; /* absolute; a plain file that none but its owner may write */
	bool remove;
	const char *name, *value;
	void (*line)(void *ctx, struct str line);
	/* Once, later than the call: NULL on success. */
	void (*ended)(void *ctx, const struct err *e);
	void *ctx;
};
struct dns_hook;
/* NULL with e: ERR_SETTINGS, it cannot be run. */
struct dns_hook *dns_hook_start(const struct dns_hook_call *c, struct err *e);
/* Killed, without a word. NULL is fine. */
void dns_hook_free(struct dns_hook *h);
