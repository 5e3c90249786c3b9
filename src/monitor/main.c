/* slipway-monitor: what stands between the daemon and the helper, and may do nothing. See README.md. */
#include "base/log.h"
#include "base/num.h"
#include "monitor/filter.h"
#include "monitor/pass.h"
#include "monitor/program.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define EXIT_USAGE 64
#define EXIT_UNAVAILABLE 69

static const char usage[] = "usage: slipway-monitor DAEMON-UID, with the listening socket as "
			    "descriptor 3 and the helper's as 4\n"
			    "Started by slipway-helper; not meant to be run by hand.\n";

int main(int argc, char **argv)
{
	static struct pass pass;
	struct err e = {0};
	uint64_t uid;
	if (argc == 2 && strcmp(argv[1], "--version") == 0) {
		(void)fputs("slipway-monitor " SLIPWAY_VERSION "\n", stdout);
		return 0;
	}
	if (argc != 2 || !num_u64(str_c(argv[1]), 0, UINT32_MAX - 1, &uid)) {
		bool help = argc == 2 && strcmp(argv[1], "--help") == 0;
		(void)fputs(usage, help ? stdout : stderr);
		return help ? 0 : EXIT_USAGE;
	}
	pass_open(&pass, MONITOR_FD_LISTEN, MONITOR_FD_CONTROL, (uid_t)uid, geteuid());
	tzset(); /* gmtime_r(3) of the log would read a file once */
	if (filter_enter(&e) != 0) {
		log_event(LOG_ERROR, "helper", "no_monitor", F_ERR(&e));
		return EXIT_UNAVAILABLE;
	}
	while (pass_step(&pass, -1))
		continue;
	pass_close(&pass);
	_exit(0);
}
