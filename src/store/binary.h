/* What PostgreSQL says, read: numbers in its binary form, and the five letters of an error. Pure.
 */
#pragma once

#include "base/err.h"

#include <stdint.h>

/* Big-endian, two's complement, n bytes, 1..8. */
int64_t binary_i64(const char *p, int n);
/* The whole part of a numeric, which sum() of numbers is: digit count, weight, sign, scale, then
 * digits to the base of 10,000 (numeric_send). Beyond 64 bits: the nearest; malformed: 0. */
int64_t binary_numeric(const char *p, int n);
/* What an SQLSTATE (PostgreSQL's appendix A) means to a caller of the store. */
enum err_code binary_class(const char *state);
