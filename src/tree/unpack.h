/* An archive (tar, plain or compressed, or zip) from a descriptor into a folder. Names are kept below the folder, also
 * through links that the archive itself makes; links out of it, devices and entries named .git are refused; owners, times
 * and special modes are not taken over. */
#pragma once

#include "base/err.h"

#include <stdint.h>

int unpack_archive(int fd, int into, uint64_t files_max, uint64_t bytes_max, struct err *e) WARN_UNUSED;
