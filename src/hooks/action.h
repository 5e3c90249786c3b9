/* What follows from an event of a hook: its actions, as JSON in the store.
 *
 *   [{"type": "deploy"},
 *    {"type": "check", "forks": true},                    forks: pull requests from elsewhere, too
 *    {"type": "notify", "channels": ["team"]},            absent: whoever listens to hook.received
 *    {"type": "forward", "channel": "crm"},               a webhook channel of the project
 *    {"type": "run", "argv": ["./ingest"], "timeout_ms": 600000}]
 *
 * In order: each begins when the one before has ended well. Deploy and check look at a branch
 * (check: or at a pull request) and are left out of events of other kinds; the others follow from
 * whatever the hook takes. No list at all is a deploy. */
#pragma once

#include "hooks/sender.h"
#include "model/action.h"
#include "text/json.h"

#define ACTIONS_MAX 8
#define ACTION_CHANNELS_MAX 8
#define ACTION_ARGV_MAX 64
#define ACTION_ARGV_BYTES 4096	  /* of all its words */
#define ACTIONS_BYTES (64u << 10) /* of a hook */
#define ACTION_BYTES (16u << 10)  /* as compact JSON: a byte of a word may take six */
#define ACTION_TIMEOUT_MS 600000
#define ACTION_TIMEOUT_MAX_MS 3600000

struct actions {
	unsigned kinds; /* bits of enum model_action_kind */
	bool forks;	/* a check takes strangers' pull requests */
	bool own;	/* there is more than a deploy: they become rows (model/action.h) */
};
#define ACTION_BIT(k) (1u << (unsigned)(k))
#define ACTIONS_LOOK (ACTION_BIT(MODEL_ACTION_DEPLOY) | ACTION_BIT(MODEL_ACTION_CHECK))

/* Checks a list that is new (NULL: none). ERR_INVALID with the pointer of what is wrong, below /actions. */
int actions_check(
    const json_t *list, const struct sender *s, struct actions *ret, struct err *e) WARN_UNUSED;
/* The stored text; empty: a deploy. However much an earlier version let in. */
int actions_read(
    struct str text, const struct sender *s, struct actions *ret, struct err *e) WARN_UNUSED;
/* Why nothing follows from an event for want of a branch, or NULL. `branch`: the hook's own, else
 * the project's, else empty: the one that the push itself calls the repository's. */
const char *actions_leave_out(const struct actions *f, const struct sender *s, struct str branch,
    bool own_branch, const struct sender_event *ev, struct arena *a);
