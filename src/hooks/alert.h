/* What an event of Alertmanager says, for people: its kind is "alert.firing" or "alert.resolved", its body version 4 of
 * https://prometheus.io/docs/alerting/latest/configuration/#webhook_config. */
#pragma once

#include "base/arena.h"

#include <stdbool.h>

struct alert {
	struct str name, severity;	 /* of all, else of the first */
	struct str summary, description; /* its annotations */
	struct str since;		 /* RFC 3339, as it was sent */
	struct str more;		 /* "and 2 more", "and others"; empty: it is one */
};

bool alert_is(struct str kind);
/* What is not there is empty. Of a body of more than 1 MiB only the first alert is looked at, since who asks is the store's
 * writer. Strings live in the body or the arena. */
void alert_read(struct str body, struct arena *a, struct alert *ret);
