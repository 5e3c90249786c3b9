/* Who sent a request: a token, or the user at the other end of the Unix socket. Not for other
 * rooms. */
#pragma once

#include "access/access.h"

/* Fills operator_id, token_id, name, everything and global_role. ret_touch: the token's last use is
 * old enough to be written anew. 0, or -1 with ERR_UNAUTHORIZED or ERR_FORBIDDEN. Reads the store
 * and the user database: only on the pool. */
int access_identify(struct store_db *db, struct http_request *r, const struct access_row *row,
    struct access_subject *who, bool *ret_touch, struct err *e) WARN_UNUSED;
/* Notes that the token was used, some time soon; loses nothing that matters when it cannot. */
void access_touch_token(struct store *s, int64_t token_id);
