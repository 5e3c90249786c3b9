#include "base/thread.h"

#include <errno.h>
#include <linux/sched.h>
#include <linux/sched/types.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

void thread_turns(uint64_t turn_us)
{
	errno = 0;
	int nice = getpriority(PRIO_PROCESS, 0);
	struct sched_attr a = {.size = sizeof(a),
	    .sched_policy = SCHED_NORMAL,
	    .sched_nice = nice,
	    .sched_runtime = turn_us * 1000};
	if (errno == 0)
		(void)syscall(SYS_sched_setattr, 0, &a, 0u);
}
