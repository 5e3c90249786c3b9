/* Faults that the checker must find: planted between it and the connection, where it does not look.
 */
#pragma once

#include "load.h"

/* "drop:N", "stale:N" or "order:N": the Nth message is not said though it is answered; the first
 * timeline at or after the Nth that is long enough lacks its newest message; … has two neighbours
 * exchanged. False: none of these. */
bool plant_parse(const char *text);
/* May change what is sent. */
void plant_request(struct request *r);
/* May change the body of an answer, in place; its new length. */
size_t plant_answer(const struct request *r, int status, char *body, size_t n);
