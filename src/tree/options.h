/* The arguments of slipway-tree, as source_job and kinds/ write them. */
#pragma once

#include "base/args.h"
#include "base/err.h"

#include <stdint.h>

#define OPTIONS_EXTRA_MAX 16

struct options {
	uint32_t release;
	uint64_t bytes_max, files_max;
	struct str url, ref, unless, retry_while, user, known_hosts; /* fetch-git */
	bool submodules, allow_private;
	struct str path;				 /* copy-path */
	struct str top, python, project_file;		 /* python-env */
	struct str lock;				 /* python-env, node-install */
	struct str requirements[OPTIONS_EXTRA_MAX], also[OPTIONS_EXTRA_MAX];
	size_t requirements_count, also_count;
	bool system, dev;
	struct str services[OPTIONS_EXTRA_MAX]; /* pack, service-load */
	size_t services_count;
};

/* argv behind the subcommand. -1 names the wrong argument. Strings point into argv. */
int options_read(int argc, char *const *argv, struct options *ret, struct err *e) WARN_UNUSED;
