/* rooms: base loop text priv render launch http crypto run edge */
/* The switch: what the links name before, during and after. The vhost calls are tested with the
 * keeper. */
#include "edge/edge.h"

#include "base/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char top[24], projects[48], run_dir[48];
static struct edge *edge;

static int up(void **state)
{
	(void)state;
	struct err e;
	char path[128];
	memcpy(top, "/tmp/swe-XXXXXX", sizeof("/tmp/swe-XXXXXX"));
	assert_non_null(mkdtemp(top));
	(void)snprintf(projects, sizeof(projects), "%s/projects", top);
	(void)snprintf(run_dir, sizeof(run_dir), "%s/run", top);
	(void)snprintf(path, sizeof(path), "%s/shop", projects);
	assert_int_equal(fs_mkdirs(path, 0755, &e), 0);
	for (unsigned n = 1; n <= 3; n++) {
		(void)snprintf(path, sizeof(path), "%s/shop/%u", run_dir, n);
		assert_int_equal(fs_mkdirs(path, 0755, &e), 0);
		(void)snprintf(path, sizeof(path), "%s/shop/%u/only-%u", run_dir, n, n);
		CLEANUP_FD int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
		assert_true(fd >= 0);
	}
	edge = edge_new(&(struct edge_options){.projects_dir = projects, .run_dir = run_dir});
	return 0;
}

static int down(void **state)
{
	(void)state;
	struct err e;
	edge_free(edge);
	CLEANUP_FD int tmp = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fs_remove_tree(tmp, top + strlen("/tmp/"), &e);
}

static bool reaches(const char *link, const char *file)
{
	char path[128];
	(void)snprintf(path, sizeof(path), "%s/shop/%s/%s", projects, link, file);
	return access(path, F_OK) == 0;
}

static void assert_live(uint32_t release)
{
	struct err e;
	uint32_t got = 0;
	assert_int_equal(edge_live(edge, STR("shop"), &got, &e), 1);
	assert_int_equal(got, release);
}

static void test_switch(void **state)
{
	(void)state;
	struct err e;
	uint32_t got = 7;
	assert_int_equal(edge_live(edge, STR("shop"), &got, &e), 0);
	assert_int_equal(edge_switch(edge, STR("shop"), 1, 0, &e), 0);
	assert_live(1);
	assert_false(reaches("previous", "."));
	assert_int_equal(edge_switch(edge, STR("shop"), 2, 1, &e), 0);
	assert_live(2);
	assert_true(reaches("live", "only-2") && reaches("previous", "only-1"));
	assert_int_equal(edge_switch(edge, STR("shop"), 2, 1, &e), 0); /* a repeat */
	assert_live(2);
	assert_int_equal(edge_switch(edge, STR("shop"), 1, 2, &e), 0); /* back: one exchange */
	assert_live(1);
	assert_true(reaches("previous", "only-2"));
	assert_int_equal(edge_switch(edge, STR("shop"), 3, 1, &e), 0);
	assert_live(3);
	assert_true(reaches("previous", "only-1"));
}

static void test_refusals(void **state)
{
	(void)state;
	struct err e;
	uint32_t got;
	assert_int_equal(edge_switch(edge, STR("shop"), 0, 0, &e), -1);
	assert_int_equal(edge_switch(edge, STR("shop"), 2, 2, &e), -1);
	assert_int_equal(edge_switch(edge, STR("../shop"), 1, 0, &e), -1);
	assert_int_equal(edge_switch(edge, STR("absent"), 1, 0, &e), -1);
	assert_int_equal(edge_live(edge, STR("absent"), &got, &e), -1);
	char path[128];
	(void)snprintf(path, sizeof(path), "%s/shop", projects);
	CLEANUP_FD int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(fs_link_swap(dir, "live", "/etc", &e), 0);
	assert_int_equal(edge_live(edge, STR("shop"), &got, &e), -1);
	assert_int_equal(edge_switch(edge, STR("shop"), 1, 0, &e), 0);
	assert_live(1);
}

static _Atomic bool stop;
static _Atomic unsigned looks, misses, begun;

/* The edge's own order of looking: live, previous, live again. */
static void *look(void *file)
{
	while (!stop) {
		unsigned before = begun;
		bool missed =
		    !reaches("live", file) && !reaches("previous", file) && !reaches("live", file);
		/* one switch at most, the one under way, may fall into a look: in life they are
		 * seconds apart */
		if (begun != before)
			continue;
		looks++;
		misses += missed;
	}
	return NULL;
}

static void test_nothing_is_missed(void **state)
{
	(void)state;
	struct err e;
	pthread_t thread;
	char file[] = "only-1";
	assert_int_equal(edge_switch(edge, STR("shop"), 2, 1, &e), 0);
	assert_int_equal(pthread_create(&thread, NULL, look, file), 0);
	for (unsigned i = 0; i < 500; i++) {
		begun++;
		assert_int_equal(edge_switch(edge, STR("shop"), 1, 2, &e), 0);
		begun++;
		assert_int_equal(edge_switch(edge, STR("shop"), 3, 1, &e), 0);
		begun++;
		assert_int_equal(edge_switch(edge, STR("shop"), 1, 3, &e), 0);
		begun++;
		assert_int_equal(edge_switch(edge, STR("shop"), 2, 1, &e), 0);
		usleep(500);
	}
	stop = true;
	(void)pthread_join(thread, NULL);
	assert_true(looks > 1000);
	assert_int_equal(misses, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_switch, up, down),
	    cmocka_unit_test_setup_teardown(test_refusals, up, down),
	    cmocka_unit_test_setup_teardown(test_nothing_is_missed, up, down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
