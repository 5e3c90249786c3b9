/* rooms: base launch helper */
/* S6: what the helper does as root in a tenant's tree, while others rename, exchange, hard-link and
 * mount in it all the time. Nothing outside of the tree may change: files and folders of root, of
 * another tenant and, behind a mount, of the tenant himself are looked at after every operation. A
 * sealing by paths, as one would write it without thinking, must lose the same race.
 * SLIPWAY_RACE_TRIES: operations, 100,000 in the long tier. */
#include "base/fs.h"
#include "helper/seal.h"
#include "helper/tenant.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#define TRIES_SHORT 1500
#define MAY_FAIL(call)                                                                             \
	do {                                                                                       \
		if (call)                                                                          \
			continue;                                                                  \
	} while (0)
#define UID_BASE 70000u
#define TENANT (UID_BASE + 1)
#define OTHER (UID_BASE + 2)
#define WEB 70500u
#define ATTACKERS 3

static char dir[64];
static struct users registry;
static struct tenant_roots roots;
static struct err e;
static pid_t attackers[ATTACKERS];

/* Who may do something now: the tenant's processes, and root's. Each says when it is in the tree. */
struct gate {
	atomic_bool tenants, root;
	atomic_int inside;
};
static struct gate *gate;
static char projects[96], run_dir[96];

/* What must stay as it is; `link` may gain names. */
static struct canary {
	const char *path;
	uid_t uid;
	mode_t mode;
	struct stat was;
} canaries[] = {
    {"outside", 0, S_IFDIR | 0755, {0}},
    {"outside/root", 0, S_IFDIR | 0700, {0}},
    {"outside/root/secret", 0, S_IFREG | 0600, {0}},
    {"outside/other", OTHER, S_IFDIR | 0755, {0}},
    {"outside/other/file", OTHER, S_IFREG | 0644, {0}},
    {"outside/own", TENANT, S_IFDIR | 0755, {0}},
    {"outside/own/file", TENANT, S_IFREG | 0640, {0}},
};
#define CANARIES (sizeof(canaries) / sizeof(*canaries))

