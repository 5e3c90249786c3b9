/* CRC-32C (Castagnoli; RFC 3720 appendix B.4), with the processor's instruction where it has one.
 */
#pragma once

#include "base/str.h"

/* Over s, going on from an earlier value: crc32c(crc32c(0, a), b) is that of a followed by b. */
uint32_t crc32c(uint32_t before, struct str s);
/* The same without the processor's instruction; for tests. */
uint32_t crc32c_plain(uint32_t before, struct str s);
