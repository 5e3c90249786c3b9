/* python-env: the Python environment of a release, ./.venv of the working directory.
 *
 * It is built once per set of requirements in cache/python-KEY of the project (KEY: a hash of the interpreter, the requirements
 * files with those they include, and what the kind adds), where `.complete` says that it is whole; a crash leaves none, and the
 * next build begins anew. Into the release goes a *copy*, never a link: a sealed release shares no file with the cache, which
 * later builds may write. Scripts in bin/ are told the copy's path. When no package index answers and the system's own packages
 * satisfy everything, the environment is one that sees those, and says so. */
#pragma once

#include "base/buf.h"
#include "tree/options.h"

int python_env(const struct options *o, struct buf *report, struct err *e) WARN_UNUSED;
