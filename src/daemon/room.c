#include "daemon/room.h"

#include "base/log.h"
#include "base/num.h"
#include "store/reserve.h"

#include <stdio.h>
#include <sys/statvfs.h>

static void log_given(const struct layout *l)
{
	log_event(
	    LOG_WARN, "daemon", "disk_full", F_C("reserve", "given back"), F_C("path", l->reserve));
}

void room_give(void *layout)
{
	const struct layout *l = layout;
	if (reserve_give(l->reserve))
		log_given(l);
}

void room_give_to_start(const struct layout *l)
{
	if (reserve_give_below(l->reserve, RESERVE_START_BYTES))
		log_given(l);
}

void room_tell(const struct settings *s, const struct layout *l)
{
	struct statvfs fs;
	char size[32] = "?", left[32] = "?";
	if (statvfs(s->state, &fs) == 0) {
		num_size_text((uint64_t)fs.f_blocks * fs.f_frsize, size);
		num_size_text((uint64_t)fs.f_bavail * fs.f_frsize, left);
	}
	fprintf(stderr,
	    "  the file system of '%s' has %s left of %s: make room on it, then start again\n"
	    "  what may go: archives in %s, uploads in %s, what programs print in %s\n",
	    s->state, left, size, l->backups, l->spool, l->logs);
}
