/* A ref of a repository into its mirror, as refs/slipway/head. */
#pragma once

#include "tree/repository.h"

/* Branch, then tag, or a full commit number; empty: the remote's HEAD. A name that is not there fails with those that are. */
int fetch_ref(struct repository *r, struct str ref, struct err *e) WARN_UNUSED;
