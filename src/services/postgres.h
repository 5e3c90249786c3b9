/* A role and a database of its own on the operator's PostgreSQL, over libpq (store/pq.h). All of this blocks, at most
 * POSTGRES_WAIT_S for each statement: pool threads only.
 *
 * We connect as a role with CREATEROLE and CREATEDB that is no superuser; by default as the daemon's own user over the
 * Unix socket, where PostgreSQL asks the kernel who that is. A project's role may log in with its password, owns one
 * database, and no other project's role may connect to that: CONNECT is taken from everybody before the database takes
 * its first connection.
 *
 * The role carries a comment, "slipway MARK", made in one transaction with it. A role or database of that name without
 * the mark is somebody else's: ERR_CONFLICT, and it is left alone. Every step looks first, so that all of it may be
 * repeated after a crash anywhere. Passwords reach the server as SCRAM verifiers only: its log never has one. */
#pragma once

#include "base/err.h"
#include "base/str.h"
#include "services/owner.h"

#include <stdbool.h>
#include <stdint.h>

#define POSTGRES_NAME_SIZE 64
#define POSTGRES_WAIT_S 30

struct postgres_maker {
	const char *url;      /* of the role that makes others */
	unsigned connections; /* at most, of one project's role */
};

/* Role and database are there, the password is that, and the project's own way in was tried. */
int postgres_make(const struct postgres_maker *s, const struct services_owner *o,
    struct services_place *ret, struct err *e) WARN_UNUSED;
/* Neither is there any more; who is connected is thrown out. ERR_CONFLICT: they are not ours. */
int postgres_drop(
    const struct postgres_maker *s, const struct services_owner *o, struct err *e) WARN_UNUSED;

/* What a restore does, each of them as often as one likes. Beside NAME lie NAME_new, where a dump is brought back while
 * NAME serves, and NAME_old, what NAME was before.
 *   fresh    NAME_new is there and empty; a NAME_old that an earlier restore left is gone
 *   swap     NAME is what NAME_new was, NAME_old what NAME was; nothing where there is no NAME_new
 *   back     NAME is what NAME_old was; nothing where there is no NAME_old. NAME_new is gone
 *   settle   NAME_new is gone and, unless `keep_old`, NAME_old, too */
int postgres_fresh(
    const struct postgres_maker *s, const struct services_owner *o, struct err *e) WARN_UNUSED;
int postgres_swap(
    const struct postgres_maker *s, const struct services_owner *o, struct err *e) WARN_UNUSED;
int postgres_back(
    const struct postgres_maker *s, const struct services_owner *o, struct err *e) WARN_UNUSED;
int postgres_settle(const struct postgres_maker *s, const struct services_owner *o, bool keep_old,
    struct err *e) WARN_UNUSED;
