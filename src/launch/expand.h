/* Variables in the arguments of a Procfile line. The line was split when the source was read; what
 * is to be expanded is marked in the packed argument list by three bytes that the splitter refuses
 * everywhere else:
 *
 *   \x01 NAME \x02              $NAME or ${NAME}
 *   \x01 NAME \x03 text \x02    ${NAME:-text}: text when NAME is not set or empty; text holds no
 * marks
 *
 * NAME is [A-Za-z_][A-Za-z0-9_]*. What is not set is empty. An argument stays one argument,
 * whatever the value holds. Done by slipway-exec, and only when the environment list has
 * SLIPWAY_EXPAND=1. */
#pragma once

#include "base/args.h"
#include "base/buf.h"
#include "base/err.h"

#define EXPAND_OPEN '\x01'
#define EXPAND_CLOSE '\x02'
#define EXPAND_DEFAULT '\x03'

/* Appends `s` expanded with the KEY=value strings of `env` to `out`. ERR_INVALID: marks that do not
 * match; ERR_TOO_LARGE: `out` is full. */
int expand_arg(struct str s, const struct args *env, struct buf *out, struct err *e) WARN_UNUSED;
/* The value of `key` in a KEY=value list, the last one when repeated; false when absent. */
bool expand_lookup(const struct args *env, struct str key, struct str *ret);
