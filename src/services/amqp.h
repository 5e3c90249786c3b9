/* A project's own way into its broker, tried: AMQP 0-9-1 (its specification, 2.2 and 4.2) up to an open vhost, and out
 * again. Blocks, at most AMQP_WAIT_S: pool threads only. */
#pragma once

#include "base/err.h"
#include "base/str.h"
#include "services/web.h"

#define AMQP_WAIT_S 10

struct amqp_way {
	struct web_server at;		  /* whose user and password are not looked at */
	struct str user, password, vhost; /* at most 255 bytes each */
};
/* Its user gets in, or would if fewer were in. ERR_UNAVAILABLE: nobody answers there, or not in AMQP; ERR_FAILED: the broker
 * says why not. */
int amqp_try(const struct amqp_way *way, struct err *e) WARN_UNUSED;
