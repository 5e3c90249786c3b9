/* rooms: base text helper */
/* The registry of user numbers: found again, never given out twice, also among ten thousand. */
#include "base/fs.h"
#include "helper/users.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

static char dir[64];
static struct users u;
static struct err e;

static int setup(void **state)
{
	(void)state;
	snprintf(dir, sizeof(dir), "/tmp/slipway-users-XXXXXX");
	return mkdtemp(dir) && users_open(&u, dir, &e) == 0 ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	fs_close_fd(&u.fd);
	int tmp CLEANUP_FD = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fs_remove_tree(tmp, dir + 5, &e);
}

static uint32_t add(const char *project)
{
	struct users_record r;
	assert_int_equal(users_add(&u, str_c(project), &r, &e), 0);
	r.state = USERS_ACTIVE;
	assert_int_equal(users_put(&u, &r, &e), 0);
	return r.number;
}

static uint32_t find(const char *project)
{
	struct users_record r;
	int rc = users_find(&u, str_c(project), &r, &e);
	assert_in_range(rc, 0, 1);
	return rc == 0 ? 0 : r.number;
}

static void a_number_never_comes_back(void **state)
{
	(void)state;
	assert_int_equal(find("a"), 0);
	assert_int_equal(add("a"), 1);
	assert_int_equal(add("b"), 2);
	for (int again = 0; again < 2; again++) {
		assert_int_equal(find("a"), 1);
		assert_int_equal(find("b"), 2);
	}
	struct users_record r = {.number = 1, .state = USERS_RETIRED, .project = "a"};
	assert_int_equal(users_put(&u, &r, &e), 0);
	assert_int_equal(find("a"), 0);
	assert_int_equal(add("a"), 3);
	assert_int_equal(find("a"), 3);
}

static void damage(off_t at, const char *bytes, size_t n)
{
	assert_int_equal(pwrite(u.fd, bytes, n, at), (ssize_t)n);
}

/* Only a torn last record may be passed over; one that stands there in full was in use, and its
 * number is nobody else's. */
static void what_is_damaged_is_said(void **state)
{
	(void)state;
	char name[16];
	for (int i = 1; i <= 200; i++) {
		snprintf(name, sizeof(name), "p%d", i);
		assert_int_equal(add(name), i);
	}
	damage(200 * 96, "torn", 4);
	assert_int_equal(find("p200"), 200);
	assert_int_equal(find("absent"), 0);
	assert_int_equal(add("next"), 201);
	struct users_record r;
	damage(99 * 96 + 16, "other", 5);
	assert_int_equal(users_find(&u, STR("p100"), &r, &e), -1);
	assert_true(str_contains(str_c(e.msg), STR("record 100")));
	assert_int_equal(users_find(&u, STR("p201"), &r, &e), -1);
	assert_int_equal(find("p99"), 99);
	assert_int_equal(users_add(&u, STR("more"), &r, &e), -1);
	damage(200 * 96 + 40, "x", 1); /* the last, whole but wrong: as a torn one */
	damage(99 * 96 + 16, "p100\0", 5);
	assert_int_equal(find("next"), 0);
	assert_int_equal(add("late"), 202);
	assert_int_equal(find("late"), 202);
	assert_int_equal(find("next"), 0);
	assert_int_equal(add("next"), 203);
}

static void all_are_found_among_ten_thousand(void **state)
{
	(void)state;
	char name[16];
	struct users_record r = {.state = USERS_ACTIVE};
	for (uint32_t i = 1; i <= 10000; i++) {
		r.number = i;
		snprintf(r.project, sizeof(r.project), "many%u", i);
		assert_int_equal(users_put(&u, &r, &e), 0);
	}
	for (int again = 0; again < 2; again++)
		for (uint32_t i = 1; i <= 10000; i += 97) {
			snprintf(name, sizeof(name), "many%u", i);
			assert_int_equal(find(name), i);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(a_number_never_comes_back, setup, teardown),
	    cmocka_unit_test_setup_teardown(what_is_damaged_is_said, setup, teardown),
	    cmocka_unit_test_setup_teardown(all_are_found_among_ten_thousand, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
