#include "base/shared.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

bool shared_load(
    const char *file, const char *const *names, size_t n, void *functions, char *why, size_t size)
{
	void *lib = dlopen(file, RTLD_NOW | RTLD_LOCAL);
	bool found = lib != NULL;
	for (size_t i = 0; i < n && found; i++) {
		void *f = dlsym(lib, names[i]);
		/* POSIX has both pointers alike; ISO C does not let one be made of the other. */
		memcpy((char *)functions + i * sizeof(f), &f, sizeof(f));
		found = f != NULL;
	}
	const char *reason = found ? NULL : dlerror();
	if (!found)
		(void)snprintf(why, size, "%s", reason ? reason : "a function is missing");
	return found;
}
