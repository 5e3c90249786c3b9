/* One error shape for the whole house: filled by whoever finds the fault, shown by whoever asked.
 *
 * Functions that can fail take `struct err *` last, return 0/-1 (or 1/0/-1 for found / none / error)
 * and fill it before returning -1. The caller owns the storage; nothing in it needs freeing. */
#pragma once

#include <stdarg.h>

#define WARN_UNUSED __attribute__((warn_unused_result))
#define PRINTF_LIKE(f, a) __attribute__((format(printf, f, a)))

enum err_code {
	ERR_NONE = 0,
	ERR_USAGE,	  /* the command line is wrong */
	ERR_INVALID,	  /* data is malformed; never succeeds as it is */
	ERR_UNAUTHORIZED, /* nobody: no or wrong credential */
	ERR_FORBIDDEN,	  /* somebody, but not allowed */
	ERR_NOT_FOUND,
	ERR_CONFLICT,	  /* exists already, or belongs to another */
	ERR_PRECONDITION, /* If-Match did not match */
	ERR_TOO_LARGE,
	ERR_UNSUPPORTED, /* media type, feature or version not there */
	ERR_RATE,	 /* too many; try later */
	ERR_UNAVAILABLE, /* a part is missing or full; try later */
	ERR_TIMEOUT,
	ERR_CANCELLED,
	ERR_FAILED, /* the thing asked for was tried and failed: a deploy, a check */
	ERR_SETTINGS, /* the platform's own settings are wrong */
	ERR_IO,
	ERR_NO_SPACE,
	ERR_INTERNAL,
	ERR_CODE_COUNT
};

enum err_retry { ERR_RETRY_NEVER, ERR_RETRY_LATER };

struct err {
	enum err_code code;
	int sys;	   /* errno, 0 when none */
	char msg[512];	   /* what happened, to what, why; lower case, no final stop */
	char hint[384];	   /* what to do next; may be empty */
	char pointer[160]; /* JSON pointer of the offending field; may be empty */
};

/* The one table: what a code means to HTTP, to the shell and to the queue. */
struct err_class {
	const char *name;  /* "not-found": last part of a problem's type */
	const char *title; /* "Not found" */
	int http_status;
	int exit_code; /* sysexits as in the CLI's documentation */
	enum err_retry retry;
};
const struct err_class *err_class_of(enum err_code code);

/* Fill `e` (NULL is allowed and ignored) and return -1, so that a failing function can
 * `return err_set(e, ...)`. Long messages are cut at a UTF-8 boundary. Clears hint and pointer. */
int err_set(struct err *e, enum err_code code, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* The same with `sys`'s text appended as ": reason" (sys > 0). ENOSPC and EDQUOT turn code into ERR_NO_SPACE. */
int err_sys(struct err *e, enum err_code code, int sys, const char *fmt, ...) PRINTF_LIKE(4, 5);
/* Adds the hint, or the field's JSON pointer; returns -1 for chaining. */
int err_hint(struct err *e, const char *fmt, ...) PRINTF_LIKE(2, 3);
int err_at(struct err *e, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Puts "text: " in front of the message. */
int err_prefix(struct err *e, const char *fmt, ...) PRINTF_LIKE(2, 3);
void err_clear(struct err *e);

/* Analysers see one file at a time: to them, that these return -1 stands here. */
#if (defined(__clang_analyzer__) || defined(SLIPWAY_ANALYSE)) && !defined(ERR_C)
static inline int err_minus_one(int rc)
{
	(void)rc;
	return -1;
}
#define err_set(...) err_minus_one(err_set(__VA_ARGS__))
#define err_sys(...) err_minus_one(err_sys(__VA_ARGS__))
#define err_hint(...) err_minus_one(err_hint(__VA_ARGS__))
#define err_at(...) err_minus_one(err_at(__VA_ARGS__))
#define err_prefix(...) err_minus_one(err_prefix(__VA_ARGS__))
#endif
