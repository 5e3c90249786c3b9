/* The tables and how they came to be. Migrations are numbered and additive within a major version,
 * one transaction each. A daemon of the same major runs on a newer minor; a newer major is refused.
 */
#pragma once

#include "store/store.h"

#define MODEL_SCHEMA_MAJOR 1

/* Brings the database up to this program's schema; does nothing when it is there or further.
 * Blocks; at start only. ERR_SETTINGS when a newer major wrote it. */
int model_migrate(struct store *s, struct err *e) WARN_UNUSED;
/* What the database has; after model_migrate. */
int model_schema_version(
    struct store_db *db, int *ret_major, int *ret_minor, struct err *e) WARN_UNUSED;
