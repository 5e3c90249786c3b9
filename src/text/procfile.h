/* Procfile: lines `name: command`. The command is split here, never by a shell: blanks separate; '…' keeps
 * everything; "…" keeps blanks, and \ in it takes the next of " \ $ `; outside quotes \ takes the next character; a word that
 * begins with # ends the line; leading A=b words become environment; a leading `exec` is dropped. $VAR, ${VAR} and
 * ${VAR:-default} outside '…' are kept as marks for slipway-exec to expand, as one word whatever they hold:
 *
 *   \x01 NAME \x02                 the value of NAME, or nothing
 *   \x01 NAME \x03 default \x02    the value of NAME when it is set and not empty, else the default (plain text)
 *
 * so a command line that itself holds one of the bytes 1, 2, 3 (or NUL) is refused. |, &&, ||, ;, &, <, >, `, $(, ( and other
 * expansions are errors that show the column and how to write it instead. */
#pragma once

#include "text/manifest.h"

#define PROCFILE_MARK_OPEN '\x01'
#define PROCFILE_MARK_CLOSE '\x02'
#define PROCFILE_MARK_DEFAULT '\x03'

/* Fills processes (name, run; `listen` unset). Also `release`, when a line has that name, is returned as a process. */
int procfile_read(struct str text, const char *file, struct arena *a, struct manifest_process **ret, size_t *ret_count,
    struct err *e) WARN_UNUSED;
/* One command line. `column` is where `line` starts in its file, from 1, for messages. */
int procfile_split(struct str line, unsigned column, struct arena *a, struct manifest_command *ret, struct err *e) WARN_UNUSED;
