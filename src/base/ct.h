/* Constant time: how long it takes depends on the lengths only. */
#pragma once

#include "base/str.h"

bool ct_eq(struct str a, struct str b); /* lengths may leak; contents do not */
void ct_wipe(void *p, size_t n);	/* not optimised away */
