#include "helper/edge_net.h"

#include "base/fs.h"
#include "base/rand.h"
#include "base/str.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define SPARE_FIRST 512u /* below 1024: no tenant can take it meanwhile */
#define SPARE_COUNT 512u
#define LISTEN_STATE 0x0Au

struct table {
	int fd;
	char text[4096];
};

static int table_open(const char *net, const char *name)
{
	char path[128];
	int n = snprintf(path, sizeof(path), "%s/%s", net, name);
	return n < 0 || (size_t)n >= sizeof(path) ? -1 : open(path, O_RDONLY | O_CLOEXEC);
}

/* The next line, which is good until the one after it; 1 there is one, 0 that was all. */
static int table_next(struct table *t, struct str *rest, struct str *ret)
{
	while (str_find(*rest, '\n', 0) == SIZE_MAX) {
		memmove(t->text, rest->p, rest->n);
		*rest = (struct str){t->text, rest->n};
		ssize_t n = read(t->fd, t->text + rest->n, sizeof(t->text) - rest->n);
		if (n <= 0)
			return 0;
		rest->n += (size_t)n;
	}
	return str_next(rest, '\n', ret);
}

struct line {
	uint32_t address; /* of IPv6 the last word */
	uint16_t port;
	bool listens;
};

/* Up to eight digits. */
static bool read_hex(struct str s, uint32_t *ret)
{
	static const char digits[] = "0123456789ABCDEF";
	*ret = 0;
	for (size_t i = 0; i < s.n; i++) {
		const char *at = s.p[i] ? strchr(digits, s.p[i]) : NULL;
		if (!at)
			return false;
		*ret = *ret << 4 | (uint32_t)(at - digits);
	}
	return s.n > 0 && s.n <= 8;
}

/* The next word that is not empty. */
static struct str word(struct str *rest)
{
	struct str w = STR_NONE;
	while (rest->n > 0 && str_next(rest, ' ', &w) && w.n == 0)
		continue;
	return w;
}

/* "   0: 0100007F:1F90 00000000:0000 0A ...": the address as it lies in memory. */
static bool read_line(struct str text, struct line *ret)
{
	uint32_t raw, port, state;
	(void)word(&text);
	struct str local = word(&text);
	(void)word(&text);
	size_t colon = str_find(local, ':', 0);
	if (colon == SIZE_MAX || colon < 8 || !read_hex(str_slice(local, colon - 8, 8), &raw) ||
	    !read_hex(str_from(local, colon + 1), &port) || !read_hex(word(&text), &state))
		return false;
	*ret = (struct line){ntohl(raw), (uint16_t)port, state == LISTEN_STATE};
	return true;
}

typedef bool visit_fn(const struct line *l, void *ctx);

/* Until one says true. */
static bool any(const char *net, const char *name, visit_fn *visit, void *ctx)
{
	static struct table t;
	struct str rest = {t.text, 0}, text;
	struct line l;
	CLEANUP_FD int fd = table_open(net, name);
	t.fd = fd;
	while (fd >= 0 && table_next(&t, &rest, &text))
		if (read_line(text, &l) && visit(&l, ctx))
			return true;
	return false;
}

struct place {
	uint32_t address;
	uint16_t port;
};

static bool is_listener(const struct line *l, void *ctx)
{
	const struct place *p = ctx;
	return l->listens && l->port == p->port &&
	       (l->address == p->address || l->address == 0 || p->address == 0);
}

bool edge_net_listens(const char *net, uint32_t address, uint16_t port)
{
	struct place p = {address, port};
	return any(net, "tcp", is_listener, &p);
}

bool edge_net_has_ipv6(const char *net)
{
	static struct table t;
	struct str rest = {t.text, 0}, text;
	bool has = false;
	CLEANUP_FD int fd = table_open(net, "if_inet6");
	t.fd = fd;
	while (fd >= 0 && !has && table_next(&t, &rest, &text))
		has = str_starts(text, STR("00000000000000000000000000000001 "));
	return has;
}

static bool mark(const struct line *l, void *ctx)
{
	bool *taken = ctx;
	if (l->port >= SPARE_FIRST && l->port < SPARE_FIRST + SPARE_COUNT)
		taken[l->port - SPARE_FIRST] = true;
	return false;
}

uint16_t edge_net_spare(const char *net)
{
	bool taken[SPARE_COUNT] = {false};
	uint16_t first;
	(void)any(net, "tcp", mark, taken);
	(void)any(net, "tcp6", mark, taken);
	rand_bytes(&first, sizeof(first));
	for (unsigned i = 0; i < SPARE_COUNT; i++) {
		unsigned at = (first + i) % SPARE_COUNT;
		if (!taken[at])
			return (uint16_t)(SPARE_FIRST + at);
	}
	return 0;
}
