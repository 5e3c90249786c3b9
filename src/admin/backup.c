/* A copy of the store, the journal and the keys. All of it is made by processes of the daemon's own
 * user: what he could have put in the way of root is only in his own way. */
#include "admin/act.h"
#include "admin/admin.h"

#include "base/clock.h"
#include "launch/tool.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define STATE_DIR ADMIN_STATE_DIR
#define MANUAL STATE_DIR "/backups/manual"
#define TOOL_MS 600000
#define ARGS_MAX 20

int admin_tool(const char *const *argv, struct err *e)
{
	char words[300];
	int status;
	if (launch_tool(argv, clock_mono_ms() + TOOL_MS, &status, words, sizeof(words), e) != 0)
		return -1;
	return status == 0 ? 0
			   : err_set(e, ERR_FAILED, "%s: %s", argv[4] ? argv[4] : argv[0], words);
}

static int hold(const char *signal, struct err *e)
{
	const char *const argv[] = {
	    "/usr/bin/systemctl", "kill", "--kill-who=main", signal, "slipwayd.service", NULL};
	char words[300];
	int status;
	if (launch_tool(argv, clock_mono_ms() + TOOL_MS, &status, words, sizeof(words), e) != 0)
		return -1;
	return status == 0 ? 0
			   : err_set(e, ERR_UNAVAILABLE, "slipwayd could not be held: %s", words);
}

static bool runs(void)
{
	static const char *const argv[] = {
	    "/usr/bin/systemctl", "--quiet", "is-active", "slipwayd.service", NULL};
	char words[100];
	struct err ignored;
	int status;
	return launch_tool(
		   argv, clock_mono_ms() + TOOL_MS, &status, words, sizeof(words), &ignored) == 0 &&
	       status == 0;
}

static void add_if_there(const char **argv, size_t *n, const char *name)
{
	char path[80];
	(void)snprintf(path, sizeof(path), STATE_DIR "/%s", name);
	if (access(path, F_OK) == 0)
		argv[(*n)++] = name;
}

/* Not compressed yet: that would hold the daemon longer. */
static int pack(const char *into, const char *const *names, struct err *e)
{
	const char *argv[ARGS_MAX + 1] = {
	    AS_DAEMON, "/usr/bin/tar", "--create", "--file", into, "--directory", STATE_DIR};
	size_t n = 10;
	for (; *names; names++)
		add_if_there(argv, &n, *names);
	return n == 10 ? err_set(e, ERR_NOT_FOUND, "there is nothing in %s", STATE_DIR)
		       : admin_tool(argv, e);
}

/* Nobody interrupts us while the daemon stands still. */
static int pack_held(const char *into, const char *const *names, struct err *e)
{
	sigset_t all, old;
	struct err other = {0};
	bool held = runs();
	sigfillset(&all);
	(void)sigprocmask(SIG_SETMASK, &all, &old);
	int rc = held ? hold("--signal=SIGSTOP", e) : 0;
	if (rc == 0)
		rc = pack(into, names, e);
	if (held && hold("--signal=SIGCONT", &other) != 0 && rc == 0) {
		*e = other;
		rc = -1;
	}
	(void)sigprocmask(SIG_SETMASK, &old, NULL);
	return rc;
}

static int compress(char path[ADMIN_PATH_SIZE], struct err *e)
{
	const char *const argv[] = {AS_DAEMON, "/usr/bin/gzip", "--", path, NULL};
	if (admin_tool(argv, e) != 0)
		return -1;
	memcpy(path + strlen(path), ".gz", sizeof(".gz"));
	return 0;
}

int admin_backup(struct admin_archives *ret, struct err *e)
{
	static const char *const state[] = {"slipway.db", "slipway.db-wal", "journal", NULL};
	static const char *const keys[] = {"keys", "owner.token", NULL};
	static const char *const folder[] = {
	    AS_DAEMON, "/usr/bin/install", "--directory", "--mode=0700", (MANUAL), NULL};
	char when[20];
	time_t now = time(NULL);
	struct tm tm;
	if (!localtime_r(&now, &tm) || strftime(when, sizeof(when), "%Y%m%d_%H%M%S", &tm) == 0)
		return err_set(e, ERR_INTERNAL, "the time cannot be told");
	(void)snprintf(ret->state, sizeof(ret->state) - 3, MANUAL "/state-%s.tar", when);
	(void)snprintf(ret->keys, sizeof(ret->keys) - 3, MANUAL "/keys-%s.tar", when);
	mode_t old = umask(0077);
	int rc = admin_tool(folder, e) != 0 || pack_held(ret->state, state, e) != 0 ||
			 pack(ret->keys, keys, e) != 0 || compress(ret->state, e) != 0 ||
			 compress(ret->keys, e) != 0
		     ? -1
		     : 0;
	(void)umask(old);
	return rc;
}
