/* Values that become part of an SQL statement where no parameter can stand (names of roles and databases,
 * passwords, comments). Nothing else in this room writes a quote. */
#pragma once

#include "base/buf.h"
#include "base/err.h"

#define SQL_NAME_MAX 63 /* PostgreSQL cuts a longer name silently */

/* "NAME", as it is: one identifier whatever it holds. ERR_INVALID: empty, too long, or a NUL in it. */
int sql_name(struct buf *out, struct str name, struct err *e) WARN_UNUSED;
/* 'TEXT', one literal whatever it holds and whatever standard_conforming_strings says. ERR_INVALID: a NUL in it. */
int sql_text(struct buf *out, struct str text, struct err *e) WARN_UNUSED;
/* A statement: each % of `form` is replaced by the next of `v`, as a literal when it stands behind a ' (which is
 * dropped), else as a name. `v` ends with STR_NONE. -1 as above. */
int sql_write(struct buf *out, const char *form, const struct str *v, struct err *e) WARN_UNUSED;
