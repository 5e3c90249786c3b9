/* A file that takes up room so that there is some to give back when the disk is full: then what makes room can be ordered,
 * and a start finds what it needs. Any thread; `path` names the file, in a folder that nobody else writes to. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define RESERVE_BYTES (16ull << 20)
#define RESERVE_START_BYTES (4ull << 20) /* free room with which a start comes through */

/* Makes it, or what it lacks: of what is free at most the half. False: there is no room for one, or none can be had here. Blocks. */
bool reserve_make(const char *path);
/* Gives it back; false: there was none. */
bool reserve_give(const char *path);
/* The same when less than so much is free. */
bool reserve_give_below(const char *path, uint64_t free_bytes);