static void make_canaries(void)
{
	for (size_t i = 0; i < CANARIES; i++) {
		struct canary *c = &canaries[i];
		if (S_ISDIR(c->mode))
			assert_int_equal(mkdir(c->path, 0700), 0);
		else
			close(open(c->path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
		assert_int_equal(chown(c->path, c->uid, c->uid), 0);
		assert_int_equal(chmod(c->path, c->mode & 07777), 0);
		assert_int_equal(lstat(c->path, &c->was), 0);
	}
}

/* The first that is not what it was. */
static const char *changed(void)
{
	static char what[160];
	for (size_t i = 0; i < CANARIES; i++) {
		const struct canary *c = &canaries[i];
		struct stat st = {0};
		if (lstat(c->path, &st) == 0 && st.st_ino == c->was.st_ino &&
		    st.st_uid == c->was.st_uid && st.st_gid == c->was.st_gid &&
		    st.st_mode == c->was.st_mode)
			continue;
		(void)snprintf(what, sizeof(what), "%s: user %u, group %u, mode %o", c->path,
		    st.st_uid, st.st_gid, st.st_mode);
		return what;
	}
	return NULL;
}

/* ---- who races ---- */

static void write_file(int at, const char *name, mode_t mode)
{
	int fd = openat(at, name, O_WRONLY | O_CREAT | O_CLOEXEC, mode);
	if (fd >= 0)
		close(fd);
}

static void swap(int at, const char *a, const char *b)
{
	(void)renameat2(at, a, at, b, RENAME_EXCHANGE);
}

/* The tenant: a file, a folder and a link to each canary change places. */
static void tenant_once(int at, unsigned turn)
{
	write_file(at, "file", 0644);
	(void)mkdirat(at, "s", 0755);
	(void)mkdirat(at, "s/deep", 0755);
	write_file(at, "s/page", 0755);
	(void)mkfifoat(at, "fifo", 0600);
	MAY_FAIL(symlinkat("../../../../outside/root/secret", at, "to_file"));
	MAY_FAIL(symlinkat("../../../../outside/other", at, "to_folder"));
	for (unsigned i = 0; i < 20; i++) {
		swap(at, "file", "to_file");
		swap(at, "s", turn & 1 ? "to_folder" : "s2");
		swap(at, "s/page", "to_file");
		(void)renameat(at, "s", at, "s2");
		(void)renameat(at, "s2", at, "s");
	}
}

/* Somebody with root's rights who knows nothing of us: links and mounts what belongs to others. */
static void root_once(int at, unsigned turn)
{
	char here[64];
	(void)mkdirat(at, "m", 0755);
	MAY_FAIL(linkat(AT_FDCWD, "outside/other/file", at, "file2", 0));
	MAY_FAIL(linkat(AT_FDCWD, "outside/root/secret", at, "secret2", 0));
	swap(at, "file", "file2");
	swap(at, "file2", "secret2");
	(void)snprintf(here, sizeof(here), "/proc/self/fd/%d/m", at);
	if (mount(turn & 1 ? "outside/own" : "outside/other", here, NULL, MS_BIND, NULL) == 0) {
		for (unsigned i = 0; i < 10; i++)
			sched_yield();
		(void)umount2(here, MNT_DETACH);
	}
	(void)unlinkat(at, "secret2", 0);
	(void)unlinkat(at, "file2", 0);
}

static void attack_once(bool as_root, unsigned turn)
{
	int at = open("projects/race/releases/1", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (at < 0)
		return;
	if (as_root)
		root_once(at, turn);
	else
		tenant_once(at, turn);
	close(at);
	at = open("projects/race/data", O_PATH | O_DIRECTORY | O_CLOEXEC);
	MAY_FAIL(symlinkat("../../../outside/own", at, "elsewhere"));
	swap(at, "media", "elsewhere");
	close(at);
}

static _Noreturn void attack(bool as_root)
{
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (!as_root && (setgroups(0, NULL) != 0 || setresgid(TENANT, TENANT, TENANT) != 0 ||
			    setresuid(TENANT, TENANT, TENANT) != 0))
		_exit(1);
	for (unsigned turn = 0;; turn++) {
		atomic_fetch_add(&gate->inside, 1);
		if (as_root ? gate->root : gate->tenants)
			attack_once(as_root, turn);
		atomic_fetch_sub(&gate->inside, 1);
		sched_yield();
	}
}

/* Root first; one of them is root alone. */
static void begin_attacks(int count)
{
	for (int i = 0; i < count; i++) {
		attackers[i] = fork();
		assert_true(attackers[i] >= 0);
		if (attackers[i] == 0)
			attack(i == 0);
	}
}

/* Nobody is in the tree any more. */
static void hold(void)
{
	gate->tenants = gate->root = false;
	while (gate->inside > 0)
		sched_yield();
}

static void end_attacks(void)
{
	for (int i = 0; i < ATTACKERS; i++) {
		if (attackers[i] <= 0)
			continue;
		kill(attackers[i], SIGKILL);
		(void)waitpid(attackers[i], NULL, 0);
		attackers[i] = 0;
	}
}

/* What root's rights left in the tree is nobody's to take away but root's: links to what belongs to
 * others are refused for good. */
static void sweep(void)
{
	hold();
	while (umount2("projects/race/releases/1/m", MNT_DETACH) == 0)
		continue;
	int releases CLEANUP_FD =
	    open("projects/race/releases", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(fs_remove_tree(releases, "1", &e), 0);
}

/* ---- the world ---- */

static int setup(void **state)
{
	(void)state;
	snprintf(dir, sizeof(dir), "/dev/shm/slipway-race-XXXXXX");
	if (geteuid() != 0 || !mkdtemp(dir) || chmod(dir, 0755) != 0 || chdir(dir) != 0)
		return 0;
	snprintf(projects, sizeof(projects), "%s/projects", dir);
	snprintf(run_dir, sizeof(run_dir), "%s/run", dir);
	if (mkdir("projects", 0755) != 0 || mkdir("run", 0755) != 0 || mkdir("state", 0700) != 0)
		return -1;
	char state_dir[96];
	snprintf(state_dir, sizeof(state_dir), "%s/state", dir);
	if (users_open(&registry, state_dir, &e) != 0)
		return -1;
	struct users_record r;
	if (users_add(&registry, STR("race"), &r, &e) != 0)
		return -1;
	r.state = USERS_ACTIVE; /* nobody has to be in /etc/passwd for this */
	if (users_put(&registry, &r, &e) != 0)
		return -1;
	roots = (struct tenant_roots){.projects = projects,
	    .run = run_dir,
	    .root = true,
	    .uid_base = UID_BASE,
	    .web_gid = WEB,
	    .users = &registry};
	make_canaries();
	gate = mmap(NULL, sizeof(*gate), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	uint64_t number;
	return gate == MAP_FAILED ? -1 : tenant_ensure(&roots, STR("race"), 0, &number, &e);
}

static int teardown(void **state)
{
	(void)state;
	end_attacks();
	if (geteuid() != 0)
		return 0;
	fs_close_fd(&registry.fd);
	int shm CLEANUP_FD = open("/dev/shm", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return chdir("/") == 0 ? fs_remove_tree(shm, strrchr(dir, '/') + 1, &e) : -1;
}

static unsigned tries(void)
{
	const char *asked = getenv("SLIPWAY_RACE_TRIES");
	return asked ? (unsigned)strtoul(asked, NULL, 10) : TRIES_SHORT;
}

/* ---- tests ---- */

/* Folder s under /s, and data/media. */
static const struct str list = {"/s\0s\0\0media", sizeof("/s\0s\0\0media")};

/* One operation of each kind, while the tenant races with it, in every fourth turn root as well. */
static void race_once(unsigned turn, unsigned ok[3])
{
	gate->tenants = true;
	gate->root = turn % 4 == 0;
	ok[0] += tenant_prepare(&roots, STR("race"), 1, &e) == 0;
	/* the racers need a moment in it, sometimes more, sometimes less */
	for (unsigned i = 0; i < turn % 64; i++)
		sched_yield();
	ok[1] += seal_release(&roots, STR("race"), 1, list, &e) == 0;
	ok[2] += tenant_release_remove(&roots, STR("race"), 1, &e) == 0;
}

static void nothing_outside_changes(void **state)
{
	(void)state;
	if (geteuid() != 0)
		skip();
	unsigned turns = tries() / 3, ok[3] = {0};
	begin_attacks(ATTACKERS);
	for (unsigned turn = 0; turn < turns; turn++) {
		race_once(turn, ok);
		const char *what = changed();
		if (what)
			fail_msg("after %u turns %s", turn, what);
		sweep();
	}
	print_message("%u operations: of %u releases %u prepared, %u sealed, %u removed; nothing "
		      "outside changed\n",
	    3 * turns, turns, ok[0], ok[1], ok[2]);
	assert_true(ok[0] > turns / 2 && ok[1] > turns / 100 && ok[2] > turns / 4);
	/* and afterwards all is well, and the whole project goes, whoever races with its going */
	assert_int_equal(tenant_prepare(&roots, STR("race"), 1, &e), 0);
	assert_int_equal(seal_release(&roots, STR("race"), 1, STR(""), &e), 0);
	end_attacks();
	gate->inside = 0;
	begin_attacks(1); /* the tenant's own processes would be ended first */
	gate->root = true;
	for (unsigned i = 0; i < turns / 50; i++)
		MAY_FAIL(tenant_remove(&roots, STR("race"), &e));
	assert_null(changed());
	end_attacks();
	while (umount2("projects/race/releases/1/m", MNT_DETACH) == 0)
		continue;
	assert_int_equal(tenant_remove(&roots, STR("race"), &e), 0);
	assert_null(changed());
	assert_int_equal(access("projects/race", F_OK), -1);
}

/* The same without a race: it stands there from before to after. */
static void what_is_mounted_is_left_alone(void **state)
{
	(void)state;
	if (geteuid() != 0)
		skip();
	static const char here[] = "projects/race/releases/1/m";
	assert_int_equal(tenant_prepare(&roots, STR("race"), 1, &e), 0);
	assert_int_equal(mkdir(here, 0755), 0);
	if (mount("outside/own", here, NULL, MS_BIND, NULL) != 0)
		skip(); /* nobody may mount here, so nobody does */
	int rc = seal_release(&roots, STR("race"), 1, STR(""), &e);
	const char *what = changed();
	assert_int_equal(umount2(here, MNT_DETACH), 0);
	assert_int_equal(rc, -1);
	assert_null(what);
}

/* By path, looking before each step. */
static void naive_seal(const char *path)
{
	struct dirent *entry;
	struct stat st;
	char below[512];
	DIR *d = opendir(path);
	if (!d)
		return;
	while ((entry = readdir(d))) {
		if (entry->d_name[0] == '.')
			continue;
		(void)snprintf(below, sizeof(below), "%s/%s", path, entry->d_name);
		if (lstat(below, &st) != 0 || S_ISLNK(st.st_mode) || st.st_uid != TENANT)
			continue;
		if (S_ISDIR(st.st_mode))
			naive_seal(below);
		MAY_FAIL(chown(below, 0, TENANT));
		MAY_FAIL(chmod(below, S_ISDIR(st.st_mode) ? 0550 : 0440));
	}
	closedir(d);
}

static void the_naive_one_loses(void **state)
{
	(void)state;
	if (geteuid() != 0)
		skip();
	unsigned turn = 0;
	begin_attacks(ATTACKERS);
	while (!changed()) {
		assert_true(turn < 1000000);
		gate->tenants = true; /* without root: the tenant alone wins */
		MAY_FAIL(tenant_prepare(&roots, STR("race"), 1, &e));
		for (unsigned i = 0; i < turn % 64; i++)
			sched_yield();
		naive_seal("projects/race/releases/1");
		sweep();
		turn++;
	}
	print_message("after %u turns %s\n", turn, changed());
	end_attacks();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(nothing_outside_changes, setup, teardown),
	    cmocka_unit_test_setup_teardown(what_is_mounted_is_left_alone, setup, teardown),
	    cmocka_unit_test_setup_teardown(the_naive_one_loses, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
