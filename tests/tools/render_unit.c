/* render-unit DIR: units on standard input, each as "key\0value\0" pairs and one more NUL; writes those that are
 * accepted into DIR under their own names and prints a line for each: "+ FILE INSTANCE" (a slice has no
 * instance) or "- " and the refusal. For the test that has systemd itself read them. */
#include "render/unit.h"

#include "base/num.h"

#include "fields.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define INPUT_MAX (8u << 20)

static struct render_unit u;
static char paths[3][512];

static int take(struct str key, struct str value)
{
	static const char *const roots[] = {"projects", "exec", "supply"};
	const struct {
		const char *key;
		uint32_t *at;
	} numbers[] = {{"cpu", &u.cpu_milli}, {"tasks", &u.tasks}, {"files", &u.files},
	    {"share", &u.cpu_share}, {"stop", &u.stop_timeout_s}};
	for (size_t i = 0; i < sizeof(roots) / sizeof(*roots); i++)
		if (str_eq_c(key, roots[i]))
			return str_copy(value, paths[i], sizeof(paths[i])) ? 0 : -1;
	for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++)
		if (str_eq_c(key, numbers[i].key)) {
			*numbers[i].at = (uint32_t)number(value);
			return 0;
		}
	if (str_eq_c(key, "project"))
		fill(u.project, sizeof(u.project), value);
	else if (str_eq_c(key, "process"))
		fill(u.process, sizeof(u.process), value);
	else if (str_eq_c(key, "user"))
		fill(u.user, sizeof(u.user), value);
	else if (str_eq_c(key, "kind"))
		u.kind = (enum render_unit_kind)number(value);
	else if (str_eq_c(key, "memory"))
		u.memory_bytes = number(value);
	else if (str_eq_c(key, "disk"))
		u.disk_bytes = number(value);
	else if (str_eq_c(key, "port"))
		u.port = (uint16_t)number(value);
	else if (str_eq_c(key, "cpu_first"))
		u.cpu_first = (uint16_t)number(value);
	else if (str_eq_c(key, "cpu_last"))
		u.cpu_last = (uint16_t)number(value);
	else
		return -1;
	return 0;
}

/* The pairs of one unit: how many bytes they take, or 0 at the end or when they are none. */
static size_t take_unit(const char *p, size_t n)
{
	size_t at = 0;
	memset(&u, 0, sizeof(u));
	memset(paths, 0, sizeof(paths));
	while (at < n && p[at]) {
		const char *key = p + at, *end = memchr(key, '\0', n - at);
		const char *value = end ? end + 1 : NULL;
		const char *last = value ? memchr(value, '\0', n - (size_t)(value - p)) : NULL;
		if (!last || take(str_c(key), (struct str){value, (size_t)(last - value)}) != 0)
			return 0;
		at = (size_t)(last - p) + 1;
	}
	return at < n ? at + 1 : 0;
}

static int write_unit(int dir)
{
	const struct render_unit_roots roots = {paths[0], paths[1], paths[2]};
	char text[RENDER_UNIT_TEXT_MAX], name[RENDER_UNIT_NAME_SIZE],
	    instance[RENDER_UNIT_NAME_SIZE] = "";
	struct err e = {0};
	long n = render_unit(&u, &roots, text, sizeof(text), &e);
	if (n < 0 || render_unit_name(&u, name, &e) != 0 ||
	    (u.kind != RENDER_UNIT_SLICE &&
		render_unit_instance(&u, 7, 1, 0xa1, instance, &e) != 0)) {
		(void)printf("- %s\n", e.msg);
		return 0;
	}
	int fd = openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	bool ok = fd >= 0 && write(fd, text, (size_t)n) == n;
	(void)close(fd);
	(void)printf("+ %s %s\n", name, instance);
	return ok ? 0 : -1;
}

int main(int argc, char **argv)
{
	char *in = malloc(INPUT_MAX);
	int dir = argc == 2 ? open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	size_t n = in ? fread(in, 1, INPUT_MAX, stdin) : 0, at = 0;
	int code = dir < 0 ? 64 : 0;
	for (size_t used; code == 0 && at < n; at += used) {
		used = take_unit(in + at, n - at);
		code = used == 0 || write_unit(dir) != 0 ? 65 : 0;
	}
	free(in);
	return code;
}
