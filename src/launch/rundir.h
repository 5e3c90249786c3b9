/* The folder of a release in RUN: RUN/NAME/N with `public` (a link to its static files), `number` and the sockets that its processes
 * listen at. A boot empties RUN; whoever brings the release back makes it again: the daemon, or before it the helper. */
#pragma once

#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

/* RUN/NAME/N with its `public` link; and its removal with all sockets. */
int rundir_make(const char *run_dir, const char *projects_dir, struct str project, uint32_t release, struct err *e) WARN_UNUSED;
int rundir_remove(const char *run_dir, struct str project, uint32_t release, struct err *e) WARN_UNUSED;
/* Where an instance of a release listens. */
struct rundir_place {
	const char *run_dir;
	struct str project;
	uint32_t release;
	struct str process;
	uint16_t instance;
};
/* The names that its sockets can have in the folder. */
enum rundir_socket {
	RUNDIR_SERVES, /* PROCESS.I.sock: who connects to the instance comes here */
	RUNDIR_BESIDE, /* .PROCESS.I.sock: of a second one, not proven yet */
	RUNDIR_BEFORE, /* .PROCESS.I.old.sock: of the one whose place it took */
	RUNDIR_SOCKET_COUNT
};
/* False: it does not fit. */
bool rundir_socket_path(const struct rundir_place *p, enum rundir_socket which, char *out, size_t size);
/* Listens under that name, mode 0660, group of the edge by the directory's set-group-id bit; what was there goes. The descriptor or -1. */
int rundir_listen(const struct rundir_place *p, enum rundir_socket which, struct err *e) WARN_UNUSED;
/* The second one takes the place of the one that serves, by one rename; that is found as RUNDIR_BEFORE from then on. */
int rundir_take_place(const struct rundir_place *p, struct err *e) WARN_UNUSED;
/* What is found as RUNDIR_BEFORE serves no more. */
bool rundir_place_was_taken(const struct rundir_place *p);
/* The names that do not serve go. */
void rundir_forget_others(const struct rundir_place *p);
/* Which release `path` is the folder of: what projects/NAME/live points at. False: of none of the project. */
bool rundir_release(const char *run_dir, struct str project, struct str path, uint32_t *ret);
