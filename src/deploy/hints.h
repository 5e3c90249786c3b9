/* What to do next, guessed from a program's last lines: a table of well-known complaints. */
#pragma once

#include "base/str.h"

#include <stdbool.h>

/* Writes a sentence for the first complaint that it knows; false when it knows none. */
bool hints_find(struct str lines, char *out, size_t size);
