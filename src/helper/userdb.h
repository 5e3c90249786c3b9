/* The local user database, /etc/passwd and /etc/group, of which only names and numbers are wanted:
 * passwd(5), group(5). Unlike fgetpwent(3) it asks for no memory, and a file that cannot be read is
 * no end. */
#pragma once

#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>

#define USERDB_PASSWD "/etc/passwd"
#define USERDB_GROUP "/etc/group"

struct userdb {
	int fd;
	size_t at, n;
	bool within; /* a line whose beginning was given already */
	char text[4096];
};

struct userdb_entry {
	struct str name; /* until the next call */
	uint32_t number; /* of the user, or of the group */
};

#define CLEANUP_USERDB __attribute__((cleanup(userdb_close)))

/* 0, or -1; userdb_close is fine after both. */
int userdb_open(struct userdb *u, const char *path, struct err *e) WARN_UNUSED;
/* 1 the next entry, 0 the end, -1. A line that is no entry is passed over; of a long one, a group
 * of many, the beginning counts. */
int userdb_next(struct userdb *u, struct userdb_entry *ret, struct err *e) WARN_UNUSED;
void userdb_close(struct userdb *u);
