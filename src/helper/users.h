/* The helper's own registry of user numbers: which project has which tenant user. Numbers are given
 * out once; a record is never removed, so a number never comes back.
 *
 * File STATE/users, mode 0600, owned by us: records of 96 bytes, record k is number k + 1, in the
 * machine's byte order: 0  4  magic 0x53575552        4  4  number            8  1  state        9
 * 7  zero 16 32  project, NUL-padded    48 40  user name, NUL-padded               88  8  FNV-1a 64
 * of bytes 0..87 A record is written whole and synced before its number is used. One that cannot be overwritten
 * whole is put back; one that is torn all the same, by a power cut, is retired: whose it was is
 * refused what belongs to that number, and nobody else gets it. */
#pragma once

#include "base/err.h"
#include "base/name.h"
#include "base/str.h"

#include <stdint.h>
#include <sys/types.h>

#define USERS_MAX 20000u
#define USERS_NAME_MAX 32

enum users_state { USERS_ALLOTTED = 1, USERS_ACTIVE, USERS_RETIRED, USERS_STATE_COUNT };

struct users {
	int fd;
};

struct users_record {
	uint32_t number; /* from 1 */
	enum users_state state;
	char project[NAME_PROJECT_MAX + 1];
	char user[USERS_NAME_MAX + 1]; /* empty until the user is made */
};

/* Makes the directory (0700) when absent. -1 when it or the file belongs to somebody else, or is
 * damaged. */
int users_open(struct users *u, const char *state_dir, struct err *e) WARN_UNUSED;
/* The record of a project that is not retired. 1 found, 0 none, -1. */
int users_find(
    const struct users *u, struct str project, struct users_record *ret, struct err *e) WARN_UNUSED;
/* Allots the next number: a record in state ALLOTTED. Durable. */
int users_add(
    const struct users *u, struct str project, struct users_record *ret, struct err *e) WARN_UNUSED;
/* Overwrites the record of r->number. Durable. */
int users_put(const struct users *u, const struct users_record *r, struct err *e) WARN_UNUSED;
