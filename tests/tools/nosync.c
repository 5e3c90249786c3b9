/* LD_PRELOAD: syncing is answered with success and not done. The planted fault of the power cuts: what a program acknowledged behind
 * such a sync must be missed. */
#include <unistd.h>

int fsync(int fd)
{
	(void)fd;
	return 0;
}

int fdatasync(int fd)
{
	(void)fd;
	return 0;
}
