/* How git gets in: secrets live in memory files only, reached through descriptors that ssh and askpass open by
 * /proc/PID/fd; git is told to call this very program as askpass and as ssh, which then finds its role in the environment. */
#pragma once

#include "base/buf.h"
#include "base/err.h"
#include "tree/child.h"
#include "tree/host.h"

struct login {
	int secret_fd;	/* memory file, 0600: token or private key; -1 none */
	int hosts_fd;	/* memory file with pinned host keys; -1: learn on first use */
	int learned_fd; /* memory file that ssh writes learned keys to; -1 none */
	char self[512]; /* this program */
};

/* Reads $SLIPWAY_SECRET_FD and closes it. */
int login_open(struct login *l, struct str known_hosts, struct err *e) WARN_UNUSED;
void login_close(struct login *l);
/* Variables for git. `addresses` NULL for local repositories. `user` for https. Strings live in `text`, whose
 * memory must stay (its maximum bounds them). */
int login_env(const struct login *l, struct str host, uint16_t port, const struct host_addresses *addresses, struct str user,
    struct buf *text, struct child_words *env, struct err *e) WARN_UNUSED;
/* Host keys that ssh learned; empty when none. */
int login_learned(const struct login *l, struct buf *ret, struct err *e) WARN_UNUSED;
/* When the environment says that git called us: plays that part and never returns. */
void login_serve(int argc, char **argv);
