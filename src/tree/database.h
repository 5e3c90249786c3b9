/* SQLite databases among a project's files. */
#pragma once

#include "base/err.h"

#include <stdbool.h>

/* Whether dir/name is a regular file that begins as SQLite's databases do. */
bool database_is(int dir, const char *name);
/* "db.sqlite3-wal" and kin of a database that stands beside it in `dir`. */
bool database_is_side_file(int dir, const char *name);
/* A consistent copy of the database at `path` (as SQLite opens it) as a new file at `to`. Waits up to 60 s for
 * who writes. 0; 1: SQLite cannot read it, so it is a file like others; -1. */
int database_copy(const char *path, const char *to, struct err *e) WARN_UNUSED;
