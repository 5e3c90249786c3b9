/* rooms: base launch render helper */
/* S6: what the helper does as root in a tenant's tree, while others rename, exchange, hard-link and
 * mount in it all the time: the tenant, root, and a taken-over daemon, whose folder the project's is.
 * Nothing outside of the tree may change or come into it: files and folders of root, of
 * another tenant and, behind a mount, of the tenant himself are looked at after every turn; within
 * the tree what is root's stays root's, and what is the daemon's the daemon's. A sealing by paths, as one would write it without thinking, must lose the same race.
 * SLIPWAY_RACE_TRIES: operations, 100,000 in the long tier. */
#include "base/fs.h"
#include "helper/disk.h"
#include "helper/seal.h"
#include "helper/sites.h"
#include "helper/tenant.h"
#include "launch/spawn.h"
#include "render/sites.h"

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

#define TRIES_SHORT 2250
#define MAY_FAIL(call)                                                                             \
	do {                                                                                       \
		if (call)                                                                          \
			continue;                                                                  \
	} while (0)
#define UID_BASE 70000u
#define TENANT (UID_BASE + 1)
#define OTHER (UID_BASE + 2)
#define WEB 70500u
#define DAEMON 70600u
#define ATTACKERS 4
#define SITE "[a.org].nginxconf"
#define SITE_TEXT "served"
#define SECRET "secret"
#define BIG_BYTES (4u << 20)
#define LOOK_BYTES (1u << 20)

static char dir[64];
static struct users registry;
static struct tenant_roots roots;
static struct err e;
static pid_t attackers[ATTACKERS];

/* Who may do something now: the tenant's processes, root's, the daemon's. Each says when it is in the tree. */
struct gate {
	atomic_bool tenants, root, daemon;
	atomic_int inside;
};
static struct gate *gate;
static int releases = -1; /* the real one, wherever the daemon moved it */
static char projects[96], run_dir[96], edge_dir[96];

/* What must stay as it is; a file may gain names, a folder entries only when it is lively. */
static struct canary {
	const char *path;
	uid_t uid;
	mode_t mode;
	bool lively;
	struct stat was;
} canaries[] = {
    {"outside", 0, S_IFDIR | 0755, false, {0}},
    {"outside/root", 0, S_IFDIR | 0700, false, {0}},
    {"outside/root/secret", 0, S_IFREG | 0600, false, {0}},
    {"outside/other", OTHER, S_IFDIR | 0755, false, {0}},
    {"outside/other/file", OTHER, S_IFREG | 0644, false, {0}},
    {"outside/own", TENANT, S_IFDIR | 0755, false, {0}},
    {"outside/own/file", TENANT, S_IFREG | 0640, false, {0}},
    {"outside/own/job", TENANT, S_IFDIR | 0755, false, {0}},
    {"outside/own/job/file", TENANT, S_IFREG | 0644, false, {0}},
    {"outside/big", OTHER, S_IFDIR | 0755, false, {0}},
    {"outside/big/file", OTHER, S_IFREG | 0644, false, {0}},
    /* the daemon moves these about, so they are looked at while it holds still */
    {"run/.notify", 0, S_IFDIR | 0711, false, {0}},
    {"projects/race/releases", 0, S_IFDIR | 0711, true, {0}},
    {"projects/race/public", 0, S_IFDIR | 0750, true, {0}},
    {"projects/race/data", TENANT, S_IFDIR | 0710, true, {0}},
    {"projects/race/data/1", TENANT, S_IFDIR | 0755, false, {0}},
    {"projects/race/data/1/file", TENANT, S_IFREG | 0644, false, {0}},
    {"projects/race/own", DAEMON, S_IFDIR | 0755, false, {0}},
    {"projects/race/own/1", DAEMON, S_IFDIR | 0755, false, {0}},
    {"projects/race/own/1/file", DAEMON, S_IFREG | 0644, false, {0}},
    {"projects/race/own/1/s", DAEMON, S_IFDIR | 0755, false, {0}},
};
#define CANARIES (sizeof(canaries) / sizeof(*canaries))
#define CANARIES_OUTSIDE 11 /* the first ones */

static void write_text(const char *path, const char *text, uid_t uid)
{
	CLEANUP_FD int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	assert_int_equal(fchown(fd, uid, uid), 0);
}

