/* How a task's progress and end read. Only follow.c uses it. */
#pragma once

#include "cli/cli.h"

#define REPORT_STEPS_MAX 24
#define REPORT_NAME_SIZE 24

struct report_step {
	char name[REPORT_NAME_SIZE];
	bool printed;
};

struct report {
	struct cli *c;
	int64_t task, attempt;
	const char *headline;
	char project[64];
	bool quiet, live_line, head_done;
	bool undone; /* there is no release any more */
	struct report_step steps[REPORT_STEPS_MAX];
	size_t step_count;
	char running[REPORT_NAME_SIZE]; /* the step under way; empty: none */
	int64_t running_since_ms;
	char last_line[256];		/* of its output, safe to show */
	json_t *held[REPORT_STEPS_MAX]; /* ended steps that wait for the head */
	size_t held_count;
	int64_t begun_ms, failed_ms; /* failed_ms: how long the failed step took */
};

void report_init(struct report *r, struct cli *c, int64_t task, const char *headline, bool quiet);
void report_fini(struct report *r);
/* A message of the stream: "task", "step", "line" or "state". */
void report_event(struct report *r, struct str event, const json_t *j);
/* Draws the line of the step under way anew, on a terminal. */
void report_tick(struct report *r);
void report_clear_line(struct report *r);
/* The last message; the exit code. */
int report_end(struct report *r, const json_t *end);
