/* The board: one page of memory that all processes of MiniTwit on a machine share through a mapped
 * file, on which each says what it has committed. It makes answers kept in memory true: an answer
 * holds as long as the numbers it was made under still stand.
 *
 * The truth is the store; the board may be lost at any time (it is made anew after a boot, and
 * every kept answer is stale then). Only `latest` is kept here as well, because every single
 * request of the simulator sets it and the next one, whichever process gets it, must see it: the
 * file outlives a killed process, and the store gets the value within a tenth of a second (app.c).
 *
 * Rule of writers: commit, then board_…, then answer the client. Rule of readers: take the stamp,
 * then the snapshot. All functions are atomic and may be called from any thread.
 *
 *   offset  size  field
 *        0     8  magic and version
 *        8    40  boot id of the machine, text
 *       48     8  epoch: everything kept in memory is stale when it changes
 *       56     8  latest
 *       64     8  public: messages that became visible or hidden
 *       72   4 n  per user and kind, by a hash of the name: what changed about their messages, or whom they
 *                 follow */
#pragma once

#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

struct board;
enum board_kind { BOARD_MSGS, BOARD_FOLLOWS, BOARD_KIND_COUNT };
struct board_stamp {
	uint64_t epoch;
	uint32_t user;
};

/* Maps or makes the file (0600). *ret_fresh: it holds no `latest`. NULL on error. */
struct board *board_open(const char *path, bool *ret_fresh, struct err *e);
void board_close(struct board *b); /* NULL is fine */

int64_t board_latest(const struct board *b);
void board_set_latest(struct board *b, int64_t latest);

struct board_stamp board_stamp(const struct board *b, enum board_kind kind, struct str user);
bool board_holds(
    const struct board *b, enum board_kind kind, struct str user, struct board_stamp s);
uint64_t board_epoch(const struct board *b);
uint64_t board_public(const struct board *b);

/* Both return the number before. */
uint32_t board_user_changed(struct board *b, enum board_kind kind, struct str user);
uint64_t board_public_changed(struct board *b);
void board_all_changed(struct board *b);
