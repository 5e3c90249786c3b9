/* Randomness from the kernel through base/io.h. */
#pragma once

#include <stddef.h>
#include <stdint.h>

void rand_bytes(void *p, size_t n);
uint64_t rand_below(uint64_t bound); /* unbiased, bound >= 1 */
#define RAND_TOKEN_SIZE 44
void rand_token(char out[RAND_TOKEN_SIZE]); /* 256 bits as 43 base64url characters and a NUL */
