/* Dumps of a project's PostgreSQL databases, by PostgreSQL's own programs from constant argument templates, as the
 * project's own role: what a hostile database or dump may do, it does to itself.
 *
 * Which server and role: PGHOST_NAME, PGPORT_NAME, PGUSER_NAME, PGPASSWORD_NAME, PGDATABASE_NAME and PGSSLMODE_NAME of our
 * own environment, NAME being the service's. A dump is of pg_dump's custom format. Blocking. */
#pragma once

#include "base/err.h"
#include "base/str.h"

/* Into the new file `to`. */
int dump_take(struct str service, const char *to, struct err *e) WARN_UNUSED;
/* Out of the file into the database, which is empty: all of it or nothing. */
int dump_load(struct str service, const char *from, struct err *e) WARN_UNUSED;