static void make_canaries(void)
{
	for (size_t i = 0; i < CANARIES; i++) {
		const struct canary *c = &canaries[i];
		if (access(c->path, F_OK) == 0)
			continue; /* the helper's own making */
		if (S_ISDIR(c->mode))
			assert_int_equal(mkdir(c->path, 0700), 0);
		else
			write_text(c->path, SECRET, c->uid);
		assert_int_equal(chown(c->path, c->uid, c->uid), 0);
		assert_int_equal(chmod(c->path, c->mode & 07777), 0);
	}
	CLEANUP_FD int big = open("outside/big/file", O_WRONLY | O_CLOEXEC);
	assert_int_equal(fallocate(big, 0, 0, BIG_BYTES), 0);
	/* where nothing protects hard links */
	assert_int_equal(link("outside/root/secret", "projects/race/own/1/s/" SITE), 0);
	for (size_t i = 0; i < CANARIES; i++)
		assert_int_equal(lstat(canaries[i].path, &canaries[i].was), 0);
}

static bool is_as_it_was(const struct canary *c)
{
	struct stat st;
	return lstat(c->path, &st) == 0 && st.st_ino == c->was.st_ino &&
	       st.st_uid == c->was.st_uid && st.st_gid == c->was.st_gid &&
	       st.st_mode == c->was.st_mode &&
	       (!S_ISDIR(c->mode) || c->lively || st.st_nlink == c->was.st_nlink);
}

/* The first of so many that is not what it was. */
static const char *changed_of(size_t count)
{
	static char what[160];
	for (size_t i = 0; i < count; i++) {
		struct stat st = {0};
		if (is_as_it_was(&canaries[i]))
			continue;
		(void)lstat(canaries[i].path, &st);
		(void)snprintf(what, sizeof(what), "%s: user %u, group %u, mode %o, %lu names",
		    canaries[i].path, st.st_uid, st.st_gid, st.st_mode, (unsigned long)st.st_nlink);
		return what;
	}
	return NULL;
}

