/* A shared library that is loaded when it is first needed: a daemon that never needs it does not carry it, nor all that it links. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* Loads the file ("libpq.so.5") for the life of the process and looks the names up. `functions`: a struct of as many function
 * pointers, in their order. False: which is missing is in `why`. Once per library, whichever thread. */
bool shared_load(
    const char *file, const char *const *names, size_t n, void *functions, char *why, size_t size);
