#include "helper/door.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "helper/keep.h"
#include "launch/supply.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define EVENTS_MAX 32
#define KEPT "supply"	/* under this name (helper/keep.h) */
#define LISTEN DOOR_MAX /* the listening socket's place */

static int watch(struct door *d, int fd, size_t place)
{
	struct epoll_event ev = {.events = EPOLLIN, .data.u64 = place};
	return epoll_ctl(d->epoll, EPOLL_CTL_ADD, fd, &ev);
}

static int make_socket(struct door *d, const char *path, struct err *e)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	if (!str_copy(str_c(path), a.sun_path, sizeof(a.sun_path)))
		return err_set(e, ERR_SETTINGS, "the path '%s' is too long", path);
	(void)unlink(path); /* its folder is ours alone */
	d->listen = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (d->listen < 0 || bind(d->listen, (struct sockaddr *)&a, sizeof(a)) != 0 ||
	    chmod(path, 0666) != 0 || listen(d->listen, 512) != 0)
		return err_sys(e, ERR_SETTINGS, errno, "could not listen at '%s'", path);
	keep_put(KEPT, d->listen);
	return 0;
}

int door_open(struct door *d, const char *path, struct err *e)
{
	d->listen = access(path, F_OK) == 0 ? keep_take(KEPT) : -1;
	if (d->listen < 0 && make_socket(d, path, e) != 0)
		return -1;
	d->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (d->epoll < 0 || watch(d, d->listen, LISTEN) != 0)
		return err_sys(e, ERR_SETTINGS, errno, "could not watch '%s'", path);
	return 0;
}

static void let_go(struct door *d, size_t place)
{
	close(d->v[place].fd);
	d->v[place].fd = 0;
}

static void answer(struct door *d, size_t place, struct instances *t)
{
	struct supply_question q;
	struct err e = {0};
	int rc = supply_read(d->v[place].fd, &q, &e);
	if (rc == 0)
		return;
	if (rc < 0 ||
	    instances_asked(t, &q, d->v[place].uid, d->v[place].pid, d->v[place].fd, &e) != 0)
		log_event(LOG_WARN, "helper", "refused", F_C("op", "supply"),
		    F_I64("uid", d->v[place].uid), F_I64("pid", d->v[place].pid), F_ERR(&e));
	let_go(d, place);
}

/* A free place; when there is none, that of whoever has waited longest in it. */
static size_t take_place(struct door *d)
{
	for (size_t i = 0; i < DOOR_MAX; i++)
		if (d->v[i].fd == 0)
			return i;
	d->next = (d->next + 1) % DOOR_MAX;
	let_go(d, d->next);
	return d->next;
}

static size_t count_of(const struct door *d, uid_t uid)
{
	size_t n = 0;
	for (size_t i = 0; i < DOOR_MAX; i++)
		n += d->v[i].fd != 0 && d->v[i].uid == uid;
	return n;
}

static bool let_in(struct door *d, struct instances *t)
{
	struct ucred peer;
	socklen_t size = sizeof(peer);
	int fd = accept4(d->listen, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd < 0)
		return false;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0 ||
	    (peer.uid != 0 && count_of(d, peer.uid) >= DOOR_OF_USER_MAX)) {
		close(fd);
		return true;
	}
	size_t place = take_place(d);
	d->v[place].fd = fd;
	d->v[place].uid = peer.uid;
	d->v[place].pid = peer.pid;
	if (watch(d, fd, place) != 0)
		let_go(d, place);
	else
		answer(d, place, t); /* most have asked already */
	return true;
}

void door_serve(struct door *d, struct instances *t)
{
	struct epoll_event events[EVENTS_MAX];
	int n = epoll_wait(d->epoll, events, EVENTS_MAX, 0);
	for (int i = 0; i < n; i++) {
		size_t place = (size_t)events[i].data.u64;
		if (place != LISTEN && d->v[place].fd != 0)
			answer(d, place, t);
	}
	for (size_t i = 0; i < DOOR_MAX && let_in(d, t); i++)
		continue;
}
