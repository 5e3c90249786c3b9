/* rooms: base launch */
/* Where an instance listens, and how a second one takes its place: launch/rundir.h. */
#include "launch/rundir.h"
#include "base/fs.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

static char dir[] = "/tmp/test_rundir.XXXXXX";
static struct rundir_place place;

static int setup(void **state)
{
	char path[64];
	(void)state;
	memcpy(dir + sizeof(dir) - 7, "XXXXXX", 6);
	if (!mkdtemp(dir))
		return -1;
	place = (struct rundir_place){dir, STR("shop"), 3, STR("web"), 2};
	snprintf(path, sizeof(path), "%s/shop", dir);
	if (mkdir(path, 0700) != 0)
		return -1;
	snprintf(path, sizeof(path), "%s/shop/3", dir);
	return mkdir(path, 0700);
}

static int teardown(void **state)
{
	struct err e;
	(void)state;
	CLEANUP_FD int tmp = open("/tmp", O_PATH | O_DIRECTORY | O_CLOEXEC);
	return fs_remove_tree(tmp, dir + 5, &e);
}

static const char *path_of(enum rundir_socket which)
{
	static char path[RUNDIR_SOCKET_COUNT][128];
	assert_true(rundir_socket_path(&place, which, path[which], sizeof(path[which])));
	return path[which];
}

static int listens(enum rundir_socket which)
{
	struct err e;
	int fd = rundir_listen(&place, which, &e);
	if (fd < 0)
		fail_msg("%s", e.msg);
	return fd;
}

/* Whoever connects there reaches this listener. */
static bool reaches(enum rundir_socket which, int listener)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	CLEANUP_FD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	snprintf(a.sun_path, sizeof(a.sun_path), "%s", path_of(which));
	if (connect(fd, (struct sockaddr *)&a, sizeof(a)) != 0)
		return false;
	CLEANUP_FD int taken = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	return taken >= 0;
}

static void each_name_is_of_its_own(void **state)
{
	(void)state;
	assert_non_null(strstr(path_of(RUNDIR_SERVES), "/shop/3/web.2.sock"));
	assert_non_null(strstr(path_of(RUNDIR_BESIDE), "/shop/3/.web.2.sock"));
	assert_non_null(strstr(path_of(RUNDIR_BEFORE), "/shop/3/.web.2.old.sock"));
	char small[8];
	assert_false(rundir_socket_path(&place, RUNDIR_SERVES, small, sizeof(small)));
}

static void a_second_one_takes_the_place(void **state)
{
	struct err e;
	(void)state;
	CLEANUP_FD int first = listens(RUNDIR_SERVES);
	CLEANUP_FD int second = listens(RUNDIR_BESIDE);
	(void)fcntl(first, F_SETFL, O_NONBLOCK);
	(void)fcntl(second, F_SETFL, O_NONBLOCK);
	assert_true(reaches(RUNDIR_SERVES, first) && reaches(RUNDIR_BESIDE, second));
	assert_false(rundir_place_was_taken(&place));
	assert_int_equal(rundir_take_place(&place, &e), 0);
	assert_true(rundir_place_was_taken(&place));
	assert_true(reaches(RUNDIR_SERVES, second) && reaches(RUNDIR_BEFORE, first));
	assert_int_not_equal(access(path_of(RUNDIR_BESIDE), F_OK), 0);
	struct stat st;
	assert_int_equal(stat(path_of(RUNDIR_SERVES), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0660);
	rundir_forget_others(&place);
	assert_false(rundir_place_was_taken(&place));
	assert_true(reaches(RUNDIR_SERVES, second));
	assert_int_not_equal(access(path_of(RUNDIR_BEFORE), F_OK), 0);
}

static void cut_off_before_the_rename_nothing_was_taken(void **state)
{
	struct err e;
	(void)state;
	CLEANUP_FD int first = listens(RUNDIR_SERVES);
	(void)fcntl(first, F_SETFL, O_NONBLOCK);
	/* nobody beside: the link is made, the rename fails */
	assert_int_equal(rundir_take_place(&place, &e), -1);
	assert_int_equal(access(path_of(RUNDIR_BEFORE), F_OK), 0);
	assert_false(rundir_place_was_taken(&place));
	assert_true(reaches(RUNDIR_SERVES, first));
	/* and it can be tried again */
	CLEANUP_FD int second = listens(RUNDIR_BESIDE);
	(void)fcntl(second, F_SETFL, O_NONBLOCK);
	assert_int_equal(rundir_take_place(&place, &e), 0);
	assert_true(reaches(RUNDIR_SERVES, second) && reaches(RUNDIR_BEFORE, first));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(each_name_is_of_its_own, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_second_one_takes_the_place, setup, teardown),
	    cmocka_unit_test_setup_teardown(
		cut_off_before_the_rename_nothing_was_taken, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
