/* What slipway-exec is told when it starts, as its command line: fixed options, never a tenant's
 * text. Whoever starts it (the keeper, a unit file) writes the line with guest_line; slipway-exec
 * reads it with guest_parse.
 *
 *   --sandbox=run|build|fetch|stranger  --project-dir=/abs  --release=N  --process=NAME
 * --instance=N
 * --key=HEX
 *   [--subdir=PATH]  working directory below the release (for fetch always the project's directory)
 *   [--tmp=NAME]     PROJECT/tmp/NAME is the private temporary directory
 *   [--port=N]       $PORT, or the relay's target
 *   [--program=/abs] run this file instead of what argv[0] names
 *   [--notify=/abs]  $NOTIFY_SOCKET
 *   [--watchdog=MS]  $WATCHDOG_USEC
 *   [--devices=N]    the set that may be opened
 *   [--own-tmp]      /tmp and /var/tmp are the instance's own (PrivateTmp= of its unit)
 *   [--relay]        be the relay: descriptor GUEST_FD_LISTEN -> 127.0.0.1:port
 *   [--listen] [--argv] [--env] [--secret]   which of the descriptors below are there
 */
#pragma once

#include "base/err.h"
#include "base/name.h"

#include <stdint.h>

enum guest_fd { GUEST_FD_LISTEN = 3, GUEST_FD_ARGV, GUEST_FD_ENV, GUEST_FD_SECRET, GUEST_FD_END };

enum guest_sandbox {
	GUEST_RUN,
	GUEST_BUILD,
	GUEST_FETCH,
	GUEST_STRANGER, /* a build of code that nobody here wrote */
	GUEST_SANDBOX_COUNT
};

#define GUEST_PATH_MAX 512
#define GUEST_TMP_MAX 48
#define GUEST_NOTIFY_MAX 108 /* a socket's path */
#define GUEST_KEY_MAX 40

struct guest {
	enum guest_sandbox sandbox;
	uint32_t release;
	uint16_t instance, port;
	uint32_t watchdog_ms; /* 0: none */
	uint32_t devices;     /* base/device.h */
	bool relay, own_tmp, listen, argv, env, secret;
	char project_dir[GUEST_PATH_MAX];
	char program[GUEST_PATH_MAX]; /* empty: argv[0] of the list */
	char notify[GUEST_NOTIFY_MAX]; /* empty: none */
	char process[NAME_PROCESS_MAX + 1];
	char subdir[256];
	char tmp[GUEST_TMP_MAX]; /* one path component, empty: none */
	char key[GUEST_KEY_MAX +
		 1]; /* $SLIPWAY_INSTANCE: lower-case hex and '-', names the instance */
};

#define GUEST_ARGS_MAX 23
struct guest_line {
	const char *v[GUEST_ARGS_MAX + 1]; /* NULL-ended; points into `text` */
	size_t n, used;
	char text[3072];
};

/* -1 with ERR_TOO_LARGE when it does not fit, which needs a longer path than GUEST_PATH_MAX. */
int guest_line(const struct guest *g, struct guest_line *ret, struct err *e) WARN_UNUSED;
/* Every value is validated again. ERR_USAGE. */
int guest_parse(int argc, char *const *argv, struct guest *ret, struct err *e) WARN_UNUSED;
/* The same from guest_line's text as it lies in a file or a message: each argument ended by NUL. */
int guest_unpack(struct str packed, struct guest *ret, struct err *e) WARN_UNUSED;
