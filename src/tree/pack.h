/* `pack`: the files of a project that are worth keeping, as one stream on descriptor 0 (the one that a job is
 * handed; here it is written).
 *
 * Started in the run sandbox, in the release. The stream is a tar (pax), compressed with zstd: `data/…`,
 * `release/…` and, for each --service, `services/NAME.dump` (tree/dump.h); files, folders and links, with modes and times to the nanosecond, holes as holes. A folder comes
 * after what is in it, so that whoever unpacks sets its mode and time last and keeps no list.
 *
 * Consistent while the project serves: an SQLite database below data/ (by its first 16 bytes) is copied with
 * SQLite's own backup into the private tmp and packed from there; its -wal, -shm and -journal are left out.
 * Other files are packed as they are at the moment of reading. Sockets, devices and pipes are left out and
 * counted. So is what the project's own user may not read, with a note of the first ones.
 *
 * The report, on standard output: "files N", "bytes N", "databases N", "dumps N", "left-out N", "unreadable N", a
 * line each. */
#pragma once

#include "base/buf.h"
#include "tree/options.h"

#define PACK_STAGING ".slipway-restore" /* of data/, never packed */
#define PACK_DATA "../../data"		/* from the release */

int pack_project(const struct options *o, struct buf *report, struct err *e) WARN_UNUSED;
