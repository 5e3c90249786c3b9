/* Where MiniTwit and flag_tool find their data, from the environment. */
#pragma once

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

#define SETTINGS_PATH_MAX 1024

struct settings {
	/* DATABASE_URL: a PostgreSQL URL, or a file's path (also as sqlite:///PATH); else
	 * minitwit.db in the data folder. */
	char database[SETTINGS_PATH_MAX];
	bool postgres;
	char board[SETTINGS_PATH_MAX]; /* board.h; in the data folder: MINITWIT_DATA,
					  SLIPWAY_DATA_DIR, HOME or "." */
	const char *address;	       /* MINITWIT_ADDRESS, 127.0.0.1 */
	uint16_t port;		       /* PORT, 5001; unless a socket was passed */
	uint32_t kept_mb;	       /* MINITWIT_KEPT_MB, 32: answers kept in memory */
};
int settings_read(struct settings *ret, struct err *e) WARN_UNUSED;
