/* From a source tree to a plan: one file per kind, each with detect and plan. */
#pragma once

#include "kinds/plan.h"
#include "source/tree.h"

struct kinds_input {
	const struct tree *tree;
	enum manifest_kind kind;	      /* what the operator said; AUTO detects */
	struct str root;		      /* what the operator said; wins over the manifest's */
	uint32_t devices; /* base/device.h: that were granted; a manifest that wants another: ERR_FORBIDDEN */
	const struct manifest_limits *limits; /* the operator's; a manifest may lower, never raise: ERR_FORBIDDEN */
	struct str first_domain;
	struct str project;
	const struct manifest_sites *sites;   /* what the operator said of its sites; wins over the manifest's; NULL: nothing */
	bool index_reachable_hint;	      /* reserved for notes */
};

/* Reads slipway.yaml / Procfile / app.json / runtime.txt / .env.example in the tree, detects the kind with a reason,
 * and fills the plan. */
int kinds_plan(const struct kinds_input *in, struct arena *a, struct plan *ret, struct err *e) WARN_UNUSED;
