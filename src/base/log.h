/* One line per event on standard error: time level module event key=value…, values escaped.
 *
 *   log_event(LOG_INFO, "queue", "task_started", F_I64("task", id), F_STR("project", name));
 *
 * Library code does not log; the request handler, the task runner or main does, once. Thread-safe;
 * one write(2) per line; never blocks on more than that. */
#pragma once

#include "base/err.h"
#include "base/str.h"

#include <stdint.h>

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR, LOG_LEVEL_COUNT };
enum log_type { LOG_T_END, LOG_T_STR, LOG_T_I64, LOG_T_MS };
struct log_field {
	const char *key;
	enum log_type type;
	struct str s;
	int64_t i;
};
#define F_STR(k, v) ((struct log_field){.key = (k), .type = LOG_T_STR, .s = (v)})
#define F_C(k, v) F_STR(k, str_c(v))
#define F_I64(k, v) ((struct log_field){.key = (k), .type = LOG_T_I64, .i = (int64_t)(v)})
/* error=, hint= and errno= of an err in three fields */
#define F_ERR(e) F_C("error", (e)->msg), F_C("hint", (e)->hint), F_I64("errno", (e)->sys)

void log_open(enum log_level least, int fd); /* fd is borrowed */
bool log_level_parse(struct str s, enum log_level *ret);
void log_write(enum log_level level, const char *module, const char *event,
    const struct log_field *fields, size_t count);
#define log_event(level, module, event, ...)                                                       \
	log_write(level, module, event, (const struct log_field[]){__VA_ARGS__},                   \
	    sizeof((const struct log_field[]){__VA_ARGS__}) / sizeof(struct log_field))
/* Writes s with control bytes, bidirectional marks, invalid UTF-8, quotes and backslashes escaped
 * as \n \xHH \u{…}; what a terminal can be shown. Returns bytes written (without the NUL); cuts at
 * size. */
size_t log_escape(struct str s, char *out, size_t size);
/* The same for text that people read: quotes, backslashes and tabs stay as they are, so it cannot
 * be turned back. */
size_t log_escape_text(struct str s, char *out, size_t size);
