/* Messages as rows, and as the JSON and HTML that is sent. Pure. */
#pragma once

#include "base/buf.h"

#include <stdint.h>

#define TEXT_MAX_BYTES (64u << 10) /* of one message */
#define TIMELINE_ROW_MAX_BYTES (8u * TEXT_MAX_BYTES)

struct timeline_row {
	int64_t id, pub_date; /* seconds since 1970 UTC */
	struct str user, text;
	struct str email; /* pages only */
};

/* {"content":…,"pub_date":…,"user":…} */
void timeline_json(struct buf *b, const struct timeline_row *row);
/* One <li> as the original's. */
void timeline_html(struct buf *b, const struct timeline_row *row);
/* A name as a path segment. */
void timeline_path(struct buf *b, struct str name);
