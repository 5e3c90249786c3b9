/* The supply socket (launch/supply.h): where slipway-exec, started by systemd, asks for what
 * belongs to its instance, and tells how it ended. Any tenant may connect; whoever says nothing is
 * shown out when others wait, and has a few places at most. */
#pragma once

#include "helper/instances.h"

#define DOOR_MAX 128u	     /* connections that have not said anything yet */
#define DOOR_OF_USER_MAX 16u /* of them, of one user other than root */

struct door {
	int listen, epoll; /* the second becomes readable when there is something to do */
	struct {
		int fd; /* 0: free */
		uid_t uid;
		pid_t pid;
	} v[DOOR_MAX];
	size_t next;
};

int door_open(struct door *d, const char *path, struct err *e) WARN_UNUSED;
void door_serve(struct door *d, struct instances *t);
