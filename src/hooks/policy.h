/* What a hook takes, beyond a proof that fits: its settings, as JSON in the store.
 *
 * | member | of                              | what is taken                              |
 * |--------|---------------------------------|--------------------------------------------|
 * | from   | address ranges, or "github"     | requests from there; others are 403        |
 * | events | kinds, as the sender calls them | those                                      |
 * | paths  | globs                           | pushes that changed such a file, or do not |
 * |        |                                 | say all that they changed                  |
 * | fields | JSON pointers to globs          | bodies in which each of them fits          |
 * | limit  | {"per_minute", "burst"}         | so many deliveries; what is more is 429    |
 *
 * Absent is everything. What events, paths and fields leave out is stored and answered 202, and
 * nothing follows. In globs '*' is any text, '?' one character; in paths they stop at '/', and "**"
 * does not. */
#pragma once

#include "base/cidr.h"
#include "hooks/pace.h"
#include "hooks/sender.h"
#include "text/json.h"

#define POLICY_RANGES_MAX 64
#define POLICY_EVENTS_MAX 32
#define POLICY_PATHS_MAX 64
#define POLICY_FIELDS_MAX 16
#define POLICY_GLOB_MAX 200

struct github_list;
struct policy {
	struct arena a;
	struct cidr *from;
	struct str *events, *paths, *pointers, *globs;
	size_t from_count, event_count, path_count, field_count;
	bool narrowed; /* `from` was said */
	bool github;   /* …and names GitHub's published ranges */
	struct pace limit;
};

/* ERR_INVALID with the pointer of what is wrong. Members that it does not know are an error, too.
 */
int policy_init(
    struct policy *p, const json_t *settings, const struct sender *s, struct err *e) WARN_UNUSED;
void policy_fini(struct policy *p);
/* `github`: its published ranges, NULL: those built in. `from` NULL: the address is not known. */
bool policy_admits(
    const struct policy *p, const struct github_list *github, const struct cidr_address *from);
/* Whether it looks into bodies, which may take long: policy_leaves_out then is not for the loop. */
bool policy_compares(const struct policy *p);
/* Why nothing follows from a verified event, or NULL. *steps begins at 0 and counts what comparing took, over
 * all events of one delivery: it has an end, since others wait for it. A field that is too long for it does
 * not fit; of files that are not looked at any more each may be any. */
const char *policy_leaves_out(const struct policy *p, const struct sender *s,
    const struct sender_event *ev, size_t *steps, struct arena *a);
/* Whole texts; `slashes`: as in paths. Takes |glob| × |text| steps at most. */
bool policy_glob(struct str glob, struct str text, bool slashes);
