/* `slipway validate`, `slipway audit` and its --advice: whether a server is as `slipway setup` made
 * it, whether it is safe, and what would make the host below it safer. Three tables of checks over
 * one list of findings. Reads only; changes nothing. For root; everything blocks, a second or two.
 * docs/checks.md says where each check comes from. */
#pragma once

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define INSPECT_FINDINGS_MAX 256u
#define INSPECT_WORDS_SIZE 400u
#define INSPECT_COMMAND_SIZE 400u

/* For a validation INFO is "pass", MEDIUM "warn", HIGH "fail"; for advice INFO "fine", LOW "minor",
 * MEDIUM "advice", HIGH "urgent". */
enum inspect_level {
	INSPECT_INFO,
	INSPECT_LOW,
	INSPECT_MEDIUM,
	INSPECT_HIGH,
	INSPECT_CRITICAL,
	INSPECT_LEVEL_COUNT
};

struct inspect_finding {
	unsigned check; /* index in the table */
	enum inspect_level level;
	char words[INSPECT_WORDS_SIZE]; /* printable ASCII */
	/* Advice only: what a person would type to change it, a line for a shell; empty: nothing. */
	char command[INSPECT_COMMAND_SIZE];
};

struct inspect {
	struct inspect_finding v[INSPECT_FINDINGS_MAX];
	size_t count;
	unsigned check; /* the running one */
	/* How many files of a kind the running check has named; more are only counted. */
	size_t named;
	bool has_user; /* of the daemon */
	uid_t uid;
	gid_t gid;
};

struct inspect_check {
	const char *name;
	void (*run)(struct inspect *s);
	const char *reason, *benchmark; /* advice only: why it matters, and whose advice it is */
};

/* The 11 checks, the 10 checks, and the items of advice. */
const struct inspect_check *inspect_validation(size_t *ret_count);
const struct inspect_check *inspect_audit(size_t *ret_count);
const struct inspect_check *inspect_advice(size_t *ret_count);

/* Runs all of a table, in order; each leaves at least one finding. ERR_FORBIDDEN: not root;
 * ERR_UNSUPPORTED: systemd does not run this machine. */
int inspect_run(
    struct inspect *s, const struct inspect_check *table, size_t count, struct err *e) WARN_UNUSED;
/* The worst of a check's findings, or of all when check is as large as the table. */
enum inspect_level inspect_worst(const struct inspect *s, unsigned check, unsigned count);
