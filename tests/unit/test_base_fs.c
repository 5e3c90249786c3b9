/* rooms: base */
/* Files: durable writes, links that must not be followed, trees that must go. */
#include "base/fs.h"
#include "base/io.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "lost_calls.h"

static char top_path[64];
static int top = -1;
static struct err e;

static int setup(void **state)
{
	(void)state;
	snprintf(top_path, sizeof(top_path), "/tmp/slipway-fs-XXXXXX");
	if (!mkdtemp(top_path))
		return -1;
	top = open(top_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return top < 0 ? -1 : 0;
}

static int teardown(void **state)
{
	(void)state;
	fs_close_fd(&top);
	int tmp = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int rc = fs_remove_tree(tmp, top_path + 5, &e);
	fs_close_fd(&tmp);
	return rc;
}

static int count_entries(void)
{
	int n = 0, fd = openat(top, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fdopendir(fd);
	while (readdir(d))
		n++;
	closedir(d);
	return n - 2;
}

static void put(const char *name, const char *text)
{
	assert_int_equal(fs_write_atomic(top, name, text, strlen(text), 0644, &e), 0);
}

static void assert_holds(const char *name, const char *text)
{
	struct buf b CLEANUP_BUF;
	buf_init(&b, 1000);
	assert_int_equal(fs_read(top, name, &b, &e), 0);
	assert_true(str_eq_c(buf_view(&b), text));
}

static void writes_atomically(void **state)
{
	(void)state;
	struct stat st;
	mode_t before = umask(077);
	assert_int_equal(fs_write_atomic(top, "f", "one", 3, 0644, &e), 0);
	umask(before);
	assert_int_equal(fstatat(top, "f", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0644);
	assert_int_equal(fs_write_atomic(top, "f", "two", 3, 0600, &e), 0);
	assert_holds("f", "two");
	assert_int_equal(fs_write_atomic(top, "empty", NULL, 0, 0600, &e), 0);
	assert_holds("empty", "");
	assert_int_equal(count_entries(), 2);
	/* a link with that name is replaced, not followed */
	assert_int_equal(symlinkat("f", top, "link"), 0);
	put("link", "new");
	assert_holds("f", "two");
	assert_holds("link", "new");
	static const char *const bad[] = {"", ".", "..", "a/b", "/tmp/x", "../x"};
	for (size_t i = 0; i < 6; i++) {
		assert_int_equal(fs_write_atomic(top, bad[i], "x", 1, 0600, &e), -1);
		assert_int_equal(e.code, ERR_INVALID);
	}
}

/* The k-th call to the world fails: the old file or the new one is there, never another, and no
 * litter. */
static int fail_at, calls;

static int failing(void)
{
	errno = ENOSPC;
	return ++calls == fail_at;
}

static int bad_openat(int dir, const char *name, int flags, mode_t mode)
{
	return failing() ? -1 : io_real.openat(dir, name, flags, mode);
}

static ssize_t bad_write(int fd, const void *p, size_t n)
{
	/* short writes as well: one byte at a time */
	return failing() ? -1 : io_real.write(fd, p, n ? 1 : 0);
}

static int bad_fsync(int fd)
{
	return failing() ? -1 : io_real.fsync(fd);
}

static int bad_rename(int from_dir, const char *from, int to_dir, const char *to)
{
	return failing() ? -1 : io_real.renameat(from_dir, from, to_dir, to);
}

static void survives_every_failure(void **state)
{
	(void)state;
	struct io io = io_real;
	io.openat = bad_openat;
	io.write = bad_write;
	io.fsync = bad_fsync;
	io.renameat = bad_rename;
	int rc = -1;
	for (fail_at = 1; rc != 0 && fail_at < 50; fail_at++) {
		put("f", "old");
		calls = 0;
		io_set(&io);
		rc = fs_write_atomic(top, "f", "new", 3, 0644, &e);
		io_set(NULL);
		struct buf b CLEANUP_BUF;
		buf_init(&b, 100);
		assert_int_equal(fs_read(top, "f", &b, NULL), 0);
		bool is_old = str_eq_c(buf_view(&b), "old");
		assert_true(is_old || str_eq_c(buf_view(&b), "new"));
		assert_false(rc == 0 && is_old);
		assert_int_equal(count_entries(), 1);
		if (rc != 0)
			assert_int_equal(e.code, ERR_NO_SPACE);
	}
	/* open, 3 writes, fsync, rename, open and fsync of the directory: then nothing is left to
	 * fail */
	assert_int_equal(fail_at - 1, 9);
}

static void reads_with_a_limit(void **state)
{
	(void)state;
	struct buf b CLEANUP_BUF;
	put("five", "12345");
	buf_init(&b, 5);
	assert_int_equal(fs_read(top, "five", &b, &e), 0);
	assert_int_equal(b.n, 5);
	buf_fini(&b);
	buf_init(&b, 4);
	assert_int_equal(fs_read(top, "five", &b, &e), -1);
	assert_int_equal(e.code, ERR_TOO_LARGE);
	buf_fini(&b);
	assert_int_equal(fs_read(top, "absent", &b, &e), -1);
	assert_int_equal(e.code, ERR_NOT_FOUND);
	assert_int_equal(symlinkat("five", top, "link"), 0);
	assert_int_equal(fs_read(top, "link", &b, &e), -1);
	assert_int_equal(e.sys, ELOOP);
	assert_int_equal(mkfifoat(top, "fifo", 0600), 0);
	assert_int_equal(fs_read(top, "fifo", &b, &e), -1);
	assert_int_equal(e.code, ERR_INVALID);
	assert_int_equal(fs_read(top, ".", &b, &e), -1);
	/* says it has 0 bytes and has more */
	buf_init(&b, 100000);
	assert_int_equal(fs_read(AT_FDCWD, "/proc/self/status", &b, &e), 0);
	assert_true(b.n > 100);
	buf_fini(&b);
	buf_init(&b, 100);
	assert_int_equal(fs_read(AT_FDCWD, "/proc/self/status", &b, &e), -1);
	assert_int_equal(e.code, ERR_TOO_LARGE);
	buf_fini(&b);
	/* longer than one step */
	static char big[200000];
	memset(big, 'x', sizeof(big));
	assert_int_equal(fs_write_atomic(top, "big", big, sizeof(big), 0600, &e), 0);
	buf_init(&b, sizeof(big));
	assert_int_equal(fs_read(top, "big", &b, &e), 0);
	assert_memory_equal(b.p, big, sizeof(big));
}

static void makes_directories(void **state)
{
	(void)state;
	struct stat st;
	mode_t before = umask(077);
	int fd = fs_dir(top, "d", 0750, &e);
	umask(before);
	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0750);
	assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	fs_close_fd(&fd);
	assert_int_equal(fd, -1);
	fs_close_fd(&fd);
	fd = fs_dir(top, "d", 0700, &e);
	assert_true(fd >= 0);
	fs_close_fd(&fd);
	assert_int_equal(symlinkat("d", top, "link"), 0);
	assert_int_equal(fs_dir(top, "link", 0700, &e), -1);
	put("file", "x");
	assert_int_equal(fs_dir(top, "file", 0700, &e), -1);
	assert_int_equal(fs_dir(top, "no/such", 0700, &e), -1);

	char path[200];
	snprintf(path, sizeof(path), "%s/a//./b/c/", top_path);
	assert_int_equal(fs_mkdirs(path, 0755, &e), 0);
	assert_int_equal(fs_mkdirs(path, 0755, &e), 0);
	assert_int_equal(fstatat(top, "a/b/c", &st, 0), 0);
	snprintf(path, sizeof(path), "%s/file/x", top_path);
	assert_int_equal(fs_mkdirs(path, 0755, &e), -1);
	assert_int_equal(fs_mkdirs("", 0755, &e), -1);
	assert_int_equal(fs_mkdirs("/", 0755, &e), 0);
}

static void opens_beneath_only(void **state)
{
	(void)state;
	assert_int_equal(mkdirat(top, "d", 0755), 0);
	assert_int_equal(mkdirat(top, "d/in", 0755), 0);
	put("secret", "x");
	int d = openat(top, "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(symlinkat("../secret", d, "up"), 0);
	assert_int_equal(symlinkat("/etc/passwd", d, "abs"), 0);
	assert_int_equal(symlinkat("in", d, "inner"), 0);
	assert_int_equal(symlinkat("/proc/self/fd", d, "magic"), 0);
	int fd = fs_open_beneath(d, "in/new", O_RDWR | O_CREAT | O_EXCL, 0640);
	assert_true(fd >= 0);
	assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	fs_close_fd(&fd);
	fd = fs_open_beneath(d, "in/new", O_RDONLY, 0640);
	assert_true(fd >= 0);
	fs_close_fd(&fd);
	static const struct {
		const char *path;
		int sys;
	} bad[] = {{"up", ELOOP}, {"abs", ELOOP}, {"inner/new", ELOOP}, {"magic/0", ELOOP},
	    {"../secret", EXDEV}, {"in/../../secret", EXDEV}, {"/etc/passwd", EXDEV},
	    {"absent", ENOENT}, {"", ENOENT}};
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		errno = 0;
		assert_int_equal(fs_open_beneath(d, bad[i].path, O_RDONLY, 0), -1);
		assert_int_equal(errno, bad[i].sys);
	}
	fs_close_fd(&d);
}

static void swaps_links(void **state)
{
	(void)state;
	char to[64] = "";
	assert_int_equal(fs_link_swap(top, "live", "/run/1", &e), 0);
	assert_int_equal(fs_link_swap(top, "live", "/run/22", &e), 0);
	assert_int_equal(readlinkat(top, "live", to, sizeof(to) - 1), 7);
	assert_string_equal(to, "/run/22");
	assert_int_equal(count_entries(), 1);
	assert_int_equal(mkdirat(top, "dir", 0755), 0);
	assert_int_equal(fs_link_swap(top, "dir", "x", &e), -1);
	assert_int_equal(count_entries(), 2);
	assert_int_equal(fs_link_swap(top, "a/b", "x", &e), -1);
	assert_int_equal(fs_link_swap(top, "x", "", &e), -1);
}

static void removes_without_following(void **state)
{
	(void)state;
	assert_int_equal(mkdirat(top, "outside", 0755), 0);
	put("keep", "kept");
	assert_int_equal(mkdirat(top, "tree", 0755), 0);
	int tree = openat(top, "tree", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(symlinkat("../outside", tree, "to-dir"), 0);
	assert_int_equal(symlinkat("../keep", tree, "to-file"), 0);
	assert_int_equal(symlinkat(top_path, tree, "to-top"), 0);
	assert_int_equal(mkfifoat(tree, "fifo", 0), 0);
	assert_int_equal(mkdirat(tree, "closed", 0755), 0);
	for (int i = 0; i < 300; i++) {
		char name[32];
		snprintf(name, sizeof(name), "closed/f%d", i);
		int fd = openat(tree, name, O_CREAT | O_WRONLY | O_CLOEXEC, 0);
		fs_close_fd(&fd);
	}
	assert_int_equal(fchmodat(tree, "closed", 0, 0), 0);
	fs_close_fd(&tree);
	assert_int_equal(fs_remove_tree(top, "tree", &e), 0);
	assert_int_equal(faccessat(top, "tree", F_OK, 0), -1);
	assert_int_equal(faccessat(top, "outside", F_OK, 0), 0);
	assert_holds("keep", "kept");
	assert_int_equal(fs_remove_tree(top, "tree", &e), 0); /* absent */
	assert_int_equal(symlinkat("outside", top, "link"), 0);
	assert_int_equal(fs_remove_tree(top, "link", &e), 0);
	assert_int_equal(faccessat(top, "outside", F_OK, 0), 0);
	assert_int_equal(fs_remove_tree(top, "keep", &e), 0);
	static const char *const bad[] = {"", ".", "..", "outside/.", "/tmp", "a/../outside"};
	for (size_t i = 0; i < 6; i++)
		assert_int_equal(fs_remove_tree(top, bad[i], &e), -1);
	assert_int_equal(count_entries(), 1);
}

/* tree/d/d/… with `depth` folders below tree */
static void make_deep(int depth)
{
	int at = fs_dir(top, "tree", 0755, &e);
	for (int i = 0; i < depth; i++) {
		int next = fs_dir(at, "d", 0755, &e);
		fs_close_fd(&at);
		at = next;
	}
	assert_true(at >= 0);
	fs_close_fd(&at);
}

static void removes_what_is_very_deep(void **state)
{
	(void)state;
	static const int depths[] = {63, 64, 65, 5000};
	for (size_t i = 0; i < sizeof(depths) / sizeof(*depths); i++) {
		make_deep(depths[i]);
		assert_int_equal(fs_remove_tree(top, "tree", &e), 0);
		assert_int_equal(faccessat(top, "tree", F_OK, 0), -1);
	}
	assert_int_equal(count_entries(), 0);
}

/* For this process and all that it starts, as RestrictSUIDSGID= of systemd does it. */
static bool lose_openat2(void)
{
	return lose_calls((const uint32_t[]){SYS_openat2}, 1, ENOSYS);
}

/* What a tree with a link in it, one whose folder is a link, and one with a mount in it come to; bits of
 * what went wrong. */
static int remove_without_openat2(bool mounted)
{
	int wrong = 0;
	if (!lose_openat2() || fs_open_beneath(top, "outside", O_PATH, 0) >= 0 || errno != ENOSYS)
		return 64;
	if (fs_remove_tree(top, "tree", &e) != 0 || faccessat(top, "tree", F_OK, 0) == 0)
		wrong |= 1;
	if (fs_remove_tree(top, "link", &e) != 0 || faccessat(top, "outside/kept", F_OK, 0) != 0)
		wrong |= 2;
	if (mounted && (fs_remove_tree(top, "with", &e) == 0 || e.code != ERR_CONFLICT ||
			   faccessat(top, "outside/kept", F_OK, 0) != 0))
		wrong |= 4;
	return wrong;
}

/* A folder of the same file system, mounted below: only the mount tells. Root alone may. */
static bool mount_within(void)
{
	char from[100], to[100];
	snprintf(from, sizeof(from), "%s/outside", top_path);
	snprintf(to, sizeof(to), "%s/with/mounted", top_path);
	return geteuid() == 0 && unshare(CLONE_NEWNS) == 0 &&
	       mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
	       mount(from, to, NULL, MS_BIND, NULL) == 0;
}

static void removes_without_openat2(void **state)
{
	(void)state;
	char path[100];
	static const char *const dirs[] = {
	    "tree", "tree/a", "tree/a/b", "outside", "with", "with/mounted"};
	for (size_t i = 0; i < sizeof(dirs) / sizeof(*dirs); i++)
		assert_int_equal(mkdirat(top, dirs[i], 0755), 0);
	assert_int_equal(symlinkat("../../outside", top, "tree/a/out"), 0);
	assert_int_equal(symlinkat("outside", top, "link"), 0);
	snprintf(path, sizeof(path), "%s/outside/kept", top_path);
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	assert_true(fd >= 0);
	fs_close_fd(&fd);
	pid_t pid = fork();
	if (pid == 0) {
		/* the descriptor of before the namespace leads around what is mounted in it */
		bool mounted = mount_within();
		top = open(top_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		_exit(remove_without_openat2(mounted));
	}
	int status = -1;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void memory_files_are_sealed(void **state)
{
	(void)state;
	char text[8] = "";
	int fd = fs_memfd("argv", "a\0b", 4, &e);
	assert_true(fd >= 0);
	assert_int_equal(read(fd, text, sizeof(text)), 4);
	assert_memory_equal(text, "a\0b", 4);
	assert_int_equal(pwrite(fd, "x", 1, 0), -1);
	assert_int_equal(ftruncate(fd, 0), -1);
	assert_int_equal(ftruncate(fd, 100), -1);
	assert_int_equal(
	    fcntl(fd, F_GET_SEALS), F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE);
	assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	fs_close_fd(&fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(writes_atomically, setup, teardown),
	    cmocka_unit_test_setup_teardown(survives_every_failure, setup, teardown),
	    cmocka_unit_test_setup_teardown(reads_with_a_limit, setup, teardown),
	    cmocka_unit_test_setup_teardown(makes_directories, setup, teardown),
	    cmocka_unit_test_setup_teardown(opens_beneath_only, setup, teardown),
	    cmocka_unit_test_setup_teardown(swaps_links, setup, teardown),
	    cmocka_unit_test_setup_teardown(removes_without_following, setup, teardown),
	    cmocka_unit_test_setup_teardown(removes_what_is_very_deep, setup, teardown),
	    cmocka_unit_test_setup_teardown(removes_without_openat2, setup, teardown),
	    cmocka_unit_test(memory_files_are_sealed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
