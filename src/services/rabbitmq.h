/* A vhost and a user of its own on the operator's RabbitMQ, over the API of its management plugin (services/web.h). All of
 * this blocks, at most WEB_WAIT_S for each request: pool threads only.
 *
 * We ask as a user with the tag "administrator", whose password lies in a file of ours. A project's user has all
 * rights in its own vhost and none anywhere else. How many connections and queues the vhost takes is limited before
 * anybody gets in.
 *
 * The vhost's description is "slipway MARK", made with it; the user's only tag is "slipway-MARK", which gives no right: those
 * that do have names of their own. A vhost or user of that name without the mark is somebody else's: ERR_CONFLICT, and
 * both are left alone. Every step looks first, so that all of it may be repeated after a crash anywhere. Passwords reach the
 * broker as salted hashes only, but for the try of the project's own way in (services/amqp.h). */
#pragma once

#include "base/err.h"
#include "base/str.h"
#include "services/owner.h"

#include <stdbool.h>
#include <stdint.h>

#define RABBITMQ_HOST_SIZE 254
#define RABBITMQ_USER_SIZE 65
#define RABBITMQ_PASSWORD_FILE "rabbitmq.password"

/* Where the management API is: "http://USER@HOST[:PORT]" or https, without a password. */
struct rabbitmq_address {
	bool tls;
	char user[RABBITMQ_USER_SIZE], host[RABBITMQ_HOST_SIZE];
	uint16_t port;
};
/* ERR_INVALID: http to another machine, a password, or anything else that is no such address. */
int rabbitmq_address_parse(
    const char *url, struct rabbitmq_address *ret, struct err *e) WARN_UNUSED;
/* This machine: no TLS is needed to it. */
bool rabbitmq_host_is_near(struct str host);

struct rabbitmq_maker {
	const char *url;      /* as above */
	int keys;	      /* the folder of RABBITMQ_PASSWORD_FILE: 0600, ours, one line */
	const char *ca_file;  /* NULL: the system's authorities */
	unsigned connections; /* at most, of one vhost */
	unsigned queues;
};

/* Vhost and user are there, the password is that, and the project's own way in was tried. On another machine that is
 * over TLS. ERR_SETTINGS: what the administrator has to do is in the hint. */
int rabbitmq_make(const struct rabbitmq_maker *s, const struct services_owner *o,
    struct services_place *ret, struct err *e) WARN_UNUSED;
/* Neither is there any more; who is connected is thrown out. ERR_CONFLICT: they are not ours. */
int rabbitmq_drop(
    const struct rabbitmq_maker *s, const struct services_owner *o, struct err *e) WARN_UNUSED;
