/* rooms: base launch */
/* Kinds of devices: which paths are nodes of one, and which of those that are there count. */
#include "base/fs.h"
#include "launch/nodes.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cmocka.h>

static void kinds_have_names(void **state)
{
	(void)state;
	enum device d;
	struct err e;
	for (unsigned i = 0; i < DEVICE_COUNT; i++) {
		assert_int_equal(device_parse(str_c(device_name((enum device)i)), &d, &e), 0);
		assert_int_equal(d, i);
	}
	static const char *const none[] = {"", "GPU", "gpu ", "gpu\n", "all", "/dev/nvidia0"};
	for (size_t i = 0; i < sizeof(none) / sizeof(*none); i++)
		assert_int_equal(device_parse(str_c(none[i]), &d, &e), -1);
}

static void nodes_are_a_closed_list(void **state)
{
	(void)state;
	static const char *const are[] = {"/dev/nvidia0", "/dev/nvidia15", "/dev/nvidiactl",
	    "/dev/nvidia-uvm", "/dev/nvidia-uvm-tools", "/dev/kfd", "/dev/dri/renderD128",
	    "/dev/nvidia-caps/nvidia-cap2"};
	static const char *const none[] = {"", "/dev", "/dev/", "nvidia0", "/dev/nvidia",
	    "/dev/nvidia-modeset", "/dev/nvidia0a", "/dev/nvidia12345", "/dev/nvidia0/x",
	    "/dev/nvidia-uvm2", "/dev/dri/card0", "/dev/dri/renderD", "/dev/renderD128",
	    "/dev/dri/../mem", "/dev/mem", "/dev/kfd0", "/dev/dri/renderD128 rw", "/dev/nvidia0\n",
	    "//dev/nvidia0", "/dev//nvidia0", "/devnvidia0"};
	for (size_t i = 0; i < sizeof(are) / sizeof(*are); i++) {
		assert_true(device_has_node(1u << DEVICE_GPU, are[i]));
		assert_false(device_has_node(0, are[i]));
	}
	for (size_t i = 0; i < sizeof(none) / sizeof(*none); i++)
		if (device_has_node(DEVICE_ALL, none[i]))
			fail_msg("'%s' is a node", none[i]);
}

static void only_what_is_roots_device_counts(void **state)
{
	(void)state;
	char top[] = "/tmp/slipway-dev-XXXXXX";
	struct device_node found[DEVICE_NODES_MAX];
	if (!mkdtemp(top))
		fail_msg("no folder");
	CLEANUP_FD int dir = open(top, O_PATH | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(mkdirat(dir, "dri", 0755), 0);
	assert_int_equal(symlinkat("nvidia0", dir, "nvidia1"), 0);
	assert_int_equal(symlinkat("/etc", dir, "nvidia-caps"), 0);
	CLEANUP_FD int file = openat(dir, "nvidia2", O_CREAT | O_WRONLY | O_CLOEXEC, 0666);
	assert_true(file >= 0);
	assert_int_equal(nodes_find(top, DEVICE_ALL, found), 0);
	if (mknodat(dir, "nvidia0", S_IFCHR, makedev(1, 3)) != 0) {
		assert_int_not_equal(
		    geteuid(), 0); /* who may make none has seen what does not count */
	} else {
		assert_int_equal(fchmodat(dir, "nvidia0", 0660, 0), 0);
		assert_int_equal(fchownat(dir, "nvidia0", 0, 44, 0), 0);
		assert_int_equal(mknodat(dir, "dri/renderD128", S_IFCHR, makedev(1, 3)), 0);
		assert_int_equal(fchmodat(dir, "dri/renderD128", 0666, 0), 0);
		assert_int_equal(mknodat(dir, "kfd", S_IFCHR | 0666, makedev(1, 3)), 0);
		assert_int_equal(fchownat(dir, "kfd", 1000, 0, 0), 0);
		assert_int_equal(mknodat(dir, "nvidia3", S_IFBLK | 0666, makedev(7, 0)), 0);
		assert_int_equal(mknodat(dir, "mem", S_IFCHR | 0666, makedev(1, 1)), 0);
		assert_int_equal(nodes_find(top, DEVICE_ALL, found), 2);
		assert_string_equal(found[0].path, "/dev/dri/renderD128");
		assert_int_equal(found[0].group, 0); /* open to everybody */
		assert_string_equal(found[1].path, "/dev/nvidia0");
		assert_int_equal(found[1].group, 44);
		assert_int_equal(nodes_find(top, 0, found), 0);
	}
	/* no more than there is room for */
	for (int i = 100; i < 100 + 2 * (int)DEVICE_NODES_MAX; i++) {
		char name[32];
		(void)snprintf(name, sizeof(name), "nvidia%d", i);
		(void)!mknodat(dir, name, S_IFCHR | 0666, makedev(1, 3));
	}
	assert_true(nodes_find(top, DEVICE_ALL, found) <= DEVICE_NODES_MAX);
	assert_int_equal(nodes_find("/nonexistent", DEVICE_ALL, found), 0);
	CLEANUP_FD int tmp = open("/tmp", O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct err e;
	assert_int_equal(fs_remove_tree(tmp, top + strlen("/tmp/"), &e), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(kinds_have_names),
	    cmocka_unit_test(nodes_are_a_closed_list),
	    cmocka_unit_test(only_what_is_roots_device_counts),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
