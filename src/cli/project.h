/* Which project the current directory is. */
#pragma once

#include "cli/cli.h"

/* Writes ./.slipway with the name, unless there is one: 1 written, 0 there was one, -1. */
int project_remember(const char *name, struct err *e) WARN_UNUSED;
/* Whether `url` is a git remote of the current directory. */
bool project_is_remote(const char *url);
