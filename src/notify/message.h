/* What people are told: one table of events, each with its words, and messages made from it.
 *
 * A message is stored as JSON, the same for every channel:
 *   {"event": "deploy.failed", "level": "error", "at": "2026-…Z", "project": "shop", "title": "…",
 * "text": "…", "link": "…", "data": {"release": "14", …}} title is one line; text may have several.
 * data holds the fields as they were given, as texts. */
#pragma once

#include "base/arena.h"
#include "text/json.h"

#include <stdint.h>

struct message_field {
	const char *name; /* as in the templates: "project", "release" … */
	struct str value; /* empty: not there */
};
#define MESSAGE_TEXT_MAX (16u << 10)

/* One row of the table; the documentation and the API list them. */
struct message_event {
	const char *name;  /* "deploy.failed" */
	const char *level; /* "info", "warning", "error" */
	const char *title, *text;
	const char *about; /* when it happens, for people */
};
const struct message_event *message_events(size_t *ret_count);
const struct message_event *message_event_find(struct str name);

/* Into `out`. A field "project" also becomes the message's project, "url" its link. In a template
 * {name} stands for a field, and [ … ] for words that are left out when a field in them is empty.
 * ERR_TOO_LARGE, ERR_INTERNAL for an unknown event. */
int message_write(struct str event, const struct message_field *fields, size_t count, int64_t at_ms,
    struct buf *out, struct err *e) WARN_UNUSED;

struct message {
	struct str event, level, project, title, text, link;
	int64_t at_ms;
	const json_t *data; /* belongs to what was read */
};
/* Members point into `o`. */
int message_read(const json_t *o, struct message *ret, struct err *e) WARN_UNUSED;
/* A field of data; empty when absent. */
struct str message_data(const struct message *m, const char *name);

/* Patterns separated by single blanks: an event's name, "GROUP.*" or "*". */
bool message_wanted(struct str patterns, struct str event);
/* ERR_INVALID naming the first pattern that fits no event. */
int message_patterns_check(struct str patterns, struct err *e) WARN_UNUSED;
