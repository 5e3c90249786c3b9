/* An Ed25519 deploy key in OpenSSH's own formats (PROTOCOL.key): made in memory, written nowhere. */
#pragma once

#include "base/buf.h"
#include "base/err.h"

/* public_line: "ssh-ed25519 AAAA… comment"; private_pem: "-----BEGIN OPENSSH PRIVATE KEY-----…",
 * unencrypted, wiped by the caller with buf_wipe. `comment`: printable ASCII without blanks. */
int sshkey_make(struct str comment, struct buf *public_line, struct buf *private_pem, struct err *e) WARN_UNUSED;
