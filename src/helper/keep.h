/* What outlives this process on a server: descriptors that systemd keeps under a name while the helper is started anew, and hands
 * to the next one (sd_notify(3), FDSTORE=1; sd_listen_fds(3); FileDescriptorStoreMax= in the unit). A stop of the unit that is no
 * restart lets go of them. Where systemd is not the parent nothing is kept, and every call does nothing. One store of the
 * process, no allocation. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define KEEP_MAX 20000u /* as FileDescriptorStoreMax= says */
#define KEEP_NAME_SIZE 12u

/* Takes over what systemd handed to us. Before the environment is cleared. */
void keep_open(void);
bool keep_is_on(void);
/* What was handed to us under that name, the caller's from now on; -1. */
int keep_take(const char *name);
/* The next of what nobody has taken yet: true, and the caller's. *at starts at 0. `name` has KEEP_NAME_SIZE bytes. */
bool keep_next(size_t *at, char *name, int *ret_fd);

/* A duplicate of fd is kept under that name, which no other has. The kernel's description of the file must be one of its own:
 * of two descriptors of the same one systemd keeps the first. */
void keep_put(const char *name, int fd);
void keep_drop(const char *name);