static const char *changed(void)
{
	return changed_of(CANARIES_OUTSIDE);
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
	CLEANUP_FD int site =
	    openat(at, "s/" SITE, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0644);
	MAY_FAIL(write(site, SITE_TEXT, strlen(SITE_TEXT)));
	MAY_FAIL(symlinkat("../../../../../outside/root/secret", at, "s/to_secret"));
	MAY_FAIL(symlinkat("../../../../outside/big", at, "to_big"));
	(void)mkfifoat(at, "fifo", 0600);
	MAY_FAIL(symlinkat("../../../../outside/root/secret", at, "to_file"));
	MAY_FAIL(symlinkat("../../../../outside/other", at, "to_folder"));
	for (unsigned i = 0; i < 20; i++) {
		swap(at, "file", "to_file");
		swap(at, "s", turn & 1 ? "to_folder" : "s2");
		swap(at, "s/page", "to_file");
		swap(at, "s/" SITE, "s/to_secret");
		swap(at, "s", "to_big");
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
	if (turn & 2)
		swap(at, "s/" SITE, "secret2");
	(void)snprintf(here, sizeof(here), "/proc/self/fd/%d/m", at);
	if (mount(turn & 1 ? "outside/own" : "outside/other", here, NULL, MS_BIND, NULL) == 0) {
		for (unsigned i = 0; i < 10; i++)
			sched_yield();
		(void)umount2(here, MNT_DETACH);
	}
	(void)unlinkat(at, "secret2", 0);
	(void)unlinkat(at, "file2", 0);
}

/* Two names change places, for a while. */
static void exchange(int at, const char *a, const char *b, unsigned turn)
{
	swap(at, a, b);
	for (unsigned i = 0; i < 1 + turn % 8; i++)
		sched_yield();
	swap(at, a, b);
}

/* One name is gone for a while, and perhaps made anew meanwhile. */
static void take_away(int at, const char *name)
{
	if (renameat(at, name, at, "away") != 0)
		return;
	sched_yield();
	if (renameat2(at, "away", at, name, RENAME_NOREPLACE) == 0)
		return;
	swap(at, name, "away");
	(void)unlinkat(at, "away", AT_REMOVEDIR);
}

/* The daemon, whose folder it is: puts other things in the place of what is root's and the tenant's. */
static void daemon_once(unsigned turn)
{
	static const char *const pairs[][2] = {{"releases", "public"}, {"releases", "data"},
	    {"releases", "own"}, {"releases", "to_other"}, {"public", "data"}, {"public", "own"},
	    {"public", "to_own"}, {"data", "own"}, {"data", "to_own"}, {"data", "to_root"},
	    {"cache", "to_own"}, {"cache", "own"}, {"cache", "tmp"}, {"tmp", "to_own"},
	    {"tmp", "own"}, {"mirror", "to_big"}, {"mirror", "own"}};
	static const char *const names[] = {"releases", "public", "data", "cache", "mirror", "tmp"};
	static const char *const in_run[] = {".notify", "to_other", "to_root"};
	CLEANUP_FD int at = open("projects/race", O_PATH | O_DIRECTORY | O_CLOEXEC);
	CLEANUP_FD int run = open("run", O_PATH | O_DIRECTORY | O_CLOEXEC);
	for (int i = 0; i < 2; i++) {
		int in = i ? run : at;
		MAY_FAIL(symlinkat(i ? "../outside/other" : "../../outside/other", in, "to_other"));
		MAY_FAIL(symlinkat(i ? "../outside/root" : "../../outside/root", in, "to_root"));
	}
	MAY_FAIL(symlinkat("../../outside/own", at, "to_own"));
	MAY_FAIL(symlinkat("../../outside/big", at, "to_big"));
	const char *const *pair = pairs[turn % (sizeof(pairs) / sizeof(*pairs))];
	exchange(at, pair[0], pair[1], turn);
	exchange(run, "race", in_run[turn % 3], turn);
	take_away(at, names[turn % 6]);
}

/* In a folder of the tenant's: one name leads elsewhere. */
static void lead_elsewhere(const char *folder, const char *name)
{
	CLEANUP_FD int at = open(folder, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	MAY_FAIL(symlinkat("../../../outside/own", at, "elsewhere"));
	swap(at, name, "elsewhere");
}

static void attack_once(uid_t uid, unsigned turn)
{
	if (uid == DAEMON) {
		daemon_once(turn);
		return;
	}
	CLEANUP_FD int at = openat(releases, "1", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (at < 0)
		return;
	if (uid == 0)
		root_once(at, turn);
	else
		tenant_once(at, turn);
	lead_elsewhere("projects/race/data", "media");
	lead_elsewhere("projects/race/cache", "kept");
	lead_elsewhere("projects/race/tmp", "job");
}

static _Noreturn void attack(uid_t uid)
{
	const gid_t web = WEB;
	const atomic_bool *may = uid == 0	 ? &gate->root
				 : uid == DAEMON ? &gate->daemon
						 : &gate->tenants;
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (uid != 0 && (setgroups(uid == DAEMON, &web) != 0 || setresgid(uid, uid, uid) != 0 ||
			    setresuid(uid, uid, uid) != 0))
		_exit(1);
	for (unsigned turn = 0;; turn++) {
		atomic_fetch_add(&gate->inside, 1);
		if (*may)
			attack_once(uid, turn);
		atomic_fetch_sub(&gate->inside, 1);
		sched_yield();
	}
}

/* Root, the daemon, and then tenants. */
static void begin_attacks(int count)
{
	static const uid_t uids[ATTACKERS] = {0, DAEMON, TENANT, TENANT};
	for (int i = 0; i < count; i++) {
		attackers[i] = fork();
		assert_true(attackers[i] >= 0);
		if (attackers[i] == 0)
			attack(uids[i]);
	}
}

/* Nobody is in the tree any more. */
static void hold(void)
{
	gate->tenants = gate->root = gate->daemon = false;
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
	int all CLEANUP_FD = open("projects/race/releases", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(fs_remove_tree(all, "1", &e), 0);
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
	snprintf(edge_dir, sizeof(edge_dir), "%s/edge", dir);
	if (mkdir("projects", 0755) != 0 || mkdir("run", 0755) != 0 || mkdir("state", 0700) != 0 ||
	    chown("run", DAEMON, DAEMON) != 0 || fs_mkdirs("edge/certs/sites", 0755, &e) != 0 ||
	    fs_mkdirs("edge/staged", 0755, &e) != 0 || fs_mkdirs("edge/sites", 0755, &e) != 0)
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
	    .edge = edge_dir,
	    .daemon_uid = DAEMON,
	    .daemon_gid = DAEMON,
	    .root = true,
	    .uid_base = UID_BASE,
	    .web_gid = WEB,
	    .users = &registry};
	gate = mmap(NULL, sizeof(*gate), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	uint64_t number;
	if (gate == MAP_FAILED || tenant_ensure(&roots, STR("race"), 0, &number, &e) != 0)
		return -1;
	releases = open("projects/race/releases", O_PATH | O_DIRECTORY | O_CLOEXEC);
	make_canaries();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	end_attacks();
	if (geteuid() != 0)
		return 0;
	fs_close_fd(&registry.fd);
	fs_close_fd(&releases);
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

enum op { ENSURE, PREPARE, START, LOOK, SEAL, STAGE, DROP, REMOVE_TMP, REMOVE, OPS };

static const struct disk_place place = {&roots, "race", TENANT - UID_BASE, 1, true, "job"};

static int status_of(pid_t pid)
{
	int status = -1;
	assert_true(pid < 0 || waitpid(pid, &status, 0) == pid);
	return status;
}

/* A process with its temporary folder, as the helper begins one. */
static bool starts(void)
{
	static const char *const argv[] = {"true", NULL};
	CLEANUP_FD int top = open("projects/race", O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	CLEANUP_FD int tmp = fs_open_beneath(top, "tmp", O_PATH | O_DIRECTORY | O_NOFOLLOW, 0);
	struct launch_spec s = {.path = "/bin/true",
	    .argv = argv,
	    .drop = true,
	    .uid = TENANT,
	    .gid = TENANT,
	    .fds = {-1, -1, -1, -1, -1, -1, -1},
	    .tmp_parent = tmp,
	    .tmp_name = "job",
	    .private_tmp = true};
	return tmp >= 0 && status_of(launch_spawn(&s, &e)) == 0;
}

/* Folder s of the release holds one site. */
static int stage(uint64_t *ret_changes)
{
	static struct {
		struct render_sites head;
		struct render_site_file file;
	} sites = {
	    {.version = RENDER_SITES_VERSION, .file_count = 1, .folder = "s", .snippets = "s"},
	    {.name = SITE, .bytes = sizeof(SITE_TEXT) - 1}};
	CLEANUP_FD int fd = fs_memfd("sites", &sites, sizeof(sites), &e);
	return sites_stage(&roots, STR("race"), 1, fd, ret_changes, &e);
}

/* What nginx would read; STR_NONE when there is none. */
static struct str staged(void)
{
	static char text[16];
	CLEANUP_FD int fd = open("edge/staged/race/enabled/" SITE, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text));
	return n < 0 ? STR_NONE : (struct str){text, (size_t)n};
}

/* One operation of each kind, while the tenant races with it, in every fourth turn root or the daemon as well. */
static void race_once(unsigned turn, unsigned ok[OPS])
{
	uint64_t value;
	gate->tenants = true;
	gate->root = turn % 4 == 0;
	gate->daemon = turn % 4 == 2;
	ok[ENSURE] += tenant_ensure(&roots, STR("race"), 0, &value, &e) == 0;
	ok[PREPARE] += tenant_prepare(&roots, STR("race"), 1, &e) == 0;
	/* the racers need a moment in it, sometimes more, sometimes less */
	for (unsigned i = 0; i < turn % 64; i++)
		sched_yield();
	ok[START] += starts();
	int looked = status_of(disk_look(&place, LOOK_BYTES));
	assert_false(disk_is_over(looked)); /* only what is outside is that large */
	ok[LOOK] += looked == 0;
	ok[SEAL] += seal_release(&roots, STR("race"), 1, list, &e) == 0;
	ok[STAGE] += stage(&value) == 0;
	ok[DROP] += status_of(disk_drop_cache(&place)) == 0;
	ok[REMOVE_TMP] += status_of(disk_remove_tmp(&place)) == 0;
	ok[REMOVE] += tenant_release_remove(&roots, STR("race"), 1, &e) == 0;
}

static void write_site(void)
{
	assert_int_equal(mkdir("projects/race/releases/1/s", 0755), 0);
	assert_int_equal(chown("projects/race/releases/1/s", TENANT, TENANT), 0);
	write_text("projects/race/releases/1/s/" SITE, SITE_TEXT, TENANT);
}

static void nothing_outside_changes(void **state)
{
	(void)state;
	if (geteuid() != 0)
		skip();
	unsigned turns = tries() / OPS, ok[OPS] = {0};
	uint64_t changes;
	begin_attacks(ATTACKERS);
	for (unsigned turn = 0; turn < turns; turn++) {
		race_once(turn, ok);
		hold();
		const char *what = changed_of(CANARIES);
		if (what)
			fail_msg("after %u turns %s", turn, what);
		assert_false(str_eq_c(staged(), SECRET));
		sweep();
	}
	print_message("%u operations; of %u each %u ensured, %u prepared, %u started, %u looked "
		      "at, %u sealed, %u "
		      "staged, %u caches and %u tmp emptied, %u removed; nothing outside changed\n",
	    OPS * turns, turns, ok[ENSURE], ok[PREPARE], ok[START], ok[LOOK], ok[SEAL], ok[STAGE],
	    ok[DROP], ok[REMOVE_TMP], ok[REMOVE]);
	assert_true(ok[ENSURE] > turns / 2 && ok[PREPARE] > turns / 2 && ok[START] > turns / 4 &&
		    ok[LOOK] > turns / 2 && ok[SEAL] > turns / 100 && ok[DROP] > turns / 2 &&
		    ok[REMOVE] > turns / 4);
	/* and afterwards all is well, and the whole project goes, whoever races with its going */
	assert_int_equal(tenant_prepare(&roots, STR("race"), 1, &e), 0);
	write_site();
	assert_int_equal(stage(&changes), -1);
	assert_int_equal(seal_release(&roots, STR("race"), 1, STR(""), &e), 0);
	assert_int_equal(stage(&changes), 0);
	assert_true(str_eq_c(staged(), SITE_TEXT));
	end_attacks();
	gate->inside = 0;
	begin_attacks(2); /* the tenant's own processes would be ended first */
	gate->root = gate->daemon = true;
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

/* Root's file in a release that is not sealed yet, or whose sealing was refused, is not for the web server to read. */
static void what_is_not_sealed_is_not_read(void **state)
{
	(void)state;
	if (geteuid() != 0)
		skip();
	static const char site[] = "projects/race/releases/1/s/" SITE;
	uint64_t changes;
	assert_int_equal(tenant_prepare(&roots, STR("race"), 1, &e), 0);
	write_site();
	assert_int_equal(unlink(site), 0);
	assert_int_equal(link("outside/root/secret", site), 0);
	assert_int_equal(stage(&changes), -1);
	assert_int_equal(seal_release(&roots, STR("race"), 1, STR(""), &e), -1);
	assert_int_equal(stage(&changes), -1);
	assert_null(staged().p);
	/* in the place of `releases`, one of the daemon's own making */
	assert_int_equal(rename("projects/race/releases", "projects/race/away"), 0);
	assert_int_equal(rename("projects/race/own", "projects/race/releases"), 0);
	assert_int_equal(stage(&changes), -1);
	assert_null(staged().p);
}

/* The daemon's best throws, without a race: what is root's under the name of what is given away or worked in. */
static void another_name_makes_nothing_another_ones(void **state)
{
	(void)state;
	if (geteuid() != 0)
		skip();
	uint64_t number;
	assert_int_equal(tenant_ensure(&roots, STR("race"), 0, &number, &e), 0);
	assert_int_equal(rename("projects/race/data", "projects/race/away"), 0);
	assert_int_equal(rename("projects/race/releases", "projects/race/data"), 0);
	assert_int_equal(tenant_ensure(&roots, STR("race"), 0, &number, &e), -1);
	assert_int_equal(rmdir("projects/race/releases"), 0); /* made before that was seen */
	assert_int_equal(rename("projects/race/data", "projects/race/releases"), 0);
	assert_int_equal(rename("projects/race/away", "projects/race/data"), 0);
	assert_null(changed_of(CANARIES));
	assert_int_equal(rename("projects/race/releases", "projects/race/away"), 0);
	assert_int_equal(rename("projects/race/public", "projects/race/releases"), 0);
	assert_int_equal(tenant_prepare(&roots, STR("race"), 1, &e), -1);
	assert_int_equal(rename("projects/race/releases", "projects/race/public"), 0);
	assert_int_equal(rename("projects/race/away", "projects/race/releases"), 0);
	assert_null(changed_of(CANARIES));
	assert_int_equal(rename("run/race", "run/away"), 0);
	assert_int_equal(rename("run/.notify", "run/race"), 0);
	assert_int_equal(tenant_ensure(&roots, STR("race"), 0, &number, &e), -1);
	assert_int_equal(rename("run/race", "run/.notify"), 0);
	assert_int_equal(rename("run/away", "run/race"), 0);
	assert_null(changed_of(CANARIES));
	assert_int_equal(tenant_ensure(&roots, STR("race"), 0, &number, &e), 0);
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
	    cmocka_unit_test_setup_teardown(what_is_not_sealed_is_not_read, setup, teardown),
	    cmocka_unit_test_setup_teardown(
		another_name_makes_nothing_another_ones, setup, teardown),
	    cmocka_unit_test_setup_teardown(the_naive_one_loses, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
