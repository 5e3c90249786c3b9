/* Procfile: lines `name: command`. The command is split here, never by a shell: blanks separate; '…' keeps
 * everything, "…" keeps blanks, \ takes the next character; leading A=b words become environment; $VAR and
 * ${VAR:-default} outside '…' are kept as marks for slipway-exec to expand. |, &&, ||, ;, &, <, >, `, $(, ( are
 * errors that show the column and how to write it instead. */
#pragma once

#include "text/manifest.h"

/* Fills processes (name, run; `listen` unset). Also `release`, when a line has that name, is returned as a process. */
int procfile_read(struct str text, const char *file, struct arena *a, struct manifest_process **ret, size_t *ret_count,
    struct err *e) WARN_UNUSED;
/* One command line. `column` is where `line` starts in its file, from 1, for messages. */
int procfile_split(struct str line, unsigned column, struct arena *a, struct manifest_command *ret, struct err *e) WARN_UNUSED;
