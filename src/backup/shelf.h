/* Where archives are kept: STATE/backups/pNUMBER/ID.backup, by the project's number, so that a new project of
 * an old name does not find the old one's. The folders are the truth; no table repeats them.
 *
 * An ID is the time it was made and six random hex digits: "20261126T202408Z-1a2b3c". Names that are not
 * are left alone, but for what a crash left behind (".part"). All of this blocks; any thread. */
#pragma once

#include "backup/settings.h"

#define SHELF_ID_SIZE 24
#define SHELF_PER_PROJECT 64u

/* An archive that is being written: `fd` is a file without its final name. */
struct shelf_new {
	int dir, fd;
	char id[SHELF_ID_SIZE], part[SHELF_ID_SIZE + 8];
};
/* ERR_CONFLICT: the project has SHELF_PER_PROJECT already. */
int shelf_begin(const char *root, int64_t project_id, int64_t now_ms, struct shelf_new *ret,
    struct err *e) WARN_UNUSED;
int shelf_keep(struct shelf_new *n, struct err *e) WARN_UNUSED; /* durable under its id */
void shelf_drop(struct shelf_new *n); /* after begin, unless kept: leaves nothing */

struct shelf_item {
	struct str id;
	int64_t project_id, size_bytes;
	struct backup_header header; /* as it says itself, not proved */
	bool passphrase;	     /* one opens it */
};
struct shelf_items {
	struct shelf_item *v;
	size_t n;
};
/* Newest first. project_id 0: what is left of destroyed projects, of all. Files that are no archives are
 * left out. */
int shelf_list(const char *root, int64_t project_id, struct arena *a, struct shelf_items *ret,
    struct err *e) WARN_UNUSED;
/* 1/0/-1. project_id 0: of a destroyed one, whichever has it. */
int shelf_find(const char *root, int64_t project_id, struct str id, struct arena *a,
    struct shelf_item *ret, struct err *e) WARN_UNUSED;
/* For reading; -1 with ERR_NOT_FOUND. */
int shelf_open(const char *root, int64_t project_id, struct str id, struct err *e) WARN_UNUSED;
int shelf_remove(const char *root, int64_t project_id, struct str id, struct err *e) WARN_UNUSED;
/* All of a project that is destroyed: archives, those under way, its folder. `keep_destroyed`: but for what
 * is kept of it until its time is over. May be repeated. */
int shelf_clear(
    const char *root, int64_t project_id, bool keep_destroyed, struct err *e) WARN_UNUSED;
/* The largest number of a project that has a folder here; 0: none has. */
int shelf_highest(const char *root, int64_t *ret_project_id, struct err *e) WARN_UNUSED;
/* A copy for another project, under an id of its own. (Not a second name: whoever mends owners as root
 * leaves files alone that have one.) */
int shelf_copy(const char *root, int64_t from, struct str id, int64_t to, int64_t now_ms,
    char ret_id[SHELF_ID_SIZE], struct err *e) WARN_UNUSED;
/* Removes those whose time is over, and folders that are empty. `parts`: also what was being written when an
 * earlier daemon ended. */
int shelf_tidy(
    const char *root, int64_t now_ms, bool parts, size_t *ret_removed, struct err *e) WARN_UNUSED;
