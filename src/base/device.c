#include "base/device.h"
#include "base/log.h"

#include <string.h>

#define DEV "/dev/"
#define DIGITS_MAX 4u

static const char *const names[DEVICE_COUNT] = {[DEVICE_GPU] = "gpu"};
static const char *const folders[] = {"", "nvidia-caps", "dri"};
static const struct pattern {
	enum device device;
	const char *name; /* below /dev */
	bool numbered;	  /* digits follow */
} patterns[] = {
    {DEVICE_GPU, "nvidia", true},
    {DEVICE_GPU, "nvidiactl", false},
    {DEVICE_GPU, "nvidia-uvm", false},
    {DEVICE_GPU, "nvidia-uvm-tools", false},
    {DEVICE_GPU, "nvidia-caps/nvidia-cap", true},
    {DEVICE_GPU, "dri/renderD", true},
    {DEVICE_GPU, "kfd", false},
};

const char *device_name(enum device d)
{
	return names[d];
}

int device_parse(struct str s, enum device *ret, struct err *e)
{
	char shown[80];
	for (unsigned d = 0; d < DEVICE_COUNT; d++)
		if (str_eq_c(s, names[d])) {
			*ret = (enum device)d;
			return 0;
		}
	log_escape(s, shown, sizeof(shown));
	(void)err_set(e, ERR_INVALID, "there is no kind of device '%s'", shown);
	return err_hint(e, "there is gpu");
}

const char *device_folder(size_t i)
{
	return i < sizeof(folders) / sizeof(*folders) ? folders[i] : NULL;
}

static bool fits(const struct pattern *p, const char *name)
{
	size_t n = strlen(p->name);
	if (strncmp(name, p->name, n) != 0)
		return false;
	size_t digits = strspn(name + n, "0123456789");
	return name[n + digits] == '\0' &&
	       (p->numbered ? digits > 0 && digits <= DIGITS_MAX : digits == 0);
}

bool device_has_node(uint32_t devices, const char *path)
{
	if (strncmp(path, DEV, sizeof(DEV) - 1) != 0)
		return false;
	for (size_t i = 0; i < sizeof(patterns) / sizeof(*patterns); i++)
		if ((devices & 1u << patterns[i].device) != 0 &&
		    fits(&patterns[i], path + sizeof(DEV) - 1))
			return true;
	return false;
}
