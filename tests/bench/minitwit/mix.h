/* Which request comes next, and how it is written: three phases, each a mix_fn. */
#pragma once

#include "load.h"

/* 1: `r` is to be sent; 0: nothing at this moment; -1: the phase is over. */
typedef int mix_fn(struct request *r);
/* Registers the first persons. */
mix_fn mix_setup;
/* The simulator's mix, of 10,000: 3,000 messages, 1,500 changes of whom one follows, 2,400
 * timelines of one person, 1,950 of everybody, 1,000 lists of whom one follows, 100 times `latest`,
 * 50 that must be refused; registrations as the options say, in place of as many of the rest. */
mix_fn mix_simulator;
/* Everything that everybody said, and whom they follow: nothing may be missing in the end. */
mix_fn mix_audit;
void mix_start(void); /* the clock of the simulator's phase begins */
uint64_t mix_begun(void);
