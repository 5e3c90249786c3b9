/* Sites in a stored plan. Private to this room. */
#pragma once

#include "kinds/plan.h"
#include "text/json.h"

void plan_sites_put(struct json_out *w, const struct plan *p);
/* Absent members are a plan without sites. */
int plan_sites_take(const json_t *o, struct arena *a, struct plan *p, struct err *e) WARN_UNUSED;
