/* What the scheduler is told of a thread. */
#pragma once

#include <stdint.h>

/* Asks for short turns for the calling thread, so that it comes before others soon after it was
 * woken: for those that pass on what somebody waits for. From 100 us; 0: turns as long as
 * everybody's. Its nice value stays as it is. A wish: kernels before 6.12 do not know it, and a
 * filter of system calls may refuse it. */
void thread_turns(uint64_t turn_us);
