/* python-env: the Python environment of a release. See python.c's head for how it is made and kept. */
#pragma once

#include "base/buf.h"
#include "tree/options.h"

int python_env(const struct options *o, struct buf *report, struct err *e) WARN_UNUSED;
