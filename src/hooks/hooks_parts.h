/* What the table of hooks (hooks.c) and what comes to them (receive.c) share. Not for other rooms. */
#pragma once

#include "crypto/hmac.h"
#include "hooks/action.h"
#include "hooks/hooks.h"
#include "hooks/paths.h"
#include "hooks/policy.h"
#include "hooks/recent.h"
#include "hooks/refusals.h"
#include "hooks/sender.h"

#include <pthread.h>
#include <stdatomic.h>

#define HOOK_SECRETS_MAX 2u /* and the one before, while it is good */

/* What a hook leaves out; also held by a delivery that is looked at beside the loop, which the hook may not outlive. */
struct hook_policy {
	atomic_uint holders;
	struct policy p;
};

/* All hooks stand in memory, sorted by name, with their keys prepared: a delivery costs one
 * look-up, one HMAC and one unit of the store. A hook that changes is read again by itself; the
 * table is used on the loop thread only. */
struct hook {
	char *name, *branch; /* branch: its own or the project's; "": the remote's HEAD, or any
				where nothing looks at one */
	bool own_branch;
	char *project; /* NULL: it has no classic path */
	struct {
		uint8_t of[HMAC_SHA256_BYTES]; /* a secret under hooks.paths */
		int64_t until_ms;	       /* 0: always */
	} paths[HOOK_SECRETS_MAX];	       /* as many as it has secrets of that form */
	size_t path_count;
	struct actions actions;
	int64_t id, project_id;
	const struct sender *sender;
	struct sender_credential secrets[HOOK_SECRETS_MAX];
	size_t secret_count;
	struct hook_policy *policy;
	int64_t paced;	  /* of its limit */
	uint64_t reading; /* from the store: another each time, from 1 */
	bool paused;
};

struct table {
	struct hook *v;
	size_t n;
};

struct hooks {
	struct hooks_options o;
	struct table table;
	struct hmac_key *paths; /* of this life: what stands in an address is looked up under it */
	struct hooks_paths by_secret;
	struct sender_credential nobody; /* verified against for unknown names, so that they take as
					    long */
	struct recent *recent;
	struct refusals *refusals;
	struct loop_timer *again; /* reads all, where a change could not be read */
	bool again_due;
	uint64_t forgotten;	 /* how often a project went */
	pthread_mutex_t looking; /* from reading a change to posting it, so that an older look never
				    comes last */
};

void hook_policy_release(struct hook_policy *p); /* from any thread; NULL is fine */

/* NULL: there is none of that name. On the loop; until the hook changes. */
struct hook *hook_find(struct hooks *h, struct str name);
