/* What GitHub's answers say, and what its API is asked with. Pure: no clock, no network.
 * https://docs.github.com/rest/repos/webhooks, https://docs.github.com/rest/using-the-rest-api */
#pragma once

#include "base/arena.h"
#include "outbound/frame.h"

#define GITHUB_ANSWER_MAX (64u << 10)
#define GITHUB_PAGE 100u	   /* deliveries of one answer: at most GITHUB_ANSWER_MAX bytes */
#define GITHUB_WAIT_MAX_MS 7200000 /* what it may make us wait */

/* "anna/shop". NULL when good, else why not. */
const char *github_repository_refuses(struct str s);
/* Fills everything but the body: Bearer token, version, media type. `path` begins with '/'. Texts
 * live in the arena. ERR_TOO_LARGE. */
int github_request(struct arena *a, struct str api, const char *path, struct str token,
    enum outbound_method method, struct outbound_request *ret, struct err *e) WARN_UNUSED;

enum github_verdict {
	GITHUB_OK,
	GITHUB_LATER, /* it may go well later; ret_wait_ms says when at the earliest, 0: whenever */
	GITHUB_NEVER, /* not until somebody has changed something; the hint says what */
	GITHUB_VERDICT_COUNT
};
/* `e` says what is wrong unless it is GITHUB_OK. */
enum github_verdict github_judge(
    const struct outbound_answer *a, int64_t now_ms, int64_t *ret_wait_ms, struct err *e);
/* How long nothing may be asked after this answer, though it was a good one: its allowance is used
 * up. 0: go on. */
int64_t github_pause_ms(const struct outbound_answer *a, int64_t now_ms);

struct github_delivery {
	int64_t id, at_ms, status; /* status: HTTP's, 0 when nobody answered */
	struct str guid;	   /* X-GitHub-Delivery, the same for each attempt */
};
struct github_deliveries {
	struct github_delivery *v;
	size_t n;
};
/* A page of deliveries, texts in the arena. ERR_INVALID. */
int github_deliveries_read(
    struct str body, struct arena *a, struct github_deliveries *ret, struct err *e) WARN_UNUSED;
/* It failed, and not because we said no (unless `refused`). */
bool github_delivery_missed(const struct github_delivery *d, bool refused);
/* The cursor of a Link header's next page; empty: there is none. Only the cursor is taken over, so
 * that no answer leads the token elsewhere. Points into `link`. */
struct str github_next_cursor(struct str link);
/* The number of the hook that sends to `url`, in a list of hooks: 1/0/-1 with ERR_INVALID. */
int github_hook_find(struct str body, struct str url, int64_t *ret_id, struct err *e) WARN_UNUSED;
