/* Runs a fuzz target over its committed corpus, without a fuzzer: what every test run does with
 * whatever compiler and sanitizer it was built. Each file is given whole and, while it is small,
 * cut off after each of its bytes. With arguments: those files or folders instead. */
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define CUT_MAX 2048u
#define FILE_MAX (32u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned files, inputs;

static void fail(const char *path)
{
	fprintf(stderr, "%s: %s\n", path, strerror(errno));
	exit(1);
}

/* A copy of exactly n bytes, so that a sanitizer sees the first byte behind it. */
static void give(const uint8_t *data, size_t n)
{
	uint8_t *copy = malloc(n > 0 ? n : 1);
	if (copy == NULL)
		abort();
	memcpy(copy, data, n);
	(void)LLVMFuzzerTestOneInput(copy, n);
	free(copy);
	inputs++;
}

static void replay_file(const char *path, size_t size)
{
	uint8_t *data = malloc(size + 1);
	FILE *f = fopen(path, "rbe");
	if (data == NULL || f == NULL || fread(data, 1, size + 1, f) != size)
		fail(path);
	(void)fclose(f);
	give(data, size);
	for (size_t n = 0; size <= CUT_MAX && n < size; n++)
		give(data, n);
	free(data);
	files++;
}

static void replay(const char *path)
{
	struct stat st;
	if (stat(path, &st) != 0)
		fail(path);
	if (S_ISREG(st.st_mode) && st.st_size <= FILE_MAX)
		replay_file(path, (size_t)st.st_size);
	if (!S_ISDIR(st.st_mode))
		return;
	struct dirent **names = NULL;
	int count = scandir(path, &names, NULL, alphasort);
	if (count < 0)
		fail(path);
	for (int i = 0; i < count; i++) {
		char below[4096];
		int n = snprintf(below, sizeof below, "%s/%s", path, names[i]->d_name);
		if (names[i]->d_name[0] != '.' && n > 0 && (size_t)n < sizeof below)
			replay(below);
		free(names[i]);
	}
	free((void *)names);
}

int main(int argc, char **argv)
{
	static const char corpus[] = TEST_DATA "/fuzz/corpus/" FUZZ_NAME;
	for (int i = 1; i < argc; i++)
		replay(argv[i]);
	if (argc < 2)
		replay(corpus);
	if (files == 0) {
		fprintf(stderr, "%s: the corpus is empty\n", corpus);
		return 1;
	}
	printf("[       OK ] fuzz_%s: %u files, %u inputs\n", FUZZ_NAME, files, inputs);
	return 0;
}
