/* One commit of a mirror into a folder: looked through before anything is written, then written by git itself, without a
 * repository in the folder and with no attribute, filter or hook at work; then its submodules, when asked for. */
#pragma once

#include "tree/repository.h"

/* `into` is a path below the working directory; `depth` counts submodules within submodules, from 0. */
int checkout_tree(struct repository *r, const char *commit, const char *into, unsigned depth, struct err *e) WARN_UNUSED;
