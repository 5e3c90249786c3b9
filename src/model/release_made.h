/* What the engine says about a release while it makes it; beside model/release.h. */
#pragma once

#include "model/release.h"

/* Commit, ref, subject and author, found by the fetch. Only in state building. 1/0/-1. */
int model_release_describe(
    struct store_db *db, const struct model_release *r, struct err *e) WARN_UNUSED;
/* Takes away a release of which nothing came to be (up to date, fetch to be tried again): its
 * number is free again. Only in state building. 1/0/-1. */
int model_release_discard(
    struct store_db *db, int64_t project_id, int64_t number, struct err *e) WARN_UNUSED;
/* A release that comes from an archive, under its own number, in state building. Uses all but env_version. 1; 0: the
 * project has one of that number that is sealed, unless `gone` says that its files are not there. */
int model_release_take_in(
    struct store_db *db, const struct model_release *r, bool gone, struct err *e) WARN_UNUSED;
/* The version of the environment that it runs with, when that task took it in. 1/0/-1. */
int model_release_take_env(struct store_db *db, int64_t project_id, int64_t number, int64_t task_id,
    int64_t env_version, struct err *e) WARN_UNUSED;
/* 1: a release above `from` and up to `to` has run its release command; *ret_number is the newest
 * such. 0/-1. */
int model_release_migrated_between(struct store_db *db, int64_t project_id, int64_t from,
    int64_t to, int64_t *ret_number, struct err *e) WARN_UNUSED;
/* The release that this attempt of a task has begun. 1/0/-1. */
int model_release_made_by(struct store_db *db, int64_t project_id, int64_t task_id, int64_t attempt,
    int64_t *ret_number, struct err *e) WARN_UNUSED;
