#include "helper/systemctl.h"

#include "base/clock.h"
#include "base/num.h"
#include "launch/tool.h"

#include <string.h>

#define PROGRAM "/usr/bin/systemctl"
#define WORDS_SIZE 300

static int call(const char *const argv[], const char *verb, const char *unit, int64_t ms, struct err *e)
{
	char words[WORDS_SIZE];
	int status;
	if (launch_tool(argv, clock_mono_ms() + ms, &status, words, sizeof(words), e) != 0)
		return -1;
	return status == 0 ? 0 : err_set(e, ERR_FAILED, "systemctl %s '%s': %s", verb, unit, words);
}

int systemctl(const char *verb, const char *option, const char *more, const char *unit, int64_t ms,
    struct err *e)
{
	const char *const argv[] = {
	    PROGRAM, "--quiet", option, more ? more : "--no-ask-password", verb, "--", unit, NULL};
	return call(argv, verb, unit, ms, e);
}

int systemctl_set(const char *unit, const char *assignment, struct err *e)
{
	const char *const argv[] = {PROGRAM, "--quiet", "--runtime", "--no-ask-password", "set-property", "--",
	    unit, assignment, NULL};
	return call(argv, "set-property", unit, SYSTEMCTL_MS, e);
}

pid_t systemctl_main_pid(const char *unit)
{
	const char *const argv[] = {
	    PROGRAM, "show", "--value", "--property=MainPID", "--", unit, NULL};
	char words[WORDS_SIZE];
	struct err ignored;
	uint64_t pid = 0;
	int status;
	if (launch_tool(argv, clock_mono_ms() + SYSTEMCTL_MS, &status, words, sizeof(words),
		&ignored) != 0 ||
	    status != 0 || !num_u64(str_c(words), 1, INT32_MAX, &pid))
		return 0;
	return (pid_t)pid;
}

bool systemctl_restarts(const char *unit)
{
	const char *const argv[] = {
	    PROGRAM, "list-jobs", "--no-legend", "--no-pager", "--plain", "--", unit, NULL};
	char words[WORDS_SIZE];
	struct err ignored;
	int status;
	return launch_tool(argv, clock_mono_ms() + SYSTEMCTL_MS, &status, words, sizeof(words),
		   &ignored) == 0 &&
	       status == 0 && strstr(words, " restart ");
}
