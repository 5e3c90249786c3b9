/* rooms: base priv crypto helper */
/* What is kept of a start for the next boot: it comes back as it was, under its own name and key alone; whatever was changed, cut, renamed or
 * is of another key does not, byte by byte. */
#include "base/fs.h"
#include "helper/saved.h"

#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#define NAME "shop.3.web.1.0"
#define SECRET "WORD=one that nobody reads"

static char state[64];
static int folder = -1;

static int setup(void **unused)
{
	(void)unused;
	struct err e;
	(void)snprintf(state, sizeof(state), "/tmp/slipway-saved-XXXXXX");
	assert_non_null(mkdtemp(state));
	assert_false(saved_is_open());
	struct saved_start s;
	int lists[SAVED_LISTS];
	assert_int_equal(saved_get(NAME, &s, lists, &e), -1); /* before it is open nothing is done */
	if (saved_open(state, &e) != 0)
		fail_msg("%s", e.msg);
	char path[96];
	(void)snprintf(path, sizeof(path), "%s/boot", state);
	folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return folder < 0;
}

static int teardown(void **unused)
{
	(void)unused;
	struct err e;
	close(folder);
	return chdir("/tmp") != 0 || fs_remove_tree(AT_FDCWD, strrchr(state, '/') + 1, &e) != 0;
}

/* Its padding, too: the bytes are compared. */
static void shop(struct saved_start *s)
{
	memset(s, 0, sizeof(*s));
	s->user_number = 7;
	(void)strcpy(s->project, "shop");
	s->spec.release = 3;
	s->spec.instance = 1;
	s->spec.class = PRIV_SERVICE;
	s->spec.port = 20001;
	(void)strcpy(s->spec.process, "web");
	(void)strcpy(s->spec.subdir, "a/b");
	s->spec.stop_timeout_ms = 5;
}

static void put(void)
{
	struct err e;
	struct saved_start s;
	shop(&s);
	int lists[SAVED_LISTS] = {fs_memfd("argv", "a\0b", 4, &e), fs_memfd("env", SECRET, sizeof(SECRET), &e), -1};
	if (saved_put(&s, lists, &e) != 0)
		fail_msg("%s", e.msg);
	for (size_t i = 0; i < SAVED_LISTS; i++)
		fs_close_fd(&lists[i]);
}

static size_t read_all(int fd, char *to, size_t size)
{
	ssize_t n = pread(fd, to, size, 0);
	return n < 0 ? 0 : (size_t)n;
}

/* 0 it came back, else the code of the error. */
static int get(const char *name)
{
	struct saved_start s, want;
	shop(&want);
	struct err e;
	int lists[SAVED_LISTS];
	char text[64];
	if (saved_get(name, &s, lists, &e) != 0) {
		for (size_t i = 0; i < SAVED_LISTS; i++)
			assert_int_equal(lists[i], -1);
		return (int)e.code;
	}
	assert_string_equal(s.project, "shop");
	assert_int_equal(s.user_number, 7);
	assert_memory_equal(&s.spec, &want.spec, sizeof(s.spec));
	assert_int_equal(read_all(lists[0], text, sizeof(text)), 4);
	assert_memory_equal(text, "a\0b", 4);
	assert_int_equal(read_all(lists[1], text, sizeof(text)), sizeof(SECRET));
	assert_string_equal(text, SECRET);
	assert_int_equal(lists[2], -1);
	for (size_t i = 0; i < SAVED_LISTS; i++)
		fs_close_fd(&lists[i]);
	return 0;
}

static size_t file(char *to, size_t size)
{
	CLEANUP_FD int fd = openat(folder, NAME, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? 0 : read_all(fd, to, size);
}

static void write_file(const char *name, const char *p, size_t n)
{
	CLEANUP_FD int fd = openat(folder, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_int_equal(write(fd, p, n), (ssize_t)n);
}

static void it_comes_back(void **unused)
{
	(void)unused;
	char text[4096];
	put();
	put(); /* the next one takes its place */
	assert_int_equal(get(NAME), 0);
	size_t n = file(text, sizeof(text));
	assert_true(n > sizeof(struct saved_start));
	assert_null(memmem(text, n, "nobody", 6));
	struct stat st;
	assert_int_equal(fstatat(folder, NAME, &st, 0), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	struct saved_start s;
	shop(&s);
	saved_drop("shop", &s.spec);
	assert_int_equal(get(NAME), ERR_NOT_FOUND);
	saved_drop("shop", &s.spec);
}

static void what_was_changed_does_not(void **unused)
{
	(void)unused;
	char text[4096];
	put();
	size_t n = file(text, sizeof(text));
	for (size_t i = 0; i < n; i++) {
		text[i] ^= 1;
		write_file(NAME, text, n);
		assert_int_not_equal(get(NAME), 0);
		text[i] ^= 1;
	}
	for (size_t cut = 0; cut < n; cut++) {
		write_file(NAME, text, cut);
		assert_int_not_equal(get(NAME), 0);
	}
	write_file(NAME, text, n);
	assert_int_equal(get(NAME), 0);
	write_file("cafe.3.web.1.0", text, n);
	assert_int_equal(get("cafe.3.web.1.0"), ERR_INVALID);
	text[n] = 'x';
	write_file(NAME, text, n + 1);
	assert_int_equal(get(NAME), ERR_INVALID);
	assert_int_equal(symlinkat("/etc/passwd", folder, "link"), 0);
	assert_int_equal(get("link"), ERR_IO);
}

/* A child that opens the store under a new key. */
static void another_key_opens_nothing(void **unused)
{
	(void)unused;
	put();
	pid_t pid = fork();
	if (pid == 0) {
		char path[96];
		struct err e;
		(void)snprintf(path, sizeof(path), "%s/boot.key", state);
		if (unlink(path) != 0 || saved_open(state, &e) != 0)
			_exit(2);
		_exit(get(NAME) == ERR_INVALID ? 0 : 1);
	}
	int status;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(get(NAME), 0);
}

static void one_too_long_is_not_saved(void **unused)
{
	(void)unused;
	static char many[2u << 20];
	struct err e;
	struct saved_start s;
	shop(&s);
	put();
	int lists[SAVED_LISTS] = {fs_memfd("argv", many, sizeof(many), &e), -1, -1};
	assert_int_equal(saved_put(&s, lists, &e), -1);
	assert_int_equal(e.code, ERR_TOO_LARGE);
	fs_close_fd(&lists[0]);
	assert_int_equal(get(NAME), ERR_NOT_FOUND); /* not that of before either */
}

static void all_are_listed(void **unused)
{
	(void)unused;
	put();
	struct dir d;
	size_t seen = 0;
	saved_list(&d);
	for (const struct dirent64 *entry; (entry = dir_next(&d));)
		seen += strcmp(entry->d_name, NAME) == 0;
	dir_close(&d);
	assert_int_equal(seen, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(it_comes_back),
	    cmocka_unit_test(what_was_changed_does_not),
	    cmocka_unit_test(another_key_opens_nothing),
	    cmocka_unit_test(one_too_long_is_not_saved),
	    cmocka_unit_test(all_are_listed),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
