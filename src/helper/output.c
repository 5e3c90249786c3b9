#include "helper/output.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define PIPE_BYTES_ROOT (1 << 20)
#define PIPE_BYTES_USER (256 << 10) /* the kernel bounds all pipes of one user at 64 MiB */

int output_open(const struct tenant_roots *roots, struct instance *in, struct err *e)
{
	int ends[2];
	if (pipe2(ends, O_CLOEXEC) != 0)
		return err_sys(e, ERR_UNAVAILABLE, errno, "could not make the output pipe");
	in->out_read = ends[0];
	in->out_write = ends[1];
	(void)fcntl(ends[0], F_SETFL, O_NONBLOCK);
	(void)fcntl(ends[0], F_SETPIPE_SZ, roots->root ? PIPE_BYTES_ROOT : PIPE_BYTES_USER);
	if (roots->root && fchown(ends[1], tenant_uid(roots, in->user_number),
			       tenant_gid(roots, in->user_number)) != 0)
		return err_sys(e, ERR_UNAVAILABLE, errno, "could not give the output pipe away");
	return 0;
}

void output_drop_old(struct instance *in)
{
	int waiting = 0, size = fcntl(in->out_read, F_GETPIPE_SZ);
	if (in->out_read < 0 || size <= 0 || ioctl(in->out_read, FIONREAD, &waiting) != 0)
		return;
	if (waiting < size - size / 4)
		return;
	char gone[16384];
	for (int left = waiting / 2; left > 0;) {
		ssize_t n = read(
		    in->out_read, gone, left < (int)sizeof(gone) ? (size_t)left : sizeof(gone));
		if (n <= 0)
			break;
		left -= (int)n;
		in->st.lost_output_bytes += (uint64_t)n;
	}
}
