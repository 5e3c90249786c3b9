/* Runs a program with an argument list and an environment of its own, and waits for it. Blocking. */
#pragma once

#include "base/buf.h"
#include "base/err.h"

#include <stdint.h>

#define CHILD_WORDS_MAX 96

/* A NULL-ended list being filled; what is added must outlive it. */
struct child_words {
	const char *v[CHILD_WORDS_MAX + 1];
	size_t n;
};
void child_add(struct child_words *w, const char *word); /* asserts room */

struct child_spec {
	const struct child_words *argv; /* argv[0] is searched in PATH of `env` when it has no '/' */
	const struct child_words *env;
	const char *directory;		/* NULL: stay */
	int64_t deadline_ms;		/* absolute, clock_mono_ms */
	bool quiet;			/* do not pass its standard error on to ours */
	bool merge;			/* its standard output goes where ours of messages goes */
};

/* 0 when it ended (*ret_status as from waitpid(2)); -1 when it could not be run, or was killed at the deadline
 * (ERR_TIMEOUT). `out` takes standard output (NULL: /dev/null unless merge); when it is full the child is killed and *ret_status says
 * so. `messages` (may be NULL) takes the end of standard error. */
int child_run(const struct child_spec *s, struct buf *out, struct buf *messages, int *ret_status, struct err *e) WARN_UNUSED;
