/* Password hashes as Werkzeug (Flask) wrote them, read so that their owners can log in once more
 * and get a better one: pbkdf2:sha256:260000$SALT$HEX     Werkzeug 2 (also sha1, sha512)
 *   scrypt:32768:8:1$SALT$HEX         Werkzeug 3
 * The salt is used as the text it is. Parameters beyond 10,000,000 rounds or 256 MiB are refused,
 * so that a planted hash cannot stop a server. Blocks for as long as its parameters say. */
#pragma once

#include "base/str.h"

/* True for a text of one of these forms, whatever it holds. */
bool werkzeug_is(struct str hash);
/* False as well for a hash that is malformed. Compared in constant time. */
bool werkzeug_verify(struct str password, struct str hash);
