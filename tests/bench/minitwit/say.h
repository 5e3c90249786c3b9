/* Who is called how and says what: all of it follows from numbers, so that nothing said has to be
 * kept. Pure, but for the run's own tag in names. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SAY_NAME_SIZE 64
#define SAY_TEXT_SIZE 512

struct say {
	uint32_t person, nth,
	    number; /* who, their how manieth, and of all messages the how manieth */
};

void say_begin(uint64_t seed);
/* A name with a blank and sometimes letters beyond ASCII. Bytes, without the NUL. */
size_t say_name(uint32_t person, char out[SAY_NAME_SIZE]);
/* "#TAG.PERSON.NTH.NUMBER words …" in UTF-8, with all that JSON and HTML have to escape. */
size_t say_text(struct say s, char out[SAY_TEXT_SIZE]);
/* The numbers at the front of a text of this run; false for any other text. */
bool say_read(const char *p, size_t n, struct say *ret);
