/* need-node: is the version of Node that a project asks for (--also, such as "20" or "20.11") on this machine? */
#pragma once

#include "base/buf.h"
#include "tree/options.h"

int node_need(const struct options *o, struct buf *report, struct err *e) WARN_UNUSED;
