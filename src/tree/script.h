/* Scripts that hold the path of where they lie: those of a Python environment. */
#pragma once

#include "base/err.h"
#include "base/str.h"

/* Replaces every `from` in dir/name by `to`. What is no small regular file stays as it is. */
int script_rewrite(
    int dir, const char *name, struct str from, struct str to, struct err *e) WARN_UNUSED;
/* The scripts in `venv`/bin are told that it is at `path` now, wherever their first lines say it was. */
int script_move(int venv, struct str path, struct err *e) WARN_UNUSED;
