/* How slipway-tree speaks: the report on standard output, messages on standard error. A failure is a struct err whose
 * kind (source/source.h) is kept beside it; say_failure prints the last line. */
#pragma once

#include "base/buf.h"
#include "base/err.h"

/* The kinds of failure that source_explain knows. */
enum say_kind {
	SAY_HOST,     /* a name that does not resolve */
	SAY_ADDRESS,  /* an address that is not allowed */
	SAY_DENIED,
	SAY_REF,
	SAY_SIZE,
	SAY_LINK,
	SAY_ENTRY,
	SAY_ARCHIVE,
	SAY_SETTINGS, /* wrong arguments, a program that is missing */
	SAY_GIT,      /* git failed; its own words came before */
	SAY_TIMEOUT,
	SAY_PYTHON,   /* python-env: the installation failed */
	SAY_LOCK,     /* a lock file that cannot be followed */
	SAY_NODE,     /* node-install: the installation failed */
	SAY_KIND_COUNT
};

/* Remembers the kind (there is one failure per run), fills `e` and returns -1. */
int say_fail(enum say_kind kind, struct err *e, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* "slipway-tree: KIND: text" and the hint. */
void say_failure(const struct err *e);
/* A line for the person who reads along: "slipway-tree: note: text". */
void say_note(const char *fmt, ...) PRINTF_LIKE(1, 2);
/* Bytes to standard error as they are; that it may be closed is nobody's fault. */
void say_raw(const char *p, size_t n);
/* Writes the whole report to standard output. */
int say_report(const struct buf *b, struct err *e) WARN_UNUSED;
