#include "helper/userdb.h"
#include "base/fs.h"
#include "base/num.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

int userdb_open(struct userdb *u, const char *path, struct err *e)
{
	u->at = u->n = 0;
	u->within = false;
	u->fd = open(path, O_RDONLY | O_CLOEXEC);
	return u->fd >= 0 ? 0 : err_sys(e, ERR_IO, errno, "could not open '%s'", path);
}

void userdb_close(struct userdb *u)
{
	fs_close_fd(&u->fd);
}

/* 1: more bytes behind those that are left; 0: there are none; -1. */
static int more(struct userdb *u, struct err *e)
{
	memmove(u->text, u->text + u->at, u->n - u->at);
	u->n -= u->at;
	u->at = 0;
	ssize_t n = read(u->fd, u->text + u->n, sizeof(u->text) - u->n);
	if (n < 0)
		return errno == EINTR ? 1
				      : err_sys(e, ERR_IO, errno, "could not read the users' file");
	u->n += (size_t)n;
	return n > 0;
}

/* The next line or, where there is no room for all of it, a piece. 1/0/-1. */
static int next_piece(struct userdb *u, struct str *ret, bool *ret_whole, struct err *e)
{
	for (int rc = 1;;) {
		char *from = u->text + u->at;
		size_t left = u->n - u->at;
		char *end = memchr(from, '\n', left);
		if (end || rc == 0 || left == sizeof(u->text)) {
			*ret = (struct str){from, end ? (size_t)(end - from) : left};
			*ret_whole = end != NULL;
			u->at += ret->n + (end != NULL);
			return end || left > 0;
		}
		rc = more(u, e);
		if (rc < 0)
			return -1;
	}
}

static int next_line(struct userdb *u, struct str *ret, struct err *e)
{
	for (;;) {
		bool whole = true, continued = u->within;
		int rc = next_piece(u, ret, &whole, e);
		u->within = !whole;
		if (rc <= 0 || !continued)
			return rc;
	}
}

/* NAME:PASSWORD:NUMBER:... */
static bool parse(struct str line, struct userdb_entry *ret)
{
	struct str password, number;
	uint64_t n;
	if (!str_next(&line, ':', &ret->name) || !str_next(&line, ':', &password) || !line.p ||
	    !str_next(&line, ':', &number) || ret->name.n == 0 ||
	    !num_u64(number, 0, UINT32_MAX - 1, &n))
		return false;
	ret->number = (uint32_t)n;
	return true;
}

int userdb_next(struct userdb *u, struct userdb_entry *ret, struct err *e)
{
	struct str line;
	int rc;
	while ((rc = next_line(u, &line, e)) > 0)
		if (parse(line, ret))
			return 1;
	return rc;
}
