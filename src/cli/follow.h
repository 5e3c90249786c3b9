/* A task, followed to its end and shown as people read it. */
#pragma once

#include "cli/cli.h"

struct follow_options {
	bool quiet;	      /* no steps: only the end's failure is shown */
	const char *headline; /* "stop": printed first when the task makes no release */
	json_t **ret_result;  /* quiet and done: the task's result, to be decref'd; may be NULL */
};
/* Prints steps as they happen (with --json one object each, then the end) and how it ended. A
 * broken stream is taken up where it broke. Ctrl-C detaches: the task goes on. The exit code: 0
 * done, 1 it failed or was cancelled, 130 detached. */
int follow_task(struct cli *c, int64_t task, const struct follow_options *o);
/* What every ordering command does with {"task": N}: follows it, or with --no-wait says its number.
 * Steals the answer. */
int follow_answer(struct cli *c, json_t *answer, const struct follow_options *o);

/* How long a step took: "0.1 s", "2 m 5 s". */
void follow_time(int64_t ms, char out[32]);
/* Whether a step's detail is nothing but its own, more exact time: "0.50 ms". */
bool follow_is_time(const char *detail);
