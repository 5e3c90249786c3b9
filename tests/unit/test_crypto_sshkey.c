/* rooms: base crypto */
/* Deploy keys: read back by OpenSSH's own ssh-keygen where it is installed. */
#include "base/fs.h"
#include "base/hex.h"
#include "crypto/sshkey.h"

#include <fcntl.h>
#include <setjmp.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

static struct err e;

/* Standard output of `ssh-keygen -y -f path`; -1 when there is no such program. */
static int keygen(char *path, char out[1024])
{
	static char program[] = "ssh-keygen", y[] = "-y", f[] = "-f";
	char *const argv[] = {program, y, f, path, NULL};
	posix_spawn_file_actions_t actions;
	int ends[2], status;
	pid_t pid;
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
	int rc = posix_spawnp(&pid, program, &actions, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	close(ends[1]);
	ssize_t n = rc == 0 ? read(ends[0], out, 1023) : 0;
	close(ends[0]);
	if (rc != 0)
		return -1;
	out[n > 0 ? n : 0] = '\0';
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	return 0;
}

static void openssh_reads_it(void **state)
{
	(void)state;
	/* every padding from 0 to 7, and the longest */
	static const char *const comments[] = {
	    "a", "ab", "abc", "abcd", "abcde", "abcdef", "abcdefg", "slipway:shop"};
	char top_path[] = "/tmp/slipway-key-XXXXXX", path[64], out[1024];
	assert_non_null(mkdtemp(top_path));
	int top = open(top_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), missing = 0;
	for (size_t i = 0; i < sizeof(comments) / sizeof(*comments) && !missing; i++) {
		struct buf line CLEANUP_BUF, pem CLEANUP_BUF;
		buf_init(&line, 1000);
		buf_init(&pem, 4000);
		assert_int_equal(sshkey_make(str_c(comments[i]), &line, &pem, &e), 0);
		assert_int_equal(fs_write_atomic(top, "key", pem.p, pem.n, 0600, &e), 0);
		snprintf(path, sizeof(path), "%s/key", top_path);
		missing = keygen(path, out);
		if (!missing)
			assert_true(str_eq(str_trim(str_c(out)), buf_view(&line)));
	}
	fs_close_fd(&top);
	int tmp = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(fs_remove_tree(tmp, top_path + 5, &e), 0);
	fs_close_fd(&tmp);
	if (missing)
		skip();
}

static void has_the_documented_form(void **state)
{
	(void)state;
	struct buf line CLEANUP_BUF, pem CLEANUP_BUF, blob CLEANUP_BUF;
	buf_init(&line, 1000);
	buf_init(&pem, 4000);
	buf_init(&blob, 4000);
	assert_int_equal(sshkey_make(STR("c@h"), &line, &pem, &e), 0);
	struct str rest = buf_view(&line), kind = STR_NONE, key = STR_NONE, comment = STR_NONE;
	assert_true(str_next(&rest, ' ', &kind) && str_next(&rest, ' ', &key) &&
		    str_next(&rest, ' ', &comment));
	assert_true(str_eq_c(kind, "ssh-ed25519") && str_eq_c(comment, "c@h") && !rest.p);
	assert_true(base64_decode(key, &blob));
	assert_int_equal(blob.n, 4 + 11 + 4 + 32);
	assert_memory_equal(blob.p, "\0\0\0\x0bssh-ed25519\0\0\0\x20", 19);

	struct str text = buf_view(&pem), one;
	struct buf body CLEANUP_BUF;
	buf_init(&body, 4000);
	assert_true(str_ends(text, STR("-----END OPENSSH PRIVATE KEY-----\n")));
	assert_true(
	    str_next(&text, '\n', &one) && str_eq_c(one, "-----BEGIN OPENSSH PRIVATE KEY-----"));
	while (str_next(&text, '\n', &one) && one.p[0] != '-') {
		assert_in_range(one.n, 1, 70);
		buf_str(&body, one);
	}
	struct buf file CLEANUP_BUF;
	buf_init(&file, 4000);
	assert_true(base64_decode(buf_view(&body), &file));
	assert_true(str_starts(
	    buf_view(&file), STR("openssh-key-v1\0\0\0\0\x04none\0\0\0\x04none\0\0\0\0\0\0\0\1")));
	assert_true(str_contains(buf_view(&file), buf_view(&blob)));
	buf_wipe(&pem);
}

static void refuses_bad_comments_and_small_buffers(void **state)
{
	(void)state;
	static const struct str bad[] = {
	    STR(""), STR("a b"), STR("a\n"), STR("a\0"), STR("\xc3\xa4"), STR("\x7f"), STR("\t")};
	struct buf line CLEANUP_BUF, pem CLEANUP_BUF;
	buf_init(&line, 1000);
	buf_init(&pem, 4000);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		assert_int_equal(sshkey_make(bad[i], &line, &pem, &e), -1);
		assert_int_equal(e.code, ERR_INVALID);
	}
	char comment[256];
	memset(comment, 'x', sizeof(comment));
	assert_int_equal(sshkey_make((struct str){comment, 256}, &line, &pem, &e), -1);
	assert_int_equal(line.n + pem.n, 0);
	assert_int_equal(sshkey_make((struct str){comment, 255}, &line, &pem, &e), 0);
	buf_wipe(&pem);
	buf_init(&pem, 100);
	assert_int_equal(sshkey_make(STR("c"), &line, &pem, &e), -1);
	assert_int_equal(e.code, ERR_TOO_LARGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(openssh_reads_it),
	    cmocka_unit_test(has_the_documented_form),
	    cmocka_unit_test(refuses_bad_comments_and_small_buffers),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
