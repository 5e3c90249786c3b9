/* Which of a program's last lines says the most in the few words that a step's detail has. */
#pragma once

#include "base/str.h"

/* Chooses among `lines`, oldest first: what a test runner or a migration sums up with, else the
 * last that holds a word. Written to `out` without decoration at its ends, blanks squeezed, cut
 * between characters; "" when no line holds a word. Never fails. */
void telling_line(const struct str *lines, size_t n, char *out, size_t size);
